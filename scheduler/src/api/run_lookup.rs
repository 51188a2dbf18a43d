//! Finds runs, in the engine while they live and in the history afterwards. Absent: how both become
//! one list (`run_page.rs`).

use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use shiftwork_engine::command::EndedRun;
use shiftwork_engine::ids::{AppName, JobName, RunId, TaskId};
use shiftwork_engine::view::{RunState, RunView, ShardState, TaskView};
use shiftwork_engine::{Engine, RunFilter};
use shiftwork_schedule::Timestamp;

use super::ApiState;
use super::extract::InPath;
use super::page::{CURSOR, Page, PageAt};
use super::params::{Kind, Param, Params};
use super::problem::Problem;
use super::run_page::{RUNS, Row, Rows, RunKey, merge};
use crate::auth::AppScope;
use crate::trace::{self, RunRow, StoreError};

/// Runs of a job among which the run of a task is looked for, of those that live and of those in the
/// history, newest first.
pub(crate) const RUNS_SEARCHED_MAX: usize = 200;

/// All states, to read one from its name.
const STATES: [RunState; 9] = [
    RunState::Pending,
    RunState::Launching,
    RunState::Running,
    RunState::Succeeded,
    RunState::Failed,
    RunState::Cancelled,
    RunState::TimedOut,
    RunState::Expired,
    RunState::Skipped,
];

/// Their names.
pub(crate) const STATE_NAMES: [&str; 9] = [
    "PENDING",
    "LAUNCHING",
    "RUNNING",
    "SUCCEEDED",
    "FAILED",
    "CANCELLED",
    "TIMED_OUT",
    "EXPIRED",
    "SKIPPED",
];

/// Filters runs by state.
pub(crate) static STATE: Param =
    Param { name: "state", about: "Only in this state.", kind: Kind::OneOf(&STATE_NAMES) };

/// Which runs are asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    filter: RunFilter,
    after: Option<RunKey>,
    /// The same in the engine's terms.
    behind: Option<(Timestamp, RunId)>,
    at: PageAt,
}

impl Wanted {
    /// Reads the query.
    ///
    /// # Errors
    /// Names the parameter that is wrong.
    pub(crate) fn read(params: &Params) -> Result<Self, Problem> {
        let filter = RunFilter {
            job: params.read(JobName::PARAMETER, JobName::read)?,
            app: params.read(AppName::PARAMETER, AppName::read)?,
            state: params.read(STATE.name, read_state)?,
            app_prefixes: Vec::new(),
        };
        Self::new(filter, PageAt::read(RUNS, params)?)
    }

    /// Some runs.
    ///
    /// # Errors
    /// Names the cursor, if somebody has made it up.
    pub(crate) fn new(filter: RunFilter, mut at: PageAt) -> Result<Self, Problem> {
        let wrong = || Problem::parameter(at.cursor, "is not one of this list: leave it out");
        let after = match at.after.take() {
            Some(text) => Some(RunKey::parse(&text).ok_or_else(wrong)?),
            None => None,
        };
        let behind = match &after {
            Some(key) => Some((key.created_at, RunId::parse(&key.id).map_err(|_| wrong())?)),
            None => None,
        };
        Ok(Self { filter, after, behind, at })
    }

    /// Only those of some apps.
    pub(crate) fn within(mut self, scope: &AppScope) -> Self {
        self.filter.app_prefixes = scope.prefixes().to_vec();
        self
    }

    /// The newest that pass a filter.
    fn newest(filter: RunFilter, limit: usize) -> Self {
        let at = PageAt { list: RUNS, limit, after: None, cursor: CURSOR.name };
        Self { filter, after: None, behind: None, at }
    }

    /// Asks for so many rows.
    pub(crate) fn limit(&mut self, rows: usize) {
        self.at.limit = rows;
    }

    /// The engine's rows of this page.
    fn live(&self, engine: &Engine) -> Rows<Row> {
        let after = self.behind.as_ref();
        let runs = engine.live_runs(&self.filter, after, self.at.fetch()).into_iter();
        Rows::cut(runs.map(|run| (key(&run), Row::Live(Box::new(run)))).collect(), &self.at)
    }

