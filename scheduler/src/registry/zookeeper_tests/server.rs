//! A ZooKeeper server as a child process, on a free port and a directory of its own; it ends with
//! the test binary. Absent: ensembles.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Where Debian's packages put the server and what it needs; the package's own class path lacks what
/// TLS needs of Netty.
const CLASS_PATH: &str = "/usr/share/java/zookeeper.jar:/usr/share/java/zookeeper-jute.jar:\
                          /usr/share/java/slf4j-simple.jar:/usr/share/java/netty-codec.jar:\
                          /usr/share/java/netty-resolver.jar:\
                          /usr/share/java/netty-transport-native-unix-common.jar";

/// A Java program on a busy machine.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// A running server. It ends when this is dropped, or when the process that holds this has ended.
pub(crate) struct Server {
    port: u16,
    directory: TempDir,
    process: Child,
}

// === impl Server ===

impl Server {
    pub(crate) fn start() -> Self {
        let server = Self::start_in(tempfile::tempdir().expect("a temporary directory"), "");
        server.wait_until_ready();
        server
    }

    /// Starts on a directory that holds what `settings`, added to the usual ones, speak of. It may not
    /// answer yet.
    pub(crate) fn start_in(directory: TempDir, settings: &str) -> Self {
        let port = free_port();
        let data = directory.path().join("data");
        let config = format!(
            "dataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\ntickTime=500\n\
             minSessionTimeout=1000\nmaxClientCnxns=0\nadmin.enableServer=false\n\
             4lw.commands.whitelist=srvr\n{settings}",
            data.display()
        );
        std::fs::write(directory.path().join("zoo.cfg"), config).expect("a file");
        let process = spawn(&directory);
        Self { port, directory, process }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Kills it and starts it again on what it had written.
    pub(crate) fn restart(mut self) -> Self {
        self.stop();
        self.start_again();
        self
    }

    /// Kills it.
    pub(crate) fn stop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }

    pub(crate) fn start_again(&mut self) {
        self.process = spawn(&self.directory);
        self.wait_until_ready();
    }

    pub(crate) fn wait_until_ready(&self) {
        let begun = Instant::now();
        while !self.is_ready() {
            assert!(begun.elapsed() < START_TIMEOUT, "ZooKeeper does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn is_ready(&self) -> bool {
        // Without a majority of its ensemble it answers and says that it does not serve.
        self.status().is_ok_and(|status| status.contains("Mode:"))
    }

    /// What it says of itself, with the number of requests it has had.
    pub(crate) fn status(&self) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"srvr")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A port that nobody listens on at the moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Through a shell that outlives nobody: it ends the server when its input ends, and that is held
/// by the test binary alone.
fn spawn(directory: &TempDir) -> Child {
    let script = format!(
        "java -Xmx256m -cp {CLASS_PATH} org.apache.zookeeper.server.quorum.QuorumPeerMain zoo.cfg \
         </dev/null >server.log 2>&1 & read -r _; kill -9 $!; wait"
    );
    Command::new("sh")
        .args(["-c", &script])
        .current_dir(directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh starts")
}
