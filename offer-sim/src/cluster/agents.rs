//! The agents' end of the connection to a master of another process: finds the master, connects,
//! and connects again. What agents say is decided in the world.

use std::time::Duration;

use shiftwork_proto::offersim::v1::FromAgent;
use shiftwork_proto::offersim::v1::agent_link_client::AgentLinkClient;
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::{MasterAddress, detect};
use crate::hub::{Hub, Input};

/// Messages waiting for the master. Agents this far ahead of it connect again.
const MESSAGES_MAX: usize = 262_144;
/// Largest message, as the master takes it.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Pause before another attempt to connect.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Longest attempt to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Keeps agents connected to the master that leads, until `stop`.
pub(crate) async fn serve_agents(hub: Hub, master: MasterAddress, stop: CancellationToken) {
    let (sender, mut leader) = watch::channel(None);
    let detecting = async {
        match &master {
            MasterAddress::Fixed(address) => {
                sender.send_replace(Some(address.clone()));
                stop.cancelled().await;
            }
            MasterAddress::ZooKeeper(zookeeper) => detect(zookeeper, &sender, &stop).await,
        }
    };
    tokio::join!(detecting, follow(&hub, &mut leader, &stop));
}

async fn follow(hub: &Hub, leader: &mut watch::Receiver<Option<String>>, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        let address = leader.borrow_and_update().clone();
        tokio::select! {
            () = stop.cancelled() => return,
            () = connected(hub, address.as_deref()) => {}
            // Another one leads: the connection to this one is given up.
            Ok(()) = leader.changed() => {}
        }
        hub.send(Input::MasterGone).await;
        tokio::select! {
            () = tokio::time::sleep(RETRY_PAUSE) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Connects and passes messages on until the connection ends.
async fn connected(hub: &Hub, address: Option<&str>) {
    let Some(address) = address else { return };
    if let Err(error) = exchange(hub, address).await {
        tracing::warn!(address, %error, "not connected to the master");
    }
}

async fn exchange(
    hub: &Hub,
    address: &str,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true);
    let mut client = AgentLinkClient::new(endpoint.connect().await?)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let (sender, messages) = mpsc::channel(MESSAGES_MAX);
    let mut answers = client
        .join(ReceiverStream::new(messages).map(|message: Box<FromAgent>| *message))
        .await?
        .into_inner();
    tracing::info!(address, "connected to the master");
    hub.send(Input::MasterConnected { sender }).await;
    while let Some(message) = answers.message().await? {
        hub.send(Input::FromMaster { message: Box::new(message) }).await;
    }
    Ok(())
}
