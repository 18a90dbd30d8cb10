//! The objects of a remote: where they are, and the few things that are done to them.

use std::path::{Path as FilePath, PathBuf};

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutOptions, PutPayload, RetryConfig,
};
use reqwest::Url;
use tokio::time::timeout;

use super::error::{RemoteError, RemoteFault};
use super::folder::{Folder, Unfinished};
use super::http::{Limits, Pace, Patient};
use crate::content::{ActionKey, Digest};

/// Where the objects of a remote are.
pub(super) struct Objects {
    store: Box<dyn ObjectStore>,
    /// What all names start with.
    prefix: Path,
    /// The folder, if they are in one.
    folder: Option<Folder>,
    /// The client and the address of a plain HTTP server, which creates objects in its own way.
    plain: Option<(Patient, Url)>,
    /// The most bytes that are sent in one request, if that is limited.
    part: Option<usize>,
    limits: Limits,
}

/// The bytes of an object as they arrive.
pub(super) struct Arriving {
    /// The size of the whole object in bytes.
    pub(super) size: u64,
    stream: BoxStream<'static, object_store::Result<bytes::Bytes>>,
    limits: Limits,
}

/// The most bytes of a record: one that names 400,000 inputs has fewer. It bounds what a server can
/// make us hold in memory.
const MOST_IN_MEMORY: usize = 16 << 20;

/// The bytes of a request of many to S3, which takes 5 GiB in one request, and 10,000 requests for an object.
const PART: usize = 512 << 20;

/// The object that says that this is a remote.
pub(super) const FORMAT: &str = "flow-remote";
pub(super) const RECORDS: &str = "records";
pub(super) const ARTIFACTS: &str = "artifacts";

/// The name of a record.
pub(super) fn record_name(key: &ActionKey) -> String {
    name(RECORDS, &key.0)
}

/// The name of an artifact.
pub(super) fn artifact_name(digest: &Digest) -> String {
    name(ARTIFACTS, digest)
}

fn name(folder: &str, digest: &Digest) -> String {
    let hex = digest.hex();
    format!("{folder}/{}/{}", &hex[..2], &hex[2..])
}

