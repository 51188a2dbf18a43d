//! The audit at work by itself: each firing is judged once, some minutes after it was due, and what
//! should not be is counted and logged as an error. Absent: the judgement.

use std::time::Duration;

use shiftwork_schedule::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{AuditError, Auditor, Report};
use crate::registry::Standing;
use crate::turn;

/// How far back a leader looks when it begins: what happened while nobody led is judged, too.
const LOOK_BACK_MS: i64 = 24 * 60 * 60 * 1000;

/// Audits every so often while this process leads, until told to stop.
pub async fn watch(
    auditor: Auditor,
    every: Duration,
    standing: watch::Receiver<Standing>,
    stop: CancellationToken,
) {
    // Firings up to here have been judged by this process.
    let mut judged: Option<Timestamp> = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = stop.cancelled() => return,
        }
        if !matches!(*standing.borrow(), Standing::Leading) {
            continue;
        }
        let since = judged.unwrap_or_else(|| turn::now().plus_millis(-LOOK_BACK_MS));
        match auditor.audit(since).await {
            Ok(report) => {
                auditor.tell(&report);
                judged = Some(since.max(report.until));
            }
            // Leaving, or not yet there.
            Err(AuditError::Unavailable(_) | AuditError::NoTenure) => {}
            Err(error) => {
                auditor.metrics.on_audit_failed();
                tracing::warn!(%error, "the audit could not look: it looks again later");
            }
        }
    }
}

impl Auditor {
    /// Counts what a report says, and alarms.
    fn tell(&self, report: &Report) {
        self.metrics.on_audit(report);
        if report.history_incomplete {
            if report.findings_total > 0 {
                tracing::warn!(
                    findings = report.findings_total,
                    "the audit found firings without a trace; the history has lost records, which \
                     may be why"
                );
            }
            return;
        }
        for finding in &report.findings {
            tracing::error!(
                kind = finding.kind.name(),
                job = finding.job,
                firing = %finding.firing,
                run = finding.run,
                detail = finding.detail,
                "AUDIT: a firing was not dealt with as its schedule and rules say"
            );
        }
    }
}
