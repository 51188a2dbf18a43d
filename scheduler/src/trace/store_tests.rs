//! The history database: what wins, what is found, what goes. Absent: the spool and the writer.

use std::time::Duration;

use proptest::prelude::*;
use sqlx::{Connection as _, Row as _, SqliteConnection};
use tempfile::TempDir;

use super::target::Dialect;
use super::*;

const DAY_MS: i64 = 24 * 3600 * 1000;

fn store() -> (TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::new(directory.path().join(Store::FILE_NAME));
    (directory, store)
}

fn run(id: &str, created_at_ms: i64) -> RunRow {
    RunRow {
        id: id.to_owned(),
        job: "j".to_owned(),
        app: "a".to_owned(),
        state: "RUNNING".to_owned(),
        created_at_ms,
        version: 1,
        ..RunRow::default()
    }
}

fn event(run_id: &str, sequence: u64, at_ms: i64) -> TraceRecord {
    TraceRecord::Event(EventRow {
        run_id: run_id.to_owned(),
        kind: "launched".to_owned(),
        at_ms,
        epoch: 1,
        sequence,
        ..EventRow::default()
    })
}

fn ids(page: &RunPage) -> Vec<&str> {
    page.runs.iter().map(|run| run.id.as_str()).collect()
}

#[tokio::test]
async fn every_column_comes_back() {
    let (_directory, store) = store();
    let full = RunRow {
        logical_time_ms: -1,
        reason: Some("out of memory".to_owned()),
        attempt: 3,
        started_at_ms: Some(11),
        finished_at_ms: Some(12),
        version: 5,
        json: "{\"größe\":\"'\"}".to_owned(),
        document: Some("{}".to_owned()),
        ..run("full", 10)
    };
    let full_event = EventRow {
        run_id: "full".to_owned(),
        job: "j".to_owned(),
        at_ms: 11,
        kind: "status".to_owned(),
        item: Some(0),
        task_id: Some("t".to_owned()),
        state: Some("TASK_FAILED".to_owned()),
        message: Some("exit code 1".to_owned()),
        epoch: 2,
        sequence: 1,
        hostname: Some("10.0.0.7".to_owned()),
        submitter: Some("größe".to_owned()),
        app: Some("a".to_owned()),
        is_daemon: Some(true),
    };
    let bare = run("bare", 10);
    let bare_event = EventRow { run_id: "full".to_owned(), epoch: 1, ..EventRow::default() };
    let records = [
        TraceRecord::Run(full.clone()),
        TraceRecord::Event(full_event.clone()),
        TraceRecord::Run(bare.clone()),
        TraceRecord::Event(bare_event.clone()),
    ];
    store.write(&records).await.unwrap();
    assert_eq!(store.run("full").await.unwrap(), Some(full));
    assert_eq!(store.run("bare").await.unwrap(), Some(bare));
    assert_eq!(store.run("absent").await.unwrap(), None);
    let events = store.run_events("full", None, 10).await.unwrap();
    assert_eq!(events, [bare_event.clone(), full_event.clone()]);
    let behind = store.run_events("full", Some(bare_event.key()), 10).await.unwrap();
    assert_eq!(behind, [full_event]);
    assert_eq!(store.run_events("full", None, 1).await.unwrap(), [bare_event]);
}

#[tokio::test]
async fn the_newest_version_of_a_run_wins_in_any_order() {
    let version = |version, state: &str| {
        TraceRecord::Run(RunRow { version, state: state.to_owned(), ..run("r", 1) })
    };
    let [v1, v2, v3] = [version(1, "QUEUED"), version(2, "RUNNING"), version(3, "DONE")];
    for batches in [
        vec![vec![v1.clone()], vec![v2.clone()], vec![v3.clone()]],
        vec![vec![v3.clone()], vec![v1.clone(), v2.clone()], vec![v2.clone()]],
        vec![vec![v2.clone(), v3.clone(), v1.clone()]],
        vec![vec![v1, v3.clone()], vec![v3.clone()], vec![v3, v2]],
    ] {
        let (_directory, store) = store();
        for batch in &batches {
            store.write(batch).await.unwrap();
        }
        let run = store.run("r").await.unwrap().unwrap();
        assert_eq!((run.version, run.state.as_str()), (3, "DONE"), "{batches:?}");
    }
}

