//! The commands of the documentation, run as a reader would: each chapter in a directory of its own,
//! its blocks one after the other. What the fences mean stands in `docs/releases.md`. Absent: links
//! and the form of the pages (`tests/docs.rs`).

use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::harness::program;
use crate::zookeeper_server::{Server, free_port};

/// A chapter takes a minute on a quiet machine; one that hangs is ended after this.
const CHAPTER_TIMEOUT: Duration = Duration::from_mins(5);

/// What the shell must know before the first block: to start servers, each in the place of the one
/// of its kind before, to wait until they serve, and to leave none behind.
const PROLOGUE: &str = r#"set -eu
shiftwork_server= offer_sim_server= others=
at() { printf '\n@@ %s\n' "$1" >&2; }
gone() { [ -z "$1" ] || { kill "$1" 2>/dev/null || true; wait "$1" || true; }; }
end() { gone "$shiftwork_server"; for pid in $others; do gone "$pid"; done; gone "$offer_sim_server"; }
trap end EXIT
# Looked at every tenth of a second; the process must live meanwhile.
until_serves() {
    i=0
    until curl -fsS -o /dev/null "$2" 2>/dev/null; do
        kill -0 "$1" 2>/dev/null || { echo "the server has ended" >&2; exit 1; }
        i=$((i + 1)); [ $i -lt 900 ] || { echo "the server does not serve $2" >&2; exit 1; }
        sleep 0.1
    done
}
serve_shiftwork() {
    gone "$shiftwork_server"
    sh -c "exec $1" >>servers.txt 2>&1 & shiftwork_server=$!
    until_serves $shiftwork_server "$SHIFTWORK_SERVER/readyz"
}
serve_offer_sim() {
    gone "$offer_sim_server"
    case $1 in *--listen*) ;; *) set -- "$1 --listen $MESOS" ;; esac
    sh -c "exec $1" >>servers.txt 2>&1 & offer_sim_server=$!
    until_serves $offer_sim_server "http://$MESOS/health"
}
serve_other() { sh -c "exec $1" >>servers.txt 2>&1 & others="$others $!"; sleep 0.5; kill -0 $!; }
"#;

/// What a fence asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Run,
    Server,
    Stopped,
}

/// A block of commands and where it stands.
#[derive(Debug)]
struct Block {
    kind: Kind,
    line: usize,
    text: String,
}

/// What a chapter's addresses and paths become.
struct Place {
    directory: tempfile::TempDir,
    http: String,
    mesos: String,
    /// An agent's and the admin API's.
    others: [String; 2],
    zookeeper: Option<Server>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).expect("a parent")
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.trim_start().strip_prefix("```") else { continue };
        let indent = line.len() - line.trim_start().len();
        let mut text = String::new();
        for (_, line) in lines.by_ref() {
            if line.trim_start().starts_with("```") {
                break;
            }
            let _ = writeln!(text, "{}", line.get(indent..).unwrap_or_default());
        }
        let kind = match info.trim() {
            "sh" => Kind::Run,
            "sh,server" => Kind::Server,
            "sh,stopped" => Kind::Stopped,
            _ => continue,
        };
        blocks.push(Block { kind, line: number + 1, text });
    }
    blocks
}

