//! Masters that ask who we are: credentials, certificates, and what is said when they are refused.

use std::sync::Arc;

use axum::serve::Listener;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::StatusCode;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use shiftwork_engine::effect::Action;
use shiftwork_proto::mesos::v1::scheduler::call;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::mesos::testing::{Master, Rig, config};
use crate::mesos::{Credentials, DriverConfig};
use crate::tls::{ClientTls, ClientTlsFiles};

/// The header that a principal `batch` with the secret `open sesame` sends.
const AUTHORIZATION: &str = "Basic YmF0Y2g6b3BlbiBzZXNhbWU=";

fn with_credentials(mut config: DriverConfig) -> DriverConfig {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, "open sesame\n").unwrap();
    config.credentials = Some(Credentials::load("batch", &path).unwrap());
    config
}

#[tokio::test]
async fn credentials_go_with_the_subscription_and_with_every_call() {
    let mut master = Master::start().await;
    let config = with_credentials(config(vec![master.address.clone()]));
    let mut rig = Rig::start_with(config, None, 8);
    let request = master.expect(call::Type::Subscribe).await;
    assert_eq!(request.authorization.as_deref(), Some(AUTHORIZATION));
    let info = &request.call.subscribe.as_ref().unwrap().framework_info;
    assert_eq!(info.principal.as_deref(), Some("batch"), "what the master compares it with");
    let stream = request.open("s-1");
    stream.send(&crate::mesos::testing::subscribed("f-1", 15.0));
    rig.expect_subscribed("f-1").await;
    rig.handle.submit(vec![Action::Revive]);
    let request = master.expect(call::Type::Revive).await;
    assert_eq!(request.authorization.as_deref(), Some(AUTHORIZATION));
    request.accepted();
}

#[tokio::test]
async fn a_master_that_refuses_us_is_asked_again_and_may_change_its_mind() {
    let mut master = Master::start().await;
    let mut rig = Rig::start(&[&master], None);
    for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
        let request = master.expect(call::Type::Subscribe).await;
        assert_eq!(request.authorization, None);
        request.answer((status, "no"));
    }
    let _stream = master.subscribe("s-1", "f-1").await;
    rig.expect_subscribed("f-1").await;
}

#[test]
fn what_mends_a_refusal_is_said() {
    let refused = |status| {
        let url = reqwest::Url::parse("http://m:5050/").unwrap();
        let text = "no".to_owned();
        crate::mesos::subscribe::SubscribeError::Refused { url, status, text }.to_string()
    };
    assert!(refused(StatusCode::UNAUTHORIZED).contains("--mesos-secret-file"));
    assert!(refused(StatusCode::FORBIDDEN).contains("ACLs"));
    assert!(!refused(StatusCode::BAD_REQUEST).contains("--mesos"));
}

/// An authority with the certificates it signed, as files and as what a server needs.
struct Authority {
    directory: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

// === impl Authority ===

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { directory, issuer }
    }

    /// Writes `{name}.pem` and `{name}.key`.
    fn sign(&self, name: &str, host: &str) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.directory.path().join(format!("{name}.pem")), cert.pem()).unwrap();
        let key = key.serialize_pem();
        std::fs::write(self.directory.path().join(format!("{name}.key")), key).unwrap();
    }

    fn client(&self, own: Option<&str>) -> ClientTls {
        let file = |name: String| self.directory.path().join(name);
        let files = ClientTlsFiles {
            ca: Some(file("ca.pem".to_owned())),
            cert: own.map(|name| file(format!("{name}.pem"))),
            key: own.map(|name| file(format!("{name}.key"))),
        };
        ClientTls::load(&files).unwrap()
    }

    /// A server that asks its clients for a certificate of this authority.
    fn server(&self) -> TlsAcceptor {
        let path = |name: &str| self.directory.path().join(name);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(path("ca.pem")).unwrap()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                vec![CertificateDer::from_pem_file(path("master.pem")).unwrap()],
                PrivateKeyDer::from_pem_file(path("master.key")).unwrap(),
            )
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Hands on the connections whose handshake succeeds.
struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
    /// Handshakes that failed.
    refused: tokio::sync::watch::Sender<u32>,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (tcp, address) = self.tcp.accept().await.unwrap();
            match self.acceptor.accept(tcp).await {
                Ok(stream) => return (stream, address),
                Err(_) => self.refused.send_modify(|count| *count += 1),
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

#[tokio::test]
async fn tls_is_spoken_with_a_certificate_and_only_to_whom_the_authority_knows() {
    let authority = Authority::new();
    authority.sign("master", "localhost");
    authority.sign("scheduler", "scheduler");
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("localhost:{}", tcp.local_addr().unwrap().port());
    let (refused, mut failures) = tokio::sync::watch::channel(0);
    let listener = TlsListener { tcp, acceptor: authority.server(), refused };
    let mut master = Master::on(listener, address.clone());

    let mut config = config(vec![format!("https://{address}")]);
    config.tls = authority.client(Some("scheduler"));
    let mut rig = Rig::start_with(config.clone(), None, 8);
    let _stream = master.subscribe("s-1", "f-1").await;
    rig.expect_subscribed("f-1").await;
    rig.handle.submit(vec![Action::Revive]);
    master.expect(call::Type::Revive).await.accepted();

    // Somebody else's authority; and no certificate of our own.
    for tls in [Authority::new().client(None), authority.client(None)] {
        let before = *failures.borrow_and_update();
        let other = DriverConfig { tls, ..config.clone() };
        let rig = Rig::start_with(other, None, 8);
        failures.wait_for(|count| *count > before).await.unwrap();
        assert!(rig.handle.stats().subscriptions == 0 && master.is_idle().await);
    }
}
