//! `/tasks`: the tasks that live, one task whether it lives or not, and its end. Absent: what it
//! wrote (`logs.rs`).

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use shiftwork_engine::command::Command;
use shiftwork_engine::ids::{AgentId, AppName, JobName, TaskId};
use shiftwork_engine::view::{ShardState, TaskView};
use shiftwork_engine::{Engine, TaskFilter};

use super::{AGENT, APP, Answer, BASE, JOB, SHARD_STATES, accepted};
use crate::api::ApiState;
use crate::api::access::{Caller, Sight};
use crate::api::extract::{InPath, Named};
use crate::api::operation::{Answered, Operation};
use crate::api::page::{List, Page, PageAt};
use crate::api::params::{Kind, Param, Params};
use crate::api::problem::Problem;
use crate::api::run_lookup::find_task;
use crate::api::table::Table;
use crate::api::visible;
use crate::auth::AppScope;

pub(in crate::api) const TASKS: List = List("tasks");

/// Filters tasks by state.
static STATE: Param =
    Param { name: "state", about: "Only in this state.", kind: Kind::OneOf(&SHARD_STATES) };

/// The routes of tasks.
pub(super) fn routes(table: Table) -> Table {
    let one = format!("{BASE}/tasks/{{task}}");
    table
        .route(
            Operation::get(format!("{BASE}/tasks"), "listTasks", "Lists the tasks that live.")
                .tag("tasks")
                .filtered()
                .query(&[&JOB, &APP, &AGENT, &STATE])
                .page("Task"),
            list,
        )
        .route(
            Operation::get(&one, "getTask", "Reads a task, also one that has ended.")
                .tag("tasks")
                .one("Task")
                .refuses(&[404]),
            get,
        )
        .route(
            Operation::post(
                format!("{one}/kill"),
                "killTask",
                "Ends a task; a daemon's shard is launched again.",
            )
            .tag("tasks")
            .answers(202, Answered::One("Accepted"))
            .refuses(&[404, 409]),
            kill,
        )
}

/// `GET /tasks?job=&app=&agent=&state=`
async fn list(State(state): State<ApiState>, Sight(scope): Sight, params: Params) -> Answer {
    let at = PageAt::read(TASKS, &params)?;
    let filter = TaskFilter {
        job: params.read(JOB.name, JobName::read)?,
        app: params.read(APP.name, AppName::read)?,
        agent: params.text(AGENT.name).map(AgentId::new),
        state: params.read(STATE.name, read_state)?,
    };
    Ok(Json(tasks(&state, &scope, filter, &at).await?).into_response())
}

/// The tasks that live.
///
/// # Errors
/// 503.
pub(in crate::api) async fn tasks(
    state: &ApiState,
    scope: &AppScope,
    filter: TaskFilter,
    at: &PageAt,
) -> Result<Page<TaskView>, Problem> {
    let after = at.after.as_deref().map(TaskId::new);
    let ask =
        move |engine: &Engine, after: Option<&TaskId>, limit| engine.tasks(&filter, after, limit);
    let app = |_: &Engine, task: &TaskView| Some(task.app.to_string());
    let listing = (ask, |task: &TaskView| task.id.clone(), app);
    let rows = visible::rows(state, scope, at, after, listing).await?;
    Ok(Page::cut(rows, at, |task| task.id.to_string()))
}

fn read_state(text: &str) -> Result<ShardState, String> {
    let quoted = serde_json::Value::String(text.to_owned());
    serde_json::from_value(quoted)
        .map_err(|_| format!("must be one of {}", SHARD_STATES.join(", ")))
}

/// `GET /tasks/{task}`
async fn get(State(state): State<ApiState>, Named(id): Named<TaskId>) -> Answer {
    Ok(Json(task(&state, &id).await?).into_response())
}

/// A task, whether it lives or not.
///
/// # Errors
/// 404 if it is nowhere, 503 without a leader or a history.
pub(in crate::api) async fn task(state: &ApiState, id: &TaskId) -> Result<TaskView, Problem> {
    let asked = id.clone();
    match state.query(move |engine| engine.task(&asked)).await? {
        Some(task) => Ok(task),
        None => find_task(state, id).await,
    }
}

/// `POST /tasks/{task}/kill`
async fn kill(
    State(state): State<ApiState>,
    Named(task): Named<TaskId>,
    Caller(by): Caller,
) -> Answer {
    state.command(by, Command::KillTask { task: task.clone() }).await?;
    Ok(accepted(Some(task.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_a_task_can_be_asked_for() {
        for state in SHARD_STATES {
            assert_eq!(serde_json::to_value(read_state(state).unwrap()).unwrap(), state);
        }
        assert!(read_state("running").unwrap_err().contains("UNREACHABLE"));
    }
}
