//! The job document: when it fires, how many shards, what each needs and runs.

use std::collections::BTreeMap;

use shiftwork_schedule::{BoundedSchedule, Cron, Interval, Schedule, Timestamp, Zone};

use super::app::{read_amount, read_env};
use super::policy::{read_concurrency, read_misfire, read_retry};
use super::reader::{Reader, source};
use super::{Concurrency, FieldError, Misfire, Retry, Source, Strictness};
use crate::ids::{AppName, JobName};
use crate::resources::Demand;

/// Most shards of one job: a gang is placed in one cycle, and its run's record, with all shards
/// and what is said of each, must fit one registry node.
pub(super) const SHARDING_TOTAL_COUNT_MAX: u32 = 1_000;

/// How the shards of a job live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Execution {
    /// The scheduler fires; each shard runs once per run.
    Transient,
    /// The shards stay; each fires by the job's schedule in its executor.
    Daemon,
}

/// What a shard runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// A command line for the shell.
    Script {
        /// As written in the document.
        command_line: String,
    },
}

/// Where shards are put among agents that fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Placement {
    /// On the fullest.
    BinPack,
    /// Over as many as possible.
    Spread,
}

/// A checked job document.
#[derive(Debug, Clone)]
pub struct Job {
    /// Unique key.
    pub name: JobName,
    /// The app it belongs to.
    pub app: AppName,
    /// How its shards live.
    pub execution: Execution,
    /// What a shard runs.
    pub work: Work,
    /// When it fires; `None` for a job that only runs when triggered.
    pub schedule: Option<BoundedSchedule>,
    /// Number of shards.
    pub sharding_total_count: u32,
    /// Parameter by shard.
    pub sharding_item_parameters: BTreeMap<u32, String>,
    /// Parameter of all shards.
    pub job_parameter: String,
    /// Resources of one shard.
    pub demand: Demand,
    /// What happens to missed firings.
    pub misfire: Misfire,
    /// What happens when runs would overlap.
    pub concurrency: Concurrency,
    /// 0..100, higher first.
    pub priority: u8,
    /// How often failing work is tried.
    pub retry: Retry,
    /// Whether a shard lost with its agent, executor or task is run again.
    pub failover: bool,
    /// Longest time running, milliseconds.
    pub timeout_ms: Option<u64>,
    /// Longest time waiting, milliseconds.
    pub queue_timeout_ms: Option<u64>,
    /// From SIGTERM to SIGKILL, milliseconds.
    pub kill_grace_period_ms: u64,
    /// Environment of the work.
    pub env: BTreeMap<String, String>,
    /// Where shards are put.
    pub placement: Placement,
    /// The document as stored.
    pub source: Source,
}

const PRIORITY_DEFAULT: u32 = 50;
const KILL_GRACE_PERIOD_DEFAULT_MS: u64 = 5000;

impl Job {
    /// Checks a document. `default_zone` is used where it names none.
    ///
    /// # Errors
    /// Every field that is wrong, with what is wrong.
    pub fn parse(
        text: &[u8],
        strictness: Strictness,
        default_zone: &Zone,
    ) -> Result<Self, Vec<FieldError>> {
        let mut reader = Reader::parse(text)?;
        let job = read(&mut reader, text, strictness, default_zone);
        reader.finish(strictness, job)
    }

    /// The parameter of one shard; empty where the document gives none.
    pub fn sharding_parameter(&self, item: u32) -> &str {
        self.sharding_item_parameters.get(&item).map_or("", String::as_str)
    }
}

