//! `/jobs/{job}/next` and `/schedules/preview`: the coming firings of a job, or of a schedule that
//! is not stored.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;
use shiftwork_engine::command::Refusal;
use shiftwork_engine::document::FieldError;
use shiftwork_engine::ids::JobName;
use shiftwork_schedule::{BoundedSchedule, Cron, Preview, Schedule, Timestamp, Timetable, Zone};

use super::{Answer, BASE};
use crate::api::ApiState;
use crate::api::extract::Named;
use crate::api::operation::{Answered, Operation};
use crate::api::page::Page;
use crate::api::params::{Kind, Param, Params};
use crate::api::problem::Problem;
use crate::api::table::Table;
use crate::turn::now;

/// Firings shown when the client names no number.
const COUNT_DEFAULT: usize = 5;

/// Most firings shown: a year of daily ones; bounds the work of one request.
const COUNT_MAX: usize = 366;

/// How many firings are wanted.
static N: Param = Param {
    name: "n",
    about: "How many firings; 5 unless given.",
    kind: Kind::Integer(1, COUNT_MAX as u64),
};

/// From when on.
static FROM: Param = Param {
    name: "from",
    about: "Only firings after this; now unless given.",
    kind: Kind::Instant,
};

/// The expression.
static CRON: Param = Param {
    name: "cron",
    about: "A Quartz expression, seconds first; required.",
    kind: Kind::Text,
};

/// The zone of the expression.
static TIME_ZONE: Param = Param {
    name: "timeZone",
    about: "An IANA name; the scheduler's default unless given.",
    kind: Kind::Text,
};

/// The routes of coming firings.
pub(super) fn routes(table: Table) -> Table {
    table
        .route(
            Operation::get(
                format!("{BASE}/jobs/{{job}}/next"),
                "nextFirings",
                "The coming firings of a job.",
            )
            .tag("jobs")
            .query(&[&N, &FROM])
            .answers(200, Answered::Page("Firing"))
            .refuses(&[404, 409]),
            get_next,
        )
        .route(
            Operation::get(
                format!("{BASE}/schedules/preview"),
                "previewSchedule",
                "The coming firings of a schedule that is not stored.",
            )
            .tag("jobs")
            .shared()
            .query(&[&CRON, &TIME_ZONE, &N, &FROM])
            .answers(200, Answered::Page("Firing"))
            .refuses(&[422]),
            get_preview,
        )
}

/// A coming firing.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(in crate::api) struct Firing {
    pub(in crate::api) utc: Timestamp,
    pub(in crate::api) local: String,
    /// What a change of DST did to it.
    pub(in crate::api) note: Option<String>,
}

/// Which firings are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) struct Span {
    count: usize,
    from: Option<Timestamp>,
}

impl Span {
    /// So many, 5 unless it is said, after a moment, now unless it is said.
    ///
    /// # Errors
    /// Names `n`.
    pub(in crate::api) fn new(
        count: Option<usize>,
        from: Option<Timestamp>,
    ) -> Result<Self, Problem> {
        match count.unwrap_or(COUNT_DEFAULT) {
            count if (1..=COUNT_MAX).contains(&count) => Ok(Self { count, from }),
            _ => {
                let message = format!("must be a whole number from 1 to {COUNT_MAX}");
                Err(Problem::parameter(N.name, message))
            }
        }
    }

    fn read(params: &Params) -> Result<Self, Problem> {
        let from = params.read(FROM.name, str::parse::<Timestamp>)?;
        Self::new(Some(params.count(N.name, COUNT_DEFAULT, COUNT_MAX)?), from)
    }

    fn of(self, timetable: &Timetable) -> Vec<Firing> {
        let from = self.from.unwrap_or_else(now);
        let firings = shiftwork_schedule::preview(timetable, from, self.count);
        firings.into_iter().map(Firing::from).collect()
    }
}

impl From<Preview> for Firing {
    fn from(preview: Preview) -> Self {
        Self { utc: preview.at, local: preview.local, note: preview.note }
    }
}

/// `GET /jobs/{job}/next?n=&from=`
async fn get_next(
    State(state): State<ApiState>,
    params: Params,
    Named(name): Named<JobName>,
) -> Answer {
    let firings = next(&state, name, Span::read(&params)?).await?;
    Ok(Json(Page::whole(firings)).into_response())
}