    /// The history's rows of this page.
    async fn stored(&self, history: &trace::History) -> Result<Rows<Row>, Problem> {
        let filter = trace::RunFilter {
            job: self.filter.job.as_ref().map(ToString::to_string),
            app: self.filter.app.as_ref().map(ToString::to_string),
            state: self.filter.state.map(|state| state.name().to_owned()),
            app_prefixes: self.filter.app_prefixes.clone(),
            ..trace::RunFilter::default()
        };
        let behind = self.after.as_ref().map(|key| trace::RunCursor {
            created_at_ms: key.created_at.as_millis(),
            id: key.id.clone(),
        });
        let page =
            history.runs(&filter, behind.as_ref(), self.at.limit).await.map_err(no_history)?;
        let known_to = page.next.map(|cursor| RunKey {
            created_at: Timestamp::from_millis(cursor.created_at_ms),
            id: cursor.id,
        });
        let rows = page.runs.into_iter().filter_map(|row| {
            let created_at = Timestamp::from_millis(row.created_at_ms);
            Some((RunKey { created_at, id: row.id.clone() }, stored_row(row)?))
        });
        Ok(Rows::known_to(rows.collect(), known_to))
    }
}

fn read_state(text: &str) -> Result<RunState, String> {
    STATES
        .into_iter()
        .find(|state| state.name() == text)
        .ok_or_else(|| format!("must be one of {}", STATE_NAMES.join(", ")))
}

fn key(run: &RunView) -> RunKey {
    RunKey { created_at: run.created_at, id: run.id.to_string() }
}

/// A row of the history. One that is damaged is left out, for the others' sake.
fn stored_row(row: RunRow) -> Option<Row> {
    let ended = row.finished_at_ms.is_some();
    match RawValue::from_string(with_document(row.json, row.document.as_deref())) {
        Ok(run) => Some(Row::Stored { id: row.id, ended, run }),
        Err(error) => {
            tracing::warn!(run = row.id, %error, "the history holds a run that cannot be read");
            None
        }
    }
}

/// The document stands in a column of its own, so that lists need not read it.
fn with_document(run: String, document: Option<&str>) -> String {
    match (run.trim_end().strip_suffix('}'), document) {
        (Some(fields), Some(document)) => format!("{fields},\"document\":{document}}}"),
        _ => run,
    }
}

/// What a client is told when the database fails; the log has the cause.
pub(crate) fn no_history(error: StoreError) -> Problem {
    tracing::warn!(error = &error as &dyn std::error::Error, "the history cannot be read");
    Problem::unavailable(
        "the history database cannot be read at the moment, see the scheduler's log: runs that \
         have not ended can be listed with state=PENDING, LAUNCHING or RUNNING",
    )
}

/// A page of runs.
///
/// # Errors
/// 503 without a leader or a history.
pub(crate) async fn page(state: &ApiState, wanted: Wanted) -> Result<Page<Row>, Problem> {
    let asked = wanted.clone();
    // The engine first: a run that ends in between is then in both, not in neither.
    let live = state.query(move |engine| asked.live(engine)).await?;
    let stored = match wanted.filter.state {
        // What has not ended is known to the engine; the history may be behind.
        Some(state) if !state.is_final() => Rows::none(),
        _ => {
            caught_up(state).await?;
            refreshed(state, wanted.stored(&state.history).await?).await?
        }
    };
    Ok(merge(live, stored, &wanted.at, Row::ended))
}

/// The newest runs that pass a filter. Those that are damaged are left out.
///
/// # Errors
/// 503 without a leader or a history.
pub(crate) async fn newest(
    state: &ApiState,
    filter: RunFilter,
    limit: usize,
) -> Result<Vec<RunView>, Problem> {
    let page = page(state, Wanted::newest(filter, limit)).await?;
    Ok(page.items.iter().filter_map(Row::view).collect())
}

