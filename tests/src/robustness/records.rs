//! What may stand in the registry: names of nodes and what they hold. Whatever a node holds, the
//! engine starts, says what it cannot read, and keeps all the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use shiftwork_engine::command::{Command, Overrides};
use shiftwork_engine::event::{Offer, RequestId, StatusReason, StatusUpdate, TaskState};
use shiftwork_engine::ids::{AgentId, AppName, FrameworkId, JobName, OfferId};
use shiftwork_engine::record::Key;
use shiftwork_engine::resources::{Kind, Milli, Origin, Piece, Resources};
use shiftwork_engine::{Action, Effect, Effects, Engine, Event, Order, Settings};
use shiftwork_schedule::Timestamp;
use shiftwork_scheduler::registry::Path;
use shiftwork_scheduler::registry::keys::{Place, path_of, place_of};

/// When the records are made: 2026-11-20T00:00:00Z.
const NOW: Timestamp = Timestamp::from_millis(1_795_132_800_000);
/// A damaged engine goes on for this long after its start, milliseconds.
const GOES_ON_MS: [u64; 4] = [0, 1_000, 60_000, 3_600_000];
/// More than there are.
const LIST_MAX: usize = 1_000;

type Records = BTreeMap<Key, Vec<u8>>;

pub(super) fn paths() -> Vec<Vec<u8>> {
    let names = records().keys().filter_map(|key| path_of(key).ok());
    names.map(|path| path.as_str().as_bytes().to_vec()).collect()
}

/// A name is no record, or the record's name is that one.
pub(super) fn path(text: &[u8]) {
    let Ok(path) = Path::new(String::from_utf8_lossy(text)) else { return };
    if let Place::Record(key) = place_of(&path) {
        let written = path_of(&key).expect("a record has a place");
        assert_eq!(place_of(&written), Place::Record(key), "{path}");
    }
}

pub(super) fn nodes() -> Vec<Vec<u8>> {
    records().values().cloned().collect()
}

/// One record holds these bytes, then another one: which ones follows from the bytes.
pub(super) fn node(bytes: &[u8]) {
    let sum: usize = bytes.iter().map(|byte| usize::from(*byte)).sum();
    for place in [sum, bytes.len()] {
        let Some(key) = records().keys().nth(place % records().len()) else { continue };
        let mut damaged = records().clone();
        damaged.insert(key.clone(), bytes.to_vec());
        start(&damaged, key, bytes);
    }
}

/// Starts on damaged records and goes on for a while.
fn start(records: &Records, damaged: &Key, bytes: &[u8]) {
    let mut fx = Effects::default();
    let stored = records.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let mut engine = Engine::restore(Settings::default(), 1, NOW, stored, &mut fx);
    let jobs = engine.jobs(None, None, Order::Ascending, LIST_MAX);
    let names: BTreeSet<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    for key in records.keys() {
        if let Key::Job(name) = key {
            assert!(names.contains(name.as_str()), "{name} is gone by {damaged:?}");
        }
    }
    let is_json = serde_json::from_slice::<serde_json::Value>(bytes).is_ok();
    let told = !engine.status().problems.is_empty()
        || jobs.iter().any(|job| job.problem.is_some())
        || engine.apps(None, Order::Ascending, LIST_MAX).iter().any(|app| app.problem.is_some())
        || engine
            .calendars(None, Order::Ascending, LIST_MAX)
            .iter()
            .any(|calendar| calendar.problem.is_some());
    let holds_json = matches!(
        damaged,
        Key::App(_)
            | Key::Job(_)
            | Key::Calendar(_)
            | Key::Watermark
            | Key::Ready(..)
            | Key::Running(_)
            | Key::ParallelRunning(_)
    );
    assert!(told || is_json || !holds_json, "nobody hears that {damaged:?} cannot be read");
    for (number, after_ms) in (0..).zip(GOES_ON_MS) {
        let now = NOW.saturating_add(after_ms);
        if number == 0 {
            engine.step(now, Event::Subscribed { framework: FrameworkId::new("f") }, &mut fx);
        }
        engine.step(now, offers(number), &mut fx);
        engine.place(now, &mut fx);
        let launched = launched(&mut fx);
        for task in launched {
            engine.step(now, task, &mut fx);
        }
    }
}

/// Some of every kind of record, made by an engine with runs under way.
fn records() -> &'static Records {
    static RECORDS: OnceLock<Records> = OnceLock::new();
    RECORDS.get_or_init(made)
}

