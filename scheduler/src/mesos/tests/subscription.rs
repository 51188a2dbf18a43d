//! Finding a master, staying with it, and what its stream may bring.

use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;
use shiftwork_engine::effect::Action;
use shiftwork_engine::event::Event;
use shiftwork_engine::ids::OfferId;
use shiftwork_proto::mesos::v1 as mesos;
use shiftwork_proto::mesos::v1::scheduler::{call, event as wire};
use shiftwork_proto::recordio;

use super::subscribed_rig;
use crate::mesos::DriverState;
use crate::mesos::testing::{Master, Rig, config, error, event, rescind, subscribed};

#[tokio::test]
async fn a_subscription_brings_events_and_takes_calls_under_its_stream_id() {
    let (mut master, mut rig, stream) = subscribed_rig().await;
    let state = rig.state(|_| true).await;
    let expected = DriverState::Subscribed {
        framework: shiftwork_engine::ids::FrameworkId::new("f-1"),
        master: master.address.clone(),
    };
    assert_eq!(state, expected);

    stream.send(&event(wire::Type::Heartbeat));
    stream.send(&rescind("o-1"));
    assert_eq!(rig.event().await, Event::Rescinded(OfferId::new("o-1")));

    rig.handle.submit(vec![Action::Revive]);
    let request = master.expect(call::Type::Revive).await;
    assert_eq!(request.path, "/api/v1/scheduler");
    assert_eq!(request.stream_id.as_deref(), Some("s-1"));
    assert_eq!(request.call.framework_id.as_ref().map(|id| id.value.as_str()), Some("f-1"));
    request.accepted();
}

#[tokio::test]
async fn the_first_subscription_has_no_id_and_a_later_one_has_it() {
    let mut master = Master::start().await;
    let mut rig = Rig::start(&[&master], None);
    let request = master.expect(call::Type::Subscribe).await;
    assert_eq!(request.call.framework_id, None);
    assert_eq!(request.stream_id, None);
    let stream = request.open("s-1");
    stream.send(&subscribed("f-1", 15.0));
    rig.expect_subscribed("f-1").await;

    drop(stream);
    rig.expect_disconnected().await;
    let request = master.expect(call::Type::Subscribe).await;
    let id = request.call.framework_id.as_ref().map(|id| id.value.as_str());
    assert_eq!(id, Some("f-1"));
    let info = &request.call.subscribe.as_ref().unwrap().framework_info;
    assert_eq!(info.id.as_ref().map(|id| id.value.as_str()), Some("f-1"));
    let stream = request.open("s-2");
    stream.send(&subscribed("f-1", 15.0));
    rig.expect_subscribed("f-1").await;

    rig.handle.submit(vec![Action::Suppress]);
    let request = master.expect(call::Type::Suppress).await;
    assert_eq!(request.stream_id.as_deref(), Some("s-2"), "the new stream's id");
    request.accepted();
    assert_eq!(rig.handle.stats().subscriptions, 2);
}

#[tokio::test]
async fn a_stored_id_is_used_from_the_start() {
    let mut master = Master::start().await;
    let _rig = Rig::start(&[&master], Some("f-7"));
    let request = master.expect(call::Type::Subscribe).await;
    assert_eq!(request.call.framework_id.map(|id| id.value).as_deref(), Some("f-7"));
}

#[tokio::test]
async fn a_silent_stream_is_dead_after_two_heartbeat_intervals() {
    let mut master = Master::start().await;
    let mut rig = Rig::start(&[&master], None);
    let silent = master.expect(call::Type::Subscribe).await.open("s-1");
    silent.send(&subscribed("f-1", 0.05));
    rig.expect_subscribed("f-1").await;
    rig.expect_disconnected().await;
    let _stream = master.subscribe("s-2", "f-1").await;
    rig.expect_subscribed("f-1").await;
    silent.closed().await;
}

