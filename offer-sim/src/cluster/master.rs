//! The master's end of the connections to agents of other processes: a gRPC service that carries
//! messages to the owner of the world and back. It looks into none of them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::Stream;
use shiftwork_proto::offersim::v1::agent_link_server::{AgentLink, AgentLinkServer};
use shiftwork_proto::offersim::v1::{FromAgent, ToAgent};
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::Leadership;
use crate::hub::{Hub, Input};

/// Messages waiting for one process of agents. One this far behind is cut off.
const MESSAGES_MAX: usize = 262_144;
/// Largest message: the registration of an agent with a thousand tasks is about a megabyte.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The service.
#[derive(Debug)]
pub(crate) struct Links {
    hub: Hub,
    leadership: watch::Receiver<Leadership>,
    opened: Arc<AtomicU64>,
}

// === impl Links ===

impl Links {
    pub(crate) fn new(hub: Hub, leadership: watch::Receiver<Leadership>) -> Self {
        Self { hub, leadership, opened: Arc::default() }
    }

    /// The service as routes of the master's own listener.
    pub(crate) fn router(self) -> axum::Router {
        let server = AgentLinkServer::new(self)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        // What is no path of gRPC's is answered as a master answers it.
        tonic::service::Routes::new(server).into_axum_router().reset_fallback()
    }
}

#[tonic::async_trait]
impl AgentLink for Links {
    type JoinStream = Pin<Box<dyn Stream<Item = Result<ToAgent, Status>> + Send>>;

    async fn join(
        &self,
        request: Request<Streaming<FromAgent>>,
    ) -> Result<Response<Self::JoinStream>, Status> {
        if *self.leadership.borrow() != Leadership::Leading {
            return Err(Status::unavailable("this master does not lead"));
        }
        let link = self.opened.fetch_add(1, Ordering::Relaxed);
        let (sender, messages) = mpsc::channel(MESSAGES_MAX);
        self.hub.send(Input::LinkOpened { link, sender }).await;
        tokio::spawn(receive(self.hub.clone(), link, request.into_inner()));
        Ok(Response::new(Box::pin(ReceiverStream::new(messages).map(|message| Ok(*message)))))
    }
}

/// Passes on what a process of agents says, until it says nothing more.
async fn receive(hub: Hub, link: u64, mut messages: Streaming<FromAgent>) {
    while let Some(Ok(message)) = messages.next().await {
        hub.send(Input::FromAgent { link, message: Box::new(message) }).await;
    }
    hub.send(Input::LinkClosed { link }).await;
}
