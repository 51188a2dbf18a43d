//! Who we are to a master that asks: principal and secret for HTTP basic authentication. Absent: when
//! they are sent, which is with every request once they are configured.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::HeaderValue;

/// The longest secret that is read, bytes: beyond it the file is another one than was meant.
const SECRET_LEN_MAX: usize = 4096;

/// A principal of the Mesos cluster with its secret, which is never shown.
#[derive(Clone)]
pub struct Credentials {
    principal: String,
    secret: String,
}

/// Why credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The principal is empty, or could not be told from the secret.
    #[error("the Mesos principal {0:?} is not one: it must not be empty nor hold a colon")]
    Principal(String),
    /// The file cannot be read.
    #[error("cannot read the Mesos secret from {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file holds no secret.
    #[error(
        "{} must hold the Mesos secret as one line of text of at most {SECRET_LEN_MAX} bytes",
        path.display()
    )]
    Secret {
        /// The file.
        path: PathBuf,
    },
}

// === impl Credentials ===

impl Credentials {
    /// The principal with the secret that stands in `path`: one line, whose end does not count.
    ///
    /// # Errors
    /// When the principal cannot be one, or the file cannot be read or holds no such line.
    pub fn load(principal: &str, path: &Path) -> Result<Self, CredentialsError> {
        if principal.is_empty() || principal.contains(':') {
            return Err(CredentialsError::Principal(principal.to_owned()));
        }
        let text = std::fs::read_to_string(path)
            .map_err(|source| CredentialsError::Read { path: path.to_owned(), source })?;
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() || secret.len() > SECRET_LEN_MAX || secret.contains(['\r', '\n']) {
            return Err(CredentialsError::Secret { path: path.to_owned() });
        }
        Ok(Self { principal: principal.to_owned(), secret: secret.to_owned() })
    }

    /// Who we are.
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// The value of `Authorization`, marked so that no log shows it.
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        let both = BASE64_STANDARD.encode(format!("{}:{}", self.principal, self.secret));
        let mut value = HeaderValue::try_from(format!("Basic {both}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// Without the secret.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("principal", &self.principal).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_the_line_in_the_file_and_is_never_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, "open sesame\n").unwrap();
        let credentials = Credentials::load("batch", &path).unwrap();
        let header = credentials.authorization().unwrap();
        assert_eq!(header.to_str().unwrap(), "Basic YmF0Y2g6b3BlbiBzZXNhbWU=");
        let shown = format!("{credentials:?} {header:?}");
        assert!(shown.contains("batch"), "{shown}");
        assert!(!shown.contains("sesame") && !shown.contains("YmF0"), "{shown}");
    }

    #[test]
    fn what_is_no_secret_is_refused_with_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        for text in ["", "\n", "two\nlines\n", &"x".repeat(SECRET_LEN_MAX + 1)] {
            std::fs::write(&path, text).unwrap();
            let error = Credentials::load("batch", &path).unwrap_err().to_string();
            assert!(error.contains("secret"), "{error}");
        }
        assert!(matches!(Credentials::load("a:b", &path), Err(CredentialsError::Principal(_))));
        let absent = Credentials::load("batch", &directory.path().join("none"));
        assert!(matches!(absent, Err(CredentialsError::Read { .. })));
    }
}
