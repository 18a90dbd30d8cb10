//! What goes to a remote: in the background, artifacts before the record that names them.

use std::fs::File;
use std::io::{self, Seek};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};

use bytes::Bytes;
use object_store::PutPayload;

use super::error::{RemoteError, RemoteFault, harmless};
use super::objects::{FORMAT as FORMAT_NAME, Objects, artifact_name, record_name};
use super::{FORMAT, Link, envelope, known_format};
use crate::content::ActionKey;
use crate::records::record::{Output, Record};
use crate::store::guard;
use crate::store::tier::StoreReader;

/// Threads that upload.
const THREADS: usize = 4;
/// Artifacts of fewer bytes are sent without asking first whether they are there.
const ASK_FROM: u64 = 32 << 10;
/// Artifacts of fewer bytes are not compressed.
const COMPRESS_FROM: u64 = 512;
/// Bytes of each part of a sample.
const SAMPLE: usize = 32 << 10;
const LEVEL: i32 = 3;

/// Takes what ran to a remote.
pub(super) struct Uploads {
    link: Arc<Link>,
    /// The way to the threads, which are started when they are first needed.
    queue: OnceLock<mpsc::Sender<ActionKey>>,
}

impl Uploads {
    pub(super) fn new(link: &Arc<Link>) -> Self {
        Self {
            link: Arc::clone(link),
            queue: OnceLock::new(),
        }
    }

    /// Has a record written with its artifacts. Does not wait for that.
    pub(super) fn offer(&self, from: &StoreReader, key: ActionKey) {
        let queue = self.queue.get_or_init(|| start(&self.link, from));
        self.link.account.count(|counts| counts.waiting += 1);
        if queue.send(key).is_err() {
            // The system gave no thread.
            self.link.account.writes.skip();
            self.link.account.count(|counts| counts.waiting -= 1);
        }
    }
}

fn start(link: &Arc<Link>, from: &StoreReader) -> mpsc::Sender<ActionKey> {
    let (queue, keys) = mpsc::channel::<ActionKey>();
    let keys = Arc::new(Mutex::new(keys));
    for _ in 0..THREADS {
        let (link, from, keys) = (Arc::clone(link), from.clone(), Arc::clone(&keys));
        let work = move || {
            loop {
                let next = keys.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok(key) = next else { return };
                link.push(&from, key);
                link.account.count(|counts| counts.waiting -= 1);
            }
        };
        // Fewer threads take longer.
        let _ = std::thread::Builder::new().spawn(work);
    }
    queue
}

impl Link {
    /// Writes a record with its artifacts, and notes how that went.
    fn push(&self, from: &StoreReader, key: ActionKey) {
        let writes = &self.account.writes;
        if writes.is_over() {
            writes.skip();
            return;
        }
        match self.try_push(from, key) {
            Err(error) if error.fault == RemoteFault::NoBytes => {
                self.account.count(|counts| counts.bare += 1);
            }
            result => drop(self.account.judge(writes, result)),
        }
    }

    fn try_push(&self, from: &StoreReader, key: ActionKey) -> Result<(), RemoteError> {
        let objects = self.objects()?;
        let Some(record) = from.record(&key)? else {
            return Ok(());
        };
        self.begin_writing(objects)?;
        for output in &record.outputs {
            self.push_artifact(objects, from, output)?;
        }
        if let Some(log) = &record.log
            && from.path(&log.digest).is_file()
        {
            self.push_artifact(objects, from, log)?;
        }
        self.push_record(objects, &record)
    }

    /// Makes this a remote if it is none yet.
    fn begin_writing(&self, objects: &Objects) -> Result<(), RemoteError> {
        let mut begun = guard(&self.begun);
        if *begun {
            return Ok(());
        }
        let format = || PutPayload::from_static(FORMAT.as_bytes());
        match self.wait(objects.get(FORMAT_NAME))? {
            Some(text) => known_format(&self.options.url, &text)?,
            None => drop(self.wait(objects.create(FORMAT_NAME, format()))?),
        }
        *begun = true;
        Ok(())
    }

    fn push_artifact(
        &self,
        objects: &Objects,
        from: &StoreReader,
        output: &Output,
    ) -> Result<(), RemoteError> {
        let name = artifact_name(&output.digest);
        if guard(&self.account.present).contains(&name) {
            return Ok(());
        }
        let damaged = guard(&self.account.damaged).contains(&name);
        let path = from.path(&output.digest);
        let here = path.is_file();
        let ask = !damaged && (!here || output.size >= ASK_FROM);
        let there = ask && self.wait(objects.size(&name))?.is_some();
        if !there {
            if !here {
                let message = format!("the bytes of {name} are neither here nor there");
                return Err(RemoteError::new(RemoteFault::NoBytes, message));
            }
            let payload = pack(&path, from.folder()).map_err(|e| {
                RemoteError::new(RemoteFault::Store, format!("{}: {e}", path.display()))
            })?;
            self.create(objects, &name, payload, damaged)?;
        }
        guard(&self.account.present).insert(name);
        Ok(())
    }

