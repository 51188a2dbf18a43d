//! Who may use a route: every request is asked who it is from before it comes to any route, and each
//! route says what it takes. Absent: how somebody proves who they are, and what roles are (`auth/`).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use shiftwork_engine::Engine;
use shiftwork_engine::command::Command;
use shiftwork_engine::ids::{AppName, JobName, RunId, TaskId};
use shiftwork_engine::view::RunView;

use super::ApiState;
use super::extract::InPath;
use super::problem::Problem;
use super::run_lookup::{find, find_task};
use super::run_page::Row;
use crate::auth::{Actor, AppScope, Denied, Identity, Proof, Role};

/// What a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The role; none for a route that anybody may use.
    pub(crate) role: Option<Role>,
    /// What somebody sees of it whose role is for some apps only.
    pub(crate) reach: Reach,
}

/// What somebody sees of a route whose role is for some apps only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It is of the app, job, run or task that it names (REST: in its path): all, if that is of one of
    /// their apps.
    Path,
    /// It leaves out what is not of their apps, or refuses that itself.
    Filtered,
    /// Nothing in it is of an app.
    Shared,
    /// Nothing: it is of all apps.
    AllApps,
}

/// What the frame has found out about a request.
#[derive(Clone)]
pub(crate) struct Access {
    state: Arc<ApiState>,
    admitted: Result<Identity, Denied>,
}

/// Puts the question who a request is from before routes.
pub(crate) fn authenticated(routes: Router, state: ApiState) -> Router {
    routes.layer(middleware::from_fn_with_state(Arc::new(state), authenticate))
}

async fn authenticate(
    State(state): State<Arc<ApiState>>,
    mut request: Request,
    next: Next,
) -> Response {
    if state.auth.trusts_loopback() && !offer_sim::host_is_local(request.headers()) {
        return Problem::cross_site(
            "without authentication only this machine is served, under its own names: the Host is \
             another",
        )
        .into_response();
    }
    let from = peer(request.extensions());
    if let Err(problem) = state.rate.count(from) {
        return problem.into_response();
    }
    // A body is not to be shared with who waits.
    let headers = request.headers().clone();
    let admitted = state.auth.admit(&headers, from).await;
    if let Err(denied) = admitted
        && denied != Denied::Nobody
    {
        state.metrics.on_denied(denied);
        tracing::warn!(from = from.map(tracing::field::display), %denied, "not let in");
    }
    if let Ok(identity) = &admitted {
        if identity.proof == Proof::Cookie
            && !request.method().is_safe()
            && !is_of_our_page(request.headers())
        {
            return Problem::cross_site(
                "a change by a session needs the X-CSRF-Token of GET /api/v1/session, or the Origin \
                 that browsers send",
            )
            .into_response();
        }
        request.extensions_mut().insert(identity.clone());
    }
    request.extensions_mut().insert(Access { state, admitted });
    next.run(request).await
}

/// From where a request comes.
pub(crate) fn peer(extensions: &axum::http::Extensions) -> Option<IpAddr> {
    let ConnectInfo(address) = extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(address.ip().to_canonical())
}

/// The header of a session's second secret.
const CSRF_TOKEN: &str = "x-csrf-token";

/// A browser sends a session's cookie without being asked, but for pages of other sites it also says
/// whose page it is: an `Origin` that is not ours has been refused before (`frame.rs`).
fn is_of_our_page(headers: &HeaderMap) -> bool {
    let same_origin = headers.get("sec-fetch-site").is_some_and(|site| site == "same-origin");
    let token = || {
        let shown = headers.get(CSRF_TOKEN)?.to_str().ok()?;
        Some(crate::auth::csrf_token(headers)? == shown)
    };
    headers.contains_key(header::ORIGIN) || same_origin || token().unwrap_or(false)
}

// === rules ===

impl Rule {
    /// Whether a request may come in.
    ///
    /// # Errors
    /// 401, 403 or 429, or what is said of what it names.
    pub(crate) fn admit(self, template: &str, request: &Request) -> Result<Admission, Problem> {
        let Some(role) = self.role else { return Ok(Admission::Granted) };
        let access = Access::of(request.extensions())?;
        let identity = access.admitted.as_ref().map_err(|denied| {
            if *denied == Denied::Nobody {
                access.state.metrics.on_denied(*denied);
            }
            Problem::denied(*denied)
        })?;
        identity.require(role)?;
        let of_all =
            identity.apps.is_all() || matches!(self.reach, Reach::Filtered | Reach::Shared);
        if of_all {
            return Ok(Admission::Granted);
        }
        let named = named(template, request.uri()).filter(|_| self.reach == Reach::Path);
        if let Some(named) = named {
            return Ok(Admission::If(named, Arc::clone(&access.state), identity.clone()));
        }
        identity.require_all_apps()?;
        Ok(Admission::Granted)
    }
}