#[tokio::test]
async fn a_shard_that_finished_again_is_told_of_once() {
    let (_directory, store) = store();
    let finished = |sequence: u64, task: &str, at_ms| {
        TraceRecord::Event(EventRow {
            run_id: "r".to_owned(),
            kind: "task".to_owned(),
            state: Some("TASK_FINISHED".to_owned()),
            task_id: Some(task.to_owned()),
            item: Some(2),
            at_ms,
            epoch: 1,
            sequence,
            ..EventRow::default()
        })
    };
    store.write(&[finished(0, "a", 10), finished(1, "a", 15)]).await.unwrap();
    assert_eq!(store.finished_again(0, 0, 30).await.unwrap(), [], "one task, told twice");
    store.write(&[finished(2, "b", 20)]).await.unwrap();
    let mut told = Vec::new();
    for (after, until) in [(0, 12), (12, 24), (24, 36)] {
        told.extend(store.finished_again(0, after, until).await.unwrap());
    }
    assert_eq!(told, [("r".to_owned(), 2)]);
}

#[tokio::test]
async fn events_written_again_stay_single() {
    let (_directory, store) = store();
    let batch: Vec<_> = (0..1200).map(|i| event("r", i, 0)).collect();
    store.write(&batch).await.unwrap();
    store.write(&batch[600..]).await.unwrap();
    store.write(&[event("r", 1200, 0), event("r", 1200, 0), event("r", 3, 0)]).await.unwrap();
    let mut found = Vec::new();
    let mut behind = None;
    loop {
        let page = store.run_events("r", behind, 500).await.unwrap();
        let Some(last) = page.last() else { break };
        behind = Some(last.key());
        found.extend(page.into_iter().map(|event| event.sequence));
        assert!(found.len() <= 1201, "the pages never end");
    }
    assert_eq!(found, (0..=1200).collect::<Vec<_>>());
}

#[tokio::test]
async fn filters_narrow_and_combine() {
    let (_directory, store) = store();
    let rows = [
        run("r1", 10),
        RunRow { job: "k".to_owned(), ..run("r2", 20) },
        RunRow { app: "b".to_owned(), ..run("r3", 30) },
        RunRow { state: "DONE".to_owned(), ..run("r4", 40) },
        RunRow { state: "DONE".to_owned(), ..run("r5", 40) },
    ];
    store.write(&rows.map(TraceRecord::Run)).await.unwrap();
    let text = |text: &str| Some(text.to_owned());
    let none = RunFilter::default();
    for (filter, expected) in [
        (none.clone(), vec!["r5", "r4", "r3", "r2", "r1"]),
        (RunFilter { job: text("j"), ..none.clone() }, vec!["r5", "r4", "r3", "r1"]),
        (RunFilter { app: text("b"), ..none.clone() }, vec!["r3"]),
        (RunFilter { state: text("DONE"), ..none.clone() }, vec!["r5", "r4"]),
        (RunFilter { job: text("k"), state: text("DONE"), ..none.clone() }, vec![]),
        (RunFilter { job: text("'; DROP TABLE run; --"), ..none.clone() }, vec![]),
        (RunFilter { created_after_ms: Some(30), ..none.clone() }, vec!["r5", "r4", "r3"]),
        (RunFilter { created_before_ms: Some(30), ..none.clone() }, vec!["r2", "r1"]),
        (
            RunFilter { created_after_ms: Some(20), created_before_ms: Some(40), ..none },
            vec!["r3", "r2"],
        ),
    ] {
        let page = store.runs(&filter, None, 10).await.unwrap();
        assert_eq!(ids(&page), expected, "{filter:?}");
        assert_eq!(page.next, None);
    }
}

