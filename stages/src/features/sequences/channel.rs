//! What is known of each point of a track.

/// What is known of each point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Time since the object's first observation in any band.
    Time,
    /// Time since the point before in the track; 0 at its first point.
    TimeStep,
    /// Time since the object's first observation, as a share of the time to its last one; 0 if both are the same.
    CumulativeTime,
    /// The flux, on the scale of the object.
    Flux,
    /// The error of the flux, on the same scale.
    FluxErr,
    /// The flux divided by its error, before either is scaled.
    Snr,
    /// The logarithm of the flux before it is scaled, `sign(f) ln(1 + |f|)`, which is defined for negative fluxes too.
    LogFlux,
    /// 1 if there was an observation, 0 if the flux comes from other nights.
    Observed,
    /// The band, as one value for each band: 1 for that of the observation, 0 for the others.
    Band,
    /// The effective wavelength of the band, in micrometers.
    Wavelength,
}

impl Channel {
    /// The channels by the words of a pipeline.
    pub const ALL: [(&'static str, Channel); 10] = [
        ("time", Channel::Time),
        ("time_step", Channel::TimeStep),
        ("cumulative_time", Channel::CumulativeTime),
        ("flux", Channel::Flux),
        ("flux_err", Channel::FluxErr),
        ("snr", Channel::Snr),
        ("log_flux", Channel::LogFlux),
        ("observed", Channel::Observed),
        ("band", Channel::Band),
        ("wavelength", Channel::Wavelength),
    ];

    /// The word of a pipeline for it.
    pub fn word(self) -> &'static str {
        let row = Self::ALL.iter().find(|row| row.1 == self);
        row.map_or("", |row| row.0)
    }

    /// Returns true if each flux of a point has a value.
    pub(super) fn is_of_fluxes(self) -> bool {
        !self.is_of_time() && self != Self::Band
    }

    fn is_of_time(self) -> bool {
        matches!(self, Self::Time | Self::TimeStep | Self::CumulativeTime)
    }

    /// Returns true if it says nothing where a point has a flux in every band.
    pub fn is_of_one_band(self) -> bool {
        matches!(self, Self::Band | Self::Wavelength)
    }
}
