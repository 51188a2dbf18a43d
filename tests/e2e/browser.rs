//! A real browser, headless, driven over WebDriver as a user would drive it. Absent: what is on the
//! pages.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::harness::{PATIENCE, block_on};

/// What a browser is started with: nothing of it leaves this machine.
const ARGUMENTS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
];

/// The member under which WebDriver gives the reference of an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with a profile of its own, and the site it is used on.
pub(crate) struct Browser {
    driver: Child,
    /// Where the session is driven.
    session: String,
    site: String,
    _profile: tempfile::TempDir,
}

// === impl Browser ===

impl Browser {
    /// Starts one.
    pub(crate) fn start(site: &str) -> Self {
        let profile = tempfile::tempdir().expect("a directory");
        let mut driver = Command::new("chromedriver")
            .args(["--port=0", "--log-level=SEVERE"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromedriver starts: tests/run installs chromium-driver");
        let lines = BufReader::new(driver.stdout.take().expect("its stdout is piped")).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let port = port.expect("chromedriver says its port");
        let sessions = format!("http://127.0.0.1:{port}/session");
        let profile_argument = format!("--user-data-dir={}", profile.path().display());
        let arguments: Vec<&str> = ARGUMENTS
            .into_iter()
            .chain([profile_argument.as_str(), "--window-size=1280,900"])
            .collect();
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments, "binary": "/usr/bin/chromium"},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let begun = call(reqwest::Method::POST, &sessions, Some(&wanted)).expect("a session");
        let id = begun["sessionId"].as_str().expect("its id");
        let session = format!("{sessions}/{id}");
        Self { driver, session, site: site.to_owned(), _profile: profile }
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        call(reqwest::Method::POST, &format!("{}/{path}", self.session), Some(body))
    }

    /// Goes to a page of the site, and waits until it is loaded.
    pub(crate) fn go(&self, path: &str) {
        self.post("url", &json!({"url": format!("{}{path}", self.site)})).expect("the page");
    }

    /// Runs a script; `return` gives its value.
    pub(crate) fn script(&self, text: &str) -> Value {
        self.post("execute/sync", &json!({"script": text, "args": []})).expect("the script runs")
    }

    /// The path of the page, its query included.
    pub(crate) fn path(&self) -> String {
        let path = self.script("return location.pathname + location.search");
        path.as_str().unwrap_or_default().to_owned()
    }

    /// The text that is seen of the first element that fits; empty if there is none.
    pub(crate) fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({})?.innerText ?? ''", json!(selector));
        self.script(&script).as_str().unwrap_or_default().to_owned()
    }

    /// How many elements fit.
    pub(crate) fn count(&self, selector: &str) -> usize {
        let script = format!("return document.querySelectorAll({}).length", json!(selector));
        self.script(&script).as_u64().map_or(0, |count| count as usize)
    }

    fn element(&self, selector: &str) -> Result<String, String> {
        let found = self.post("element", &json!({"using": "css selector", "value": selector}))?;
        Ok(found[ELEMENT].as_str().unwrap_or_default().to_owned())
    }

    /// Does something with an element; once more if the page was exchanged meanwhile.
    fn act(&self, selector: &str, verb: &str, body: &Value) {
        let begun = Instant::now();
        loop {
            let done = self
                .element(selector)
                .and_then(|element| self.post(&format!("element/{element}/{verb}"), body));
            match done {
                Ok(_) => return,
                Err(_) if begun.elapsed() < PATIENCE => {
                    std::thread::sleep(std::time::Duration::from_millis(100));
                }
                Err(error) => panic!("{verb} {selector} on {}: {error}", self.path()),
            }
        }
    }

    /// Clicks.
    pub(crate) fn click(&self, selector: &str) {
        self.act(selector, "click", &json!({}));
    }

    /// Writes into a field in place of what is there.
    pub(crate) fn write(&self, selector: &str, text: &str) {
        self.act(selector, "clear", &json!({}));
        self.act(selector, "value", &json!({"text": text}));
    }

    /// Presses keys where the focus is.
    pub(crate) fn press(&self, keys: &str) {
        let strokes: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key})))
            .collect();
        let body = json!({"actions": [{"type": "key", "id": "keys", "actions": strokes}]});
        self.post("actions", &body).expect("keys can be pressed");
    }

    /// Chooses an option of a list by its value.
    pub(crate) fn choose(&self, selector: &str, value: &str) {
        self.click(&format!("{selector} option[value=\"{value}\"]"));
    }

    /// Waits until an element shows a text.
    pub(crate) fn wait_for_text(&self, selector: &str, text: &str) {
        let begun = Instant::now();
        while !self.text(selector).contains(text) {
            assert!(
                begun.elapsed() < PATIENCE,
                "{selector} never showed {text:?} on {}: {:?}",
                self.path(),
                self.text(selector)
            );
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// Waits until a page is there whose path begins so.
    pub(crate) fn wait_for_path(&self, start: &str) {
        let begun = Instant::now();
        while !self.path().starts_with(start) {
            assert!(begun.elapsed() < PATIENCE, "still on {} and not on {start}", self.path());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// The size of the window.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// As if the system were set to `light` or `dark`.
    pub(crate) fn scheme(&self, name: &str) {
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": name}]});
        self.devtools("Emulation.setEmulatedMedia", &media);
    }

    fn devtools(&self, command: &str, parameters: &Value) {
        let body = json!({"cmd": command, "params": parameters});
        self.post("goog/cdp/execute", &body).expect("the browser's own protocol");
    }

    /// What the browser complained of since it was last asked.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let entries = self.post("se/log", &json!({"type": "browser"})).expect("its log");
        let entries = entries.as_array().cloned().unwrap_or_default();
        let bad =
            entries.iter().filter(|entry| entry["level"] != "INFO" && entry["level"] != "DEBUG");
        bad.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Fails if the browser complained of anything.
    pub(crate) fn is_content(&self, at: &str) {
        assert_eq!(self.complaints(), Vec::<String>::new(), "{at}");
    }

    /// Takes the one complaint that goes with a page that was answered with a refusal.
    pub(crate) fn was_refused(&self, status: u16) {
        let complaints = self.complaints();
        let expected = format!("status of {status}");
        assert!(complaints.iter().all(|text| text.contains(&expected)), "{complaints:?}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends with its session, the driver by itself.
        let _ = call(reqwest::Method::DELETE, &self.session, None);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn call(method: reqwest::Method, url: &str, body: Option<&Value>) -> Result<Value, String> {
    let body = body.cloned();
    block_on(async move {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let mut request = client.request(method, url).timeout(PATIENCE);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let good = answer.status().is_success();
        let mut said: Value = answer.json().await.map_err(|error| error.to_string())?;
        if good { Ok(said["value"].take()) } else { Err(said["value"]["message"].to_string()) }
    })
}
