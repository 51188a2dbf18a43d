//! `/jobs`: jobs as documents that can be switched off, and why one does not run. Absent: triggers
//! (`runs.rs`), the coming firings (`schedules.rs`), and the handlers that documents share.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use shiftwork_engine::command::Command;
use shiftwork_engine::ids::{AppName, JobName};
use shiftwork_engine::view::JobView;
use shiftwork_engine::{Assumed, Engine, JobFilter, JobState, Order};

use super::documents::{self, Document, Switched};
use super::{APP, Answer, BASE};
use crate::api::ApiState;
use crate::api::extract::{InPath, Named};
use crate::api::operation::Operation;
use crate::api::page::List;
use crate::api::params::{Kind, Param, Params};
use crate::api::problem::Problem;
use crate::api::table::Table;
use crate::api::why::{self, Facts, Why};

/// Jobs.
pub(in crate::api) struct Jobs;

/// Looks for jobs by name.
static Q: Param = Param {
    name: "q",
    about: "Only jobs whose names hold this, in upper or lower case.",
    kind: Kind::Text,
};

/// The states of [`JobState::ALL`].
const STATES: [&str; 5] = ["ENABLED", "DISABLED", "RUNNING", "PENDING", "BROKEN"];

/// Filters jobs by what they do.
static STATE: Param = Param {
    name: "state",
    about: "Only jobs that are so: with their app's flag counted, with active or pending runs, or \
            with a document that cannot be used.",
    kind: Kind::OneOf(&STATES),
};

/// Reads a state.
pub(crate) fn read_state(text: &str) -> Result<JobState, String> {
    let found = JobState::ALL.into_iter().find(|state| state.name() == text);
    found.ok_or_else(|| format!("must be one of {}", STATES.join(", ")))
}

/// The routes of jobs.
pub(super) fn routes(table: Table) -> Table {
    table.with(documents::routes::<Jobs>).with(documents::switches::<Jobs>).route(
        Operation::get(format!("{BASE}/jobs/{{job}}/why"), "whyJob", "Why a job does not run now.")
            .tag("jobs")
            .one("Why")
            .refuses(&[404]),
        get_why,
    )
}

impl Document for Jobs {
    type Name = JobName;
    type View = JobView;
    type Filter = JobFilter;

    const NOUN: &'static str = "job";
    const TYPE: &'static str = "Job";
    const LIST: List = List("jobs");
    const DESCENDING: List = List("jobs-");
    const SCHEMA: &'static str = "Job";
    const DOCUMENT_SCHEMA: &'static str = "JobDocument";
    const NAME_FIELD: &'static str = "jobName";
    const OF_APP: bool = true;
    const FILTERS: &'static [&'static Param] = &[&APP, &Q, &STATE];

    fn filter(params: &Params) -> Result<JobFilter, Problem> {
        Ok(JobFilter {
            app: params.read(APP.name, AppName::read)?,
            app_prefixes: Vec::new(),
            text: params.text(Q.name).map(str::to_owned),
            state: params.read(STATE.name, read_state)?,
        })
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
        filter: &JobFilter,
        after: Option<&JobName>,
        order: Order,
        limit: usize,
    ) -> Vec<JobView> {
        let mut rows = Vec::new();
        let mut after = after.cloned();
        loop {
            let found = engine.find_jobs(filter, after.as_ref(), order, limit - rows.len());
            rows.extend(found.rows);
            after = found.looked_to;
            if after.is_none() || rows.len() >= limit {
                return rows;
            }
        }
    }

    fn name_of(view: &JobView) -> &str {
        &view.name
    }

    fn app_of(view: &JobView) -> Option<String> {
        view.app.as_ref().map(ToString::to_string)
    }

    fn assume(_: &JobName, _: &mut Assumed) {}

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
async fn get_why(State(state): State<ApiState>, Named(name): Named<JobName>) -> Answer {
    Ok(Json(why_job(&state, name).await?).into_response())
}

/// Why a job does not run now.
///
/// # Errors
/// 404 by name, or 503.
pub(in crate::api) async fn why_job(state: &ApiState, name: JobName) -> Result<Why, Problem> {
    let what = format!("job {name}");
    let facts = state.query(move |engine| Facts::of(engine, &name)).await?;
    facts.map(why::explain).ok_or_else(|| Problem::not_found(&what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_a_job_can_be_asked_for() {
        assert_eq!(JobState::ALL.map(JobState::name), STATES);
        assert_eq!(read_state("BROKEN"), Ok(JobState::Broken));
        assert!(read_state("broken").unwrap_err().contains("DISABLED"));
    }
}
