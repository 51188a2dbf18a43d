//! Beginning and end of a driver, and the owner's part in it.

use shiftwork_engine::effect::Action;
use shiftwork_engine::event::Event;
use shiftwork_engine::ids::OfferId;
use shiftwork_proto::mesos::v1::scheduler::call;
use tokio_util::sync::CancellationToken;

use super::subscribed_rig;
use crate::mesos::testing::{Master, Rig, config, rescind};
use crate::mesos::{DriverState, spawn};

#[tokio::test]
async fn shutdown_sends_what_waits_and_closes_the_stream_without_teardown() {
    let (mut master, rig, stream) = subscribed_rig().await;
    rig.handle.submit(vec![Action::Revive, Action::Suppress]);
    rig.shutdown.cancel();
    master.expect(call::Type::Revive).await.accepted();
    master.expect(call::Type::Suppress).await.accepted();
    stream.closed().await;
    rig.ended().await;
    assert_eq!(rig.state(|_| true).await, DriverState::Stopped);
    assert!(master.is_idle().await);
}

#[tokio::test]
async fn a_driver_without_an_owner_stops() {
    let (_master, mut rig, stream) = subscribed_rig().await;
    rig.events.close();
    stream.send(&rescind("o-1"));
    rig.state(|state| *state == DriverState::Stopped).await;
    rig.ended().await;
}

#[tokio::test]
async fn a_slow_owner_is_waited_for() {
    let mut master = Master::start().await;
    let mut rig = Rig::start_with(config(vec![master.address.clone()]), None, 1);
    let stream = master.subscribe("s-1", "f-1").await;
    let offers: Vec<String> = (0..50).map(|number| format!("o-{number}")).collect();
    for offer in &offers {
        stream.send(&rescind(offer));
    }
    rig.expect_subscribed("f-1").await;
    for offer in offers {
        assert_eq!(rig.event().await, Event::Rescinded(OfferId::new(offer)));
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_work_starts_nothing() {
    let try_spawn = |config| {
        let (sender, _events) = tokio::sync::mpsc::channel(1);
        let tracker = tokio_util::task::TaskTracker::new();
        let error = spawn(config, None, sender, &tracker, CancellationToken::new()).unwrap_err();
        assert!(tracker.is_empty());
        error.to_string()
    };
    assert!(try_spawn(config(Vec::new())).contains("no Mesos master"));
    assert!(try_spawn(config(vec!["zk://z:2181".to_owned()])).contains("zk://host1:2181"));
    assert!(try_spawn(config(vec!["m/x".to_owned()])).contains("host:port"));
    let mut no_role = config(vec!["m:5050".to_owned()]);
    no_role.role.clear();
    assert!(try_spawn(no_role).contains("role"));
}
