//! Records of runs: one JSON file for each run, named so that the order of names is the order of
//! time.
//!
//! The caller decides what a record says, except for two fields. The long part of a record, action
//! by action, is in a file of its own under its digest, and the field `actions` of the record names
//! that digest. The field `findings` does the same for what a command concluded from the run. Runs
//! with equal long parts share the file, so a run in which nothing changed writes only what is said of
//! the run as a whole. It does not wait for the disk either: a power loss in the seconds after such a
//! run may take its record, and no other one. When actions ran is in a file beside the record, if any
//! did.

use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::content::Digest;
use crate::disk::file::{self, FileSteps, Lasting};
use crate::disk::lock;
use crate::disk::look::{list_dir, require_no_link};
use crate::disk::stat::now_nanos;
use crate::disk::steps;
use crate::error::StoreError;

const STEPS: FileSteps = ["run.save", "run.publish"];

/// The records of runs in a directory.
#[derive(Clone, Debug)]
pub struct Runs {
    dir: PathBuf,
}

impl Runs {
    /// The runs in `dir`, which is created when the first one is saved.
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_path_buf(),
        }
    }

    /// The folder that they are in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes a new id: UTC date and time, then the fraction of the second and something random.
    /// Runs that start at the same moment get different ids, even in different containers.
    pub fn new_id(&self) -> String {
        use std::hash::{BuildHasher, RandomState};
        let nanos = now_nanos();
        id_at(nanos, RandomState::new().hash_one(nanos))
    }

    /// Where the record of a run is.
    pub fn path(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }

    /// Saves the record of a run.
    pub fn save(&self, id: &str, record: &impl Serialize) -> Result<(), StoreError> {
        std::fs::create_dir_all(&self.dir)
            .map_err(|e| StoreError::env("run.save", &self.dir, e))?;
        let path = self.path(id);
        file::replace(STEPS, &path, &line(&path, record)?, Lasting::Soon)
    }

    /// Saves the record of a run, and the long part that it names unless that file is there.
    pub fn save_with(
        &self,
        id: &str,
        record: &impl Serialize,
        (digest, long): (&Digest, &impl Serialize),
    ) -> Result<(), StoreError> {
        let path = self.actions_path(digest);
        self.require_no_links()?;
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(|e| StoreError::env("run.save", dir, e))?;
        }
        // A process that removes runs must not find the long part before its record is there.
        let _lock = lock::exclusive(&self.lock_path())?;
        if !path.exists() {
            file::replace(STEPS, &path, &text(&path, long)?, Lasting::Now)?;
        }
        self.save(id, record)
    }

    /// Adds findings to the record of a run: they become a file under their digest, which the field
    /// `findings` of the record then names. Returns false if there is no such run.
    pub fn attach(&self, id: &str, findings: &impl Serialize) -> Result<bool, StoreError> {
        let path = self.path(id);
        if !path.exists() {
            return Ok(false);
        }
        let text = text(&path, findings)?;
        let digest = Digest::of(&text);
        let place = self.actions_path(&digest);
        self.require_no_links()?;
        if let Some(dir) = place.parent() {
            std::fs::create_dir_all(dir).map_err(|e| StoreError::env("run.save", dir, e))?;
        }
        let _lock = lock::exclusive(&self.lock_path())?;
        let Some(mut record) = read::<Map<String, Json>>(&path)? else {
            return Ok(false);
        };
        if !place.exists() {
            file::replace(STEPS, &place, &text, Lasting::Now)?;
        }
        record.insert("findings".to_owned(), digest.to_string().into());
        file::replace(STEPS, &path, &line(&path, &record)?, Lasting::Now)?;
        Ok(true)
    }

    /// The long part of a record, or its findings, under their digest, if the file is there.
    pub fn long<T: DeserializeOwned>(&self, digest: &Digest) -> Result<Option<T>, StoreError> {
        read(&self.actions_path(digest))
    }

    /// Saves when the actions of a run ran, in a file beside its record.
    pub fn save_times(&self, id: &str, times: &impl Serialize) -> Result<(), StoreError> {
        let path = self.times_path(id);
        self.require_no_links()?;
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(|e| StoreError::env("run.save", dir, e))?;
        }
        file::replace(STEPS, &path, &line(&path, times)?, Lasting::Soon)
    }

    /// When the actions of a run ran, if that was saved.
    pub fn times<T: DeserializeOwned>(&self, id: &str) -> Result<Option<T>, StoreError> {
        read(&self.times_path(id))
    }

    /// Changes the record of a run in place. Returns false if there is no such run.
    pub fn update<T: Serialize + DeserializeOwned>(
        &self,
        id: &str,
        change: impl FnOnce(&mut T),
    ) -> Result<bool, StoreError> {
        let path = self.path(id);
        if !path.exists() {
            return Ok(false);
        }
        self.require_no_links()?;
        let _lock = lock::exclusive(&self.lock_path())?;
        let Some(mut record) = read(&path)? else {
            return Ok(false);
        };
        change(&mut record);
        file::replace(STEPS, &path, &line(&path, &record)?, Lasting::Now)?;
        Ok(true)
    }

    /// Removes the record of a run with its times, and the long parts that no other run names.
    pub fn remove(&self, id: &str) -> Result<(), StoreError> {
        self.require_no_links()?;
        let _lock = lock::exclusive(&self.lock_path())?;
        steps::remove("run.remove", &self.path(id))?;
        let times = self.times_path(id);
        if times.exists() {
            steps::remove("run.remove", &times)?;
        }
        let mut named = Vec::new();
        for id in self.list()? {
            match read::<NamesLong>(&self.path(&id)) {
                Ok(record) => named.extend(
                    record
                        .into_iter()
                        .flat_map(|record| [record.actions, record.findings])
                        .flatten(),
                ),
                // Nobody knows what a damaged record names, so everything stays.
                Err(StoreError::Corrupt { .. }) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        let named: Vec<PathBuf> = named.iter().map(|d| self.actions_path(d)).collect();
        for path in list_dir(&self.dir.join("actions"))? {
            if !named.contains(&path) {
                steps::remove("run.remove", &path)?;
            }
        }
        Ok(())
    }

    fn actions_path(&self, digest: &Digest) -> PathBuf {
        self.dir
            .join("actions")
            .join(format!("{}.json", digest.hex()))
    }

    fn times_path(&self, id: &str) -> PathBuf {
        self.dir.join("times").join(format!("{id}.json"))
    }

    fn require_no_links(&self) -> Result<(), StoreError> {
        require_no_link(&self.dir)?;
        require_no_link(&self.dir.join("actions"))?;
        require_no_link(&self.dir.join("times"))
    }

    fn lock_path(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// The ids of all runs, newest first.
    pub fn list(&self) -> Result<Vec<String>, StoreError> {
        let mut ids: Vec<String> = list_dir(&self.dir)?
            .iter()
            .filter(|path| path.extension().is_some_and(|e| e == "json"))
            // A power loss can leave empty files.
            .filter(|path| path.metadata().is_ok_and(|meta| meta.len() > 0))
            .filter_map(|path| path.file_stem()?.to_str().map(str::to_owned))
            .collect();
        ids.reverse();
        Ok(ids)
    }

    /// The record of the run with this id, or with the only id that starts with `id`. `latest` is
    /// the newest run. Returns `None` if there is no such run.
    pub fn load<T: DeserializeOwned>(&self, id: &str) -> Result<Option<(String, T)>, StoreError> {
        let ids = self.list()?;
        let mut matches: Vec<String> = match id {
            "latest" => ids.into_iter().take(1).collect(),
            _ if ids.iter().any(|known| known == id) => vec![id.to_owned()],
            _ => ids
                .into_iter()
                .filter(|known| known.starts_with(id))
                .collect(),
        };
        if matches.len() > 1 {
            return Err(StoreError::AmbiguousRun {
                prefix: id.to_owned(),
                matches,
            });
        }
        let Some(id) = matches.pop() else {
            return Ok(None);
        };
        Ok(read(&self.path(&id))?.map(|record| (id, record)))
    }
}

/// The fields of a record that matter here.
#[derive(Deserialize)]
struct NamesLong {
    #[serde(default)]
    actions: Option<Digest>,
    #[serde(default)]
    findings: Option<Digest>,
}

fn text(path: &Path, json: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(json).map_err(|e| StoreError::env("run.save", path, e.into()))
}

fn line(path: &Path, record: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let mut line = text(path, record)?;
    line.push(b'\n');
    Ok(line)
}

/// Reads a JSON file. Returns `None` if there is no file.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StoreError::env("run.load", path, e)),
    };
    let record = serde_json::from_slice(&text).map_err(|e| StoreError::Corrupt {
        path: path.to_path_buf(),
        detail: format!("the record of the run cannot be read: {e}"),
        source: Some(e),
    })?;
    Ok(Some(record))
}

