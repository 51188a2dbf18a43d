//! The contract of the registry as tests, run against every implementation. Absent: what only one of
//! them does; that is tested beside it.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;

use super::zookeeper_tests::ZooKeeper;
use super::*;

/// A tree that can be opened again and again, one process after the other.
pub(super) trait Fixture {
    /// How often the contract is compared with the model.
    const CASES: u32 = 64;

    fn new() -> Self;
    /// Starts a process on the tree; the one before must be gone.
    async fn open(&mut self) -> Box<dyn Registry>;
}

struct Memory(MemoryRegistry);

impl Fixture for Memory {
    fn new() -> Self {
        Self(MemoryRegistry::new())
    }

    async fn open(&mut self) -> Box<dyn Registry> {
        Box::new(self.0.clone())
    }
}

struct Embedded(TempDir);

impl Fixture for Embedded {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(&mut self) -> Box<dyn Registry> {
        Box::new(EmbeddedRegistry::open(self.0.path()).await.unwrap())
    }
}

/// Makes a module of tests for one fixture.
macro_rules! contract {
    ($module:ident, $fixture:ident, $($test:ident),* $(,)?) => {
        mod $module {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test::<super::$fixture>().await;
                }
            )*

            #[test]
            fn behaves_as_a_map() {
                super::behaves_as_a_map::<super::$fixture>();
            }
        }
    };
    ($($module:ident: $fixture:ident),*) => {
        $(contract!(
            $module,
            $fixture,
            create_replace_delete,
            parents_are_made_and_protect_their_children,
            a_batch_is_whole_and_in_order,
            a_refused_batch_writes_nothing_and_ends_the_tenure,
            old_epochs_are_fenced,
            nothing_without_a_take_over,
            the_leader_node_is_written_by_take_over_only,
            pipelined_commits_keep_their_order,
            dropped_futures_are_not_recalled,
            ten_thousand_nodes,
            limits_of_size,
            weird_names,
        );)*
    };
}

contract!(memory: Memory, embedded: Embedded, zookeeper: ZooKeeper);

// === helpers ===

pub(super) fn path(text: &str) -> Path {
    Path::new(text).unwrap()
}

pub(super) fn set(at: &str, value: &str) -> Change {
    Change::set(path(at), value)
}

pub(super) fn delete(at: &str) -> Change {
    Change::delete(path(at))
}

pub(super) fn one(changes: Vec<Change>) -> Vec<Transaction> {
    vec![Transaction::new(changes)]
}

pub(super) fn leader(id: &str) -> LeaderInfo {
    LeaderInfo {
        id: id.to_owned(),
        addresses: vec!["http://127.0.0.1:8080".to_owned()],
        since: jiff::Timestamp::UNIX_EPOCH,
    }
}

/// The nodes as text, without the leader's.
pub(super) fn content(tenure: &Tenure) -> Vec<(String, String)> {
    let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
    let nodes = tenure
        .nodes
        .iter()
        .filter(|(path, _)| !path.as_str().starts_with("ha") && !is_parent(path));
    nodes.map(|(path, data)| (path.to_string(), text(data))).collect()
}

