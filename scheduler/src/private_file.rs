//! Files and directories of the scheduler's own that hold what not every user of a machine may read:
//! hashes of passwords and tokens, documents, what tasks wrote at their end.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Makes an empty file that its owner alone reads, unless there is one: whose rights that has is its
/// owner's business.
///
/// # Errors
/// The file cannot be made.
pub(crate) fn make(file: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Makes a directory that its owner alone enters, with those above it, unless there is one.
///
/// # Errors
/// The directory cannot be made.
pub(crate) fn make_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn nobody_else_reads_what_is_made_and_what_is_there_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let file = directory.path().join("file");
        make(&file).unwrap();
        assert_eq!(mode(&file), 0o600);
        std::fs::write(&file, "kept").unwrap();
        make(&file).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept");
        let inner = directory.path().join("a/b");
        make_directory(&inner).unwrap();
        make_directory(&inner).unwrap();
        assert_eq!(mode(&inner), 0o700);
        assert!(make(&directory.path().join("none/file")).is_err());
    }
}