/// The coming firings of a job.
///
/// # Errors
/// 404 by name, 409 for a job whose document cannot be used, or 503.
pub(in crate::api) async fn next(
    state: &ApiState,
    name: JobName,
    span: Span,
) -> Result<Vec<Firing>, Problem> {
    let what = format!("job {name}");
    let timetable = state.query(move |engine| engine.timetable(&name)).await?;
    let timetable = timetable.ok_or_else(|| Problem::not_found(&what))?.map_err(|problem| {
        let refusal = Refusal::Conflict { detail: problem, errors: Vec::new() };
        Problem::from(refusal)
    })?;
    Ok(timetable.map(|timetable| span.of(&timetable)).unwrap_or_default())
}

/// `GET /schedules/preview?cron=&timeZone=&from=&n=`
async fn get_preview(State(state): State<ApiState>, params: Params) -> Answer {
    let span = Span::read(&params)?;
    let (cron, zone) = (params.text(CRON.name), params.text(TIME_ZONE.name));
    let firings = preview(cron, zone, &state.default_zone, span)?;
    Ok(Json(Page::whole(firings)).into_response())
}

/// The coming firings of a schedule that is not stored. Expression and zone obey the rules of a
/// job's document, and are refused in the same way.
///
/// # Errors
/// By field.
pub(in crate::api) fn preview(
    cron: Option<&str>,
    zone: Option<&str>,
    default_zone: &Zone,
    span: Span,
) -> Result<Vec<Firing>, Problem> {
    Ok(span.of(&read_schedule(cron, zone, default_zone)?.into()))
}

fn read_schedule(
    cron: Option<&str>,
    zone: Option<&str>,
    default_zone: &Zone,
) -> Result<BoundedSchedule, Problem> {
    let Some(expression) = cron else {
        return Err(Problem::parameter("cron", "is required: a Quartz expression, seconds first"));
    };
    let wrong = |field: &str, message: String| {
        let errors = vec![FieldError { field: field.to_owned(), message }];
        Problem::invalid("the schedule is wrong", errors)
    };
    let cron = Cron::parse(expression).map_err(|error| wrong("cron", error.to_string()))?;
    let zone = match zone {
        Some(name) => Zone::parse(name).map_err(|error| wrong("timeZone", error.to_string()))?,
        None => default_zone.clone(),
    };
    let schedule = Schedule::Cron { cron, zone };
    Ok(BoundedSchedule { schedule, start_after: None, end_before: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::params::RawParams;

    fn params(query: &str) -> Params {
        let uri = format!("/x?{query}").parse().unwrap();
        RawParams::parse(&uri).only(&["from", "n"]).unwrap()
    }

    fn field(problem: &Problem) -> String {
        let document = serde_json::to_value(problem).unwrap();
        document["errors"][0]["field"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_preview_shows_utc_and_local_time() {
        let span = Span::read(&params("n=1&from=2026-11-20T00:00:00Z")).unwrap();
        let (cron, zone) = (Some("0 30 2 * * ?"), Some("Europe/Berlin"));
        let firings = preview(cron, zone, &Zone::utc(), span).unwrap();
        assert_eq!(
            serde_json::to_value(firings).unwrap(),
            serde_json::json!([{
                "utc": "2026-11-20T01:30:00Z",
                "local": "2026-11-20T02:30:00+01:00[Europe/Berlin]",
                "note": null,
            }])
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let read = |cron, zone| read_schedule(cron, zone, &Zone::utc());
        let missing = read(None, None).unwrap_err();
        assert_eq!((missing.status().as_u16(), field(&missing)), (400, "cron".to_owned()));
        let wrong = read(Some("every day"), None).unwrap_err();
        assert_eq!((wrong.status().as_u16(), field(&wrong)), (422, "cron".to_owned()));
        let wrong = read(Some("0 0 0 * * ?"), Some("Mars/Base")).unwrap_err();
        assert_eq!((wrong.status().as_u16(), field(&wrong)), (422, "timeZone".to_owned()));
        for (query, name) in [("n=0", "n"), ("n=367", "n"), ("from=yesterday", "from")] {
            let problem = Span::read(&params(query)).unwrap_err();
            assert_eq!((problem.status().as_u16(), field(&problem)), (400, name.to_owned()));
        }
    }
}