#[tokio::test]
async fn heartbeats_keep_a_stream_alive() {
    const INTERVAL: Duration = Duration::from_millis(500);
    let mut master = Master::start().await;
    let mut rig = Rig::start(&[&master], None);
    let stream = master.expect(call::Type::Subscribe).await.open("s-1");
    stream.send(&subscribed("f-1", INTERVAL.as_secs_f64()));
    rig.expect_subscribed("f-1").await;
    let mut clock = tokio::time::interval(INTERVAL * 3 / 5);
    for _ in 0..5 {
        clock.tick().await;
        stream.send(&event(wire::Type::Heartbeat));
    }
    stream.send(&rescind("o-1"));
    assert_eq!(rig.event().await, Event::Rescinded(OfferId::new("o-1")), "no disconnection");
}

#[tokio::test]
async fn a_master_that_does_not_answer_is_left() {
    let mut master = Master::start().await;
    let mut config = config(vec![master.address.clone()]);
    config.timing.subscribe_timeout = Duration::from_millis(50);
    let mut rig = Rig::start_with(config, None, 8);
    let _never_answered = master.expect(call::Type::Subscribe).await;
    let without_event = master.expect(call::Type::Subscribe).await.open("s-1");
    without_event.closed().await;
    let _stream = master.subscribe("s-2", "f-1").await;
    rig.expect_subscribed("f-1").await;
}

#[tokio::test]
async fn the_leading_master_is_followed_to_and_takes_the_calls() {
    let (mut other, mut leader) = (Master::start().await, Master::start().await);
    let mut rig = Rig::start(&[&other], None);
    other.expect(call::Type::Subscribe).await.redirect(&leader.address);
    let _stream = leader.subscribe("s-1", "f-1").await;
    rig.expect_subscribed("f-1").await;
    rig.handle.submit(vec![Action::Revive]);
    let request = leader.expect(call::Type::Revive).await;
    assert_eq!(request.path, "/master/api/v1/scheduler", "where the redirect pointed");
    request.accepted();
    assert!(other.is_idle().await);
}

#[tokio::test]
async fn masters_that_name_each_other_are_not_followed_for_ever() {
    let mut master = Master::start().await;
    let address = master.address.clone();
    let mut rig = Rig::start(&[&master], None);
    for redirects in 0..6 {
        let request = master.expect(call::Type::Subscribe).await;
        let path = if redirects == 0 { "" } else { "/master" };
        assert_eq!(request.path, format!("{path}/api/v1/scheduler"));
        request.redirect(&address);
    }
    let request = master.expect(call::Type::Subscribe).await;
    assert_eq!(request.path, "/api/v1/scheduler", "begun anew with the configured address");
    request.answer((StatusCode::TEMPORARY_REDIRECT, [("location", "https://elsewhere/")]));
    let _stream = master.subscribe("s-1", "f-1").await;
    rig.expect_subscribed("f-1").await;
}

#[tokio::test]
async fn masters_are_tried_in_turn() {
    let (mut first, mut second) = (Master::start().await, Master::start().await);
    let gone = Master::start().await.address.clone();
    let addresses = vec![gone, first.address.clone(), second.address.clone()];
    let mut rig = Rig::start_with(config(addresses), None, 8);
    first.expect(call::Type::Subscribe).await.answer(StatusCode::SERVICE_UNAVAILABLE);
    let _stream = second.subscribe("s-1", "f-1").await;
    rig.expect_subscribed("f-1").await;
}

#[tokio::test]
async fn an_answer_without_a_stream_id_is_no_subscription() {
    let mut master = Master::start().await;
    let mut rig = Rig::start(&[&master], None);
    master.expect(call::Type::Subscribe).await.answer("0\n");
    let _stream = master.subscribe("s-1", "f-1").await;
    rig.expect_subscribed("f-1").await;
}

#[tokio::test]
async fn a_removed_framework_waits_for_the_owner_to_begin_anew() {
    let mut master = Master::start().await;
    let mut rig = Rig::start(&[&master], Some("f-1"));
    let stream = master.expect(call::Type::Subscribe).await.open("s-1");
    stream.send(&error("Framework has been removed"));
    assert_eq!(rig.event().await, Event::FrameworkRemoved);
    rig.state(|state| *state == DriverState::Removed).await;
    assert!(master.is_idle().await);

    rig.handle.submit(vec![Action::SubscribeAnew]);
    let request = master.expect(call::Type::Subscribe).await;
    assert_eq!(request.call.framework_id, None, "the old id is burnt");
    request.open("s-2").send(&subscribed("f-2", 15.0));
    rig.expect_subscribed("f-2").await;
}

