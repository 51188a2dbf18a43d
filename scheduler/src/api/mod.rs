//! The HTTP API: its state, its router, its server. Absent: what commands and documents mean (the
//! engine), and who may do what (`auth/`).

pub(crate) mod access;
mod access_fields;
mod compat;
mod dry_run;
mod etag;
mod event_view;
pub(crate) mod extract;
pub(crate) mod fields;
mod frame;
mod grpc;
mod idempotency;
pub(crate) mod job_search;
mod openapi;
mod operation;
pub(crate) mod page;
pub(crate) mod params;
mod problem;
mod projection;
mod rate;
mod rest;
pub(crate) mod run_lookup;
pub(crate) mod run_page;
mod schemas;
mod secret_env;
mod standby;
mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub(crate) mod visible;
mod watching;
pub(crate) mod why;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::serve::{Listener, ListenerExt as _};
use shiftwork_engine::Engine;
use shiftwork_engine::command::{Command, Done, Reply};
use shiftwork_schedule::Zone;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::agent_files::AgentFiles;
use crate::audit::Auditor;
use crate::auth::{Actor, Auth};
use crate::console;
use crate::metrics::Metrics;
use crate::oidc::Oidc;
use crate::registry::{LeaderInfo, Standing};
use crate::secrets::Secrets;
use crate::trace::History;
use crate::turn::Handle;
pub use compat::{Credentials, Dialect, ElasticJobConfig};
pub use grpc::{GrpcError, serve as serve_grpc};
pub use idempotency::IdempotencyKeys;
pub use problem::Problem;
pub use rate::RequestRate;
pub(crate) use rest::{audited, read_job_state, session_cookie, session_gone};
pub use standby::with_standby;

/// Largest request body, bytes: the largest document several times over, so that the engine can
/// say what is wrong with a document that is only somewhat too large.
pub const BODY_LEN_MAX: usize = 1024 * 1024;

/// How long answers under way may take once the server is told to stop: clients that never read
/// would otherwise keep the process.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// What the handlers share.
#[derive(Clone)]
pub struct ApiState {
    /// Who may do what.
    pub auth: Auth,
    /// How many requests an address may send.
    pub rate: RequestRate,
    /// What requests with a key came to.
    pub keys: IdempotencyKeys,
    /// What tasks get that documents only name.
    pub secrets: Secrets,
    /// Logging in through an identity provider, if there is one.
    pub oidc: Option<Oidc>,
    /// Whether cookies are only for encrypted connections.
    pub secure_cookies: bool,
    /// The way to the engine.
    pub handle: Handle,
    /// Runs that have ended.
    pub history: History,
    /// Who judges the firings.
    pub auditor: Auditor,
    /// What is counted.
    pub metrics: Metrics,
    /// The output files of tasks.
    pub agent_files: AgentFiles,
    /// Zone of schedules that name none.
    pub default_zone: Zone,
    /// Who leads.
    pub leadership: Leadership,
}

/// Who leads, as far as this process knows.
#[derive(Clone)]
pub struct Leadership {
    /// What this process is.
    pub standing: watch::Receiver<Standing>,
    /// This process as the leader; none while it does not lead.
    pub own: watch::Receiver<Option<LeaderInfo>>,
}

impl ApiState {
    /// Carries a command out. It is durable when this returns.
    pub(crate) async fn command(&self, by: Actor, command: Command) -> Result<Done, Problem> {
        Ok(self.ask_for(by, command).await??)
    }

    /// The same; what the engine says is for the caller to word.
    async fn ask_for(&self, by: Actor, command: Command) -> Result<Reply, Problem> {
        access::allow(self, &by.identity, &command).await?;
        secret_env::check(&self.secrets, &command)?;
        Ok(self.handle.command(by, command).await?)
    }

    /// Asks the engine.
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Engine) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        Ok(self.handle.query(ask).await?)
    }
}

/// All routes: our own, and Elastic-Job-Cloud's.
pub fn router(state: ApiState, elastic_job: ElasticJobConfig) -> Router {
    let (routes, operations) = rest::table().finish();
    let routes = routes.merge(openapi::routes(&operations)).merge(console::routes(&state));
    let elastic_job = compat::routes(state.clone(), elastic_job);
    let routes = routes.with_state(state.clone()).merge(elastic_job);
    frame::framed(access::authenticated(routes, state))
}

/// Serves until `shutdown`, then lets answers under way finish for a while.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: impl Listener<Addr = SocketAddr>,
    router: Router,
    shutdown: CancellationToken,
) -> io::Result<()> {
    // Any listener tells addresses once it is tapped.
    let listener = listener.tap_io(|_| ());
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let stop = shutdown.clone();
    let serving = axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned());
    let drained = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN_MAX).await;
    };
    tokio::select! {
        ended = serving.into_future() => ended,
        () = drained => {
            tracing::warn!(seconds = DRAIN_MAX.as_secs(), "closed connections that did not drain");
            Ok(())
        }
    }
}
