//! The ZooKeeper registry against a real server, one for the whole test binary: the contract, and
//! what only it does. Absent: whole schedulers; those are driven from the end-to-end tests.

mod clusters;
pub(crate) mod server;

use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::watch;
use zookeeper_client::{Client, CreateMode};

use super::contract_tests::{Fixture, content, delete, leader, one, path, set};
use super::zookeeper_config::ZooKeeperConfig;
use super::*;
use server::Server;

/// As short as the server allows, so that tests of lost sessions are short.
const SESSION_TIMEOUT: Duration = Duration::from_secs(2);

/// Anything that takes longer than this on a busy machine does not happen at all.
const PATIENCE: Duration = Duration::from_mins(1);

/// A namespace of its own on the shared server.
pub(super) struct ZooKeeper {
    config: ZooKeeperConfig,
}

// === impl ZooKeeper ===

impl ZooKeeper {
    fn with_auth(auth: Option<&str>) -> Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        let server = SERVER.get_or_init(Server::start);
        let namespace = uuid::Uuid::new_v4().to_string();
        let address = format!("zk://{}/chroot", server.address());
        let auth = auth.map(str::to_owned);
        let config = ZooKeeperConfig::new(&address, &namespace, auth).unwrap();
        let config =
            ZooKeeperConfig { session_timeout: SESSION_TIMEOUT, is_ours: |_| true, ..config };
        Self { config }
    }

    fn process(&self) -> (Box<dyn Registry>, watch::Receiver<Standing>) {
        let (standing, seen) = watch::channel(Standing::Starting);
        (Box::new(ZooKeeperRegistry::new(self.config.clone(), standing)), seen)
    }

    /// Any ZooKeeper client, at the namespace.
    async fn client(&self) -> Client {
        self.config.connect().await.unwrap()
    }
}

impl Fixture for ZooKeeper {
    // Each step is a round trip or several.
    const CASES: u32 = 8;

    fn new() -> Self {
        Self::with_auth(None)
    }

    async fn open(&mut self) -> Box<dyn Registry> {
        self.process().0
    }
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("in vain: {what}"))
}

/// Who leads, as a standby sees it.
fn leading(standing: &Standing) -> Option<&LeaderInfo> {
    match standing {
        Standing::Standby { leader } => leader.as_ref(),
        _ => None,
    }
}

// === elections ===

#[tokio::test]
async fn the_next_candidate_leads_when_the_leader_leaves() {
    let fixture = ZooKeeper::new();
    let (mut first, _) = fixture.process();
    let tenure = first.take_over(leader("first")).await.unwrap();
    first.commit(tenure.epoch, one(vec![set("x", "first")])).await.unwrap();

    let (mut second, mut standing) = fixture.process();
    let taking_over = second.take_over(leader("second"));
    let known = |standing: &Standing| matches!(standing, Standing::Standby { leader: Some(_) });
    let seen = soon("the standby knows", standing.wait_for(known)).await.unwrap().clone();
    assert_eq!(leading(&seen).map(|leader| &*leader.id), Some("first"));
    // A third behind the second does not overtake it.
    let (mut third, mut third_standing) = fixture.process();
    let third_taking_over = third.take_over(leader("third"));
    soon("the third knows", third_standing.wait_for(known)).await.unwrap();

    let left = jiff::Timestamp::now();
    first.close().await;
    let next = soon("the second leads", taking_over).await.unwrap();
    assert_eq!(next.epoch, Epoch(tenure.epoch.0 + 1));
    assert!(next.nodes.contains(&(path("x"), "first".into())));
    let is_second =
        |standing: &Standing| leading(standing).is_some_and(|leader| leader.id == "second");
    let seen = soon("the third hears of it", third_standing.wait_for(is_second)).await.unwrap();
    assert!(leading(&seen).unwrap().since >= left, "since it leads, not since it stands by");
    drop(seen);
    second.close().await;
    let last = soon("the third leads", third_taking_over).await.unwrap();
    assert_eq!(last.epoch, Epoch(tenure.epoch.0 + 2));
}

