//! Encryption of secrets, and the file with the key. Absent: what is encrypted.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The name of the key's file in the data directory, where no other is named.
pub const KEY_FILE_NAME: &str = "secret-key";

/// Bytes of a key.
const KEY_BYTES: usize = 32;

/// The key of all secrets.
#[derive(Clone)]
pub struct Key {
    key: Arc<RandomizedNonceKey>,
    /// Tells one key from another.
    id: String,
}

/// An encrypted value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sealed {
    key_id: String,
    nonce: String,
    ciphertext: String,
}

/// Why the file of a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read or made.
    #[error("cannot {what} the file of the key for secrets {} ({source})", path.display())]
    File {
        /// `read` or `make`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It holds no key.
    #[error(
        "{} holds no key for secrets: it must be one line with 32 random bytes in base64, as \
         `openssl rand -base64 32` makes", .0.display()
    )]
    NoKey(PathBuf),
    /// Others may read it.
    #[error("others may read the key for secrets: chmod 600 {}", .0.display())]
    Readable(PathBuf),
}

// === impl Key ===

impl Key {
    /// Reads the key from a file; with `make`, makes the file, with a new key in it, if it is not there.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn of_file(path: &Path, make: bool) -> Result<Self, KeyFileError> {
        let failed = |what, source| KeyFileError::File { what, path: path.into(), source };
        let text = match std::fs::read_to_string(path) {
            Err(error) if make && error.kind() == std::io::ErrorKind::NotFound => {
                make_file(path).map_err(|source| failed("make", source))?
            }
            read => read.map_err(|source| failed("read", source))?,
        };
        let mode = std::fs::metadata(path).map_err(|source| failed("read", source))?;
        if mode.permissions().mode() & 0o077 != 0 {
            return Err(KeyFileError::Readable(path.into()));
        }
        let bytes = STANDARD.decode(text.trim()).unwrap_or_default();
        Self::of_bytes(&bytes).ok_or_else(|| KeyFileError::NoKey(path.into()))
    }

    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != KEY_BYTES {
            return None;
        }
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes).ok()?;
        // Of another hash than anything else made from the key.
        let id = Sha256::digest([b"key id ", bytes].concat());
        Some(Self { key: Arc::new(key), id: STANDARD.encode(&id[..6]) })
    }

    /// Encrypts the value of a secret.
    pub(super) fn seal(&self, name: &str, value: &str) -> Result<Sealed, String> {
        let mut bytes = value.as_bytes().to_vec();
        let nonce = self.key.seal_in_place_append_tag(Aad::from(name.as_bytes()), &mut bytes);
        let nonce = nonce.map_err(|_| "cannot encrypt a secret".to_owned())?;
        Ok(Sealed {
            key_id: self.id.clone(),
            nonce: STANDARD.encode(nonce.as_ref()),
            ciphertext: STANDARD.encode(bytes),
        })
    }

    /// Decrypts it.
    pub(super) fn open(&self, name: &str, sealed: &Sealed) -> Result<String, String> {
        if sealed.key_id != self.id {
            return Err(format!(
                "it was encrypted with the key {} and this scheduler has {}: all schedulers need \
                 the same --secret-key-file",
                sealed.key_id, self.id
            ));
        }
        let damaged = || "what is stored of it is damaged: set it again".to_owned();
        let nonce = STANDARD.decode(&sealed.nonce).map_err(|_| damaged())?;
        let nonce = Nonce::try_assume_unique_for_key(&nonce).map_err(|_| damaged())?;
        let mut bytes = STANDARD.decode(&sealed.ciphertext).map_err(|_| damaged())?;
        let opened = self.key.open_in_place(nonce, Aad::from(name.as_bytes()), &mut bytes);
        let value = opened.map_err(|_| damaged())?.to_vec();
        String::from_utf8(value).map_err(|_| damaged())
    }
}

fn make_file(path: &Path) -> std::io::Result<String> {
    let mut bytes = [0; KEY_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| std::io::Error::other("no randomness"))?;
    let text = STANDARD.encode(bytes);
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_with_its_key_and_name_alone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key");
        assert!(Key::of_file(&file, false).is_err());
        let key = Key::of_file(&file, true).unwrap();
        let sealed = key.seal("db", "s3cret").unwrap();
        assert!(!format!("{sealed:?}").contains("s3cret"));
        assert_ne!(key.seal("db", "s3cret").unwrap(), sealed, "never twice the same");
        let again = Key::of_file(&file, false).unwrap();
        assert_eq!(again.open("db", &sealed).unwrap(), "s3cret");
        assert!(again.open("other", &sealed).unwrap_err().contains("damaged"));
        let changed = Sealed { ciphertext: STANDARD.encode("nonsense"), ..sealed.clone() };
        assert!(again.open("db", &changed).unwrap_err().contains("damaged"));
        let other = Key::of_file(&directory.path().join("other"), true).unwrap();
        assert!(other.open("db", &sealed).unwrap_err().contains("--secret-key-file"));
    }

    #[test]
    fn a_file_that_is_no_key_or_open_to_others_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key");
        for text in ["", "short", &STANDARD.encode([7; 31])] {
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(Key::of_file(&file, true), Err(KeyFileError::NoKey(_))), "{text}");
        }
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Key::of_file(&file, true), Err(KeyFileError::Readable(_))));
    }
}
