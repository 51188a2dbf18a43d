//! The executor as an agent sees it: size, memory at rest, memory of a task that waits, time from
//! ACCEPT to the first line of user code. Real processes: offer-sim as master and agent, the
//! executor beside this program. Absent: the scheduler.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use clap::Args;
use prost::Message as _;
use shiftwork_proto::mesos::v1::{
    CommandInfo, ExecutorId, ExecutorInfo, Offer, TaskId, TaskInfo, executor_info, value,
};
use shiftwork_proto::shiftwork::v1::{
    ExecutionType, ExecutorPayload, Schedule, Script, TaskPayload, task_payload::Work,
};

use shiftwork_schedule::Timestamp;

use super::framework::Framework;

/// What is measured, and how often.
#[derive(Debug, Args)]
pub struct ExecutorArguments {
    /// How often a task is launched and timed.
    #[arg(long, default_value_t = 50)]
    launches: usize,
    /// How many daemon tasks wait at once.
    #[arg(long, default_value_t = 200)]
    daemons: usize,
    /// How many firings of a daemon are timed.
    #[arg(long, default_value_t = 100)]
    firings: usize,
}

/// How often the daemon fires whose firings are timed, milliseconds.
const FIRING_PERIOD_MS: u64 = 100;

/// Bytes of a page of memory; that of every machine this runs on.
const PAGE_LEN: u64 = 4096;
/// How long the executor rests before its memory is read.
const REST: Duration = Duration::from_secs(1);
/// How often the agent is looked for while it starts, and how long.
const START_POLL: Duration = Duration::from_millis(20);
const START_POLLS_MAX: usize = 500;

/// Ends the process it stands for.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // SIGTERM would be kinder, but its executor leaves with it either way.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Runs the benchmark and prints its figures.
///
/// # Errors
/// What could not be started or read.
pub fn run(arguments: &ExecutorArguments) -> Result<()> {
    let (executor, agent) = (beside("shiftwork-executor")?, beside("offer-sim")?);
    println!(
        "binary: {:.1} MB ({})",
        megabytes(fs::metadata(&executor)?.len()),
        executor.display()
    );
    let dir = std::env::temp_dir().join(format!("shiftwork-bench-{}", std::process::id()));
    fs::create_dir_all(&dir)?;
    let measured = measure(arguments, &executor, &agent, &dir);
    fs::remove_dir_all(&dir)?;
    measured
}

fn measure(arguments: &ExecutorArguments, executor: &Path, agent: &Path, dir: &Path) -> Result<()> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let address = format!("127.0.0.1:{port}");
    let _agent = Running(
        Command::new(agent)
            .args(["--listen", &address, "--local", "--resources", "cpus:16;mem:16384"])
            .arg("--work-dir")
            .arg(dir.join("agent"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("offer-sim does not start")?,
    );
    let mut framework = connect(&address)?;
    let fifo = dir.join("fifo");
    ensure!(Command::new("mkfifo").arg(&fifo).status()?.success(), "mkfifo failed");
    // Opened for both, so that a reader is always there and opening waits for nobody.
    let reader = OpenOptions::new().read(true).write(true).open(&fifo)?;
    let mut lines = BufReader::new(reader);
    let line = format!("echo begun >{};", fifo.display());

    let first = timed_launch(&mut framework, &mut lines, executor, "first", &line)?;
    println!("ACCEPT to user code, executor not there yet: {:.1} ms", millis(first));
    let mut times = Vec::with_capacity(arguments.launches);
    for number in 0..arguments.launches {
        let id = format!("warm-{number}");
        times.push(timed_launch(&mut framework, &mut lines, executor, &id, &line)?);
    }
    println!("ACCEPT to user code, warm: {}", spread(times));
    let times = timed_firings(&mut framework, &mut lines, executor, &fifo, arguments.firings)?;
    println!(
        "moment of a daemon's firing to user code, the shell's start included: {}",
        spread(times)
    );
    let pid = find_process(executor)?;
    std::thread::sleep(REST);
    let idle = resident(pid)?;
    println!("resident, idle: {:.1} MB", megabytes(idle));
    wait_for_daemons(&mut framework, executor, arguments.daemons)?;
    std::thread::sleep(REST);
    let each = resident(pid)?.saturating_sub(idle) / arguments.daemons.max(1) as u64;
    println!("resident, per waiting daemon of {}: {:.1} KB", arguments.daemons, each as f64 / 1e3);
    Ok(())
}

fn connect(address: &str) -> Result<Framework> {
    let mut last = None;
    for _ in 0..START_POLLS_MAX {
        match Framework::subscribe(address) {
            Ok(framework) => return Ok(framework),
            Err(error) => last = Some(error),
        }
        std::thread::sleep(START_POLL);
    }
    Err(last.context("it was never tried")?.context("offer-sim takes no subscription"))
}

/// Launches a script that writes one line, and sees it through.
fn timed_launch(
    framework: &mut Framework,
    lines: &mut impl BufRead,
    executor: &Path,
    id: &str,
    line: &str,
) -> Result<Duration> {
    let offer = framework.offer()?;
    let task = task(&offer, executor, id, &payload(line));
    let begun = Instant::now();
    framework.accept(&offer, vec![task])?;
    lines.read_line(&mut String::new())?;
    let took = begun.elapsed();
    while !framework.update()?.0 {}
    Ok(took)
}

/// Lets a daemon fire, and compares when its script speaks with the moment the firing stands for.
fn timed_firings(
    framework: &mut Framework,
    lines: &mut impl BufRead,
    executor: &Path,
    fifo: &Path,
    count: usize,
) -> Result<Vec<Duration>> {
    let line = format!("echo $SHIFTWORK_LOGICAL_TIME >{};", fifo.display());
    let schedule = Schedule { every_ms: FIRING_PERIOD_MS, ..Schedule::default() };
    let daemon = TaskPayload {
        execution_type: ExecutionType::Daemon.into(),
        schedule: Some(schedule),
        // None is reported: only the firing itself is timed.
        event_sampling_count: u32::MAX,
        ..payload(&line)
    };
    let offer = framework.offer()?;
    let task = task(&offer, executor, "fires", &daemon);
    let id = task.task_id.clone();
    framework.accept(&offer, vec![task])?;
    ensure!(!framework.update()?.0, "the daemon that fires ended at once");
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let mut text = String::new();
        lines.read_line(&mut text)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let moment: Timestamp = text.trim().parse()?;
        let moment = Duration::from_millis(u64::try_from(moment.as_millis())?);
        times.push(now.saturating_sub(moment));
    }
    framework.kill(&id, &offer.agent_id)?;
    while !framework.update()?.0 {}
    Ok(times)
}

