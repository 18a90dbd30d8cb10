//! Requests over a network that end: every one has a time limit, and some are tried again.
//!
//! Both `s3://` and `http(s)://` send their requests through [`Patient`], so that what is tried
//! again, and how long that may take, is decided in one place.

use std::io;
use std::time::{Duration, Instant};

use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpService,
};
use object_store::{ClientOptions, PutPayload};
use reqwest::header::{
    AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, IF_NONE_MATCH, LOCATION, RETRY_AFTER,
};
use reqwest::redirect::Policy;
use reqwest::{Method, StatusCode, Url};

use super::error::{RemoteError, RemoteFault};

/// How long a remote may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// To connect.
    pub connect: Duration,
    /// To answer a request, and from one piece of an answer to the next.
    pub answer: Duration,
    /// Before the first repetition of a request. Each further one waits four times as long.
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(10),
            pause: Duration::from_millis(100),
        }
    }
}

impl Limits {
    /// How long a request may take that sends so many bytes.
    pub(super) fn to_send(self, bytes: usize) -> Duration {
        self.answer + Duration::from_secs(bytes as u64 / SLOWEST)
    }
}

/// How often a request is tried in all.
const TRIES: u32 = 4;
/// The same if the server does not answer, which takes long each time.
const SILENT_TRIES: u32 = 2;
/// A server that asks for more patience than this gets none.
const MOST_PATIENCE: Duration = Duration::from_secs(20);
/// The slowest upload that is waited for, in bytes a second. Several share a line.
const SLOWEST: u64 = 10_000;
/// Whoever sends fewer bytes a second than this holds us up.
const TRICKLE: u64 = 1_000;
/// The header with which S3 says where a bucket is.
const BUCKET_REGION: &str = "x-amz-bucket-region";
/// The header of requests to plain HTTP servers.
const CREDENTIALS: &str = "FLOW_REMOTE_AUTHORIZATION";

/// How fast something arrives.
pub(super) struct Pace {
    began: Instant,
    patience: Duration,
}

impl Pace {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            began: Instant::now(),
            patience: limits.answer * 3,
        }
    }

    /// Returns an error if so many bytes took too long, though none of them came too late after the
    /// one before. Otherwise a server could hold us up for as long as it likes.
    pub(super) fn keeps_up(&self, bytes: u64) -> Result<(), RemoteError> {
        let most = self.patience + Duration::from_secs(bytes / TRICKLE);
        match self.began.elapsed() > most {
            false => Ok(()),
            true => Err(RemoteError::new(
                RemoteFault::Unavailable,
                format!("the server sends less than {TRICKLE} bytes a second"),
            )),
        }
    }
}

/// Sends requests.
#[derive(Clone, Debug)]
pub(super) struct Patient {
    client: reqwest::Client,
    limits: Limits,
}