#[tokio::test]
async fn a_deposed_leader_writes_nothing_and_can_lead_again() {
    let fixture = ZooKeeper::new();
    let (mut first, _) = fixture.process();
    let tenure = first.take_over(leader("first")).await.unwrap();
    assert!(tenure.lease.is_held());
    // The candidate goes behind the leader's back, as after a session's end.
    let client = fixture.client().await;
    let names = client.list_children("/ha/election").await.unwrap();
    client.delete(&format!("/ha/election/{}", names[0]), None).await.unwrap();
    let (mut second, _) = fixture.process();
    let next = soon("the second leads", second.take_over(leader("second"))).await.unwrap();

    let error = first.commit(tenure.epoch, one(vec![set("x", "late")])).await.unwrap_err();
    assert!(
        matches!(error, CommitError::Fenced { held, found } if held == tenure.epoch && found == next.epoch)
            // The lease may have told it before.
            || matches!(error, CommitError::Refused(Refusal::NotLeading)),
        "{error:?}"
    );
    soon("the lease ends", tenure.lease.lost()).await;
    assert!(!tenure.lease.is_held());
    second.commit(next.epoch, one(vec![set("x", "second")])).await.unwrap();
    second.close().await;
    let again = soon("the first leads again", first.take_over(leader("first"))).await.unwrap();
    assert_eq!(content(&again), [("x".to_owned(), "second".to_owned())]);
    first.commit(again.epoch, one(vec![set("x", "first")])).await.unwrap();
}

#[tokio::test]
async fn a_commit_is_not_done_without_the_one_before_it() {
    let fixture = ZooKeeper::new();
    let (mut registry, _) = fixture.process();
    let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
    registry.commit(epoch, one(vec![set("x", "1")])).await.unwrap();
    // As the server sees it when a commit was lost on its way and the next one was not.
    fixture.client().await.set_data("/ha/commits", b"", None).await.unwrap();
    let error = registry.commit(epoch, one(vec![set("x", "2")])).await.unwrap_err();
    assert!(
        matches!(&error, CommitError::Refused(Refusal::Conflict { path, .. }) if path == "ha/commits"),
        "{error:?}"
    );
    let again = registry.take_over(leader("a")).await.unwrap();
    assert_eq!(content(&again), [("x".to_owned(), "1".to_owned())]);
    registry.commit(again.epoch, one(vec![set("x", "2")])).await.unwrap();
}

/// What happened is told by epochs: none is used twice.
#[tokio::test]
async fn epochs_go_on_when_the_leader_s_node_was_deleted_by_hand() {
    let fixture = ZooKeeper::new();
    let (mut registry, _) = fixture.process();
    for _ in 0..2 {
        registry.take_over(leader("a")).await.unwrap();
    }
    let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
    registry.commit(epoch, one(vec![set("x", "1")])).await.unwrap();
    fixture.client().await.delete("/ha/leader", None).await.unwrap();
    let again = soon("it leads again", registry.take_over(leader("a"))).await.unwrap();
    assert!(again.epoch > epoch, "{:?} after {epoch:?}", again.epoch);
    registry.commit(again.epoch, one(vec![set("x", "2")])).await.unwrap();
}

#[tokio::test]
async fn the_lease_is_renewed_without_commits() {
    let fixture = ZooKeeper::new();
    let (mut registry, _) = fixture.process();
    let tenure = registry.take_over(leader("a")).await.unwrap();
    let ended = tokio::time::timeout(SESSION_TIMEOUT * 2, tenure.lease.lost()).await;
    assert!(ended.is_err() && tenure.lease.is_held());
}

