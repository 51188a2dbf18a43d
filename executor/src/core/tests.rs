//! The core's reactions, one scene a test, with the whole list of effects. Absent: real time and
//! real processes.

use prost::Message as _;
use shiftwork_proto::mesos::v1::executor::call::Update;
use shiftwork_proto::shiftwork::v1::{TaskOutcome, TaskPayload};
use shiftwork_schedule::Timestamp;

use super::testing::{CountingIds, EPOCH_MS, daemon_payload, payload, task_info};
use super::*;

mod daemon;
mod link;
mod random;
mod transient;

/// A core under test, and its clocks.
struct Scene {
    core: Core,
    mono_ms: u64,
    /// How far the wall clock is off the monotonic one.
    wall_offset_ms: i64,
}

impl Scene {
    /// Ten seconds past a full minute, not subscribed yet; a lost agent is waited for ten minutes.
    fn unsubscribed(recovery_timeout_ms: Option<u64>) -> Self {
        let limits = Limits {
            executor_id: "a@-@S0".into(),
            subscription_backoff_ms_max: 1_000,
            recovery_timeout_ms,
            shutdown_grace_ms: 5_000,
        };
        let wall_offset_ms = EPOCH_MS + 10_000;
        let now = Now { wall: Timestamp::from_millis(wall_offset_ms), mono_ms: 0 };
        let core = Core::new(limits, Box::new(CountingIds(0)), Vec::new(), now);
        Self { core, mono_ms: 0, wall_offset_ms }
    }

    fn subscribed() -> Self {
        Self::subscribed_with(Some(600_000), None)
    }

    fn subscribed_with(recovery_timeout_ms: Option<u64>, idle_timeout_ms: Option<u64>) -> Self {
        let mut scene = Self::unsubscribed(recovery_timeout_ms);
        assert_eq!(scene.tick(), ["subscribe [] []"]);
        assert_eq!(scene.on(Event::Subscribed { idle_timeout_ms }), NOTHING);
        scene
    }

    fn now(&self) -> Now {
        let wall_ms = self.wall_offset_ms + self.mono_ms as i64;
        Now { wall: Timestamp::from_millis(wall_ms), mono_ms: self.mono_ms }
    }

    fn effects(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.core.step(self.now(), event, &mut effects);
        effects
    }

    fn on(&mut self, event: Event) -> Vec<String> {
        self.effects(event).iter().map(show).collect()
    }

    fn tick(&mut self) -> Vec<String> {
        self.on(Event::Tick)
    }

    /// Lets time pass in one go.
    fn pass(&mut self, ms: u64) -> Vec<String> {
        self.mono_ms += ms;
        self.tick()
    }

    fn launch(&mut self, task: &str, payload: &TaskPayload) -> Vec<String> {
        self.on(Event::Launch(Box::new(task_info(task, payload))))
    }

    fn started(&mut self, task: &str, work: u64) -> Vec<String> {
        self.on(Event::Started { task: id(task), work: WorkId(work) })
    }

    fn ended(&mut self, task: &str, work: u64, exited: Exited) -> Vec<String> {
        let end = WorkEnd { exited, stdout_tail: "so far\n".into(), stderr_tail: "oh no\n".into() };
        self.on(Event::LeaderEnded { task: id(task), work: WorkId(work), end })
    }

    fn gone(&mut self, task: &str, work: u64) -> Vec<String> {
        self.on(Event::Gone { task: id(task), work: WorkId(work), usage: Usage::default() })
    }

    fn kill(&mut self, task: &str) -> Vec<String> {
        self.on(Event::Kill { task: id(task), grace_ms: None })
    }

    fn acknowledge(&mut self, task: &str, number: u8) -> Vec<String> {
        self.on(Event::Acknowledged { task: id(task), uuid: vec![number; 16].into() })
    }
}

const NOTHING: [&str; 0] = [];

fn id(task: &str) -> TaskId {
    TaskId(task.into())
}

/// One effect in a line.
fn show(effect: &Effect) -> String {
    match effect {
        Effect::Start { work, spec, firing: None } => format!("start {work} {}", spec.id),
        Effect::Start { work, spec, firing: Some(firing) } => {
            format!("start {work} {} {}", spec.id, clock(*firing))
        }
        Effect::Signal { work, signal } => format!("signal {work} {signal:?}"),
        Effect::Checkpoint(update) => format!("checkpoint {}", show_update(update)),
        Effect::RewriteCheckpoint(updates) => format!("rewrite {}", show_updates(updates)),
        Effect::Subscribe { tasks, updates } => {
            let tasks: Vec<&str> = tasks.iter().map(|task| task.task_id.value.as_str()).collect();
            format!("subscribe [{}] {}", tasks.join(", "), show_updates(updates))
        }
        Effect::Send(update) => format!("send {}", show_update(update)),
        Effect::Ignored { task, why } => format!("ignored {task}: {why}"),
        Effect::Exit(reason) => format!("exit {reason:?}"),
    }
}

fn show_updates(updates: &[Update]) -> String {
    let all: Vec<String> = updates.iter().map(show_update).collect();
    format!("[{}]", all.join(", "))
}

/// `#uuid task STATE message {outcome}`.
fn show_update(update: &Update) -> String {
    let status = &update.status;
    let number = status.uuid.as_ref().and_then(|uuid| uuid.first()).copied().unwrap_or_default();
    let state = status.state().as_str_name().trim_start_matches("TASK_");
    let message = status.message.as_ref().map(|message| format!(" '{message}'"));
    let outcome = outcome_of(update).map(|outcome| format!(" {}", show_outcome(&outcome)));
    let (message, outcome) = (message.unwrap_or_default(), outcome.unwrap_or_default());
    format!("#{number} {} {state}{message}{outcome}", status.task_id.value)
}

fn outcome_of(update: &Update) -> Option<TaskOutcome> {
    let data = update.status.data.clone()?;
    Some(TaskOutcome::decode(data).expect("an outcome"))
}

fn show_outcome(outcome: &TaskOutcome) -> String {
    let end = match (outcome.exit_code, outcome.signal) {
        (Some(code), None) => format!("code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "not begun".to_owned(),
        (Some(_), Some(_)) => "both".to_owned(),
    };
    let firing = match outcome.firing_time_ms {
        0 => String::new(),
        ms => format!(" {}", clock(Timestamp::from_millis(ms))),
    };
    format!("{{{end} {}ms{firing}}}", outcome.duration_ms)
}

/// The time of day.
fn clock(moment: Timestamp) -> String {
    moment.to_string().split('T').nth(1).expect("a time").to_owned()
}
