//! Brings the files that a command needs into its sandbox. Only files of this machine: nothing is
//! downloaded.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use shiftwork_proto::mesos::v1::command_info::Uri;

/// Permission bits that make a file executable for everybody.
const EXECUTABLE: u32 = 0o111;
/// Names that are taken for archives when a URI asks for extraction.
const ARCHIVES: &[&str] = &[".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"];

/// Why a file could not be brought in.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// The URI is of a scheme that is not served.
    #[error(
        "cannot fetch {0}: only local paths and file:// are served; put the file on this machine"
    )]
    Scheme(String),
    /// The URI names no file.
    #[error("cannot fetch '{0}': it does not name a file")]
    NoName(String),
    /// The name to give the file leads out of the sandbox.
    #[error("cannot fetch {uri} as '{name}': the name must be a path inside the sandbox")]
    Outside {
        /// What was asked for.
        uri: String,
        /// The name it should get.
        name: String,
    },
    /// The file could not be copied.
    #[error("cannot copy {uri} into the sandbox: {why}")]
    Copy {
        /// What was asked for.
        uri: String,
        /// What the system said.
        why: io::Error,
    },
    /// The archive could not be extracted.
    #[error("cannot extract {uri}: {why}")]
    Extract {
        /// What was asked for.
        uri: String,
        /// What `tar` said.
        why: String,
    },
}

/// Fetches every URI, in order. Blocks.
pub(super) fn fetch(uris: &[Uri], sandbox: &Path) -> Result<(), FetchError> {
    uris.iter().try_for_each(|uri| fetch_one(uri, sandbox))
}

fn fetch_one(uri: &Uri, sandbox: &Path) -> Result<(), FetchError> {
    let source = local_path(&uri.value)?;
    let name = match &uri.output_file {
        Some(name) => PathBuf::from(name),
        None => {
            PathBuf::from(source.file_name().ok_or_else(|| FetchError::NoName(uri.value.clone()))?)
        }
    };
    if !name.components().all(|part| matches!(part, std::path::Component::Normal(_))) {
        let name = name.to_string_lossy().into_owned();
        return Err(FetchError::Outside { uri: uri.value.clone(), name });
    }
    let target = sandbox.join(name);
    let copy_error = |why| FetchError::Copy { uri: uri.value.clone(), why };
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent).map_err(copy_error)?;
    }
    std::fs::copy(&source, &target).map_err(copy_error)?;
    if uri.executable() {
        make_executable(&target).map_err(copy_error)?;
    } else if uri.extract() && is_archive(&target) {
        extract(uri, &target, sandbox)?;
    }
    Ok(())
}

fn local_path(uri: &str) -> Result<PathBuf, FetchError> {
    match uri.split_once("://") {
        None => Ok(PathBuf::from(uri)),
        Some(("file", path)) => Ok(PathBuf::from(path)),
        Some(_) => Err(FetchError::Scheme(uri.to_owned())),
    }
}

fn make_executable(path: &Path) -> io::Result<()> {
    let mut permissions = path.metadata()?.permissions();
    permissions.set_mode(permissions.mode() | EXECUTABLE);
    std::fs::set_permissions(path, permissions)
}

fn is_archive(path: &Path) -> bool {
    let name = path.to_string_lossy().to_lowercase();
    ARCHIVES.iter().any(|ending| name.ends_with(ending))
}

fn extract(uri: &Uri, archive: &Path, sandbox: &Path) -> Result<(), FetchError> {
    let error = |why| FetchError::Extract { uri: uri.value.clone(), why };
    let output = Command::new("tar")
        .arg("-C")
        .arg(sandbox)
        .arg("-xf")
        .arg(archive)
        .output()
        .map_err(|source| error(format!("tar could not be started: {source}")))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(error(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(value: String) -> Uri {
        Uri { value, ..Uri::default() }
    }

    #[test]
    fn files_are_copied_made_executable_and_extracted() {
        let source = tempfile::tempdir().unwrap();
        let sandbox = tempfile::tempdir().unwrap();
        std::fs::write(source.path().join("tool"), "#!/bin/sh\n").unwrap();
        let tar = Command::new("tar")
            .current_dir(source.path())
            .args(["-czf", "pack.tar.gz", "tool"])
            .status()
            .unwrap();
        assert!(tar.success());
        let at = |name: &str| source.path().join(name).to_string_lossy().into_owned();
        let executable = Uri {
            executable: Some(true),
            output_file: Some("bin/run".to_owned()),
            ..uri(at("tool"))
        };
        let archive = uri(format!("file://{}", at("pack.tar.gz")));
        fetch(&[executable, archive], sandbox.path()).unwrap();
        let mode = sandbox.path().join("bin/run").metadata().unwrap().permissions().mode();
        assert_eq!(mode & EXECUTABLE, EXECUTABLE);
        assert!(sandbox.path().join("tool").is_file(), "extracted");
    }

    #[test]
    fn what_cannot_be_fetched_is_said() {
        let sandbox = tempfile::tempdir().unwrap();
        let outside = Uri { output_file: Some("../x".to_owned()), ..uri("/etc/passwd".to_owned()) };
        for (uri, needle) in [
            (uri("https://example.org/x".to_owned()), "only local paths"),
            (uri("/no/such/file".to_owned()), "cannot copy /no/such/file"),
            (uri("/".to_owned()), "does not name a file"),
            (outside, "inside the sandbox"),
        ] {
            let error = fetch(&[uri], sandbox.path()).unwrap_err().to_string();
            assert!(error.contains(needle), "{error}");
        }
    }
}
