//! Who may call which method: each takes what its route of REST takes, and shows and changes what that
//! does. Absent: the answer (`auth/`); what a request names is asked about where it is read.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::LazyLock;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tonic::Status;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};

use crate::api::ApiState;
use crate::api::access::{Reach, Rule};
use crate::api::problem::Problem;
use crate::api::rest;
use crate::auth::{Identity, Role};

/// Each method, and the operation of REST that does the same.
pub(super) const OPERATIONS: [(&str, &str); 40] = [
    ("Apply", "createJob"),
    ("GetApp", "getApp"),
    ("ListApps", "listApps"),
    ("DeleteApp", "deleteApp"),
    ("SetAppEnabled", "disableApp"),
    ("GetJob", "getJob"),
    ("ListJobs", "listJobs"),
    ("DeleteJob", "deleteJob"),
    ("SetJobEnabled", "disableJob"),
    ("WhyJob", "whyJob"),
    ("NextFirings", "nextFirings"),
    ("PreviewSchedule", "previewSchedule"),
    ("GetCalendar", "getCalendar"),
    ("ListCalendars", "listCalendars"),
    ("DeleteCalendar", "deleteCalendar"),
    ("Trigger", "triggerJob"),
    ("Rerun", "rerunRun"),
    ("CancelRun", "cancelRun"),
    ("GetRun", "getRun"),
    ("ListRuns", "listRuns"),
    ("ListRunEvents", "listRunEvents"),
    ("GetTask", "getTask"),
    ("ListTasks", "listTasks"),
    ("KillTask", "killTask"),
    ("ReadLogs", "readLogs"),
    ("FollowLogs", "readLogs"),
    ("ListReady", "listReady"),
    ("ListFailover", "listFailover"),
    ("ListRunning", "listRunning"),
    ("ListAgents", "listAgents"),
    ("GetAgent", "getAgent"),
    ("ListOffers", "listOffers"),
    ("ListExecutors", "listExecutors"),
    ("GetStatistics", "getStatistics"),
    ("Audit", "audit"),
    ("ListAuditLog", "listAuditLog"),
    ("GetStatus", "getStatus"),
    ("GetLeader", "getLeader"),
    ("Reconcile", "reconcile"),
    ("Watch", "watchEvents"),
];

/// What a method takes that stands in no table.
const UNKNOWN: Rule = Rule { role: Some(Role::Admin), reach: Reach::AllApps };

/// What each method takes.
static RULES: LazyLock<BTreeMap<&str, Rule>> = LazyLock::new(|| {
    let (_, operations) = rest::table().finish();
    let rule = |id: &str| {
        let operation = operations.iter().find(|operation| operation.id == id)?;
        let names = operation.path_parameters().any(crate::api::access::is_of_app);
        let reach = match operation.rule.reach {
            Reach::Path if !names => Reach::AllApps,
            reach => reach,
        };
        Some(Rule { reach, ..operation.rule })
    };
    OPERATIONS.iter().map(|(method, id)| (*method, rule(id).unwrap_or(UNKNOWN))).collect()
});

/// What a method takes.
pub(super) fn rule(method: &str) -> Rule {
    RULES.get(method).copied().unwrap_or(UNKNOWN)
}

/// Asks who a call of the scheduler's service is from.
pub(super) async fn authenticate(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    // Health and reflection hold nothing of anybody's.
    let Some(method) = path.strip_prefix("/shiftwork.v1.Scheduler/") else {
        return next.run(request).await;
    };
    let rule = rule(method);
    let from = peer(&request).map(|address| address.ip().to_canonical());
    let headers = request.headers().clone();
    let admitted = match state.auth.admit(&headers, from).await {
        Ok(identity) => may(&identity, rule).map(|()| identity),
        Err(denied) => {
            state.metrics.on_denied(denied);
            Err(Problem::denied(denied))
        }
    };
    match admitted {
        Ok(identity) => {
            request.extensions_mut().insert(identity);
            next.run(request).await
        }
        Err(problem) => Status::from(problem).into_http::<axum::body::Body>().into_response(),
    }
}

/// As far as the method itself says it: whoever has a role for some apps comes in, but to what is of
/// all of them.
fn may(identity: &Identity, rule: Rule) -> Result<(), Problem> {
    if let Some(role) = rule.role {
        identity.require(role)?;
    }
    match rule.reach {
        Reach::AllApps => Ok(identity.require_all_apps()?),
        Reach::Path | Reach::Filtered | Reach::Shared => Ok(()),
    }
}

fn peer(request: &Request) -> Option<SocketAddr> {
    let extensions = request.extensions();
    let plain = extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    let tls = || extensions.get::<TlsConnectInfo<TcpConnectInfo>>()?.get_ref().remote_addr();
    plain.or_else(tls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shiftwork_proto::FILE_DESCRIPTOR_SET;

    #[test]
    fn every_method_takes_what_an_operation_of_rest_takes() {
        let pool = prost_reflect::DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
        let service = pool.get_service_by_name("shiftwork.v1.Scheduler").unwrap();
        let methods: Vec<String> = service.methods().map(|it| it.name().to_owned()).collect();
        for method in &methods {
            assert!(RULES.contains_key(method.as_str()), "{method} has no operation");
        }
        assert_eq!(methods.len(), OPERATIONS.len(), "{methods:?}");
        let (_, operations) = rest::table().finish();
        for (method, id) in OPERATIONS {
            assert!(operations.iter().any(|it| it.id == id), "{method}: there is no {id}");
        }
        let reach = |method| rule(method).reach;
        assert_eq!((reach("GetJob"), reach("ListJobs")), (Reach::Path, Reach::Filtered));
        assert_eq!((reach("ListAgents"), reach("GetStatus")), (Reach::AllApps, Reach::Shared));
        assert_eq!((reach("DeleteCalendar"), reach("Apply")), (Reach::AllApps, Reach::Filtered));
        assert_eq!(
            (rule("GetJob").role, rule("Trigger").role),
            (Some(Role::Viewer), Some(Role::Operator))
        );
        assert_eq!(rule("Nothing"), UNKNOWN);
    }
}
