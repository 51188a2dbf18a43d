//! Three schedulers, one ZooKeeper, one master, many jobs that fire every second, and one trouble after
//! the other: each due firing happens exactly once. `SHIFTWORK_TEST_JOBS` says how many jobs,
//! `SHIFTWORK_TEST_TROUBLES` how many troubles. Absent: agents that fail.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Process, SESSION_TIMEOUT};
use crate::harness::{PATIENCE, signal, wait_for};
use crate::proxy::Proxy;
use crate::sink::Sink;
use crate::zookeeper::second_of;

/// Jobs unless told otherwise: what a small machine does beside other tests.
const JOBS_DEFAULT: u64 = 20;

/// Troubles unless told otherwise: one of each kind.
const TROUBLES_DEFAULT: u64 = 5;

/// Schedulers: one leads, two stand by.
const SCHEDULERS: usize = 3;

/// A day nobody tests on.
const NEVER: &str = "0 0 0 1 1 ? 2099";

/// A scheduler, and its ways to the others.
struct Member {
    name: String,
    process: Process,
    to_registry: Proxy,
    to_master: Proxy,
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

impl Member {
    fn start(cluster: &Cluster, name: &str) -> Self {
        let to_registry = Proxy::start(cluster.zookeeper.address());
        let to_master = Proxy::start(cluster.master.address.clone());
        let process = Self::process(cluster, name, &to_registry, &to_master);
        Self { name: name.to_owned(), process, to_registry, to_master }
    }

