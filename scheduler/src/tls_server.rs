//! TLS as a server: a certificate and its key from PEM files, read again when they change, for every
//! listener of the process. Absent: TLS as a client (`tls.rs`), and what is served.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::serve::Listener;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How long a client may take to agree on a key.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Clients that agree on a key at a time: more wait to be accepted.
const HANDSHAKES_MAX: usize = 1_000;
/// Pause after the system could not accept a connection, as when there are no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The files of a server's certificate, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTlsFiles {
    /// The certificate, its chain behind it.
    pub cert: PathBuf,
    /// Its key, unencrypted.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ServerTlsError {
    /// A file cannot be read, or is not PEM.
    #[error("cannot read {what} in {}: it must be a readable PEM file", path.display())]
    Read {
        /// Certificate or key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the reader met.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// There is no certificate in it.
    #[error("{} holds no certificate: it must be PEM with BEGIN CERTIFICATE", .0.display())]
    Empty(PathBuf),
    /// They do not belong together, or are of a kind that is not spoken.
    #[error("{} and {} are no certificate with its key", cert.display(), key.display())]
    Mismatch {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What TLS said.
        #[source]
        source: rustls::Error,
    },
    /// It cannot be read as X.509.
    #[error("the certificate in {} cannot be read: {problem}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// A server's certificate, and connections made with it. Cheap to clone: all clones share what was
/// read last.
#[derive(Debug, Clone)]
pub struct ServerTls {
    certificate: Arc<Current>,
    config: Arc<ServerConfig>,
}

/// The certificate as it was read last.
#[derive(Debug)]
struct Current {
    files: ServerTlsFiles,
    state: RwLock<State>,
}

#[derive(Debug, Clone)]
struct State {
    key: Arc<CertifiedKey>,
    /// When it expires, seconds since 1970.
    expires_at_s: i64,
}

// === impl ServerTls ===

impl ServerTls {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// [`ServerTlsError`].
    pub fn load(files: ServerTlsFiles) -> Result<Self, ServerTlsError> {
        let state = RwLock::new(read(&files)?);
        let certificate = Arc::new(Current { files, state });
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = versions.map_err(|source| certificate.mismatch(source))?;
        let mut config =
            builder.with_no_client_auth().with_cert_resolver(Arc::clone(&certificate) as Arc<_>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { certificate, config: Arc::new(config) })
    }

    /// When the certificate expires, seconds since 1970.
    pub fn expires_at_s(&self) -> i64 {
        self.certificate.state().expires_at_s
    }

    /// Takes up new files for as long as `stop` is not cancelled. What cannot be used is said, and the
    /// former certificate kept.
    pub async fn follow(self, metrics: Metrics, stop: CancellationToken) {
        metrics.on_certificate(self.expires_at_s());
        let mut seen = stamp(&self.certificate.files);
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_INTERVAL)).await.is_some() {
            let now = stamp(&self.certificate.files);
            if now == seen {
                continue;
            }
            match self.reload() {
                Ok(()) => {
                    seen = now;
                    metrics.on_certificate(self.expires_at_s());
                    tracing::info!(expires_at_s = self.expires_at_s(), "took up a new certificate");
                }
                // Both files are seldom replaced in one moment: looked at again.
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the new certificate cannot be used; the former is kept");
                }
            }
        }
    }

    /// Reads the files again.
    ///
    /// # Errors
    /// [`ServerTlsError`]; the former certificate is kept.
    pub fn reload(&self) -> Result<(), ServerTlsError> {
        let state = read(&self.certificate.files)?;
        *self.certificate.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        Ok(())
    }

    /// Accepts connections on a listener and agrees on keys, many at a time. They come out in the
    /// order in which they are ready.
    pub fn accept(&self, listener: TcpListener) -> TlsListener {
        let (ready, connections) = mpsc::channel(HANDSHAKES_MAX);
        let address = listener.local_addr();
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        // Ends with the listener: nothing can be sent to it then.
        tokio::spawn(accept_all(listener, acceptor, ready));
        TlsListener { connections, address }
    }
}

async fn accept_all(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    ready: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let permits = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = ready.closed() => return,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (acceptor, ready) = (acceptor.clone(), ready.clone());
        tokio::spawn(async move {
            let agreed = tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await;
            match agreed {
                Ok(Ok(stream)) => {
                    // The listener has gone: nobody is served any more.
                    let _ = ready.send((stream, from)).await;
                }
                Ok(Err(error)) => tracing::debug!(%from, %error, "no TLS with a client"),
                Err(_) => tracing::debug!(%from, "a client took too long to agree on TLS"),
            }
            drop(permit);
        });
    }
}

