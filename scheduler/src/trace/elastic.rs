//! Elastic-Job's two tables of events, fed from our own events so that its consoles and dashboards go
//! on showing what they showed: `JOB_STATUS_TRACE_LOG` a row a state, `JOB_EXECUTION_LOG` a row for
//! each time the work of a shard ran. Absent: any reader of them.
//!
//! Source of the rules: chapter 10 of Elastic-Job-Cloud's specification. What it leaves to chance is
//! settled: ids follow from the event, so that a row is there once however often it is written, and
//! times are UTC.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::connection::Tx;
use super::sql::{Result, unless_there};
use super::statement::{Column, Statement, Value};
use super::target::Dialect;
use super::{EventRow, RUNNING_STATE};

/// The longest message and failure cause that fit their columns, characters.
const MESSAGE_CHARS_MAX: usize = 4000;

/// The longest id of a task, and of an agent, that fit their columns, characters.
const TASK_ID_CHARS_MAX: usize = 255;
const AGENT_CHARS_MAX: usize = 50;

/// What separates the parts of a task's id: job, item, READY or FAILOVER, agent, unique part.
const ID_DELIMITER: &str = "@-@";

/// What a state means for the execution it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Execution {
    Started,
    Succeeded,
    Failed,
}

/// An event with all that its rows need.
#[derive(Debug, Clone)]
struct Traced<'a> {
    id: String,
    event: &'a EventRow,
    task_id: &'a str,
    original_task_id: String,
    execution_type: &'a str,
    agent: &'a str,
    item: u32,
    items: String,
    state: &'a str,
    message: &'a str,
    hostname: &'a str,
    ip: &'a str,
    /// The unique part of the task's id: a task that runs once is one execution.
    unique: &'a str,
}

// === impl Traced ===

impl<'a> Traced<'a> {
    /// None for events that are not of a task of ours.
    fn of(event: &'a EventRow) -> Option<Self> {
        let task_id = event.task_id.as_deref()?;
        let mut parts = task_id.split(ID_DELIMITER).skip(2);
        let (execution_type, agent, unique) = (parts.next()?, parts.next()?, parts.next()?);
        let item = event.item?;
        let task_id = cut(task_id, TASK_ID_CHARS_MAX);
        let hostname = cut(event.hostname.as_deref().unwrap_or(agent), TASK_ID_CHARS_MAX);
        let agent = cut(agent, AGENT_CHARS_MAX);
        let is_address = hostname.parse::<std::net::IpAddr>().is_ok();
        Some(Self {
            id: unique_id(event),
            event,
            task_id,
            original_task_id: String::new(),
            execution_type,
            agent,
            item,
            items: format!("[{item}]"),
            state: event.state.as_deref()?,
            message: cut(event.message.as_deref().unwrap_or_default(), MESSAGE_CHARS_MAX),
            hostname,
            ip: if is_address { hostname } else { "" },
            unique,
        })
    }

    /// What it says of an execution. A daemon's is a firing, which it tells by RUNNING; else the task is
    /// the execution.
    fn execution(&self) -> Option<Execution> {
        if let Some(succeeded) = self.event.firing_succeeded() {
            return Some(if succeeded { Execution::Succeeded } else { Execution::Failed });
        }
        match self.state {
            RUNNING_STATE if self.is_daemon() && !self.event.begins_firing() => None,
            RUNNING_STATE => Some(Execution::Started),
            "TASK_FINISHED" => Some(Execution::Succeeded),
            "TASK_FAILED" | "TASK_ERROR" => Some(Execution::Failed),
            // Lost or killed: nobody knows of an end of the work.
            _ => None,
        }
    }

    fn is_daemon(&self) -> bool {
        self.event.is_daemon.unwrap_or(false)
    }

    /// How its execution ended, if this tells of an end.
    fn end(&self) -> Option<Execution> {
        self.execution().filter(|execution| *execution != Execution::Started)
    }

    fn success(&self) -> &'static str {
        if self.end() == Some(Execution::Succeeded) { "TRUE" } else { "FALSE" }
    }

    fn failure_cause(&self) -> Value<'a> {
        Value::from((self.end() == Some(Execution::Failed)).then_some(self.message))
    }

    fn is_firing_of_daemon(&self) -> bool {
        self.event.begins_firing() || self.event.firing_succeeded().is_some()
    }

    /// The id of the execution it begins: a firing of a daemon is one of many of its task.
    fn execution_id(&self) -> &str {
        if self.is_firing_of_daemon() { &self.id } else { self.unique }
    }
}

/// The first so many characters.
fn cut(text: &str, chars_max: usize) -> &str {
    let end = text.char_indices().nth(chars_max).map_or(text.len(), |(end, _)| end);
    text.get(..end).unwrap_or(text)
}

