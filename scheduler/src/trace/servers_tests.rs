//! The history on real servers: PostgreSQL and MariaDB, started here on loopback as an unprivileged
//! user in a directory of their own. What holds for the file must hold for them. Absent: the rules
//! themselves (`store_tests.rs`).

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::statement::{Column, Statement};
use super::*;

/// Longer than a server takes to start on a busy machine.
const START_MAX: Duration = Duration::from_mins(1);

/// A user without rights of its own; PostgreSQL refuses to run as root.
const NOBODY: &str = "nobody";

/// A server and what it stores.
struct Server {
    process: Child,
    /// Starts it, also on what an earlier life stored.
    start: Box<dyn Fn() -> Child>,
    /// The signal that ends it at once, its children included.
    death: &'static str,
    url: String,
    _directory: TempDir,
}

impl Server {
    fn new(
        start: Box<dyn Fn() -> Child>,
        death: &'static str,
        url: String,
        directory: TempDir,
    ) -> Self {
        Self { process: start(), start, death, url, _directory: directory }
    }

    /// Ends it without a word to its clients.
    fn stop(&mut self) {
        let pid = self.process.id().to_string();
        let _ = Command::new("kill").args([self.death, &pid]).status();
        let _ = self.process.wait();
    }

    fn start_again(&mut self) {
        self.process = (self.start)();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A command run as nobody where this test is root, else as who it is.
fn unprivileged(program: &Path, directory: &Path) -> Command {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt as _;
        own.uid() == 0
    });
    let mut command = if is_root {
        assert!(
            Command::new("chown").arg("-R").arg(NOBODY).arg(directory).status().unwrap().success()
        );
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", NOBODY, "--regid", "nogroup", "--clear-groups", "--"])
            .arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn postgres_bin() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let versions = versions.expect("Debian's postgresql is installed (tests/run does it)");
    let newest = versions.flatten().map(|entry| entry.path()).max().expect("a version of it");
    newest.join("bin")
}

fn start_postgres() -> Server {
    let directory = TempDir::new_in("/tmp").unwrap();
    let (data, port) = (directory.path().join("data"), free_port());
    let init = unprivileged(&postgres_bin().join("initdb"), directory.path())
        .args(["--auth", "trust", "--no-sync", "--username", "shiftwork", "--pgdata"])
        .arg(&data)
        .status();
    assert!(init.unwrap().success(), "initdb");
    let url = format!("postgres://shiftwork@127.0.0.1:{port}/postgres");
    let home = directory.path().to_owned();
    let start = move || {
        unprivileged(&postgres_bin().join("postgres"), &home)
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c"])
            .arg(format!("unix_socket_directories={}", home.display()))
            .args(["-p", &port.to_string(), "-D"])
            .arg(&data)
            .spawn()
            .unwrap()
    };
    // Killed, it would leave its children behind for a while, and not start beside them.
    Server::new(Box::new(start), "-QUIT", url, directory)
}

fn start_mariadb() -> Server {
    let directory = TempDir::new_in("/tmp").unwrap();
    let (data, port) = (directory.path().join("data"), free_port());
    std::fs::create_dir(&data).unwrap();
    let setup = directory.path().join("setup.sql");
    std::fs::write(
        &setup,
        "CREATE DATABASE IF NOT EXISTS shiftwork;\nCREATE USER IF NOT EXISTS shiftwork@'127.0.0.1' IDENTIFIED BY 'secret';\n\
         GRANT ALL ON shiftwork.* TO shiftwork@'127.0.0.1';\n",
    )
    .unwrap();
    let install = unprivileged(Path::new("mariadb-install-db"), directory.path())
        .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
        .arg(format!("--datadir={}", data.display()))
        .status();
    assert!(install.unwrap().success(), "mariadb-install-db");
    let url = format!("mysql://shiftwork:secret@127.0.0.1:{port}/shiftwork");
    let home = directory.path().to_owned();
    let start = move || {
        unprivileged(Path::new("mariadbd"), &home)
            .args(["--no-defaults", "--bind-address=127.0.0.1"])
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--socket={}", home.join("socket").display()))
            .arg(format!("--pid-file={}", home.join("pid").display()))
            .arg(format!("--init-file={}", setup.display()))
            .arg(format!("--port={port}"))
            .spawn()
            .unwrap()
    };
    Server::new(Box::new(start), "-KILL", url, directory)
}

/// A store on a server, once that answers.
async fn store_on(server: &Server) -> Store {
    let begun = Instant::now();
    loop {
        let store = Store::new(server.url.parse::<HistoryTarget>().unwrap());
        match store.run("none").await {
            Ok(_) => return store,
            Err(error) => assert!(begun.elapsed() < START_MAX, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn run(id: &str, version: u64, state: &str) -> TraceRecord {
    TraceRecord::Run(RunRow {
        id: id.to_owned(),
        job: "j".to_owned(),
        app: "a".to_owned(),
        logical_time_ms: 1000,
        state: state.to_owned(),
        reason: Some("größer\0 als \u{1f600}".to_owned()),
        attempt: 1,
        created_at_ms: 1000,
        finished_at_ms: (state == "SUCCEEDED").then_some(9000),
        version,
        json: "{\"a\":1}".to_owned(),
        document: (version == 2).then(|| "{\"d\":1}".to_owned()),
        ..RunRow::default()
    })
}

fn event(task: &str, sequence: u64, state: &str, message: &str) -> TraceRecord {
    TraceRecord::Event(EventRow {
        run_id: "r".to_owned(),
        job: "j".to_owned(),
        at_ms: 1_795_000_000_000 + sequence as i64 * 1000,
        kind: "TASK".to_owned(),
        item: Some(0),
        task_id: Some(task.to_owned()),
        state: Some(state.to_owned()),
        message: Some(message.to_owned()),
        epoch: 1,
        sequence,
        hostname: Some("10.0.0.7".to_owned()),
        submitter: Some("billing".to_owned()),
        app: Some("a".to_owned()),
        is_daemon: None,
    })
}

/// Everything that is written is read again as it was, however often it is written.
async fn keeps_records(store: &Store) {
    let runs = [run("r", 2, "RUNNING"), run("r", 1, "PENDING"), run("r", 3, "SUCCEEDED")];
    for records in [&runs[..2], &runs[1..], &runs[..]] {
        store.write(records).await.unwrap();
    }
    let kept = store.run("r").await.unwrap().unwrap();
    assert_eq!((kept.version, kept.state.as_str()), (3, "SUCCEEDED"));
    assert_eq!(kept.document.as_deref(), Some("{\"d\":1}"), "a later row without it leaves it");
    assert_eq!(kept.finished_at_ms, Some(9000));
    assert!(kept.reason.unwrap().ends_with(" als \u{1f600}"));

    let many: Vec<TraceRecord> =
        (0..1200).map(|i| event("j@-@0@-@READY@-@A@-@u", 100 + i, "TASK_STARTING", "")).collect();
    store.write(&many).await.unwrap();
    store.write(&many[600..]).await.unwrap();
    assert_eq!(store.run_events("r", None, 1000).await.unwrap().len(), 1000);
    let behind = Some(EventKey { epoch: 1, sequence: 1099 });
    assert_eq!(store.run_events("r", behind, 1000).await.unwrap().len(), 200);
    let page = store.runs(&RunFilter::default(), None, 10).await.unwrap();
    assert_eq!((page.runs.len(), page.next), (1, None));
    let of_apps = |prefix: &str| RunFilter {
        app_prefixes: vec!["zz-".to_owned(), prefix.to_owned()],
        ..RunFilter::default()
    };
    assert_eq!(store.runs(&of_apps("a"), None, 10).await.unwrap().runs.len(), 1);
    assert_eq!(store.runs(&of_apps("%"), None, 10).await.unwrap().runs.len(), 0);

    let entry = |sequence, actor: Option<&str>| AuditLogRow {
        epoch: 1,
        sequence,
        at_ms: 5,
        actor: actor.map(str::to_owned),
        door: "rest".to_owned(),
        action: "update".to_owned(),
        kind: "job".to_owned(),
        name: "j".to_owned(),
        before: Some("{\"a\":\"größer \u{1f600}\"}".to_owned()),
        ..AuditLogRow::default()
    };
    let entries = [entry(1, None), entry(2, Some("alice")), entry(3, Some("bob"))];
    let records: Vec<_> = entries.iter().cloned().map(TraceRecord::AuditLog).collect();
    store.write(&records[..2]).await.unwrap();
    store.write(&records).await.unwrap();
    let [first, second, third] = entries;
    let all = AuditLogFilter::default();
    let found = store.audit_log(&all, None, 10).await.unwrap();
    assert_eq!(found, [third.clone(), second.clone(), first.clone()]);
    let behind = Some(EventKey { epoch: 1, sequence: 3 });
    assert_eq!(store.audit_log(&all, behind, 1).await.unwrap(), std::slice::from_ref(&second));
    let of_alice = AuditLogFilter { actor: Some("alice".to_owned()), ..all.clone() };
    assert_eq!(store.audit_log(&of_alice, None, 10).await.unwrap(), [second]);
    let later = AuditLogFilter { since_ms: Some(6), ..all };
    assert!(store.audit_log(&later, None, 10).await.unwrap().is_empty());
}

fn of_daemon(record: TraceRecord) -> TraceRecord {
    match record {
        TraceRecord::Event(event) => {
            TraceRecord::Event(EventRow { is_daemon: Some(true), ..event })
        }
        other => other,
    }
}

async fn texts(store: &Store, sql: &str, columns: usize) -> Vec<Vec<String>> {
    let pools = store.pools().await.unwrap();
    let kinds = vec![Column::Text; columns];
    let rows = pools.rows(Statement::new(store.dialect(), sql), &kinds).await.unwrap();
    let text = |mut row: super::statement::Row| {
        (0..columns).map(|_| row.opt_text().unwrap().unwrap_or_default()).collect()
    };
    rows.into_iter().map(text).collect()
}

/// Elastic-Job's tables hold a row a state and a row an execution, also where all is written twice.
async fn feeds_elastic_job(store: &Store) {
    let first = "j@-@0@-@READY@-@A-S0@-@11111111-1111-1111-1111-111111111111";
    let second = "j@-@0@-@FAILOVER@-@A-S1@-@22222222-2222-2222-2222-222222222222";
    let third = "j@-@0@-@READY@-@A-S0@-@33333333-3333-3333-3333-333333333333";
    let fourth = "j@-@1@-@READY@-@A-S0@-@44444444-4444-4444-4444-444444444444";
    let records = [
        event(first, 1, "TASK_STAGING", "launched"),
        event(first, 2, "TASK_RUNNING", ""),
        event(first, 3, "TASK_FAILED", "exit code 1"),
        event(second, 4, "TASK_STAGING", "launched"),
        event(second, 5, "TASK_RUNNING", "BEGIN"),
        event(second, 6, "TASK_RUNNING", "COMPLETE (ran 5 ms)"),
        event(second, 7, "TASK_RUNNING", "BEGIN"),
        event(third, 8, "TASK_FINISHED", ""),
        of_daemon(event(fourth, 9, "TASK_RUNNING", "")),
        of_daemon(event(fourth, 10, "TASK_RUNNING", "COMPLETE: exited with code 3 (ran 1 ms)")),
        of_daemon(event(fourth, 11, "TASK_FAILED", "gone")),
    ];
    let counted = async || {
        let all = store.task_counts(0, i64::MAX).await.unwrap();
        let one = all.first().copied().unwrap_or_default();
        [one.started, one.succeeded, one.failed]
    };
    let before = counted().await;
    store.write(&records[..3]).await.unwrap();
    store.write(&records[2..]).await.unwrap();
    store.write(&records).await.unwrap();
    let after = counted().await;
    let more: Vec<u64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
    assert_eq!(more, [4, 2, 3], "a daemon's firings count as they end");
    let traces = texts(
        store,
        "SELECT state, execution_type, slave_id, sharding_item, source, original_task_id \
         FROM JOB_STATUS_TRACE_LOG WHERE state <> 'TASK_STARTING' ORDER BY creation_time",
        6,
    )
    .await;
    assert_eq!(traces.len(), 11);
    assert_eq!(traces[0], ["TASK_STAGING", "READY", "A-S0", "[0]", "CLOUD_SCHEDULER", ""]);
    assert_eq!(traces[3], ["TASK_STAGING", "FAILOVER", "A-S1", "[0]", "CLOUD_SCHEDULER", first]);
    assert_eq!(traces[6][5], first, "every row of the task names the one before");
    let executions = texts(
        store,
        "SELECT id, task_id, failure_cause, ip, CASE WHEN is_success THEN 'yes' ELSE 'no' END, \
         CASE WHEN complete_time IS NULL THEN 'open' ELSE 'ended' END \
         FROM JOB_EXECUTION_LOG ORDER BY start_time",
        6,
    )
    .await;
    let unique = |task: &str| task.rsplit("@-@").next().unwrap_or_default().to_owned();
    let [one, three] = [first, third].map(unique);
    let event_id = |sequence: u64| format!("00000000-0000-0001-0000-{sequence:012x}");
    let [begun, again, untold] = [5, 7, 10].map(event_id);
    let cause = "COMPLETE: exited with code 3 (ran 1 ms)";
    let expected = [
        [one.as_str(), first, "exit code 1", "10.0.0.7", "no", "ended"],
        [begun.as_str(), second, "", "10.0.0.7", "yes", "ended"],
        [again.as_str(), second, "", "10.0.0.7", "no", "open"],
        [three.as_str(), third, "", "10.0.0.7", "yes", "ended"],
        [untold.as_str(), fourth, cause, "10.0.0.7", "no", "ended"],
    ];
    assert_eq!(executions, expected);
}

/// A record that does not fit is left out, and those beside it are not.
async fn leaves_out_what_does_not_fit(store: &Store) {
    let long = TraceRecord::Run(RunRow {
        id: "long".to_owned(),
        state: "S".repeat(1000),
        version: 1,
        ..RunRow::default()
    });
    store.write(&[long, run("beside", 1, "PENDING")]).await.unwrap();
    assert!(store.run("beside").await.unwrap().is_some());
    assert!(store.run("long").await.unwrap().is_none());
    assert_eq!(store.refused_records(), 1);
}

async fn cleans_up(store: &Store) {
    let now = 1_795_000_000_000 + Retention::default().age_max.as_millis() as i64 + 86_400_000;
    let change = |sequence, content: Option<&str>| {
        TraceRecord::Change(ChangeRow {
            kind: "job".to_owned(),
            name: "j".to_owned(),
            at_ms: 1,
            content: content.map(str::to_owned),
            epoch: sequence,
            sequence,
            ..ChangeRow::default()
        })
    };
    store.write(&[change(1, Some("{}")), change(2, Some("{\"x\":1}"))]).await.unwrap();
    while store.trim(Retention::default(), now).await.unwrap() != Trimmed::default() {}
    assert!(store.run("r").await.unwrap().is_none());
    assert!(store.audit_log(&AuditLogFilter::default(), None, 10).await.unwrap().is_empty());
    assert!(store.run("beside").await.unwrap().is_some(), "it has not ended");
    for table in ["JOB_STATUS_TRACE_LOG", "JOB_EXECUTION_LOG"] {
        let sql = format!("SELECT task_id FROM {table}");
        assert_eq!(texts(store, &sql, 1).await.len(), 0, "{table}");
    }
    let left = texts(store, "SELECT content FROM config_change", 1).await;
    assert_eq!(left, [["{\"x\":1}"]], "what counted last is kept");
}

async fn check(store: &Store, is_strict: bool) {
    feeds_elastic_job(store).await;
    keeps_records(store).await;
    if is_strict {
        leaves_out_what_does_not_fit(store).await;
    } else {
        store.write(&[run("beside", 1, "PENDING")]).await.unwrap();
    }
    cleans_up(store).await;
    store.close().await;
}

#[tokio::test]
async fn the_file_keeps_what_it_takes() {
    let directory = tempfile::tempdir().unwrap();
    check(&Store::new(directory.path().join(Store::FILE_NAME)), false).await;
}

#[tokio::test]
async fn postgresql_keeps_what_it_takes() {
    let server = start_postgres();
    check(&store_on(&server).await, true).await;
    // Opened again, and by a second scheduler at once: the tables are there.
    let (one, other) = tokio::join!(store_on(&server), store_on(&server));
    assert_eq!(one.run("r").await.unwrap(), other.run("r").await.unwrap());
}

#[tokio::test]
async fn mariadb_keeps_what_it_takes() {
    let server = start_mariadb();
    check(&store_on(&server).await, true).await;
    let (one, other) = tokio::join!(store_on(&server), store_on(&server));
    assert_eq!(one.run("r").await.unwrap(), other.run("r").await.unwrap());
}

/// How long a server is away: `SHIFTWORK_TEST_OUTAGE_SECONDS`, for whoever wants to see minutes.
fn outage() -> Duration {
    let seconds = std::env::var("SHIFTWORK_TEST_OUTAGE_SECONDS").ok();
    Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(3))
}

/// Runs end before, while and after the server is away, and it dies in the middle of writing: each
/// end arrives once.
async fn survives_an_outage(mut server: Server) {
    let store = store_on(&server).await;
    let directory = tempfile::tempdir().unwrap();
    let options = WriterOptions {
        backoff_max: Duration::from_millis(500),
        batch_records_max: 20,
        // The rows are as old as they say.
        retention: Retention {
            age_max: Duration::from_hours(24 * 365_000),
            ..Retention::default()
        },
        ..WriterOptions::default()
    };
    let target = server.url.parse().unwrap();
    let (history, writer) =
        History::open(directory.path(), Some(target), SpoolLimits::default(), options).unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let moving = tokio::spawn(writer.run(stop.clone()));
    let begun = Instant::now();
    let (away, mut sequence) = (outage(), 0);
    let mut stopped = false;
    while begun.elapsed() < away + away / 2 {
        sequence += 1;
        let task = format!("j@-@0@-@READY@-@A@-@{sequence}");
        let ended = run(&format!("run-{sequence}"), 3, "SUCCEEDED");
        history.append(&[event(&task, sequence, "TASK_FINISHED", ""), ended]).unwrap();
        if !stopped && begun.elapsed() > away / 2 {
            stopped = true;
            server.stop();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let lag = history.lag();
    assert!(lag.spool.records > 0, "it was away: {lag:?}");
    server.start_again();
    let back = Instant::now();
    // What waited needs time in proportion to how long it waited.
    assert!(history.flushed(START_MAX + away).await, "{:?}", history.lag());
    let caught_up = back.elapsed();
    let counts = texts(
        &store_on(&server).await,
        "SELECT CASE WHEN COUNT(*) = COUNT(DISTINCT task_id) THEN 'once' ELSE 'again' END, \
         MAX(state) FROM run_event",
        2,
    )
    .await;
    assert_eq!(counts, [["once", "TASK_FINISHED"]]);
    let mut found = 0;
    let mut behind = None;
    loop {
        let page = store.runs(&RunFilter::default(), behind.as_ref(), 1000).await.unwrap();
        found += page.runs.len() as u64;
        behind = page.next;
        if behind.is_none() {
            break;
        }
    }
    assert_eq!(found, sequence);
    let events = store.run_events("r", None, 1000).await.unwrap().len() as u64;
    assert_eq!(events, sequence.min(1000));
    assert_eq!(history.lag().spool.dropped_records, 0);
    // For whoever asked for minutes: seen with `--nocapture`.
    println!(
        "{sequence} ends of runs and as many of tasks, {} records in the spool when the server came \
         back after {} s, all in the history once {:.1} s later",
        lag.spool.records,
        away.as_secs(),
        caught_up.as_secs_f64(),
    );
    stop.cancel();
    moving.await.unwrap();
}

#[tokio::test]
async fn an_outage_of_postgresql_costs_only_delay() {
    survives_an_outage(start_postgres()).await;
}

#[tokio::test]
async fn an_outage_of_mariadb_costs_only_delay() {
    survives_an_outage(start_mariadb()).await;
}