#[tokio::test]
async fn an_owner_that_learns_of_the_removal_has_first_lost_its_offers() {
    let (mut master, mut rig, stream) = subscribed_rig().await;
    stream.send(&error("Framework has been removed"));
    rig.expect_disconnected().await;
    assert_eq!(rig.event().await, Event::FrameworkRemoved);
    assert!(master.is_idle().await);
}

#[tokio::test]
async fn a_living_framework_is_not_given_up() {
    let (mut master, rig, _stream) = subscribed_rig().await;
    rig.handle.submit(vec![Action::SubscribeAnew, Action::Revive]);
    master.expect(call::Type::Revive).await.accepted();
    assert!(matches!(rig.state(|_| true).await, DriverState::Subscribed { .. }));
}

#[tokio::test]
async fn a_replaced_instance_stops_for_good() {
    let (mut master, mut rig, stream) = subscribed_rig().await;
    stream.send(&error("Framework failed over"));
    rig.expect_disconnected().await;
    rig.state(|state| *state == DriverState::FailedOver).await;
    rig.ended().await;
    assert!(master.is_idle().await, "it does not fight for the framework");
    rig.handle.submit(vec![Action::Revive]);
    assert_eq!(rig.handle.stats().calls_queued, 0);
}

#[tokio::test]
async fn any_other_error_ends_the_subscription_and_is_tried_again() {
    let (mut master, mut rig, stream) = subscribed_rig().await;
    stream.send(&error("FrameworkInfo.roles must not be set"));
    rig.expect_disconnected().await;
    let _stream = master.subscribe("s-2", "f-1").await;
    rig.expect_subscribed("f-1").await;
}

#[tokio::test]
async fn a_garbage_record_is_left_out_and_garbage_framing_ends_the_stream() {
    let (mut master, mut rig, stream) = subscribed_rig().await;
    stream.send_raw(recordio::encode(b"\xff\xff\xff"));
    stream.send(&event(wire::Type::Update));
    stream.send(&rescind(""));
    stream.send(&rescind("o-1"));
    assert_eq!(rig.event().await, Event::Rescinded(OfferId::new("o-1")));
    assert_eq!(rig.handle.stats().bad_messages, 3);

    stream.send_raw(Bytes::from_static(b"no record\n"));
    rig.expect_disconnected().await;
    let stream = master.subscribe("s-2", "f-1").await;
    rig.expect_subscribed("f-1").await;
    stream.send_raw(Bytes::from_static(b"9\nhalf"));
    drop(stream);
    rig.expect_disconnected().await;
}

#[tokio::test]
async fn an_offer_that_is_not_understood_is_declined() {
    let (mut master, mut rig, stream) = subscribed_rig().await;
    let offer = mesos::Offer {
        id: mesos::OfferId { value: "o-1".to_owned() },
        agent_id: mesos::AgentId { value: "a-1".to_owned() },
        ..mesos::Offer::default()
    };
    stream.send(&mesos::scheduler::Event {
        offers: Some(wire::Offers { offers: vec![offer] }),
        ..event(wire::Type::Offers)
    });
    assert_eq!(rig.event().await, Event::Offers(Vec::new()));
    let request = master.expect(call::Type::Decline).await;
    let declined = &request.call.decline.as_ref().unwrap().offer_ids;
    assert_eq!(declined.iter().map(|id| id.value.as_str()).collect::<Vec<_>>(), ["o-1"]);
    request.accepted();
}

#[tokio::test]
async fn events_before_the_subscription_are_no_events() {
    let mut master = Master::start().await;
    let mut rig = Rig::start(&[&master], None);
    let stream = master.expect(call::Type::Subscribe).await.open("s-1");
    stream.send(&event(wire::Type::Heartbeat));
    stream.send(&rescind("o-1"));
    stream.closed().await;
    let _stream = master.subscribe("s-2", "f-1").await;
    rig.expect_subscribed("f-1").await;
}
