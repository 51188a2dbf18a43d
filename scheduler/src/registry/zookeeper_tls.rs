//! TLS to ZooKeeper: which authorities are trusted and who we are, read from PEM files. Absent: which
//! servers are spoken to.

use std::path::{Path, PathBuf};

use zookeeper_client::{Error, TlsOptions};

use crate::tls::ClientTlsFiles;

/// Why TLS to ZooKeeper cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ZooKeeperTlsError {
    /// Nobody is trusted.
    #[error(
        "TLS to ZooKeeper needs the certificates of the authorities to trust: name their file, \
         which may be the system's (/etc/ssl/certs/ca-certificates.crt on Debian)"
    )]
    NoAuthorities,
    /// Only one of certificate and key was named.
    #[error("a client certificate needs its key, and a key its certificate: name both files")]
    HalfIdentity,
    /// A file cannot be read.
    #[error("cannot read the TLS file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} does not hold {what}; it must be PEM, a key unencrypted", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What the parser met.
        source: Error,
    },
}

/// Reads the files that are named; `None` where none is.
///
/// # Errors
/// When one cannot be read or does not hold what it should, or an authority is missing.
pub(super) fn load(files: &ClientTlsFiles) -> Result<Option<TlsOptions>, ZooKeeperTlsError> {
    let identity = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        _ => return Err(ZooKeeperTlsError::HalfIdentity),
    };
    let Some(ca) = &files.ca else {
        return if identity.is_some() { Err(ZooKeeperTlsError::NoAuthorities) } else { Ok(None) };
    };
    // The process may have one already; there is no other that it could be.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let content = |path: &Path, what| {
        let path = path.to_owned();
        move |source| ZooKeeperTlsError::Content { path, what, source }
    };
    let mut options = TlsOptions::new()
        .with_pem_ca(&read(ca)?)
        .map_err(content(ca, "certificates of authorities"))?;
    if let Some((cert, key)) = identity {
        options = options
            .with_pem_identity(&read(cert)?, &read(key)?)
            .map_err(content(key, "the key of the client certificate"))?;
    }
    Ok(Some(options))
}

fn read(path: &Path) -> Result<String, ZooKeeperTlsError> {
    std::fs::read_to_string(path)
        .map_err(|source| ZooKeeperTlsError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named_with_their_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(path)
        };
        let authority = rcgen::generate_simple_self_signed(vec!["zk".to_owned()]).unwrap();
        let ca = file("ca.pem", &authority.cert.pem());
        let key = file("key.pem", &authority.signing_key.serialize_pem());
        let garbage = file("garbage.pem", "x");
        let files = |ca: &Option<PathBuf>, cert: &Option<PathBuf>, key: &Option<PathBuf>| {
            ClientTlsFiles { ca: ca.clone(), cert: cert.clone(), key: key.clone() }
        };
        assert!(load(&ClientTlsFiles::default()).unwrap().is_none());
        assert!(load(&files(&ca, &None, &None)).unwrap().is_some());
        assert!(load(&files(&ca, &ca, &key)).unwrap().is_some());
        for (files, expected) in [
            (files(&ca, &ca, &None), "needs its key"),
            (files(&None, &ca, &key), "authorities"),
            (files(&garbage, &None, &None), "garbage.pem does not hold certificates"),
            (files(&ca, &ca, &garbage), "garbage.pem does not hold the key"),
            (files(&Some("/none".into()), &None, &None), "/none"),
        ] {
            let error = load(&files).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
