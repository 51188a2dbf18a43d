//! What a master sends.

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use serde_json::Value;
use shiftwork_engine::event::{Event, Offer, Outcome, StatusReason, TaskState, Unavailability};
use shiftwork_engine::ids::{AgentId, ExecutorId, FrameworkId, OfferId, TaskId};
use shiftwork_engine::record::Usage;
use shiftwork_engine::resources::Milli;
use shiftwork_proto::mesos::v1 as mesos;
use shiftwork_proto::mesos::v1::scheduler::event as wire;
use shiftwork_proto::shiftwork::v1 as payload;
use shiftwork_schedule::Timestamp;

use super::{base64, first_offer, read, read_wire, recorded, text};
use crate::mesos::testing::event;
use crate::mesos::wire::{Incoming, WireError, read_event};

#[test]
fn every_recorded_update_is_read() {
    for recorded in recorded("event", "UPDATE") {
        let place = &recorded.place;
        let Incoming::Event(Event::Status(update)) = read(&recorded) else { panic!("{place}") };
        let status = &recorded.body["update"]["status"];
        assert_eq!(Some(update.task.as_str()), text(&status["task_id"]), "{place}");
        assert_eq!(
            update.agent.as_ref().map(AgentId::as_str),
            text(&status["agent_id"]),
            "{place}"
        );
        assert_eq!(Some(update.state.name()), status["state"].as_str(), "{place}");
        assert_eq!(update.message.as_deref(), status["message"].as_str(), "{place}");
        assert_eq!(update.uuid, status["uuid"].as_str().map(base64), "{place}");
        let told = status["message"].as_str().is_some_and(|text| text.starts_with("Command "));
        assert_eq!(update.outcome.is_some(), told, "{place}: no executor of ours was recorded");
        let refused = status["message"].as_str().unwrap_or_default();
        let reason = match status["reason"].as_str() {
            Some("REASON_TASK_INVALID") if refused.starts_with("ExecutorInfo is not compat") => {
                StatusReason::ExecutorDiffers
            }
            Some("REASON_RECONCILIATION") => StatusReason::Reconciliation,
            Some("REASON_EXECUTOR_TERMINATED") => StatusReason::ExecutorLost,
            Some("REASON_AGENT_REMOVED" | "REASON_AGENT_REMOVED_BY_OPERATOR") => {
                StatusReason::AgentLost
            }
            _ => StatusReason::Other,
        };
        assert_eq!(update.reason, reason, "{place}");
    }
}

#[test]
fn every_recorded_offer_is_read_whole() {
    for recorded in recorded("event", "OFFERS") {
        let place = &recorded.place;
        let Incoming::Offers { usable, unusable, agents } = read(&recorded) else {
            panic!("{place}")
        };
        assert!(unusable.is_empty(), "{place}: {unusable:?}");
        let expected = recorded.body["offers"]["offers"].as_array().unwrap();
        assert_eq!(usable.len(), expected.len(), "{place}");
        for (offer, expected) in usable.iter().zip(expected) {
            assert_eq!(Some(offer.id.as_str()), text(&expected["id"]), "{place}");
            assert_eq!(Some(offer.agent.as_str()), text(&expected["agent_id"]), "{place}");
            assert_eq!(offer.hostname, expected["hostname"], "{place}");
            let (_, address) = agents.iter().find(|(id, _)| *id == offer.agent).unwrap();
            let expected_address = &expected["url"]["address"];
            let ip = expected_address["ip"].as_str().unwrap();
            assert_eq!(
                address.to_string(),
                format!("{ip}:{}", expected_address["port"]),
                "{place}"
            );
            let executors = expected["executor_ids"].as_array().into_iter().flatten();
            let executors: Vec<_> =
                executors.map(|id| ExecutorId::new(text(id).unwrap())).collect();
            assert_eq!(offer.executors, executors, "{place}");
            for resource in expected["resources"].as_array().unwrap() {
                check_resource(offer, resource, place);
            }
        }
    }
}

