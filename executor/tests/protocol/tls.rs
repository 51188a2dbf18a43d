//! The ways to the agent other than plain TCP, and the secret that goes along any of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use shiftwork_proto::mesos::v1::TaskState;
use shiftwork_proto::shiftwork::v1::{Http, TaskPayload, task_payload::Work};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::agent::{Agent, Setting, Way};
use crate::common::{PATIENCE, payload, task_info};

/// A certificate authority, and what it has signed for an agent and for an executor.
struct Authority {
    dir: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("a CA");
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).expect("written");
        Self { dir, issuer }
    }

    fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A certificate and its key, as files.
    fn sign(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = key();
        let params = CertificateParams::new([name.to_owned()]).expect("parameters");
        let signed = params.signed_by(&key, &self.issuer).expect("signed");
        let file = |ending: &str| self.dir.path().join(format!("{name}.{ending}"));
        std::fs::write(file("pem"), signed.pem()).expect("written");
        std::fs::write(file("key"), key.serialize_pem()).expect("written");
        (file("pem"), file("key"))
    }

    /// An agent's side, which asks executors for a certificate of the same authority.
    fn agent(&self) -> TlsAcceptor {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("a root");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        self.acceptor("agent.example", verifier.build().expect("a verifier"))
    }

    /// A server on this machine, for anybody.
    fn server(&self) -> TlsAcceptor {
        self.acceptor("127.0.0.1", WebPkiClientVerifier::no_client_auth())
    }

    fn acceptor(&self, name: &str, verifier: Arc<dyn ClientCertVerifier>) -> TlsAcceptor {
        use rustls::pki_types::pem::PemObject as _;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let (certificate, key) = self.sign(name);
        let certificate = CertificateDer::from_pem_file(certificate).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(key).expect("a key");
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate], key)
            .expect("a server");
        TlsAcceptor::from(Arc::new(config))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

/// What a Mesos agent that speaks TLS gives its executors.
fn variables(ca: &Path, identity: Option<(PathBuf, PathBuf)>) -> Vec<(&'static str, PathBuf)> {
    let mut variables =
        vec![("LIBPROCESS_SSL_ENABLED", "true".into()), ("LIBPROCESS_SSL_CA_FILE", ca.to_owned())];
    if let Some((certificate, key)) = identity {
        variables.push(("LIBPROCESS_SSL_CERT_FILE", certificate));
        variables.push(("LIBPROCESS_SSL_KEY_FILE", key));
    }
    variables
}

#[tokio::test]
async fn over_tls_both_sides_show_who_they_are_and_no_task_learns_of_it() {
    let authority = Authority::new();
    let variables = variables(&authority.ca(), Some(authority.sign("executor.example")));
    let way = Way::Tls(authority.agent(), variables);
    let mut agent = Agent::new(Setting { token: "s3cret", way, ..Setting::default() }).await;
    agent.accept(0).await;
    agent.launch(task_info("t", &payload("env;"))).await;
    agent.update_acknowledged().await;
    let finished = agent.next().await;
    assert!(finished.head.to_ascii_lowercase().contains("authorization: bearer s3cret"));
    let finished = finished.call.update.expect("an update").status;
    assert_eq!(finished.state(), TaskState::TaskFinished);
    let output = std::fs::read_to_string(agent.sandbox.path().join("tasks/t/stdout"));
    let output = output.expect("its output");
    assert!(output.contains("SHIFTWORK_TASK_ID=t\n"), "{output}");
    for secret in ["s3cret", "LIBPROCESS", "AUTHENTICATION", "AGENT_ENDPOINT"] {
        assert!(!output.contains(secret), "{secret} leaks into a task: {output}");
    }
}

#[tokio::test]
async fn an_agent_that_another_authority_vouches_for_is_told_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    let variables = variables(&other.ca(), Some(authority.sign("executor.example")));
    let way = Way::Tls(authority.agent(), variables);
    let mut agent = Agent::new(Setting { token: "s3cret", way, ..Setting::default() }).await;
    let refused = async {
        while !agent.log().contains("invalid peer certificate") {
            tokio::select! {
                call = agent.next() => panic!("a call came: {:?}", call.call),
                () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {}
            }
        }
    };
    assert!(tokio::time::timeout(PATIENCE, refused).await.is_ok(), "it never said why");
}

#[tokio::test]
async fn a_domain_socket_is_asked_below_the_agents_id() {
    let mut agent = Agent::new(Setting { way: Way::Socket, ..Setting::default() }).await;
    agent.accept(0).await;
    agent.launch(task_info("t", &payload("true"))).await;
    let running = agent.next().await;
    assert!(
        running.head.starts_with("POST /slave(1)/api/v1/executor HTTP/1.1\r\n"),
        "{}",
        running.head
    );
    let running = running.call.update.expect("an update").status;
    agent.acknowledge(&running).await;
    assert_eq!(agent.update_acknowledged().await.state(), TaskState::TaskFinished);
}

#[tokio::test]
async fn a_request_over_tls_goes_to_whom_the_system_trusts_only() {
    let (trusted, stranger) = (Authority::new(), Authority::new());
    let mut variables = variables(&trusted.ca(), Some(trusted.sign("executor.example")));
    // What OpenSSL's clients take for the system's roots, too.
    variables.push(("SSL_CERT_FILE", trusted.ca()));
    let way = Way::Tls(trusted.agent(), variables);
    let mut agent = Agent::new(Setting { way, ..Setting::default() }).await;
    agent.accept(0).await;
    for (name, acceptor, state, said) in [
        ("trusted", trusted.server(), TaskState::TaskFinished, "42 rows"),
        ("stranger", stranger.server(), TaskState::TaskFailed, "invalid peer certificate"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let serving = tokio::task::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a connection");
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let _request = stream.read(&mut [0; 4096]).await.expect("a request");
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n42 rows";
            stream.write_all(answer).await.expect("written");
        });
        let uri = format!("https://127.0.0.1:{port}/");
        let http = Http { uri, method: "GET".into(), ..Http::default() };
        let payload = TaskPayload { work: Some(Work::Http(http)), ..payload("") };
        agent.launch(task_info(name, &payload)).await;
        agent.update_acknowledged().await;
        let ended = agent.update_acknowledged().await;
        assert_eq!(ended.state(), state, "{}", ended.message());
        assert!(ended.message().contains(said), "{}", ended.message());
        serving.await.expect("served");
    }
}
