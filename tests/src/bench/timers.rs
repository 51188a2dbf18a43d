//! What schedules cost: memory of jobs that wait, the enqueuing of many that are due at once, and
//! the price of a turn in which nothing is due. Absent: placement; nothing is offered.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use shiftwork_engine::command::{Command, Reply};
use shiftwork_engine::event::RequestId;
use shiftwork_engine::{Effect, Effects, Engine, Event, Settings};
use shiftwork_schedule::Timestamp;

use super::timing::cpu_time;

/// What to measure.
#[derive(Debug, Args)]
pub struct TimersArguments {
    /// Jobs registered
    #[arg(long, default_value_t = 1_000_000)]
    jobs: usize,
    /// Distinct cron expressions among them
    #[arg(long, default_value_t = 5_000)]
    expressions: usize,
    /// Of a thousand jobs, those due in the same second
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    due_per_mille: u32,
}

/// Friday, 2026-11-20T02:00:00Z; the jobs that are due together fire at 03:00.
const START_MS: i64 = 1_795_140_000_000;
const HOUR_MS: i64 = 3_600_000;

/// Turns in which nothing is due, for the mean of them.
const IDLE_TURNS: u32 = 1_000_000;

/// Measures and prints.
///
/// # Errors
/// When a job is refused, or memory cannot be read.
pub fn run(arguments: &TimersArguments) -> Result<()> {
    let mut fx = Effects::default();
    let start = Timestamp::from_millis(START_MS);
    let mut engine = Engine::restore(Settings::default(), 1, start, Vec::new(), &mut fx);
    let app = br#"{"appName":"app","cpuCount":0.1,"memoryMB":32}"#.to_vec();
    change(&mut engine, &mut fx, Command::CreateApp { document: app })?;

    let before = resident_bytes()?;
    let clock = Instant::now();
    let mut document_bytes = 0;
    for index in 0..arguments.jobs {
        let document = document(arguments, index);
        document_bytes += document.len();
        change(&mut engine, &mut fx, Command::CreateJob { document })?;
    }
    let registered = clock.elapsed();
    let memory = resident_bytes()?.saturating_sub(before);
    let jobs = arguments.jobs.max(1);
    println!("jobs                {jobs} over {} expressions", arguments.expressions);
    println!("registration        {}", rate(jobs, registered));
    println!(
        "memory per job      {} bytes, of which its document as sent {} bytes",
        memory / jobs,
        document_bytes / jobs
    );

    let clock = Instant::now();
    for turn in 0..IDLE_TURNS {
        engine.step(start.plus_millis(i64::from(turn % 1_000)), Event::Tick, &mut fx);
    }
    println!("turn with none due  {} ns", clock.elapsed().as_nanos() / u128::from(IDLE_TURNS));
    fx.take();

    let due = start.plus_millis(HOUR_MS);
    if engine.next_deadline() != Some(due) {
        bail!("the next deadline is {:?}, expected {due}", engine.next_deadline());
    }
    let (clock, cpu) = (Instant::now(), cpu_time());
    let (mut turns, mut writes) = (0, 0);
    while engine.next_deadline().is_some_and(|deadline| deadline <= due) {
        engine.step(due, Event::Tick, &mut fx);
        engine.place(due, &mut fx);
        writes += fx.take().iter().filter(|effect| matches!(effect, Effect::Write(_))).count();
        turns += 1;
    }
    let taken = clock.elapsed();
    let taken_cpu = cpu_time().saturating_sub(cpu);
    let pending = engine.status().pending_runs;
    println!("due at once         {pending} runs, {writes} writes in {turns} turns");
    println!("with its effects    {}", rate(pending, taken));
    println!("  of CPU time       {}", rate(pending, taken_cpu));
    Ok(())
}

fn rate(count: usize, took: Duration) -> String {
    let per_second = count as f64 / took.as_secs_f64().max(1e-9);
    format!("{:.3} s, {per_second:.0} a second", took.as_secs_f64())
}

fn change(engine: &mut Engine, fx: &mut Effects, command: Command) -> Result<()> {
    let start = Timestamp::from_millis(START_MS);
    let event = Event::Command { request: RequestId(0), by: "bench".to_owned(), command };
    engine.step(start, event, fx);
    let replies = fx.take().into_iter().filter_map(|effect| match effect {
        Effect::Reply { reply, .. } => Some(reply),
        _ => None,
    });
    let replies: Vec<Reply> = replies.collect();
    match replies.first() {
        Some(Ok(_)) => Ok(()),
        other => bail!("refused: {other:?}"),
    }
}

/// A document of the size people write.
fn document(arguments: &TimersArguments, index: usize) -> Vec<u8> {
    let due = index % 1_000 < arguments.due_per_mille as usize;
    let cron = expression(index, due, arguments);
    format!(
        r#"{{"jobName":"team-{}.report-{index}","appName":"app","jobExecutionType":"TRANSIENT",
        "jobType":"SCRIPT","scriptCommandLine":"bin/report --kind daily --part {index}",
        "cron":"{cron}","timeZone":"UTC","shardingTotalCount":3,
        "shardingItemParameters":"0=north,1=south,2=west","cpuCount":0.5,"memoryMB":128,
        "failover":true,"misfire":false,"description":"the daily report"}}"#,
        index % 97
    )
    .into_bytes()
}

/// One of the expressions: those of jobs due together fire at 03:00:00 among other times, those of
/// the others only later.
fn expression(index: usize, due: bool, arguments: &TimersArguments) -> String {
    let share = arguments.due_per_mille as usize;
    let together = (arguments.expressions * share / 1_000).max(1);
    if due {
        let number = index / 1_000 * share + index % 1_000;
        let number = number % together;
        return format!("0 0,{} 3,{} * * ?", 1 + number % 59, 4 + number / 59 % 20);
    }
    let number = index % arguments.expressions.saturating_sub(together).max(1);
    format!("{} {} {} * * ?", number % 60, number / 60 % 60, 5 + number / 3_600 % 18)
}

/// Memory the process holds, from `/proc`.
pub(super) fn resident_bytes() -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")).context("VmRSS is missing")?;
    Ok(kib.trim().parse::<usize>().context("VmRSS is no number")? * 1024)
}
