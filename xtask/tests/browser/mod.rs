//! Drives a headless Chromium over its debugging protocol.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// Longer than anything takes here, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Browser {
    chromium: Child,
    socket: WebSocket<TcpStream>,
    session: String,
    calls: u64,
    /// What the page said while we waited for something else.
    events: Vec<Value>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// A browser with an empty page, or the reason why there is none.
    pub fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let program = std::env::var("CHROMIUM").unwrap_or_else(|_| "chromium".to_owned());
        let chromium = Command::new(&program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update"])
            .args(["--disable-sync", "--hide-scrollbars", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let (port, path) = port(&profile.path().join("DevToolsActivePort"));
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let url = format!("ws://127.0.0.1:{port}{path}");
        let (socket, _) = tungstenite::client(&url, stream).unwrap();
        let mut browser = Self {
            chromium,
            socket,
            session: String::new(),
            calls: 0,
            events: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.size(1440, 900);
        browser
    }

    /// A laptop's window, or with less than 600 pixels in width a phone's.
    pub fn size(&mut self, width: u32, height: u32) {
        let phone = width < 600;
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({
                "width": width, "height": height, "mobile": phone,
                "deviceScaleFactor": if phone { 2 } else { 1 },
            }),
        );
    }

    /// What the system prefers.
    pub fn prefer(&mut self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.call("Emulation.setEmulatedMedia", json!({ "features": [feature] }));
    }

    /// Loads a page, or goes to another place on it.
    pub fn open(&mut self, url: &str) {
        // A change of the fragment alone loads nothing, so always start from nowhere.
        self.navigate("about:blank");
        self.navigate(url);
    }

    fn navigate(&mut self, url: &str) {
        self.events.retain(|event| event["method"] != "Page.loadEventFired");
        let navigated = self.call("Page.navigate", json!({ "url": url }));
        assert_eq!(navigated["errorText"], Value::Null, "{url}");
        let loaded = |event: &Value| event["method"] == "Page.loadEventFired";
        while !self.events.iter().any(loaded) {
            let event = self.read();
            self.events.push(event);
        }
        self.wait_until("document.readyState === 'complete'");
    }

    /// The value of an expression on the page.
    #[track_caller]
    pub fn eval(&mut self, expression: &str) -> Value {
        let params =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let evaluated = self.call("Runtime.evaluate", params);
        assert_eq!(evaluated["exceptionDetails"], Value::Null, "{expression}");
        evaluated["result"]["value"].clone()
    }

    /// Waits until an expression is true on the page.
    #[track_caller]
    pub fn wait_until(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.eval(&format!("Boolean({expression})")) != true {
            assert!(Instant::now() < deadline, "still waiting for {expression}");
            // Once the page has drawn itself anew.
            self.eval("new Promise((done) => requestAnimationFrame(() => done(0)))");
        }
    }

    /// Where to point at an element, once it is in sight.
    #[track_caller]
    fn place(&mut self, selector: &str) -> (f64, f64) {
        let selector = serde_json::to_string(selector).unwrap();
        // Scrolling may be smooth: wait until it is over.
        let rect = self.eval(&format!(
            "(async () => {{
                const element = document.querySelector({selector});
                if (!element) return null;
                const seen = element.getBoundingClientRect();
                if (seen.top < 60 || seen.bottom > innerHeight)
                    element.scrollIntoView({{ block: 'center', behavior: 'instant' }});
                const frame = () => new Promise((done) => requestAnimationFrame(done));
                let before = -1;
                for (let still = 0; still < 3; await frame()) {{
                    const top = element.getBoundingClientRect().top;
                    still = top === before ? still + 1 : 0;
                    before = top;
                }}
                const rect = element.getBoundingClientRect();
                return [rect.left + Math.min(rect.width / 2, 60), rect.top + rect.height / 2];
            }})()"
        ));
        let number = |at: usize| {
            rect[at].as_f64().unwrap_or_else(|| panic!("no element {selector} on the page"))
        };
        (number(0), number(1))
    }

    #[track_caller]
    pub fn hover(&mut self, selector: &str) {
        let (x, y) = self.place(selector);
        self.mouse("mouseMoved", (x, y));
    }

    #[track_caller]
    pub fn click(&mut self, selector: &str) {
        let at = self.place(selector);
        for step in ["mouseMoved", "mousePressed", "mouseReleased"] {
            self.mouse(step, at);
        }
    }

    fn mouse(&mut self, step: &str, (x, y): (f64, f64)) {
        let button = if step == "mouseMoved" { "none" } else { "left" };
        let params = json!({ "type": step, "x": x, "y": y, "button": button, "clickCount": 1 });
        self.call("Input.dispatchMouseEvent", params);
    }

    /// Types text into what has the focus.
    pub fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Presses a key: `Enter`, `ArrowDown`, `j`.
    pub fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            "Tab" => (9, ""),
            "ArrowDown" => (40, ""),
            key => (u32::from(key.to_ascii_uppercase().as_bytes()[0]), key),
        };
        let params = |step: &str| {
            json!({
                "type": step, "key": key, "text": text,
                "windowsVirtualKeyCode": code, "nativeVirtualKeyCode": code,
            })
        };
        self.call("Input.dispatchKeyEvent", params("keyDown"));
        self.call("Input.dispatchKeyEvent", params("keyUp"));
    }

    /// Whatever the page complained about: exceptions, errors on the console, failed loads.
    pub fn complaints(&mut self) -> Vec<String> {
        // Answers come after the events before them.
        self.eval("0");
        let complaint = |event: &Value| {
            let params = &event["params"];
            match event["method"].as_str()? {
                "Runtime.exceptionThrown" => Some(params["exceptionDetails"].to_string()),
                "Runtime.consoleAPICalled" if params["type"] == "error" => Some(params.to_string()),
                "Log.entryAdded" if params["entry"]["level"] == "error" => {
                    Some(params["entry"].to_string())
                }
                "Network.loadingFailed" => Some(params.to_string()),
                _ => None,
            }
        };
        self.events.iter().filter_map(complaint).collect()
    }

    /// Every address that was asked for.
    pub fn requests(&mut self) -> Vec<String> {
        self.eval("0");
        self.events
            .iter()
            .filter(|event| event["method"] == "Network.requestWillBeSent")
            .filter_map(|event| event["params"]["request"]["url"].as_str().map(str::to_owned))
            .collect()
    }

    pub fn screenshot(&mut self, path: &Path) {
        let shot = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        std::fs::write(path, base64(shot["data"].as_str().unwrap())).unwrap();
    }

    #[track_caller]
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut request = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_empty() {
            request["sessionId"] = json!(self.session);
        }
        self.socket.send(Message::text(request.to_string())).unwrap();
        loop {
            let message = self.read();
            if message["id"] == id {
                assert_eq!(message["error"], Value::Null, "{method}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn read(&mut self) -> Value {
        loop {
            match self.socket.read().expect("an answer from Chromium") {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(_) => panic!("Chromium hung up"),
                _ => {}
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.chromium.kill();
        let _ = self.chromium.wait();
    }
}

/// Chromium writes down where it listens.
fn port(file: &Path) -> (u16, String) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if let Some((port, path)) = text.split_once('\n')
            && let Ok(port) = port.parse()
            && !path.trim().is_empty()
        {
            return (port, path.trim().to_owned());
        }
        assert!(Instant::now() < deadline, "Chromium does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(u32::from(byte - b'A')),
        b'a'..=b'z' => Some(u32::from(byte - b'a') + 26),
        b'0'..=b'9' => Some(u32::from(byte - b'0') + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let digits: Vec<u32> = text.bytes().filter_map(value).collect();
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for group in digits.chunks(4) {
        let bits = group.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - group.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    bytes
}
