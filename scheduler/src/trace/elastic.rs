//! Elastic-Job's two tables of events, fed from our own events so that its consoles and dashboards go
//! on showing what they showed: `JOB_STATUS_TRACE_LOG` a row a state, `JOB_EXECUTION_LOG` a row for
//! each time the work of a shard ran. Absent: any reader of them.
//!
//! Source of the rules: chapter 10 of Elastic-Job-Cloud's specification. What it leaves to chance is
//! settled: ids follow from the event, so that a row is there once however often it is written, and
//! times are UTC.

use uuid::Uuid;

use super::EventRow;
use super::connection::Tx;
use super::sql::{Result, unless_there};
use super::statement::{Column, Statement, Value};
use super::target::Dialect;

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

    /// What it says of an execution. A daemon tells each firing by RUNNING with `BEGIN` and
    /// `COMPLETE`, more than that word if it failed; else the task is the execution.
    fn execution(&self) -> Option<Execution> {
        match self.state {
            "TASK_RUNNING" if self.message == "COMPLETE" => Some(Execution::Succeeded),
            "TASK_RUNNING" if self.message.starts_with("COMPLETE") => Some(Execution::Failed),
            "TASK_RUNNING" => Some(Execution::Started),
            "TASK_FINISHED" => Some(Execution::Succeeded),
            "TASK_FAILED" | "TASK_ERROR" => Some(Execution::Failed),
            // Lost or killed: nobody knows of an end of the work.
            _ => None,
        }
    }

    fn is_firing_of_daemon(&self) -> bool {
        self.message == "BEGIN" || self.message.starts_with("COMPLETE")
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

/// Writes the rows of events.
pub(super) async fn write(tx: &mut Tx, events: &[&EventRow]) -> Result<()> {
    let mut traced: Vec<Traced<'_>> = events.iter().filter_map(|event| Traced::of(event)).collect();
    if traced.is_empty() {
        return Ok(());
    }
    for row in traced.iter_mut().filter(|row| row.execution_type == "FAILOVER") {
        row.original_task_id = original_task(tx, row.event, row.task_id).await?;
    }
    insert_traces(tx, &traced).await?;
    insert_executions(tx, &traced).await?;
    for row in &traced {
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
        execution_start(sql, row);
        sql.push("FALSE, ");
        time(sql, row.event.at_ms);
        sql.push(", NULL, NULL");
    });
    unless_there(&mut sql, "id");
    tx.execute(sql).await.map(drop)
}

const INSERT_EXECUTION: &str = "INSERT INTO JOB_EXECUTION_LOG (id, job_name, task_id, hostname, ip, \
     sharding_item, execution_source, is_success, start_time, complete_time, failure_cause) VALUES ";

fn execution_start<'q>(sql: &mut Statement<'q>, row: &'q Traced<'_>) {
    sql.bind(row.execution_id()).push(", ").bind(&row.event.job).push(", ");
    sql.bind(row.task_id).push(", ").bind(row.hostname).push(", ").bind(row.ip).push(", ");
    sql.bind(i64::from(row.item)).push(", 'NORMAL_TRIGGER', ");
}

/// An execution that ended: its row is completed, or made if its beginning was never told.
async fn complete(tx: &mut Tx, row: &Traced<'_>) -> Result<()> {
    let Some(how @ (Execution::Succeeded | Execution::Failed)) = row.execution() else {
        return Ok(());
    };
    let dialect = tx.dialect();
    let success = if how == Execution::Succeeded { "TRUE" } else { "FALSE" };
    let cause = (how == Execution::Failed).then_some(row.message);
    let mut sql = Statement::new(dialect, "UPDATE JOB_EXECUTION_LOG SET is_success = ");
    sql.push(success).push(", complete_time = ");
    time(&mut sql, row.event.at_ms);
    sql.push(", failure_cause = ").bind(Value::from(cause));
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
    // Its beginning was left out (a daemon that tells one firing in several).
    let mut sql = Statement::new(dialect, INSERT_EXECUTION);
    sql.push("(");
    execution_start(&mut sql, row);
    sql.push(success).push(", ");
    time(&mut sql, row.event.at_ms);
    sql.push(", ");
    time(&mut sql, row.event.at_ms);
    sql.push(", ").bind(Value::from(cause)).push(")");
    unless_there(&mut sql, "id");
    tx.execute(sql).await.map(drop)
}

/// A moment as each database writes it, in UTC.
pub(super) fn time(sql: &mut Statement<'_>, at_ms: i64) {
    match sql.dialect {
        Dialect::Sqlite => {
            sql.push("strftime('%Y-%m-%d %H:%M:%f', ").bind(at_ms).push(" / 1000.0, 'unixepoch')")
        }
        Dialect::Postgres => {
            sql.push("to_timestamp(").bind(at_ms).push(" / 1000.0) AT TIME ZONE 'UTC'")
        }
        Dialect::MySql => sql.push("FROM_UNIXTIME(").bind(at_ms).push(" / 1000.0)"),
    };
}