impl Patient {
    /// Makes a client for S3, or for a plain HTTP server whose credentials are in the environment.
    pub(super) fn new(limits: Limits, plain: bool) -> Result<Self, RemoteError> {
        // A second call in one process finds the provider installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut headers = HeaderMap::new();
        if let Some(credentials) =
            std::env::var_os(CREDENTIALS).filter(|text| plain && !text.is_empty())
        {
            let value = credentials.to_str().map(HeaderValue::from_str);
            let Some(Ok(mut value)) = value else {
                let message = format!("{CREDENTIALS} is no value of a header");
                return Err(RemoteError::config(message));
            };
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let client = reqwest::Client::builder()
            .connect_timeout(limits.connect)
            .default_headers(headers)
            // Credentials are for the server that was named, and for nobody to whom that one sends us.
            .redirect(Policy::none())
            .user_agent(concat!("flow/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| RemoteError::config(format!("no HTTP client can be made: {e}")))?;
        Ok(Self { client, limits })
    }

    /// Creates an object of a plain HTTP server. Returns false if it was there. A server that does
    /// not know the header `If-None-Match` replaces it.
    pub(super) async fn create(&self, url: &Url, payload: PutPayload) -> Result<bool, RemoteError> {
        let mut made_folders = false;
        loop {
            let mut request = HttpRequest::new(HttpRequestBody::from(payload.clone()));
            *request.method_mut() = Method::PUT;
            *request.uri_mut() = uri(url)?;
            let headers = request.headers_mut();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
            headers.insert(CONTENT_LENGTH, payload.content_length().into());
            let answer = self.call(request).await.map_err(unreached)?;
            match answer.status() {
                status if status.is_success() => return Ok(true),
                StatusCode::PRECONDITION_FAILED => return Ok(false),
                StatusCode::CONFLICT | StatusCode::NOT_FOUND if !made_folders => {
                    made_folders = true;
                    self.make_folders(url).await?;
                }
                status => return Err(refusal(status)),
            }
        }
    }

    /// Makes the folders of an object on a WebDAV server. Those that exist are refused, and the next
    /// upload says whether they do.
    async fn make_folders(&self, url: &Url) -> Result<(), RemoteError> {
        let path = url.path().to_owned();
        for (end, _) in path.match_indices('/').skip(1) {
            let mut folder = url.clone();
            folder.set_path(&path[..=end]);
            let mut request = HttpRequest::new(HttpRequestBody::empty());
            *request.method_mut() = Method::from_bytes(b"MKCOL").unwrap_or(Method::PUT);
            *request.uri_mut() = uri(&folder)?;
            self.call(request).await.map_err(unreached)?;
        }
        Ok(())
    }

    async fn once(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let limit = self.limits.to_send(request.body().content_length());
        let answer = HttpService::call(&self.client, request);
        match tokio::time::timeout(limit, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(HttpError::new(
                HttpErrorKind::Timeout,
                RemoteError::slow(limit.as_secs()),
            )),
        }
    }

    /// How long to wait before the next try, if there is to be one.
    fn pause(&self, tried: u32, answer: &Result<HttpResponse, HttpError>) -> Option<Duration> {
        let backoff = self.limits.pause * 4u32.pow(tried - 1);
        match answer {
            Ok(answer) => match answer.status().as_u16() {
                429 | 500 | 502 | 503 | 504 if tried < TRIES => {
                    let asked = answer.headers().get(RETRY_AFTER);
                    let seconds = asked.and_then(|value| value.to_str().ok()?.parse().ok());
                    let asked = seconds.map_or(backoff, Duration::from_secs);
                    (asked <= MOST_PATIENCE).then_some(asked.max(backoff))
                }
                _ => None,
            },
            Err(error) => {
                let most = match error.kind() {
                    HttpErrorKind::Timeout | HttpErrorKind::Connect => SILENT_TRIES,
                    HttpErrorKind::Request | HttpErrorKind::Interrupted => TRIES,
                    _ => 0,
                };
                (tried < most).then_some(backoff)
            }
        }
    }
}

#[async_trait::async_trait]
impl HttpService for Patient {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut tried = 1;
        loop {
            let answer = self.once(request.clone()).await;
            match self.pause(tried, &answer) {
                None => {
                    return match answer {
                        Ok(answer) if answer.status().is_redirection() => Err(elsewhere(&answer)),
                        answer => answer,
                    };
                }
                Some(pause) => tokio::time::sleep(pause).await,
            }
            tried += 1;
        }
    }
}

impl HttpConnector for Patient {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

fn uri(url: &Url) -> Result<http::Uri, RemoteError> {
    let uri = url.as_str().parse();
    uri.map_err(|_| RemoteError::config(format!("{url} is no address")))
}

fn unreached(error: HttpError) -> RemoteError {
    let error = object_store::Error::Generic {
        store: "HTTP",
        source: Box::new(error),
    };
    error.into()
}

fn refusal(status: StatusCode) -> RemoteError {
    let fault = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RemoteFault::Refused,
        _ => RemoteFault::Unavailable,
    };
    RemoteError::new(fault, format!("the server answered {status}"))
}

/// The error of an answer that sends us to another address.
fn elsewhere(answer: &HttpResponse) -> HttpError {
    let header = |name: &str| answer.headers().get(name)?.to_str().ok();
    let advice = match (header(BUCKET_REGION), header(LOCATION.as_str())) {
        (Some(region), _) => format!("the bucket is in another region: AWS_REGION={region}"),
        (None, Some(to)) => format!("it points to {to}, which is not followed: name that address"),
        (None, None) => "it points to nowhere".to_owned(),
    };
    let message = format!("the server answered {}; {advice}", answer.status());
    HttpError::new(HttpErrorKind::Unknown, io::Error::other(message))
}
