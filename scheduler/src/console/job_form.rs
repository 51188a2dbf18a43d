//! `/new/job` and `/jobs/{job}/edit`: the document of a job as a form, with its coming firings as it
//! is written. Absent: how documents become forms (`document_form.rs`).

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use maud::{Markup, html};
use shiftwork_engine::Order;
use shiftwork_engine::command::Command;
use shiftwork_engine::ids::JobName;
use shiftwork_schedule::{BoundedSchedule, Cron, Schedule, Timetable, Zone, preview};

use super::document_form::{Field, Form, Group, Kind, document, field, fill, guarded};
use super::forms::{Fields, QueryFields, Sent};
use super::job::{self, address, firing_list};
use super::layout::Section;
use super::visitor::Visitor;
use super::{Answer, done};
use crate::api::access::Caller;
use crate::api::extract::{Named, document_name};
use crate::api::{ApiState, Problem};

const SCHEDULE: &str = "When it fires";

const BASICS: [Field; 6] = [
    field(
        "jobName",
        "Name",
        "1 to 100 letters, digits, dots, hyphens and underscores.",
        Kind::Text,
    )
    .required(),
    field("appName", "App", "The app whose executor runs it.", Kind::Text).required(),
    field(
        "jobExecutionType",
        "How its shards live",
        "TRANSIENT runs once per firing; DAEMON stays and fires by itself.",
        Kind::Choice(&[("TRANSIENT", "TRANSIENT"), ("DAEMON", "DAEMON")]),
    )
    .required(),
    field(
        "jobType",
        "What it runs",
        "",
        Kind::Choice(&[
            ("SCRIPT", "SCRIPT: a command line"),
            ("HTTP", "HTTP: a request"),
            ("SIMPLE", "SIMPLE: a job of the app's executor"),
            ("DATAFLOW", "DATAFLOW: fetches and processes"),
        ]),
    ),
    field(
        "jobClass",
        "Registered name",
        "Under which the app's executor registers it.",
        Kind::Text,
    )
    .when("jobType=SIMPLE|DATAFLOW"),
    field("description", "Description", "For people.", Kind::Text),
];

const WORK: [Field; 5] = [
    field(
        "scriptCommandLine",
        "Command line",
        "For the shell. The sharding context is in SHIFTWORK_CONTEXT and in the last argument.",
        Kind::Area,
    )
    .when("jobType=SCRIPT"),
    field("http.uri", "Address", "http:// or https://", Kind::Text).when("jobType=HTTP"),
    field(
        "http.method",
        "Method",
        "",
        Kind::Choice(&[
            ("", "GET"),
            ("POST", "POST"),
            ("PUT", "PUT"),
            ("PATCH", "PATCH"),
            ("DELETE", "DELETE"),
            ("HEAD", "HEAD"),
        ]),
    )
    .when("jobType=HTTP"),
    field("http.body", "Body", "", Kind::Area).when("jobType=HTTP"),
    field("env", "Environment", "A variable a line, as NAME=value.", Kind::Lines),
];

const TIMES: [Field; 5] = [
    field("cron", "Cron", "Quartz: seconds first, as 0 30 2 * * ? for 02:30 each day.", Kind::Text),
    field(
        "timeZone",
        "Time zone",
        "An IANA name, as Europe/Berlin; the scheduler's unless given.",
        Kind::Text,
    ),
    field("every", "or: every", "A fixed rate, as 90s, 15m or 1h.", Kind::Text),
    field("at", "or: once at", "One moment, as 2026-11-20T02:00:00Z.", Kind::Text),
    field(
        "calendars",
        "Calendars",
        "It does not fire on their days. Names with commas between.",
        Kind::Words,
    ),
];

const SHARDS: [Field; 9] = [
    field("shardingTotalCount", "Shards", "", Kind::Number).required(),
    field("shardingItemParameters", "Parameters of shards", "As 0=north,1=south.", Kind::Text),
    field("jobParameter", "Job parameter", "The same for all shards.", Kind::Text),
    field("cpuCount", "CPUs of a shard", "", Kind::Number).required(),
    field("memoryMB", "Memory of a shard, MB", "", Kind::Number).required(),
    field("diskMB", "Disk of a shard, MB", "", Kind::Number),
    field("gpuCount", "GPUs of a shard", "", Kind::Number),
    field("ports", "Ports of a shard", "", Kind::Number),
    field(
        "placement",
        "Placement",
        "",
        Kind::Choice(&[
            ("", "default: binpack"),
            ("binpack", "binpack: on the fullest agents"),
            ("spread", "spread: over many agents"),
        ]),
    ),
];

