//! Random apps, calendars and jobs of every kind the engine takes. What waits for ever would hide
//! what is forgotten: a job either fits the cluster it is for, or its runs expire.

use serde_json::{Map, Value, json};
use shiftwork_schedule::Timestamp;

use crate::random::Random;

const CRONS: [&str; 6] = [
    "*/20 * * * * ?",
    "15/30 * * * * ?",
    "0 * * * * ?",
    "0 */2 * * * ?",
    "30 0/3 * * * ?",
    "0 0 * ? * MON-SUN",
];
const ZONES: [&str; 3] = ["UTC", "America/New_York", "Europe/Berlin"];
const PERIODS: [&str; 5] = ["5s", "17s", "45s", "90s", "10m"];
/// Share of all cpus of the smallest cluster that one gang may want, in thousandths.
const GANG_CPUS_MAX: i64 = 2_400;
/// The same where one machine alone may have to take them all, beside daemons and executors.
const NARROW_CPUS_MAX: i64 = 800;
/// Where it is midnight soon after a world begins, and where it is not.
const CALENDAR_ZONES: [&str; 5] =
    ["UTC", "Etc/GMT+1", "Etc/GMT+2", "Asia/Kolkata", "America/New_York"];

/// The document of an app.
pub(super) fn app(name: &str, random: &mut Random) -> Vec<u8> {
    let document = json!({
        "appName": name,
        "cpuCount": random.between(1, 3) as f64 / 10.0,
        "memoryMB": *random.pick(&[32, 64, 128]),
        "bootstrapScript": format!("run-{}", random.below(3)),
    });
    document.to_string().into_bytes()
}

/// What the cluster is like, as far as users know it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) machines: u64,
    /// Machines that have GPUs.
    pub(crate) gpus: u64,
    /// Whether Mesos' own executor is to be had.
    pub(crate) commands: bool,
}

impl Shape {
    /// GPUs of a machine that has some.
    pub(crate) const GPUS: i64 = 2;
    /// Ports of a machine at least.
    pub(crate) const PORTS: u32 = 8;
}

/// The document of a calendar: some days, which begin at different hours in different zones.
pub(super) fn calendar(name: &str, random: &mut Random) -> Vec<u8> {
    let mut document = json!({
        "calendarName": name,
        "timeZone": *random.pick(&CALENDAR_ZONES),
    });
    match random.below(3) {
        0 => document["weekdays"] = json!([*random.pick(&["THU", "FRI", "SAT"])]),
        1 => document["dates"] = json!([*random.pick(&["2026-11-19", "2026-11-20", "2026-11-21"])]),
        _ => document["ranges"] = json!([{"from": "2026-11-21", "to": "2026-11-22"}]),
    }
    document.to_string().into_bytes()
}

/// The document of a job of an app, under some of the calendars that there are.
pub(super) fn job(
    (name, app): (&str, &str),
    calendars: &[String],
    daemon: bool,
    now: i64,
    shape: Shape,
    random: &mut Random,
) -> Vec<u8> {
    let mut fields = Map::new();
    let constraint = random.chance(0.25).then(|| constraint(shape, random));
    let shards = if daemon { random.between(1, 3) } else { random.between(1, 8) };
    let shards = shards.min(constraint.as_ref().map_or(shards, |(_, most)| *most as i64));
    let gang = if constraint.is_some() { NARROW_CPUS_MAX } else { GANG_CPUS_MAX };
    let cpus = random.between(50, if daemon { 200 } else { (gang / shards).min(600) });
    let anywhere = constraint.is_none();
    if let Some((row, _)) = constraint {
        fields.insert("constraints".to_owned(), json!([row]));
    }
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    set("jobName", json!(name));
    set("appName", json!(app));
    set("jobExecutionType", json!(if daemon { "DAEMON" } else { "TRANSIENT" }));
    set("scriptCommandLine", json!(format!("work {}", random.below(1000))));
    set("shardingTotalCount", json!(shards));
    set("cpuCount", json!(cpus as f64 / 1000.0));
    set("memoryMB", json!(*random.pick(&[32, 64, 256])));
    set("priority", json!(random.below(101)));
    set("killGracePeriod", json!(*random.pick(&["1s", "5s"])));
    if random.chance(0.3) {
        set("placement", json!("spread"));
    }
    if random.chance(0.5) {
        set("failover", json!(true));
    }
    if random.chance(0.4) {
        set("retry", retry(random));
    }
    if !daemon {
        set("misfire", misfire(random));
        set("concurrency", concurrency(random));
        if random.chance(0.2) {
            set("timeout", json!(*random.pick(&["20s", "2m"])));
        }
        if random.chance(0.2) {
            set("queueTimeout", json!(*random.pick(&["10s", "1m"])));
        }
        if random.chance(0.2) {
            set("diskMB", json!(random.between(1, 500)));
        }
        if random.chance(0.2) {
            set("ports", json!(random.between(1, i64::from(Shape::PORTS) / shards).max(1)));
        }
        if anywhere && shape.gpus > 0 && random.chance(0.2) && shards <= Shape::GPUS {
            set("gpuCount", json!(1));
        }
        if random.chance(0.05) {
            // No machine has it: it waits, and must hold up nothing else.
            set("constraints", json!([["rack", "IS", "r9"]]));
            set("queueTimeout", json!("1m"));
        }
        if !calendars.is_empty() && random.chance(0.3) {
            set("calendars", json!([random.pick(calendars)]));
        }
    }
    // Numbers of its own: those drawn above and below stay what they were for a seed.
    let mut own = Random::new(random.clone().next());
    kind(&mut fields, daemon, shape, &mut own);
    schedule(&mut fields, daemon, now, random);
    Value::Object(fields).to_string().into_bytes()
}

