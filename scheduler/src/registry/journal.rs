//! The embedded registry's file: a redb database used as the journal of the tree in memory. Blocking.
//! Absent: threads, tenures, the rules of a commit.

use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path as FilePath, PathBuf};

use bytes::Bytes;
use redb::{
    Builder, Database, DatabaseError, Durability, ReadableDatabase, ReadableTable,
    StorageError as RedbStorageError, TableDefinition, TableHandle as _,
};

use super::error::StorageError;
use super::tree::Write;
use super::{FILE_NAME, OpenError, Path, Tree};
use crate::private_file;

/// The layout of the file: raise it when a table or the meaning of a row changes.
const FORMAT: u32 = 1;

/// Each node by its path: four bytes of checksum, little-endian, then the data.
const NODE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("node");

/// Facts about the file itself.
const META: TableDefinition<'_, &str, u32> = TableDefinition::new("meta");

/// The row of [`META`] that holds the format.
const META_FORMAT: &str = "format";

/// The database's page cache. The tree is in memory and only its changes are written, so the cache
/// serves a few inner pages and no reads; the default of a gibibyte would be waste.
const CACHE_BYTES: usize = 16 << 20;

/// Below this size of the file compaction is not worth the time at start.
const COMPACT_FILE_BYTES_MIN: u64 = 64 << 20;

/// Compaction is worth it when the file is larger than its content by this factor.
const COMPACT_FACTOR: u64 = 4;

/// The open file. Its lock is held until this is dropped.
pub(super) struct Journal {
    database: Database,
}

/// Why the content of an open database is no registry.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Storage(#[from] redb::Error),
    #[error("its format is {0}")]
    Newer(u32),
    #[error("{0}")]
    Content(String),
}

// === impl Journal ===

impl Journal {
    /// Opens the file in `data_dir`, making both if needed, and reads the whole tree.
    pub(super) fn open(data_dir: &FilePath) -> Result<(Self, Tree), OpenError> {
        let file = data_dir.join(FILE_NAME);
        fs::create_dir_all(data_dir)
            .map_err(|source| OpenError::Io { file: data_dir.to_owned(), source: source.into() })?;
        let is_new = !file.exists();
        private_file::make(&file)
            .map_err(|source| OpenError::Io { file: file.clone(), source: source.into() })?;
        let (mut journal, tree) = guarded(&file, || {
            let database = Builder::new()
                .set_cache_size(CACHE_BYTES)
                .create(&file)
                .map_err(|error| open_error(&file, error))?;
            let journal = Self { database };
            let tree = journal.load().map_err(|error| load_error(&file, error))?;
            Ok((journal, tree))
        })?;
        if is_new {
            // A power loss must not forget the directory entry of a file that has been written to.
            File::open(data_dir)
                .and_then(|directory| directory.sync_all())
                .map_err(|source| OpenError::Io { file: file.clone(), source: source.into() })?;
        }
        journal.compact_if_worth_it(&file);
        Ok((journal, tree))
    }

    /// A journal on a backend that a test controls.
    #[cfg(test)]
    pub(super) fn on_backend(backend: impl redb::StorageBackend) -> Self {
        let database = Builder::new().create_with_backend(backend).unwrap();
        Self { database }
    }

    /// Writes what a commit did, all or nothing, and returns when it is durable.
    pub(super) fn write<'a>(
        &self,
        writes: impl Iterator<Item = &'a Write>,
    ) -> Result<(), StorageError> {
        let transaction = self.begin()?;
        {
            let mut table = transaction.open_table(NODE)?;
            let mut row = Vec::new();
            for Write { path, data, .. } in writes {
                match data {
                    Some(data) => {
                        encode_row(path.as_str(), data, &mut row);
                        table.insert(path.as_str(), row.as_slice())?;
                    }
                    None => {
                        table.remove(path.as_str())?;
                    }
                }
            }
        }
        Ok(transaction.commit()?)
    }

    fn begin(&self) -> Result<redb::WriteTransaction, redb::Error> {
        let mut transaction = self.database.begin_write()?;
        // The default, but the contract rests on it.
        transaction.set_durability(Durability::Immediate)?;
        Ok(transaction)
    }

    fn load(&self) -> Result<Tree, LoadError> {
        let transaction = self.database.begin_read().map_err(redb::Error::from)?;
        // A file without any table is one whose very first commit did not happen.
        if transaction.list_tables().map_err(redb::Error::from)?.next().is_none() {
            drop(transaction);
            self.initialize()?;
            return Ok(Tree::default());
        }
        load(&transaction)
    }

    fn initialize(&self) -> Result<(), redb::Error> {
        let transaction = self.begin()?;
        transaction.open_table(META)?.insert(META_FORMAT, FORMAT)?;
        transaction.open_table(NODE)?;
        Ok(transaction.commit()?)
    }

    /// Gives space back to the file system. Failing to is no reason not to start.
    fn compact_if_worth_it(&mut self, file: &FilePath) {
        let Ok(file_bytes) = fs::metadata(file).map(|metadata| metadata.len()) else {
            return;
        };
        if file_bytes < COMPACT_FILE_BYTES_MIN {
            return;
        }
        let stored = self.begin().and_then(|transaction| Ok(transaction.stats()?.stored_bytes()));
        match stored {
            Ok(stored_bytes) if stored_bytes.saturating_mul(COMPACT_FACTOR) < file_bytes => {
                let result = self.database.compact();
                tracing::info!(file = %file.display(), file_bytes, stored_bytes, ?result, "compacted the registry");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "cannot tell whether to compact the registry");
            }
        }
    }
}

