//! The on-line audit: what was due by the schedules, computed anew from the documents as they stood,
//! against what the history says ran. It shares nothing with the engine's bookkeeping but the library
//! that evaluates schedules. Absent: repairing anything.
//!
//! An alarm must be worth getting up for, so that nothing is judged of which something is not known:
//! time before the history is complete, jobs whose documents are not all in it, the last moments. It
//! says how much it judged.

mod judge;
#[cfg(test)]
mod tests;
mod timeline;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use shiftwork_engine::Order;
use shiftwork_engine::ids::{JobName, RunId};
use shiftwork_schedule::{Timestamp, Zone};
use tokio::sync::Mutex;

use crate::metrics::Metrics;
use crate::trace::{History, StoreError};
use crate::turn::{self, Handle, Unavailable};
pub use judge::{Finding, FindingKind};
use judge::{Slice, Verdict, judge};
use timeline::{Fingerprint, Timeline};
pub use watch::watch;

/// The latest firings are not judged: they may be on their way into the history.
pub const GRACE: Duration = Duration::from_mins(1);

/// How long to wait for the history database to catch up before a report is given up.
const FLUSH_MAX: Duration = Duration::from_secs(30);

/// Time judged at once: bounds the rows in memory.
const SLICE_MS: i64 = 10 * 60 * 1000;

/// Tenures looked back over: a leader that changes every minute, for a week.
const TENURES_MAX: usize = 10_000;

/// Jobs read from the engine at a time, so that it is not kept from its work.
const JOBS_PAGE: usize = 200;

/// Runs asked for by id at a time.
const IDS_PAGE: usize = 500;

/// A report.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Firings after this were judged: what was asked for, or from when on the history is complete.
    pub since: Timestamp,
    /// Firings up to this were judged.
    pub until: Timestamp,
    /// Firings that were due.
    pub due: u64,
    /// Of these, those that got their run.
    pub fired: u64,
    /// Of these, those that a rule of their job left out.
    pub left_out: u64,
    /// Jobs that could not be judged, or not for all of the time, because their documents are not all
    /// in the history.
    pub jobs_unknown: u64,
    /// True if the history lost records since this process began: then nothing is alarmed, since
    /// what seems to be missing may be what was lost.
    pub history_incomplete: bool,
    /// How many things should not be.
    pub findings_total: u64,
    /// The first of them.
    pub findings: Vec<Finding>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// This process does not lead.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The history cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The history is behind.
    #[error(
        "the history database is behind by {records} records: audit again when it has caught up \
         (see `shiftwork status`)"
    )]
    Behind {
        /// What waits in the spool.
        records: u64,
    },
    /// No tenure is in the history yet.
    #[error("the history does not know of this tenure yet: audit again in a moment")]
    NoTenure,
}

/// The auditor of one process. Cheap to clone.
#[derive(Clone)]
pub struct Auditor {
    handle: Handle,
    history: History,
    metrics: Metrics,
    zone: Zone,
    /// What was read before, so that it need not be read again.
    known: Arc<Mutex<Timeline>>,
}

// === impl Auditor ===

impl Auditor {
    /// An auditor that has looked at nothing yet. `zone` is that of documents which name none.
    pub fn new(handle: Handle, history: History, metrics: Metrics, zone: Zone) -> Self {
        let known = Arc::new(Mutex::new(Timeline::new(zone.clone())));
        Self { handle, history, metrics, zone, known }
    }

    /// Judges what came due from `since` on, up to a minute ago.
    ///
    /// # Errors
    /// [`AuditError`] when the engine or the history cannot be asked.
    pub async fn audit(&self, since: Timestamp) -> Result<Report, AuditError> {
        self.judge_between(since, turn::now().plus_millis(-(GRACE.as_millis() as i64))).await
    }