const RULES: [Field; 9] = [
    field(
        "misfire",
        "Missed firings",
        "",
        Kind::Boolean(&[
            ("", "default: one run stands for all"),
            ("false", "one run stands for all"),
            ("true", "each gets its run"),
        ]),
    ),
    field(
        "concurrency",
        "When runs would overlap",
        "",
        Kind::Choice(&[
            ("", "default: forbid"),
            ("forbid", "forbid: they wait"),
            ("skip", "skip: they are left out"),
            ("replace", "replace: the running one is cancelled"),
            ("allow", "allow: they run side by side"),
        ]),
    ),
    field("priority", "Priority", "0 to 100, higher first; 50 unless given.", Kind::Number),
    field(
        "retry.maxAttempts",
        "Attempts",
        "Of a shard whose work fails, the first included.",
        Kind::Number,
    ),
    field("timeout", "Timeout", "Longer runs are killed, as 30m.", Kind::Text),
    field("queueTimeout", "Queue timeout", "What waits longer expires, as 2h.", Kind::Text),
    field(
        "killGracePeriod",
        "Kill grace period",
        "From SIGTERM to SIGKILL; 5s unless given.",
        Kind::Text,
    ),
    field(
        "failover",
        "Failover: run shards again whose agent or executor was lost",
        "",
        Kind::Flag,
    ),
    field(
        "onUnreachable",
        "When an agent cannot be reached",
        "",
        Kind::Choice(&[
            ("", "default: failover"),
            ("failover", "failover: its shards are lost after a while"),
            ("wait", "wait: until the master knows what became of them"),
        ]),
    ),
];

const GROUPS: &[Group] = &[
    Group { title: "The job", fields: &BASICS },
    Group { title: "Its work", fields: &WORK },
    Group { title: SCHEDULE, fields: &TIMES },
    Group { title: "Shards and what each needs", fields: &SHARDS },
    Group { title: "Rules", fields: &RULES },
];

/// What a new job begins with.
const NEW: &[(&str, &str)] = &[
    ("jobExecutionType", "TRANSIENT"),
    ("jobType", "SCRIPT"),
    ("shardingTotalCount", "1"),
    ("cpuCount", "0.1"),
    ("memoryMB", "64"),
];

/// Firings of the preview.
const FIRINGS: usize = 5;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/new/job", get(ask_new).post(create))
        .route("/jobs/{job}/edit", get(ask_edit).post(update))
}

/// `GET /new/job?from=&app=`
async fn ask_new(
    State(state): State<ApiState>,
    visitor: Visitor,
    QueryFields(query): QueryFields,
) -> Answer {
    let mut filled = Fields::from(NEW);
    if let Some(from) = query.given("from") {
        let name =
            JobName::parse(from).map_err(|error| Problem::parameter("from", error.to_string()))?;
        filled = fill(job::find(&state, &name).await?.document.get(), GROUPS);
        filled.set("jobName", "");
        filled.set("seen", "");
    }
    if let Some(app) = query.given("app") {
        filled.set("appName", app);
    }
    new(&state, &visitor, &filled, None).await
}

async fn new(
    state: &ApiState,
    visitor: &Visitor,
    filled: &Fields,
    problem: Option<&Problem>,
) -> Answer {
    let form = Form {
        title: "New job",
        section: Section::Jobs,
        action: "/new/job",
        back: "/jobs",
        button: "Register",
        groups: GROUPS,
        filled,
        fixed: None,
        problem,
        beside: Some((SCHEDULE, beside(state, visitor, filled).await?)),
        scripts: &["preview.js"],
    };
    Ok(form.show(visitor))
}

/// `POST /new/job`
async fn create(
    State(state): State<ApiState>,
    visitor: Visitor,
    Caller(by): Caller,
    Sent(sent): Sent,
) -> Answer {
    if sent.ticked("preview") {
        return new(&state, &visitor, &sent, None).await;
    }
    let created = match document(&sent, GROUPS) {
        Ok(document) => {
            let name = document_name::<JobName>(&document, "jobName");
            let text = document.to_string().into_bytes();
            state.command(by, Command::CreateJob { document: text }).await.and(name)
        }
        Err(problem) => Err(problem),
    };
    match created {
        Ok(name) => Ok(done(&address(&name), "created")),
        Err(problem) => new(&state, &visitor, &sent, Some(&problem)).await,
    }
}

/// `GET /jobs/{job}/edit`
async fn ask_edit(
    State(state): State<ApiState>,
    visitor: Visitor,
    Named(name): Named<JobName>,
) -> Answer {
    let job = job::find(&state, &name).await?;
    let mut filled = fill(job.document.get(), GROUPS);
    if filled.text("jobType").is_empty() {
        let kind = if filled.text("http.uri").is_empty() { "SCRIPT" } else { "HTTP" };
        filled.set("jobType", kind);
    }
    edit(&state, &visitor, &name, &filled, None).await
}

