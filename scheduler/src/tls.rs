//! TLS as a client: which authorities are trusted and who we are, read from PEM files. Absent: serving
//! TLS; and which connections use it.

use std::fmt;
use std::path::{Path, PathBuf};

use reqwest::{Certificate, ClientBuilder, Identity};

/// The files TLS is set up from, all of them PEM.
#[derive(Debug, Clone, Default)]
pub struct ClientTlsFiles {
    /// Certificates of the authorities to trust, instead of those of the system.
    pub ca: Option<PathBuf>,
    /// Our certificate, its chain behind it; with a key only.
    pub cert: Option<PathBuf>,
    /// The key of our certificate.
    pub key: Option<PathBuf>,
}

/// What TLS connections of a client are made with. The default trusts the authorities of the system and
/// has no certificate of its own.
#[derive(Clone, Default)]
pub struct ClientTls {
    roots: Vec<Certificate>,
    identity: Option<Identity>,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read the TLS file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file of authorities holds none.
    #[error("{} holds no certificate; it must be PEM with BEGIN CERTIFICATE", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The file of authorities holds something else.
    #[error("the certificates in {} cannot be read; they must be PEM", path.display())]
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// What the parser met.
        #[source]
        source: reqwest::Error,
    },
    /// Certificate and key are not such.
    #[error(
        "{} and {} are no certificate with its key; both must be PEM, the key unencrypted",
        cert.display(), key.display()
    )]
    BadIdentity {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What the parser met.
        #[source]
        source: reqwest::Error,
    },
    /// Only one of certificate and key was named.
    #[error("a client certificate needs its key, and a key its certificate: name both files")]
    HalfIdentity,
}

// === impl ClientTls ===

impl ClientTls {
    /// Reads the files that are named.
    ///
    /// # Errors
    /// When one cannot be read or does not hold what it should.
    pub fn load(files: &ClientTlsFiles) -> Result<Self, TlsError> {
        let roots = match &files.ca {
            Some(path) => read_roots(path)?,
            None => Vec::new(),
        };
        let identity = match (&files.cert, &files.key) {
            (Some(cert), Some(key)) => Some(read_identity(cert, key)?),
            (None, None) => None,
            _ => return Err(TlsError::HalfIdentity),
        };
        Ok(Self { roots, identity })
    }

    /// Sets a client up with it.
    pub fn apply(&self, mut builder: ClientBuilder) -> ClientBuilder {
        if !self.roots.is_empty() {
            builder = builder.tls_certs_only(self.roots.iter().cloned());
        }
        if let Some(identity) = &self.identity {
            builder = builder.identity(identity.clone());
        }
        builder
    }
}

/// Without the key.
impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("roots", &self.roots.len())
            .field("identity", &self.identity.is_some())
            .finish()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn read_roots(path: &Path) -> Result<Vec<Certificate>, TlsError> {
    let roots = Certificate::from_pem_bundle(&read(path)?)
        .map_err(|source| TlsError::BadCertificate { path: path.to_owned(), source })?;
    if roots.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(roots)
}

fn read_identity(cert: &Path, key: &Path) -> Result<Identity, TlsError> {
    let mut pem = read(cert)?;
    pem.push(b'\n');
    pem.extend(read(key)?);
    Identity::from_pem(&pem).map_err(|source| TlsError::BadIdentity {
        cert: cert.to_owned(),
        key: key.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(directory: &Path, name: &str, text: &str) -> PathBuf {
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["m1".to_owned()]).unwrap();
        let cert = file(directory.path(), "cert.pem", &made.cert.pem());
        let key = file(directory.path(), "key.pem", &made.signing_key.serialize_pem());
        let text = file(directory.path(), "text", "no PEM\n");
        let load = |ca: Option<&PathBuf>, cert: Option<&PathBuf>, key: Option<&PathBuf>| {
            let (ca, cert, key) = (ca.cloned(), cert.cloned(), key.cloned());
            ClientTls::load(&ClientTlsFiles { ca, cert, key })
        };
        let whole = load(Some(&cert), Some(&cert), Some(&key)).unwrap();
        assert_eq!(format!("{whole:?}"), "ClientTls { roots: 1, identity: true }");
        assert!(matches!(load(Some(&text), None, None), Err(TlsError::NoCertificate { .. })));
        assert!(matches!(load(None, Some(&cert), None), Err(TlsError::HalfIdentity)));
        let swapped = load(None, Some(&text), Some(&cert)).unwrap_err().to_string();
        assert!(swapped.contains("cert.pem"), "{swapped}");
        let absent = load(Some(&directory.path().join("none")), None, None).unwrap_err();
        assert!(absent.to_string().contains("none"), "{absent}");
    }
}
