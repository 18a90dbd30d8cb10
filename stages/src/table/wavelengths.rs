//! The effective wavelengths of a survey's bands.

use flow_engine::StageError;

use super::{Curves, Survey};
use crate::physics::dust::{LSST_BANDS, LSST_WAVELENGTHS};

impl Survey {
    /// Returns the effective wavelength of a band in angstrom: the survey's own, or LSST's if the band has
    /// the name of one of the LSST bands.
    pub fn wavelength(&self, band: &str) -> Option<f64> {
        let own = self.wavelengths.iter().find(|(name, _)| name == band);
        own.map(|(_, wavelength)| *wavelength).or_else(|| {
            let at = LSST_BANDS.iter().position(|name| *name == band)?;
            Some(LSST_WAVELENGTHS[at])
        })
    }
}

impl Curves {
    /// Returns the effective wavelength of every band in angstrom, in the order of [`Curves::bands`].
    ///
    /// # Errors
    /// If the wavelength of a band is not known. The error names all such bands, with lines to paste.
    pub fn wavelengths(&self) -> Result<Vec<f64>, StageError> {
        let survey = &self.objects.survey;
        let known = self.bands().iter().map(|band| survey.wavelength(band));
        all_known(self.bands(), known.collect())
    }
}

/// Returns the wavelengths of all bands.
///
/// # Errors
/// If one of them is not known. The error names all such bands, with lines to paste.
pub(crate) fn all_known(
    bands: &[String],
    wavelengths: Vec<Option<f64>>,
) -> Result<Vec<f64>, StageError> {
    let known: Option<Vec<f64>> = wavelengths.iter().copied().collect();
    known.ok_or_else(|| unknown_bands(bands, &wavelengths))
}

fn unknown_bands(bands: &[String], wavelengths: &[Option<f64>]) -> StageError {
    let unknown = bands.iter().zip(wavelengths).filter(|(_, w)| w.is_none());
    let unknown: Vec<&str> = unknown.map(|(band, _)| band.as_str()).collect();
    let lines: Vec<String> = unknown
        .iter()
        .map(|band| format!("{band:?} = 6155.0"))
        .collect();
    StageError::data(
        "flow::data::band",
        format!(
            "the effective wavelength of band `{}` is not known",
            unknown.join("`, `")
        ),
    )
    .help(format!(
        "give your survey's to the `ingest` stage, in angstrom, for instance (6155 is a red band):\n[stages.NAME.wavelengths]\n{}",
        lines.join("\n")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_survey_has_its_own_wavelengths_and_those_of_lsst() {
        let survey = Survey {
            wavelengths: vec![("g".into(), 4800.0), ("W1".into(), 33_526.0)],
            ..Survey::default()
        };
        assert_eq!(survey.wavelength("g"), Some(4800.0));
        assert_eq!(survey.wavelength("W1"), Some(33_526.0));
        assert_eq!(survey.wavelength("r"), Some(6155.0));
        assert_eq!(survey.wavelength("W2"), None);
    }

    #[test]
    fn all_unknown_bands_are_named_with_lines_to_paste() {
        let bands = ["g", "0", "W 1"].map(String::from);
        let error = all_known(&bands, vec![Some(4800.0), None, None]).unwrap_err();
        assert!(error.message.contains("`0`, `W 1`"), "{error}");
        let lines = "[stages.NAME.wavelengths]\n\"0\" = 6155.0\n\"W 1\" = 6155.0";
        assert!(error.help[0].ends_with(lines), "{:?}", error.help);
    }
}