fn read(
    reader: &mut Reader,
    text: &[u8],
    strictness: Strictness,
    default_zone: &Zone,
) -> Option<Job> {
    let name = read_name(reader, "jobName", JobName::parse);
    let app = read_name(reader, "appName", AppName::parse);
    let execution = read_execution(reader);
    let work = read_work(reader);
    let schedule = read_schedule(reader, execution, default_zone);
    let sharding_total_count = read_sharding_total_count(reader);
    let sharding_item_parameters = read_item_parameters(reader);
    let failover = reader.boolean("failover", false) || execution == Some(Execution::Daemon);
    let demand = read_demand(reader);
    let retry = read_retry(reader, failover, strictness);
    let misfire = read_misfire(reader, strictness);
    let concurrency = read_concurrency(reader);
    let priority = reader.integer("priority", 0, 100).unwrap_or(PRIORITY_DEFAULT) as u8;
    let placement = match reader.string("placement").as_deref() {
        None | Some("binpack") => Placement::BinPack,
        Some("spread") => Placement::Spread,
        Some(other) => {
            reader.error("placement", format!("must be binpack or spread, is {other:?}"));
            Placement::BinPack
        }
    };
    let job_parameter = reader.string("jobParameter").unwrap_or_default();
    let timeout_ms = reader.duration("timeout");
    let queue_timeout_ms = reader.duration("queueTimeout");
    let kill_grace_period_ms =
        reader.duration("killGracePeriod").unwrap_or(KILL_GRACE_PERIOD_DEFAULT_MS);
    let env = read_env(reader);
    reader.strings("labels");
    leave_out(reader, strictness);
    Some(Job {
        name: name?,
        app: app?,
        execution: execution?,
        work: work?,
        schedule: schedule?,
        sharding_total_count: sharding_total_count?,
        sharding_item_parameters,
        job_parameter,
        demand: demand?,
        misfire,
        concurrency,
        priority,
        retry,
        failover,
        timeout_ms,
        queue_timeout_ms,
        kill_grace_period_ms,
        env,
        placement,
        source: source(text)?,
    })
}

/// Fields that older clients send without effect, and documented ones this version refuses.
fn leave_out(reader: &mut Reader, strictness: Strictness) {
    reader.ignore(&[
        "description",
        "jobClass",
        "jobProperties",
        "streamingProcess",
        "beanName",
        "applicationContext",
        "jobExecutorServiceHandlerType",
        "jobErrorHandlerType",
        "jobShardingStrategyType",
        "monitorExecution",
        "maxTimeDiffSeconds",
        "reconcileIntervalMinutes",
        "disabled",
        "overwrite",
    ]);
    if strictness == Strictness::Request {
        reader.refuse(&["constraints", "uris", "runAs", "container", "onUnreachable", "jitter"]);
    }
}