/// Pages of any size, laid end to end, are the whole list in order, also while runs are added.
#[test]
fn pages_end_to_end_are_the_list() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 32,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let rows = prop::collection::vec((0_i64..6, 0..3_usize, any::<bool>()), 1..60);
    let strategy = (rows, 1_usize..12, any::<bool>());
    let check = |(rows, limit, filtered)| runtime.block_on(check_pages(rows, limit, filtered));
    runner.run(&strategy, check).unwrap();
}

async fn check_pages(
    rows: Vec<(i64, usize, bool)>,
    limit: usize,
    filtered: bool,
) -> Result<(), TestCaseError> {
    let (_directory, store) = store();
    let states = ["QUEUED", "RUNNING", "DONE"];
    let rows: Vec<_> = rows
        .into_iter()
        .enumerate()
        .map(|(i, (created, state, job))| RunRow {
            state: states[state].to_owned(),
            job: if job { "j" } else { "k" }.to_owned(),
            ..run(&format!("{:02}", i * 37 % 100), created)
        })
        .collect();
    store.write(&rows.iter().cloned().map(TraceRecord::Run).collect::<Vec<_>>()).await.unwrap();
    let filter = RunFilter { job: filtered.then(|| "j".to_owned()), ..RunFilter::default() };

    let mut expected: Vec<_> = rows.iter().filter(|run| !filtered || run.job == "j").collect();
    expected.sort_by_key(|run| std::cmp::Reverse((run.created_at_ms, &run.id)));
    let mut found = Vec::new();
    let mut behind: Option<RunCursor> = None;
    loop {
        let page = store.runs(&filter, behind.as_ref(), limit).await.unwrap();
        prop_assert!(page.runs.len() == limit || page.next.is_none());
        found.extend(page.runs);
        prop_assert!(found.len() <= expected.len(), "the pages never end");
        behind = page.next;
        if behind.is_none() {
            break;
        }
        let newer = run(&format!("newer-{}", found.len()), 1000);
        store.write(&[TraceRecord::Run(newer)]).await.unwrap();
    }
    prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected);
    Ok(())
}

