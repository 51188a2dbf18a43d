//! What goes out together: transactions packed into multi-operations, and what a failed one means for
//! those who wait for it. Absent: sending.

use zookeeper_client::{Client, Error, MultiWriteError};

use super::tree::{LeaderRecord, Write};
use super::zookeeper::Answer;
use super::zookeeper_load::COMMITS_PATH;
use super::{CommitError, Epoch, LEADER_PATH, Path, Refusal};

/// Bytes of one multi-operation as the server counts them: below its `jute.maxbuffer` of
/// 1,048,575, beyond which it drops the connection without a word.
pub(super) const MULTI_BYTES_MAX: usize = 1_030_000;

/// Node writes that are gathered into one multi-operation, so that the first of them does not wait
/// long for the last. A single transaction may have more.
const MULTI_WRITES_MAX: usize = 1_000;

/// What one write takes on the wire besides namespace, path and data: headers, lengths, access list.
const WRITE_OVERHEAD_BYTES: usize = 64;

/// Operations in front of the writes: the check of the leader's node, the count of commits.
const FENCE_OPERATIONS: usize = 2;

/// Transactions that go out together.
#[derive(Default)]
pub(super) struct Multi {
    pub(super) writes: Vec<Write>,
    bytes: usize,
    pub(super) answers: Vec<Waiting>,
}

/// A commit whose last writes go out with a multi-operation.
pub(super) struct Waiting {
    pub(super) answer: Answer,
    /// The first transactions of the batch went out with an earlier multi-operation.
    pub(super) is_rest: bool,
}

/// Why a multi-operation failed, for each that waits for it.
pub(super) enum Failure {
    Fenced { found: Epoch },
    Refused(Refusal),
    Unknown(String),
}

/// Bytes of these writes on the wire.
pub(super) fn size(writes: &[Write], root_bytes: usize) -> usize {
    let size = |write: &Write| {
        let data = write.data.as_ref().map_or(0, bytes::Bytes::len);
        root_bytes + 1 + write.path.as_str().len() + data + WRITE_OVERHEAD_BYTES
    };
    writes.iter().map(size).sum()
}

/// Adds a commit's transactions to the last multi-operation while they fit, else to new ones.
pub(super) fn pack(
    multis: &mut Vec<Multi>,
    transactions: Vec<Vec<Write>>,
    answer: Answer,
    root_bytes: usize,
) {
    let mut last = multis.pop().unwrap_or_default();
    let mut has_begun = false;
    let mut is_rest = false;
    for writes in transactions {
        let bytes = size(&writes, root_bytes);
        let is_full = last.bytes + bytes > MULTI_BYTES_MAX
            || last.writes.len() + writes.len() > MULTI_WRITES_MAX;
        if is_full && !last.writes.is_empty() {
            multis.push(std::mem::take(&mut last));
            is_rest = has_begun;
        }
        last.writes.extend(writes);
        last.bytes += bytes;
        has_begun = true;
    }
    last.answers.push(Waiting { answer, is_rest });
    multis.push(last);
}

/// What a failed multi-operation means for those who wait for it.
pub(super) async fn explain(client: &Client, error: MultiWriteError, paths: &[Path]) -> Failure {
    match error {
        MultiWriteError::OperationFailed { index: 0, source } => {
            let data = client.get_data(&format!("/{LEADER_PATH}")).await;
            match data.ok().and_then(|(data, _)| LeaderRecord::parse(&data).ok()) {
                Some(record) => Failure::Fenced { found: record.epoch },
                None => conflict(LEADER_PATH, &source),
            }
        }
        MultiWriteError::OperationFailed { index, source } => {
            let path = index.checked_sub(FENCE_OPERATIONS).and_then(|index| paths.get(index));
            conflict(path.map_or(COMMITS_PATH, Path::as_str), &source)
        }
        MultiWriteError::RequestFailed { source } if is_not_done(&source) => {
            conflict(paths.first().map_or(COMMITS_PATH, Path::as_str), &source)
        }
        MultiWriteError::RequestFailed { source } => Failure::Unknown(source.to_string()),
    }
}