/// Encrypted connections, ready to be served.
#[derive(Debug)]
pub struct TlsListener {
    connections: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: io::Result<SocketAddr>,
}

impl TlsListener {
    /// The next connection, for servers that take a stream of them; none when accepting has ended.
    pub async fn next(&mut self) -> Option<(TlsStream<TcpStream>, SocketAddr)> {
        self.connections.recv().await
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.connections.recv().await {
            Some(accepted) => accepted,
            // The task that accepts has ended, which it does only with this listener.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        match &self.address {
            Ok(address) => Ok(*address),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        }
    }
}

// === impl Current ===

impl Current {
    fn state(&self) -> State {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn mismatch(&self, source: rustls::Error) -> ServerTlsError {
        mismatch(&self.files, source)
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.state().key)
    }
}

fn mismatch(files: &ServerTlsFiles, source: rustls::Error) -> ServerTlsError {
    ServerTlsError::Mismatch { cert: files.cert.clone(), key: files.key.clone(), source }
}

fn read(files: &ServerTlsFiles) -> Result<State, ServerTlsError> {
    let failed =
        |what, path: &Path, source| ServerTlsError::Read { what, path: path.into(), source };
    let certs = CertificateDer::pem_file_iter(&files.cert).and_then(Iterator::collect);
    let certs: Vec<CertificateDer<'static>> =
        certs.map_err(|source| failed("the certificate", &files.cert, source))?;
    let first = certs.first().ok_or_else(|| ServerTlsError::Empty(files.cert.clone()))?;
    let (_, parsed) = x509_parser::parse_x509_certificate(first).map_err(|error| {
        ServerTlsError::Certificate { path: files.cert.clone(), problem: error.to_string() }
    })?;
    let expires_at_s = parsed.validity().not_after.timestamp();
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|source| failed("the key", &files.key, source))?;
    let key = CertifiedKey::from_der(certs, key, &aws_lc_rs::default_provider())
        .map_err(|source| mismatch(files, source))?;
    Ok(State { key: Arc::new(key), expires_at_s })
}

/// What tells that a file was replaced, whatever replaced it.
fn stamp(files: &ServerTlsFiles) -> [Option<(std::time::SystemTime, u64)>; 2] {
    let of = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    [of(&files.cert), of(&files.key)]
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use axum::serve::ListenerExt as _;

    use super::*;

    fn write(directory: &Path, name: &str) -> (ServerTlsFiles, String) {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let files = ServerTlsFiles { cert: directory.join("cert"), key: directory.join("key") };
        std::fs::write(&files.cert, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        (files, made.cert.pem())
    }

    fn client(authority: &str) -> reqwest::Client {
        let root = reqwest::Certificate::from_pem(authority.as_bytes()).unwrap();
        reqwest::Client::builder().tls_certs_only([root]).no_proxy().build().unwrap()
    }

    #[tokio::test]
    async fn a_new_certificate_is_taken_up_and_a_bad_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let (files, first) = write(directory.path(), "localhost");
        let tls = ServerTls::load(files.clone()).unwrap();
        let listener = tls.accept(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let port = Listener::local_addr(&listener).unwrap().port();
        let router = Router::new().route("/", get(async || "here"));
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(axum::serve(listener.tap_io(|_| ()), service).into_future());
        let ask = async |authority: &str| {
            let url = format!("https://localhost:{port}/");
            client(authority).get(url).send().await?.text().await
        };
        assert_eq!(ask(&first).await.unwrap(), "here");
        // Replaced in place, without a restart.
        let (_, second) = write(directory.path(), "localhost");
        assert!(ask(&second).await.is_err());
        tls.reload().unwrap();
        assert_eq!(ask(&second).await.unwrap(), "here");
        assert!(ask(&first).await.is_err());
        std::fs::write(&files.cert, "nonsense").unwrap();
        assert!(tls.reload().is_err());
        assert_eq!(ask(&second).await.unwrap(), "here");
        assert!(tls.expires_at_s() > 0);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let (files, _) = write(directory.path(), "a");
        let key = std::fs::read(&files.key).unwrap();
        write(directory.path(), "b");
        std::fs::write(&files.key, key).unwrap();
        let error = ServerTls::load(files.clone()).unwrap_err();
        assert!(matches!(error, ServerTlsError::Mismatch { .. }), "{error}");
        std::fs::write(&files.cert, "").unwrap();
        let error = ServerTls::load(files.clone()).unwrap_err().to_string();
        assert!(error.contains("cert"), "{error}");
        let none = ServerTlsFiles { cert: directory.path().join("none"), ..files };
        assert!(ServerTls::load(none).is_err());
    }
}
