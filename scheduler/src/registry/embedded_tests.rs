//! What only the embedded registry does: locks, damaged files, being killed. Absent: the contract.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use super::super::VALUE_BYTES_MAX;
use super::super::contract_tests::{content, delete, leader, one, path, set};
use super::*;

/// Tells the re-executed test binary that it is the child to be killed, and where to write.
const KILLED_CHILD_DIR: &str = "SHIFTWORK_TEST_KILLED_CHILD_DIR";

/// What the child prints in front of the number of a commit that was acknowledged.
const ACKNOWLEDGED: &str = "acknowledged ";

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A process is killed in the middle of its commits: what it was told is there, is there, and no
/// batch is there in part. The process is this test again, told apart by its environment.
#[test]
fn a_killed_process_leaves_whole_acknowledged_batches() {
    if let Ok(data_dir) = std::env::var(KILLED_CHILD_DIR) {
        block_on(commit_until_killed(data_dir.as_ref()));
    }
    let directory = tempfile::tempdir().unwrap();
    let mut committed = 0;
    for lines in [1, 2, 5, 17, 40] {
        let acknowledged = kill_child_after(directory.path(), lines);
        assert!(acknowledged > committed, "the child committed nothing");
        let found = block_on(read_back(directory.path()));
        assert!(found >= acknowledged, "{acknowledged} was acknowledged, {found} is the last");
        committed = found;
    }
}

/// Never returns. Commit `n` is a batch of two transactions that both say `n`.
async fn commit_until_killed(data_dir: &FilePath) {
    let mut registry = EmbeddedRegistry::open(data_dir).await.unwrap();
    let tenure = registry.take_over(leader("child")).await.unwrap();
    let mut n = tenure.nodes.iter().filter(|(at, _)| at.as_str().starts_with("log/")).count();
    loop {
        n += 1;
        let filler = "x".repeat(n * 977 % 50_000);
        let batch = vec![
            Transaction::new(vec![set("first", &n.to_string()), set("filler", &filler)]),
            Transaction::new(vec![set("second", &n.to_string()), set(&format!("log/{n}"), "")]),
        ];
        registry.commit(tenure.epoch, batch).await.unwrap();
        eprintln!("{ACKNOWLEDGED}{n}");
    }
}

/// Runs the child until it has printed so many lines, kills it, and returns the last number it
/// managed to print.
fn kill_child_after(data_dir: &FilePath, lines: usize) -> usize {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--nocapture", "--test-threads=1", "a_killed_process_leaves_whole"])
        .env(KILLED_CHILD_DIR, data_dir)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stderr.take().unwrap());
    let mut numbers = output.lines().map_while(Result::ok).filter_map(|line| {
        line.strip_prefix(ACKNOWLEDGED).and_then(|number| number.parse::<usize>().ok())
    });
    let seen = numbers.by_ref().take(lines).last();
    child.kill().unwrap();
    child.wait().unwrap();
    numbers.last().or(seen).unwrap_or(0)
}

/// The number of the last commit, after checking that all its parts are there and nothing more.
async fn read_back(data_dir: &FilePath) -> usize {
    let mut registry = EmbeddedRegistry::open(data_dir).await.unwrap();
    let nodes = content(&registry.take_over(leader("parent")).await.unwrap());
    let value =
        |name: &str| nodes.iter().find(|(at, _)| at == name).map(|(_, data)| data.clone()).unwrap();
    let last: usize = value("first").parse().unwrap();
    assert_eq!(value("second"), last.to_string());
    assert_eq!(value("filler").len(), last * 977 % 50_000);
    let log: Vec<_> = (1..=last).map(|n| format!("log/{n}")).collect();
    let found = nodes.iter().filter(|(at, _)| at.starts_with("log/")).count();
    assert_eq!(found, last);
    assert!(log.iter().all(|name| nodes.iter().any(|(at, _)| at == name)));
    last
}

#[tokio::test]
async fn a_second_process_is_told_who_is_in_the_way() {
    let directory = tempfile::tempdir().unwrap();
    let first = EmbeddedRegistry::open(directory.path()).await.unwrap();
    let error = EmbeddedRegistry::open(directory.path()).await.unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("registry.redb") && text.contains("stop that one"), "{text}");
    assert!(matches!(read_offline(directory.path()), Err(OpenError::InUse { .. })));
    drop(first);
    EmbeddedRegistry::open(directory.path()).await.unwrap();
}

#[tokio::test]
async fn read_offline_sees_the_tree_and_leaves_the_epoch_alone() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(read_offline(directory.path()), Err(OpenError::Io { .. })));
    let mut registry = EmbeddedRegistry::open(directory.path()).await.unwrap();
    let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
    registry.commit(epoch, one(vec![set("a/b", "1")])).await.unwrap();
    drop(registry);
    let before = fs::read(directory.path().join(FILE_NAME)).unwrap();
    let tree = read_offline(directory.path()).unwrap();
    assert_eq!(tree.len(), 4);
    assert_eq!(tree.get(&path("a/b")).map(|data| &data[..]), Some(&b"1"[..]));
    assert!(fs::read(directory.path().join(FILE_NAME)).unwrap() == before);
}

