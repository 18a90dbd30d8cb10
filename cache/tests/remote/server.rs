//! A small HTTP server in this process, which keeps objects in memory and misbehaves as told.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the server does with a request instead of answering it.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answers with this status line and header.
    Answer(&'static str, &'static str),
    /// Says nothing for this long, then ends the connection.
    Hang(Duration),
    /// Sends only so much of the body, then ends the connection.
    Cut(usize),
    /// Sends the body in pieces of 64 bytes with pauses.
    Slow(Duration),
}

/// Whether a fault applies to a request: the method and the path, and how many there were before.
pub type Rule = Box<dyn Fn(&str, &str, usize) -> Option<Fault> + Send>;

pub struct State {
    pub objects: HashMap<String, Vec<u8>>,
    /// What was asked: method, path and the range.
    pub log: Vec<(String, String, String)>,
    pub rule: Rule,
}

pub struct Server {
    pub url: String,
    pub state: Arc<Mutex<State>>,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/cache", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            objects: HashMap::new(),
            log: Vec::new(),
            rule: Box::new(|_, _, _| None),
        }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { url, state }
    }

    pub fn rule(&self, rule: impl Fn(&str, &str, usize) -> Option<Fault> + Send + 'static) {
        let mut state = self.state.lock().unwrap();
        state.rule = Box::new(rule);
        state.log.clear();
    }

    /// The requests whose method and path start so.
    pub fn asked(&self, method: &str, path: &str) -> usize {
        let state = self.state.lock().unwrap();
        let log = state.log.iter();
        log.filter(|(m, p, _)| m.starts_with(method) && p.starts_with(path))
            .count()
    }
}

struct Request {
    method: String,
    path: String,
    range: Option<usize>,
    create: bool,
    body: Vec<u8>,
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let mut request = Request {
        method: words.next()?,
        path: words.next()?,
        range: None,
        create: false,
        body: Vec::new(),
    };
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "if-none-match" => request.create = value == "*",
            "range" => {
                request.range = value
                    .strip_prefix("bytes=")?
                    .trim_end_matches('-')
                    .parse()
                    .ok()
            }
            _ => {}
        }
    }
    request.body.resize(length, 0);
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}

fn serve(stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let path = request
            .path
            .strip_prefix("/cache/")
            .unwrap_or(&request.path);
        let path = path.to_owned();
        let fault = {
            let mut state = state.lock().unwrap();
            let same = |(m, p, _): &&(String, String, String)| *m == request.method && *p == path;
            let before = state.log.iter().filter(same).count();
            let range = request.range.map_or(String::new(), |from| from.to_string());
            state
                .log
                .push((request.method.clone(), path.clone(), range));
            (state.rule)(&request.method, &path, before)
        };
        if !answer(reader.get_mut(), state, &request, path, fault) {
            return;
        }
    }
}

/// Answers a request. Returns false if the connection is to end.
fn answer(
    to: &mut TcpStream,
    state: &Mutex<State>,
    request: &Request,
    path: String,
    fault: Option<Fault>,
) -> bool {
    match fault {
        Some(Fault::Hang(time)) => {
            std::thread::sleep(time);
            return false;
        }
        Some(Fault::Answer(status, header)) => {
            let text = format!("HTTP/1.1 {status}\r\n{header}content-length: 0\r\n\r\n");
            return to.write_all(text.as_bytes()).is_ok();
        }
        _ => {}
    }
    let mut state = state.lock().unwrap();
    let (status, body) = match request.method.as_str() {
        "PUT" if request.create && state.objects.contains_key(&path) => {
            ("412 Precondition Failed", Vec::new())
        }
        "PUT" => {
            state.objects.insert(path, request.body.clone());
            ("201 Created", Vec::new())
        }
        "GET" | "HEAD" => match (state.objects.get(&path), request.range) {
            (None, _) => ("404 Not Found", Vec::new()),
            (Some(bytes), None) => ("200 OK", bytes.clone()),
            (Some(bytes), Some(from)) => ("206 Partial Content", bytes[from..].to_vec()),
        },
        _ => ("405 Method Not Allowed", Vec::new()),
    };
    drop(state);
    let whole = request.range.unwrap_or(0) + body.len();
    let range = match request.range {
        Some(from) => format!("content-range: bytes {from}-{}/{whole}\r\n", whole - 1),
        None => String::new(),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\n{range}content-length: {}\r\n\r\n",
        body.len()
    );
    if to.write_all(head.as_bytes()).is_err() || request.method == "HEAD" {
        return true;
    }
    match fault {
        Some(Fault::Cut(at)) => {
            let _ = to.write_all(&body[..at.min(body.len())]);
            false
        }
        Some(Fault::Slow(pause)) => body.chunks(64).all(|piece| {
            std::thread::sleep(pause);
            to.write_all(piece).is_ok()
        }),
        _ => to.write_all(&body).is_ok(),
    }
}
