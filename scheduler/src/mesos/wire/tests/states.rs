//! Every row of the table of task states with the message a real master sent: recorded bytes go through
//! the wire into an engine that runs the task, and what follows is what the row says.

use prost::Message as _;
use serde_json::Value;
use shiftwork_engine::command::Command;
use shiftwork_engine::effect::{Action, Effect};
use shiftwork_engine::event::{Event, RequestId};
use shiftwork_engine::ids::{FrameworkId, OfferId, RunId, TaskId};
use shiftwork_engine::view::{RunState, RunView, ShardState};
use shiftwork_engine::{Effects, Engine, Settings};
use shiftwork_proto::json;
use shiftwork_proto::mesos::v1 as mesos;
use shiftwork_schedule::Timestamp;

use super::{Incoming, first_offer, read, read_wire, recorded};

/// A run of one task on the agent of the recorded offer.
struct Rig {
    engine: Engine,
    now: Timestamp,
    task: TaskId,
    actions: Vec<Action>,
}

// === impl Rig ===

impl Rig {
    /// A launched task of a job with these fields.
    fn launched(extra: &str) -> Self {
        let now = Timestamp::from_millis(1_795_140_000_000);
        let mut fx = Effects::default();
        // Everything happens in one moment.
        let settings = Settings { launch_debounce_ms: 0, ..Settings::default() };
        let engine = Engine::restore(settings, 7, now, Vec::new(), &mut fx);
        let mut rig = Self { engine, now, task: TaskId::new(""), actions: Vec::new() };
        let app = br#"{"appName":"app","cpuCount":0.1,"memoryMB":32}"#.to_vec();
        let job = format!(
            r#"{{"jobName":"j","appName":"app","jobType":"SCRIPT","jobExecutionType":"TRANSIENT",
            "scriptCommandLine":"true","shardingTotalCount":1,"cpuCount":0.5,"memoryMB":32{extra}}}"#
        );
        rig.command(Command::CreateApp { document: app });
        rig.command(Command::CreateJob { document: job.into_bytes() });
        let overrides = shiftwork_engine::command::Overrides::default();
        let job = shiftwork_engine::ids::JobName::parse("j").unwrap();
        let key = Some("k".to_owned());
        rig.command(Command::Trigger { job, key, overrides, submitter: None });
        let framework = FrameworkId::new("f");
        rig.step(Event::Subscribed { framework });
        rig.offer();
        rig.task = rig.view().shards[0].task_id.clone().unwrap();
        rig
    }

    fn command(&mut self, command: Command) {
        self.step(Event::Command { request: RequestId(1), by: "test".to_owned(), command });
    }

    fn step(&mut self, event: Event) {
        let mut fx = Effects::default();
        self.engine.step(self.now, event, &mut fx);
        self.engine.place(self.now, &mut fx);
        self.actions = fx
            .take()
            .into_iter()
            .filter_map(|effect| match effect {
                Effect::Action(action) => Some(action),
                _ => None,
            })
            .collect();
    }

    fn offer(&mut self) {
        let mut offer = first_offer("03-custom-executor");
        offer.id = OfferId::new(format!("o-{}", self.now.as_millis()));
        self.step(Event::Offers(vec![offer]));
    }

    /// The recorded status, told of our task on its agent.
    fn tell(&mut self, recorded: &Value) {
        let mut status = recorded["update"]["status"].clone();
        let agent = first_offer("03-custom-executor").agent;
        status["task_id"]["value"] = Value::from(self.task.as_str());
        status["agent_id"] = serde_json::json!({"value": agent.as_str()});
        let text = serde_json::json!({"type": "UPDATE", "update": {"status": status}}).to_string();
        let event: mesos::scheduler::Event =
            json::from_json("mesos.v1.scheduler.Event", text.as_bytes()).unwrap();
        let Incoming::Event(event) = read_wire(&event).unwrap() else { panic!("{text}") };
        self.step(event);
    }

    fn view(&self) -> RunView {
        self.engine.run(&RunId::parse("j@k").unwrap()).unwrap()
    }

    fn state(&self) -> ShardState {
        self.view().shards[0].state
    }

    /// The run has ended and is in no queue any more.
    fn is_over(&self) -> bool {
        self.engine.run(&RunId::parse("j@k").unwrap()).is_none()
    }

    /// Whether the update is acknowledged, which is for those with a uuid alone.
    fn acknowledges(&self) -> bool {
        self.actions.iter().any(|action| matches!(action, Action::Acknowledge { .. }))
    }
}