#[tokio::test]
async fn what_is_no_registry_is_named_and_left_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(FILE_NAME);
    for bytes in
        [b"not a database".to_vec(), vec![0; 5000], b"redb\x1a\x0a\xa9\x0d\x0a".repeat(900)]
    {
        fs::write(&file, &bytes).unwrap();
        let error = EmbeddedRegistry::open(directory.path()).await.unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains("registry.redb"), "{error}");
        assert!(fs::read(&file).unwrap() == bytes);
    }
}

/// A byte is flipped here and there in a good file: the tree that is read is the one that was
/// written, or there is an error.
#[tokio::test]
async fn a_damaged_tree_is_never_taken_for_a_good_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut registry = EmbeddedRegistry::open(directory.path()).await.unwrap();
    let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
    let changes = (0..200).map(|i| set(&format!("n/{i}"), &"value ".repeat(i))).collect();
    registry.commit(epoch, one(changes)).await.unwrap();
    drop(registry);
    let good = fs::read(directory.path().join(FILE_NAME)).unwrap();
    let tree = read_offline(directory.path()).unwrap();

    let damaged = tempfile::tempdir().unwrap();
    let file = damaged.path().join(FILE_NAME);
    let used: Vec<_> = (0..good.len()).filter(|at| good.get(*at) != Some(&0)).collect();
    let (mut refused, mut read) = (0, 0);
    for at in used.iter().step_by(used.len() / 150) {
        let mut bytes = good.clone();
        bytes[*at] ^= 0x41;
        fs::write(&file, bytes).unwrap();
        match EmbeddedRegistry::open(damaged.path()).await {
            Ok(registry) => {
                drop(registry);
                assert!(read_offline(damaged.path()).unwrap() == tree, "byte {at}");
                read += 1;
            }
            Err(OpenError::Damaged { .. }) => refused += 1,
            Err(error) => panic!("byte {at}: {error:?}"),
        }
    }
    assert!(refused > 20, "{refused} of {} refused", refused + read);
}

/// With nobody at the other end the queue fills; what could not be queued is refused, and nothing
/// may overtake it until the next take-over.
#[tokio::test]
async fn too_many_commits_at_once_are_refused_and_so_are_later_ones() {
    let (requests, inbox) = sync_channel(COMMITS_IN_FLIGHT_MAX);
    let mut registry = EmbeddedRegistry { requests: Some(requests), thread: None, overrun: false };
    let queued: Vec<_> = (0..COMMITS_IN_FLIGHT_MAX)
        .map(|_| registry.commit(Epoch(1), one(vec![set("x", "")])))
        .collect();
    let error = registry.commit(Epoch(1), Vec::new()).await.unwrap_err();
    assert!(
        matches!(error, CommitError::Refused(Refusal::Busy { in_flight_max: 64 })),
        "{error:?}"
    );
    let answer = |request: Request| match request {
        Request::Commit { answer, .. } => answer.send(Ok(())).unwrap(),
        Request::TakeOver { leader, .. } => panic!("{leader:?}"),
    };
    answer(inbox.recv().unwrap());
    let error = registry.commit(Epoch(1), Vec::new()).await.unwrap_err();
    assert!(matches!(error, CommitError::Refused(Refusal::NotLeading)), "{error:?}");
    drop(registry.take_over(leader("a")));
    let later = registry.commit(Epoch(2), Vec::new());
    assert!(later.now_or_never().is_some_and(|answer| {
        matches!(answer, Err(CommitError::Refused(Refusal::Busy { .. })))
    }));
    inbox.try_iter().take(COMMITS_IN_FLIGHT_MAX - 1).for_each(answer);
    for commit in queued {
        commit.await.unwrap();
    }
}

/// Storage whose writes can be made to fail.
#[derive(Debug)]
struct Fragile {
    storage: InMemoryBackend,
    broken: Arc<AtomicBool>,
}

impl StorageBackend for Fragile {
    fn len(&self) -> Result<u64, std::io::Error> {
        self.storage.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        self.storage.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        self.storage.set_len(len)
    }

    fn sync_data(&self) -> Result<(), std::io::Error> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(std::io::Error::other("the disk is gone"));
        }
        self.storage.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        self.storage.write(offset, data)
    }
}