/// A time in seconds since 1970 as `2026-11-23 12:05:01 UTC`.
pub fn utc(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = clock(seconds);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

fn clock(seconds: u64) -> (u64, u64, u64) {
    let time = seconds % 86_400;
    (time / 3600, time / 60 % 60, time % 60)
}

fn id_at(nanos: u64, random: u64) -> String {
    let (seconds, fraction) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = clock(seconds);
    let ticks = three_digits(fraction * 36 * 36 * 36 / 1_000_000_000);
    let random = three_digits(random % (36 * 36 * 36));
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}-{ticks}{random}")
}

/// A number as three digits of 0 to 9 and a to z, so that the order of texts is that of numbers.
fn three_digits(number: u64) -> String {
    let digit = |n: u64| char::from_digit((n % 36) as u32, 36).unwrap_or('0');
    [number / (36 * 36), number / 36, number]
        .map(digit)
        .iter()
        .collect()
}

/// Year, month and day of a day count since 1970-01-01 in the Gregorian calendar, counted in
/// 400-year eras from 0000-03-01, so that the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = era * 400 + year + u64::from(month <= 2);
    (year, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn load(runs: &Runs, id: &str) -> Option<(String, Json)> {
        runs.load(id).unwrap()
    }

    #[test]
    fn ids_are_calendar_time() {
        assert_eq!(id_at(0, 1), "19700101T000000-000001");
        assert_eq!(
            id_at(951_827_696_500_000_000, 255),
            "20000229T123456-i00073"
        );
        assert_eq!(
            id_at(1_795_435_501_000_000_000, 0),
            "20261123T120501-000000"
        );
        assert_eq!(id_at(999_999_999, u64::MAX).len(), 22);
        assert_eq!(three_digits(36 * 36 * 36 - 1), "zzz");
        assert_eq!(utc(951_827_696), "2000-02-29 12:34:56 UTC");
        assert_eq!(civil(47_540), (2100, 2, 28));
        assert_eq!(civil(47_541), (2100, 3, 1));
    }

    #[test]
    fn runs_are_listed_newest_first_and_found_by_prefix() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Runs::new(&dir.path().join("runs"));
        assert_eq!(runs.list().unwrap(), Vec::<String>::new());
        for id in [
            "20260101T000000-0001",
            "20260101T000000-0002",
            "20270101T000000-0001",
        ] {
            runs.save(id, &json!({"id": id})).unwrap();
        }
        runs.save("20270101T000000-0001", &json!({"id": "again"}))
            .unwrap();
        assert_eq!(runs.list().unwrap()[0], "20270101T000000-0001");
        assert_eq!(load(&runs, "2027").unwrap().1, json!({"id": "again"}));
        assert_eq!(load(&runs, "latest").unwrap().0, "20270101T000000-0001");
        assert!(load(&runs, "2028").is_none());
        assert!(matches!(
            runs.load::<Json>("2026"),
            Err(StoreError::AmbiguousRun { matches, .. }) if matches.len() == 2
        ));
        assert!(!runs.list().unwrap().contains(&runs.new_id()));
    }

    #[test]
    fn a_record_that_a_power_loss_left_empty_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Runs::new(dir.path());
        runs.save("20260101T000000-0001", &json!({"id": 1}))
            .unwrap();
        std::fs::write(runs.path("20260102T000000-0001"), "").unwrap();
        assert_eq!(runs.list().unwrap(), ["20260101T000000-0001"]);
        assert_eq!(load(&runs, "latest").unwrap().1["id"], 1);
        assert!(load(&runs, "20260102").is_none());
    }

    #[test]
    fn long_parts_are_shared_and_go_with_the_last_run_that_names_them() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Runs::new(&dir.path().join("runs"));
        let digest = Digest::of(b"actions");
        let record = json!({"actions": digest.to_string()});
        let save = |id, long: Json| runs.save_with(id, &record, (&digest, &long));
        save("20260101T000000-0001", json!([1])).unwrap();
        save("20260101T000000-0002", json!("not written")).unwrap();
        for id in ["20260101T000000-0001", "20260101T000000-0002"] {
            runs.save_times(id, &json!({"one": [id]})).unwrap();
        }
        runs.remove("20260101T000000-0001").unwrap();
        let times = |id| runs.times::<Json>(id).unwrap();
        assert_eq!(times("20260101T000000-0001"), None);
        let other = times("20260101T000000-0002").unwrap();
        assert_eq!(other["one"][0], "20260101T000000-0002");
        assert_eq!(runs.long(&digest).unwrap(), Some(json!([1])));
        let tag = |id| runs.update(id, |record: &mut Json| record["x"] = 1.into());
        assert!(tag("20260101T000000-0002").unwrap());
        assert!(!tag("20260101T000000-0001").unwrap());
        assert_eq!(load(&runs, "latest").unwrap().1["x"], 1);
        runs.remove("20260101T000000-0002").unwrap();
        assert_eq!(runs.long::<Json>(&digest).unwrap(), None);
    }

    #[test]
    fn findings_are_named_by_their_run_and_go_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Runs::new(&dir.path().join("runs"));
        let findings = json!({"best": 0.1, "after": [1, null]});
        let (a, b) = ("20260101T000000-0001", "20260101T000000-0002");
        assert!(!runs.attach(a, &findings).unwrap(), "there is no such run");
        for id in [a, b] {
            runs.save(id, &json!({"run": id, "unknown": 1})).unwrap();
            assert!(runs.attach(id, &findings).unwrap());
        }
        let record = load(&runs, a).unwrap().1;
        assert_eq!((&record["run"], &record["unknown"]), (&json!(a), &json!(1)));
        let digest: Digest = serde_json::from_value(record["findings"].clone()).unwrap();
        assert_eq!(runs.long(&digest).unwrap(), Some(findings));
        runs.remove(a).unwrap();
        assert!(runs.long::<Json>(&digest).unwrap().is_some());
        runs.remove(b).unwrap();
        assert_eq!(runs.long::<Json>(&digest).unwrap(), None);
    }
}