/// The same for the same event however often it is written, and never for another.
fn unique_id(event: &EventRow) -> String {
    Uuid::from_u64_pair(event.epoch, event.sequence).to_string()
}

/// Whether the tables are written; in a file they are views of our own events.
pub(super) fn are_tables(dialect: Dialect) -> bool {
    dialect != Dialect::Sqlite
}

/// Writes the rows of events.
pub(super) async fn write(tx: &mut Tx, events: &[&EventRow]) -> Result<()> {
    if !are_tables(tx.dialect()) {
        return Ok(());
    }
    let mut traced: Vec<Traced<'_>> = events.iter().filter_map(|event| Traced::of(event)).collect();
    if traced.is_empty() {
        return Ok(());
    }
    for row in traced.iter_mut().filter(|row| row.execution_type == "FAILOVER") {
        row.original_task_id = original_task(tx, row.event, row.task_id).await?;
    }
    insert_traces(tx, &traced).await?;
    insert_executions(tx, &traced).await?;
    for row in complete_open(tx, &traced).await? {
        complete(tx, row).await?;
    }
    Ok(())
}

/// The task that the shard ran as before this one.
async fn original_task(tx: &mut Tx, event: &EventRow, task_id: &str) -> Result<String> {
    let mut sql = Statement::new(tx.dialect(), "SELECT task_id FROM run_event WHERE run_id = ");
    sql.bind(&event.run_id).push(" AND item = ").bind(event.item.map(i64::from));
    sql.push(" AND state = 'TASK_STAGING' AND task_id <> ").bind(task_id);
    sql.push(" AND at_ms <= ").bind(event.at_ms);
    sql.push(" ORDER BY epoch DESC, sequence DESC LIMIT 1");
    let rows = tx.rows(sql, &[Column::Text]).await?;
    rows.into_iter().next().map_or_else(|| Ok(String::new()), |mut row| row.text())
}

async fn insert_traces(tx: &mut Tx, traced: &[Traced<'_>]) -> Result<()> {
    let mut sql = Statement::new(
        tx.dialect(),
        "INSERT INTO JOB_STATUS_TRACE_LOG (id, job_name, original_task_id, task_id, slave_id, \
         source, execution_type, sharding_item, state, message, creation_time) VALUES ",
    );
    sql.tuples(traced, |sql, row| {
        sql.bind(&row.id).push(", ").bind(&row.event.job).push(", ");
        sql.bind(&row.original_task_id).push(", ").bind(row.task_id).push(", ");
        sql.bind(row.agent).push(", 'CLOUD_SCHEDULER', ").bind(row.execution_type).push(", ");
        sql.bind(&row.items).push(", ").bind(row.state).push(", ");
        sql.bind(row.message).push(", ");
        time(sql, row.event.at_ms);
    });
    unless_there(&mut sql, "id");
    tx.execute(sql).await.map(drop)
}

/// Executions that begin, as failed until they are known to have succeeded.
async fn insert_executions(tx: &mut Tx, traced: &[Traced<'_>]) -> Result<()> {
    let started: Vec<_> =
        traced.iter().filter(|row| row.execution() == Some(Execution::Started)).collect();
    if started.is_empty() {
        return Ok(());
    }
    let mut sql = Statement::new(tx.dialect(), INSERT_EXECUTION);
    sql.tuples(started, |sql, row| {
        execution_start(sql, row.execution_id(), row);
        sql.push("FALSE, ");
        time(sql, row.event.at_ms);
        sql.push(", NULL, NULL");
    });
    unless_there(&mut sql, "id");
    tx.execute(sql).await.map(drop)
}

const INSERT_EXECUTION: &str = "INSERT INTO JOB_EXECUTION_LOG (id, job_name, task_id, hostname, ip, \
     sharding_item, execution_source, is_success, start_time, complete_time, failure_cause) VALUES ";

fn execution_start<'q>(sql: &mut Statement<'q>, id: &'q str, row: &'q Traced<'_>) {
    sql.bind(id).push(", ").bind(&row.event.job).push(", ");
    sql.bind(row.task_id).push(", ").bind(row.hostname).push(", ").bind(row.ip).push(", ");
    sql.bind(i64::from(row.item)).push(", 'NORMAL_TRIGGER', ");
}

/// What follows the start of one whose beginning is not known: it began as it ended.
fn execution_end<'q>(sql: &mut Statement<'q>, row: &'q Traced<'_>) {
    sql.push(row.success()).push(", ");
    time(sql, row.event.at_ms);
    sql.push(", ");
    time(sql, row.event.at_ms);
    sql.push(", ").bind(row.failure_cause());
}

