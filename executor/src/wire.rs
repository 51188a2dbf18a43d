//! From the agent's events to the core's. Absent: the reading of task payloads, which is the core's.

use std::collections::BTreeMap;

use prost::Message as _;
use shiftwork_proto::mesos::v1::executor::{self as wire, event};
use shiftwork_proto::mesos::v1::{DurationInfo, ExecutorInfo};
use shiftwork_proto::shiftwork::v1::ExecutorPayload;

use crate::core::{Event, TaskId};

/// The newest executor payload this executor knows (`ExecutorPayload.version`).
const PAYLOAD_VERSION: u32 = 1;
/// Nanoseconds in a millisecond.
const NANOS_PER_MS: i64 = 1_000_000;

/// What an event of the agent asks for.
#[derive(Debug)]
pub(crate) enum Inbound {
    /// For the core, in this order.
    Core(Vec<Event>),
    /// The subscription stands: for the core, and the environment of the app's scripts.
    Subscribed { event: Event, environment: BTreeMap<String, String> },
    /// The agent gave up on this executor's subscription.
    Error(String),
    /// Nothing to do: what it was, for the log.
    Nothing(&'static str),
}

/// Reads an event.
pub(crate) fn read(event: wire::Event) -> Inbound {
    match event.r#type() {
        event::Type::Subscribed => match event.subscribed {
            Some(subscribed) => read_subscribed(&subscribed.executor_info),
            None => Inbound::Nothing("SUBSCRIBED without content"),
        },
        event::Type::Launch => match event.launch {
            Some(launch) => Inbound::Core(vec![Event::Launch(Box::new(launch.task))]),
            None => Inbound::Nothing("LAUNCH without content"),
        },
        event::Type::LaunchGroup => match event.launch_group {
            Some(group) => {
                let tasks = group.task_group.tasks.into_iter();
                Inbound::Core(tasks.map(|task| Event::Launch(Box::new(task))).collect())
            }
            None => Inbound::Nothing("LAUNCH_GROUP without content"),
        },
        event::Type::Kill => match event.kill {
            Some(kill) => {
                let grace = kill.kill_policy.and_then(|policy| policy.grace_period);
                let grace_ms = grace.as_ref().map(duration_ms);
                Inbound::Core(vec![Event::Kill { task: TaskId(kill.task_id.value), grace_ms }])
            }
            None => Inbound::Nothing("KILL without content"),
        },
        event::Type::Acknowledged => match event.acknowledged {
            Some(event::Acknowledged { task_id, uuid }) => {
                Inbound::Core(vec![Event::Acknowledged { task: TaskId(task_id.value), uuid }])
            }
            None => Inbound::Nothing("ACKNOWLEDGED without content"),
        },
        event::Type::Shutdown => Inbound::Core(vec![Event::Shutdown]),
        event::Type::Error => {
            Inbound::Error(event.error.map(|error| error.message).unwrap_or_default())
        }
        event::Type::Message => Inbound::Nothing("MESSAGE"),
        event::Type::Heartbeat => Inbound::Nothing("HEARTBEAT"),
        event::Type::Unknown => Inbound::Nothing("an event of a type unknown here"),
    }
}

fn read_subscribed(executor: &ExecutorInfo) -> Inbound {
    let data = executor.data.clone().unwrap_or_default();
    // An executor without a readable payload still runs its tasks; it just never leaves by itself.
    let payload = ExecutorPayload::decode(data)
        .ok()
        .filter(|payload| (1..=PAYLOAD_VERSION).contains(&payload.version));
    let idle_timeout_ms = payload.map(|payload| payload.idle_timeout_ms).filter(|ms| *ms > 0);
    let variables = executor.command.iter().filter_map(|command| command.environment.as_ref());
    let environment = variables
        .flat_map(|environment| &environment.variables)
        .filter_map(|variable| Some((variable.name.clone(), variable.value.clone()?)))
        .filter(|(name, value)| is_usable(name, value))
        .collect();
    Inbound::Subscribed { event: Event::Subscribed { idle_timeout_ms }, environment }
}

