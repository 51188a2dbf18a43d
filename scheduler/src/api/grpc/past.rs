//! What the history tells: statistics, the audit of firings, who changed what. Absent: finding it.

use serde_json::Value;
use shiftwork_engine::ids::AppName;
use shiftwork_proto::shiftwork::v1 as wire;
use shiftwork_schedule::Timestamp;

use super::request::{self, given, moment};
use super::wire::instant;
use crate::api::ApiState;
use crate::api::page::Page;
use crate::api::problem::Problem;
use crate::api::rest::audit::audited_since;
use crate::api::rest::audit_log::{ENTRIES, entries, key};
use crate::api::rest::statistics::{Interval, counted};
use crate::audit::Finding;
use crate::trace::{AuditLogFilter, AuditLogRow};

/// Counts tasks over time.
///
/// # Errors
/// What is wrong with the request, 503 without a history.
pub(super) async fn statistics(
    state: &ApiState,
    request: wire::GetStatisticsRequest,
) -> Result<wire::Statistics, Problem> {
    let interval = match wire::Interval::try_from(request.interval) {
        Ok(wire::Interval::Unspecified) => Interval::default(),
        Ok(wire::Interval::Minute) => Interval::Minute,
        Ok(wire::Interval::Hour) => Interval::Hour,
        Ok(wire::Interval::Day) => Interval::Day,
        Err(_) => return Err(Problem::parameter("interval", "is none that this version knows")),
    };
    let view = counted(state, moment("since", request.since)?, interval).await?;
    let tasks = view.tasks.into_iter().map(|counts| wire::TaskCounts {
        from: Some(instant(counts.from)),
        started: counts.started,
        succeeded: counts.succeeded,
        failed: counts.failed,
    });
    Ok(wire::Statistics {
        since: Some(instant(view.since)),
        until: Some(instant(view.until)),
        interval_ms: view.interval_ms,
        tasks: tasks.collect(),
    })
}

/// Compares the firings that were due with those that ran.
///
/// # Errors
/// What is wrong with the request, 503 without a leader or a history that is up to date.
pub(super) async fn audit(
    state: &ApiState,
    request: wire::AuditRequest,
) -> Result<wire::AuditResponse, Problem> {
    let report = audited_since(state, moment("since", request.since)?).await?;
    Ok(wire::AuditResponse {
        since: Some(instant(report.since)),
        until: Some(instant(report.until)),
        due: report.due,
        fired: report.fired,
        left_out: report.left_out,
        jobs_unknown: report.jobs_unknown,
        history_incomplete: report.history_incomplete,
        findings_total: report.findings_total,
        findings: report.findings.into_iter().map(finding).collect(),
    })
}

fn finding(finding: Finding) -> wire::Finding {
    wire::Finding {
        kind: finding.kind.name().to_ascii_uppercase(),
        job: finding.job,
        firing: Some(instant(finding.firing)),
        run: finding.run,
        detail: finding.detail,
    }
}

/// Who changed what, newest first.
///
/// # Errors
/// What is wrong with the request, 503 without a history.
pub(super) async fn audit_log(
    state: &ApiState,
    request: wire::ListAuditLogRequest,
) -> Result<wire::ListAuditLogResponse, Problem> {
    let at = request::page(ENTRIES, request.page)?;
    let filter = AuditLogFilter {
        actor: given(request.actor),
        action: given(request.action),
        kind: given(request.kind),
        name: given(request.name),
        app: request::filter::<AppName>("app", &request.app)?.map(|app| app.to_string()),
        since_ms: moment("since", request.since)?.map(Timestamp::as_millis),
        until_ms: moment("until", request.until)?.map(Timestamp::as_millis),
    };
    let Page { items, next } = entries(state, &filter, &at).await?;
    Ok(wire::ListAuditLogResponse {
        entries: items.into_iter().map(entry).collect(),
        next_page_token: next.unwrap_or_default(),
    })
}

fn entry(row: AuditLogRow) -> wire::AuditLogEntry {
    // What cannot be read is shown as the text it is, which is JSON, too.
    let state = |text: String| match serde_json::from_str::<Value>(&text) {
        Ok(_) => text,
        Err(_) => Value::String(text).to_string(),
    };
    wire::AuditLogEntry {
        id: key(&row).to_string(),
        at: Some(instant(Timestamp::from_millis(row.at_ms))),
        actor: row.actor,
        role: row.role,
        door: row.door,
        origin: row.origin,
        action: row.action,
        kind: row.kind,
        name: row.name,
        app: row.app,
        before: row.before.map(state),
        after: row.after.map(state),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::FindingKind;

    #[test]
    fn kinds_of_findings_have_the_names_of_rest() {
        for kind in FindingKind::ALL {
            let rest = serde_json::to_value(kind).unwrap();
            assert_eq!(rest, kind.name().to_ascii_uppercase());
        }
    }

    #[test]
    fn what_a_change_left_is_json_whatever_it_was() {
        let row = AuditLogRow {
            before: Some("{\"a\":1}".to_owned()),
            after: Some("not json".to_owned()),
            ..AuditLogRow::default()
        };
        let entry = entry(row);
        assert_eq!(entry.before.as_deref(), Some("{\"a\":1}"));
        assert_eq!(entry.after.as_deref(), Some("\"not json\""));
    }
}
