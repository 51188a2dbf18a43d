//! Updates that the agent answered for and that no scheduler has acknowledged, one file a
//! container. A file is only appended to; it is cut down when nothing in it waits any more.
//!
//! Written without a flush to the disk: the file outlives this process, not the machine.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use shiftwork_proto::mesos::v1::TaskStatus;
use shiftwork_proto::mesos::v1::executor::call::Update;
use shiftwork_proto::recordio::{Decoder, MAX_RECORD_LEN_DEFAULT, encode};

use super::Layout;
use crate::world::{ContainerId, RecoveredUpdates};

/// First byte of a record that holds an update.
const UPDATE: u8 = b'U';
/// First byte of a record that holds the uuid of an acknowledged update.
const ACKNOWLEDGED: u8 = b'A';
/// A file longer than this is cut down as soon as nothing in it waits.
const LEN_MAX: u64 = 256 * 1024;
/// Acknowledged uuids that are remembered over that: an executor that dies may leave updates
/// behind that it does not know to be acknowledged, but not many.
const REMEMBERED_MAX: usize = 1000;

/// The journals of all containers.
#[derive(Debug)]
pub(super) struct Journal {
    layout: Arc<Layout>,
    open: BTreeMap<ContainerId, Open>,
}

/// The journal of one container.
#[derive(Debug, Default)]
struct Open {
    file: Option<File>,
    len: u64,
    pending: BTreeSet<Bytes>,
    acknowledged: VecDeque<Bytes>,
}

/// What a journal file says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Contents {
    /// In the order in which they were taken.
    pub(super) updates: Vec<TaskStatus>,
    pub(super) acknowledged: BTreeSet<Bytes>,
}

// === impl Journal ===

impl Journal {
    pub(super) fn new(layout: Arc<Layout>) -> Self {
        Self { layout, open: BTreeMap::new() }
    }

    pub(super) fn keep(&mut self, container: &ContainerId, status: TaskStatus) {
        let uuid = Bytes::copy_from_slice(status.uuid());
        let update = Update { status };
        self.append(container, UPDATE, &update.encode_to_vec());
        self.open.entry(container.clone()).or_default().pending.insert(uuid);
    }

    pub(super) fn forget(&mut self, container: &ContainerId, uuid: &Bytes) {
        self.append(container, ACKNOWLEDGED, uuid);
        let open = self.open.entry(container.clone()).or_default();
        open.pending.remove(uuid);
        if open.acknowledged.len() == REMEMBERED_MAX {
            open.acknowledged.pop_front();
        }
        open.acknowledged.push_back(uuid.clone());
        if open.pending.is_empty() && open.len > LEN_MAX {
            self.cut_down(container);
        }
    }

    /// Takes up updates of a former life, which are in the file or in the executor's own.
    pub(super) fn recovered(&mut self, updates: &RecoveredUpdates) {
        let uuids = updates.statuses.iter().map(|status| Bytes::copy_from_slice(status.uuid()));
        self.open.entry(updates.container.clone()).or_default().pending.extend(uuids);
    }

    pub(super) fn has_pending(&self, container: &ContainerId) -> bool {
        self.open.get(container).is_some_and(|open| !open.pending.is_empty())
    }

    pub(super) fn remove(&mut self, container: &ContainerId) {
        self.open.remove(container);
        remove_file(&self.layout.journal(container));
    }

    fn append(&mut self, container: &ContainerId, kind: u8, bytes: &[u8]) {
        let path = self.layout.journal(container);
        let open = self.open.entry(container.clone()).or_default();
        if let Err(error) = open.append(&path, kind, bytes) {
            // The update still goes its way; only a crash of this process would lose it now.
            tracing::error!(path = %path.display(), %error, "an update could not be written down");
        }
    }