/// What a shard runs, and in what; and whether it is waited for where nobody reaches it.
fn kind(fields: &mut Map<String, Value>, daemon: bool, shape: Shape, random: &mut Random) {
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    match random.below(10) {
        0 => {
            set("jobType", json!("HTTP"));
            set("http", json!({"uri": "http://10.0.0.1/work"}));
            set("scriptCommandLine", Value::Null);
        }
        1 => {
            set("jobType", json!("SIMPLE"));
            set("jobClass", json!("work"));
            set("scriptCommandLine", Value::Null);
        }
        2 => {
            set("jobType", json!("DATAFLOW"));
            set("jobClass", json!("flow"));
            set("streamingProcess", json!(random.chance(0.5)));
            set("scriptCommandLine", Value::Null);
        }
        3 | 4 if !daemon && shape.commands => {
            set("executor", json!("command"));
        }
        _ => {}
    }
    if !daemon && random.chance(0.2) {
        set("onUnreachable", json!("wait"));
        // A machine that never comes back is waited for no longer than that.
        if !fields.contains_key("timeout") {
            fields.insert("timeout".to_owned(), json!("2m"));
        }
    }
}

/// A constraint, and how many shards at most can meet it on a cluster of this shape.
fn constraint(shape: Shape, random: &mut Random) -> (Value, u64) {
    const ANY: u64 = 8;
    match random.below(9) {
        0 => (json!(["@hostname", "UNIQUE"]), shape.machines),
        1 => (json!(["@hostname", "MAX_PER", "2"]), 2 * shape.machines),
        2 => (json!(["rack", "CLUSTER"]), ANY),
        3 => (json!(["zone", "CLUSTER", "z1"]), ANY),
        4 => (json!(["rack", "GROUP_BY"]), ANY),
        5 => (json!(["zone", "GROUP_BY", "2"]), ANY),
        6 => (json!(["rack", "LIKE", "r[01]"]), ANY),
        7 => (json!(["ssd", "UNLIKE", "true"]), ANY),
        _ => (json!(["ssd", "IS", "true"]), ANY),
    }
}

fn retry(random: &mut Random) -> Value {
    let backoff = json!({"initial": "1s", "max": *random.pick(&["2s", "20s"])});
    let mut retry = json!({"maxAttempts": random.between(1, 4), "backoff": backoff});
    if random.chance(0.3) {
        retry["exitCodes"] = json!([1, 75]);
    }
    if random.chance(0.5) {
        retry["laterExitCodes"] = json!([]);
    }
    retry
}

fn concurrency(random: &mut Random) -> Value {
    match random.below(6) {
        0 => json!("skip"),
        1 => json!("replace"),
        2 => json!({"policy": "allow", "max": random.between(1, 3)}),
        _ => json!("forbid"),
    }
}

fn misfire(random: &mut Random) -> Value {
    match random.below(6) {
        0 => json!(false),
        1 => json!({"policy": "skip"}),
        2 => json!({"policy": "coalesce", "window": "5m"}),
        3 => json!({"policy": "all", "maxPending": random.between(1, 4)}),
        4 => json!({"policy": "all", "maxPending": 20, "window": "2m"}),
        _ => json!({"policy": "all", "maxPending": 20}),
    }
}

fn schedule(fields: &mut Map<String, Value>, daemon: bool, now: i64, random: &mut Random) {
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    let soon = |random: &mut Random| {
        Timestamp::from_millis(now + random.between(-60_000, 900_000)).to_string()
    };
    match random.below(if daemon { 5 } else { 8 }) {
        0..=2 => {
            set("cron", json!(*random.pick(&CRONS)));
            if random.chance(0.5) {
                set("timeZone", json!(*random.pick(&ZONES)));
            }
        }
        3 | 4 => {
            set("every", json!(*random.pick(&PERIODS)));
            // Else it counts from its registration.
            if random.chance(0.5) {
                set("startAt", json!("1970-01-01T00:00:00Z"));
            }
            if random.chance(0.3) {
                set("startAt", json!(soon(random)));
                set("count", json!(random.between(1, 10)));
            }
        }
        5 if random.chance(0.5) => {
            set("delay", json!(*random.pick(&["1s", "90s"])));
        }
        5 => {
            set("at", json!(soon(random)));
        }
        _ => {}
    }
    if !daemon && random.chance(0.2) {
        // Shorter than any period.
        set("jitter", json!(*random.pick(&["300ms", "4s"])));
    }
    if !daemon && random.chance(0.1) {
        set("startAfter", json!(soon(random)));
    }
    if !daemon && random.chance(0.1) {
        set("endBefore", json!(soon(random)));
    }
}

/// What makes a job fire.
const SCHEDULE_FIELDS: [&str; 9] =
    ["cron", "every", "at", "startAt", "count", "startAfter", "endBefore", "timeZone", "jitter"];

/// The same job without its schedule; `None` if it has none.
pub(super) fn without_schedule(text: &str) -> Option<Vec<u8>> {
    let mut document: Map<String, Value> = serde_json::from_str(text).ok()?;
    let mut had = false;
    for field in SCHEDULE_FIELDS {
        had |= document.remove(field).is_some();
    }
    had.then(|| Value::Object(document).to_string().into_bytes())
}
