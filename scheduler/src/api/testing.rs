//! For tests: one request to a router and its answer, and a scheduler to ask. Absent: a server
//! socket, a Mesos master.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, header};
use shiftwork_engine::{Effects, Engine, Settings};
use shiftwork_schedule::Zone;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::{ApiState, ElasticJobConfig, Leadership};
use crate::agent_files::{AgentBook, AgentFiles};
use crate::audit::Auditor;
use crate::auth::{Auth, AuthConfig, Mode};
use crate::mesos::{self, DriverConfig};
use crate::metrics::Metrics;
use crate::registry::{LeaderInfo, MemoryRegistry, Registry, Standing};
use crate::secrets::{KEY_FILE_NAME, Key, Secrets};
use crate::tls::ClientTls;
use crate::trace::{History, SpoolLimits, WriterOptions};
use crate::turn::{self, Outlets, Owner};

/// An answer, read to its end.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

/// Sends one request.
pub(super) async fn send(router: Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    Answer {
        status: parts.status.as_u16(),
        content_type: content_type.map_or("", |value| value.to_str().unwrap()).to_owned(),
        // Compressed where the request asked for that.
        text: String::from_utf8_lossy(&bytes).into_owned(),
        headers: parts.headers,
    }
}

/// An API to ask.
#[derive(Clone)]
pub(super) struct Door(Router);

impl Door {
    /// Sends a request, with a body of JSON if it is not empty.
    pub(super) async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.ask_with(method, path, body, &[]).await
    }

    /// Sends a request with further headers.
    pub(super) async fn ask_with(
        &self,
        method: &str,
        path: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        send(self.0.clone(), request).await
    }
}

/// A scheduler that leads, with no Mesos master within reach: nothing runs, everything else works.
pub(super) struct World {
    /// Who may do what.
    pub(super) auth: Auth,
    door: Door,
    state: ApiState,
    shutdown: CancellationToken,
    tracker: TaskTracker,
    /// Kept until the end: the history is in it.
    directory: TempDir,
}

impl World {
    pub(super) async fn start() -> Self {
        Self::start_with(ElasticJobConfig::default()).await
    }

    /// The same, with Elastic-Job-Cloud's REST as configured.
    pub(super) async fn start_with(elastic_job: ElasticJobConfig) -> Self {
        let open = AuthConfig { mode: Mode::Insecure, ..AuthConfig::default() };
        Self::start_guarded(elastic_job, open).await
    }

    /// The same, asking who somebody is as configured.
    pub(super) async fn start_guarded(elastic_job: ElasticJobConfig, auth: AuthConfig) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (shutdown, tracker) = (CancellationToken::new(), TaskTracker::new());
        let (history, writer) =
            History::open(directory.path(), None, SpoolLimits::default(), WriterOptions::default())
                .unwrap();
        tracker.spawn(writer.run(shutdown.clone()));
        let (handle, mut inbox) = turn::channel();
        let mut registry: Box<dyn Registry> = Box::new(MemoryRegistry::new());
        let leader = LeaderInfo {
            id: "test".to_owned(),
            addresses: Vec::new(),
            since: jiff::Timestamp::UNIX_EPOCH,
        };
        let tenure = registry.take_over(leader).await.unwrap();
        let mut restored = Effects::default();
        let engine =
            Engine::restore(Settings::default(), 1, turn::now(), Vec::new(), &mut restored);
        let (events, mut happened) = mpsc::channel(turn::INPUTS_MAX);
        // The reserved port: nobody listens there.
        let driver = DriverConfig::new(vec!["127.0.0.1:1".to_owned()]);
        let driver = mesos::spawn(driver, None, events, &tracker, shutdown.clone()).unwrap();
        let metrics = Metrics::new();
        let key = Key::of_file(&directory.path().join(KEY_FILE_NAME), true).unwrap();
        let secrets = Secrets::new(Some(key), handle.clone());
        let outlets = Outlets {
            driver,
            history: history.clone(),
            metrics: metrics.clone(),
            agents: AgentBook::default(),
            secrets: secrets.clone(),
        };
        let owner = Owner::new(engine, restored, registry, &tenure, outlets, &inbox);
        let stop = shutdown.clone();
        tracker.spawn(async move {
            owner.run(&mut inbox, &mut happened, &stop).await;
        });
        let agent_files =
            AgentFiles::new(AgentBook::default(), &ClientTls::default(), None).unwrap();
        let (_, standing) = watch::channel(Standing::Leading);
        let (_, own) = watch::channel(None);
        let leadership = Leadership { standing, own };
        let configured = elastic_job.credentials.clone().map(|it| (it.username, it.password));
        let auth = Auth::new(AuthConfig { configured, ..auth }, handle.clone());
        let default_zone = Zone::utc();
        let auditor = Auditor::new(handle.clone(), history.clone(), metrics.clone(), Zone::utc());
        let state = ApiState {
            auth: auth.clone(),
            secrets,
            oidc: None,
            rate: super::RequestRate::new(0),
            keys: super::IdempotencyKeys::default(),
            secure_cookies: false,
            handle,
            history,
            auditor,
            metrics,
            agent_files,
            default_zone,
            leadership,
        };
        let door = Door(super::router(state.clone(), elastic_job));
        Self { auth, door, state, shutdown, tracker, directory }
    }

    /// See [`Door::ask`].
    pub(super) async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.door.ask(method, path, body).await
    }

    /// See [`Door::ask_with`].
    pub(super) async fn ask_with(
        &self,
        method: &str,
        path: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        self.door.ask_with(method, path, body, headers).await
    }

    /// Sends a request without a body; the answer is not read.
    pub(super) async fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> axum::response::Response {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.door.0.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    /// Its routes, for requests of any form.
    pub(super) fn router(&self) -> Router {
        self.door.0.clone()
    }

    /// Its API, which may outlive it.
    pub(super) fn door(&self) -> Door {
        self.door.clone()
    }

    /// Its state, for another face of the API.
    pub(super) fn state(&self) -> ApiState {
        self.state.clone()
    }

    pub(super) async fn stop(self) {
        self.shutdown.cancel();
        self.tracker.close();
        self.tracker.wait().await;
        drop((self.door, self.state));
        self.directory.close().unwrap();
    }
}
