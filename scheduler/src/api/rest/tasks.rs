//! `/tasks`: end one task.

use axum::extract::State;
use shiftwork_engine::command::Command;
use shiftwork_engine::ids::TaskId;

use super::{Answer, accepted};
use crate::api::ApiState;
use crate::api::extract::{Caller, Named};
use crate::api::params::RawParams;

/// `POST /tasks/{task}/kill`
pub(super) async fn kill(
    State(state): State<ApiState>,
    params: RawParams,
    Named(task): Named<TaskId>,
    Caller(by): Caller,
) -> Answer {
    params.none()?;
    state.command(by, Command::KillTask { task: task.clone() }).await?;
    Ok(accepted(Some(task.as_str())))
}
