//! Masters in a real ZooKeeper: who leads is subscribed to, and who leads next.

use serde_json::json;
use shiftwork_engine::effect::Action;
use shiftwork_proto::mesos::v1::scheduler::call;
use zookeeper_client::{Acls, Client, CreateMode};

use crate::mesos::DriverState;
use crate::mesos::testing::{Master, Rig, config};
use crate::registry::zookeeper_tests::server::Server;

/// Registers a master as a real one does; gives the name of its node.
async fn register(client: &Client, path: &str, master: &Master) -> String {
    let (ip, port) = master.address.rsplit_once(':').unwrap();
    let port: u16 = port.parse().unwrap();
    let info = json!({"id": "m", "ip": 16_777_343, "port": port, "hostname": "master.example",
        "address": {"hostname": "master.example", "ip": ip, "port": port}});
    let options = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
    let prefix = format!("{path}/json.info_");
    let (_, sequence) =
        client.create(&prefix, info.to_string().as_bytes(), &options).await.unwrap();
    format!("{prefix}{sequence}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_master_is_subscribed_to_and_followed_to_the_next_one() {
    let server = Server::start();
    let client = Client::connect(&server.address()).await.unwrap();
    let (mut first, mut second) = (Master::start().await, Master::start().await);
    let zk = format!("zk://{}/deep/mesos", server.address());
    let mut rig = Rig::start_with(config(vec![zk]), Some("f-1"), 8);

    // Nobody is there yet, not even the node; then two masters are, beside their replicated log.
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client.mkdir("/deep/mesos/log_replicas", &options).await.unwrap();
    let leader = register(&client, "/deep/mesos", &first).await;
    let standby = register(&client, "/deep/mesos", &second).await;
    let stream = first.subscribe("s-1", "f-1").await;
    rig.expect_subscribed("f-1").await;

    // The stream is whole, but another master leads: calls must not go to the old one.
    client.delete(&leader, None).await.unwrap();
    rig.expect_disconnected().await;
    stream.closed().await;
    let _stream = second.subscribe("s-2", "f-1").await;
    rig.expect_subscribed("f-1").await;
    rig.handle.submit(vec![Action::Revive]);
    second.expect(call::Type::Revive).await.accepted();

    // Without any master registered the subscription is kept, and with ZooKeeper away, too.
    client.delete(&standby, None).await.unwrap();
    let server = server.restart();
    rig.handle.submit(vec![Action::Suppress]);
    second.expect(call::Type::Suppress).await.accepted();
    assert!(matches!(rig.state(|_| true).await, DriverState::Subscribed { .. }));

    // The session outlived the restart or a new one was made: changes are seen again.
    let client = Client::connect(&server.address()).await.unwrap();
    let third = Master::start().await;
    drop(first);
    register(&client, "/deep/mesos", &third).await;
    rig.expect_disconnected().await;
    let mut third = third;
    let _stream = third.subscribe("s-3", "f-1").await;
    rig.expect_subscribed("f-1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_are_for_a_user_only_are_read_with_credentials() {
    let server = Server::start();
    let masters = Client::connector().with_auth("digest", b"mesos:secret");
    let masters = masters.connect(&server.address()).await.unwrap();
    let options = CreateMode::Persistent.with_acls(Acls::creator_all());
    masters.mkdir("/mesos", &options).await.unwrap();
    let mut master = Master::start().await;
    register(&masters, "/mesos", &master).await;
    let zk = format!("zk://mesos:secret@{}/mesos", server.address());
    let mut rig = Rig::start_with(config(vec![zk]), None, 8);
    let _stream = master.subscribe("s-1", "f-1").await;
    rig.expect_subscribed("f-1").await;
}
