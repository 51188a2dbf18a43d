//! Questions across runs: events in the order they were recorded, events that pass a filter, and
//! what became of tasks over time. Absent: pages of runs, and what happened to one run (`sql.rs`).

use std::collections::BTreeMap;

use super::select::{EVENT_KINDS, event_row};
use super::sql::{EVENT_COLUMNS, number};
use super::statement::{Column, Statement};
use super::target::Dialect;
use super::{EventKey, EventRow, History, PAGE_ROWS_MAX, Store, StoreError};

/// States of a task that is over and did its work.
pub const SUCCEEDED_STATES: [&str; 1] = ["TASK_FINISHED"];
/// States of a task that is over and did not do its work.
pub const FAILED_STATES: [&str; 7] = [
    "TASK_FAILED",
    "TASK_ERROR",
    "TASK_KILLED",
    "TASK_LOST",
    "TASK_DROPPED",
    "TASK_GONE",
    "TASK_GONE_BY_OPERATOR",
];
/// The state of a task whose work has begun.
pub const RUNNING_STATE: &str = "TASK_RUNNING";

/// The most rows a search may leave out before its page: further pages cost as much as all before
/// them, and whoever looks so far back narrows the search.
pub const OFFSET_MAX: usize = 100_000;

/// Escapes what has a meaning in a pattern of LIKE.
const ESCAPE: char = '!';

/// Which events are asked for; what is none does not narrow the search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only of this job.
    pub job: Option<String>,
    /// Only of this run.
    pub run: Option<String>,
    /// Only of runs that this submitter asked for.
    pub submitter: Option<String>,
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only of this task.
    pub task: Option<String>,
    /// Only of tasks on this agent.
    pub agent: Option<String>,
    /// Only of tasks whose id says this: `READY` or `FAILOVER`.
    pub execution: Option<String>,
    /// Only with one of these states; empty for any.
    pub states: Vec<String>,
    /// Only at this time or later, milliseconds since 1970.
    pub from_ms: Option<i64>,
    /// Only at this time or before, milliseconds since 1970.
    pub to_ms: Option<i64>,
}

// === impl EventFilter ===

impl EventFilter {
    /// Whether an event passes.
    pub fn takes(&self, event: &EventRow) -> bool {
        let task = event.task_id.as_deref().unwrap_or_default();
        let is = |wanted: &Option<String>, text: &str| wanted.as_ref().is_none_or(|it| it == text);
        let names = |part: &Option<String>| {
            part.as_ref().is_none_or(|part| task.contains(&format!("@-@{part}@-@")))
        };
        let state = event.state.as_ref();
        is(&self.job, &event.job)
            && is(&self.run, &event.run_id)
            && is(&self.kind, &event.kind)
            && is(&self.submitter, event.submitter.as_deref().unwrap_or_default())
            && is(&self.task, task)
            && names(&self.execution)
            && names(&self.agent)
            && (self.states.is_empty() || state.is_some_and(|state| self.states.contains(state)))
            && self.from_ms.is_none_or(|from_ms| event.at_ms >= from_ms)
            && self.to_ms.is_none_or(|to_ms| event.at_ms <= to_ms)
    }
}

/// By what found events are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EventSort {
    /// The order in which they were recorded.
    #[default]
    Recorded,
    /// By time.
    Time,
    /// By job.
    Job,
    /// By task.
    Task,
    /// By shard.
    Item,
    /// By state.
    State,
}

impl EventSort {
    fn column(self) -> &'static str {
        match self {
            Self::Recorded => "epoch",
            Self::Time => "at_ms",
            Self::Job => "job",
            Self::Task => "task_id",
            Self::Item => "item",
            Self::State => "state",
        }
    }
}

/// A part of what a search finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventPage {
    /// By what it is sorted.
    pub sort: EventSort,
    /// From the end.
    pub descending: bool,
    /// Rows before the page; at most [`OFFSET_MAX`].
    pub offset: usize,
    /// Rows of the page; at most [`PAGE_ROWS_MAX`].
    pub limit: usize,
}

