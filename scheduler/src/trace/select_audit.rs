//! What the audit asks of the history. Absent: what it makes of the answers.

use super::sql::{Result, number};
use super::statement::{Column, Row, Statement};
use super::store::{Store, StoreError};
use super::{ChangeRow, EventKey, TenureRow};
use Column::{Int, Text};

/// Rows of one page of changes: documents of some kilobytes each.
const CHANGES_MAX: i64 = 500;

/// A run as the audit sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RanRow {
    /// Its id.
    pub id: String,
    /// Its job.
    pub job: String,
    /// The time it was to fire at, milliseconds since 1970.
    pub logical_time_ms: i64,
    /// Its state's name.
    pub state: String,
}

/// Firings that got no run, as the audit sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOutRow {
    /// Whose.
    pub job: String,
    /// The first, milliseconds since 1970.
    pub first_ms: i64,
    /// The last, likewise.
    pub last_ms: i64,
    /// What was decided, as the engine names it.
    pub cause: String,
    /// When that was decided.
    pub decided_at_ms: i64,
}

impl Store {
    /// Changes of documents and flags behind a key, in their order; a page of them, empty at the end.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn changes(&self, behind: Option<EventKey>) -> Answer<Vec<ChangeRow>> {
        let mut sql = Statement::new(
            self.dialect(),
            "SELECT epoch, sequence, kind, name, at_ms, changed_by, content FROM config_change",
        );
        if let Some(EventKey { epoch, sequence }) = behind {
            sql.push(" WHERE epoch >= ").bind(number(epoch));
            sql.push(" AND (epoch > ").bind(number(epoch));
            sql.push(" OR sequence > ").bind(number(sequence)).push(")");
        }
        sql.push(" ORDER BY epoch, sequence LIMIT ").bind(CHANGES_MAX);
        let read = |mut row: Row| {
            Ok(ChangeRow {
                epoch: row.count()?,
                sequence: row.count()?,
                kind: row.text()?,
                name: row.text()?,
                at_ms: row.int()?,
                changed_by: row.text()?,
                content: row.opt_text()?,
            })
        };
        self.ask(sql, &[Int, Int, Text, Text, Int, Text, Text], read).await
    }

    /// The latest tenures, newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn tenures(&self, limit: usize) -> Answer<Vec<TenureRow>> {
        let mut sql = Statement::new(
            self.dialect(),
            "SELECT epoch, scheduler, began_at_ms, default_zone, tzdb FROM tenure \
             ORDER BY epoch DESC LIMIT ",
        );
        sql.bind(limit as i64);
        let read = |mut row: Row| {
            Ok(TenureRow {
                epoch: row.count()?,
                scheduler: row.text()?,
                began_at_ms: row.int()?,
                default_zone: row.text()?,
                tzdb: row.text()?,
            })
        };
        self.ask(sql, &[Int, Text, Int, Text, Text], read).await
    }

    /// Runs whose logical time is in `(after_ms, until_ms]`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn ran(&self, after_ms: i64, until_ms: i64) -> Answer<Vec<RanRow>> {
        let mut sql = Statement::new(
            self.dialect(),
            "SELECT id, job, logical_time_ms, state FROM run WHERE logical_time_ms > ",
        );
        sql.bind(after_ms).push(" AND logical_time_ms <= ").bind(until_ms);
        self.ask(sql, &RAN_KINDS, ran_row).await
    }

    /// Those of these runs that have not ended.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn not_ended(&self, ids: &[String]) -> Answer<Vec<RanRow>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut sql = Statement::new(
            self.dialect(),
            "SELECT id, job, logical_time_ms, state FROM run WHERE finished_at_ms IS NULL \
             AND id IN (",
        );
        sql.list(ids).push(")");
        self.ask(sql, &RAN_KINDS, ran_row).await
    }

    /// Firings that got no run, in ranges that touch `(after_ms, until_ms]`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn left_out(&self, after_ms: i64, until_ms: i64) -> Answer<Vec<LeftOutRow>> {
        let mut sql = Statement::new(
            self.dialect(),
            "SELECT job, first_ms, last_ms, cause, decided_at_ms FROM missed_firing \
             WHERE last_ms > ",
        );
        sql.bind(after_ms).push(" AND first_ms <= ").bind(until_ms);
        let read = |mut row: Row| {
            Ok(LeftOutRow {
                job: row.text()?,
                first_ms: row.int()?,
                last_ms: row.int()?,
                cause: row.text()?,
                decided_at_ms: row.int()?,
            })
        };
        self.ask(sql, &[Text, Int, Int, Text, Int], read).await
    }

    /// Runs and their shards that a task finished in `(after_ms, until_ms]` after another one had, since
    /// `since_ms`: whoever asks slice by slice is told of each once.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn finished_again(
        &self,
        since_ms: i64,
        after_ms: i64,
        until_ms: i64,
    ) -> Answer<Vec<(String, i64)>> {
        let mut sql =
            Statement::new(self.dialect(), "SELECT run_id, item FROM run_event WHERE at_ms > ");
        sql.bind(since_ms).push(" AND at_ms <= ").bind(until_ms);
        sql.push(" AND state = 'TASK_FINISHED' GROUP BY run_id, item");
        sql.push(" HAVING COUNT(DISTINCT task_id) > 1 AND MAX(at_ms) > ").bind(after_ms);
        let read = |mut row: Row| Ok((row.text()?, row.opt_int()?.unwrap_or_default()));
        self.ask(sql, &[Text, Int], read).await
    }

    async fn ask<T>(
        &self,
        sql: Statement<'_>,
        kinds: &[Column],
        read: impl Fn(Row) -> Result<T>,
    ) -> Answer<Vec<T>> {
        let rows = self.rows(sql, kinds).await?;
        let read: Result<Vec<T>> = rows.into_iter().map(read).collect();
        read.map_err(|source| self.failed("read", source))
    }
}

/// A question's answer, or why there is none.
type Answer<T> = std::result::Result<T, StoreError>;

const RAN_KINDS: [Column; 4] = [Text, Text, Int, Text];

fn ran_row(mut row: Row) -> Result<RanRow> {
    Ok(RanRow {
        id: row.text()?,
        job: row.text()?,
        logical_time_ms: row.int()?,
        state: row.text()?,
    })
}