/// The command lines of a block, those that end with a backslash put together, comments left out.
fn command_lines(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

// === impl Place ===

impl Place {
    fn new(commands: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for name in ["deploy", "proto", "docs"] {
            symlink(root().join(name), directory.path().join(name)).expect("a link");
        }
        std::fs::create_dir(directory.path().join("var")).expect("a directory");
        let address = || format!("127.0.0.1:{}", free_port());
        let zookeeper = commands.contains("zk-1:2181").then(Server::start);
        let others = [address(), address()];
        Self { directory, http: address(), mesos: address(), others, zookeeper }
    }

    /// The text with this machine's addresses and paths in place of the reader's.
    fn localized(&self, text: &str) -> String {
        let directory = self.directory.path().display();
        let mut text = text
            .replace("cargo run --release --bin shiftwork --", "shiftwork")
            .replace("cargo run --release -p offer-sim --", "offer-sim")
            // In this order: the directory itself is below /tmp.
            .replace("/tmp/", &format!("{directory}/"))
            .replace("/var/lib/shiftwork", &format!("{directory}/var"))
            .replace("127.0.0.1:8899", &self.http)
            .replace("127.0.0.1:5050", &self.mesos)
            .replace("127.0.0.1:5052", &self.others[0])
            .replace("127.0.0.1:5060", &self.others[1])
            .replace("mesos-1:5050,mesos-2:5050", &self.mesos)
            .replace("mesos-1:5050", &self.mesos);
        if let Some(zookeeper) = &self.zookeeper {
            let address = zookeeper.address();
            text = text
                .replace("zk-1:2181,zk-2:2181,zk-3:2181", &address)
                .replace("zk-1:2181", &address);
        }
        text
    }

    /// What a chapter takes for granted: a master where it speaks of one, else a scheduler.
    fn given(&self, commands: &str, blocks: &[Block]) -> String {
        let programs = program("shiftwork-executor");
        let local = format!(
            "--local --extra-path {} --work-dir agent",
            programs.parent().expect("a directory").display()
        );
        let mut servers = Vec::new();
        let starts_with_commands = blocks.first().is_some_and(|block| block.kind == Kind::Run);
        match &self.zookeeper {
            Some(zookeeper) if commands.contains("zk-3:2181/mesos") => {
                let zk = format!("zk://{}/mesos", zookeeper.address());
                servers
                    .push(format!("serve_offer_sim 'offer-sim --listen {} --zk {zk}'", self.mesos));
                let listen = format!("--listen {} --master {zk}", self.others[0]);
                servers.push(format!("serve_other 'offer-sim agent {listen} {local}'"));
            }
            _ if commands.contains("mesos-1:5050") => {
                servers
                    .push(format!("serve_offer_sim 'offer-sim --listen {} {local}'", self.mesos));
            }
            _ if starts_with_commands => {
                servers.push("serve_shiftwork 'shiftwork standalone'".to_owned());
            }
            _ => {}
        }
        servers.push(String::new());
        servers.join("\n")
    }

    fn script(&self, name: &str, commands: &str, blocks: &[Block]) -> String {
        let mut script = format!("{PROLOGUE}{}", self.given(commands, blocks));
        for block in blocks {
            let text = self.localized(&block.text);
            let _ = writeln!(script, "at {name}:{}", block.line);
            match block.kind {
                Kind::Run => script.push_str(&text),
                Kind::Stopped => {
                    script.push_str("gone \"$shiftwork_server\"; shiftwork_server=\n");
                    script.push_str(&text);
                }
                Kind::Server => {
                    for line in command_lines(&text) {
                        // Variables may stand before the program.
                        let program = line.split(' ').find(|word| !word.contains('='));
                        let serve = match program {
                            Some("shiftwork") => "serve_shiftwork",
                            Some("offer-sim") if !line.contains("offer-sim agent") => {
                                "serve_offer_sim"
                            }
                            _ => "serve_other",
                        };
                        let _ = writeln!(script, "{serve} {}", quoted(&line.replace("exec ", "")));
                    }
                }
            }
        }
        script
    }

    fn run(&self, name: &str, script: &str) {
        let programs = program("shiftwork").parent().expect("a directory").to_path_buf();
        let path = std::env::var("PATH").unwrap_or_default();
        let output = self.directory.path().join("output.txt");
        let file = std::fs::File::create(&output).expect("a file");
        let mut shell = Command::new("bash")
            .args(["-c", script])
            .current_dir(self.directory.path())
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("HOME", self.directory.path())
            .env("SHIFTWORK_SERVER", format!("http://{}", self.http))
            .env("SHIFTWORK_HTTP", &self.http)
            .env("SHIFTWORK_MESOS_LISTEN", &self.mesos)
            .env("MESOS", &self.mesos)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a file"))
            .stderr(file)
            .process_group(0)
            .spawn()
            .expect("bash starts");
        let group = i32::try_from(shell.id()).ok().and_then(Pid::from_raw).expect("a process id");
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = shell.try_wait().expect("it can be waited for") {
                break Some(status);
            }
            if begun.elapsed() > CHAPTER_TIMEOUT {
                let _ = kill_process_group(group, Signal::TERM);
                std::thread::sleep(Duration::from_secs(10));
                let _ = kill_process_group(group, Signal::KILL);
                let _ = shell.wait();
                break None;
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let _ = kill_process_group(group, Signal::KILL);
        let said = std::fs::read(&output).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let last = said.rfind("\n@@ ").map_or(&*said, |at| &said[at..]);
        let servers = std::fs::read_to_string(self.directory.path().join("servers.txt"));
        let servers = servers.unwrap_or_default();
        let servers: Vec<&str> = servers.lines().rev().take(10).collect();
        assert!(
            status.is_some_and(|status| status.success()),
            "{name}: {status:?} (none: it took too long) after\n{last}\nservers, the latest first: {servers:#?}"
        );
    }
}

/// Runs one page, if it has anything to run.
fn run_page(name: &str) {
    let page = std::fs::read_to_string(root().join(name)).expect("text");
    let blocks = blocks(&page);
    if blocks.is_empty() {
        return;
    }
    // What stands in blocks that are not run needs nothing.
    let commands: String = blocks.iter().map(|block| block.text.as_str()).collect();
    let place = Place::new(&commands);
    place.run(name, &place.script(name, &commands, &blocks));
}

macro_rules! pages {
    ($($test:ident: $name:literal,)*) => {
        /// Every page that may have commands, each of which is a test.
        const PAGES: &[&str] = &[$($name),*];
        $(#[test]
        fn $test() {
            run_page($name);
        })*
    };
}

pages! {
    readme: "README.md",
    start: "docs/start.md",
    schedules: "docs/schedules.md",
    packages: "docs/packages.md",
    mesos: "docs/mesos.md",
    zookeeper: "docs/zookeeper.md",
    offer_sim: "docs/offer-sim.md",
    troubleshooting: "docs/troubleshooting.md",
    upgrade: "docs/upgrade.md",
    migration: "docs/migration.md",
    watching: "docs/watching.md",
    cli: "docs/cli.md",
    configuration: "docs/configuration.md",
    security: "docs/security.md",
    console: "docs/console.md",
    api: "docs/api.md",
    grpc: "docs/grpc.md",
}

#[test]
fn every_page_with_commands_is_listed() {
    let mut names = vec!["README.md".to_owned()];
    for entry in std::fs::read_dir(root().join("docs")).expect("docs").flatten() {
        names.push(format!("docs/{}", entry.file_name().to_string_lossy()));
    }
    let is_missing = |name: &String| {
        let text = std::fs::read_to_string(root().join(name)).unwrap_or_default();
        Path::new(name).extension().is_some_and(|extension| extension == "md")
            && !blocks(&text).is_empty()
            && !PAGES.contains(&name.as_str())
    };
    let missing: Vec<_> = names.into_iter().filter(is_missing).collect();
    assert_eq!(missing, Vec::<String>::new(), "add them to the list above");
}

#[test]
fn every_field_of_the_documents_is_in_their_chapter() {
    let standalone = crate::harness::Standalone::start(&[]);
    let (status, api) = standalone.get("/openapi.json");
    assert_eq!(status, 200);
    for (schema, page) in [
        ("AppDocument", "docs/jobs.md"),
        ("JobDocument", "docs/jobs.md"),
        ("CalendarDocument", "docs/schedules.md"),
    ] {
        let text = std::fs::read_to_string(root().join(page)).expect("text");
        let fields = &api["components"]["schemas"][schema]["properties"];
        let fields = fields.as_object().unwrap_or_else(|| panic!("no schema {schema}"));
        let named = |field: &str| {
            ["`", "\""].iter().any(|mark| text.contains(&format!("{mark}{field}{mark}")))
        };
        let missing: Vec<_> = fields.keys().filter(|field| !named(field)).collect();
        assert_eq!(missing, Vec::<&String>::new(), "{page} must tell of these fields of {schema}");
    }
}
