//! The job document: when it fires, how many shards, what each needs and runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use shiftwork_schedule::{BoundedSchedule, Zone};

use super::app::{read_amount, read_env};
use super::constraint::{Constraint, read_constraints};
use super::container::{read_image, read_job_uris};
use super::executor::{JobExecutor, read_executor};
use super::jitter;
use super::limits::{Limits, read_limits};
use super::policy::{
    read_concurrency, read_misfire, read_on_unreachable, read_retry, refuse_daemon_retry,
};
use super::reader::{Reader, source};
use super::schedule::{
    SCHEDULE_FIELDS, check_daemon_schedule, read_calendars, read_jitter, read_schedule,
};
use super::work::{Work, read_context_argument, read_run_as, read_work};
use super::{Concurrency, FieldError, Misfire, OnUnreachable, Retry, Source, Strictness};
use crate::ids::{AppName, CalendarName, JobName};
use crate::resources::Demand;

/// Most shards of one job: a gang is placed in one cycle, and its run's record, with all shards
/// and what is said of each, must fit one registry node.
pub(super) const SHARDING_TOTAL_COUNT_MAX: u32 = 1_000;

/// How the shards of a job live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Execution {
    /// The scheduler fires; each shard runs once per run.
    Transient,
    /// The shards stay; each fires by the job's schedule in its executor.
    Daemon,
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
    /// Which executor runs its shards.
    pub executor: JobExecutor,
    /// Whether a script gets its sharding context as the last argument of its command line.
    pub context_argument: bool,
    /// The user a script runs as; `None` for the executor's own.
    pub run_as: Option<String>,
    /// What each process of a script may use; `None` for what the agent allows.
    pub limits: Option<Limits>,
    /// When it fires; `None` for a job that only runs when triggered.
    pub schedule: Option<Arc<BoundedSchedule>>,
    /// It does not fire on the days these exclude.
    pub calendars: Vec<CalendarName>,
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
    /// Its runs start up to this much after their logical time, milliseconds: each job by a share
    /// of it that follows from its name.
    pub jitter_ms: u64,
    /// 0..100, higher first.
    pub priority: u8,
    /// How often failing work is tried.
    pub retry: Retry,
    /// Whether a shard lost with its agent, executor or task is run again.
    pub failover: bool,
    /// What becomes of a shard whose agent cannot be reached.
    pub on_unreachable: OnUnreachable,
    /// Longest time running, milliseconds.
    pub timeout_ms: Option<u64>,
    /// Longest time waiting, milliseconds.
    pub queue_timeout_ms: Option<u64>,
    /// From SIGTERM to SIGKILL, milliseconds.
    pub kill_grace_period_ms: u64,
    /// Environment of the work.
    pub env: BTreeMap<String, String>,
    /// Variables whose values are secrets, by the names of those; the engine never knows the values.
    pub secret_env: BTreeMap<String, String>,
    /// Files for the fetcher, beside the app's; only for tasks of Mesos' own executor.
    pub uris: Vec<String>,
    /// The Docker image a task runs in; only for tasks of Mesos' own executor.
    pub image: Option<String>,
    /// Where shards are put.
    pub placement: Placement,
    /// What is asked of the agents they are put on.
    pub constraints: Arc<[Constraint]>,
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
        let schedule = read_schedule(&mut reader, default_zone);
        let job = read(&mut reader, source(text), strictness, schedule);
        reader.finish(strictness, job)
    }

    /// Parses once more what was parsed before; text and schedule are shared, not made again.
    pub(crate) fn parse_again(
        text: &Source,
        schedule: Option<Arc<BoundedSchedule>>,
    ) -> Option<Self> {
        let mut reader = Reader::parse(text.get().as_bytes()).ok()?;
        reader.ignore(&SCHEDULE_FIELDS);
        let text = Some(Arc::clone(text));
        let job = read(&mut reader, text, Strictness::Stored, Some(schedule));
        reader.finish(Strictness::Stored, job).ok()
    }

    /// How long after its logical time a run of the schedule starts, milliseconds.
    pub fn jitter_delay_ms(&self) -> u64 {
        jitter::delay_ms(&self.name, self.jitter_ms)
    }

    /// The parameter of one shard; empty where the document gives none.
    pub fn sharding_parameter(&self, item: u32) -> &str {
        self.sharding_item_parameters.get(&item).map_or("", String::as_str)
    }
}

