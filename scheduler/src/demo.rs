//! The demonstration: an app and two jobs from the example files in `deploy/demo`, and a line on
//! the terminal for each run.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use shiftwork_engine::Trace;
use shiftwork_engine::command::{Command, Refusal};
use shiftwork_engine::view::RunView;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio_util::sync::CancellationToken;

use crate::turn::Handle;

/// Files of the app's package, as the agent fetches them into an executor's sandbox.
const PACKAGE: [(&str, &str); 3] = [
    ("word-count.sh", include_str!("../../deploy/demo/word-count.sh")),
    ("line-count.sh", include_str!("../../deploy/demo/line-count.sh")),
    ("text.txt", include_str!("../../deploy/demo/text.txt")),
];
const APP: &str = include_str!("../../deploy/demo/app.json");
const JOBS: [&str; 2] = [
    include_str!("../../deploy/demo/word-count.json"),
    include_str!("../../deploy/demo/line-count.json"),
];
/// Stands in the example documents for the directory of this demonstration.
const DIRECTORY_MARK: &str = "@DEMO_DIR@";
/// Who registers the documents, for the records.
const BY: &str = "demo";

/// Where the demonstration keeps its files.
pub struct Demo {
    directory: PathBuf,
}

impl Demo {
    /// Writes the package's files below `data_dir`.
    ///
    /// # Errors
    /// The file that cannot be written.
    pub fn unpack(data_dir: &Path) -> anyhow::Result<Self> {
        let directory = data_dir.join("demo");
        std::fs::create_dir_all(directory.join("results"))
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let directory = directory.canonicalize()?;
        for (name, text) in PACKAGE {
            let file = directory.join(name);
            std::fs::write(&file, text)
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(Self { directory })
    }

    /// Where the shards write what they counted.
    pub fn results(&self) -> PathBuf {
        self.directory.join("results")
    }

    /// Registers the app and its jobs; what is registered already stays as it is.
    ///
    /// # Errors
    /// Why a document was refused.
    pub async fn register(&self, handle: &Handle) -> anyhow::Result<()> {
        let document = |text: &str| {
            let directory = self.directory.to_string_lossy();
            text.replace(DIRECTORY_MARK, &directory).into_bytes()
        };
        let mut commands = vec![Command::CreateApp { document: document(APP) }];
        commands.extend(JOBS.map(|job| Command::CreateJob { document: document(job) }));
        for command in commands {
            match handle.command(BY.to_owned(), command).await? {
                Ok(_) | Err(Refusal::Conflict { .. }) => {}
                Err(refusal) => anyhow::bail!("an example document was refused: {refusal:?}"),
            }
        }
        Ok(())
    }
}

/// Prints a line. That nobody reads it (`| head`) is no reason to stop.
pub fn say(line: &str) {
    let _nobody_reads = writeln!(std::io::stdout(), "{line}");
}

/// Prints a line for every run that ends and every firing of a daemon, until told to stop.
pub async fn print_runs(mut traces: Receiver<Arc<Trace>>, shutdown: CancellationToken) {
    loop {
        let trace = tokio::select! {
            () = shutdown.cancelled() => return,
            trace = traces.recv() => trace,
        };
        match trace {
            Ok(trace) => {
                if let Some(line) = line(&trace) {
                    say(&line);
                }
            }
            Err(RecvError::Lagged(missed)) => {
                say(&format!("({missed} events were too fast to print)"));
            }
            Err(RecvError::Closed) => return,
        }
    }
}

fn line(trace: &Trace) -> Option<String> {
    match trace {
        Trace::Run(run) if run.state.is_final() => Some(run_line(run)),
        Trace::Task { job, at, item, message: Some(message), .. } => {
            let failure = message.strip_prefix("COMPLETE")?;
            let failure = failure.lines().next().unwrap_or_default();
            Some(format!("{at}  {job} shard {item} fired{failure}"))
        }
        Trace::Missed { job, at, first, last, count, reason, .. } => {
            Some(format!("{at}  {job} missed {count} firings from {first} to {last}: {reason}"))
        }
        _ => None,
    }
}

fn run_line(run: &RunView) -> String {
    let at = run.finished_at.unwrap_or(run.created_at);
    let took = run.started_at.map(|started| format!(" in {} ms", at.since(started)));
    let reason = run.reason.as_ref().map(|reason| format!(": {reason}"));
    format!(
        "{at}  {} {} ({} shards{}){}",
        run.id,
        run.state.name(),
        run.shards.len(),
        took.unwrap_or_default(),
        reason.unwrap_or_default(),
    )
}