/// Exchanges rows that have not ended for what the engine knows now: the history may hold them as
/// they were a moment ago.
async fn refreshed(state: &ApiState, mut stored: Rows<Row>) -> Result<Rows<Row>, Problem> {
    if stored.rows_mut().all(|row| row.ended()) {
        return Ok(stored);
    }
    let refresh = move |engine: &Engine| {
        for row in stored.rows_mut().filter(|row| !row.ended()) {
            let run = RunId::parse(row.id()).ok().and_then(|id| engine.run(&id));
            if let Some(run) = run {
                *row = Row::Live(Box::new(run));
            }
        }
        stored
    };
    state.query(refresh).await
}

/// How long a run that has just ended is looked for in the history, which learns of it a moment
/// after the engine has forgotten it.
const RUN_WAIT_MAX: Duration = Duration::from_secs(2);

/// The same for a list: shorter, because on a busy scheduler there is always something under way,
/// and a run that comes a moment late in a list is no lie.
const LIST_WAIT_MAX: Duration = Duration::from_millis(150);

/// How often. Far below what a person notices.
const HISTORY_POLL: Duration = Duration::from_millis(10);

/// After this, what the engine had forgotten when it was asked last is in the history's spool.
async fn spooled(state: &ApiState) -> Result<(), Problem> {
    // A turn appends to the spool after it has answered questions, and before the next turn.
    state.query(|_| ()).await
}

/// Waits, within bounds, until the history has all that is in its spool.
pub(crate) async fn caught_up(state: &ApiState) -> Result<(), Problem> {
    spooled(state).await?;
    let deadline = Instant::now() + LIST_WAIT_MAX;
    while state.history.lag().spool.records > 0 && Instant::now() < deadline {
        tokio::time::sleep(HISTORY_POLL).await;
    }
    Ok(())
}

/// One run, wherever it is.
///
/// # Errors
/// 404 if it is nowhere, 503 without a leader or a history.
pub(crate) async fn find(state: &ApiState, id: &RunId) -> Result<Row, Problem> {
    let asked = id.clone();
    if let Some(run) = state.query(move |engine| engine.run(&asked)).await? {
        return Ok(Row::Live(Box::new(run)));
    }
    spooled(state).await?;
    let deadline = Instant::now() + RUN_WAIT_MAX;
    loop {
        // Asked before the row is read: what is written in between is then not overlooked.
        let behind = state.history.lag().spool.records > 0;
        let row = state.history.run(id.as_str()).await.map_err(no_history)?.and_then(stored_row);
        let settled = row.as_ref().is_some_and(Row::ended) || !behind;
        if settled || Instant::now() >= deadline {
            return row.ok_or_else(|| Problem::not_found(&format!("run {id}")));
        }
        tokio::time::sleep(HISTORY_POLL).await;
    }
}

/// Generations of one logical time that are looked for: a run made once more a thousand times is a
/// client that loops.
const GENERATIONS_MAX: u32 = 1_000;

/// A run that has ended, with what is needed to make it once more.
///
/// # Errors
/// 404 if it is nowhere, 409 if it has not ended, 503 without a leader or a history.
pub(crate) async fn find_ended(state: &ApiState, id: &RunId) -> Result<EndedRun, Problem> {
    let run = match find(state, id).await? {
        Row::Live(run) => *run,
        Row::Stored { run, .. } => serde_json::from_str::<RunView>(run.get()).map_err(|error| {
            tracing::warn!(run = %id, %error, "the history holds a run that cannot be read");
            conflict(format!("the history of run {id} is damaged: trigger its job"))
        })?,
    };
    if !run.state.is_final() {
        let detail = format!("run {id} has not ended: wait for it or cancel it");
        return Err(conflict(detail));
    }
    let first = id.first_generation(run.attempt);
    let mut last_generation = run.attempt;
    loop {
        let next = first.generation(last_generation.saturating_add(1));
        if state.history.run(next.as_str()).await.map_err(no_history)?.is_none() {
            break;
        }
        last_generation += 1;
        if last_generation >= GENERATIONS_MAX {
            let detail = format!("run {first} has {last_generation} generations: trigger its job");
            return Err(conflict(detail));
        }
    }
    let failed = run.shards.iter().filter(|shard| shard.state != ShardState::Succeeded);
    Ok(EndedRun {
        submitter: run.submitter,
        run: run.id,
        logical_time: run.logical_time,
        generation: run.attempt,
        last_generation,
        document: run.document,
        overrides: run.overrides,
        sharding_total_count: run.sharding_total_count,
        failed_items: failed.map(|shard| shard.item).collect(),
    })
}

