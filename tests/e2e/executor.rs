//! What executors do beside scripts, and what their tasks write: HTTP jobs, jobs in Rust, logs.

use std::io::{BufRead as _, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{Standalone, program, wait_for};

/// The output of the only shard of a run, as the API gives it.
fn log(standalone: &Standalone, run: &str, query: &str) -> Value {
    let task = standalone.run(run)["shards"][0]["taskId"].as_str().expect("a task").to_owned();
    let (status, log) = standalone.get(&format!("/api/v1/tasks/{task}/logs?{query}"));
    assert_eq!(status, 200, "{log}");
    log
}

#[test]
fn an_http_job_asks_with_its_context_and_fails_by_status() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let uri = format!("http://{}/job", listener.local_addr().expect("an address"));
    let serving = std::thread::spawn(move || {
        ["HTTP/1.1 200 OK", "HTTP/1.1 500 Oh No"].map(|head| {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = vec![0; 8192];
            let len = stream.read(&mut request).expect("a request");
            let answer = format!("{head}\r\ncontent-length: 7\r\n\r\n42 rows");
            stream.write_all(answer.as_bytes()).expect("written");
            String::from_utf8_lossy(&request[..len]).into_owned()
        })
    });
    let standalone = Standalone::start(&[]);
    standalone.register_app();
    let props = json!({"http.uri": uri, "http.method": "POST", "http.data": "n=1"});
    let extra = json!({"jobType": "HTTP", "scriptCommandLine": null, "props": props});
    standalone.register_job("asks", "", &extra);
    let good = standalone.trigger("asks");
    standalone.wait_for_run(&good, "SUCCEEDED");
    assert_eq!(log(&standalone, &good, "")["data"], "42 rows");
    let bad = standalone.trigger("asks");
    let bad = standalone.wait_for_run(&bad, "FAILED");
    let message = bad["shards"][0]["message"].as_str().expect("a message");
    assert!(message.contains("status 500: 42 rows"), "{message}");
    for request in serving.join().expect("served") {
        assert!(request.contains("shardingcontext: {\"jobName\":\"asks\""), "{request}");
        assert!(request.ends_with("n=1"), "{request}");
    }
}

#[test]
fn jobs_in_rust_are_packed_fetched_and_run_in_the_apps_own_executor() {
    let bin = program("shiftwork");
    let word_app = bin.parent().map(|dir| dir.join("examples/word-app")).expect("a directory");
    assert!(word_app.exists(), "build it: cargo build -p shiftwork-executor --examples");
    let standalone = Standalone::start(&[]);
    // Packed as an app is: Mesos fetches and unpacks it, and the script is found in the sandbox.
    let package = standalone.directory.path().join("word-app.tar.gz");
    let packed = Command::new("tar")
        .arg("-czf")
        .arg(&package)
        .args(["--transform", "s,^,bin/,", "-C"])
        .args([word_app.parent().expect("a directory").as_os_str(), "word-app".as_ref()])
        .status();
    assert!(packed.expect("tar runs").success());
    let app = json!({"appName": "app", "cpuCount": 0.1, "memoryMB": 32,
        "appURL": format!("file://{}", package.display()), "bootstrapScript": "bin/word-app"});
    assert_eq!(standalone.post("/api/v1/apps", Some(&app)).0, 201);
    let class = |job_type: &str, class: &str| json!({"jobType": job_type, "jobClass": class, "scriptCommandLine": null});
    let mut words = class("SIMPLE", "words");
    words["shardingItemParameters"] = json!("0=one two three");
    standalone.register_job("words", "", &words);
    let run = standalone.trigger("words");
    standalone.wait_for_run(&run, "SUCCEEDED");
    assert_eq!(log(&standalone, &run, "")["data"], format!("3 words in shard 0 of {run}\n"));

    let mut lines = class("DATAFLOW", "lines");
    lines["streamingProcess"] = json!(true);
    lines["jobParameter"] = json!("a b c");
    standalone.register_job("lines", "", &lines);
    let run = standalone.trigger("lines");
    standalone.wait_for_run(&run, "SUCCEEDED");
    assert_eq!(log(&standalone, &run, "")["data"], "a\nb\nc\n");

    let mut trouble = class("SIMPLE", "trouble");
    trouble["jobParameter"] = json!("panic");
    standalone.register_job("trouble", "", &trouble);
    let run = standalone.trigger("trouble");
    let run = standalone.wait_for_run(&run, "FAILED");
    let message = run["shards"][0]["message"].as_str().expect("a message");
    assert!(message.contains("panicked: shard 0 fell over"), "{message}");

    let mut slow = class("SIMPLE", "trouble");
    (slow["jobParameter"], slow["timeout"]) = (json!("wait"), json!("1s"));
    standalone.register_job("slow", "", &slow);
    let run = standalone.trigger("slow");
    standalone.wait_for_run(&run, "TIMED_OUT");
    let written = log(&standalone, &run, "")["data"].clone();
    assert!(written.as_str().is_some_and(|text| text.ends_with("told to end\n")), "{written}");
}

