//! A standalone scheduler as a process, with a data directory of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// Anything that takes longer than this on a busy machine does not happen at all.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A directory and the standalone scheduler that runs on it, if one does.
pub(crate) struct Standalone {
    pub(crate) directory: tempfile::TempDir,
    process: Option<Child>,
    pub(crate) http: String,
    /// What it has printed, line by line.
    printed: Option<std::sync::mpsc::Receiver<String>>,
}

/// A program of this workspace, built beside this test.
pub(crate) fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a test knows its own file");
    let built = own.parent().and_then(Path::parent).map(|directory| directory.join(name));
    built.filter(|file| file.exists()).unwrap_or_else(|| {
        panic!("{name} is not built: run `cargo build --workspace --bins` first")
    })
}

// === impl Standalone ===

impl Standalone {
    /// Starts on a fresh directory.
    pub(crate) fn start(extra: &[&str]) -> Self {
        let mut standalone = Self::prepare();
        standalone.start_again(extra);
        standalone
    }

    /// A fresh directory, on which nothing runs as yet.
    pub(crate) fn prepare() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self { directory, process: None, http: String::new(), printed: None }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Starts on the directory as it is.
    pub(crate) fn start_again(&mut self, extra: &[&str]) {
        self.start_without_waiting(extra);
        wait_for("it is ready", || self.get("/readyz").0 == 200);
    }

    /// The same, not looking whether it is ready: that may take more than a plain request.
    pub(crate) fn start_without_waiting(&mut self, extra: &[&str]) {
        let mut process = Command::new(program("shiftwork"))
            .args(["standalone", "--mesos", "127.0.0.1:0"])
            .args(if extra.contains(&"--http") { &[][..] } else { &["--http", "127.0.0.1:0"] })
            .args(["--resources", "cpus:8;mem:4096;disk:1024;ports:[31000-31100]", "--data-dir"])
            .arg(self.data_dir())
            .args(extra)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("shiftwork starts");
        let stdout = BufReader::new(process.stdout.take().expect("its stdout is piped"));
        let (sender, printed) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let api = loop {
            let line = printed.recv_timeout(PATIENCE).expect("it says where its API is");
            if let Some(api) = line.strip_prefix("API ") {
                break api.trim().to_owned();
            }
        };
        api.trim_end_matches("/api/v1").clone_into(&mut self.http);
        self.printed = Some(printed);
        self.process = Some(process);
    }

    /// The next line it prints that satisfies a condition.
    pub(crate) fn line(&self, wanted: impl Fn(&str) -> bool) -> String {
        let printed = self.printed.as_ref().expect("it runs");
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match printed.recv_timeout(PATIENCE) {
                Ok(line) if wanted(&line) => return line,
                Ok(_) => {}
                Err(error) => panic!("it printed nothing more: {error}"),
            }
        }
        panic!("it never printed the line");
    }

    /// Ctrl-C, and it must end well.
    pub(crate) fn interrupt(&mut self) {
        let mut process = self.process.take().expect("it runs");
        signal(&process, Signal::INT);
        let begun = Instant::now();
        let status = process.wait().expect("it can be waited for");
        assert!(status.success(), "after Ctrl-C it ended with {status}");
        assert!(begun.elapsed() < Duration::from_secs(20), "it took {:?}", begun.elapsed());
    }

    /// kill -9 of the whole process.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        signal(&process, Signal::KILL);
        process.wait().expect("it can be waited for");
    }

    // --- the API ---

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        self.call(reqwest::Method::GET, path, None)
    }

    pub(crate) fn post(&self, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.call(reqwest::Method::POST, path, body)
    }

    pub(crate) fn call(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let url = format!("{}{path}", self.http);
        let body = body.cloned();
        block_on(async move {
            let client = reqwest::Client::builder().no_proxy().build().expect("a client");
            let mut request = client.request(method, url).timeout(PATIENCE);
            if let Some(body) = body {
                request = request.json(&body);
            }
            let Ok(answer) = request.send().await else { return (0, Value::Null) };
            let status = answer.status().as_u16();
            let text = answer.text().await.unwrap_or_default();
            (status, serde_json::from_str(&text).unwrap_or(Value::Null))
        })
    }

    /// Registers an app whose executor is small.
    pub(crate) fn register_app(&self) {
        let app = json!({"appName": "app", "cpuCount": 0.1, "memoryMB": 32});
        assert_eq!(self.post("/api/v1/apps", Some(&app)).0, 201);
    }

    /// Registers a job that runs a shell script; `extra` adds to its document or changes it.
    pub(crate) fn register_job(&self, name: &str, script: &str, extra: &Value) {
        let mut job = json!({
            "jobName": name, "appName": "app", "jobType": "SCRIPT",
            "jobExecutionType": "TRANSIENT", "scriptCommandLine": script,
            "shardingTotalCount": 1, "cpuCount": 0.1, "memoryMB": 16,
        });
        for (field, value) in extra.as_object().expect("an object") {
            job[field] = value.clone();
        }
        let (status, answer) = self.post("/api/v1/jobs", Some(&job));
        assert_eq!(status, 201, "{answer}");
    }

    /// Makes a run and gives its id.
    pub(crate) fn trigger(&self, job: &str) -> String {
        let (status, answer) = self.post(&format!("/api/v1/jobs/{job}/trigger"), None);
        assert_eq!(status, 201, "{answer}");
        let run = answer["id"].as_str().or_else(|| answer["run"].as_str());
        run.unwrap_or_else(|| panic!("no run in {answer}")).to_owned()
    }

    pub(crate) fn run(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/runs/{id}")).1
    }

    /// Waits until a run is in a state.
    pub(crate) fn wait_for_run(&self, id: &str, state: &str) -> Value {
        wait_for(&format!("run {id} is {state}"), || self.run(id)["state"] == state);
        self.run(id)
    }

    /// All runs of a job, over all pages.
    pub(crate) fn runs(&self, job: &str) -> Vec<Value> {
        let mut runs = Vec::new();
        let mut cursor = String::new();
        loop {
            let (status, page) = self.get(&format!("/api/v1/runs?job={job}&limit=100{cursor}"));
            assert_eq!(status, 200, "{page}");
            runs.extend(page["items"].as_array().cloned().unwrap_or_default());
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return runs,
            }
        }
    }

    /// Runs a client command against this scheduler.
    pub(crate) fn cli(&self, args: &[&str]) -> Output {
        Command::new(program("shiftwork"))
            .args(args)
            .env("SHIFTWORK_SERVER", &self.http)
            .output()
            .expect("shiftwork runs")
    }

    /// Processes that belong to this scheduler's executors: they carry its directory in their
    /// environment.
    pub(crate) fn processes(&self) -> Vec<(u32, String)> {
        let mark = self.directory.path().to_string_lossy().into_owned();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let text = String::from_utf8_lossy(&environment).into_owned();
            let sandboxed = text
                .split('\0')
                .any(|variable| variable.starts_with("MESOS_") && variable.contains(&mark));
            if sandboxed && !command.is_empty() {
                found.push((pid, String::from_utf8_lossy(&command).replace('\0', " ")));
            }
        }
        found
    }
}

impl Drop for Standalone {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // A failed test leaves nothing behind either: first the polite way.
            signal(&process, Signal::TERM);
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(10) {
                if matches!(process.try_wait(), Ok(Some(_))) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

pub(crate) fn signal(process: &Child, signal: Signal) {
    let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("it can be signalled");
}

/// Polls until a condition holds; fails by name when it never does.
pub(crate) fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("waited {PATIENCE:?} in vain: {what}");
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}