/// Whether a process can be given this variable.
fn is_usable(name: &str, value: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0')
}

fn duration_ms(duration: &DurationInfo) -> u64 {
    u64::try_from(duration.nanoseconds / NANOS_PER_MS).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use shiftwork_proto::mesos::v1::{CommandInfo, Environment, KillPolicy, environment::Variable};

    use super::*;

    /// An ACKNOWLEDGED as a real agent sent it.
    const ACKNOWLEDGED: &[u8] = b"\x08\x04\x1a\x19\x0a\x05\x0a\x03e-3\x12\x10\xf5\x22\x82\x26\x61\
        \xed\x42\x0d\x9f\x2e\x91\x54\x60\xfc\xbb\xb8";

    fn read_bytes(bytes: &'static [u8]) -> Inbound {
        read(wire::Event::decode(bytes).expect("a recorded event"))
    }

    #[test]
    fn recorded_events_of_a_real_agent_are_understood() {
        let Inbound::Core(events) = read_bytes(ACKNOWLEDGED) else { panic!("not for the core") };
        let uuid = Bytes::from_static(ACKNOWLEDGED.get(13..).unwrap());
        assert_eq!(events, [Event::Acknowledged { task: TaskId("e-3".into()), uuid }]);
        let Inbound::Core(events) = read_bytes(b"\x08\x07") else { panic!("not for the core") };
        assert_eq!(events, [Event::Shutdown]);
    }

    #[test]
    fn a_kill_policy_overrides_the_grace() {
        let grace_period = Some(DurationInfo { nanoseconds: 1_500_000_000 });
        let kill = event::Kill {
            task_id: shiftwork_proto::mesos::v1::TaskId { value: "t".into() },
            kill_policy: Some(KillPolicy { grace_period }),
        };
        let event = wire::Event {
            r#type: Some(event::Type::Kill.into()),
            kill: Some(kill),
            ..wire::Event::default()
        };
        let Inbound::Core(events) = read(event) else { panic!("not for the core") };
        assert_eq!(events, [Event::Kill { task: TaskId("t".into()), grace_ms: Some(1_500) }]);
        assert_eq!(duration_ms(&DurationInfo { nanoseconds: -1 }), 0);
    }

    #[test]
    fn an_event_without_its_content_or_of_no_known_type_changes_nothing() {
        for number in [0, 1, 2, 3, 4, 8, 77] {
            let event = wire::Event { r#type: Some(number), ..wire::Event::default() };
            assert!(matches!(read(event), Inbound::Nothing(_)), "{number}");
        }
    }

    #[test]
    fn the_executors_payload_and_environment_come_with_the_subscription() {
        let variable = |name: &str, value: Option<&str>| Variable {
            name: name.into(),
            value: value.map(Into::into),
            ..Variable::default()
        };
        let variables = vec![
            variable("TIER", Some("gold")),
            variable("SECRET", None),
            variable("A=B", Some("c")),
        ];
        let info = |payload: &ExecutorPayload| ExecutorInfo {
            data: Some(payload.encode_to_vec().into()),
            command: Some(CommandInfo {
                environment: Some(Environment { variables: variables.clone() }),
                ..CommandInfo::default()
            }),
            ..ExecutorInfo::default()
        };
        let check = |version, idle_timeout_ms, expected| {
            let payload = ExecutorPayload { version, app: "a".into(), idle_timeout_ms };
            let Inbound::Subscribed { event, environment } = read_subscribed(&info(&payload))
            else {
                panic!("not subscribed")
            };
            assert_eq!(event, Event::Subscribed { idle_timeout_ms: expected });
            assert_eq!(environment, BTreeMap::from([("TIER".into(), "gold".into())]));
        };
        check(1, 600_000, Some(600_000));
        check(1, 0, None);
        check(2, 600_000, None);
    }
}
