//! ZooKeeper as operators run it: an ensemble of three servers, and servers that speak TLS with
//! clients they know. Absent: what a single plain server shows.

use std::path::Path as FilePath;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::server::{Server, free_port};
use super::*;
use crate::tls::ClientTlsFiles;

// === ensembles ===

/// Starts three servers that know each other.
fn ensemble() -> Vec<Server> {
    let peers: Vec<String> = (1..=3)
        .map(|id| format!("server.{id}=127.0.0.1:{}:{}\n", free_port(), free_port()))
        .collect();
    let settings = format!("initLimit=20\nsyncLimit=10\n{}", peers.concat());
    let servers: Vec<Server> = (1..=3)
        .map(|id| {
            let directory = tempfile::tempdir().unwrap();
            std::fs::create_dir(directory.path().join("data")).unwrap();
            std::fs::write(directory.path().join("data/myid"), id.to_string()).unwrap();
            Server::start_in(directory, &settings)
        })
        .collect();
    servers.iter().for_each(Server::wait_until_ready);
    servers
}

/// Takes over until it succeeds.
async fn lead(registry: &mut dyn Registry) -> Tenure {
    loop {
        match soon("it leads", registry.take_over(leader("a"))).await {
            Ok(tenure) => return tenure,
            Err(error) => assert!(matches!(error, TakeOverError::ZooKeeper { .. }), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn an_ensemble_carries_on_without_one_server_and_stops_without_two() {
    let mut servers = ensemble();
    let hosts: Vec<String> = servers.iter().map(Server::address).collect();
    let address = format!("zk://{}/chroot", hosts.join(","));
    let config = ZooKeeperConfig::new(&address, "ns", None).unwrap();
    let config = ZooKeeperConfig { session_timeout: SESSION_TIMEOUT, is_ours: |_| true, ..config };
    let fixture = ZooKeeper { config };
    let (mut registry, _) = fixture.process();
    let mut written = 0;
    // Whichever it is connected to, and whichever leads the ensemble, is among them.
    for (gone, server) in servers.iter_mut().enumerate() {
        let tenure = lead(&mut *registry).await;
        assert_eq!(content(&tenure).len(), written, "all that was written and nothing else");
        registry.commit(tenure.epoch, one(vec![set(&format!("x{gone}"), "")])).await.unwrap();
        written += 1;
        server.stop();
        let tenure = if tenure.lease.is_held() { tenure } else { lead(&mut *registry).await };
        let committed =
            registry.commit(tenure.epoch, one(vec![set(&format!("y{gone}"), "")])).await;
        if committed.is_err() {
            // The connection was that server's: nobody knows, and what is there counts.
            let tenure = lead(&mut *registry).await;
            written = content(&tenure).len();
        } else {
            written += 1;
        }
        server.start_again();
    }
    let tenure = lead(&mut *registry).await;
    let epoch = tenure.epoch;
    servers[0].stop();
    servers[1].stop();
    soon("without a majority nobody leads", tenure.lease.lost()).await;
    let late = soon("an answer", registry.commit(epoch, one(vec![set("late", "")]))).await;
    assert!(late.is_err());
    let refused = soon("an answer", registry.take_over(leader("a"))).await.unwrap_err();
    assert!(refused.to_string().contains("majority"), "{refused}");
    // Two at a time: neither serves before the other is there.
    let [first, second, _] = &mut servers[..] else { panic!("three") };
    std::thread::scope(|scope| {
        scope.spawn(|| first.start_again());
        scope.spawn(|| second.start_again());
    });
    let tenure = lead(&mut *registry).await;
    assert_eq!(content(&tenure).len(), written);
    assert!(tenure.epoch > epoch);
}

// === TLS ===

/// An authority, and what it has signed.
struct Authority {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { directory, issuer: Issuer::new(params, key) }
    }

    /// Writes `{name}.pem`, `{name}.key` and both in `{name}-both.pem`.
    fn sign(&self, name: &str, alternative: &str) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![alternative.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        let write = |file: String, text: &str| std::fs::write(self.file(&file), text).unwrap();
        write(format!("{name}.pem"), &certificate);
        write(format!("{name}.key"), &key.serialize_pem());
        write(format!("{name}-both.pem"), &format!("{}{certificate}", key.serialize_pem()));
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn files(&self, name: Option<&str>) -> ClientTlsFiles {
        ClientTlsFiles {
            ca: Some(self.file("ca.pem")),
            cert: name.map(|name| self.file(&format!("{name}.pem"))),
            key: name.map(|name| self.file(&format!("{name}.key"))),
        }
    }
}

/// A server that speaks TLS on a port of its own, and asks its clients who they are.
fn tls_server(authority: &Authority) -> (Server, u16) {
    let port = free_port();
    let show = |file: &FilePath| file.display().to_string();
    let settings = format!(
        "secureClientPort={port}\nsecureClientPortAddress=127.0.0.1\n\
         serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n\
         ssl.keyStore.location={}\nssl.keyStore.type=PEM\n\
         ssl.trustStore.location={}\nssl.trustStore.type=PEM\nssl.clientAuth=need\n",
        show(&authority.file("server-both.pem")),
        show(&authority.file("ca.pem")),
    );
    let server = Server::start_in(tempfile::tempdir().unwrap(), &settings);
    server.wait_until_ready();
    (server, port)
}

#[tokio::test]
async fn tls_with_a_certificate_and_credentials_on_top() {
    let authority = Authority::new();
    authority.sign("server", "127.0.0.1");
    authority.sign("client", "shiftwork");
    let (_server, port) = tls_server(&authority);
    let config = |files: &ClientTlsFiles| {
        let address = format!("zk://user:secret@127.0.0.1:{port}/chroot");
        let config = ZooKeeperConfig::new(&address, "ns", None).unwrap();
        let config = config.with_tls(files).unwrap();
        ZooKeeperConfig { session_timeout: SESSION_TIMEOUT, is_ours: |_| true, ..config }
    };
    let fixture = ZooKeeper { config: config(&authority.files(Some("client"))) };
    let (mut registry, _) = fixture.process();
    let epoch = soon("it leads", registry.take_over(leader("a"))).await.unwrap().epoch;
    registry.commit(epoch, one(vec![set("x", "1")])).await.unwrap();
    let (acls, _) = fixture.client().await.get_acl("/x").await.unwrap();
    assert!(acls.iter().all(|acl| acl.scheme() != "world"), "{acls:?}");

    let stranger = Authority::new();
    stranger.sign("client", "shiftwork");
    let other_ca = ClientTlsFiles { ca: Some(stranger.file("ca.pem")), ..authority.files(None) };
    let other_cert =
        ClientTlsFiles { ca: Some(authority.file("ca.pem")), ..stranger.files(Some("client")) };
    for (what, files) in [
        ("no certificate", authority.files(None)),
        ("a server nobody vouches for", other_ca),
        ("a client nobody vouches for", other_cert),
    ] {
        let error = ZooKeeperRegistry::read(&config(&files)).await.unwrap_err().to_string();
        assert!(error.contains("TLS"), "{what}: {error}");
    }
}