fn conflict(path: &str, source: &Error) -> Failure {
    Failure::Refused(Refusal::Conflict { path: path.to_owned(), reason: source.to_string() })
}

/// Whether an error says for certain that nothing was written. A list of what is known: a broken
/// connection has many names, and what was on its way may have been done.
fn is_not_done(error: &Error) -> bool {
    matches!(
        error,
        Error::NoNode
            | Error::NodeExists
            | Error::BadVersion
            | Error::NotEmpty
            | Error::NoChildrenForEphemerals
            | Error::NoAuth
            | Error::InvalidAcl
            | Error::BadArguments(_)
            | Error::QuotaExceeded
            | Error::NotReadOnly
            | Error::Unimplemented
    )
}

// === impl Failure ===

impl Failure {
    /// What it means for one of them.
    pub(super) fn to_error(&self, held: Epoch, is_rest: bool) -> CommitError {
        match self {
            // The first part of the batch is there: that nothing was written would be a lie.
            Self::Fenced { .. } | Self::Refused(_) if is_rest => {
                CommitError::Unknown { source: "a part of it was written".into() }
            }
            Self::Fenced { found } => CommitError::Fenced { held, found: *found },
            Self::Refused(refusal) => CommitError::Refused(refusal.clone()),
            Self::Unknown(reason) => CommitError::Unknown { source: reason.clone().into() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use tokio::sync::oneshot;

    fn writes(count: usize, bytes: usize) -> Vec<Write> {
        let write = |i| Write {
            path: Path::new(format!("n/{i}")).unwrap(),
            data: Some(Bytes::from(vec![0; bytes])),
            existed: false,
        };
        (0..count).map(write).collect()
    }

    /// For each multi-operation its writes, and for each commit it answers whether it is a rest.
    fn packed(commits: Vec<Vec<Vec<Write>>>) -> Vec<(usize, Vec<bool>)> {
        let mut multis = Vec::new();
        for transactions in commits {
            pack(&mut multis, transactions, oneshot::channel().0, 10);
        }
        let rests = |multi: &Multi| multi.answers.iter().map(|waiting| waiting.is_rest).collect();
        multis.iter().map(|multi| (multi.writes.len(), rests(multi))).collect()
    }

    #[test]
    fn commits_share_what_goes_out() {
        assert_eq!(packed(vec![vec![]]), [(0, vec![false])]);
        assert_eq!(
            packed(vec![vec![writes(1, 1), writes(2, 1)], vec![], vec![writes(3, 1)]]),
            [(6, vec![false, false, false])]
        );
    }

    #[test]
    fn a_transaction_is_never_split_and_the_rest_of_a_commit_is_known() {
        // The second commit begins with its own multi-operation, or in that of the first.
        let large = || writes(1, 900_000);
        assert_eq!(
            packed(vec![vec![large()], vec![large()]]),
            [(1, vec![false]), (1, vec![false])]
        );
        assert_eq!(
            packed(vec![vec![large()], vec![writes(1, 1), large()]]),
            [(2, vec![false]), (1, vec![true])]
        );
        assert_eq!(
            packed(vec![vec![writes(MULTI_WRITES_MAX * 2, 1), writes(1, 1)]]),
            [(MULTI_WRITES_MAX * 2, vec![]), (1, vec![true])]
        );
    }

    #[test]
    fn nothing_is_said_to_be_undone_that_may_be_done() {
        let of = |failure: &Failure, is_rest| failure.to_error(Epoch(1), is_rest);
        let fenced = Failure::Fenced { found: Epoch(2) };
        assert!(matches!(of(&fenced, false), CommitError::Fenced { found: Epoch(2), .. }));
        assert!(matches!(of(&fenced, true), CommitError::Unknown { .. }));
        let unknown = Failure::Unknown("reset".to_owned());
        assert!(matches!(of(&unknown, false), CommitError::Unknown { .. }));
        for error in [
            Error::ConnectionLoss,
            Error::SessionExpired,
            Error::ClientClosed,
            Error::Timeout,
            Error::Throttled,
            Error::UnexpectedErrorCode(-112),
        ] {
            assert!(!is_not_done(&error), "{error}");
        }
        assert!(is_not_done(&Error::BadVersion));
    }
}
