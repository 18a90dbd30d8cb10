//! Manifests: what another process needs to run an action, under the key of the action. They exist
//! only while the action runs, so they need not be durable.

use std::io::{self, Read};
use std::path::PathBuf;

use crate::content::ActionKey;
use crate::disk::file::{self, Lasting};
use crate::disk::look::open_own;
use crate::disk::steps;
use crate::error::StoreError;
use crate::store::Store;

impl Store {
    fn manifest_path(&self, key: &ActionKey) -> PathBuf {
        self.layout.manifests.join(key.to_string())
    }

    /// Writes the manifest of an action as a whole, and replaces an earlier one.
    pub fn put_manifest(&self, key: &ActionKey, bytes: &[u8]) -> Result<(), StoreError> {
        self.require_writable("stage-exec.write")?;
        steps::mkdir("stage-exec.write", &self.layout.manifests)?;
        let steps = ["stage-exec.write", "stage-exec.publish"];
        file::replace(steps, &self.manifest_path(key), bytes, Lasting::Soon)
    }

    /// The manifest of an action, if there is one.
    pub fn manifest(&self, key: &ActionKey) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.manifest_path(key);
        let mut bytes = Vec::new();
        match open_own(&path).and_then(|mut file| file.read_to_end(&mut bytes)) {
            Ok(_) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::env("stage-exec.read", &path, e)),
        }
    }

    /// Removes the manifest of an action, unless it is gone already.
    pub fn remove_manifest(&self, key: &ActionKey) -> Result<(), StoreError> {
        steps::remove("stage-exec.remove", &self.manifest_path(key))
    }
}