    /// Starts the file anew with only the acknowledged uuids.
    fn cut_down(&mut self, container: &ContainerId) {
        let acknowledged = match self.open.get_mut(container) {
            Some(open) => {
                open.file = None;
                open.len = 0;
                open.acknowledged.clone()
            }
            None => return,
        };
        remove_file(&self.layout.journal(container));
        for uuid in &acknowledged {
            self.append(container, ACKNOWLEDGED, uuid);
        }
    }
}

// === impl Open ===

impl Open {
    fn append(&mut self, path: &Path, kind: u8, bytes: &[u8]) -> io::Result<()> {
        let file = if let Some(file) = &mut self.file {
            file
        } else {
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            self.len = file.metadata()?.len();
            self.file.insert(file)
        };
        let record = encode(&[&[kind], bytes].concat());
        file.write_all(&record)?;
        self.len += record.len() as u64;
        Ok(())
    }
}

/// Reads a journal. What cannot be read ends it: the tail may have been torn by a crash.
pub(super) fn read(path: &Path) -> Contents {
    let mut contents = Contents::default();
    for record in read_records(path) {
        match record.split_first() {
            Some((&UPDATE, bytes)) => match Update::decode(bytes) {
                Ok(update) => contents.updates.push(update.status),
                Err(_) => break,
            },
            Some((&ACKNOWLEDGED, uuid)) => {
                contents.acknowledged.insert(Bytes::copy_from_slice(uuid));
            }
            _ => break,
        }
    }
    contents
}

/// The whole records of a RecordIO file, up to the first that is torn; none when there is no file.
pub(super) fn read_records(path: &Path) -> Vec<Bytes> {
    let Ok(bytes) = std::fs::read(path) else { return Vec::new() };
    let mut decoder = Decoder::new(MAX_RECORD_LEN_DEFAULT);
    decoder.push(&bytes);
    let mut records = Vec::new();
    while let Ok(Some(record)) = decoder.next() {
        records.push(record);
    }
    records
}

pub(super) fn remove_file(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "a file stays behind");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(task: &str, uuid: u8) -> TaskStatus {
        TaskStatus {
            task_id: shiftwork_proto::mesos::v1::TaskId { value: task.to_owned() },
            uuid: Some(Bytes::copy_from_slice(&[uuid; 16])),
            ..TaskStatus::default()
        }
    }

    #[test]
    fn what_was_kept_is_read_up_to_a_torn_tail() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Arc::new(Layout::new(dir.path()).unwrap());
        layout.create().unwrap();
        let container = ContainerId::from("c");
        let mut journal = Journal::new(layout.clone());
        journal.keep(&container, status("a", 1));
        journal.keep(&container, status("b", 2));
        journal.forget(&container, &Bytes::copy_from_slice(&[1; 16]));
        assert!(journal.has_pending(&container));
        let path = layout.journal(&container);
        let mut expected = Contents {
            updates: vec![status("a", 1), status("b", 2)],
            acknowledged: BTreeSet::from([Bytes::copy_from_slice(&[1; 16])]),
        };
        assert_eq!(read(&path), expected);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        expected.acknowledged.clear();
        assert_eq!(read(&path), expected);
        journal.remove(&container);
        assert_eq!(read(&path), Contents::default());
    }

    #[test]
    fn a_long_journal_is_cut_down_when_nothing_waits() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Arc::new(Layout::new(dir.path()).unwrap());
        layout.create().unwrap();
        let container = ContainerId::from("c");
        let mut journal = Journal::new(layout.clone());
        let big = TaskStatus { message: Some("x".repeat(100_000)), ..status("a", 0) };
        for uuid in 1..=4 {
            let uuid = Bytes::copy_from_slice(&[uuid; 16]);
            journal.keep(&container, TaskStatus { uuid: Some(uuid.clone()), ..big.clone() });
            journal.forget(&container, &uuid);
        }
        let path = layout.journal(&container);
        assert!(path.metadata().unwrap().len() < LEN_MAX);
        assert_eq!(read(&path).acknowledged.len(), 4);
    }
}
