//! Puts the parts together: listener, owner of the world, local agent; and takes them apart in
//! order. No behaviour of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, StartError};
use crate::http;
use crate::hub::Hub;
use crate::local::{self, Layout, LocalAgent};
use crate::owner::Owner;
use crate::world::{World, WorldConfig};

/// How long open connections may take to end once their streams did.
const CONNECTIONS_END_WITHIN: Duration = Duration::from_secs(1);

/// A master, and perhaps an agent, at work.
#[derive(Debug)]
pub struct Running {
    /// Where they listen.
    pub addr: SocketAddr,
    owner: JoinHandle<()>,
    server: JoinHandle<()>,
    stop_server: CancellationToken,
}

/// Starts a master and, when configured, the local agent. Offers come as soon as the agent has
/// cleared away what a former life left behind.
///
/// When `shutdown` is cancelled, executors are asked to leave and killed after their grace; see
/// [`Running::wait`].
///
/// # Errors
/// When the address cannot be had, the work directory cannot be used, or the agent's resources or
/// attributes are not understood.
pub async fn start(config: Config, shutdown: CancellationToken) -> Result<Running, StartError> {
    let listen_error = |source| StartError::Listen { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).await.map_err(listen_error)?;
    let addr = listener.local_addr().map_err(listen_error)?;
    let (hub, inputs, gone) = Hub::new();
    let mut world = World::new(world_config(&config, addr), seed());
    let (local, layout) = match &config.agent {
        None => (None, None),
        Some(agent) => {
            let layout = Arc::new(Layout::new(&config.work_dir)?);
            let shared = local::Shared {
                layout: layout.clone(),
                hub: hub.clone(),
                address: addr,
                extra_path: agent.extra_path.clone(),
                shutdown_grace: config.executor_shutdown_grace,
            };
            let local = LocalAgent::open(shared, agent, || world.assign_agent_id())?;
            local.recover(local.spec(agent)?, shutdown.clone());
            (Some(local), Some(layout))
        }
    };
    let owner = tokio::spawn(Owner::new(world, local, inputs, gone).run(shutdown));
    let stop_server = CancellationToken::new();
    let router = http::router(http::Shared { hub, layout });
    let server = tokio::spawn(serve(listener, router, stop_server.clone()));
    Ok(Running { addr, owner, server, stop_server })
}

// === impl Running ===

impl Running {
    /// Waits for the end, which comes after the shutdown token was cancelled: when it is back, no
    /// process of any executor is left and nobody listens.
    pub async fn wait(self) {
        if let Err(error) = self.owner.await {
            tracing::error!(%error, "the owner of the world broke down");
        }
        self.stop_server.cancel();
        let mut server = self.server;
        if tokio::time::timeout(CONNECTIONS_END_WITHIN, &mut server).await.is_err() {
            server.abort();
        }
    }
}

async fn serve(listener: TcpListener, router: axum::Router, stop: CancellationToken) {
    // Events are small and urgent: they must not wait for each other.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
    });
    let served = axum::serve(listener, router)
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the listener broke down");
    }
}

fn world_config(config: &Config, addr: SocketAddr) -> WorldConfig {
    let ip = match addr.ip() {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(_) => Ipv4Addr::LOCALHOST,
    };
    let ms = |duration: Duration| duration.as_millis() as u64;
    WorldConfig {
        heartbeat_interval_ms: ms(config.heartbeat_interval),
        allocation_interval_ms: ms(config.allocation_interval),
        offer_timeout_ms: config.offer_timeout.map(ms),
        executor_shutdown_grace_ms: ms(config.executor_shutdown_grace),
        hostname: addr.ip().to_string(),
        ip,
        port: addr.port(),
        ..WorldConfig::default()
    }
}

/// A real master takes new names in each life; so does this one.
fn seed() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}