fn made() -> Records {
    let mut fx = Effects::default();
    // Everything happens in one moment.
    let settings = Settings { launch_debounce_ms: 0, ..Settings::default() };
    let mut engine = Engine::restore(settings, 1, NOW, Vec::new(), &mut fx);
    let mut records = Records::new();
    take(&mut fx, &mut records);
    let mut step = |engine: &mut Engine, event| {
        engine.step(NOW, event, &mut fx);
        engine.place(NOW, &mut fx);
        take(&mut fx, &mut records)
    };
    step(&mut engine, Event::Subscribed { framework: FrameworkId::new("f") });
    for command in commands() {
        let (request, by) = (RequestId(1), "user".to_owned());
        step(&mut engine, Event::Command { request, by, command });
    }
    let launched = step(&mut engine, offers(0));
    // One shard of a job that fails over is lost, of each run.
    for event in launched {
        let Event::Status(update) = event else { continue };
        let state = if update.task.as_str().contains("@-@0@-@") {
            TaskState::Lost
        } else {
            TaskState::Running
        };
        step(&mut engine, Event::Status(StatusUpdate { state, ..update }));
    }
    let (job, reason) = (name("off"), Some("late".to_owned()));
    let command = Command::SetJobEnabled { job, enabled: false, reason };
    step(&mut engine, Event::Command { request: RequestId(2), by: "user".to_owned(), command });
    let app = AppName::parse("other").expect("a name");
    let command = Command::SetAppEnabled { app, enabled: false, reason: None };
    step(&mut engine, Event::Command { request: RequestId(3), by: "user".to_owned(), command });
    records
}

fn name(text: &str) -> JobName {
    JobName::parse(text).expect("a name")
}

fn commands() -> Vec<Command> {
    let app = |name: &str| Command::CreateApp {
        document: format!(r#"{{"appName":"{name}","cpuCount":0.1,"memoryMB":32}}"#).into_bytes(),
    };
    let job = |name: &str, extra: &str| Command::CreateJob {
        document: format!(
            r#"{{"jobName":"{name}","appName":"app","jobExecutionType":"TRANSIENT",
            "shardingTotalCount":2,"cpuCount":0.1,"memoryMB":16,"scriptCommandLine":"x",
            "failover":true,"concurrency":{{"policy":"allow","max":2}},{extra}}}"#
        )
        .into_bytes(),
    };
    let calendar = br#"{"calendarName":"c","weekdays":["SUN"]}"#.to_vec();
    let trigger = |name_of: &str, key: &str| Command::Trigger {
        job: name(name_of),
        key: Some(key.to_owned()),
        overrides: Overrides { job_parameter: Some("p".to_owned()), ..Overrides::default() },
        submitter: None,
    };
    vec![
        app("app"),
        app("other"),
        Command::CreateCalendar { document: calendar },
        job("runs", r#""cron":"0 * * * * ?","calendars":["c"],"misfire":true"#),
        job("waits", r#""every":"5s","constraints":[["rack","IS","none"]]"#),
        job("off", r#""at":"2026-11-20T00:01:00Z""#),
        trigger("runs", "a"),
        trigger("runs", "b"),
        trigger("waits", "c"),
    ]
}

fn offers(number: u32) -> Event {
    let origin = std::sync::Arc::new(Origin { role: "*".into(), reserved: false, wire: [].into() });
    let piece = |kind, amount| Piece { kind, amount: Milli(amount), origin: origin.clone() };
    Event::Offers(vec![Offer {
        id: OfferId::new(format!("o{number}")),
        agent: AgentId::new("a"),
        hostname: "h".to_owned(),
        resources: Resources {
            pieces: vec![piece(Kind::Cpus, 4_000), piece(Kind::Mem, 4_096_000)],
            ports: Vec::new(),
        },
        attributes: Vec::new(),
        unavailability: None,
        executors: Vec::new(),
    }])
}

/// Takes what an engine wants: keeps its writes and answers its launches.
fn take(fx: &mut Effects, records: &mut Records) -> Vec<Event> {
    let mut answers = Vec::new();
    for effect in fx.take() {
        match effect {
            Effect::Write(write) => match write.value {
                Some(value) => {
                    records.insert(write.key, value);
                }
                None => {
                    records.remove(&write.key);
                }
            },
            Effect::Action(Action::Accept { launches, agent, .. }) => {
                answers.extend(launches.into_iter().map(|launch| {
                    Event::Status(StatusUpdate {
                        task: launch.task,
                        agent: Some(agent.clone()),
                        state: TaskState::Finished,
                        reason: StatusReason::Other,
                        message: None,
                        uuid: Some(vec![1]),
                        outcome: None,
                    })
                }));
            }
            _ => {}
        }
    }
    answers
}

fn launched(fx: &mut Effects) -> Vec<Event> {
    take(fx, &mut Records::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_record_of_every_kind() {
        let kinds: BTreeSet<String> = records()
            .keys()
            .map(|key| format!("{key:?}").split('(').next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(kinds.len(), 15, "{kinds:?}");
    }
}
