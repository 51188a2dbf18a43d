//! Two masters behind ZooKeeper, agents apart from them, two schedulers: the leading master is
//! killed, and work goes on. Absent: what one scheduler or one master does; other tests show that.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::{Process, SESSION_TIMEOUT};
use crate::harness::{PATIENCE, block_on, program, wait_for};
use crate::zookeeper::{register, runs_done, second_of};
use crate::zookeeper_server::{Server, free_port};

/// What masters, agents and schedulers share.
struct Masters {
    directory: tempfile::TempDir,
    zookeeper: Server,
}

// === impl Masters ===

impl Masters {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self { directory, zookeeper: Server::start() }
    }

    fn masters(&self) -> String {
        format!("zk://{}/mesos", self.zookeeper.address())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A master on an address of its own.
    fn master(&self) -> Process {
        let address = format!("127.0.0.1:{}", free_port());
        let process = Command::new(program("offer-sim"))
            .args(["--listen", &address, "--zk", &self.masters()])
            .args(["--zk-session-timeout", SESSION_TIMEOUT])
            .stdin(Stdio::null())
            .spawn()
            .expect("it starts");
        let master = Process { process, address };
        wait_for("the master listens", || std::net::TcpStream::connect(&master.address).is_ok());
        master
    }

    /// An agent of this machine, apart from any master.
    fn agent(&self) -> Process {
        let address = format!("127.0.0.1:{}", free_port());
        let programs = program("shiftwork-executor");
        let process = Command::new(program("offer-sim"))
            .args(["agent", "--local", "--listen", &address, "--master", &self.masters()])
            .args(["--resources", "cpus:8;mem:4096;disk:1024;ports:[31000-31100]"])
            .arg("--extra-path")
            .arg(programs.parent().expect("a directory"))
            .arg("--work-dir")
            .arg(self.path("agent"))
            .stdin(Stdio::null())
            .spawn()
            .expect("it starts");
        Process { process, address }
    }

    fn scheduler(&self, name: &str) -> Process {
        let registry = format!("zk://{}/e2e", self.zookeeper.address());
        let mut command = Command::new(program("shiftwork"));
        command
            .args(["scheduler", "--http", "127.0.0.1:0", "--mesos", &self.masters()])
            .args(["--zk-session-timeout", SESSION_TIMEOUT, "--registry", &registry])
            .arg("--data-dir")
            .arg(self.path(name));
        Process::start(&mut command)
    }
}

/// The status of a master's answer to a call, and where it sends its caller.
fn asked(master: &Process) -> (u16, Option<String>) {
    let url = format!("http://{}/api/v1/scheduler", master.address);
    block_on(async move {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client");
        let Ok(answer) = client.post(url).timeout(PATIENCE).send().await else { return (0, None) };
        let location = answer.headers().get("location").and_then(|it| it.to_str().ok());
        (answer.status().as_u16(), location.map(str::to_owned))
    })
}

/// A master that leads has something to say about a call without content.
fn leads(master: &Process) -> bool {
    asked(master).0 == 400
}

fn lines(file: &Path) -> usize {
    std::fs::read_to_string(file).map_or(0, |text| text.lines().count())
}

/// A job whose one run takes a while, and says when it begins and when it is done.
fn register_long_job(scheduler: &Process, begun: &Path, ended: &Path) {
    let job = json!({
        "jobName": "long", "appName": "app", "jobType": "SCRIPT", "jobExecutionType": "TRANSIENT",
        "scriptCommandLine": r#"echo x >> "$BEGUN"; sleep 8; echo x >> "$ENDED";"#,
        "shardingTotalCount": 1, "cpuCount": 0.1, "memoryMB": 16, "failover": true,
        "env": {"BEGUN": begun, "ENDED": ended},
    });
    let (status, answer) = scheduler.call(reqwest::Method::POST, "/api/v1/jobs", Some(job));
    assert_eq!(status, 201, "{answer}");
    let (status, answer) = scheduler.call(reqwest::Method::POST, "/api/v1/jobs/long/trigger", None);
    assert_eq!(status, 201, "{answer}");
}

#[test]
fn tasks_go_on_when_the_leading_master_is_killed() {
    let shared = Masters::start();
    let mut first = shared.master();
    wait_for("the first master leads", || leads(&first));
    let second = shared.master();
    let to_first = format!("//{}/master/api/v1/scheduler", first.address);
    wait_for("the second master sends callers to the first", || {
        asked(&second) == (307, Some(to_first.clone()))
    });
    let _agent = shared.agent();
    let scheduler = shared.scheduler("first");
    wait_for("the first scheduler leads", || scheduler.leads());
    let _standby = shared.scheduler("second");

    let (done, begun, ended) = (shared.path("done"), shared.path("begun"), shared.path("ended"));
    let mut job = register(&scheduler, &done);
    register_long_job(&scheduler, &begun, &ended);
    wait_for("the long run begins", || lines(&begun) == 1);
    wait_for("the short ones do", || lines(&done) > 1);

    first.kill();
    let killed = Instant::now();
    wait_for("the second master leads", || leads(&second));
    let elected = killed.elapsed();
    let before = lines(&done);
    wait_for("runs begin again", || lines(&done) > before + 1);
    println!("elected after {elected:?}, runs again after {:?}", killed.elapsed());
    assert!(killed.elapsed() < Duration::from_secs(30), "it took {:?}", killed.elapsed());
    wait_for("the long run ends", || lines(&ended) == 1);

    // Slowed down first: what has been due meanwhile is worked off.
    job["cron"] = json!("0 0 0 1 1 ?");
    wait_for("the job is slowed down", || {
        scheduler.call(reqwest::Method::PUT, "/api/v1/jobs/tick", Some(job.clone())).0 == 200
    });
    let is_empty = |queue: &str| {
        let (status, answer) = scheduler.get(&format!("/api/v1/queues/{queue}"));
        status == 200 && answer["items"].as_array().is_some_and(Vec::is_empty)
    };
    wait_for("nothing waits or runs", || {
        ["ready", "failover", "running"].into_iter().all(is_empty)
    });
    assert_eq!((lines(&begun), lines(&ended)), (1, 1), "the long run was never started again");
    let times = runs_done(&done);
    assert!(times.values().all(|count| *count == 1), "runs that ran again: {times:?}");
    let seconds: Vec<i64> = times.keys().map(|run| second_of(run)).collect();
    assert!(seconds.windows(2).all(|pair| pair[1] - pair[0] == 1), "one is missing: {times:?}");
    let (_, answer) = scheduler.get("/api/v1/runs?job=long");
    let states: Vec<&Value> =
        answer["items"].as_array().into_iter().flatten().map(|run| &run["state"]).collect();
    assert_eq!(states, ["SUCCEEDED"], "{answer}");
}