/// A task that no longer lives: the latest of a shard of a run, pending, active or ended.
///
/// # Errors
/// 404 if no shard knows it, 503 without a leader or a history.
pub(crate) async fn find_task(state: &ApiState, id: &TaskId) -> Result<TaskView, Problem> {
    let not_found = || {
        let what = format!("task {id} that lives or is the latest of a shard of a recent run");
        Problem::not_found(&what)
    };
    let (job, _) = id.job_and_item().ok_or_else(not_found)?;
    let of_job = RunFilter { job: Some(job.clone()), ..RunFilter::default() };
    let live = move |engine: &Engine| engine.live_runs(&of_job, None, RUNS_SEARCHED_MAX);
    let found = |runs: &[RunView]| runs.iter().find_map(|run| ended_task(run, id));
    if let Some(task) = found(&state.query(live).await?) {
        return Ok(task);
    }
    caught_up(state).await?;
    let filter = trace::RunFilter { job: Some(job.to_string()), ..trace::RunFilter::default() };
    let page = state.history.runs(&filter, None, RUNS_SEARCHED_MAX).await.map_err(no_history)?;
    let runs: Vec<RunView> =
        page.runs.iter().filter_map(|row| serde_json::from_str(&row.json).ok()).collect();
    found(&runs).ok_or_else(not_found)
}

fn ended_task(run: &RunView, id: &TaskId) -> Option<TaskView> {
    let shard = run.shards.iter().find(|shard| shard.task_id.as_ref() == Some(id))?;
    Some(TaskView {
        id: id.clone(),
        run: run.id.clone(),
        job: run.job.clone(),
        app: run.app.clone(),
        item: shard.item,
        state: shard.state,
        agent: shard.agent.clone(),
        attempt: shard.attempt,
        since: run.finished_at,
        idle: None,
        exit_code: shard.exit_code,
        message: shard.message.clone(),
    })
}

fn conflict(detail: String) -> Problem {
    Problem::conflict(detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::page::List;
    use crate::api::params::RawParams;

    fn wanted(query: &str) -> Result<Wanted, Problem> {
        let raw = RawParams::parse(&format!("/runs{query}").parse().unwrap());
        Wanted::read(&raw.only(&["job", "app", "state", "limit", "cursor"])?)
    }

    #[test]
    fn every_state_has_its_name() {
        assert_eq!(STATES.map(RunState::name), STATE_NAMES);
    }

    #[test]
    fn filters_are_read_or_refused_by_name() {
        let good = wanted("?job=foo&state=TIMED_OUT&limit=7").unwrap();
        assert_eq!(good.filter.state, Some(RunState::TimedOut));
        assert_eq!((good.at.limit, good.after), (7, None));
        let foreign = List("jobs").encode("foo");
        for (query, field) in [
            ("?job=a/b", "job"),
            ("?app=.", "app"),
            ("?state=running", "state"),
            ("?limit=1001", "limit"),
            ("?cursor=AAAA", "cursor"),
            (&format!("?cursor={foreign}"), "cursor"),
            (&format!("?cursor={}", RUNS.encode("x/y")), "cursor"),
            ("?page=2", "page"),
        ] {
            let problem = serde_json::to_value(wanted(query).unwrap_err()).unwrap();
            assert_eq!(problem["status"], 400, "{query}");
            assert_eq!(problem["errors"][0]["field"], field, "{query}");
        }
    }
}
