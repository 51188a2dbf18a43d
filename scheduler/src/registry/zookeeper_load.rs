//! Reads the whole tree below the namespace in few round trips, with many reads on their way at
//! once. Absent: what the nodes mean; nodes that are not ours are reported and left out.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use zookeeper_client::{Client, Error, MultiReadResult};

use super::{Path, Tree};

/// Nodes read by one request: an answer of documents stays in the hundreds of kilobytes, and the
/// share of a round trip is small.
const READS_PER_REQUEST: usize = 64;

/// Requests on their way at once: the server is busy all the time, and what is in memory stays
/// small beside the tree itself.
const REQUESTS_IN_FLIGHT_MAX: usize = 16;

/// Nodes of the machinery, which are no records: they are not loaded. The elections' candidates,
/// and the counter that keeps commits in order.
const MACHINERY: [&str; 2] = ["ha/election", COMMITS_PATH];

/// Its version counts commits, see the writer; it holds the epoch of the last one.
pub(super) const COMMITS_PATH: &str = "ha/commits";

/// The epoch of the last commit; 0 where nobody wrote one.
pub(super) fn committed_epoch(data: &[u8]) -> u64 {
    std::str::from_utf8(data).ok().and_then(|text| text.trim().parse().ok()).unwrap_or_default()
}

/// What stands below the namespace.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) nodes: Vec<(Path, Bytes)>,
    /// Nodes with something below them that is not ours: they can be emptied, not removed.
    pub(super) held: BTreeSet<Path>,
}

/// One node as it was read.
struct Node {
    path: Path,
    data: Bytes,
    has_children: bool,
}

/// What is wanted of it.
#[derive(Clone, Copy)]
pub(super) enum Scope {
    /// What this program has written, as it is told from anything else.
    Records(fn(&Path) -> bool),
    /// Whatever there is, for people who look.
    Everything,
}

/// Reads the nodes below the namespace.
pub(super) async fn load(client: &Client, scope: Scope) -> Result<Loaded, Error> {
    let level = client.list_children("/").await?;
    load_from(client, level, scope).await
}

/// Reads these nodes and those below them.
pub(super) async fn load_from(
    client: &Client,
    mut level: Vec<String>,
    scope: Scope,
) -> Result<Loaded, Error> {
    let mut loaded = Loaded::default();
    while !level.is_empty() {
        let paths = loaded.select(level, scope);
        let nodes = read(client, &paths).await?;
        let parents: Vec<&Path> =
            nodes.iter().filter(|node| node.has_children).map(|node| &node.path).collect();
        level = list(client, &parents).await?;
        loaded.nodes.extend(nodes.into_iter().map(|node| (node.path, node.data)));
    }
    loaded.nodes.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
    Ok(loaded)
}

// === impl Loaded ===

impl Loaded {
    pub(super) fn into_tree(self) -> (Tree, BTreeSet<Path>) {
        (self.nodes.into_iter().collect(), self.held)
    }

    /// Sorts out what is not wanted.
    fn select(&mut self, names: Vec<String>, scope: Scope) -> Vec<Path> {
        let is_wanted = |path: &Path| match scope {
            Scope::Records(is_ours) => is_ours(path),
            Scope::Everything => true,
        };
        let mut wanted = Vec::with_capacity(names.len());
        for name in names {
            if matches!(scope, Scope::Records(_)) && MACHINERY.contains(&name.as_str()) {
                continue;
            }
            match Path::new(name.as_str()) {
                Ok(path) if is_wanted(&path) => wanted.push(path),
                Ok(path) => {
                    tracing::warn!(%path, "skipped: not a node of this program");
                    hold_above(&name, &mut self.held);
                }
                Err(error) => {
                    tracing::warn!(%error, "skipped: not a node of this program");
                    hold_above(&name, &mut self.held);
                }
            }
        }
        wanted
    }
}

/// Notes the nodes above one that is not ours.
pub(super) fn hold_above(name: &str, held: &mut BTreeSet<Path>) {
    let parents = name.match_indices('/').filter_map(|(slash, _)| name.get(..slash));
    held.extend(parents.filter_map(|parent| Path::new(parent).ok()));
}

/// The nodes at these paths; those that are gone meanwhile are left out.
async fn read(client: &Client, paths: &[Path]) -> Result<Vec<Node>, Error> {
    all(paths.chunks(READS_PER_REQUEST).map(|chunk| read_chunk(client, chunk).boxed())).await
}

async fn read_chunk(client: &Client, chunk: &[Path]) -> Result<Vec<Node>, Error> {
    let mut reader = client.new_multi_reader();
    for path in chunk {
        reader.add_get_data(&format!("/{path}"))?;
    }
    let mut nodes = Vec::with_capacity(chunk.len());
    for (path, result) in chunk.iter().zip(reader.commit().await?) {
        match result {
            MultiReadResult::Data { data, stat } => nodes.push(Node {
                path: path.clone(),
                data: data.into(),
                has_children: stat.num_children > 0,
            }),
            MultiReadResult::Error { err: Error::NoNode } => {}
            other => return Err(unexpected(other)),
        }
    }
    Ok(nodes)
}

/// The paths of the children of these nodes.
async fn list(client: &Client, parents: &[&Path]) -> Result<Vec<String>, Error> {
    all(parents.chunks(READS_PER_REQUEST).map(|chunk| list_chunk(client, chunk).boxed())).await
}

async fn list_chunk(client: &Client, chunk: &[&Path]) -> Result<Vec<String>, Error> {
    let mut reader = client.new_multi_reader();
    for path in chunk {
        reader.add_get_children(&format!("/{path}"))?;
    }
    let mut found = Vec::new();
    for (path, result) in chunk.iter().zip(reader.commit().await?) {
        match result {
            MultiReadResult::Children { children } => {
                found.extend(children.into_iter().map(|child| format!("{path}/{child}")));
            }
            MultiReadResult::Error { err: Error::NoNode } => {}
            other => return Err(unexpected(other)),
        }
    }
    Ok(found)
}

/// Carries requests out, a number of them at a time, and joins their answers in order.
async fn all<'a, T: Send>(
    requests: impl Iterator<Item = BoxFuture<'a, Result<Vec<T>, Error>>>,
) -> Result<Vec<T>, Error> {
    let requests: Vec<_> = requests.collect();
    let answers: Vec<Vec<T>> =
        stream::iter(requests).buffered(REQUESTS_IN_FLIGHT_MAX).try_collect().await?;
    Ok(answers.into_iter().flatten().collect())
}

/// What may not be read must not be taken for absent.
fn unexpected(result: MultiReadResult) -> Error {
    match result {
        MultiReadResult::Error { err } => err,
        other => Error::UnexpectedError(format!("an answer to another question: {other:?}")),
    }
}