/// Whether a request may come in, as far as it says so itself.
pub(crate) enum Admission {
    Granted,
    /// If what it names is of an app of theirs.
    If(Named, Arc<ApiState>, Identity),
}

impl Admission {
    /// Asks the engine and the history, where that is needed.
    ///
    /// # Errors
    /// 403, or what is said of what the request names.
    pub(crate) async fn settle(self) -> Result<(), Problem> {
        match self {
            Self::Granted => Ok(()),
            Self::If(named, state, identity) => named.admit(&state, &identity).await,
        }
    }
}

/// What a path names.
pub(crate) enum Named {
    App(AppName),
    Job(JobName),
    Run(RunId),
    Task(TaskId),
    /// No name of such a thing: the handler says what is wrong with it.
    Unreadable,
}

/// Whether what a parameter of a path names is of an app.
pub(crate) fn is_of_app(parameter: &str) -> bool {
    matches!(parameter, "app" | "job" | "run" | "task")
}

/// The thing in a path.
fn named(template: &str, uri: &Uri) -> Option<Named> {
    let mut segments = template.split('/').zip(uri.path().split('/'));
    let (kind, text) = segments.find_map(|(segment, text)| {
        let kind = segment.strip_prefix('{')?.strip_suffix('}')?;
        is_of_app(kind).then_some((kind, text))
    })?;
    let text = percent_decode_str(text).decode_utf8_lossy();
    let named = match kind {
        "app" => AppName::read(&text).map(Named::App),
        "job" => JobName::read(&text).map(Named::Job),
        "run" => RunId::read(&text).map(Named::Run),
        _ => <TaskId as InPath>::read(&text).map(Named::Task),
    };
    Some(named.unwrap_or(Named::Unreadable))
}

impl Named {
    /// The same, and what is not there is none of theirs: it may come to be another's.
    ///
    /// # Errors
    /// 403 or 404.
    pub(crate) async fn admit_if_there(
        self,
        state: &ApiState,
        identity: &Identity,
    ) -> Result<(), Problem> {
        if let Self::Job(job) = &self
            && app_of_job(state, job.clone()).await?.is_none()
        {
            return Err(Problem::not_found(&format!("job {job}")));
        }
        self.admit(state, identity).await
    }

    /// Whether it is of an app of somebody.
    ///
    /// # Errors
    /// 403, or what is said of what is not there.
    pub(crate) async fn admit(self, state: &ApiState, identity: &Identity) -> Result<(), Problem> {
        if identity.apps.is_all() {
            return Ok(());
        }
        let app = match self {
            Self::Unreadable => return Ok(()),
            Self::App(app) => app.to_string(),
            Self::Job(job) => match app_of_job(state, job).await? {
                // There is no such job: the handler says so.
                None => return Ok(()),
                Some(app) => app,
            },
            Self::Run(run) => app_of_run(state, &run).await?,
            Self::Task(task) => {
                let asked = task.clone();
                let app = state.query(move |engine| Some(engine.task(&asked)?.app)).await?;
                match app {
                    Some(app) => app.to_string(),
                    None => find_task(state, &task).await?.app.to_string(),
                }
            }
        };
        Ok(identity.require_app(&app)?)
    }
}

/// The app of a job; of one whose document cannot be read, a name that no scope covers.
async fn app_of_job(state: &ApiState, job: JobName) -> Result<Option<String>, Problem> {
    let app = move |engine: &Engine| {
        let view = engine.job(&job)?;
        Some(view.app.map_or_else(String::new, |app| app.to_string()))
    };
    state.query(app).await
}

async fn app_of_run(state: &ApiState, run: &RunId) -> Result<String, Problem> {
    Ok(match find(state, run).await? {
        Row::Live(run) => run.app.to_string(),
        Row::Stored { run, .. } => {
            let run = serde_json::from_str::<RunView>(run.get());
            run.map_or_else(|_| String::new(), |run| run.app.to_string())
        }
    })
}

