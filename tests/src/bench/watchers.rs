//! Many gRPC watchers at a scheduler that runs jobs: how long after it happened each is told of an event,
//! whether any misses one, and what that costs. Real processes: a standalone scheduler beside this
//! program. Absent: judging the figures.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use shiftwork_proto::shiftwork::v1 as wire;
use shiftwork_proto::shiftwork::v1::scheduler_client::SchedulerClient;
use shiftwork_proto::shiftwork::v1::watch_response::What;
use shiftwork_scheduler::trace::EventKey;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

use super::standalone::{FIRING_JOBS, Standalone, print_launches, share};

/// How many watch, and for how long.
#[derive(Debug, Args)]
pub struct WatchersArguments {
    /// Watchers.
    #[arg(long, default_value_t = 1_000)]
    watchers: u32,
    /// Watchers that share a connection.
    #[arg(long, default_value_t = 20)]
    per_connection: u32,
    /// For how long, seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// For how long jobs run without watchers before, to compare with, seconds.
    #[arg(long, default_value_t = 20)]
    quiet_seconds: u32,
}

/// What was due at the end has run and was told by then.
const SETTLING: Duration = Duration::from_secs(3);

/// What one watcher was told.
struct Told {
    latencies: Vec<Duration>,
    /// Of events, in the order they came.
    ids: Vec<EventKey>,
}

/// Runs the benchmark and prints its figures.
///
/// # Errors
/// What could not be started, or a watcher that was cut off.
pub fn run(arguments: &WatchersArguments) -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(measure(arguments))
}

async fn measure(arguments: &WatchersArguments) -> Result<()> {
    let scheduler = Standalone::start("watchers").await?;
    scheduler.fill(0).await?;
    let began = jiff::Timestamp::now();
    tokio::time::sleep(Duration::from_secs(arguments.quiet_seconds.into())).await;
    let alone = scheduler.usage()?;
    let (stop, counted) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
    let mut watching = JoinSet::new();
    let mut channel = None;
    for number in 0..arguments.watchers {
        if number % arguments.per_connection.max(1) == 0 {
            channel = Some(connect(&scheduler.grpc).await?);
        }
        let channel = channel.clone().context("no connection")?;
        // A tenth watches everything, the others a job each.
        let job = match number % 10 {
            0 => String::new(),
            _ => format!("busy-{}", number % FIRING_JOBS),
        };
        let request = wire::WatchRequest { job, ..wire::WatchRequest::default() };
        let stream = SchedulerClient::new(channel).watch(request).await?.into_inner();
        watching.spawn(watch(number, stream, stop.clone(), Arc::clone(&counted)));
    }
    let watched = jiff::Timestamp::now();
    let before = (scheduler.usage()?, counted.load(Ordering::Relaxed));
    tokio::time::sleep(Duration::from_secs(arguments.seconds.into())).await;
    let after = (scheduler.usage()?, counted.load(Ordering::Relaxed));
    let ended = jiff::Timestamp::now();
    tokio::time::sleep(SETTLING).await;
    stop.cancel();
    let (mut latencies, mut of_all) = (Vec::new(), Vec::new());
    while let Some(told) = watching.join_next().await {
        let (number, told) = told??;
        latencies.extend(told.latencies);
        if number % 10 == 0 {
            of_all.push(told.ids);
        }
    }
    let same = said_the_same(&of_all)?;
    latencies.sort_unstable();
    let seconds = f64::from(arguments.seconds);
    println!(
        "{} watchers on {} connections for {seconds:.0} s: {:.0} events/s told; from when it happened to \
         when it was told: p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
        arguments.watchers,
        arguments.watchers.div_ceil(arguments.per_connection.max(1)),
        (after.1 - before.1) as f64 / seconds,
        share(&latencies, 0.5),
        share(&latencies, 0.99),
        share(&latencies, 1.0),
    );
    println!("{} watchers of everything were told the same {same} events, each once", of_all.len());
    println!(
        "the scheduler used {:.0} % of a core and {} MB, {} MB before there were watchers",
        after.0.cpu.saturating_sub(before.0.cpu).as_secs_f64() / seconds * 100.0,
        after.0.resident / 1_000_000,
        alone.resident / 1_000_000,
    );
    print_launches("without watchers", &scheduler.launch_delays(began, watched).await?);
    print_launches("with watchers   ", &scheduler.launch_delays(watched, ended).await?);
    Ok(())
}

async fn connect(address: &str) -> Result<Channel> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?.connect().await?)
}

async fn watch(
    number: u32,
    mut stream: Streaming<wire::WatchResponse>,
    stop: CancellationToken,
    counted: Arc<AtomicU64>,
) -> Result<(u32, Told)> {
    let mut told = Told { latencies: Vec::new(), ids: Vec::new() };
    while let Some(message) = stop.run_until_cancelled(stream.message()).await {
        let message = message?.context("a stream ended")?;
        let Some(What::Event(event)) = message.what else { continue };
        let at = event.at.context("an event without a time")?;
        let at = jiff::Timestamp::new(at.seconds, at.nanos)?;
        let latency = jiff::Timestamp::now().duration_since(at);
        told.latencies.push(Duration::try_from(latency).unwrap_or_default());
        told.ids.push(event.id.parse()?);
        counted.fetch_add(1, Ordering::Relaxed);
    }
    Ok((number, told))
}

/// All who watch everything were told the same, none twice, between when the last of them came and the
/// first of them went; how much that was.
fn said_the_same(all: &[Vec<EventKey>]) -> Result<usize> {
    let begin = all.iter().filter_map(|keys| keys.first()).max();
    let end = all.iter().filter_map(|keys| keys.last()).min();
    let (Some(begin), Some(end)) = (begin, end) else { return Ok(0) };
    let within = |keys: &[EventKey]| -> Vec<EventKey> {
        keys.iter().filter(|key| (begin..=end).contains(key)).copied().collect()
    };
    let Some(expected) = all.first().map(|keys| within(keys)) else { return Ok(0) };
    for keys in all {
        ensure!(keys.is_sorted_by(|one, next| one < next), "one was told an event twice");
        ensure!(within(keys) == expected, "one was told other events than another");
    }
    Ok(expected.len())
}