#[tokio::test]
async fn a_broken_connection_ends_the_tenure_and_another_follows() {
    let server = Server::start();
    let config = ZooKeeper::new().config;
    let address = server.address();
    let fixture = ZooKeeper { config: ZooKeeperConfig { hosts: address, ..config } };
    let (mut registry, _) = fixture.process();
    let tenure = registry.take_over(leader("a")).await.unwrap();
    registry.commit(tenure.epoch, one(vec![set("x", "1")])).await.unwrap();
    let late: Vec<_> = (0..20)
        .map(|i| registry.commit(tenure.epoch, one(vec![set(&format!("y/{i:02}"), "")])))
        .collect();
    let server = server.restart();
    soon("the lease ends", tenure.lease.lost()).await;
    let mut done = 0;
    for (i, commit) in late.into_iter().enumerate() {
        match soon("an outcome", commit).await {
            Ok(()) => done = i + 1,
            Err(CommitError::Unknown { .. } | CommitError::Refused(Refusal::NotLeading)) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    let mut next = registry.take_over(leader("a")).await;
    while let Err(error) = next {
        assert!(matches!(error, TakeOverError::ZooKeeper { .. }), "{error:?}");
        next = soon("it leads again", registry.take_over(leader("a"))).await;
    }
    let found = content(&next.unwrap());
    // Whatever was done of them is a beginning, and what was acknowledged is in it.
    let names: Vec<_> = found.iter().filter_map(|(name, _)| name.strip_prefix("y/")).collect();
    let expected: Vec<_> = (0..names.len()).map(|i| format!("{i:02}")).collect();
    assert_eq!(names, expected);
    assert!(names.len() >= done, "{done} were acknowledged, {} are there", names.len());
    drop(server);
}

// === limits ===

#[tokio::test]
async fn lists_of_children_beyond_the_default_packet_size_are_read() {
    const CHILDREN: usize = 20_000;
    let fixture = ZooKeeper::new();
    let (mut registry, _) = fixture.process();
    let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
    // As long as the name of a run may be, so that the list has 2 MB.
    let name = |i: usize| format!("state/ready/job/{}@{i:06}", "j".repeat(100));
    for thousand in 0..CHILDREN / 1_000 {
        let changes = (0..1_000).map(|i| set(&name(thousand * 1_000 + i), "")).collect();
        registry.commit(epoch, one(changes)).await.unwrap();
    }
    let again = soon("it leads again", registry.take_over(leader("a"))).await.unwrap();
    assert_eq!(content(&again).len(), CHILDREN + 1);
    let gone = (0..CHILDREN).map(|i| delete(&name(i))).collect::<Vec<_>>();
    for part in gone.chunks(1_000) {
        registry.commit(again.epoch, one(part.to_vec())).await.unwrap();
    }
}

#[tokio::test]
async fn what_the_servers_would_cut_the_connection_for_is_refused_with_the_reason() {
    let fixture = ZooKeeper::new();
    let (mut registry, _) = fixture.process();
    let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
    let largest = "x".repeat(VALUE_BYTES_MAX);
    registry.commit(epoch, one(vec![set("x", &largest)])).await.unwrap();
    let error = registry.commit(epoch, one(vec![set("x", &(largest + "x"))])).await.unwrap_err();
    assert!(matches!(error, CommitError::TooLarge { .. }), "{error:?}");
    let again = registry.take_over(leader("a")).await.unwrap();
    assert_eq!(content(&again)[0].1.len(), VALUE_BYTES_MAX);
}

// === what others put there ===

#[tokio::test]
async fn garbage_is_left_alone_and_does_not_stop_anything() {
    let fixture = ZooKeeper::new();
    let (mut registry, _) = fixture.process();
    let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
    registry.commit(epoch, one(vec![set("job/run", "1"), set("job/other", "1")])).await.unwrap();
    let client = fixture.client().await;
    let anyone = fixture.config.options(CreateMode::Persistent);
    for node in ["/job/run/garbage", "/garbage", "/ha/election/garbage"] {
        client.create(node, b"\xff\xfe", &anyone).await.unwrap();
    }
    // Unknown to the leader, it stands in the way once.
    let error = registry.commit(epoch, one(vec![delete("job/run")])).await.unwrap_err();
    assert!(
        matches!(&error, CommitError::Refused(Refusal::Conflict { path, .. }) if path == "job/run"),
        "{error:?}"
    );
    drop(registry);

    let is_ours = |path: &Path| path.name() != "garbage";
    let fixture = ZooKeeper { config: ZooKeeperConfig { is_ours, ..fixture.config } };
    let (mut registry, _) = fixture.process();
    let tenure = soon("it leads", registry.take_over(leader("b"))).await.unwrap();
    let pair = |name: &str, data: &str| (name.to_owned(), data.to_owned());
    let expected = [pair("job/other", "1"), pair("job/run", "1")];
    assert_eq!(content(&tenure), expected);
    let gone = vec![delete("job"), delete("job/run"), delete("job/other")];
    registry.commit(tenure.epoch, one(gone)).await.unwrap();
    // What had to stay is empty, and gone to its readers.
    let again = registry.take_over(leader("b")).await.unwrap();
    assert!(content(&again).is_empty());
    let tree = ZooKeeperRegistry::read(&fixture.config).await.unwrap();
    assert!(tree.get(&path("job/run/garbage")).is_some());
    assert!(children(&tree, Some(&path("ha/election"))).len() > 1);
}

#[tokio::test]
async fn what_others_change_is_told_and_what_this_process_writes_is_not() {
    let fixture = ZooKeeper::new();
    let (mut registry, _) = fixture.process();
    let mut tenure = registry.take_over(leader("a")).await.unwrap();
    let epoch = tenure.epoch;
    let node = |i: usize| format!("config/job/own{i:04}");
    // Many of its own on their way, so that what is written later is not yet what is read.
    let mut commits = Vec::new();
    for round in 0..3 {
        for i in 0..100 {
            let change = set(&node(i), &round.to_string());
            commits.push(registry.commit(epoch, one(vec![change])));
            if commits.len() == 50 {
                for commit in commits.drain(..) {
                    commit.await.unwrap();
                }
            }
        }
    }
    let client = fixture.client().await;
    let anyone = fixture.config.options(CreateMode::Persistent);
    client.create("/config/job/b", b"1", &anyone).await.unwrap();
    let told = async |tenure: &mut Tenure| {
        soon("it is told", tenure.changes.recv()).await.expect("it is watched")
    };
    assert_eq!(told(&mut tenure).await, set("config/job/b", "1"));
    client.set_data("/config/job/own0007", b"by hand", None).await.unwrap();
    assert_eq!(told(&mut tenure).await, set("config/job/own0007", "by hand"));
    client.delete("/config/job/own0008", None).await.unwrap();
    assert_eq!(told(&mut tenure).await, delete("config/job/own0008"));
    client.mkdir("/state/disable/job", &anyone).await.unwrap();
    client.create("/state/disable/job/b", b"", &anyone).await.unwrap();
    let mut flags = vec![told(&mut tenure).await];
    while flags.last() != Some(&set("state/disable/job/b", "")) {
        flags.push(told(&mut tenure).await);
    }
    // It goes on from what is there now: sets, creates and removes what it finds.
    let changes = vec![
        set("config/job/b", "2"),
        set("config/job/own0007", "x"),
        set("config/job/own0008", "y"),
        delete("state/disable/job/b"),
    ];
    registry.commit(epoch, one(changes)).await.unwrap();
    // What only a leader writes is not watched.
    client.mkdir("/state/ready/b", &anyone).await.unwrap();
    client.create("/config/job/last", b"", &anyone).await.unwrap();
    assert_eq!(told(&mut tenure).await, set("config/job/last", ""));
    assert!(tenure.changes.try_recv().is_err(), "nothing else");
    assert!(tenure.lease.is_held(), "and it leads on");

    // The next tenure in the same session watches as well, and tells of nothing older.
    client.set_data("/ha/commits", b"", None).await.unwrap();
    registry.commit(epoch, one(vec![set("x", "lost")])).await.unwrap_err();
    let mut tenure = soon("it leads again", registry.take_over(leader("a"))).await.unwrap();
    client.set_data("/config/job/b", b"3", None).await.unwrap();
    assert_eq!(told(&mut tenure).await, set("config/job/b", "3"));
}

#[tokio::test]
async fn more_changes_than_can_be_told_are_taken_in_by_taking_over() {
    let fixture = ZooKeeper::new();
    let (mut registry, _) = fixture.process();
    let tenure = registry.take_over(leader("a")).await.unwrap();
    let client = fixture.client().await;
    let anyone = fixture.config.options(CreateMode::Persistent);
    client.mkdir("/config/job", &anyone).await.unwrap();
    for thousand in 0..11 {
        let mut multi = client.new_multi_writer();
        for i in 0..1_000 {
            multi.add_create(&format!("/config/job/{thousand}-{i}"), b"x", &anyone).unwrap();
        }
        multi.commit().await.unwrap();
    }
    // Nobody listens, so that they fill the queue.
    soon("it gives up", tenure.lease.lost()).await;
    let again = soon("it leads again", registry.take_over(leader("a"))).await.unwrap();
    assert_eq!(content(&again).len(), 11_000);
}

#[tokio::test]
async fn a_leader_node_that_is_garbage_stops_the_take_over_with_the_reason() {
    let fixture = ZooKeeper::new();
    let (mut registry, _) = fixture.process();
    registry.take_over(leader("a")).await.unwrap();
    fixture.client().await.set_data("/ha/leader", b"{", None).await.unwrap();
    let error = registry.take_over(leader("a")).await.unwrap_err();
    assert!(matches!(error, TakeOverError::LeaderRecord { .. }), "{error:?}");
}

#[tokio::test]
async fn nodes_made_with_credentials_are_for_their_user_only() {
    let fixture = ZooKeeper::with_auth(Some("user:secret"));
    let (mut registry, _) = fixture.process();
    let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
    registry.commit(epoch, one(vec![set("x", "1")])).await.unwrap();
    let stranger = ZooKeeperConfig { auth: None, ..fixture.config.clone() };
    let error = ZooKeeperRegistry::read(&stranger).await.unwrap_err();
    assert!(error.to_string().contains("SHIFTWORK_ZK_AUTH"), "{error}");
    let tree = ZooKeeperRegistry::read(&fixture.config).await.unwrap();
    assert_eq!(tree.get(&path("x")).map(|data| &data[..]), Some(&b"1"[..]));
}

#[tokio::test]
async fn nobody_at_the_address_is_said_so() {
    // The reserved port: nobody listens there.
    let config = ZooKeeperConfig::new("zk://127.0.0.1:1", "ns", None).unwrap();
    let config = ZooKeeperConfig { session_timeout: Duration::from_secs(1), ..config };
    let (standing, _) = watch::channel(Standing::Starting);
    let mut registry = ZooKeeperRegistry::new(config, standing);
    let error = registry.take_over(leader("a")).await.unwrap_err();
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
}