/// Completes the open executions of tasks that ended, all at once. Gives the ends that have to be
/// looked at one by one: of a daemon's firings, and those without an open execution.
async fn complete_open<'t>(tx: &mut Tx, traced: &'t [Traced<'t>]) -> Result<Vec<&'t Traced<'t>>> {
    let daemons: BTreeSet<&str> =
        traced.iter().filter(|row| row.is_firing_of_daemon()).map(|row| row.task_id).collect();
    let mut ended = BTreeMap::new();
    let mut one_by_one = Vec::new();
    for row in traced.iter().filter(|row| row.end().is_some()) {
        if daemons.contains(row.task_id) || ended.contains_key(row.task_id) {
            one_by_one.push(row);
        } else {
            ended.insert(row.task_id, row);
        }
    }
    if ended.is_empty() {
        return Ok(one_by_one);
    }
    let mut sql = Statement::new(
        tx.dialect(),
        "SELECT id, task_id FROM JOB_EXECUTION_LOG WHERE complete_time IS NULL AND task_id IN (",
    );
    sql.list(ended.keys().copied()).push(")");
    let mut open = Vec::new();
    for mut found in tx.rows(sql, &[Column::Text, Column::Text]).await? {
        let (id, task_id) = (found.text()?, found.text()?);
        open.extend(ended.get(task_id.as_str()).map(|row| (id, *row)));
    }
    for (_, row) in &open {
        ended.remove(row.task_id);
    }
    one_by_one.extend(ended.into_values());
    if !open.is_empty() {
        complete_all(tx, &open).await?;
    }
    Ok(one_by_one)
}

/// Completes executions that are there.
async fn complete_all(tx: &mut Tx, open: &[(String, &Traced<'_>)]) -> Result<()> {
    let mut sql = Statement::new(tx.dialect(), INSERT_EXECUTION);
    sql.tuples(open, |sql, (id, row)| {
        execution_start(sql, id, row);
        execution_end(sql, row);
    });
    sql.push(match tx.dialect() {
        Dialect::Sqlite | Dialect::Postgres => {
            " ON CONFLICT (id) DO UPDATE SET is_success = excluded.is_success, \
             complete_time = excluded.complete_time, failure_cause = excluded.failure_cause"
        }
        Dialect::MySql => {
            " ON DUPLICATE KEY UPDATE is_success = VALUES(is_success), \
             complete_time = VALUES(complete_time), failure_cause = VALUES(failure_cause)"
        }
    });
    tx.execute(sql).await.map(drop)
}

/// An execution that ended: its row is completed, or made if its beginning was never told.
async fn complete(tx: &mut Tx, row: &Traced<'_>) -> Result<()> {
    let dialect = tx.dialect();
    let mut sql = Statement::new(dialect, "UPDATE JOB_EXECUTION_LOG SET is_success = ");
    sql.push(row.success()).push(", complete_time = ");
    time(&mut sql, row.event.at_ms);
    sql.push(", failure_cause = ").bind(row.failure_cause());
    sql.push(" WHERE task_id = ").bind(row.task_id).push(" AND complete_time IS NULL");
    sql.push(" AND start_time <= ");
    time(&mut sql, row.event.at_ms);
    if tx.execute(sql).await? > 0 {
        return Ok(());
    }
    let mut sql =
        Statement::new(dialect, "SELECT COUNT(*) FROM JOB_EXECUTION_LOG WHERE task_id = ");
    sql.bind(row.task_id).push(" AND complete_time = ");
    time(&mut sql, row.event.at_ms);
    let known = tx.rows(sql, &[Column::Int]).await?;
    if known.into_iter().next().map_or(Ok(0), |mut row| row.int())? > 0 {
        return Ok(());
    }
    if row.is_daemon() && !row.is_firing_of_daemon() {
        return Ok(());
    }
    // Its beginning was left out (a daemon that tells one firing in several).
    let mut sql = Statement::new(dialect, INSERT_EXECUTION);
    sql.tuples([row], |sql, row| {
        execution_start(sql, row.execution_id(), row);
        execution_end(sql, row);
    });
    unless_there(&mut sql, "id");
    tx.execute(sql).await.map(drop)
}

/// A moment as each database writes it, in UTC.
pub(super) fn time(sql: &mut Statement<'_>, at_ms: i64) {
    match sql.dialect {
        // Its views say the same.
        Dialect::Sqlite => {
            sql.push("strftime('%Y-%m-%d %H:%M:%f', ").bind(at_ms).push(" / 1000.0, 'unixepoch')")
        }
        Dialect::Postgres => {
            sql.push("to_timestamp(").bind(at_ms).push(" / 1000.0) AT TIME ZONE 'UTC'")
        }
        Dialect::MySql => sql.push("FROM_UNIXTIME(").bind(at_ms).push(" / 1000.0)"),
    };
}
