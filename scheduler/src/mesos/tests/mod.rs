//! The driver against a scripted master on a real socket: what it survives, and in which order it
//! speaks. No test waits for time to pass but those that are about silence.

mod authentication;
mod calls;
mod detection;
mod lifecycle;
mod subscription;

use super::testing::{Master, Rig, Stream};

/// A driver that is subscribed as `f-1` on stream `s-1`.
async fn subscribed_rig() -> (Master, Rig, Stream) {
    let mut master = Master::start().await;
    let mut rig = Rig::start(&[&master], None);
    let stream = master.subscribe("s-1", "f-1").await;
    rig.expect_subscribed("f-1").await;
    (master, rig, stream)
}
