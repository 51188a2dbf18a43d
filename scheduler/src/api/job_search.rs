//! Looks for jobs among very many: the engine looks at some thousands at a time, and is asked until
//! there are enough. Absent: what is looked for.

use shiftwork_engine::ids::JobName;
use shiftwork_engine::view::JobView;
use shiftwork_engine::{JobFilter, Order};

use super::ApiState;
use super::problem::Problem;

/// Jobs that pass a filter, in order of their names, at most `limit` of those behind `after`.
///
/// # Errors
/// 503 without a leader.
pub(crate) async fn find(
    state: &ApiState,
    filter: JobFilter,
    mut after: Option<JobName>,
    order: Order,
    limit: usize,
) -> Result<Vec<JobView>, Problem> {
    let mut rows = Vec::new();
    loop {
        let (filter, wanted) = (filter.clone(), limit - rows.len());
        let found = state
            .query(move |engine| engine.find_jobs(&filter, after.as_ref(), order, wanted))
            .await?;
        rows.extend(found.rows);
        after = found.looked_to;
        if after.is_none() || rows.len() >= limit {
            return Ok(rows);
        }
    }
}