/// Each way to narrow the list walks an index in the list's order: nothing is scanned or sorted.
#[tokio::test]
async fn lists_are_read_from_indexes() {
    let (directory, store) = store();
    store.write(&[TraceRecord::Run(run("r", 1))]).await.unwrap();
    let url = format!("sqlite://{}", directory.path().join(Store::FILE_NAME).display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let text = |text: &str| Some(text.to_owned());
    let none = RunFilter::default();
    for (filter, index) in [
        (none.clone(), "run_by_creation"),
        (RunFilter { job: text("j"), ..none.clone() }, "run_by_job"),
        (RunFilter { app: text("a"), ..none.clone() }, "run_by_app"),
        (RunFilter { state: text("DONE"), ..none }, "run_by_state"),
    ] {
        for behind in [None, Some(RunCursor { created_at_ms: 1, id: "r".to_owned() })] {
            let statement = select::select_runs(Dialect::Sqlite, &filter, behind.as_ref(), 10).sql;
            let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let plan = sqlx::query(explain).fetch_all(&mut connection).await.unwrap();
            let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
            let plan = plan.join("; ");
            assert!(plan.contains(&format!("USING INDEX {index}")), "{filter:?}: {plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{filter:?}: {plan}");
        }
    }
}

/// Cleans until there is nothing left to clean, and sums up.
async fn trim(store: &Store, retention: Retention, now_ms: i64) -> Trimmed {
    let mut sum = Trimmed::default();
    loop {
        let Trimmed { runs, events } = store.trim(retention, now_ms).await.unwrap();
        if runs + events == 0 {
            return sum;
        }
        sum.runs += runs;
        sum.events += events;
    }
}

#[tokio::test]
async fn finished_runs_and_events_go_by_age() {
    let (_directory, store) = store();
    let now = 1000 * DAY_MS;
    let old = now - 31 * DAY_MS;
    let finished =
        |id: &str, at| TraceRecord::Run(RunRow { finished_at_ms: Some(at), ..run(id, at) });
    let mut batch: Vec<_> = (0..1300).map(|i| finished(&format!("old-{i}"), old)).collect();
    batch.push(TraceRecord::Run(run("old and running", old)));
    batch.push(finished("young", now - 29 * DAY_MS));
    // Events follow their run; of the runs that stay, only old ones go.
    batch.push(event("old-7", 0, now));
    batch.extend((1..5000).map(|i| event("old and running", i, old + i as i64)));
    batch.push(event("old and running", 5000, now));
    batch.push(event("young", 5001, now));
    store.write(&batch).await.unwrap();

    let retention = Retention::default();
    assert_eq!(trim(&store, retention, now).await, Trimmed { runs: 1300, events: 4999 });
    let page = store.runs(&RunFilter::default(), None, 10).await.unwrap();
    assert_eq!(ids(&page), ["young", "old and running"]);
    assert_eq!(store.run_events("old and running", None, 10).await.unwrap().len(), 1);
    assert_eq!(store.run_events("young", None, 10).await.unwrap().len(), 1);
    assert_eq!(store.run_events("old-7", None, 10).await.unwrap().len(), 0);
}

#[tokio::test]
async fn the_audit_log_is_kept_for_its_own_time() {
    let (_directory, store) = store();
    let hour = 3_600_000;
    let entry = |sequence: u64| {
        let at_ms = sequence as i64 * hour;
        let (name, epoch) = (sequence.to_string(), 1);
        TraceRecord::AuditLog(AuditLogRow { epoch, sequence, at_ms, name, ..Default::default() })
    };
    let entries: Vec<_> = (0..10).map(entry).collect();
    store.write(&entries).await.unwrap();
    store.write(&entries).await.unwrap();
    let retention =
        Retention { audit_log_age_max: Duration::from_hours(4), ..Retention::default() };
    trim(&store, retention, 10 * hour).await;
    let kept = store.audit_log(&AuditLogFilter::default(), None, 100).await.unwrap();
    let names: Vec<&str> = kept.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["9", "8", "7", "6"]);
}

#[tokio::test]
async fn the_oldest_finished_runs_go_by_count() {
    let (_directory, store) = store();
    let batch: Vec<_> = (0..20_i64)
        .map(|i| RunRow { finished_at_ms: (i != 2).then_some(i), ..run(&format!("{i:02}"), i) })
        .map(TraceRecord::Run)
        .collect();
    store.write(&batch).await.unwrap();
    let retention =
        Retention { age_max: Duration::from_hours(24), runs_max: 5, ..Retention::default() };
    assert_eq!(trim(&store, retention, 20).await, Trimmed { runs: 15, events: 0 });
    let page = store.runs(&RunFilter::default(), None, 10).await.unwrap();
    assert_eq!(ids(&page), ["19", "18", "17", "16", "02"]);
}

#[tokio::test]
async fn a_reopened_store_keeps_its_rows_and_a_newer_one_is_refused() {
    let (directory, store) = store();
    store.write(&[TraceRecord::Run(run("r", 1))]).await.unwrap();
    store.close().await;
    let file = directory.path().join(Store::FILE_NAME);
    let store = Store::new(file.as_path());
    assert!(store.run("r").await.unwrap().is_some());
    store.close().await;

    let mut connection =
        SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (99, 'of the future', TRUE, x'00', 0)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let error = Store::new(file.as_path()).run("r").await.unwrap_err();
    assert!(matches!(error, StoreError::Migrate { .. }), "{error:?}");
    assert!(error.to_string().contains("history.db"), "{error}");
}
