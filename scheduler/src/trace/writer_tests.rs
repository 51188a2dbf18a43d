//! The writer between a spool and stores that fail in every way. Absent: what each of them does alone.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::spool_tests::event;
use super::*;

const FAST: WriterOptions = WriterOptions {
    batch_records_min: 7,
    batch_records_max: 7,
    linger: Duration::ZERO,
    backoff_first: Duration::from_millis(1),
    backoff_max: Duration::from_millis(2),
    trim_every: Duration::from_hours(1),
    drain_max: Duration::from_mins(1),
    retention: Retention {
        age_max: Duration::from_hours(24),
        runs_max: 10,
        audit_log_age_max: Duration::from_hours(24),
    },
};

/// A store that fails by a script, one letter a write: `x` before it has written, `y` after it has
/// (the answer got lost), anything else or the end: not.
#[derive(Default)]
struct Scripted(Mutex<Script>);

#[derive(Default)]
struct Script {
    letters: Vec<char>,
    written: Vec<u64>,
    trims: usize,
}

impl Scripted {
    fn new(letters: &str) -> Arc<Self> {
        let letters = letters.chars().rev().collect();
        Arc::new(Self(Mutex::new(Script { letters, ..Script::default() })))
    }

    fn written(&self) -> Vec<u64> {
        self.0.lock().unwrap().written.clone()
    }

    fn error() -> StoreError {
        StoreError::Statement {
            what: "write",
            target: "history.db".to_owned(),
            source: sqlx::Error::PoolTimedOut,
        }
    }
}

impl TraceStore for Scripted {
    fn write<'a>(&'a self, records: &'a [TraceRecord]) -> BoxFuture<'a, Result<(), StoreError>> {
        let mut script = self.0.lock().unwrap();
        let letter = script.letters.pop();
        if letter != Some('x') {
            for record in records {
                let TraceRecord::Event(event) = record else { panic!("{record:?}") };
                script.written.push(event.sequence);
            }
        }
        let result = if matches!(letter, Some('x' | 'y')) { Err(Self::error()) } else { Ok(()) };
        async move { result }.boxed()
    }

    fn trim(&self, _: Retention, _: i64) -> BoxFuture<'_, Result<Trimmed, StoreError>> {
        let mut script = self.0.lock().unwrap();
        script.trims += 1;
        let runs = u64::from(script.trims < 3);
        async move { Ok(Trimmed { runs, events: 0 }) }.boxed()
    }
}

fn append(spool: &Spool, range: std::ops::Range<u64>) {
    for i in range {
        spool.append(&[event(i)]).unwrap();
    }
}

#[tokio::test]
async fn the_more_wait_the_more_go_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, reader) = Spool::open(directory.path(), SpoolLimits::default()).unwrap();
    append(&spool, 0..60);
    let store = Scripted::new("----x");
    let options = WriterOptions { batch_records_min: 2, batch_records_max: 16, ..FAST };
    let mut writer = Writer::new(reader, store.clone(), options);
    let mut moved = Vec::new();
    loop {
        match writer.step().await {
            Step::Moved(records) => moved.push(records),
            Step::Failed(_) => moved.push(0),
            Step::Idle => break,
        }
    }
    assert_eq!(moved, [2, 4, 8, 16, 0, 8, 16, 6]);
    append(&spool, 60..70);
    let Step::Moved(next) = writer.step().await else { panic!("there is more") };
    assert_eq!(next, 8, "few were left");
    assert_eq!(store.written(), (0..68).collect::<Vec<_>>());
}

