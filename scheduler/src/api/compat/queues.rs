//! `/api/job/tasks`: the queues in Elastic-Job-Cloud's words: whole, without pages. They are asked for
//! page by page all the same, so that the owner answers others in between.

use axum::extract::State;
use serde_json::{Value, json};
use shiftwork_engine::Engine;
use shiftwork_engine::ids::{ID_DELIMITER, JobName, RunId, TaskId};

use super::Compat;
use super::dialect::{Answer, Dialect};

/// Rows asked for at once.
const PAGE_ROWS: usize = 1_000;

/// `GET /api/job/tasks/running`
pub(super) async fn running(State(state): State<Compat>, dialect: Dialect) -> Answer {
    let mut rows: Vec<Value> = Vec::new();
    let mut after: Option<TaskId> = None;
    loop {
        let from = after.take();
        let ask = move |engine: &Engine| engine.running(from.as_ref(), PAGE_ROWS);
        let page = state.api.query(ask).await?;
        rows.extend(page.iter().map(|task| {
            json!({
                "id": task.task_id,
                "metaInfo": meta_info(&task.run.job(), task.item),
                "type": kind(&task.task_id),
                "slaveId": task.agent,
                "idle": task.idle.unwrap_or(false),
            })
        }));
        match page.last() {
            Some(last) if page.len() == PAGE_ROWS => after = Some(last.task_id.clone()),
            _ => return Ok(dialect.json(&rows)),
        }
    }
}

fn meta_info(job: &JobName, item: u32) -> Value {
    json!({"jobName": job, "shardingItems": [item]})
}

/// READY or FAILOVER, as the task's id says.
pub(super) fn kind(task: &TaskId) -> &str {
    task.as_str().split(ID_DELIMITER).nth(2).unwrap_or("READY")
}

/// `GET /api/job/tasks/ready`
pub(super) async fn ready(State(state): State<Compat>, dialect: Dialect) -> Answer {
    let mut rows: Vec<Value> = Vec::new();
    let mut after: Option<JobName> = None;
    loop {
        let from = after.take();
        let page = state.api.query(move |engine| engine.ready(from.as_ref(), PAGE_ROWS)).await?;
        let row = |job: &JobName, times: usize| json!({"jobName": job, "times": times.to_string()});
        rows.extend(page.iter().map(|ready| row(&ready.job, ready.times)));
        match page.last() {
            Some(last) if page.len() == PAGE_ROWS => after = Some(last.job.clone()),
            _ => return Ok(dialect.json(&rows)),
        }
    }
}

/// `GET /api/job/tasks/failover`
pub(super) async fn failover(State(state): State<Compat>, dialect: Dialect) -> Answer {
    let mut rows: Vec<Value> = Vec::new();
    let mut after: Option<(RunId, u32)> = None;
    loop {
        let from = after.take();
        let ask = move |engine: &Engine| engine.failover(from.as_ref(), PAGE_ROWS);
        let page = state.api.query(ask).await?;
        rows.extend(page.iter().map(|row| {
            json!({
                "taskInfo": meta_info(&row.run.job(), row.item),
                "originalTaskId": row.original_task_id,
            })
        }));
        match page.last() {
            Some(last) if page.len() == PAGE_ROWS => after = Some((last.run.clone(), last.item)),
            _ => return Ok(dialect.json(&rows)),
        }
    }
}
