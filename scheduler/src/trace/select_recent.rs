//! What lists show beside their rows: how the last runs of some jobs ended, and the latest changes of
//! documents.

use std::collections::BTreeMap;

use super::sql::{Result, number};
use super::statement::{Column, Row, Statement};
use super::{ChangeRow, EventKey, History, Store, StoreError};
use Column::{Int, Text};

/// Jobs asked for at once: SQLite takes no more than 500 parts of one statement.
const JOBS_MAX: usize = 400;

impl Store {
    /// The states of the last runs of each of these jobs, oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn recent_states(
        &self,
        jobs: &[String],
        limit: usize,
    ) -> std::result::Result<BTreeMap<String, Vec<String>>, StoreError> {
        let mut states: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for jobs in jobs.chunks(JOBS_MAX) {
            let mut sql = Statement::new(self.dialect(), "");
            for (place, job) in jobs.iter().enumerate() {
                // Each part enters the index of runs by job, and reads no more than it gives.
                sql.push(if place == 0 { "SELECT * FROM (" } else { " UNION ALL SELECT * FROM (" });
                sql.push("SELECT job, state, created_at_ms FROM run WHERE job = ").bind(job);
                sql.push(" ORDER BY created_at_ms DESC, id DESC LIMIT ").bind(limit as i64);
                sql.push(&format!(") AS part{place}"));
            }
            let rows = self.rows(sql, &[Text, Text, Int]).await?;
            let read = |mut row: Row| Ok((row.text()?, row.text()?, row.int()?));
            let rows: Result<Vec<(String, String, i64)>> = rows.into_iter().map(read).collect();
            let mut rows = rows.map_err(|source| self.failed("read", source))?;
            rows.sort_by_key(|(_, _, created_at_ms)| *created_at_ms);
            for (job, state, _) in rows {
                states.entry(job).or_default().push(state);
            }
        }
        Ok(states)
    }

    /// Changes of documents and flags, latest first, of a kind and a name if they are given; at most
    /// `limit` of those before a key.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn latest_changes(
        &self,
        kind: &str,
        name: &str,
        before: Option<EventKey>,
        limit: usize,
    ) -> std::result::Result<Vec<ChangeRow>, StoreError> {
        let mut sql = Statement::new(
            self.dialect(),
            "SELECT epoch, sequence, kind, name, at_ms, changed_by, content FROM config_change \
             WHERE 1 = 1",
        );
        for (column, value) in [("kind", kind), ("name", name)] {
            if !value.is_empty() {
                sql.push(" AND ").push(column).push(" = ").bind(value);
            }
        }
        if let Some(EventKey { epoch, sequence }) = before {
            sql.push(" AND epoch <= ").bind(number(epoch));
            sql.push(" AND (epoch < ").bind(number(epoch));
            sql.push(" OR sequence < ").bind(number(sequence)).push(")");
        }
        sql.push(" ORDER BY epoch DESC, sequence DESC LIMIT ").bind(limit as i64);
        let rows = self.rows(sql, &[Int, Int, Text, Text, Int, Text, Text]).await?;
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
        let read: Result<Vec<ChangeRow>> = rows.into_iter().map(read).collect();
        read.map_err(|source| self.failed("read", source))
    }
}

impl History {
    /// See [`Store::recent_states`].
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn recent_states(
        &self,
        jobs: &[String],
        limit: usize,
    ) -> std::result::Result<BTreeMap<String, Vec<String>>, StoreError> {
        Box::pin(self.store().recent_states(jobs, limit)).await
    }

    /// See [`Store::latest_changes`].
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be reached.
    pub async fn latest_changes(
        &self,
        kind: &str,
        name: &str,
        before: Option<EventKey>,
        limit: usize,
    ) -> std::result::Result<Vec<ChangeRow>, StoreError> {
        Box::pin(self.store().latest_changes(kind, name, before, limit)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{RunRow, TraceRecord, TraceStore as _};

    fn run(job: &str, number: i64, state: &str) -> TraceRecord {
        TraceRecord::Run(RunRow {
            id: format!("{job}@{number}"),
            job: job.to_owned(),
            state: state.to_owned(),
            created_at_ms: number,
            json: "{}".to_owned(),
            ..RunRow::default()
        })
    }

    fn change(sequence: u64, kind: &str, name: &str) -> TraceRecord {
        TraceRecord::Change(ChangeRow {
            kind: kind.to_owned(),
            name: name.to_owned(),
            epoch: 1,
            sequence,
            ..ChangeRow::default()
        })
    }

    #[tokio::test]
    async fn the_last_runs_of_each_job_are_given_oldest_first() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().join(Store::FILE_NAME));
        let records = [
            run("a", 1, "FAILED"),
            run("a", 2, "SKIPPED"),
            run("a", 3, "SUCCEEDED"),
            run("b", 9, "FAILED"),
        ];
        store.write(&records).await.unwrap();
        let jobs = ["a", "b", "c"].map(str::to_owned);
        let states = store.recent_states(&jobs, 2).await.unwrap();
        assert_eq!(states["a"], ["SKIPPED", "SUCCEEDED"]);
        assert_eq!(states["b"], ["FAILED"]);
        assert!(!states.contains_key("c"));
        assert!(store.recent_states(&[], 2).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn changes_are_paged_from_the_latest_on() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().join(Store::FILE_NAME));
        let records = [change(1, "job", "a"), change(2, "job", "b"), change(3, "app", "a")];
        store.write(&records).await.unwrap();
        let sequences = async |kind: &str, name: &str, before: Option<u64>| {
            let before = before.map(|sequence| EventKey { epoch: 1, sequence });
            let rows = store.latest_changes(kind, name, before, 9).await.unwrap();
            rows.into_iter().map(|row| row.sequence).collect::<Vec<_>>()
        };
        assert_eq!(sequences("", "", None).await, [3, 2, 1]);
        assert_eq!(sequences("", "", Some(3)).await, [2, 1]);
        assert_eq!(sequences("job", "", None).await, [2, 1]);
        assert_eq!(sequences("", "a", None).await, [3, 1]);
    }
}