/// The sum over all pieces of the resource's name is that of the recorded offer.
fn check_resource(offer: &Offer, resource: &Value, place: &str) {
    let name = resource["name"].as_str().unwrap();
    let reserved = resource["reservations"].is_array();
    if name == "ports" {
        let ranges = resource["ranges"]["range"].as_array().unwrap();
        // 64-bit numbers are text in one flavour of the recordings and numbers in the other.
        let number = |value: &Value| value.to_string().trim_matches('"').parse::<u32>().unwrap();
        for range in ranges {
            let (begin, end) = (number(&range["begin"]), number(&range["end"]));
            let found = offer.resources.ports.iter().any(|p| p.begin == begin && p.end == end);
            assert!(found, "{place}: ports {begin}-{end}");
        }
        return;
    }
    let amount = Milli::from_f64(resource["scalar"]["value"].as_f64().unwrap()).unwrap();
    let found = offer.resources.pieces.iter().find(|piece| {
        piece.kind.name() == name && piece.amount == amount && piece.origin.reserved == reserved
    });
    let piece = found.unwrap_or_else(|| panic!("{place}: {name}"));
    assert_eq!(
        Some(&*piece.origin.role),
        resource["allocation_info"]["role"].as_str().or(Some("*"))
    );
}

#[test]
fn recorded_maintenance_is_read_with_its_window() {
    let inverse = recorded("event", "INVERSE_OFFERS");
    assert_eq!(inverse.len(), 2);
    for recorded in &inverse {
        let Incoming::Event(Event::InverseOffers(offers)) = read(recorded) else { panic!() };
        let expected = &recorded.body["inverse_offers"]["inverse_offers"][0];
        assert_eq!(offers.len(), 1);
        assert_eq!(Some(offers[0].id.as_str()), text(&expected["id"]));
        assert_eq!(Some(offers[0].agent.as_str()), text(&expected["agent_id"]));
        assert_eq!(offers[0].unavailability, WINDOW);
    }
    let offers = recorded("event", "OFFERS");
    let windows: Vec<_> = offers
        .iter()
        .filter(|recorded| recorded.place.contains("08-maintenance"))
        .map(|recorded| match read(recorded) {
            Incoming::Offers { usable, .. } => usable[0].unavailability,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(windows, [None, Some(WINDOW), None], "before, during and after");
}

/// The window of the recording: an hour.
const WINDOW: Unavailability = Unavailability {
    start: Timestamp::from_millis(1_795_170_068_883),
    duration_ms: Some(3_600_000),
};

#[test]
fn attributes_are_text() {
    let offer = first_offer("01-subscribe-protobuf");
    let expected = [("rack", "r1"), ("zone", "a"), ("level", "3")];
    let expected: Vec<_> =
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(offer.attributes, expected);
}

#[test]
fn recorded_failures_rescinds_and_errors_are_read() {
    let messages: Vec<_> = recorded("event", "FAILURE")
        .iter()
        .map(|recorded| {
            let failure = &recorded.body["failure"];
            let expected = Event::Failure {
                agent: AgentId::new(text(&failure["agent_id"]).unwrap()),
                executor: text(&failure["executor_id"]).map(ExecutorId::new),
            };
            let Incoming::Failure { event, how } = read(recorded) else { panic!() };
            assert_eq!(event, expected);
            how
        })
        .collect();
    let expected = [
        "the executor exited with status 7",
        "the agent was removed",
        "the agent was removed",
        "the executor exited with status 0",
        "the executor ended, how is unknown (status -1)",
    ];
    assert_eq!(messages, expected);

    for recorded in recorded("event", "RESCIND") {
        let id = text(&recorded.body["rescind"]["offer_id"]).unwrap();
        assert_eq!(read(&recorded), Incoming::Event(Event::Rescinded(OfferId::new(id))));
    }
    let errors: Vec<_> = recorded("event", "ERROR").iter().map(read).collect();
    assert!(errors.contains(&Incoming::Error("Framework failed over".to_owned())));
    assert!(errors.contains(&Incoming::Error("Framework has been removed".to_owned())));
}

#[test]
fn a_recorded_subscription_names_framework_and_interval() {
    for recorded in recorded("event", "SUBSCRIBED") {
        let subscribed = &recorded.body["subscribed"];
        let expected = Incoming::Subscribed {
            framework: FrameworkId::new(text(&subscribed["framework_id"]).unwrap()),
            heartbeat_interval: Duration::from_secs(15),
        };
        assert_eq!(read(&recorded), expected);
    }
    for interval in [None, Some(0.0), Some(-1.0), Some(f64::NAN), Some(1e9)] {
        let event = mesos::scheduler::Event {
            subscribed: Some(wire::Subscribed {
                framework_id: mesos::FrameworkId { value: "f".to_owned() },
                heartbeat_interval_seconds: interval,
                master_info: None,
            }),
            ..event(wire::Type::Subscribed)
        };
        let Ok(Incoming::Subscribed { heartbeat_interval, .. }) = read_wire(&event) else {
            panic!("{interval:?}")
        };
        assert_eq!(heartbeat_interval, Duration::from_secs(15), "{interval:?}");
    }
}
#[test]
fn an_outcome_is_read_and_anything_else_is_none() {
    let outcome = payload::TaskOutcome {
        version: 1,
        exit_code: Some(3),
        signal: None,
        duration_ms: 12,
        stderr_tail: Bytes::from([vec![b'x'; 5000], b"end\xff".to_vec()].concat()),
        memory_peak_bytes: 4096,
        cpu_time_ms: 0,
        http_status: None,
        stdout_tail: Bytes::from_static(b"a\x1b[2J\n"),
        failure: "exited with code 3".to_owned(),
        firing_time_ms: 1_795_140_000_000,
    };
    let read = |data: Vec<u8>| {
        let update = wire::Update {
            status: mesos::TaskStatus {
                task_id: mesos::TaskId { value: "t".to_owned() },
                message: Some("ü".repeat(4000)),
                data: Some(data.into()),
                uuid: Some(Bytes::new()),
                ..mesos::TaskStatus::default()
            },
        };
        let event = mesos::scheduler::Event { update: Some(update), ..event(wire::Type::Update) };
        match read_wire(&event) {
            Ok(Incoming::Event(Event::Status(update))) => update,
            other => panic!("{other:?}"),
        }
    };
    let update = read(outcome.encode_to_vec());
    assert_eq!((update.task, update.state), (TaskId::new("t"), TaskState::Staging));
    assert_eq!(update.uuid, None, "an empty uuid cannot be acknowledged");
    assert_eq!(update.message.map(|message| message.len()), Some(4096));
    let Outcome {
        exit_code, signal, usage, stderr_tail, stdout_tail, failure, firing_time, ..
    } = update.outcome.unwrap();
    assert_eq!((exit_code, signal), (Some(3), None));
    let used = Usage { duration_ms: 12, memory_peak_bytes: Some(4096), cpu_time_ms: None };
    assert_eq!(usage, Some(used), "what was not measured is not zero");
    assert_eq!(stdout_tail, "a\u{fffd}[2J\n", "nothing that controls a terminal");
    assert_eq!(failure.as_deref(), Some("exited with code 3"));
    assert_eq!(firing_time, Some(Timestamp::from_millis(1_795_140_000_000)));
    assert!(stderr_tail.ends_with("xend\u{fffd}") && stderr_tail.chars().count() == 4096);

    let other_version = payload::TaskOutcome { version: 0, ..outcome };
    for data in [b"sandbox".to_vec(), vec![0xff; 9], Vec::new(), other_version.encode_to_vec()] {
        assert_eq!(read(data).outcome, None);
    }
}

#[test]
fn messages_that_lack_what_they_promise_are_errors() {
    use wire::Type;
    let undecodable = read_event(Bytes::from_static(b"\xff\xff\xff")).unwrap_err();
    assert!(matches!(undecodable, WireError::Undecodable(_)));
    let kinds =
        [Type::Subscribed, Type::Offers, Type::Rescind, Type::Update, Type::Failure, Type::Error];
    for kind in kinds {
        let error = read_wire(&event(kind)).unwrap_err();
        assert!(matches!(error, WireError::Missing(_)), "{kind:?}: {error}");
    }
    let of = |status| mesos::scheduler::Event {
        update: Some(wire::Update { status }),
        ..event(Type::Update)
    };
    let unnamed = of(mesos::TaskStatus::default());
    assert_eq!(read_wire(&unnamed), Err(WireError::Missing("TaskStatus.task_id")));
    let mut status = mesos::TaskStatus { state: 77, ..mesos::TaskStatus::default() };
    status.task_id.value = "t".to_owned();
    let error = read_wire(&of(status.clone())).unwrap_err();
    assert_eq!(error, WireError::UnknownState { task: "t".to_owned(), number: 77 });
    (status.state, status.reason) = (1, Some(999));
    let Ok(Incoming::Event(Event::Status(update))) = read_wire(&of(status)) else { panic!() };
    assert_eq!(update.reason, StatusReason::Other, "an unknown reason does no harm");

    let failure = wire::Failure { status: Some(9), ..wire::Failure::default() };
    let unnamed = mesos::scheduler::Event { failure: Some(failure), ..event(Type::Failure) };
    assert_eq!(read_wire(&unnamed), Err(WireError::Missing("Failure.agent_id")));
    let later = mesos::scheduler::Event { r#type: Some(99), ..Default::default() };
    assert_eq!(read_wire(&later), Ok(Incoming::Ignored("UNKNOWN")));
}

#[test]
fn an_offer_that_is_not_whole_is_told_apart_from_the_others_of_its_event() {
    use prost::encoding;
    let Some(recorded) = recorded("event", "OFFERS").into_iter().next() else { panic!("none") };
    let text = recorded.body.to_string();
    let whole: mesos::scheduler::Event =
        shiftwork_proto::json::from_json("mesos.v1.scheduler.Event", text.as_bytes()).unwrap();
    let whole = &whole.offers.as_ref().unwrap().offers[0];
    let (mut torn, mut offers) = (Vec::new(), Vec::new());
    encoding::message::encode(1, &mesos::OfferId { value: "o-torn".to_owned() }, &mut torn);
    encoding::message::encode(3, &whole.agent_id, &mut torn);
    encoding::bytes::encode(1, &torn, &mut offers);
    encoding::message::encode(1, whole, &mut offers);
    let mut record = event(wire::Type::Offers).encode_to_vec();
    encoding::bytes::encode(3, &offers, &mut record);

    let Ok(Incoming::Offers { usable, unusable, .. }) = read_event(record.into()) else { panic!() };
    assert_eq!(usable.iter().map(|offer| offer.id.as_str()).collect::<Vec<_>>(), [&whole.id.value]);
    let [unusable] = &unusable[..] else { panic!("{unusable:?}") };
    assert_eq!(unusable.id, Some(OfferId::new("o-torn")));
    let source = std::error::Error::source(&unusable.error).unwrap().to_string();
    assert_eq!(source, "mesos.v1.Offer.framework_id is absent, though proto2 requires it");
}

#[test]
fn an_update_without_its_state_is_not_read_as_another_state() {
    use prost::encoding;
    let (mut status, mut update) = (Vec::new(), Vec::new());
    encoding::message::encode(1, &mesos::TaskId { value: "t".to_owned() }, &mut status);
    encoding::bytes::encode(1, &status, &mut update);
    let mut record = event(wire::Type::Update).encode_to_vec();
    encoding::bytes::encode(5, &update, &mut record);
    let error = read_event(record.into()).unwrap_err();
    assert!(matches!(error, WireError::Incomplete(_)), "{error}");
}