/// The first recorded update in this state, for this reason if one is named.
fn update(state: &str, reason: Option<&str>) -> Value {
    let found = recorded("event", "UPDATE").into_iter().find(|recorded| {
        let status = &recorded.body["update"]["status"];
        status["state"] == state && (reason.is_none() || status["reason"].as_str() == reason)
    });
    found.unwrap_or_else(|| panic!("no {state} {reason:?} was recorded")).body
}

const FAILOVER: &str = r#","failover":true"#;
const RETRY: &str = r#","retry":{"maxAttempts":2}"#;

#[test]
fn starting_and_killing_are_noted_and_acknowledged() {
    for state in ["TASK_STARTING", "TASK_KILLING"] {
        let mut rig = Rig::launched("");
        rig.tell(&update(state, None));
        assert_eq!(rig.state(), ShardState::Launching, "{state}");
        assert!(rig.acknowledges(), "{state}");
    }
}

#[test]
fn running_makes_the_run_running() {
    let mut rig = Rig::launched("");
    rig.tell(&update("TASK_RUNNING", None));
    assert_eq!((rig.state(), rig.view().state), (ShardState::Running, RunState::Running));
    assert!(rig.acknowledges());
}

#[test]
fn an_answer_to_a_reconciliation_is_noted_and_not_acknowledged() {
    let mut rig = Rig::launched("");
    rig.tell(&update("TASK_RUNNING", Some("REASON_RECONCILIATION")));
    assert_eq!(rig.state(), ShardState::Running);
    assert!(!rig.acknowledges(), "it carries no uuid");
}

#[test]
fn finished_ends_the_run() {
    let mut rig = Rig::launched(FAILOVER);
    rig.tell(&update("TASK_FINISHED", None));
    assert!(rig.is_over() && rig.acknowledges());
}

#[test]
fn failed_work_is_tried_again_as_its_policy_says() {
    let failed = update("TASK_FAILED", None);
    let mut rig = Rig::launched("");
    rig.tell(&failed);
    assert!(rig.is_over(), "no retry is asked for");
    let mut rig = Rig::launched(RETRY);
    rig.tell(&failed);
    assert_eq!(rig.state(), ShardState::Waiting);
}

#[test]
fn a_kill_nobody_here_asked_for_is_a_failure_of_the_work() {
    let killed = update("TASK_KILLED", None);
    let mut rig = Rig::launched("");
    rig.tell(&killed);
    assert!(rig.is_over());
    let mut rig = Rig::launched(RETRY);
    rig.tell(&killed);
    assert_eq!(rig.state(), ShardState::Waiting);
}

#[test]
fn an_invalid_task_is_a_failure_unless_its_executor_is_another_one() {
    let of = |differs: bool| {
        let found = recorded("event", "UPDATE").into_iter().find(|recorded| {
            let status = &recorded.body["update"]["status"];
            let message = status["message"].as_str().unwrap_or_default();
            status["state"] == "TASK_ERROR" && message.starts_with("ExecutorInfo") == differs
        });
        found.unwrap().body
    };
    let mut rig = Rig::launched("");
    rig.tell(&of(false));
    assert!(rig.is_over());
    let mut rig = Rig::launched("");
    rig.tell(&of(true));
    assert_eq!((rig.state(), rig.view().shards[0].attempt), (ShardState::Waiting, 0));
}