/// Starts a worker on a journal and gives the registry that talks to it.
fn registry_on(data_dir: &FilePath, journal: Journal) -> EmbeddedRegistry {
    let (requests, inbox) = sync_channel(COMMITS_IN_FLIGHT_MAX);
    let (data_dir, journal) = (data_dir.to_owned(), Some(journal));
    let mut worker = Worker { data_dir, journal, tree: Tree::default(), tenure: None };
    let thread = thread::spawn(move || {
        while let Ok(first) = inbox.recv() {
            worker.serve(first, &inbox);
        }
    });
    EmbeddedRegistry { requests: Some(requests), thread: Some(thread), overrun: false }
}

/// A write fails: the outcome is unknown, what is in memory is forgotten, and the next take-over
/// reads the file again, which here says something else than the memory did.
#[tokio::test]
async fn after_a_failed_write_the_file_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut registry = EmbeddedRegistry::open(directory.path()).await.unwrap();
    let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
    registry.commit(epoch, one(vec![set("in the file", "1")])).await.unwrap();
    drop(registry);

    let broken = Arc::new(AtomicBool::new(false));
    let storage = InMemoryBackend::new();
    let journal = Journal::on_backend(Fragile { storage, broken: Arc::clone(&broken) });
    let mut registry = registry_on(directory.path(), journal);
    let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
    registry.commit(epoch, one(vec![set("in memory", "1")])).await.unwrap();
    broken.store(true, Ordering::Relaxed);
    let failed = registry.commit(epoch, one(vec![set("in memory", "2")]));
    let error = failed.await.unwrap_err();
    assert!(matches!(&error, CommitError::Unknown { .. }), "{error:?}");
    let error = registry.commit(epoch, one(vec![set("in memory", "3")])).await.unwrap_err();
    assert!(matches!(error, CommitError::Refused(Refusal::NotLeading)), "{error:?}");
    let tenure = registry.take_over(leader("a")).await.unwrap();
    assert_eq!(content(&tenure), [("in the file".to_owned(), "1".to_owned())]);
    registry.commit(tenure.epoch, one(vec![set("x", "")])).await.unwrap();
}

#[tokio::test]
async fn a_take_over_that_cannot_be_stored_does_not_lead() {
    let directory = tempfile::tempdir().unwrap();
    let broken = Arc::new(AtomicBool::new(false));
    let storage = InMemoryBackend::new();
    let journal = Journal::on_backend(Fragile { storage, broken: Arc::clone(&broken) });
    let mut registry = registry_on(directory.path(), journal);
    broken.store(true, Ordering::Relaxed);
    let error = registry.take_over(leader("a")).await.unwrap_err();
    assert!(matches!(error, TakeOverError::Storage { .. }), "{error:?}");
    let error = registry.commit(Epoch(1), one(vec![set("x", "")])).await.unwrap_err();
    assert!(matches!(error, CommitError::Refused(Refusal::NotLeading)), "{error:?}");
}

#[tokio::test]
async fn a_large_and_mostly_empty_file_is_compacted() {
    let directory = tempfile::tempdir().unwrap();
    let mut registry = EmbeddedRegistry::open(directory.path()).await.unwrap();
    let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
    let value = "x".repeat(VALUE_BYTES_MAX);
    let fill = (0..90).map(|i| Transaction::new(vec![set(&format!("n/{i}"), &value)])).collect();
    registry.commit(epoch, fill).await.unwrap();
    // What stays is spread over the whole file, so that the database cannot shrink it by itself.
    let clear = (0..90).filter(|i| i % 10 != 9);
    let clear = clear.map(|i| Transaction::new(vec![delete(&format!("n/{i}"))])).collect();
    registry.commit(epoch, clear).await.unwrap();
    drop(registry);
    let size = || fs::metadata(directory.path().join(FILE_NAME)).unwrap().len();
    let before = size();
    let mut registry = EmbeddedRegistry::open(directory.path()).await.unwrap();
    let nodes = content(&registry.take_over(leader("a")).await.unwrap());
    drop(registry);
    assert!(before > 64 << 20 && size() < 16 << 20, "{before} {}", size());
    assert_eq!(nodes.iter().filter(|(_, data)| *data == value).count(), 9);
}

#[test]
fn commits_made_durable_together_leave_the_last_state_of_each_node() {
    let write = |path: &str, data: Option<&'static str>, existed| Write {
        path: Path::new(path).unwrap(),
        data: data.map(|data| bytes::Bytes::from_static(data.as_bytes())),
        existed,
    };
    let mut group = Group::default();
    for writes in [
        vec![
            write("new", Some("1"), false),
            write("short", Some("1"), false),
            write("old", None, true),
        ],
        vec![
            write("new", Some("2"), true),
            write("short", None, true),
            write("gone", Some("1"), true),
        ],
        vec![write("old", Some("3"), false), write("gone", None, true)],
    ] {
        group.add(writes, oneshot::channel().0);
    }
    let left: Vec<_> = group.net.into_values().collect();
    let expected =
        [write("gone", None, true), write("new", Some("2"), false), write("old", Some("3"), true)];
    assert_eq!(left, expected);
}