fn read_name<T, E: ToString>(
    reader: &mut Reader,
    field: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Option<T> {
    let text = reader.required(field)?;
    match parse(&text) {
        Ok(name) => Some(name),
        Err(error) => {
            reader.error(field, error.to_string());
            None
        }
    }
}

fn read_execution(reader: &mut Reader) -> Option<Execution> {
    match reader.required("jobExecutionType")?.as_str() {
        "TRANSIENT" => Some(Execution::Transient),
        "DAEMON" => Some(Execution::Daemon),
        other => {
            reader.error("jobExecutionType", format!("must be TRANSIENT or DAEMON, is {other:?}"));
            None
        }
    }
}

fn read_work(reader: &mut Reader) -> Option<Work> {
    let job_type = reader.string("jobType");
    let mut props = reader.strings("props");
    let command_line =
        reader.string("scriptCommandLine").or_else(|| props.remove("script.command.line"));
    match job_type.as_deref() {
        None | Some("SCRIPT") => {}
        Some(other) => {
            reader.error(
                "jobType",
                format!("{other:?} is not supported by this version: use SCRIPT"),
            );
            return None;
        }
    }
    match command_line {
        Some(text) if !text.trim().is_empty() && !text.contains('\0') => {
            Some(Work::Script { command_line: text })
        }
        _ => {
            reader.error("scriptCommandLine", "is required: the command line of the script");
            None
        }
    }
}

/// `None` when something is wrong; `Some(None)` for a job without a schedule.
#[allow(clippy::option_option)]
fn read_schedule(
    reader: &mut Reader,
    execution: Option<Execution>,
    default_zone: &Zone,
) -> Option<Option<BoundedSchedule>> {
    let cron = reader.string("cron").filter(|text| !text.trim().is_empty());
    let every = reader.duration("every");
    let at = read_timestamp(reader, "at");
    let start_at = read_timestamp(reader, "startAt");
    let count = reader.integer("count", 1, u32::MAX);
    let zone = read_zone(reader, default_zone)?;
    let start_after = read_timestamp(reader, "startAfter");
    let end_before = read_timestamp(reader, "endBefore");
    if usize::from(cron.is_some()) + usize::from(every.is_some()) + usize::from(at.is_some()) > 1 {
        reader.error("cron", "only one of cron, every and at may be given");
        return None;
    }
    if execution == Some(Execution::Daemon) && cron.is_none() && every.is_none() {
        reader.error("cron", "a DAEMON job needs cron or every");
        return None;
    }
    let schedule = if let Some(text) = cron {
        match Cron::parse(&text) {
            Ok(cron) => Schedule::Cron { cron, zone },
            Err(error) => {
                reader.error("cron", error.to_string());
                return None;
            }
        }
    } else if let Some(period_ms) = every {
        if period_ms < EVERY_MIN_MS {
            reader.error("every", format!("must be at least {EVERY_MIN_MS} ms"));
            return None;
        }
        let start_at = start_at.unwrap_or(Timestamp::from_millis(0));
        Schedule::Every(Interval { period_ms, start_at, count: count.map(u64::from) })
    } else if let Some(at) = at {
        Schedule::At(at)
    } else {
        return Some(None);
    };
    Some(Some(BoundedSchedule { schedule, start_after, end_before }))
}

/// Shortest fixed rate: cron has no finer grain either, and a launch takes longer than less.
const EVERY_MIN_MS: u64 = 100;

fn read_zone(reader: &mut Reader, default_zone: &Zone) -> Option<Zone> {
    let Some(text) = reader.string("timeZone") else {
        return Some(default_zone.clone());
    };
    match Zone::parse(&text) {
        Ok(zone) => Some(zone),
        Err(error) => {
            reader.error("timeZone", error.to_string());
            None
        }
    }
}

fn read_timestamp(reader: &mut Reader, field: &str) -> Option<Timestamp> {
    let text = reader.string(field)?;
    if let Ok(instant) = text.parse() {
        Some(instant)
    } else {
        reader.error(
            field,
            format!("must be an instant like 2026-11-20T02:00:00Z (RFC 3339), is {text:?}"),
        );
        None
    }
}

fn read_sharding_total_count(reader: &mut Reader) -> Option<u32> {
    match reader.take("shardingTotalCount") {
        None => {
            reader.error("shardingTotalCount", "is required: the number of shards, at least 1");
            None
        }
        Some(value) => {
            reader.put("shardingTotalCount", value);
            reader.integer("shardingTotalCount", 1, SHARDING_TOTAL_COUNT_MAX)
        }
    }
}

/// `0=a,1=b`; white space around pairs, keys and values does not count.
fn read_item_parameters(reader: &mut Reader) -> BTreeMap<u32, String> {
    const FIELD: &str = "shardingItemParameters";
    let mut parameters = BTreeMap::new();
    let Some(text) = reader.string(FIELD) else {
        return parameters;
    };
    for pair in text.split(',').filter(|_| !text.trim().is_empty()) {
        let parts: Vec<&str> = pair.split('=').map(str::trim).collect();
        let [item, parameter] = parts[..] else {
            reader.error(FIELD, format!("{pair:?} must be of the form item=parameter"));
            continue;
        };
        match item.parse() {
            Ok(item) => {
                if parameters.insert(item, parameter.to_owned()).is_some() {
                    reader.error(FIELD, format!("item {item} is given twice"));
                }
            }
            Err(_) => reader.error(FIELD, format!("the item {item:?} is not a whole number")),
        }
    }
    parameters
}

fn read_demand(reader: &mut Reader) -> Option<Demand> {
    let cpus = read_required_amount(reader, "cpuCount", 0.001);
    let mem = read_required_amount(reader, "memoryMB", 1.0);
    let disk = read_amount(reader, "diskMB", 0.0, 0.0);
    let gpus = read_amount(reader, "gpuCount", 0.0, 0.0);
    let ports = reader.integer("ports", 0, 1000).unwrap_or(0);
    Some(Demand { cpus: cpus?, mem: mem?, disk: disk?, gpus: gpus?, ports })
}

fn read_required_amount(
    reader: &mut Reader,
    name: &str,
    min: f64,
) -> Option<crate::resources::Milli> {
    let Some(value) = reader.take(name) else {
        reader.error(name, format!("is required: a number of at least {min}"));
        return None;
    };
    reader.put(name, value);
    // A number that cannot be read is reported by the reader; what it leaves is below any minimum.
    let number = reader.number(name)?;
    reader.put(name, number.into());
    read_amount(reader, name, number, min)
}
