//! The data directory: one scheduler's alone. Absent: what is in its files.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::Context as _;

use crate::registry::FILE_NAME as REGISTRY_FILE;
use crate::trace::Store;

/// Held by the scheduler that uses a data directory: two would tear each other's history apart.
const LOCK_FILE: &str = "lock";

/// Makes this process the only one on a data directory.
pub(super) fn lock(data_dir: &Path) -> anyhow::Result<File> {
    let path = data_dir.join(LOCK_FILE);
    let open = || File::options().create(true).append(true).open(&path);
    let file = open().with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => anyhow::bail!(
            "another scheduler uses the data directory {}: stop that one, or give this one a \
             directory of its own with --data-dir",
            data_dir.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(anyhow::Error::new(error).context(format!("cannot lock {}", path.display())))
        }
    }
}

/// Says so where a history is there and a registry is not: that was not always so.
pub(super) fn warn_if_lost(data_dir: &Path) {
    let file = data_dir.join(REGISTRY_FILE);
    let empty = std::fs::metadata(&file).map_or(true, |metadata| metadata.len() == 0);
    if empty && data_dir.join(Store::FILE_NAME).exists() {
        tracing::warn!(
            "there is a history but no registry in {}: starting without apps and jobs; if that is \
             not meant, stop and put {} back",
            data_dir.display(),
            file.display()
        );
    }
}
