//! Random apps and jobs of every kind the engine takes, small enough to fit the smallest cluster.

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

/// The document of a job.
pub(super) fn job(name: &str, app: &str, daemon: bool, now: i64, random: &mut Random) -> Vec<u8> {
    let shards = if daemon { random.between(1, 3) } else { random.between(1, 8) };
    let cpus = random.between(50, if daemon { 200 } else { (GANG_CPUS_MAX / shards).min(600) });
    let mut fields = Map::new();
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
    }
    schedule(&mut fields, daemon, now, random);
    Value::Object(fields).to_string().into_bytes()
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
            // Named, because the engine would take the moment of registration.
            set("startAt", json!("1970-01-01T00:00:00Z"));
            if random.chance(0.3) {
                set("startAt", json!(soon(random)));
                set("count", json!(random.between(1, 10)));
            }
        }
        5 => {
            set("at", json!(soon(random)));
        }
        _ => {}
    }
    if !daemon && random.chance(0.1) {
        set("startAfter", json!(soon(random)));
    }
    if !daemon && random.chance(0.1) {
        set("endBefore", json!(soon(random)));
    }
}

/// The same job without its schedule; `None` if it has none.
pub(super) fn without_schedule(text: &str) -> Option<Vec<u8>> {
    let mut document: Map<String, Value> = serde_json::from_str(text).ok()?;
    let mut had = false;
    for field in ["cron", "every", "at", "startAt", "count", "startAfter", "endBefore", "timeZone"]
    {
        had |= document.remove(field).is_some();
    }
    had.then(|| Value::Object(document).to_string().into_bytes())
}