#[test]
fn what_a_task_writes_is_read_while_it_runs_and_afterwards() {
    let standalone = Standalone::start(&[]);
    standalone.register_app();
    let go = standalone.directory.path().join("go");
    let script = format!(
        "echo begun; echo trouble >&2; until [ -e {} ]; do sleep 0.05; done; echo ended;",
        go.display()
    );
    standalone.register_job("talks", &script, &json!({}));
    let run = standalone.trigger("talks");
    standalone.wait_for_run(&run, "RUNNING");
    wait_for("it has begun", || log(&standalone, &run, "")["data"] == "begun\n");
    let rest = log(&standalone, &run, "offset=3&length=2");
    assert_eq!((&rest["data"], &rest["next"]), (&json!("un"), &json!(5)));
    assert_eq!(log(&standalone, &run, "stream=stderr")["data"], "trouble\n");

    let follower = Command::new(program("shiftwork"))
        .args(["run", "logs", &run, "-f"])
        .env("SHIFTWORK_SERVER", &standalone.http)
        .stdout(Stdio::piped())
        .spawn()
        .expect("shiftwork runs");
    let task = standalone.run(&run)["shards"][0]["taskId"].as_str().expect("a task").to_owned();
    let http = standalone.http.clone();
    let events = std::thread::spawn(move || events(&http, &task));
    std::fs::write(&go, "").expect("written");
    let followed = follower.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&followed.stdout), "begun\nended\n");
    let events = events.join().expect("it ends");
    assert!(events.contains("event: log\n") && events.contains("data: \"begun\\n"), "{events}");
    assert!(events.contains("ended\\n\"\n"), "{events}");
    assert!(events.contains("event: end\n"), "{events}");
    let shown = standalone.cli(&["run", "logs", &run, "--stderr", "--shard", "0"]);
    assert_eq!(String::from_utf8_lossy(&shown.stdout), "trouble\n");
}

#[test]
fn an_output_that_was_rotated_is_shown_and_followed_from_its_older_part_on() {
    let standalone = Standalone::start(&[]);
    standalone.register_app();
    let go = standalone.directory.path().join("go");
    /// What `seq 1 900000` writes, bytes.
    const FIRST_LEN: u64 = 6_188_895;
    // The executor keeps the newest 5 MiB and, put aside, up to 5 MiB before them.
    let script = format!(
        "seq 1 900000; until [ -e {} ]; do sleep 0.05; done; seq 900001 1500000;",
        go.display()
    );
    standalone.register_job("counts", &script, &json!({}));
    let run = standalone.trigger("counts");
    standalone.wait_for_run(&run, "RUNNING");
    wait_for("half is written", || {
        let size = |query: &str| log(&standalone, &run, query)["size"].as_u64().unwrap_or(0);
        size("offset=100000000") + size("rotated=true&offset=100000000") == FIRST_LEN
    });
    let first = log(&standalone, &run, "rotated=true&length=100")["data"].clone();
    assert!(first.as_str().expect("text").starts_with("1\n2\n"), "{first}");
    let mut follower = Command::new(program("shiftwork"))
        .args(["run", "logs", &run, "-f"])
        .env("SHIFTWORK_SERVER", &standalone.http)
        .stdout(Stdio::piped())
        .spawn()
        .expect("shiftwork runs");
    let followed = std::io::BufReader::new(follower.stdout.take().expect("a pipe"));
    let mut expected = 1;
    for line in followed.lines() {
        assert_eq!(line.expect("text").parse(), Ok(expected), "in their order, none left out");
        if expected == 900_000 {
            std::fs::write(&go, "").expect("written");
        }
        expected += 1;
    }
    assert_eq!(expected, 1_500_001);
    assert!(follower.wait().expect("it ends").success());
    let run = standalone.wait_for_run(&run, "SUCCEEDED");
    let events = events(&standalone.http, run["shards"][0]["taskId"].as_str().expect("a task"));
    let at = |number: &str| events.find(&format!("\\n{number}\\n"));
    assert!(at("900000").expect("the older part") < at("1500000").expect("the newer part"));
}

#[test]
fn a_log_that_is_gone_leaves_the_ends_of_both_outputs() {
    let standalone = Standalone::start(&[]);
    standalone.register_app();
    standalone.register_job("fails", "echo rows: 0; echo 'no such table' >&2; exit 3;", &json!({}));
    let run = standalone.trigger("fails");
    standalone.wait_for_run(&run, "FAILED");
    let task = standalone.run(&run)["shards"][0]["taskId"].as_str().expect("a task").to_owned();
    assert_eq!(log(&standalone, &run, "stream=stderr")["source"], "agent");
    remove_task_dir(&standalone.directory.path().join("data"), &task);
    let left = log(&standalone, &run, "stream=stderr");
    assert_eq!(left["source"], "status");
    assert_eq!(left["data"], "no such table\n");
    assert_eq!(log(&standalone, &run, "stream=stdout")["data"], "rows: 0\n");
    let (status, _) = standalone.get("/api/v1/tasks/no@-@0@-@READY@-@S0@-@u/logs");
    assert_eq!(status, 404);
}

/// All server-sent events about a task's stdout, until their end.
fn events(http: &str, task: &str) -> String {
    let address = http.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(address).expect("a connection");
    let head =
        format!("GET /api/v1/tasks/{task}/logs?follow=true HTTP/1.0\r\nhost: {address}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("written");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("read");
    text
}

/// Removes the directory of a task, wherever below `dir` it is.
fn remove_task_dir(dir: &Path, task: &str) {
    for entry in std::fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        if path.file_name().is_some_and(|name| name == task) && path.join("stderr").exists() {
            std::fs::remove_dir_all(&path).expect("removed");
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_task_dir(&path, task);
        }
    }
}
