//! The order of calls, and what becomes of those that fail.

use std::time::Duration;

use reqwest::StatusCode;
use shiftwork_engine::effect::Action;
use shiftwork_engine::event::Event;
use shiftwork_engine::ids::{AgentId, OfferId, TaskId};
use shiftwork_engine::resources::Resources;
use shiftwork_proto::mesos::v1::scheduler::call;

use super::subscribed_rig;
use crate::mesos::DriverState;
use crate::mesos::testing::{JOB, Master, Request, Rig, config, launch};

fn acknowledge(number: u8) -> Action {
    Action::Acknowledge {
        task: TaskId::new(format!("t-{number}")),
        agent: AgentId::new("a-1"),
        uuid: vec![number],
    }
}

fn accept(offer: &str) -> Action {
    let agent = AgentId::new("a-1");
    let launches = vec![launch(JOB, &agent, Resources::default(), Resources::default())];
    Action::Accept { agent, offers: vec![OfferId::new(offer)], launches }
}

fn launch_failed() -> Event {
    let id = "nightly@-@1@-@READY@-@a-1@-@00000000-0000-0000-0000-000000000000";
    Event::LaunchFailed { tasks: vec![TaskId::new(id)] }
}

#[tokio::test]
async fn a_refused_launch_gives_its_offers_back_and_is_reported() {
    let (mut master, mut rig, _stream) = subscribed_rig().await;
    rig.handle.submit(vec![accept("o-1"), Action::Revive]);
    let request = master.expect(call::Type::Accept).await;
    request.answer((StatusCode::BAD_REQUEST, "no such thing"));
    let request = master.expect(call::Type::Decline).await;
    assert_eq!(request.call.decline.as_ref().unwrap().offer_ids[0].value, "o-1");
    request.accepted();
    assert_eq!(rig.event().await, launch_failed());
    master.expect(call::Type::Revive).await.accepted();
    assert_eq!(rig.handle.stats().calls_refused, 1);
}

#[tokio::test]
async fn a_launch_of_unknown_fate_is_not_sent_again() {
    for unavailable in [true, false] {
        let mut master = Master::start().await;
        let mut config = config(vec![master.address.clone()]);
        config.timing.call_timeout = Duration::from_millis(200);
        let mut rig = Rig::start_with(config, None, 8);
        let _stream = master.subscribe("s-1", "f-1").await;
        rig.expect_subscribed("f-1").await;
        rig.handle.submit(vec![accept("o-1")]);
        let request = master.expect(call::Type::Accept).await;
        if unavailable {
            request.answer(StatusCode::SERVICE_UNAVAILABLE);
        }
        master.expect(call::Type::Decline).await.accepted();
        assert_eq!(rig.event().await, launch_failed());
    }
}

#[tokio::test]
async fn a_launch_in_flight_when_the_stream_ends_is_reported() {
    let (mut master, mut rig, stream) = subscribed_rig().await;
    rig.handle.submit(vec![accept("o-1"), accept("o-2"), Action::Revive]);
    let _in_flight = master.expect(call::Type::Accept).await;
    drop(stream);
    let mut events = vec![rig.event().await, rig.event().await, rig.event().await];
    events.sort_by_key(|event| *event == Event::Disconnected);
    assert_eq!(events, [launch_failed(), launch_failed(), Event::Disconnected]);
    let _stream = master.subscribe("s-2", "f-1").await;
    rig.expect_subscribed("f-1").await;
    rig.handle.submit(vec![Action::Suppress]);
    master.expect(call::Type::Suppress).await.accepted();
}

#[tokio::test]
async fn what_waited_under_the_old_stream_is_not_sent_under_the_new_one() {
    let mut master = Master::start().await;
    // One event fills the channel, so that the report of the first launch holds up the queue until
    // the new subscription stands.
    let mut rig = Rig::start_with(config(vec![master.address.clone()]), None, 1);
    let stream = master.subscribe("s-1", "f-1").await;
    rig.expect_subscribed("f-1").await;
    rig.handle.submit(vec![accept("o-1"), accept("o-2"), Action::Revive]);
    let _in_flight = master.expect(call::Type::Accept).await;
    drop(stream);
    let _stream = master.subscribe("s-2", "f-1").await;
    rig.state(|state| matches!(state, DriverState::Subscribed { .. })).await;

    let mut reported = 0;
    for _ in 0..4 {
        reported += usize::from(rig.event().await == launch_failed());
    }
    assert_eq!(reported, 2, "beside the end of one subscription and the start of the other");
    assert!(master.is_idle().await);
    assert_eq!(rig.handle.stats().calls_dropped, 3);
}

#[tokio::test]
async fn launches_without_a_subscription_are_reported_at_once() {
    let master = Master::start().await;
    let mut rig = Rig::start(&[&master], None);
    rig.handle.submit(vec![Action::Revive, accept("o-1")]);
    assert_eq!(rig.event().await, launch_failed());
    assert_eq!(rig.handle.stats().calls_dropped, 2);
    assert_eq!(rig.handle.stats().calls_queued, 0);
}

#[tokio::test]
async fn calls_keep_their_order_and_only_acknowledgements_go_side_by_side() {
    let (mut master, rig, _stream) = subscribed_rig().await;
    let (task, agent) = (TaskId::new("t"), AgentId::new("a-1"));
    rig.handle.submit(vec![
        accept("o-1"),
        Action::Reconcile { tasks: Vec::new() },
        acknowledge(1),
        acknowledge(2),
        acknowledge(3),
        Action::Kill { task, agent, grace_ms: 1000 },
        acknowledge(4),
    ]);
    let request = master.expect(call::Type::Accept).await;
    assert!(master.is_idle().await, "nothing overtakes");
    request.accepted();
    master.expect(call::Type::Reconcile).await.accepted();

    let mut together = Vec::new();
    for _ in 0..3 {
        together.push(master.expect(call::Type::Acknowledge).await);
    }
    assert!(master.is_idle().await, "the kill waits for all of them");
    for request in together.into_iter().rev() {
        request.accepted();
    }
    master.expect(call::Type::Kill).await.accepted();
    let request = master.expect(call::Type::Acknowledge).await;
    assert_eq!(request.call.acknowledge.as_ref().unwrap().uuid[..], [4]);
    request.accepted();
}