/// Whether it stands above records, and may be there before any of them.
fn is_parent(path: &Path) -> bool {
    keys::PARENTS.iter().any(|parent| {
        parent
            .strip_prefix(path.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn pairs(nodes: &[(&str, &str)]) -> Vec<(String, String)> {
    nodes.iter().map(|(path, data)| ((*path).to_owned(), (*data).to_owned())).collect()
}

/// What a new process finds.
async fn reopened(fixture: &mut impl Fixture) -> Vec<(String, String)> {
    content(&fixture.open().await.take_over(leader("reader")).await.unwrap())
}

// === the contract ===

async fn create_replace_delete<F: Fixture>() {
    let mut fixture = F::new();
    let mut registry = fixture.open().await;
    let Tenure { epoch, nodes, .. } = registry.take_over(leader("a")).await.unwrap();
    assert_eq!(epoch, Epoch(1));
    let nodes: Vec<_> = nodes.into_iter().filter(|(path, _)| !is_parent(path)).collect();
    let names: Vec<_> = nodes.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(names, ["ha", LEADER_PATH]);
    let mut record: serde_json::Value = serde_json::from_slice(&nodes[1].1).unwrap();
    // Where it had to wait for the lead it is later than it was asked for.
    let since: jiff::Timestamp = record["since"].take().as_str().unwrap().parse().unwrap();
    assert!(since >= jiff::Timestamp::UNIX_EPOCH);
    assert_eq!(
        record,
        serde_json::json!({
            "id": "a",
            "addresses": ["http://127.0.0.1:8080"],
            "epoch": 1,
            "since": null,
        })
    );

    registry.commit(epoch, one(vec![set("x", "1"), set("y", "1")])).await.unwrap();
    registry.commit(epoch, one(vec![set("x", "2"), delete("y"), delete("z")])).await.unwrap();
    registry.commit(epoch, one(vec![set("v", "1"), set("v", "2"), set("w", "")])).await.unwrap();
    registry.commit(epoch, one(vec![set("u", "1"), delete("u")])).await.unwrap();
    registry.commit(epoch, Vec::new()).await.unwrap();
    drop(registry);
    assert_eq!(reopened(&mut fixture).await, pairs(&[("v", "2"), ("w", ""), ("x", "2")]));
    // Reading has raised the epoch and changed nothing else.
    assert_eq!(reopened(&mut fixture).await, pairs(&[("v", "2"), ("w", ""), ("x", "2")]));
    let tenure = fixture.open().await.take_over(leader("b")).await.unwrap();
    assert_eq!(tenure.epoch, Epoch(4));
}

async fn parents_are_made_and_protect_their_children<F: Fixture>() {
    let mut fixture = F::new();
    let mut registry = fixture.open().await;
    let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
    registry.commit(epoch, one(vec![set("q/job/r1", "1"), set("q/job-2", "")])).await.unwrap();
    registry.commit(epoch, one(vec![set("q/job", "count")])).await.unwrap();

    for refused in [
        vec![delete("q/job")],
        vec![delete("q"), delete("q/job"), delete("q/job-2")],
        vec![delete("q/job/r1"), delete("q/job"), set("q/job/r2", "")],
        vec![delete("absent"), set("absent/child", "")],
    ] {
        let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
        let error = registry.commit(epoch, one(refused)).await.unwrap_err();
        let CommitError::Refused(Refusal::HasChildren { path, child }) = error else {
            panic!("{error:?}");
        };
        assert!(child.is_below(&path), "{path} {child}");
    }
    // Together, in whichever order, and even one transaction after the other.
    let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
    registry.commit(epoch, one(vec![delete("q/job"), delete("q/job/r1")])).await.unwrap();
    let batch = vec![
        Transaction::new(vec![delete("q/job-2"), set("q/x/y/z", "")]),
        Transaction::new(vec![delete("q/x/y/z"), delete("q/x/y")]),
        Transaction::new(vec![delete("q"), delete("q/x")]),
    ];
    registry.commit(epoch, batch).await.unwrap();
    drop(registry);
    assert_eq!(reopened(&mut fixture).await, pairs(&[]));
}

async fn a_batch_is_whole_and_in_order<F: Fixture>() {
    let mut fixture = F::new();
    let mut registry = fixture.open().await;
    let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
    let batch = (0..100)
        .map(|i| Transaction::new(vec![set("last", &i.to_string()), set(&format!("n/{i:03}"), "")]))
        .collect();
    registry.commit(epoch, batch).await.unwrap();
    drop(registry);
    let nodes = reopened(&mut fixture).await;
    assert_eq!(nodes.len(), 102);
    assert_eq!(nodes[0], ("last".to_owned(), "99".to_owned()));
    assert!(nodes.is_sorted());
}

async fn a_refused_batch_writes_nothing_and_ends_the_tenure<F: Fixture>() {
    let mut fixture = F::new();
    let mut registry = fixture.open().await;
    let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
    registry.commit(epoch, one(vec![set("a/b", "old")])).await.unwrap();
    let batch = vec![
        Transaction::new(vec![set("a/b", "new"), set("c", "new"), set("d/e", "")]),
        Transaction::new(vec![delete("a/b")]),
        Transaction::new(vec![delete("d")]),
        Transaction::new(vec![set("f", "new")]),
    ];
    // Queued before the refusal is known, and yet not written.
    let refused = registry.commit(epoch, batch);
    let later = registry.commit(epoch, one(vec![set("g", "new")]));
    assert!(matches!(
        refused.await.unwrap_err(),
        CommitError::Refused(Refusal::HasChildren { path: at, child })
            if at == path("d") && child == path("d/e")
    ));
    assert!(matches!(later.await.unwrap_err(), CommitError::Refused(Refusal::NotLeading)));
    let tenure = registry.take_over(leader("a")).await.unwrap();
    assert_eq!(content(&tenure), pairs(&[("a", ""), ("a/b", "old")]));
    registry.commit(tenure.epoch, one(vec![set("g", "1")])).await.unwrap();
    drop(registry);
    let expected = pairs(&[("a", ""), ("a/b", "old"), ("g", "1")]);
    assert_eq!(reopened(&mut fixture).await, expected);
}

async fn old_epochs_are_fenced<F: Fixture>() {
    let mut fixture = F::new();
    let mut registry = fixture.open().await;
    let old = registry.take_over(leader("a")).await.unwrap().epoch;
    let new = registry.take_over(leader("b")).await.unwrap().epoch;
    assert!(new > old);
    registry.commit(new, Vec::new()).await.unwrap();
    let error = registry.commit(old, Vec::new()).await.unwrap_err();
    assert!(matches!(error, CommitError::Fenced { .. }), "also when nothing is written: {error:?}");
    let new = registry.take_over(leader("b")).await.unwrap().epoch;
    let error = registry.commit(old, one(vec![set("x", "old")])).await.unwrap_err();
    assert!(
        matches!(error, CommitError::Fenced { held, found } if held == old && found == new),
        "{error:?}"
    );
    drop(registry);
    assert_eq!(reopened(&mut fixture).await, pairs(&[]));
}

async fn nothing_without_a_take_over<F: Fixture>() {
    let mut fixture = F::new();
    let epoch = fixture.open().await.take_over(leader("a")).await.unwrap().epoch;
    // A new process knows the epoch of the one before and still may not use it.
    let mut registry = fixture.open().await;
    let error = registry.commit(epoch, one(vec![set("x", "")])).await.unwrap_err();
    assert!(matches!(error, CommitError::Refused(Refusal::NotLeading)), "{error:?}");
    drop(registry);
    assert_eq!(reopened(&mut fixture).await, pairs(&[]));
}

async fn the_leader_node_is_written_by_take_over_only<F: Fixture>() {
    let mut registry = F::new().open().await;
    for change in [set(LEADER_PATH, "{}"), delete(LEADER_PATH)] {
        let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
        let error = registry.commit(epoch, one(vec![change])).await.unwrap_err();
        assert!(matches!(error, CommitError::Refused(Refusal::LeaderNode)), "{error:?}");
    }
    let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
    let error = registry.commit(epoch, one(vec![delete("ha")])).await.unwrap_err();
    assert!(matches!(error, CommitError::Refused(Refusal::HasChildren { .. })), "{error:?}");
}

async fn pipelined_commits_keep_their_order<F: Fixture>() {
    let mut fixture = F::new();
    let mut registry = fixture.open().await;
    let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
    let commits: Vec<_> = (0..50)
        .map(|i| registry.commit(epoch, one(vec![set("x", &i.to_string()), delete("y")])))
        .collect();
    for commit in commits {
        commit.await.unwrap();
    }
    drop(registry);
    assert_eq!(reopened(&mut fixture).await, pairs(&[("x", "49")]));
}

async fn dropped_futures_are_not_recalled<F: Fixture>() {
    let mut fixture = F::new();
    let mut registry = fixture.open().await;
    let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
    drop(registry.commit(epoch, one(vec![set("x", "1")])));
    registry.commit(epoch, one(vec![set("y", "1")])).await.unwrap();
    drop(registry);
    assert_eq!(reopened(&mut fixture).await, pairs(&[("x", "1"), ("y", "1")]));
}

async fn ten_thousand_nodes<F: Fixture>() {
    let mut fixture = F::new();
    let mut registry = fixture.open().await;
    let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
    let value = "v".repeat(200);
    for hundred in 0..100 {
        let changes = (0..100).map(|i| set(&format!("job/{hundred:02}/{i:02}"), &value)).collect();
        registry.commit(epoch, one(changes)).await.unwrap();
    }
    drop(registry);
    let nodes = reopened(&mut fixture).await;
    assert_eq!(nodes.len(), 10_000 + 100 + 1);
    assert_eq!(nodes.iter().filter(|(_, data)| *data == value).count(), 10_000);
}

async fn limits_of_size<F: Fixture>() {
    let mut fixture = F::new();
    let mut registry = fixture.open().await;
    let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
    let largest = "x".repeat(VALUE_BYTES_MAX);
    registry.commit(epoch, one(vec![set("a", &largest)])).await.unwrap();
    // Many transactions may add up to more than one may hold.
    let batch = ["b", "c"].map(|at| Transaction::new(vec![set(at, &largest)])).to_vec();
    registry.commit(epoch, batch).await.unwrap();

    let too_large = Change::set(path("d"), vec![0; VALUE_BYTES_MAX + 1]);
    let half = "x".repeat(TRANSACTION_BYTES_MAX / 2);
    for (changes, named) in
        [(vec![too_large], "data of d"), (vec![set("e", &half), set("f", &half)], "first of e")]
    {
        let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
        let batch = vec![Transaction::new(vec![set("g", "")]), Transaction::new(changes)];
        let error = registry.commit(epoch, batch).await.unwrap_err();
        assert!(matches!(error, CommitError::TooLarge { .. }), "{error:?}");
        assert!(error.to_string().contains(named), "{error}");
    }
    drop(registry);
    let names: Vec<_> = reopened(&mut fixture).await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "b", "c"]);
}

async fn weird_names<F: Fixture>() {
    let mut fixture = F::new();
    let mut registry = fixture.open().await;
    let epoch = registry.take_over(leader("a")).await.unwrap().epoch;
    let longest = "n".repeat(PATH_BYTES_MAX);
    let mut names = vec![
        "...",
        " ",
        "a b",
        "a!b",
        "a-b",
        "a.b",
        "a0",
        "j@-@0@-@READY@-@agent%2F1@-@u",
        "naïve Größe",
        "\"';--",
        "日本",
        "\u{a0}\u{202e}",
        &longest,
    ];
    let changes = names.iter().map(|name| set(name, name)).collect();
    registry.commit(epoch, one(changes)).await.unwrap();
    // Characters smaller than '/' stand between a node and its children, and are not its children.
    registry.commit(epoch, one(vec![set("a/b", ""), set("a", "")])).await.unwrap();
    registry.commit(epoch, one(vec![delete("a"), delete("a/b")])).await.unwrap();
    drop(registry);
    names.sort_unstable();
    let expected: Vec<_> = names.iter().map(|n| ((*n).to_owned(), (*n).to_owned())).collect();
    assert_eq!(reopened(&mut fixture).await, expected);
}

// === against a model ===

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<Vec<(String, Option<u8>)>>),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = vec(prop_oneof!["a", "b", "a-", "é"], 1..4).prop_map(|names| names.join("/"));
    let change = (name, prop::option::weighted(0.6, any::<u8>()));
    let batch = vec(vec(change, 0..5), 1..4);
    vec(prop_oneof![6 => batch.prop_map(Step::Commit), 1 => Just(Step::Reopen)], 1..16)
}