/// What became of tasks within one interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TaskCounts {
    /// When the interval began, milliseconds since 1970.
    pub from_ms: i64,
    /// Tasks whose work began.
    pub started: u64,
    /// Tasks that ended and did their work.
    pub succeeded: u64,
    /// Tasks that ended and did not.
    pub failed: u64,
}

// === impl Store ===

impl Store {
    /// Events in the order they were recorded, those behind a key; at most `limit`, and never more
    /// than [`PAGE_ROWS_MAX`].
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn events_behind(
        &self,
        filter: &EventFilter,
        behind: EventKey,
        limit: usize,
    ) -> Result<Vec<EventRow>, StoreError> {
        let mut sql = select(self.dialect(), EVENT_COLUMNS, filter);
        let EventKey { epoch, sequence } = behind;
        // The first condition says nothing new; an index can be entered at it, though.
        sql.push(" AND epoch >= ").bind(number(epoch));
        sql.push(" AND (epoch > ").bind(number(epoch));
        sql.push(" OR sequence > ").bind(number(sequence)).push(")");
        sql.push(" ORDER BY epoch, sequence LIMIT ");
        sql.bind(limit.clamp(1, PAGE_ROWS_MAX) as i64);
        self.fetch_events(sql).await
    }

    /// How many events pass a filter, and a page of them.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn search_events(
        &self,
        filter: &EventFilter,
        page: EventPage,
    ) -> Result<(u64, Vec<EventRow>), StoreError> {
        let sql = select(self.dialect(), "COUNT(*)", filter);
        let rows = self.rows(sql, &[Column::Int]).await?;
        let total = rows.into_iter().next().map_or(Ok(0), |mut row| row.int());
        let total = total.map_err(|source| self.failed("read", source))?;
        let mut sql = select(self.dialect(), EVENT_COLUMNS, filter);
        let order = if page.descending { "DESC" } else { "ASC" };
        let column = page.sort.column();
        sql.push(&format!(" ORDER BY {column} {order}, epoch {order}, sequence {order} LIMIT "));
        sql.bind(page.limit.clamp(1, PAGE_ROWS_MAX) as i64);
        sql.push(" OFFSET ").bind(page.offset.min(OFFSET_MAX) as i64);
        Ok((total.unsigned_abs(), self.fetch_events(sql).await?))
    }

    /// When the work of tasks began, by task; of the tasks of these runs, at most a page of them.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn task_starts(&self, runs: &[String]) -> Result<BTreeMap<String, i64>, StoreError> {
        if runs.is_empty() {
            return Ok(BTreeMap::new());
        }
        let filter =
            EventFilter { states: vec![RUNNING_STATE.to_owned()], ..EventFilter::default() };
        let mut sql = select(self.dialect(), "task_id, MIN(at_ms) AS at_ms", &filter);
        sql.push(" AND run_id IN (").list(runs.iter().take(PAGE_ROWS_MAX));
        sql.push(") GROUP BY task_id");
        let rows = self.rows(sql, &[Column::Text, Column::Int]).await?;
        let read = rows
            .into_iter()
            .map(|mut row| Ok((row.opt_text()?.unwrap_or_default(), row.int()?)))
            .collect::<sqlx::Result<_>>();
        read.map_err(|source| self.failed("read", source))
    }

    /// What became of tasks since a time, by intervals of this length that begin at multiples of it;
    /// intervals in which nothing happened are left out.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn task_counts(
        &self,
        from_ms: i64,
        interval_ms: i64,
    ) -> Result<Vec<TaskCounts>, StoreError> {
        let interval_ms = interval_ms.max(1);
        let mut sql = Statement::new(self.dialect(), "SELECT at_ms ");
        // Where `/` gives fractions there is another word for it.
        sql.push(if self.dialect() == Dialect::MySql { "DIV " } else { "/ " }).bind(interval_ms);
        // As `EventRow::firing_succeeded` says: a daemon tells the end of each firing by RUNNING.
        sql.push(
            " AS interval_number, CASE WHEN state = 'TASK_RUNNING' AND (message = 'COMPLETE' OR \
             message LIKE 'COMPLETE (%') THEN 'TASK_FINISHED' WHEN state = 'TASK_RUNNING' AND \
             message LIKE 'COMPLETE%' THEN 'TASK_FAILED' ELSE state END AS became, COUNT(*) AS number \
             FROM run_event WHERE at_ms >= ",
        );
        sql.bind(from_ms).push(" AND state IN (");
        let states = SUCCEEDED_STATES.iter().chain(&FAILED_STATES).chain([&RUNNING_STATE]);
        sql.list(states.copied());
        sql.push(") GROUP BY interval_number, became ORDER BY interval_number");
        let rows = self.rows(sql, &[Column::Int, Column::Text, Column::Int]).await?;
        let read = || {
            let mut counts: BTreeMap<i64, TaskCounts> = BTreeMap::new();
            for mut row in rows {
                let from_ms = row.int()?.saturating_mul(interval_ms);
                let (state, number) = (row.text()?, row.int()?.unsigned_abs());
                let entry = counts
                    .entry(from_ms)
                    .or_insert_with(|| TaskCounts { from_ms, ..TaskCounts::default() });
                match state.as_str() {
                    RUNNING_STATE => entry.started += number,
                    state if SUCCEEDED_STATES.contains(&state) => entry.succeeded += number,
                    _ => entry.failed += number,
                }
            }
            Ok(counts.into_values().collect())
        };
        read().map_err(|source| self.failed("read", source))
    }

    async fn fetch_events(&self, sql: Statement<'_>) -> Result<Vec<EventRow>, StoreError> {
        let rows = self.rows(sql, &EVENT_KINDS).await?;
        let events = rows.into_iter().map(event_row).collect::<sqlx::Result<Vec<_>>>();
        events.map_err(|source| self.failed("read", source))
    }
}