#[tokio::test]
async fn acknowledgements_in_flight_are_bounded() {
    let (mut master, rig, _stream) = subscribed_rig().await;
    rig.handle.submit((0..20).map(acknowledge).collect());
    let mut in_flight = Vec::new();
    for _ in 0..16 {
        in_flight.push(master.expect(call::Type::Acknowledge).await);
    }
    assert!(master.is_idle().await);
    in_flight.into_iter().for_each(Request::accepted);
    for _ in 16..20 {
        master.expect(call::Type::Acknowledge).await.accepted();
    }
}

#[tokio::test]
async fn many_acknowledgements_go_in_one_piece_and_each_once() {
    let (mut master, rig, _stream) = subscribed_rig().await;
    let count = 200;
    rig.handle.submit((0..count).map(acknowledge).chain([Action::Suppress]).collect());
    for number in 0..count {
        let request = master.expect(call::Type::Acknowledge).await;
        assert_eq!(request.stream_id.as_deref(), Some("s-1"));
        assert_eq!(request.path, "/api/v1/scheduler");
        assert_eq!(request.call.framework_id.as_ref().unwrap().value, "f-1");
        assert_eq!(request.call.acknowledge.as_ref().unwrap().uuid[..], [number]);
        if number == 0 {
            assert!(master.is_idle().await, "a master answers a connection's requests in order");
        }
        request.accepted();
    }
    let next = master.expect(call::Type::Suppress).await;
    assert_eq!(rig.handle.stats().calls_queued, 0);
    assert_eq!(rig.handle.stats().calls, u64::from(count));
    next.accepted();
}

#[tokio::test]
async fn what_a_piece_leaves_open_is_sent_one_by_one() {
    let (mut master, rig, _stream) = subscribed_rig().await;
    rig.handle.submit((0..40).map(acknowledge).chain([Action::Suppress]).collect());
    let mut taken = std::collections::BTreeSet::new();
    for number in 0..40 {
        let request = master.expect(call::Type::Acknowledge).await;
        if number == 10 {
            request.answer(StatusCode::SERVICE_UNAVAILABLE);
            break;
        }
        taken.insert(request.call.acknowledge.as_ref().unwrap().uuid[0]);
        request.accepted();
    }
    assert_eq!(taken.len(), 10);
    // Those of the piece that had arrived may come once more.
    while taken.len() < 40 {
        let request = master.expect(call::Type::Acknowledge).await;
        taken.insert(request.call.acknowledge.as_ref().unwrap().uuid[0]);
        request.accepted();
    }
    loop {
        let request = master.request().await;
        let kind = request.call.r#type();
        request.accepted();
        if kind == call::Type::Suppress {
            break;
        }
        assert_eq!(kind, call::Type::Acknowledge);
    }
    assert_eq!(rig.handle.stats().calls_queued, 0);
}

#[tokio::test]
async fn a_call_the_master_cannot_take_now_is_tried_again() {
    let (mut master, rig, _stream) = subscribed_rig().await;
    rig.handle.submit(vec![Action::Revive, Action::Suppress]);
    master.expect(call::Type::Revive).await.answer(StatusCode::SERVICE_UNAVAILABLE);
    master.expect(call::Type::Revive).await.accepted();
    master.expect(call::Type::Suppress).await.accepted();
}

#[tokio::test]
async fn a_call_that_cannot_be_delivered_ends_the_subscription() {
    let (mut master, mut rig, stream) = subscribed_rig().await;
    rig.handle.submit(vec![Action::Revive, Action::Suppress]);
    for _ in 0..5 {
        master.expect(call::Type::Revive).await.answer(StatusCode::BAD_GATEWAY);
    }
    rig.expect_disconnected().await;
    stream.closed().await;
    let _stream = master.subscribe("s-2", "f-1").await;
    rig.expect_subscribed("f-1").await;
    assert_eq!(rig.handle.stats().calls_dropped, 2, "the one behind it belongs to the old stream");
}

#[tokio::test]
async fn a_refused_call_is_not_repeated_and_the_next_one_goes_out() {
    let (mut master, rig, _stream) = subscribed_rig().await;
    rig.handle.submit(vec![Action::Reconcile { tasks: Vec::new() }, Action::Suppress]);
    master.expect(call::Type::Reconcile).await.answer((StatusCode::FORBIDDEN, "no"));
    master.expect(call::Type::Suppress).await.accepted();
    assert_eq!(rig.handle.stats().calls_refused, 1);
}

#[tokio::test]
async fn a_queue_that_grows_beyond_its_bound_makes_the_subscription_again() {
    let mut master = Master::start().await;
    let mut config = config(vec![master.address.clone()]);
    config.calls_queued_max = 3;
    let mut rig = Rig::start_with(config, None, 8);
    let _stream = master.subscribe("s-1", "f-1").await;
    rig.expect_subscribed("f-1").await;
    rig.handle.submit(vec![Action::Revive]);
    let _in_flight = master.expect(call::Type::Revive).await;
    rig.handle.submit((0..4).map(acknowledge).collect());
    rig.expect_disconnected().await;
    let _stream = master.subscribe("s-2", "f-1").await;
    rig.expect_subscribed("f-1").await;
    assert_eq!(rig.handle.stats().calls_queued, 0);
}