/// Half of the times, and all but one in a hundred.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    let percentile = |percent: usize| {
        let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(at).copied().map_or(0.0, millis)
    };
    format!("p50 {:.1} ms, p99 {:.1} ms of {}", percentile(50), percentile(99), times.len())
}

/// Launches daemons whose moment does not come, and waits until all run.
fn wait_for_daemons(framework: &mut Framework, executor: &Path, count: usize) -> Result<()> {
    let offer = framework.offer()?;
    let schedule = Schedule { cron: "0 0 0 1 1 ? 2099".into(), ..Schedule::default() };
    let payload = TaskPayload {
        execution_type: ExecutionType::Daemon.into(),
        schedule: Some(schedule),
        ..payload("true")
    };
    let tasks = (0..count).map(|number| task(&offer, executor, &format!("d-{number}"), &payload));
    framework.accept(&offer, tasks.collect())?;
    for _ in 0..count {
        let (is_terminal, status) = framework.update()?;
        ensure!(!is_terminal, "a daemon ended: {status:?}");
    }
    Ok(())
}

fn payload(line: &str) -> TaskPayload {
    TaskPayload {
        version: 1,
        app: "bench".into(),
        job: "bench".into(),
        run_id: "bench@20261120T020000Z".into(),
        attempt: 1,
        sharding_total_count: 1,
        execution_type: ExecutionType::Transient.into(),
        work: Some(Work::Script(Script { command_line: line.to_owned(), ..Script::default() })),
        kill_grace_period_ms: 1_000,
        ..TaskPayload::default()
    }
}

/// A task with a small part of the offer, the same executor each time.
fn task(offer: &Offer, executor: &Path, id: &str, payload: &TaskPayload) -> TaskInfo {
    let resources = |cpus: f64| {
        let mut resources = offer.resources.clone();
        resources.retain(|resource| resource.name == "cpus");
        resources.truncate(1);
        for resource in &mut resources {
            resource.scalar = Some(value::Scalar { value: cpus });
        }
        resources
    };
    let data = ExecutorPayload { version: 1, app: "bench".into(), idle_timeout_ms: 0 };
    let executor = ExecutorInfo {
        r#type: Some(executor_info::Type::Custom.into()),
        executor_id: ExecutorId { value: "bench".into() },
        command: Some(CommandInfo {
            shell: Some(true),
            value: Some(format!("exec {}", executor.display())),
            ..CommandInfo::default()
        }),
        resources: resources(0.1),
        data: Some(data.encode_to_vec().into()),
        ..ExecutorInfo::default()
    };
    TaskInfo {
        name: id.to_owned(),
        task_id: TaskId { value: id.to_owned() },
        agent_id: offer.agent_id.clone(),
        resources: resources(0.01),
        executor: Some(executor),
        data: Some(payload.encode_to_vec().into()),
        ..TaskInfo::default()
    }
}

/// A program built beside this one.
pub(super) fn beside(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(
        path.exists(),
        "{} is not built: cargo build --release -p shiftwork-executor -p offer-sim --bins",
        path.display()
    );
    Ok(path)
}

/// The process that runs a program.
fn find_process(program: &Path) -> Result<u32> {
    for entry in fs::read_dir("/proc")?.flatten() {
        if let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>()
            && fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe == program)
        {
            return Ok(pid);
        }
    }
    anyhow::bail!("no process runs {}", program.display())
}

/// Resident memory of a process, bytes.
fn resident(pid: u32) -> Result<u64> {
    let mut text = String::new();
    fs::File::open(format!("/proc/{pid}/statm"))?.read_to_string(&mut text)?;
    let pages: u64 = text.split(' ').nth(1).context("no resident size")?.parse()?;
    Ok(pages * PAGE_LEN)
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