/// A statement over the events that pass a filter.
fn select<'q>(dialect: Dialect, what: &str, filter: &'q EventFilter) -> Statement<'q> {
    let mut sql = Statement::new(dialect, "SELECT ");
    sql.push(what).push(" FROM run_event WHERE 1 = 1");
    let exact = [
        ("job", &filter.job),
        ("run_id", &filter.run),
        ("submitter", &filter.submitter),
        ("kind", &filter.kind),
        ("task_id", &filter.task),
    ];
    for (column, value) in exact {
        if let Some(value) = value {
            sql.push(" AND ").push(column).push(" = ").bind(value);
        }
    }
    // A task's id is {job}@-@{item}@-@{execution}@-@{agent}@-@{uuid}.
    for part in [&filter.execution, &filter.agent].into_iter().flatten() {
        let pattern = format!("%@-@{}@-@%", escaped(part));
        sql.push(" AND task_id LIKE ").bind(pattern);
        sql.push(&format!(" ESCAPE '{ESCAPE}'"));
    }
    if !filter.states.is_empty() {
        sql.push(" AND state IN (").list(&filter.states).push(")");
    }
    for (operator, at_ms) in [(" >= ", filter.from_ms), (" <= ", filter.to_ms)] {
        if let Some(at_ms) = at_ms {
            sql.push(" AND at_ms").push(operator).bind(at_ms);
        }
    }
    sql
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | ESCAPE) {
            out.push(ESCAPE);
        }
        out.push(c);
    }
    out
}

// === impl History ===

impl History {
    /// See [`Store::events_behind`].
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn events_behind(
        &self,
        filter: &EventFilter,
        behind: EventKey,
        limit: usize,
    ) -> Result<Vec<EventRow>, StoreError> {
        Box::pin(self.store().events_behind(filter, behind, limit)).await
    }

    /// See [`Store::search_events`].
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn search_events(
        &self,
        filter: &EventFilter,
        page: EventPage,
    ) -> Result<(u64, Vec<EventRow>), StoreError> {
        Box::pin(self.store().search_events(filter, page)).await
    }

    /// See [`Store::task_starts`].
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn task_starts(&self, runs: &[String]) -> Result<BTreeMap<String, i64>, StoreError> {
        Box::pin(self.store().task_starts(runs)).await
    }

