//! Turns rows in any order into one shard of light curves.

use std::collections::HashMap;

use crate::table::{Curves, Survey, is_possible};

use super::known::Known;
use super::reject::{Bad, Cell, Tally, UNKNOWN_BAND};

/// An observation this many days from the others of its object has no usable time: the survey writes 0
/// or -1 for an unknown date, or mixes Julian dates with modified ones.
const TOO_FAR: f64 = 50_000.0;

/// One row of a light-curve file.
pub(super) struct CurveRow<'a> {
    /// The line of a text file or row of a Parquet file, from 1.
    pub line: u64,
    /// The object.
    pub object_id: Cell<'a>,
    /// Time in days.
    pub time: Cell<'a>,
    /// Band.
    pub band: Cell<'a>,
    /// Flux.
    pub flux: Cell<'a>,
    /// The standard error of the flux.
    pub flux_err: Cell<'a>,
}

#[derive(Clone, Copy)]
struct Observation {
    object: u32,
    band: u16,
    line: u64,
    time: f64,
    flux: f64,
    flux_err: f64,
}

/// Collects the observations of one file.
pub(super) struct Builder<'a> {
    /// The name of the file in messages.
    pub file: &'a str,
    /// Counts of what was read, kept and dropped.
    pub tally: Tally,
    known: &'a Known<'a>,
    bands: &'a [String],
    numbers: HashMap<String, u32>,
    /// The row of each object among those that are known.
    rows: Vec<usize>,
    /// The object of the row before, because rows of one object tend to come together.
    last: (String, u32),
    observations: Vec<Observation>,
}

impl<'a> Builder<'a> {
    /// Returns a builder without rows.
    pub fn new(file: &'a str, known: &'a Known<'a>, bands: &'a [String]) -> Self {
        Self {
            file,
            tally: Tally::default(),
            known,
            bands,
            numbers: HashMap::new(),
            rows: Vec::new(),
            last: (String::new(), 0),
            observations: Vec::new(),
        }
    }

    /// Drops a row.
    pub fn reject(&mut self, line: u64, reason: &str, value: &str) {
        self.tally.read += 1;
        self.tally.drop(reason, self.file, line, value);
    }

    /// Takes a row, or counts the first reason why not.
    pub fn push(&mut self, row: &CurveRow<'_>) {
        match self.observation(row) {
            Ok(observation) => {
                self.tally.read += 1;
                self.observations.push(observation);
            }
            Err((reason, value)) => self.reject(row.line, &reason, &value),
        }
    }

    fn observation(&mut self, row: &CurveRow<'_>) -> Result<Observation, (String, String)> {
        let id = row
            .object_id
            .text()
            .map_err(|bad| (bad.reason("object id"), row.object_id.show()))?;
        let object = self.object(id)?;
        let name = row
            .band
            .text()
            .map_err(|bad| (bad.reason("band"), row.band.show()))?;
        let band = self.bands.iter().position(|band| band == name);
        let band = band.ok_or_else(|| (UNKNOWN_BAND.to_string(), name.to_string()))?;
        let number = |cell: &Cell<'_>, what: &str| {
            let value = cell
                .number()
                .and_then(|value| match is_possible(what, value) {
                    true => Ok(value),
                    false => Err(Bad::Impossible),
                });
            value.map_err(|bad| (bad.reason(what), cell.show()))
        };
        let time = number(&row.time, "time")?;
        let flux = number(&row.flux, "flux")?;
        let flux_err = number(&row.flux_err, "flux error")?;
        if flux_err <= 0.0 {
            return Err((
                "flux error that is not positive".into(),
                row.flux_err.show(),
            ));
        }
        Ok(Observation {
            object,
            band: band as u16,
            line: row.line,
            time,
            flux,
            flux_err,
        })
    }

    fn object(&mut self, id: &str) -> Result<u32, (String, String)> {
        if !self.rows.is_empty() && self.last.0 == id {
            return Ok(self.last.1);
        }
        let number = match self.numbers.get(id) {
            Some(number) => *number,
            None => {
                let row = self
                    .known
                    .row(id)
                    .map_err(|reason| (reason.to_string(), id.to_string()))?;
                let number = self.rows.len() as u32;
                self.rows.push(row);
                self.numbers.insert(id.into(), number);
                number
            }
        };
        self.last = (id.into(), number);
        Ok(number)
    }

    /// Sorts the observations into the order of the shard, and returns the order of the objects.
    fn sort(&mut self) -> Vec<u32> {
        let objects = &self.known.objects;
        let mut order: Vec<u32> = (0..self.rows.len() as u32).collect();
        order.sort_by(|&a, &b| {
            objects.object_id[self.rows[a as usize]].cmp(&objects.object_id[self.rows[b as usize]])
        });
        let mut rank = vec![0; order.len()];
        for (r, &object) in order.iter().enumerate() {
            rank[object as usize] = r;
        }
        self.observations.sort_by(|a, b| {
            (rank[a.object as usize].cmp(&rank[b.object as usize]))
                .then(a.time.total_cmp(&b.time))
                .then(a.band.cmp(&b.band))
                .then(a.flux.total_cmp(&b.flux))
                .then(a.flux_err.total_cmp(&b.flux_err))
                .then(a.line.cmp(&b.line))
        });
        order
    }

    /// Returns the shard: objects by the bytes of their ids, observations by time, band, flux and
    /// error, equal ones once. An object that has no observation left is in the second value instead.
    pub fn finish(mut self, survey: Survey) -> (Curves, Vec<String>, Tally) {
        let order = self.sort();
        let objects = &self.known.objects;
        let mut curves = Curves::new(survey);
        let by_object = self.observations.chunk_by(|a, b| a.object == b.object);
        let mut middle = vec![0.0; order.len()];
        for all in by_object {
            middle[all[0].object as usize] = all[all.len() / 2].time;
        }
        let mut seen: Option<Observation> = None;
        let mut present = vec![false; order.len()];
        for o in &self.observations {
            let same = |p: Observation| {
                (p.object, p.band, p.time, p.flux, p.flux_err)
                    == (o.object, o.band, o.time, o.flux, o.flux_err)
            };
            let reason = if seen.is_some_and(same) {
                Some("repeated observation")
            } else if (o.time - middle[o.object as usize]).abs() > TOO_FAR {
                Some("impossible time")
            } else {
                None
            };
            if let Some(reason) = reason {
                let time = o.time.to_string();
                self.tally.drop(reason, self.file, o.line, &time);
                continue;
            }
            if !present[o.object as usize] {
                present[o.object as usize] = true;
                if !curves.is_empty() {
                    curves.offsets.push(curves.time.len());
                }
                curves
                    .objects
                    .push_from(objects, self.rows[o.object as usize]);
            }
            curves.time.push(o.time);
            curves.band.push(o.band);
            curves.flux.push(o.flux);
            curves.flux_err.push(o.flux_err);
            seen = Some(*o);
        }
        if !curves.is_empty() {
            curves.offsets.push(curves.time.len());
        }
        self.tally.kept = curves.time.len() as u64;
        let unusable = order.iter().filter(|&&object| !present[object as usize]);
        let unusable =
            unusable.map(|&object| objects.object_id[self.rows[object as usize]].clone());
        (curves, unusable.collect(), self.tally)
    }
}