// === commands ===

/// Whether somebody may ask for a change of what it changes; their role was asked about before.
///
/// # Errors
/// 403, or 503 where nobody leads.
pub(crate) async fn allow(
    state: &ApiState,
    identity: &Identity,
    command: &Command,
) -> Result<(), Problem> {
    if identity.apps.is_all() {
        return Ok(());
    }
    let job = match command {
        Command::IfUnchanged { change, .. } => {
            return Box::pin(allow(state, identity, change)).await;
        }
        Command::CreateApp { document } | Command::CreateJob { document } => {
            return app_in(identity, document);
        }
        Command::UpdateApp { app, .. }
        | Command::DeleteApp { app }
        | Command::SetAppEnabled { app, .. } => return Ok(identity.require_app(app.as_str())?),
        Command::UpdateJob { job, document } => {
            app_in(identity, document)?;
            job.clone()
        }
        Command::DeleteJob { job }
        | Command::SetJobEnabled { job, .. }
        | Command::Trigger { job, .. } => job.clone(),
        Command::Rerun { ended, .. } => {
            let app = app_of_run(state, &ended.run).await?;
            return Ok(identity.require_app(&app)?);
        }
        Command::CancelRun { run } => {
            let app = app_of_run(state, run).await?;
            return Ok(identity.require_app(&app)?);
        }
        Command::KillTask { task } => {
            return Named::Task(task.clone()).admit(state, identity).await;
        }
        Command::CreateCalendar { .. }
        | Command::UpdateCalendar { .. }
        | Command::DeleteCalendar { .. }
        | Command::Reconcile => return Ok(identity.require_all_apps()?),
    };
    Named::Job(job).admit(state, identity).await
}

/// The app that a document names must be theirs; one that names none is refused by the engine.
fn app_in(identity: &Identity, document: &[u8]) -> Result<(), Problem> {
    let document: serde_json::Value = serde_json::from_slice(document).unwrap_or_default();
    match document.get("appName").and_then(serde_json::Value::as_str) {
        Some(app) => Ok(identity.require_app(app)?),
        None => Ok(()),
    }
}

// === extractors ===

impl Access {
    fn of(extensions: &axum::http::Extensions) -> Result<&Self, Problem> {
        extensions.get::<Self>().ok_or_else(|| {
            tracing::error!("a route stands outside the frame that asks who a request is from");
            Problem::internal("a defect of the scheduler, see its log")
        })
    }
}

/// Who a request is from.
///
/// # Errors
/// 401 or 429.
pub(crate) fn admitted(extensions: &axum::http::Extensions) -> Result<Identity, Problem> {
    Access::of(extensions)?.admitted.clone().map_err(Problem::denied)
}

/// Somebody who is let in.
impl<S: Send + Sync> FromRequestParts<S> for Identity {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        admitted(&parts.extensions)
    }
}

/// From where a request comes.
pub(crate) struct Origin(pub(crate) Option<IpAddr>);

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(peer(&parts.extensions)))
    }
}

/// The apps whose things somebody is shown.
pub(crate) struct Sight(pub(crate) AppScope);

impl<S: Send + Sync> FromRequestParts<S> for Sight {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Ok(Self(Identity::from_request_parts(parts, state).await?.apps))
    }
}

/// Who asks for a change, for the records.
pub(crate) struct Caller(pub(crate) Actor);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let identity = Identity::from_request_parts(parts, state).await?;
        let door = match parts.extensions.get::<super::compat::Dialect>() {
            Some(_) => "elastic-job",
            None => "rest",
        };
        Ok(Self(Actor { identity, door, from: peer(&parts.extensions) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thing_in_a_path_is_found() {
        let uri = |path: &str| path.parse::<Uri>().unwrap();
        let job = named("/api/v1/jobs/{job}/why", &uri("/api/v1/jobs/word%2Dcount/why"));
        assert!(matches!(job, Some(Named::Job(job)) if job.as_str() == "word-count"));
        let bad = named("/api/v1/apps/{app}", &uri("/api/v1/apps/a%2Fb"));
        assert!(matches!(bad, Some(Named::Unreadable)));
        assert!(named("/api/v1/status", &uri("/api/v1/status")).is_none());
        assert!(named("/api/v1/calendars/{calendar}", &uri("/api/v1/calendars/x")).is_none());
    }
}