impl Objects {
    /// Opens the place that a URL names. Nothing is asked yet, except that the folder of a `file:`
    /// URL has to exist, or is made if `create`.
    pub(super) fn open(
        url: &str,
        root: &FilePath,
        create: bool,
        limits: Limits,
    ) -> Result<Self, RemoteError> {
        if let Some(folder) = folder_of(url, root)? {
            let opened = Self::in_folder(&folder, create, limits);
            let own = !url.starts_with("file:/");
            return opened.map_err(|error| match error.fault {
                RemoteFault::Absent if own => RemoteError::new(
                    RemoteFault::Absent,
                    format!(
                        "{}, and `{url}` is a folder of this project alone: a path for several starts with `/`",
                        error.message
                    ),
                ),
                _ => error,
            });
        }
        let parsed = Url::parse(url)
            .map_err(|e| RemoteError::config(format!("`{url}` is no URL of a remote: {e}")))?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            let message = "the URL of a remote must not hold a user or a password";
            return Err(RemoteError::config(message));
        }
        if parsed.query().is_some() || parsed.fragment().is_some() {
            // Such a part is often a secret, and names follow the URL.
            let message = "the URL of a remote must not hold `?` or `#`";
            return Err(RemoteError::config(message));
        }
        match parsed.scheme() {
            "s3" => Self::s3(&parsed, limits),
            "http" | "https" => Self::plain(parsed, limits),
            other => {
                let message = format!("flow knows no remote of the form `{other}:`");
                Err(RemoteError::config(message))
            }
        }
    }

    fn in_folder(folder: &FilePath, create: bool, limits: Limits) -> Result<Self, RemoteError> {
        let (folder, store) = Folder::open(folder, create, limits)?;
        Ok(Self {
            store: Box::new(store),
            prefix: Path::default(),
            folder: Some(folder),
            plain: None,
            part: None,
            limits,
        })
    }

    fn s3(url: &Url, limits: Limits) -> Result<Self, RemoteError> {
        let bucket = url.host_str().unwrap_or_default();
        let builder = from_environment()?
            .with_bucket_name(bucket)
            .with_retry(NEVER)
            .with_http_connector(Patient::new(limits, false)?);
        let store = builder.build().map_err(|e| {
            let error = RemoteError::from(e);
            RemoteError::config(format!("{url}: {}", error.message))
        })?;
        Ok(Self {
            store: Box::new(store),
            prefix: Path::parse(url.path())
                .map_err(|e| RemoteError::config(format!("{url}: {e}")))?,
            folder: None,
            plain: None,
            part: Some(PART),
            limits,
        })
    }

    fn plain(mut url: Url, limits: Limits) -> Result<Self, RemoteError> {
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        let patient = Patient::new(limits, true)?;
        let builder = HttpBuilder::new()
            .with_url(url.as_str())
            .with_retry(NEVER)
            .with_http_connector(patient.clone());
        // Names are joined to what ends with a slash.
        url.set_path(&format!("{path}/"));
        Ok(Self {
            store: Box::new(builder.build()?),
            prefix: Path::default(),
            folder: None,
            plain: Some((patient, url)),
            part: None,
            limits,
        })
    }

    fn at(&self, name: &str) -> Path {
        let parts = name.split('/');
        parts.fold(self.prefix.clone(), |path, part| path.join(part))
    }

    /// Waits for a request that sends so many bytes. A file system that hangs is not waited for. Requests over a network
    /// have time limits one level below, where they are also tried again.
    async fn in_time<T>(
        &self,
        sent: usize,
        request: impl Future<Output = T>,
    ) -> Result<T, RemoteError> {
        if self.folder.is_none() {
            return Ok(request.await);
        }
        let limit = self.limits.to_send(sent);
        let answer = timeout(limit, request).await;
        answer.map_err(|_| RemoteError::slow(limit.as_secs()))
    }

    /// The bytes of a small object, or `None` if it is not there. One that is too large to be what it
    /// should be comes without its end, so that its check fails.
    pub(super) async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, RemoteError> {
        let pace = self.pace();
        let Some(mut arriving) = self.get_from(name, 0).await? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        while let Some(piece) = arriving.next().await? {
            if bytes.len() + piece.len() > MOST_IN_MEMORY {
                break;
            }
            bytes.extend_from_slice(&piece);
            pace.keeps_up(bytes.len() as u64)?;
        }
        Ok(Some(bytes))
    }

    /// What says whether something arrives fast enough, from now on.
    pub(super) fn pace(&self) -> Pace {
        Pace::new(self.limits)
    }

    /// An object from a byte on, or `None` if it is not there.
    pub(super) async fn get_from(
        &self,
        name: &str,
        offset: u64,
    ) -> Result<Option<Arriving>, RemoteError> {
        let options = GetOptions {
            range: (offset > 0).then_some(GetRange::Offset(offset)),
            ..GetOptions::default()
        };
        let at = self.at(name);
        match self.in_time(0, self.store.get_opts(&at, options)).await? {
            Ok(found) => Ok(Some(Arriving {
                size: found.meta.size,
                stream: found.into_stream(),
                limits: self.limits,
            })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The size of an object in bytes, or `None` if it is not there.
    pub(super) async fn size(&self, name: &str) -> Result<Option<u64>, RemoteError> {
        match self.in_time(0, self.store.head(&self.at(name))).await? {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Creates an object. Returns false, and changes nothing, if it was there. But an object of several requests
    /// replaces one that was made since somebody asked: it is an artifact, so both have the same content.
    pub(super) async fn create(&self, name: &str, bytes: PutPayload) -> Result<bool, RemoteError> {
        if let Some((patient, url)) = &self.plain {
            let url = url.join(name);
            let url = url.map_err(|e| RemoteError::config(format!("{name}: {e}")))?;
            return patient.create(&url, bytes).await;
        }
        if self.part.is_some_and(|part| bytes.content_length() > part) {
            return self.replace(name, bytes).await.map(|()| true);
        }
        let (at, mode) = (self.at(name), PutOptions::from(PutMode::Create));
        let length = bytes.content_length();
        let request = self.store.put_opts(&at, bytes, mode);
        match self.in_time(length, request).await? {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Replaces an object whose bytes are damaged.
    pub(super) async fn replace(&self, name: &str, bytes: PutPayload) -> Result<(), RemoteError> {
        let at = self.at(name);
        let Some(part) = self.part.filter(|&part| bytes.content_length() > part) else {
            let length = bytes.content_length();
            self.in_time(length, self.store.put(&at, bytes)).await??;
            return Ok(());
        };
        let mut upload = self.store.put_multipart(&at).await?;
        match send(upload.as_mut(), &bytes, part).await {
            Ok(()) => Ok(()),
            Err(error) => {
                // What a server keeps of it costs money until its rules clear it. The first error counts.
                let _ = upload.abort().await;
                Err(error.into())
            }
        }
    }

    /// Removes an object. It is no error if it is not there.
    pub(super) async fn remove(&self, name: &str) -> Result<(), RemoteError> {
        match self.in_time(0, self.store.delete(&self.at(name))).await? {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The files of writes that have not ended. A server keeps such things to itself.
    pub(super) fn unfinished(&self) -> Result<Vec<Unfinished>, RemoteError> {
        let folder = self.folder.as_ref();
        folder.map_or(Ok(Vec::new()), |folder| {
            folder.unfinished([RECORDS, ARTIFACTS])
        })
    }

    /// Removes such files.
    pub(super) fn remove_unfinished(&self, files: Vec<Unfinished>) -> Result<(), RemoteError> {
        let folder = self.folder.as_ref();
        folder.map_or(Ok(()), |folder| folder.remove(files))
    }

    /// All objects of a folder whose names are digests, in order of name.
    pub(super) async fn list(
        &self,
        folder: &str,
    ) -> Result<Vec<(Digest, ObjectMeta)>, RemoteError> {
        let under = self.at(folder);
        let mut listing = self.store.list(Some(&under));
        let mut found = Vec::new();
        while let Some(meta) = timeout(self.limits.answer * 6, listing.next())
            .await
            .map_err(|_| RemoteError::slow(self.limits.answer.as_secs() * 6))?
        {
            let meta = meta?;
            let name = meta.location.parts().map(|part| part.as_ref().to_owned());
            let name: Vec<String> = name.collect();
            // Anything else there is somebody else's.
            if let [.., shard, rest] = name.as_slice()
                && let Ok(digest) = Digest::from_hex(&format!("{shard}{rest}"))
            {
                found.push((digest, meta));
            }
        }
        found.sort_by_key(|(digest, _)| *digest.as_bytes());
        Ok(found)
    }
}

impl Arriving {
    /// The next bytes, or `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<bytes::Bytes>, RemoteError> {
        match timeout(self.limits.answer, self.stream.next()).await {
            Ok(piece) => Ok(piece.transpose()?),
            Err(_) => Err(RemoteError::slow(self.limits.answer.as_secs())),
        }
    }
}

/// Sends bytes in parts of this size.
async fn send(
    upload: &mut dyn MultipartUpload,
    bytes: &PutPayload,
    part: usize,
) -> object_store::Result<()> {
    let mut pieces = bytes.iter().cloned();
    let mut rest = pieces.next().unwrap_or_default();
    let mut left = bytes.content_length();
    while left > 0 {
        let mut wanted = part.min(left);
        left -= wanted;
        let mut some = Vec::new();
        while wanted > 0 {
            let piece = rest.split_to(wanted.min(rest.len()));
            wanted -= piece.len();
            some.push(piece);
            if rest.is_empty() {
                rest = pieces.next().unwrap_or_default();
            }
        }
        upload.put_part(some.into_iter().collect()).await?;
    }
    upload.complete().await?;
    Ok(())
}

/// What the environment says of S3. An empty variable is none: that is what systems for continuous
/// integration make of a secret that a job does not get.
fn from_environment() -> Result<AmazonS3Builder, RemoteError> {
    let mut builder = AmazonS3Builder::new();
    let (mut id, mut secret) = (false, false);
    for (name, value) in std::env::vars_os() {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else {
            continue;
        };
        let key = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>();
        let Some(key) = key.ok().filter(|_| name.starts_with("AWS_")) else {
            continue;
        };
        match key {
            _ if value.is_empty() => continue,
            AmazonS3ConfigKey::AccessKeyId => id = true,
            AmazonS3ConfigKey::SecretAccessKey => secret = true,
            AmazonS3ConfigKey::Endpoint | AmazonS3ConfigKey::S3Endpoint => {
                check_endpoint(name, value)?;
            }
            _ => {}
        }
        builder = builder.with_config(key, value);
    }
    match (id, secret) {
        (true, false) | (false, true) => Err(RemoteError::config(
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together, and one of them is not set",
        )),
        _ => Ok(builder),
    }
}

fn check_endpoint(name: &str, value: &str) -> Result<(), RemoteError> {
    let url = Url::parse(value).ok();
    let sound = url.is_some_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty()
    });
    match sound {
        true => Ok(()),
        false => Err(RemoteError::config(format!(
            "{name} has to be the address of a server, such as https://minio.example.org"
        ))),
    }
}

/// Requests are tried again one level below.
const NEVER: RetryConfig = RetryConfig {
    backoff: object_store::BackoffConfig {
        init_backoff: std::time::Duration::from_millis(1),
        max_backoff: std::time::Duration::from_millis(1),
        base: 1.0,
    },
    max_retries: 0,
    retry_timeout: std::time::Duration::ZERO,
};

/// The folder of a `file:` URL. A path that does not start with `/` starts at the project root.
fn folder_of(url: &str, root: &FilePath) -> Result<Option<PathBuf>, RemoteError> {
    let Some(path) = url.strip_prefix("file:") else {
        return Ok(None);
    };
    if !path.starts_with("//") {
        return Ok(Some(root.join(path)));
    }
    let parsed = Url::parse(url).ok().and_then(|url| url.to_file_path().ok());
    parsed
        .map(Some)
        .ok_or_else(|| RemoteError::config(format!("`{url}` names no folder: try file:///PATH")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    #[test]
    fn large_objects_are_sent_in_parts() {
        let objects = Objects {
            store: Box::new(InMemory::new()),
            prefix: Path::default(),
            folder: None,
            plain: None,
            part: Some(10),
            limits: Limits::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        for length in [0, 1, 9, 10, 11, 20, 35] {
            let body: Vec<u8> = (0..length).collect();
            let (head, tail) = body.split_at(body.len() / 3);
            let payload = || {
                [head.to_vec(), tail.to_vec()]
                    .into_iter()
                    .map(bytes::Bytes::from)
                    .collect()
            };
            let name = format!("a/{length}");
            runtime.block_on(async {
                assert!(objects.create(&name, payload()).await.unwrap());
                assert_eq!(objects.get(&name).await.unwrap().unwrap(), body);
                objects.replace(&name, payload()).await.unwrap();
                assert_eq!(objects.get(&name).await.unwrap().unwrap(), body);
            });
        }
        let again = runtime.block_on(objects.create("a/9", PutPayload::from_static(b"other")));
        assert!(!again.unwrap());
    }
}
