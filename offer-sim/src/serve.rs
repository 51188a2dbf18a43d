//! Puts the parts together: listener, owner of the world, local agent; and takes them apart in
//! order. No behaviour of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::{self, Leadership};
use crate::config::{Config, ElectionConfig, StartError};
use crate::hub::Hub;
use crate::local::{self, Layout, LocalAgent};
use crate::owner::Owner;
use crate::world::{World, WorldConfig};
use crate::{admin, http, simulated};

/// How long open connections may take to end once their streams did.
const CONNECTIONS_END_WITHIN: Duration = Duration::from_secs(1);

/// A master, agents, or both, at work.
#[derive(Debug)]
pub struct Running {
    /// Where they listen.
    pub addr: SocketAddr,
    /// Where the admin API listens, if it does.
    pub admin: Option<SocketAddr>,
    owner: JoinHandle<()>,
    server: JoinHandle<()>,
    stop_server: CancellationToken,
    helpers: TaskTracker,
    lost: CancellationToken,
}

/// Starts a master, agents, or both. Offers come as soon as the local agent has cleared away what
/// a former life left behind.
///
/// When `shutdown` is cancelled, executors are asked to leave and killed after their grace; see
/// [`Running::wait`].
///
/// # Errors
/// When an address cannot be had, the work directory cannot be used, or an agent's resources or
/// attributes are not understood.
pub async fn start(config: Config, shutdown: CancellationToken) -> Result<Running, StartError> {
    let (listener, addr) = listen(config.listen).await?;
    let admin = match config.admin {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let (hub, inputs, gone) = Hub::new();
    let mut world = World::new(world_config(&config, addr), config.seed.unwrap_or_else(seed));
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
    let simulated = match &config.simulated {
        None => Vec::new(),
        Some(agents) => {
            world.set_workload(agents.workload.clone());
            simulated::specs(agents, addr, || world.assign_agent_id())?
        }
    };
    let info = world.master_info();
    let own_address = format!("{}:{}", info.hostname.as_deref().unwrap_or_default(), info.port);
    let stands = config.election.is_some() || config.master.is_some();
    let (leadership, leads) =
        watch::channel(if stands { Leadership::Unknown } else { Leadership::Leading });
    let owner = Owner::new(world, local, inputs, gone).run(simulated, shutdown.clone());
    let owner = tokio::spawn(owner);
    let (helpers, lost) = (TaskTracker::new(), CancellationToken::new());
    let stop_server = CancellationToken::new();
    if let Some(election) = config.election {
        let (hub, lost, shutdown) = (hub.clone(), lost.clone(), shutdown.clone());
        helpers.spawn(async move {
            let ElectionConfig { zookeeper, session_timeout, .. } = &election;
            let timeout = *session_timeout;
            let stand = cluster::stand(zookeeper, timeout, &info, &hub, &leadership, &shutdown);
            if let Err(error) = stand.await {
                tracing::error!(%error, "the session with ZooKeeper is lost, and the lead with it");
                lost.cancel();
            }
        });
    } else if let Some(master) = config.master {
        helpers.spawn(cluster::serve_agents(hub.clone(), master, stop_server.clone()));
    }
    let admin_addr = admin.as_ref().map(|(_, addr)| *addr);
    if let Some((listener, _)) = admin {
        helpers.spawn(admin::serve(listener, hub.clone(), stop_server.clone()));
    }
    let scenario =
        stop_server.clone().run_until_cancelled_owned(admin::play(config.scenario, hub.clone()));
    helpers.spawn(async move {
        let _stopped = scenario.await;
    });
    let links = cluster::Links::new(hub.clone(), leads.clone());
    let router =
        http::router(http::Shared { hub, layout, own_address, leads }).merge(links.router());
    let router = if config.own_names_only {
        router.layer(axum::middleware::from_fn(http::guard))
    } else {
        router
    };
    let server = tokio::spawn(serve(listener, router, stop_server.clone()));
    Ok(Running { addr, admin: admin_addr, owner, server, stop_server, helpers, lost })
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let error = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(error)?;
    let address = listener.local_addr().map_err(error)?;
    Ok((listener, address))
}

// === impl Running ===

impl Running {
    /// Waits until this master has lost its lead, which it never gets back: another one acts now.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Waits for the end, which comes after the shutdown token was cancelled: when it is back, no
    /// process of any executor is left and nobody listens.
    pub async fn wait(self) {
        if let Err(error) = self.owner.await {
            tracing::error!(%error, "the owner of the world broke down");
        }
        self.stop_server.cancel();
        self.helpers.close();
        let mut server = self.server;
        let ended = async {
            let _served = (&mut server).await;
            self.helpers.wait().await;
        };
        if tokio::time::timeout(CONNECTIONS_END_WITHIN, ended).await.is_err() {
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
    let hostname = config.election.as_ref().and_then(|election| election.hostname.clone());
    let ms = |duration: Duration| duration.as_millis() as u64;
    WorldConfig {
        heartbeat_interval_ms: ms(config.heartbeat_interval),
        allocation_interval_ms: ms(config.allocation_interval),
        offer_timeout_ms: config.offer_timeout.map(ms),
        executor_shutdown_grace_ms: ms(config.executor_shutdown_grace),
        agent_ping_timeout_ms: ms(config.agent_ping_timeout),
        max_agent_ping_timeouts: config.max_agent_ping_timeouts,
        agent_reregister_timeout_ms: ms(config.agent_reregister_timeout),
        has_master: config.master.is_none(),
        hostname: hostname.unwrap_or_else(|| addr.ip().to_string()),
        ip,
        port: addr.port(),
        ..WorldConfig::default()
    }
}

/// A real master takes new names in each life; so does this one.
fn seed() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}
