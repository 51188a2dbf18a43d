//! Coming firings, of a job and of a schedule that is not stored.

use shiftwork_engine::ids::JobName;
use shiftwork_proto::shiftwork::v1 as wire;

use super::request;
use super::wire as convert;
use crate::api::ApiState;
use crate::api::access::Named;
use crate::api::problem::Problem;
use crate::api::rest::schedules::{self, Firing, Span};
use crate::auth::Identity;

/// The coming firings of a job.
///
/// # Errors
/// 403 for another app's, 404 by name, what is wrong with the request, or 503.
pub(super) async fn next(
    state: &ApiState,
    identity: &Identity,
    request: wire::NextFiringsRequest,
) -> Result<wire::FiringsResponse, Problem> {
    let name: JobName = request::name("name", &request.name)?;
    Named::Job(name.clone()).admit(state, identity).await?;
    let span = span(request.n, request.from)?;
    Ok(told(schedules::next(state, name, span).await?))
}

/// The coming firings of a schedule that is not stored.
///
/// # Errors
/// What is wrong with the schedule or the request.
pub(super) fn preview(
    state: &ApiState,
    request: wire::PreviewScheduleRequest,
) -> Result<wire::FiringsResponse, Problem> {
    let span = span(request.n, request.from)?;
    let (cron, zone) = (request::given(request.cron), request::given(request.time_zone));
    let firings = schedules::preview(cron.as_deref(), zone.as_deref(), &state.default_zone, span)?;
    Ok(told(firings))
}

fn span(n: u32, from: Option<prost_types::Timestamp>) -> Result<Span, Problem> {
    Span::new(Some(n as usize).filter(|n| *n > 0), request::moment("from", from)?)
}

fn told(firings: Vec<Firing>) -> wire::FiringsResponse {
    let firings = firings.into_iter().map(|firing| wire::Firing {
        at: Some(convert::instant(firing.utc)),
        local: firing.local,
        note: firing.note,
    });
    wire::FiringsResponse { firings: firings.collect() }
}