    fn process(cluster: &Cluster, name: &str, registry: &Proxy, master: &Proxy) -> Process {
        let registry = format!("zk://{}/e2e", registry.address);
        cluster.scheduler_by(name, &registry, &master.address, &["--launch-interval", "1s"])
    }
}

/// The place of the one that leads, once one does.
fn leading(members: &[Member], but: Option<usize>) -> usize {
    let found = std::cell::Cell::new(None);
    wait_for("one leads", || {
        let leads = |at: &usize| Some(*at) != but && members[*at].process.leads();
        found.set((0..members.len()).find(leads));
        found.get().is_some()
    });
    found.get().expect("it was waited for")
}

fn job(name: &str, sink: &Sink, cron: &str) -> Value {
    json!({
        "jobName": name, "appName": "app", "jobType": "HTTP", "jobExecutionType": "TRANSIENT",
        "http": {"uri": sink.uri, "method": "POST"}, "cron": cron, "misfire": true,
        "shardingTotalCount": 1, "cpuCount": 0.01, "memoryMB": 1,
    })
}

/// One trouble, and how long it took until another or the same one led again.
fn trouble(kind: u64, cluster: &mut Cluster, members: &mut [Member]) -> Option<Duration> {
    let at = leading(members, None);
    let session = Duration::from_secs(SESSION_TIMEOUT.parse().expect("a number"));
    let begun = Instant::now();
    match kind % 5 {
        0 => {
            members[at].process.kill();
            leading(members, Some(at));
            let took = begun.elapsed();
            let member = &mut members[at];
            member.process =
                Member::process(cluster, &member.name, &member.to_registry, &member.to_master);
            Some(took)
        }
        1 => {
            signal(&members[at].process.process, Signal::STOP);
            leading(members, Some(at));
            let took = begun.elapsed();
            std::thread::sleep(session);
            signal(&members[at].process.process, Signal::CONT);
            wait_for("the one that woke up stands by", || !members[at].process.leads());
            Some(took)
        }
        2 => {
            members[at].to_registry.cut();
            let next = leading(members, Some(at));
            let took = begun.elapsed();
            assert!(!members[at].process.leads(), "cut off from the registry, it does not lead");
            members[at].to_registry.mend();
            wait_for("it follows", || members[at].process.follows(&members[next].process));
            Some(took)
        }
        3 => {
            members[at].to_master.cut();
            std::thread::sleep(session);
            members[at].to_master.mend();
            None
        }
        _ => {
            cluster.zookeeper.stop();
            cluster.zookeeper.start_again();
            leading(members, None);
            Some(begun.elapsed())
        }
    }
}

/// Each job's firings follow each other second by second, and each was heard of once.
fn audit(calls: &BTreeMap<String, usize>, jobs: u64) {
    let repeated: Vec<_> = calls.iter().filter(|(_, times)| **times > 1).collect();
    assert!(repeated.is_empty(), "done more than once: {repeated:?}");
    let mut seconds: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for run in calls.keys() {
        let (job, _) = run.split_once('@').expect("a run id");
        seconds.entry(job).or_default().push(second_of(run));
    }
    assert_eq!(seconds.len() as u64, jobs);
    for (job, mut seconds) in seconds {
        seconds.sort_unstable();
        let gaps: Vec<_> = seconds.windows(2).filter(|pair| pair[1] - pair[0] != 1).collect();
        assert!(gaps.is_empty(), "{job} has firings missing between {gaps:?}");
    }
}

#[test]
fn each_firing_of_many_jobs_happens_once_through_every_trouble() {
    let jobs = number("SHIFTWORK_TEST_JOBS", JOBS_DEFAULT);
    let troubles = number("SHIFTWORK_TEST_TROUBLES", TROUBLES_DEFAULT);
    let mut cluster = Cluster::start();
    let sink = Sink::start();
    let mut members: Vec<Member> =
        (0..SCHEDULERS).map(|i| Member::start(&cluster, &format!("member-{i}"))).collect();
    let leader = leading(&members, None);
    let call = |members: &[Member], method: reqwest::Method, path: &str, body: &Value| {
        let leader = leading(members, None);
        members[leader].process.call(method, path, Some(body.clone()))
    };
    let app = json!({"appName": "app", "cpuCount": 0.1, "memoryMB": 32});
    assert_eq!(call(&members, reqwest::Method::POST, "/api/v1/apps", &app).0, 201);
    for i in 0..jobs {
        let job = job(&format!("j{i:04}"), &sink, "* * * * * ?");
        let (status, answer) =
            members[leader].process.call(reqwest::Method::POST, "/api/v1/jobs", Some(job));
        assert_eq!(status, 201, "{answer}");
    }
    wait_for("they fire", || sink.calls().len() as u64 > jobs);

    let begun = Instant::now();
    let mut took = Vec::new();
    for kind in 0..troubles {
        // At another phase of a second each time.
        std::thread::sleep(Duration::from_millis(2_100 + 170 * (kind % 7)));
        took.extend(trouble(kind, &mut cluster, &mut members));
    }
    let under_way = begun.elapsed();

    for i in 0..jobs {
        let name = format!("j{i:04}");
        let job = job(&name, &sink, NEVER);
        let path = format!("/api/v1/jobs/{name}");
        wait_for("the job is slowed down", || {
            call(&members, reqwest::Method::PUT, &path, &job).0 == 200
        });
    }
    let leader = leading(&members, None);
    let is_empty = |queue: &str| {
        let (status, answer) = members[leader].process.get(&format!("/api/v1/queues/{queue}"));
        status == 200 && answer["items"].as_array().is_some_and(Vec::is_empty)
    };
    // A backlog may take a while; that nothing of it is done for so long is a failure.
    let (mut done, mut since) = (0, Instant::now());
    while !["ready", "failover", "running"].into_iter().all(is_empty) {
        let now = sink.calls().len();
        if now > done {
            (done, since) = (now, Instant::now());
        }
        assert!(since.elapsed() < PATIENCE, "{done} firings were done, and the rest never is");
        std::thread::sleep(Duration::from_millis(500));
    }
    audit(&sink.calls(), jobs);
    took.sort();
    println!(
        "{} firings of {jobs} jobs through {troubles} troubles in {under_way:.1?}, each once; another \
         led after {:.1?} at most, half of the times {:.1?}",
        sink.calls().len(),
        took.last().copied().unwrap_or_default(),
        took.get(took.len() / 2).copied().unwrap_or_default(),
    );
}
