//! The gRPC face of the API: the same commands and questions as REST, and the stream of events. A file
//! a subject. Absent: what commands mean (the engine) and finding what happens (`watching.rs`).

mod access;
mod cluster;
mod documents;
mod logs;
mod past;
mod request;
mod runs;
mod schedules;
mod service;
mod standby;
mod status;
#[cfg(test)]
mod tests;
mod watch;
mod wire;

use std::time::Duration;

use axum::middleware;
use futures_util::{FutureExt as _, stream};
use shiftwork_proto::FILE_DESCRIPTOR_SET;
use shiftwork_proto::shiftwork::v1::scheduler_server::{SERVICE_NAME, SchedulerServer};
use tokio::net::TcpListener;
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::{ApiState, BODY_LEN_MAX, DRAIN_MAX};
use crate::registry::Standing;
use crate::tls_server::ServerTls;
use service::Service;

/// Calls of one connection at a time: an application that watches for each of its parts fits.
const STREAMS_MAX: u32 = 2_000;

/// Bytes of the headers of one call.
const HEADERS_LEN_MAX: u32 = 16 * 1024;

/// How often a connection is asked whether anybody is still there: who watches says nothing for
/// hours, and would otherwise be served when long gone.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);
/// How long it may take to say so.
const KEEPALIVE_MAX: Duration = Duration::from_secs(20);

/// Health of the whole server.
const EVERYTHING: &str = "";

/// Why gRPC cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum GrpcError {
    /// The descriptors that were compiled in cannot be read.
    #[error("the descriptors for gRPC reflection cannot be read")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// The listener failed.
    #[error("gRPC can no longer be served")]
    Transport(#[source] tonic::transport::Error),
}

/// Serves until `shutdown`, then lets calls under way finish for a while.
///
/// # Errors
/// [`GrpcError`].
pub async fn serve(
    listener: TcpListener,
    tls: Option<ServerTls>,
    state: ApiState,
    shutdown: CancellationToken,
) -> Result<(), GrpcError> {
    let (health, health_service) = tonic_health::server::health_reporter();
    let standing = state.leadership.standing.clone();
    let routes = Routes::new(health_service);
    let routes = with_scheduler(with_reflection(routes)?, state);
    let server = Server::builder()
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_header_list_size(HEADERS_LEN_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEPALIVE_MAX))
        .add_routes(routes);
    let stop = shutdown.clone().cancelled_owned();
    let serving = if let Some(tls) = tls {
        let incoming = stream::unfold(tls.accept(listener), async |mut listener| {
            let (stream, _) = listener.next().await?;
            Some((Ok::<_, std::io::Error>(stream), listener))
        });
        server.serve_with_incoming_shutdown(Box::pin(incoming), stop).boxed()
    } else {
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        server.serve_with_incoming_shutdown(incoming, stop).boxed()
    };
    let drained = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN_MAX).await;
    };
    tokio::select! {
        ended = serving => ended.map_err(GrpcError::Transport),
        () = report_health(&health, standing) => Ok(()),
        () = drained => {
            tracing::warn!(seconds = DRAIN_MAX.as_secs(), "closed gRPC calls that did not drain");
            Ok(())
        }
    }
}

/// The scheduler's own service, behind what says who leads.
fn with_scheduler(routes: Routes, state: ApiState) -> Routes {
    let service = SchedulerServer::new(Service::new(state.clone()))
        .max_decoding_message_size(BODY_LEN_MAX)
        .accept_compressed(tonic::codec::CompressionEncoding::Gzip)
        .send_compressed(tonic::codec::CompressionEncoding::Gzip);
    let routes = routes.add_service(service).into_axum_router();
    let asking = middleware::from_fn_with_state(state.clone(), access::authenticate);
    let leading = middleware::from_fn_with_state(state.leadership, standby::answer);
    Routes::from(routes.layer(leading).layer(asking))
}

/// Clients without the `.proto` files ask for them. Many still do so by the older version of the
/// protocol.
fn with_reflection(routes: Routes) -> Result<Routes, GrpcError> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name(SERVICE_NAME)
            .with_service_name("grpc.health.v1.Health")
    };
    let newer = reflection().build_v1().map_err(GrpcError::Reflection)?;
    let older = reflection().build_v1alpha().map_err(GrpcError::Reflection)?;
    Ok(routes.add_service(newer).add_service(older))
}

/// Tells balancers whether the scheduler's service is of use here: only the leader's is.
async fn report_health(health: &HealthReporter, mut standing: Receiver<Standing>) {
    health.set_service_status(EVERYTHING, ServingStatus::Serving).await;
    loop {
        let leads = *standing.borrow_and_update() == Standing::Leading;
        let status = if leads { ServingStatus::Serving } else { ServingStatus::NotServing };
        health.set_service_status(SERVICE_NAME, status).await;
        if standing.changed().await.is_err() {
            // Nobody decides about it any more; the server ends by its own token.
            std::future::pending::<()>().await;
        }
    }
}
