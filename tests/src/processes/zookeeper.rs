//! A ZooKeeper server of our own, alone, on a free port. Absent: ensembles.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::process::{Process, free_port};

/// Where Debian's packages put the server and what it needs.
const CLASS_PATH: &str = "/usr/share/java/zookeeper.jar:/usr/share/java/zookeeper-jute.jar:\
                          /usr/share/java/slf4j-simple.jar";
/// A Java program on a busy machine.
const START_PATIENCE: Duration = Duration::from_mins(2);
/// Between two looks at a server that starts.
const POLL: Duration = Duration::from_millis(50);
/// A question that is not answered by then is not answered.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

/// A running server.
#[derive(Debug)]
pub(crate) struct ZooKeeper {
    directory: PathBuf,
    port: u16,
    process: Process,
}

// === impl ZooKeeper ===

impl ZooKeeper {
    /// Starts one whose data are in `directory`.
    pub(crate) fn start(directory: PathBuf, memory_mb: u32) -> Result<Self> {
        let port = free_port()?;
        std::fs::create_dir_all(&directory)?;
        let config = format!(
            "dataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\ntickTime=500\n\
             minSessionTimeout=1000\nmaxClientCnxns=0\nadmin.enableServer=false\n\
             4lw.commands.whitelist=srvr\n",
            directory.join("data").display()
        );
        std::fs::write(directory.join("zoo.cfg"), config)?;
        let process = spawn(&directory, memory_mb)?;
        let server = Self { directory, port, process };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Where it listens, `host:port`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// Kills it and starts it again on what it had written.
    pub(crate) fn restart(&mut self, memory_mb: u32) -> Result<()> {
        self.process.kill();
        self.process = spawn(&self.directory, memory_mb)?;
        self.wait_until_ready()
    }

    fn wait_until_ready(&self) -> Result<()> {
        let begun = Instant::now();
        while !self.is_ready() {
            let log = self.directory.join("server.log");
            ensure!(
                begun.elapsed() < START_PATIENCE,
                "ZooKeeper does not answer: see {}; Debian's packages zookeeper and \
                 default-jre-headless are needed",
                log.display()
            );
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    fn is_ready(&self) -> bool {
        self.status().is_ok_and(|status| status.contains("Mode:"))
    }

    /// What it says of itself, with the number of requests it has had.
    pub(crate) fn status(&self) -> std::io::Result<String> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let mut stream = TcpStream::connect_timeout(&address, ANSWER_PATIENCE)?;
        stream.set_read_timeout(Some(ANSWER_PATIENCE))?;
        stream.write_all(b"srvr")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

fn spawn(directory: &std::path::Path, memory_mb: u32) -> Result<Process> {
    let mut command = Command::new("java");
    command
        .arg(format!("-Xmx{memory_mb}m"))
        .args(["-cp", CLASS_PATH, "org.apache.zookeeper.server.quorum.QuorumPeerMain", "zoo.cfg"])
        .current_dir(directory);
    Process::start(&mut command, &directory.join("server.log"))
}
