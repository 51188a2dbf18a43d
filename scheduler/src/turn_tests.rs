//! What an owner does that may not act any more, and how many commits it makes of updates. Absent: what
//! else it does while it leads; the API's tests and the end-to-end tests show that.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use shiftwork_engine::Settings;
use shiftwork_engine::ids::{AgentId, TaskId};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use super::*;
use crate::mesos::{self, DriverConfig};
use crate::metrics::Reading;
use crate::registry::{LeaderInfo, MemoryRegistry};
use crate::trace::{SpoolLimits, WriterOptions};

/// An owner on an empty registry, with a lease of the test's own.
async fn owner(lease: Lease, inbox: &Inbox, directory: &TempDir) -> Owner {
    let mut registry: Box<dyn Registry> = Box::new(MemoryRegistry::new());
    let leader =
        LeaderInfo { id: "test".to_owned(), addresses: Vec::new(), since: jiff::Timestamp::now() };
    let tenure = Tenure { lease, ..registry.take_over(leader).await.unwrap() };
    let mut restored = Effects::default();
    let engine = Engine::restore(Settings::default(), 1, now(), Vec::new(), &mut restored);
    let (history, _) =
        History::open(directory.path(), None, SpoolLimits::default(), WriterOptions::default())
            .unwrap();
    // The reserved port: nobody listens there.
    let driver = DriverConfig::new(vec!["127.0.0.1:1".to_owned()]);
    let (events, _) = mpsc::channel(1);
    let stop = CancellationToken::new();
    stop.cancel();
    let driver = mesos::spawn(driver, None, events, &TaskTracker::new(), stop).unwrap();
    let outlets = Outlets {
        driver,
        history,
        metrics: Metrics::new(),
        agents: AgentBook::default(),
        secrets: Secrets::new(None, super::channel().0),
    };
    Owner::new(engine, restored, registry, &tenure, outlets, inbox)
}

/// An hour from now.
fn later() -> Instant {
    Instant::now() + Duration::from_hours(1)
}

#[tokio::test]
async fn a_lost_lease_ends_the_tenure() {
    let directory = tempfile::tempdir().unwrap();
    let (handle, mut inbox) = channel();
    let lease = Lease::until(later());
    let owner = owner(lease.clone(), &inbox, &directory).await;
    let (_sender, mut events) = mpsc::channel(1);
    let never = CancellationToken::new();
    // The other handle stays: nobody has let go of the owner.
    let asking = handle.clone();
    let asked = tokio::spawn(async move { asking.query(|_| ()).await });
    let run = owner.run(&mut inbox, &mut events, &never);
    let end = async {
        assert_eq!(asked.await.unwrap(), Ok(()), "it leads");
        lease.end();
    };
    let ((ended, _), ()) = tokio::join!(run, end);
    assert!(matches!(ended, Ended::LeaseLost), "{ended:?}");
}

#[tokio::test]
async fn an_owner_that_wakes_after_its_time_does_nothing_more() {
    let directory = tempfile::tempdir().unwrap();
    let (handle, mut inbox) = channel();
    // Over, and nobody has said so yet: as after a long freeze.
    let lease = Lease::until(Instant::now());
    let owner = owner(lease, &inbox, &directory).await;
    let (_sender, mut events) = mpsc::channel(1);
    let asked = tokio::spawn(async move { handle.query(|_| ()).await });
    let never = CancellationToken::new();
    let (ended, _) = owner.run(&mut inbox, &mut events, &never).await;
    assert!(matches!(ended, Ended::LeaseLost), "{ended:?}");
    inbox.refuse_all();
    drop(inbox);
    assert_eq!(asked.await.unwrap(), Err(Unavailable));
}

/// A clock that is right, and as soon as a test says so an hour slow.
fn slow_clock() -> Timestamp {
    let slow = i64::from(CLOCK_IS_SLOW.load(Ordering::Relaxed));
    now().plus_millis(-3_600_000 * slow)
}

static CLOCK_IS_SLOW: AtomicBool = AtomicBool::new(false);

#[tokio::test]
async fn a_clock_that_is_set_back_ends_the_tenure() {
    let directory = tempfile::tempdir().unwrap();
    let (handle, mut inbox) = channel();
    let mut owner = owner(Lease::unlimited(), &inbox, &directory).await;
    owner.clock = slow_clock;
    let (_sender, mut events) = mpsc::channel(1);
    let never = CancellationToken::new();
    let run = owner.run(&mut inbox, &mut events, &never);
    let set_back = async {
        assert_eq!(handle.query(|_| ()).await, Ok(()), "it leads");
        CLOCK_IS_SLOW.store(true, Ordering::Relaxed);
    };
    let ((ended, _), ()) = tokio::join!(run, set_back);
    assert!(matches!(ended, Ended::ClockSetBack { by_ms: 3_000_000..=3_600_000 }), "{ended:?}");
}

fn update(number: u64) -> Event {
    Event::Status(StatusUpdate {
        task: TaskId::new(format!("job@-@0@-@READY@-@agent@-@{number}")),
        agent: Some(AgentId::new("agent")),
        state: TaskState::Finished,
        reason: StatusReason::Other,
        message: None,
        uuid: Some(number.to_be_bytes().to_vec()),
        outcome: None,
    })
}

fn commits(metrics: &Metrics) -> u64 {
    let text = metrics.text(&Reading::default());
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("shiftwork_commits_total{outcome=\"committed\"} "));
    line.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn updates_that_come_one_by_one_in_quick_succession_share_commits() {
    let directory = tempfile::tempdir().unwrap();
    let (handle, mut inbox) = channel();
    let owner = owner(Lease::unlimited(), &inbox, &directory).await;
    let metrics = owner.outlets.metrics.clone();
    let (sender, mut events) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let run = owner.run(&mut inbox, &mut events, &stop);
    let feed = async {
        // Alone it is acknowledged at once: each of these rests on a commit of its own.
        for number in 0..5 {
            sender.send(update(number)).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let alone = commits(&metrics);
        for number in 0..1_000 {
            sender.send(update(number)).await.unwrap();
            // Who only asks makes no commit.
            handle.query(|_| ()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.cancel();
        (alone, commits(&metrics) - alone)
    };
    let ((ended, _), (alone, together)) = tokio::join!(run, feed);
    assert!(matches!(ended, Ended::Shutdown), "{ended:?}");
    assert!(alone >= 5, "{alone} commits for five lone updates");
    assert!((17..35).contains(&together), "{together} commits for a thousand updates in a second");
}
