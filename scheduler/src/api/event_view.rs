//! An event as the API shows it, in lists and in streams.

use serde::Serialize;
use shiftwork_schedule::Timestamp;

use crate::trace::EventRow;

/// Something that happened to a run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventView {
    /// Its place in the order of all events.
    id: String,
    at: Timestamp,
    kind: String,
    run: String,
    job: String,
    item: Option<u32>,
    task_id: Option<String>,
    state: Option<String>,
    message: Option<String>,
    submitter: Option<String>,
    app: Option<String>,
}

impl From<&EventRow> for EventView {
    fn from(row: &EventRow) -> Self {
        Self {
            id: row.key().to_string(),
            at: Timestamp::from_millis(row.at_ms),
            kind: row.kind.clone(),
            run: row.run_id.clone(),
            job: row.job.clone(),
            item: row.item,
            task_id: row.task_id.clone(),
            state: row.state.clone(),
            message: row.message.clone(),
            submitter: row.submitter.clone(),
            app: row.app.clone(),
        }
    }
}