    /// Writes the record of an action, unless there is a good one. If that one has other outputs,
    /// the action is not deterministic.
    fn push_record(&self, objects: &Objects, record: &Record) -> Result<(), RemoteError> {
        let name = record_name(&record.key);
        let Self { options, .. } = self;
        let bytes = Bytes::from(envelope::seal(
            record,
            &options.writer,
            options.key.as_ref(),
        ));
        if !self.create(objects, &name, bytes.clone().into(), false)? {
            let there = self.wait(objects.get(&name))?;
            let there = there.and_then(|there| self.examine(&name, record.key, &there));
            // One that lacks an output is no result of the action, whoever wrote it.
            let there = there.filter(|there| there.has(record.outputs.iter().map(|o| &o.name)));
            match there {
                Some(there) => self.compare(&there, record),
                None => drop(self.create(objects, &name, bytes.into(), true)?),
            }
        }
        self.account.count(|counts| counts.written += 1);
        Ok(())
    }

    fn compare(&self, there: &Record, ours: &Record) {
        let differing = there.differing_outputs(ours);
        if differing.is_empty() {
            return;
        }
        self.account.count(|counts| counts.different += 1);
        self.account.warn(format!(
            "stage `{}` is not deterministic: `{}` gave other bytes for {} here than the record there names, which stays",
            ours.stage(),
            ours.action(),
            harmless(&differing.join(", ")),
        ));
    }

    /// Creates an object, or replaces it. Returns false if it was there and is not to be replaced.
    fn create(
        &self,
        objects: &Objects,
        name: &str,
        payload: PutPayload,
        replace: bool,
    ) -> Result<bool, RemoteError> {
        let size = payload.content_length() as u64;
        self.account.count(|counts| counts.sending_bytes += size);
        let created = match replace {
            true => self.wait(objects.replace(name, payload)).map(|()| true),
            false => self.wait(objects.create(name, payload)),
        };
        self.account.count(|counts| counts.sending_bytes -= size);
        let created = created?;
        if created {
            self.account.count(|counts| counts.written_bytes += size);
        }
        if replace {
            guard(&self.account.damaged).remove(name);
        }
        Ok(created)
    }
}

/// The object of an artifact. It is compressed if a sample says that this saves a tenth.
fn pack(path: &Path, folder: &Path) -> io::Result<PutPayload> {
    let file = File::open(path)?;
    let compress = is_compressible(&file)?;
    let body = match compress {
        false => map(&file)?,
        true => {
            let mut packed = tempfile::tempfile_in(folder)?;
            zstd::stream::copy_encode(&file, &mut packed, LEVEL)?;
            packed.rewind()?;
            map(&packed)?
        }
    };
    let header = Bytes::from_static(envelope::header(compress));
    Ok([header, body].into_iter().collect())
}

/// The bytes of a file that nobody changes any more.
fn map(file: &File) -> io::Result<Bytes> {
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: an artifact is never changed, and nobody else knows a temporary file.
    let map = unsafe { memmap2::Mmap::map(file) }?;
    Ok(Bytes::from_owner(map))
}

/// Compresses three small parts of a file to see whether that pays.
fn is_compressible(file: &File) -> io::Result<bool> {
    let length = file.metadata()?.len();
    if length < COMPRESS_FROM {
        return Ok(false);
    }
    let last = length.saturating_sub(SAMPLE as u64);
    let (mut before, mut after) = (0, 0);
    let mut part = vec![0; SAMPLE.min(length as usize)];
    for offset in [0, last / 2, last] {
        file.read_exact_at(&mut part, offset)?;
        before += part.len();
        after += zstd::bulk::compress(&part, 1)?.len();
    }
    Ok(after * 10 < before * 9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_gets_smaller_is_compressed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let noise: Vec<u8> = (0..40_000u32)
            .flat_map(|n| *blake3::hash(&n.to_le_bytes()).as_bytes())
            .collect();
        for (bytes, header) in [
            (noise.clone(), envelope::header(false)),
            (noise[..600].to_vec(), envelope::header(false)),
            (vec![7; 1 << 20], envelope::header(true)),
            (vec![7; 100], envelope::header(false)),
            (Vec::new(), envelope::header(false)),
        ] {
            std::fs::write(&path, &bytes).unwrap();
            let packed = Bytes::from(pack(&path, dir.path()).unwrap());
            assert!(packed.starts_with(header), "{} bytes", bytes.len());
            let compressed = header == envelope::header(true);
            assert_eq!(packed.len() < bytes.len(), compressed);
        }
    }
}