    /// Judges what came due in `(since, until]`.
    async fn judge_between(
        &self,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Report, AuditError> {
        let mut known = self.known.lock().await;
        let gone = self.read_changes(&mut known).await?;
        let since = since.max(self.complete_since().await?);
        let mut verdict = Verdict::default();
        let mut after = since;
        while after < until {
            let end = until.min(after.plus_millis(SLICE_MS));
            let slice = self.slice(after, end).await?;
            self.find_forgotten(&slice, &mut verdict).await?;
            // Computing schedules for many jobs takes a while: not on a thread that serves.
            blocking(|| judge(&known, &slice, after, end, &mut verdict));
            after = end;
        }
        let lag = self.history.lag();
        Ok(Report {
            since: since.min(until),
            until,
            due: verdict.due,
            fired: verdict.fired,
            left_out: verdict.left_out,
            jobs_unknown: gone + known.noted_after(since.as_millis()),
            history_incomplete: lag.spool.dropped_records + lag.refused_records > 0,
            findings_total: verdict.findings_total,
            findings: verdict.findings,
        })
    }

    async fn flush(&self) -> Result<(), AuditError> {
        if self.history.flushed(FLUSH_MAX).await {
            return Ok(());
        }
        Err(AuditError::Behind { records: self.history.lag().spool.records })
    }

    /// From when on the history holds everything: the beginning of the oldest tenure from which no
    /// epoch is missing up to now. Leaders that keep histories of their own leave gaps in each
    /// other's. Another default zone, or other time zone data, would make other firings of
    /// the same documents.
    async fn complete_since(&self) -> Result<Timestamp, AuditError> {
        let tenures = self.history.store().tenures(TENURES_MAX).await?;
        let newest = tenures.first().ok_or(AuditError::NoTenure)?;
        let mut began_at_ms = newest.began_at_ms;
        let zone = self.zone.to_string();
        let tzdb = shiftwork_schedule::tzdb().release();
        for (tenure, later) in tenures.iter().skip(1).zip(&tenures) {
            let is_other = tenure.default_zone != zone || tenure.tzdb != tzdb;
            if tenure.epoch + 1 != later.epoch || is_other {
                break;
            }
            began_at_ms = tenure.began_at_ms;
        }
        Ok(Timestamp::from_millis(began_at_ms))
    }

    /// Brings the timeline up to now, and sees whether it ends where the engine is. Jobs
    /// for which it does not are noted as they are, and can be judged from now on. Gives the number of
    /// those of which nothing is left.
    async fn read_changes(&self, known: &mut Timeline) -> Result<u64, AuditError> {
        let begun_ms = turn::now().as_millis();
        // In the order of their names, as the engine has them.
        let mut registered: Vec<(String, Fingerprint)> = Vec::new();
        loop {
            let after = registered.last().and_then(|(name, _)| JobName::parse(name).ok());
            let page = move |engine: &shiftwork_engine::Engine| {
                let views = engine.jobs(None, after.as_ref(), Order::Ascending, JOBS_PAGE);
                let rows =
                    views.into_iter().map(|view| (view.name, Fingerprint::of(view.document.get())));
                rows.collect::<Vec<_>>()
            };
            let page = self.handle.query(page).await?;
            let is_last = page.len() < JOBS_PAGE;
            registered.extend(page);
            if is_last {
                break;
            }
        }
        self.flush().await?;
        loop {
            let page = self.history.store().changes(known.last()).await?;
            if page.is_empty() {
                break;
            }
            for row in &page {
                known.take(row);
            }
        }
        let is_there =
            |name: &str| registered.binary_search_by(|(other, _)| other.as_str().cmp(name)).is_ok();
        let gone: Vec<String> = known
            .jobs()
            .filter(|name| !is_there(name) && known.is_registered(name))
            .filter(|name| !known.changed_since(name, begun_ms))
            .map(str::to_owned)
            .collect();
        for name in &gone {
            known.forget(name);
        }
        let unknown: Vec<String> = registered
            .into_iter()
            .filter(|(name, document)| !known.agrees(name, *document, begun_ms))
            .map(|(name, _)| name)
            .collect();
        for names in unknown.chunks(JOBS_PAGE) {
            self.note(known, names).await?;
        }
        Ok(gone.len() as u64)
    }

    /// Takes the documents of jobs as they are now. One that has gone meanwhile is in the history.
    async fn note(&self, known: &mut Timeline, names: &[String]) -> Result<(), AuditError> {
        let names: Vec<JobName> =
            names.iter().filter_map(|name| JobName::parse(name).ok()).collect();
        let documents = move |engine: &shiftwork_engine::Engine| {
            let views = names.iter().filter_map(|name| engine.job(name));
            views.map(|view| (view.name, view.document)).collect::<Vec<_>>()
        };
        let documents = self.handle.query(documents).await?;
        let now_ms = turn::now().as_millis();
        for (name, document) in &documents {
            known.note(name, document.get(), now_ms);
        }
        Ok(())
    }

    async fn slice(&self, after: Timestamp, until: Timestamp) -> Result<Slice, AuditError> {
        let store = self.history.store();
        let (after_ms, until_ms) = (after.as_millis(), until.as_millis());
        Ok(Slice {
            ran: store.ran(after_ms, until_ms).await?,
            left_out: store.left_out(after_ms, until_ms).await?,
            // A shard may finish again some time after it finished first.
            finished_again: store.finished_again(after_ms - SLICE_MS, after_ms, until_ms).await?,
        })
    }

    /// Runs that have not ended in the history and that the engine does not have. They may have
    /// ended between the two looks, so those that seem so are looked at once more.
    async fn find_forgotten(&self, slice: &Slice, verdict: &mut Verdict) -> Result<(), AuditError> {
        let ids: Vec<String> = slice.ran.iter().map(|row| row.id.clone()).collect();
        for ids in ids.chunks(IDS_PAGE) {
            let open = self.history.store().not_ended(ids).await?;
            let open: Vec<String> = open.into_iter().map(|row| row.id).collect();
            let not_live = self.not_live(open).await?;
            if not_live.is_empty() {
                continue;
            }
            self.flush().await?;
            for row in self.history.store().not_ended(&not_live).await? {
                if !judge::must_have_been(&row, slice) {
                    continue;
                }
                verdict.add(Finding {
                    kind: FindingKind::Forgotten,
                    job: row.job,
                    firing: Timestamp::from_millis(row.logical_time_ms),
                    run: row.id,
                    detail: format!(
                        "its last known state is {}, and the scheduler does not have it any more",
                        row.state
                    ),
                });
            }
        }
        Ok(())
    }

    async fn not_live(&self, ids: Vec<String>) -> Result<Vec<String>, AuditError> {
        if ids.is_empty() {
            return Ok(ids);
        }
        let question = move |engine: &shiftwork_engine::Engine| {
            let is_live = |id: &String| RunId::parse(id).is_ok_and(|id| engine.run(&id).is_some());
            ids.into_iter().filter(|id| !is_live(id)).collect()
        };
        Ok(self.handle.query(question).await?)
    }
}

/// Work that takes a while, where the runtime has other threads for what else there is to do.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::current().runtime_flavor() {
        tokio::runtime::RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}
