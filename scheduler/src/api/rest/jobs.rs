//! `/jobs`: jobs as documents that can be switched off, and why one does not run. Absent: triggers
//! (`runs.rs`), the coming firings (`schedules.rs`), and the handlers that documents share.

use axum::extract::State;
use shiftwork_engine::command::Command;
use shiftwork_engine::ids::{AppName, JobName};
use shiftwork_engine::view::JobView;
use shiftwork_engine::{Engine, Order};

use super::documents::{self, Document, Switched};
use super::{APP, Answer, BASE, found};
use crate::api::ApiState;
use crate::api::extract::{InPath, Named};
use crate::api::operation::Operation;
use crate::api::page::List;
use crate::api::params::{Param, Params};
use crate::api::problem::Problem;
use crate::api::table::Table;
use crate::api::why::{self, Facts};

/// Jobs.
pub(in crate::api) struct Jobs;

/// The routes of jobs.
pub(super) fn routes(table: Table) -> Table {
    table.with(documents::routes::<Jobs>).with(documents::switches::<Jobs>).route(
        Operation::get(format!("{BASE}/jobs/{{job}}/why"), "whyJob", "Why a job does not run now.")
            .tag("jobs")
            .one("Why")
            .refuses(&[404]),
        why,
    )
}

impl Document for Jobs {
    type Name = JobName;
    type View = JobView;
    /// Of one app.
    type Filter = Option<AppName>;

    const NOUN: &'static str = "job";
    const TYPE: &'static str = "Job";
    const LIST: List = List("jobs");
    const DESCENDING: List = List("jobs-");
    const SCHEMA: &'static str = "Job";
    const DOCUMENT_SCHEMA: &'static str = "JobDocument";
    const NAME_FIELD: &'static str = "jobName";
    const OF_APP: bool = true;
    const FILTERS: &'static [&'static Param] = &[&APP];

    fn filter(params: &Params) -> Result<Option<AppName>, Problem> {
        params.read(APP.name, AppName::read)
    }

    fn create(document: Vec<u8>) -> Command {
        Command::CreateJob { document }
    }

    fn update(job: JobName, document: Vec<u8>) -> Command {
        Command::UpdateJob { job, document }
    }

    fn delete(job: JobName) -> Command {
        Command::DeleteJob { job }
    }

    fn one(engine: &Engine, name: &JobName) -> Option<JobView> {
        engine.job(name)
    }

    fn some(
        engine: &Engine,
        app: &Option<AppName>,
        after: Option<&JobName>,
        order: Order,
        limit: usize,
    ) -> Vec<JobView> {
        engine.jobs(app.as_ref(), after, order, limit)
    }

    fn name_of(view: &JobView) -> &str {
        &view.name
    }

    fn app_of(view: &JobView) -> Option<String> {
        view.app.as_ref().map(ToString::to_string)
    }

    fn text_of(view: &JobView) -> &str {
        view.document.get()
    }
}

impl Switched for Jobs {
    fn set_enabled(job: JobName, enabled: bool, reason: Option<String>) -> Command {
        Command::SetJobEnabled { job, enabled, reason }
    }
}

/// `GET /jobs/{job}/why`
async fn why(State(state): State<ApiState>, Named(name): Named<JobName>) -> Answer {
    let what = format!("job {name}");
    let facts = state.query(move |engine| Facts::of(engine, &name)).await?;
    found(&what, facts.map(why::explain))
}
