//! The admin API as a gRPC server of its own, with reflection. It asks the owner of the world.

use shiftwork_proto::FILE_DESCRIPTOR_SET;
use shiftwork_proto::offersim::v1 as wire;
use shiftwork_proto::offersim::v1::admin_server::{Admin, AdminServer};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::hub::{Hub, Input};
use crate::world::AgentSummary;

/// The service.
#[derive(Debug)]
struct Service {
    hub: Hub,
}

/// Serves until `stop`.
pub(crate) async fn serve(listener: TcpListener, hub: Hub, stop: CancellationToken) {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .with_service_name("offersim.v1.Admin")
    };
    // Many clients still ask by the older version of the protocol.
    let (newer, older) = match (reflection().build_v1(), reflection().build_v1alpha()) {
        (Ok(newer), Ok(older)) => (newer, older),
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "the admin API has no reflection and is not served");
            return;
        }
    };
    let served = Server::builder()
        .add_service(AdminServer::new(Service { hub }))
        .add_service(newer)
        .add_service(older)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), stop.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the admin API broke down");
    }
}

#[tonic::async_trait]
impl Admin for Service {
    async fn inject(
        &self,
        request: Request<wire::Fault>,
    ) -> Result<Response<wire::InjectResponse>, Status> {
        let (reply, answer) = oneshot::channel();
        self.hub.send(Input::Inject { fault: request.into_inner(), reply }).await;
        match answer.await {
            Ok(Ok(concerned)) => {
                let agent_ids = concerned.into_iter().map(|agent| agent.id.0).collect();
                Ok(Response::new(wire::InjectResponse { agent_ids }))
            }
            Ok(Err(error)) => Err(Status::invalid_argument(error.to_string())),
            Err(_) => Err(Status::unavailable("shutting down")),
        }
    }

    async fn list_agents(
        &self,
        request: Request<wire::ListAgentsRequest>,
    ) -> Result<Response<wire::ListAgentsResponse>, Status> {
        let (reply, answer) = oneshot::channel();
        let selectors = request.into_inner().agents;
        self.hub.send(Input::ListAgents { selectors, reply }).await;
        let agents = answer.await.map_err(|_| Status::unavailable("shutting down"))?;
        let state = |agent: AgentSummary| wire::AgentState {
            agent_id: agent.id.0,
            hostname: agent.hostname,
            state: agent.state.to_owned(),
        };
        let agents = agents.into_iter().map(state).collect();
        Ok(Response::new(wire::ListAgentsResponse { agents }))
    }
}
