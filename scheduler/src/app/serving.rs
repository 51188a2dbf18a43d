//! How a scheduler is reached: its listeners, its addresses, and who may come in while another leads.
//! Absent: what is served (`api`).

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::SchedulerConfig;
use crate::api::{self, ApiState};
use crate::auth::Auth;
use crate::grpc_args;
use crate::registry::{Nodes, Standing};
use crate::tls_server::ServerTls;

/// Where others reach this process, REST first.
pub(super) fn addresses(
    config: &SchedulerConfig,
    http: SocketAddr,
    grpc: Option<SocketAddr>,
) -> Vec<String> {
    let rest = config.advertise.clone().unwrap_or_else(|| {
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{http}")
    });
    let grpc = grpc.map(|grpc| {
        let advertised = || grpc_args::advertised(&rest, grpc);
        config.advertise_grpc.clone().unwrap_or_else(advertised)
    });
    std::iter::once(rest.clone()).chain(grpc).collect()
}

/// Tells who may do what from what another process that leads writes. While this one leads it knows
/// better.
pub(super) async fn follow_auth(
    auth: Auth,
    mut nodes: watch::Receiver<Nodes>,
    standing: watch::Receiver<Standing>,
    stop: CancellationToken,
) {
    while let Some(Ok(())) = stop.run_until_cancelled(nodes.changed()).await {
        let nodes = nodes.borrow_and_update();
        if *standing.borrow() != Standing::Leading {
            auth.load(nodes.iter().map(|(path, data)| (path, data)));
        }
    }
}

pub(super) async fn serve_grpc(
    listener: TcpListener,
    tls: Option<ServerTls>,
    state: ApiState,
    shutdown: CancellationToken,
) {
    if let Err(error) = api::serve_grpc(listener, tls, state, shutdown).await {
        let error = anyhow::Error::new(error);
        tracing::error!(error = format!("{error:#}"), "gRPC stopped");
    }
}

pub(super) async fn serve(
    listener: impl axum::serve::Listener<Addr = SocketAddr>,
    router: axum::Router,
    shutdown: CancellationToken,
) {
    if let Err(error) = api::serve(listener, router, shutdown).await {
        tracing::error!(%error, "the API stopped");
    }
}