type Model = BTreeMap<String, Vec<u8>>;

/// The rules again, told as plainly as possible: one change after the other, children first.
fn model_apply(model: &Model, batch: &[Vec<(String, Option<u8>)>]) -> Option<Model> {
    let mut model = model.clone();
    for transaction in batch {
        let net: BTreeMap<_, _> = transaction.iter().cloned().collect();
        for (name, _) in net.iter().filter(|(_, value)| value.is_none()).rev() {
            let children = format!("{name}/");
            let any_child = |key: &String| key.starts_with(&children);
            if model.keys().any(any_child)
                || net.iter().any(|(key, value)| any_child(key) && value.is_some())
            {
                return None;
            }
            model.remove(name);
        }
        for (name, value) in net {
            let Some(value) = value else { continue };
            for (slash, _) in name.match_indices('/') {
                model.entry(name[..slash].to_owned()).or_default();
            }
            model.insert(name, vec![value]);
        }
    }
    Some(model)
}

fn behaves_as_a_map<F: Fixture>() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: F::CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner.run(&steps(), |steps| runtime.block_on(compare_with_model::<F>(steps))).unwrap();
}

async fn compare_with_model<F: Fixture>(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut fixture = F::new();
    let mut model = Model::new();
    let mut registry = fixture.open().await;
    let mut epoch = registry.take_over(leader("a")).await.unwrap().epoch;
    for step in steps.into_iter().chain([Step::Reopen]) {
        let Step::Commit(batch) = step else {
            drop(registry);
            registry = fixture.open().await;
            epoch = check_take_over(&mut registry, &model).await?;
            continue;
        };
        let transactions = batch
            .iter()
            .map(|changes| {
                changes
                    .iter()
                    .map(|(at, value)| Change { path: path(at), value: value.map(|v| vec![v]) })
                    .collect()
            })
            .collect();
        let result = registry.commit(epoch, transactions).await;
        if let Some(next) = model_apply(&model, &batch) {
            prop_assert!(result.is_ok(), "{result:?} for {batch:?} on {model:?}");
            model = next;
        } else {
            prop_assert!(
                matches!(result, Err(CommitError::Refused(Refusal::HasChildren { .. }))),
                "{result:?} for {batch:?} on {model:?}"
            );
            epoch = check_take_over(&mut registry, &model).await?;
        }
    }
    Ok(())
}

async fn check_take_over(
    registry: &mut Box<dyn Registry>,
    model: &Model,
) -> Result<Epoch, TestCaseError> {
    let tenure = registry.take_over(leader("a")).await.unwrap();
    let nodes = tenure
        .nodes
        .iter()
        .filter(|(path, _)| !path.as_str().starts_with("ha") && !is_parent(path));
    let found: Model = nodes.map(|(path, data)| (path.to_string(), data.to_vec())).collect();
    prop_assert_eq!(&found, model);
    Ok(tenure.epoch)
}