#[test]
fn what_was_never_launched_returns_at_once_and_at_no_cost() {
    for (state, reason) in [
        ("TASK_DROPPED", Some("REASON_INVALID_OFFERS")),
        ("TASK_DROPPED", Some("REASON_EXECUTOR_TERMINATED")),
        ("TASK_GONE", Some("REASON_RECONCILIATION")),
    ] {
        let mut rig = Rig::launched("");
        rig.tell(&update(state, reason));
        let shard = rig.view().shards.remove(0);
        assert_eq!((shard.state, shard.attempt), (ShardState::Waiting, 0), "{state} {reason:?}");
        rig.now = rig.now.plus_millis(1);
        rig.offer();
        assert_eq!(rig.view().shards[0].attempt, 1, "{state} {reason:?}: launched again at once");
    }
}

#[test]
fn infrastructure_that_is_lost_costs_no_retry_and_is_run_again_where_failover_is_asked_for() {
    for (state, reason) in [
        ("TASK_FAILED", Some("REASON_EXECUTOR_TERMINATED")),
        ("TASK_GONE_BY_OPERATOR", None),
        ("TASK_GONE", None),
        ("TASK_UNKNOWN", None),
    ] {
        let lost = update(state, reason);
        let running = update("TASK_RUNNING", None);
        let mut rig = Rig::launched("");
        rig.tell(&running);
        rig.tell(&lost);
        assert!(rig.is_over(), "{state}: nobody asked for failover");
        let mut rig = Rig::launched(FAILOVER);
        for _ in 0..5 {
            rig.tell(&running);
            rig.tell(&lost);
            assert_eq!(rig.state(), ShardState::Waiting, "{state}");
            rig.now = rig.now.plus_millis(10 * 60_000);
            rig.offer();
            rig.task = rig.view().shards[0].task_id.clone().unwrap();
        }
    }
}

#[test]
fn an_unreachable_task_is_given_time_and_may_come_back() {
    let mut rig = Rig::launched(FAILOVER);
    rig.tell(&update("TASK_RUNNING", None));
    rig.tell(&update("TASK_UNREACHABLE", None));
    assert_eq!(rig.state(), ShardState::Unreachable);
    assert!(!rig.acknowledges(), "the master's word carries no uuid");
    rig.tell(&update("TASK_RUNNING", Some("REASON_AGENT_REREGISTERED")));
    assert_eq!(rig.state(), ShardState::Running);

    rig.tell(&update("TASK_UNREACHABLE", None));
    // Awake all the while: time in which it cannot hear does not count.
    for _ in 0..61 {
        rig.now = rig.now.plus_millis(1_000);
        rig.step(Event::Tick);
    }
    assert_eq!(rig.state(), ShardState::Waiting, "lost after the unreachable timeout");
    rig.tell(&update("TASK_RUNNING", Some("REASON_AGENT_REREGISTERED")));
    let killed = |action: &Action| matches!(action, Action::Kill { .. });
    assert!(rig.actions.iter().any(killed), "the one that came back late");
}

#[test]
fn the_end_of_an_executor_is_asked_about_and_not_guessed() {
    let mut rig = Rig::launched(FAILOVER);
    rig.tell(&update("TASK_RUNNING", None));
    let failure = recorded("event", "FAILURE").remove(0);
    let Incoming::Failure { event: Event::Failure { .. }, how } = read(&failure) else { panic!() };
    assert!(how.contains("exited"), "{how}");
    let agent = first_offer("03-custom-executor").agent;
    let executor = Some(shiftwork_engine::ids::ExecutorId::new(format!("app@-@{agent}")));
    rig.step(Event::Failure { agent: agent.clone(), executor });
    assert_eq!(rig.state(), ShardState::Running);
    let asked = rig.actions.iter().find_map(|action| match action {
        Action::Reconcile { tasks } => Some(tasks.clone()),
        _ => None,
    });
    assert_eq!(asked, Some(vec![(rig.task.clone(), agent)]));
    let bytes = mesos::scheduler::Event::default().encode_to_vec();
    assert!(matches!(super::read_event(bytes.into()), Ok(Incoming::Ignored("UNKNOWN"))));
}