#[tokio::test]
async fn failures_lose_and_reorder_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, reader) = Spool::open(directory.path(), SpoolLimits::default()).unwrap();
    append(&spool, 0..50);
    let store = Scripted::new("x-xxx--y-yx");
    let mut writer = Writer::new(reader, store.clone(), FAST);
    let failure = writer.progress();
    let (mut moved, mut failed) = (0, 0);
    loop {
        match writer.step().await {
            Step::Moved(records) => {
                assert_eq!(failure.failure(), None);
                moved += records;
            }
            Step::Failed(_) => {
                let reason = failure.failure().unwrap();
                assert!(reason.contains("history.db") && reason.contains("timed out"), "{reason}");
                failed += 1;
            }
            Step::Idle => break,
        }
        assert_eq!(spool.lag().records, 50 - moved as u64);
    }
    assert_eq!((moved, failed), (50, 7));
    // Written twice where the answer got lost, each time in order: the store drops what it knows.
    let mut written = store.written();
    assert_eq!(written.len(), 50 + 2 * 7);
    written.sort_unstable();
    written.dedup();
    assert_eq!(written, (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_task_moves_what_was_left_and_what_comes_and_stops_when_told() {
    let directory = tempfile::tempdir().unwrap();
    append(&Spool::open(directory.path(), SpoolLimits::default()).unwrap().0, 0..10);

    let (spool, reader) = Spool::open(directory.path(), SpoolLimits::default()).unwrap();
    let store = Scripted::new("xxyx");
    let stop = CancellationToken::new();
    let task = Writer::new(reader, store.clone(), FAST).run(stop.clone());
    let owner = async {
        append(&spool, 10..30);
        // The task cleans in between, too, until there is nothing left to clean.
        while spool.lag().records > 0 || store.0.lock().unwrap().trims < 3 {
            tokio::task::yield_now().await;
        }
        // What arrives with the signal is still moved.
        append(&spool, 30..60);
        stop.cancel();
    };
    tokio::join!(task, owner);
    assert_eq!(spool.lag().records, 0);
    assert_eq!(store.0.lock().unwrap().trims, 3);
    let mut written = store.written();
    written.sort_unstable();
    written.dedup();
    assert_eq!(written, (0..60).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_store_that_stays_dead_does_not_keep_the_task_from_stopping() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, reader) = Spool::open(directory.path(), SpoolLimits::default()).unwrap();
    append(&spool, 0..5);
    let slow = WriterOptions {
        backoff_first: Duration::from_hours(1),
        backoff_max: Duration::from_hours(1),
        ..FAST
    };
    let store = Scripted::new("xxx");
    let stop = CancellationToken::new();
    let task = Writer::new(reader, store.clone(), slow).run(stop.clone());
    let owner = async {
        while store.0.lock().unwrap().letters.len() == 3 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    tokio::join!(task, owner);
    assert_eq!(spool.lag().records, 5);
}

/// The real database, at a path that cannot be opened at first; then a restart in between.
#[tokio::test]
async fn a_database_that_comes_late_gets_everything_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(Store::FILE_NAME);
    std::fs::create_dir(&file).unwrap();
    let run = |version| {
        TraceRecord::Run(RunRow {
            id: "run-0".to_owned(),
            job: "job".to_owned(),
            version,
            ..RunRow::default()
        })
    };
    let limits = SpoolLimits::default();

    let (history, mut writer) = History::open(directory.path(), None, limits, FAST).unwrap();
    history.append(&[run(1), event(0), event(7)]).unwrap();
    assert!(matches!(writer.step().await, Step::Failed(_)));
    assert!(history.run("run-0").await.is_err());
    let lag = history.lag();
    assert_eq!((lag.spool.records, lag.failure.is_some()), (3, true));
    drop((history, writer));

    let (history, mut writer) = History::open(directory.path(), None, limits, FAST).unwrap();
    history.append(&[run(2), event(14)]).unwrap();
    assert!(matches!(writer.step().await, Step::Failed(_)));
    std::fs::remove_dir(&file).unwrap();
    while !matches!(writer.step().await, Step::Idle) {}
    assert_eq!(history.lag(), Lag { written_records: 5, errors: 1, ..Lag::default() });
    assert_eq!(history.run("run-0").await.unwrap().unwrap().version, 2);
    let events = history.run_events("run-0", None, 10).await.unwrap();
    assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [0, 7, 14]);
    assert_eq!(history.last_runs("job", 5).await.unwrap().len(), 1);
    history.close().await;
}