async fn edit(
    state: &ApiState,
    visitor: &Visitor,
    name: &JobName,
    filled: &Fields,
    problem: Option<&Problem>,
) -> Answer {
    let back = address(name);
    let form = Form {
        title: &format!("Edit {name}"),
        section: Section::Jobs,
        action: &format!("{back}/edit"),
        back: &back,
        button: "Save",
        groups: GROUPS,
        filled,
        fixed: Some("jobName"),
        problem,
        beside: Some((SCHEDULE, beside(state, visitor, filled).await?)),
        scripts: &["preview.js"],
    };
    Ok(form.show(visitor))
}

/// `POST /jobs/{job}/edit`
async fn update(
    State(state): State<ApiState>,
    visitor: Visitor,
    Named(job): Named<JobName>,
    Caller(by): Caller,
    Sent(sent): Sent,
) -> Answer {
    if sent.ticked("preview") {
        return edit(&state, &visitor, &job, &sent, None).await;
    }
    let saved: Result<_, Problem> = match document(&sent, GROUPS) {
        Ok(document) => {
            let document = document.to_string().into_bytes();
            let change = Command::UpdateJob { job: job.clone(), document };
            state.command(by, guarded(&sent, change)).await
        }
        Err(problem) => Err(problem),
    };
    match saved {
        Ok(_) => Ok(done(&address(&job), "saved")),
        Err(problem) => edit(&state, &visitor, &job, &sent, Some(&problem)).await,
    }
}

/// The coming firings of what is written, and the names of apps.
async fn beside(state: &ApiState, visitor: &Visitor, filled: &Fields) -> Result<Markup, Problem> {
    /// Apps offered while a name is written.
    const APPS_MAX: usize = 200;
    let apps = state.query(|engine| engine.apps(None, Order::Ascending, APPS_MAX)).await?;
    Ok(html! {
        div #preview aria-live="polite" { (firings(visitor, filled, &state.default_zone)) }
        noscript { button name="preview" value="1" { "Show the coming firings" } }
        datalist #apps { @for app in &apps { option value=(app.name) {} } }
    })
}

fn firings(visitor: &Visitor, filled: &Fields, default_zone: &Zone) -> Markup {
    let Some(expression) = filled.given("cron") else {
        return html! { p.more { "Write a cron expression to see when it fires." } };
    };
    let zone = filled.given("timeZone").map_or(Ok(default_zone.clone()), Zone::parse);
    match (Cron::parse(expression), zone) {
        (Err(error), _) => html! { p.wrong { "cron " (error) } },
        (_, Err(error)) => html! { p.wrong { (error) } },
        (Ok(cron), Ok(zone)) => {
            let schedule = Schedule::Cron { cron, zone };
            let bounded = BoundedSchedule { schedule, start_after: None, end_before: None };
            let firings = preview(&Timetable::from(bounded), visitor.now, FIRINGS);
            html! { @if firings.is_empty() { p.wrong { "It never fires again." } } @else { (firing_list(visitor, &firings)) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn fields_are_named_once() {
        let all: Vec<&str> =
            GROUPS.iter().flat_map(|group| group.fields).map(|field| field.name).collect();
        let once: std::collections::BTreeSet<&str> = all.iter().copied().collect();
        assert_eq!(all.len(), once.len());
    }

    #[test]
    fn the_document_of_a_demo_job_survives_being_edited() {
        let text = r#"{"appName":"demo","cpuCount":0.05,"cron":"0/10 * * * * ?","failover":true,
            "jobExecutionType":"TRANSIENT","jobName":"word-count","jobType":"SCRIPT","memoryMB":16,
            "scriptCommandLine":"./count","shardingItemParameters":"0=a,1=b","shardingTotalCount":2,
            "retry":{"maxAttempts":3,"backoff":{"initial":"1s"}},"constraints":[["rack","UNIQUE"]]}"#;
        let document: Value = serde_json::from_str(text).unwrap();
        let filled = fill(text, GROUPS);
        assert_eq!(filled.text("retry.maxAttempts"), "3");
        assert_eq!(super::document(&filled, GROUPS).unwrap(), document);
    }

    #[test]
    fn what_is_new_is_almost_a_job() {
        let mut filled = Fields::from(NEW);
        for (name, text) in [("jobName", "a"), ("appName", "b"), ("scriptCommandLine", "true")] {
            filled.set(name, text);
        }
        let document = super::document(&filled, GROUPS).unwrap().to_string();
        let strict = shiftwork_engine::document::Strictness::Request;
        let job = shiftwork_engine::document::Job::parse(document.as_bytes(), strict, &Zone::utc());
        assert!(job.is_ok(), "{:?} {document}", job.err());
    }
}