    /// See [`Store::task_counts`].
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn task_counts(
        &self,
        from_ms: i64,
        interval_ms: i64,
    ) -> Result<Vec<TaskCounts>, StoreError> {
        Box::pin(self.store().task_counts(from_ms, interval_ms)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{TraceRecord, TraceStore as _};

    fn event(sequence: u64, task: &str, state: &str, at_ms: i64) -> TraceRecord {
        TraceRecord::Event(EventRow {
            run_id: "job@k".to_owned(),
            job: "job".to_owned(),
            at_ms,
            kind: "TASK".to_owned(),
            item: Some(0),
            task_id: Some(task.to_owned()),
            state: Some(state.to_owned()),
            epoch: 1,
            sequence,
            ..EventRow::default()
        })
    }

    async fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().join(Store::FILE_NAME));
        let (a, b) = ("job@-@0@-@READY@-@S_1@-@u", "job@-@0@-@FAILOVER@-@SX1@-@v");
        let records = [
            event(1, a, "TASK_RUNNING", 1_000),
            event(2, a, "TASK_FAILED", 61_000),
            event(3, b, "TASK_RUNNING", 62_000),
            event(4, b, "TASK_FINISHED", 125_000),
        ];
        store.write(&records).await.unwrap();
        (directory, store)
    }

    #[tokio::test]
    async fn a_search_counts_all_and_gives_a_page() {
        let (_directory, store) = store().await;
        let page = EventPage { sort: EventSort::Time, descending: true, offset: 1, limit: 2 };
        let (total, rows) = store.search_events(&EventFilter::default(), page).await.unwrap();
        let sequences: Vec<u64> = rows.iter().map(|row| row.sequence).collect();
        assert_eq!((total, sequences), (4, vec![3, 2]));
        // What the database says of each filter, the events themselves say too.
        let every = EventPage { limit: PAGE_ROWS_MAX, ..EventPage::default() };
        let all = store.search_events(&EventFilter::default(), every).await.unwrap().1;
        let count = async |filter: EventFilter| {
            let total = store.search_events(&filter, EventPage::default()).await.unwrap().0;
            assert_eq!(all.iter().filter(|row| filter.takes(row)).count() as u64, total);
            total
        };
        // An underscore is no wildcard.
        let agent = EventFilter { agent: Some("S_1".to_owned()), ..EventFilter::default() };
        assert_eq!(count(agent).await, 2);
        let execution =
            EventFilter { execution: Some("FAILOVER".to_owned()), ..EventFilter::default() };
        assert_eq!(count(execution).await, 2);
        let (from_ms, to_ms) = (Some(61_000), Some(62_000));
        assert_eq!(count(EventFilter { from_ms, to_ms, ..EventFilter::default() }).await, 2);
        let states = vec!["TASK_FINISHED".to_owned()];
        assert_eq!(count(EventFilter { states, ..EventFilter::default() }).await, 1);
        let job = Some("' OR 1 = 1 --".to_owned());
        assert_eq!(count(EventFilter { job, ..EventFilter::default() }).await, 0);
    }

    #[tokio::test]
    async fn a_stream_goes_on_behind_a_key() {
        let (_directory, store) = store().await;
        let filter = EventFilter::default();
        let mut behind = EventKey { epoch: 0, sequence: 9 };
        let mut seen = Vec::new();
        loop {
            let rows = store.events_behind(&filter, behind, 3).await.unwrap();
            let Some(last) = rows.last() else { break };
            behind = last.key();
            seen.extend(rows.into_iter().map(|row| row.sequence));
        }
        assert_eq!(seen, [1, 2, 3, 4]);
    }

    #[tokio::test]
    async fn tasks_are_counted_by_interval() {
        let (_directory, store) = store().await;
        let counts = store.task_counts(0, 60_000).await.unwrap();
        let counted = |from_ms, started, succeeded, failed| TaskCounts {
            from_ms,
            started,
            succeeded,
            failed,
        };
        let expected = [counted(0, 1, 0, 0), counted(60_000, 1, 0, 1), counted(120_000, 0, 1, 0)];
        assert_eq!(counts, expected);
        assert_eq!(store.task_counts(120_000, 60_000).await.unwrap(), expected[2..]);
        let starts = store.task_starts(&["job@k".to_owned()]).await.unwrap();
        assert_eq!(starts.values().copied().collect::<Vec<_>>(), [62_000, 1_000]);
    }
}
