//! A headless Chromium that a test drives through a pipe, by the DevTools protocol: messages are JSON,
//! each ended by a zero byte (<https://chromedevtools.github.io/devtools-protocol/>).
//!
//! The crates that speak this protocol bring an asynchronous runtime and code for all its commands,
//! which takes longer to build than flow. The tests need ten commands.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

/// Programs that are Chromium, in the order in which they are tried.
const PROGRAMS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// The shell hands the browser its ends of the pipe, which it looks for at the numbers 3 and 4.
const START: &str = "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";

/// How long an answer may take before the browser counts as hung.
const PATIENCE: Duration = Duration::from_secs(180);

/// A page in a browser of its own.
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Json>,
    session: Option<String>,
    last: u64,
    /// What the page has said that is wrong.
    errors: Vec<String>,
    _profile: TempDir,
}

/// The browser that tests use: `FLOW_CHROMIUM`, or the first one that is installed.
fn program() -> Option<String> {
    if let Ok(program) = std::env::var("FLOW_CHROMIUM") {
        return Some(program);
    }
    let works = |program: &&str| {
        let version = Command::new(program).arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    };
    PROGRAMS.into_iter().find(works).map(str::to_owned)
}

impl Browser {
    /// Starts a browser. Where there is none, says so and returns nothing.
    pub fn start() -> Option<Self> {
        let Some(program) = program() else {
            flow_testkit::skipped(
                "there is no Chromium: apt-get install chromium, or name one in FLOW_CHROMIUM",
            );
            return None;
        };
        let profile = tempfile::tempdir().expect("a folder");
        let mut child = Command::new("sh")
            .args([
                "-c",
                START,
                &program,
                "--headless",
                "--remote-debugging-pipe",
            ])
            // Root has no other way to start it, and the page is our own.
            .args([
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                // A picture of a whole page has none, and would be wider than what was laid out.
                "--hide-scrollbars",
                "--disable-dev-shm-usage",
            ])
            .arg("--force-color-profile=srgb")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let to = child.stdin.take().expect("a pipe");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        let (send, from) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while out.read_until(0, &mut message).is_ok_and(|n| n > 0) {
                let json = serde_json::from_slice(
                    message
                        .trim_ascii_end()
                        .strip_suffix(b"\0")
                        .unwrap_or(&message),
                );
                if json.is_ok_and(|json: Json| send.send(json).is_err()) {
                    return;
                }
                message.clear();
            }
        });
        let mut browser = Self {
            child,
            to,
            from,
            session: None,
            last: 0,
            errors: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attached = browser.call(
            "Target.attachToTarget",
            json!({"targetId": target["targetId"], "flatten": true}),
        );
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.call(domain, json!({}));
        }
        browser.resize(1280, 900);
        Some(browser)
    }

    /// Opens a file, and waits until its scripts have run.
    pub fn open(&mut self, path: &Path) {
        self.go(&format!("file://{}", path.display()));
    }

    /// Opens a URL, and waits until its scripts have run.
    pub fn go(&mut self, url: &str) {
        // A page of the same file with another fragment would not load again.
        for url in ["about:blank", url] {
            self.call("Page.navigate", json!({ "url": url }));
            self.wait_for("Page.loadEventFired");
        }
    }

    /// The value of an expression in the page. A promise is awaited.
    pub fn eval(&mut self, expression: &str) -> Json {
        let asked = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.call("Runtime.evaluate", asked);
        assert!(
            answer.get("exceptionDetails").is_none(),
            "{expression}: {answer:#}"
        );
        answer["result"]["value"].take()
    }

    /// Presses a key and lets it go: `ArrowRight`, `Enter`, `Tab` or a letter.
    pub fn key(&mut self, key: &str) {
        let number = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            _ => 0,
        };
        let mut event = json!({
            "type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": number,
        });
        if key.chars().count() == 1 {
            event["text"] = json!(key);
        }
        self.call("Input.dispatchKeyEvent", event.clone());
        event["type"] = json!("keyUp");
        self.call("Input.dispatchKeyEvent", event);
    }

    /// Gives the window another size, in pixels.
    pub fn resize(&mut self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size);
        if self.session.is_some() {
            // Figures are drawn again in the frame after the next.
            self.eval(
                "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))",
            );
        }
    }

    /// Asks for the dark theme, or for the light one.
    pub fn dark(&mut self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": value}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// A picture of the element that a CSS selector finds, or of the whole page, as PNG.
    pub fn picture(&mut self, selector: Option<&str>) -> Vec<u8> {
        let mut asked = json!({"format": "png", "captureBeyondViewport": true});
        if let Some(selector) = selector {
            let place = format!(
                "(() => {{ const b = document.querySelector({selector:?}).getBoundingClientRect(); \
                 return {{x: b.x + scrollX, y: b.y + scrollY, width: b.width, height: b.height, scale: 1}}; }})()"
            );
            asked["clip"] = self.eval(&place);
        } else {
            let size = self.eval(
                "({x: 0, y: 0, width: document.documentElement.scrollWidth, \
                 height: document.documentElement.scrollHeight, scale: 1})",
            );
            asked["clip"] = size;
        }
        let answer = self.call("Page.captureScreenshot", asked);
        let text = answer["data"].as_str().expect("a picture");
        BASE64_STANDARD.decode(text).expect("base64")
    }

    /// What the page has said that is wrong: errors in scripts, what its policy forbids, failed requests.
    pub fn errors(&self) -> &[String] {
        &self.errors
    }

    fn call(&mut self, method: &str, params: Json) -> Json {
        self.last += 1;
        let id = self.last;
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).expect("the browser is there");
        loop {
            let mut message = self.next();
            if message["id"] == id {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].take();
            }
        }
    }

    fn wait_for(&mut self, event: &str) {
        while self.next()["method"] != event {}
    }

    fn next(&mut self) -> Json {
        let message = self.from.recv_timeout(PATIENCE);
        let message = message.expect("the browser answers");
        let params = &message["params"];
        let error = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => Some(params["exceptionDetails"].to_string()),
            Some("Log.entryAdded") => Some(params["entry"].to_string()),
            Some("Runtime.consoleAPICalled") => {
                let bad = ["error", "warning", "assert"].map(Json::from);
                bad.contains(&params["type"]).then(|| params.to_string())
            }
            _ => None,
        };
        self.errors.extend(error);
        message
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