/// `schedule`: as [`read_schedule`] gave it.
#[allow(clippy::option_option)]
fn read(
    reader: &mut Reader,
    text: Option<Source>,
    strictness: Strictness,
    schedule: Option<Option<Arc<BoundedSchedule>>>,
) -> Option<Job> {
    let name = read_name(reader, "jobName", JobName::parse);
    let app = read_name(reader, "appName", AppName::parse);
    let execution = read_execution(reader);
    let work = read_work(reader, strictness);
    let run_as = read_run_as(reader, work.as_ref());
    let limits = read_limits(reader, work.as_ref(), strictness);
    let executor = read_executor(reader, work.as_ref(), execution);
    let uris = read_job_uris(reader, executor, strictness);
    let image = read_image(reader, executor, strictness);
    let context_argument = read_context_argument(reader, work.as_ref());
    check_daemon_schedule(reader, execution, schedule.as_ref());
    let sharding_total_count = read_sharding_total_count(reader);
    let sharding_item_parameters = read_item_parameters(reader, sharding_total_count, strictness);
    let failover = reader.boolean("failover", false) || execution == Some(Execution::Daemon);
    let demand = read_demand(reader);
    refuse_daemon_retry(reader, execution, strictness);
    let on_unreachable = read_on_unreachable(reader);
    let retry = read_retry(reader, failover, strictness);
    let misfire = read_misfire(reader, execution, strictness);
    let concurrency = read_concurrency(reader, strictness);
    let calendars = read_calendars(reader, execution);
    let jitter_ms = read_jitter(reader, execution, schedule.as_ref().and_then(Option::as_deref));
    if execution == Some(Execution::Daemon) && matches!(concurrency, Concurrency::Allow { .. }) {
        reader.error("concurrency", "allow has no meaning for a DAEMON: its firings never overlap");
    }
    let priority = reader.integer("priority", 0, 100).unwrap_or(PRIORITY_DEFAULT) as u8;
    let constraints = read_constraints(reader);
    let placement = match reader.string("placement").as_deref() {
        None | Some("binpack") => Placement::BinPack,
        Some("spread") => Placement::Spread,
        Some(other) => {
            reader.error("placement", format!("must be binpack or spread, is {other:?}"));
            Placement::BinPack
        }
    };
    let job_parameter = reader.string("jobParameter").unwrap_or_default();
    let timeout_ms = reader.positive_duration("timeout");
    let queue_timeout_ms = reader.positive_duration("queueTimeout");
    let kill_grace_period_ms =
        reader.duration("killGracePeriod").unwrap_or(KILL_GRACE_PERIOD_DEFAULT_MS);
    let secret_env = read_secret_env(reader, executor);
    let env = read_env(reader);
    reader.strings("labels");
    leave_out(reader);
    Some(Job {
        name: name?,
        app: app?,
        execution: execution?,
        work: work?,
        executor,
        context_argument,
        run_as,
        limits,
        schedule: schedule?,
        calendars,
        sharding_total_count: sharding_total_count?,
        sharding_item_parameters,
        job_parameter,
        demand: demand?,
        misfire,
        concurrency,
        jitter_ms,
        priority,
        retry,
        failover,
        on_unreachable,
        timeout_ms,
        queue_timeout_ms,
        kill_grace_period_ms,
        env,
        secret_env,
        uris,
        image,
        placement,
        constraints,
        source: text?,
    })
}

/// Variables of the form `{"secret": NAME}`; the others stay to be read as what they are.
fn read_secret_env(reader: &mut Reader, executor: JobExecutor) -> BTreeMap<String, String> {
    let mut secrets = BTreeMap::new();
    let Some(value) = reader.take("env") else { return secrets };
    let Value::Object(map) = value else {
        reader.put("env", value);
        return secrets;
    };
    let mut others = serde_json::Map::new();
    for (variable, value) in map {
        let Value::Object(reference) = &value else {
            others.insert(variable, value);
            continue;
        };
        let field = format!("env.{variable}");
        match reference.get("secret") {
            _ if variable.is_empty() || variable.contains(['=', '\0']) => {
                reader.error(&field, "a variable's name must not be empty nor hold '=' or NUL");
            }
            // Its command and environment stand in the master's state, for everybody to read.
            Some(Value::String(_)) if executor == JobExecutor::Command => {
                reader.error(&field, "a secret needs the app's executor: leave out executor");
            }
            Some(Value::String(name)) if reference.len() == 1 && is_secret_name(name) => {
                secrets.insert(variable, name.clone());
            }
            _ => reader.error(&field, "must be a string, or {\"secret\": NAME} of a secret"),
        }
    }
    reader.put("env", Value::Object(others));
    secrets
}

/// Names of secrets: they are names of nodes.
fn is_secret_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@+".contains(&byte);
    (1..=100).contains(&name.len()) && name.bytes().all(plain) && !matches!(name, "." | "..")
}

/// Fields that older clients send without effect.
fn leave_out(reader: &mut Reader) {
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
}

pub(super) fn read_name<T, E: ToString>(
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

/// Parameters of items that no run has are a mistake in a request; Elastic-Job-Cloud passes over them,
/// and so does what is stored.
fn read_item_parameters(
    reader: &mut Reader,
    count: Option<u32>,
    strictness: Strictness,
) -> BTreeMap<u32, String> {
    const FIELD: &str = "shardingItemParameters";
    let text = reader.string(FIELD).unwrap_or_default();
    let (parameters, problems) = parse_item_parameters(&text);
    for problem in problems {
        reader.error(FIELD, problem);
    }
    let beyond = parameters.keys().next_back().zip(count).filter(|(last, count)| *last >= count);
    if let (Some((item, count)), Strictness::Request) = (beyond, strictness) {
        let message = format!(
            "names item {item}, but shardingTotalCount is {count}: items go from 0 to {}",
            count - 1
        );
        reader.error(FIELD, message);
    }
    parameters
}

/// Reads parameters by shard, `0=a,1=b`; white space around pairs, keys and values does not count.
/// Gives what could be read, and what is wrong with the rest.
pub fn parse_item_parameters(text: &str) -> (BTreeMap<u32, String>, Vec<String>) {
    let mut parameters = BTreeMap::new();
    let mut problems = Vec::new();
    for pair in text.split(',').filter(|_| !text.trim().is_empty()) {
        let parts: Vec<&str> = pair.split('=').map(str::trim).collect();
        let [item, parameter] = parts[..] else {
            problems.push(format!("{pair:?} must be of the form item=parameter"));
            continue;
        };
        match item.parse() {
            Ok(item) => {
                if parameters.insert(item, parameter.to_owned()).is_some() {
                    problems.push(format!("item {item} is given twice"));
                }
            }
            Err(_) => problems.push(format!("the item {item:?} is not a whole number")),
        }
    }
    (parameters, problems)
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