/// Reads the tree without taking the registry over, for inspection while no scheduler runs.
///
/// # Errors
///
/// [`OpenError::InUse`] when one runs; the others as on opening. Nothing is written.
pub fn read_offline(data_dir: &FilePath) -> Result<Tree, OpenError> {
    let file = data_dir.join(FILE_NAME);
    guarded(&file, || {
        let database = Builder::new()
            .set_cache_size(CACHE_BYTES)
            .open_read_only(&file)
            .map_err(|error| open_error(&file, error))?;
        database
            .begin_read()
            .map_err(|error| LoadError::Storage(error.into()))
            .and_then(|transaction| load(&transaction))
            .map_err(|error| load_error(&file, error))
    })
}

/// The tree of a file that has tables, with every row verified.
fn load(transaction: &redb::ReadTransaction) -> Result<Tree, LoadError> {
    let names = transaction.list_tables().map_err(redb::Error::from)?;
    if !names.into_iter().any(|table| table.name() == META.name()) {
        return Err(LoadError::Content("it holds tables, but no format record".to_owned()));
    }
    let meta = transaction.open_table(META).map_err(redb::Error::from)?;
    let format = meta.get(META_FORMAT).map_err(redb::Error::from)?.map(|row| row.value());
    match format {
        Some(1..=FORMAT) => {}
        Some(0) | None => return Err(LoadError::Content("its format record is void".to_owned())),
        Some(newer) => return Err(LoadError::Newer(newer)),
    }
    let table = transaction.open_table(NODE).map_err(redb::Error::from)?;
    let mut nodes = Vec::new();
    for row in table.iter().map_err(redb::Error::from)? {
        let (path, data) = row.map_err(redb::Error::from)?;
        nodes.push(decode_row(path.value(), data.value()).map_err(LoadError::Content)?);
    }
    Ok(nodes.into_iter().collect())
}

/// The database verifies its pages only after an unclean end, so each row carries a checksum of
/// path and data: a tree that was damaged on disk is never taken for a good one.
fn encode_row(path: &str, data: &[u8], row: &mut Vec<u8>) {
    row.clear();
    row.extend_from_slice(&checksum_of(path, data).to_le_bytes());
    row.extend_from_slice(data);
}

fn checksum_of(path: &str, data: &[u8]) -> u32 {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(path.as_bytes());
    checksum.update(data);
    checksum.finalize()
}

fn decode_row(path: &str, row: &[u8]) -> Result<(Path, Bytes), String> {
    let Some((checksum, data)) = row.split_first_chunk::<4>() else {
        return Err(format!("the row of {path:?} is too short"));
    };
    if u32::from_le_bytes(*checksum) != checksum_of(path, data) {
        return Err(format!("the row of {path:?} does not match its checksum"));
    }
    let path = Path::new(path).map_err(|error| error.to_string())?;
    Ok((path, Bytes::copy_from_slice(data)))
}

/// Runs what reads a file that may hold anything: the database has assertions of its own about
/// its pages, and one that fails is damage like any other.
fn guarded<T>(
    file: &FilePath,
    open: impl FnOnce() -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|_| {
        let reason = "an assertion failed while reading it".to_owned();
        Err(OpenError::Damaged { file: file.to_owned(), reason })
    })
}

fn open_error(file: &FilePath, error: DatabaseError) -> OpenError {
    let file = file.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { file },
        DatabaseError::RepairAborted => OpenError::NeedsRecovery { file },
        DatabaseError::UpgradeRequired(version) => OpenError::Damaged {
            file,
            reason: format!("its database format {version} is older than any shiftwork wrote"),
        },
        DatabaseError::Storage(error) => storage_error(file, error),
        other => OpenError::Io { file, source: other.into() },
    }
}

fn storage_error(file: PathBuf, error: RedbStorageError) -> OpenError {
    match error {
        // What the file system itself reports is not about the content; what the database reports
        // as invalid is.
        RedbStorageError::Io(error) if error.raw_os_error().is_some() => {
            OpenError::Io { file, source: error.into() }
        }
        error => OpenError::Damaged { file, reason: error.to_string() },
    }
}

fn load_error(file: &FilePath, error: LoadError) -> OpenError {
    let file = file.to_owned();
    match error {
        LoadError::Newer(found) => OpenError::Newer { file, found, known: FORMAT },
        LoadError::Storage(redb::Error::Io(error)) if error.raw_os_error().is_some() => {
            OpenError::Io { file, source: error.into() }
        }
        error => OpenError::Damaged { file, reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_format_is_refused_with_both_numbers() {
        let directory = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(directory.path()).unwrap();
        let transaction = journal.begin().unwrap();
        transaction.open_table(META).unwrap().insert(META_FORMAT, 7).unwrap();
        transaction.commit().unwrap();
        drop(journal);
        let error = Journal::open(directory.path()).err().unwrap();
        assert!(matches!(error, OpenError::Newer { found: 7, known: FORMAT, .. }), "{error:?}");
    }

    #[test]
    fn the_database_of_another_program_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::create(directory.path().join(FILE_NAME)).unwrap();
        let transaction = database.begin_write().unwrap();
        let theirs: TableDefinition<'_, u64, u64> = TableDefinition::new("theirs");
        transaction.open_table(theirs).unwrap().insert(1, 2).unwrap();
        transaction.commit().unwrap();
        drop(database);
        let error = Journal::open(directory.path()).err().unwrap();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains("no format record"), "{error}");
    }

    #[test]
    fn a_file_whose_first_commit_never_came_is_new() {
        let directory = tempfile::tempdir().unwrap();
        drop(Database::create(directory.path().join(FILE_NAME)).unwrap());
        let (_, tree) = Journal::open(directory.path()).unwrap();
        assert!(tree.is_empty());
    }
}
