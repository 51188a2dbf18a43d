//! `/jobs/{job}/trigger`: makes a run, with what is to be different about it. Absent: what a run is.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use maud::html;
use serde_json::{Map, Value, json};
use shiftwork_engine::command::{Command, Done};
use shiftwork_engine::document::FieldError;
use shiftwork_engine::ids::JobName;
use shiftwork_engine::view::JobView;

use super::forms::{Fields, Sent};
use super::job::{self, address};
use super::jobs::{job_document, plain};
use super::layout::{Page, Section};
use super::visitor::Visitor;
use super::{Answer, done, parts};
use crate::api::access::Caller;
use crate::api::extract::Named;
use crate::api::{ApiState, Problem, fields};

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/jobs/{job}/trigger", get(ask).post(trigger))
}

/// `GET /jobs/{job}/trigger`
async fn ask(
    State(state): State<ApiState>,
    visitor: Visitor,
    Named(name): Named<JobName>,
) -> Answer {
    let job = job::find(&state, &name).await?;
    Ok(form(&visitor, &name, &job, &Fields::default(), None))
}

/// `POST /jobs/{job}/trigger`
async fn trigger(
    State(state): State<ApiState>,
    visitor: Visitor,
    Named(name): Named<JobName>,
    Caller(by): Caller,
    Sent(sent): Sent,
) -> Answer {
    let key = sent.given("key").map(str::to_owned);
    let made = match overrides(&sent).and_then(fields::trigger) {
        Ok((overrides, submitter)) => {
            let command = Command::Trigger { job: name.clone(), key, overrides, submitter };
            state.command(by, command).await
        }
        Err(problem) => Err(problem),
    };
    match made {
        Ok(Done::RunCreated(run)) => Ok(done(&parts::run_address(run.as_str()), "triggered")),
        Ok(Done::RunExists(run)) => Ok(done(&parts::run_address(run.as_str()), "repeated")),
        Ok(_) => Ok(done(&address(&name), "triggered")),
        Err(problem) => {
            let job = job::find(&state, &name).await?;
            Ok(form(&visitor, &name, &job, &sent, Some(&problem)))
        }
    }
}

/// What the form says, as the API would be told it.
fn overrides(sent: &Fields) -> Result<Value, Problem> {
    let mut given = Map::new();
    if sent.ticked("other-parameter") {
        given.insert("jobParameter".to_owned(), json!(sent.raw("jobParameter")));
    }
    if let Some(text) = sent.given("shardingItemParameters") {
        given.insert("shardingItemParameters".to_owned(), json!(text));
    }
    if let Some(text) = sent.given("items") {
        given.insert("items".to_owned(), json!(items(text)?));
    }
    let env = env(&sent.raw("env"))?;
    if !env.is_empty() {
        given.insert("env".to_owned(), json!(env));
    }
    Ok(Value::Object(given))
}

fn wrong(field: &str, message: String) -> Problem {
    let errors = vec![FieldError { field: field.to_owned(), message }];
    Problem::invalid("what differs for this run is wrong", errors)
}

/// Shards as people write them: `0, 2, 5-7`.
fn items(text: &str) -> Result<Vec<u32>, Problem> {
    /// As many as a job may have.
    const ITEMS_MAX: usize = 1_000;
    let mut items = Vec::new();
    for part in text.split([',', ' ']).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (first.trim().parse::<u32>(), last.trim().parse::<u32>()) {
            (Ok(first), Ok(last)) if first <= last && (last - first) as usize <= ITEMS_MAX => {
                items.extend(first..=last);
            }
            _ => {
                let message = format!("must be numbers of shards, as 0, 2, 5-7; {part:?} is none");
                return Err(wrong("items", message));
            }
        }
    }
    Ok(items)
}

/// `NAME=value` lines.
pub(super) fn env(text: &str) -> Result<BTreeMap<String, String>, Problem> {
    let mut env = BTreeMap::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let Some((name, value)) = line.split_once('=') else {
            return Err(wrong("env", format!("must be lines of NAME=value; {line:?} is none")));
        };
        env.insert(name.trim().to_owned(), value.to_owned());
    }
    Ok(env)
}

fn form(
    visitor: &Visitor,
    name: &JobName,
    job: &JobView,
    sent: &Fields,
    problem: Option<&Problem>,
) -> Response {
    let document = job_document(job);
    let errors = problem.map(Problem::errors).unwrap_or_default();
    let parameter = if sent.ticked("other-parameter") {
        sent.raw("jobParameter")
    } else {
        plain(&document["jobParameter"])
    };
    let title = format!("Trigger {name}");
    let shards = plain(&document["shardingTotalCount"]);
    let body = html! {
        p.crumbs { a href="/jobs" { "Jobs" } " / " (parts::job_link(name.as_str())) }
        (parts::heading(&title, html! {}))
        @if let Some(problem) = problem { (parts::refusal(problem.detail())) }
        form.small method="post" action=(format!("{}/trigger", address(name))) {
            fieldset {
                legend { "What differs for this run" }
                p.more { "Leave it as it is to run the job as its document says: " (shards) " shards." }
                div.fields {
                    div.field.full {
                        label.check { input type="checkbox" name="other-parameter" value="1" checked[sent.ticked("other-parameter")]; "Another job parameter" }
                        input #jobParameter name="jobParameter" value=(parameter) aria-label="Job parameter" aria-describedby="jobParameter-wrong";
                        (parts::field_error("jobParameter", errors, "jobParameter"))
                    }
                    div.field {
                        label for="items" { "Only these shards" }
                        input #items name="items" value=(sent.text("items")) placeholder="all" inputmode="numeric" aria-describedby="items-help items-wrong";
                        span.help #items-help { "As 0, 2, 5-7." }
                        (parts::field_error("items", errors, "items"))
                    }
                    div.field {
                        label for="shardingItemParameters" { "Parameters of shards" }
                        input #shardingItemParameters name="shardingItemParameters" value=(sent.text("shardingItemParameters")) placeholder=(plain(&document["shardingItemParameters"])) aria-describedby="sip-help shardingItemParameters-wrong";
                        span.help #sip-help { "In place of the document's, as 0=north,1=east." }
                        (parts::field_error("shardingItemParameters", errors, "shardingItemParameters"))
                    }
                    div.field.full {
                        label for="env" { "Environment" }
                        textarea #env name="env" rows="3" spellcheck="false" placeholder="NAME=value" aria-describedby="env-help env-wrong" { (sent.raw("env")) }
                        span.help #env-help { "A variable a line, added to the document's." }
                        (parts::field_error("env", errors, "env"))
                    }
                    div.field.full {
                        label for="key" { "Idempotency key" }
                        input #key name="key" value=(sent.text("key")) autocomplete="off" aria-describedby="key-help";
                        span.help #key-help { "Optional: the same key makes the run once, however often it is sent." }
                    }
                }
            }
            p.actions {
                button.primary { "Make the run" }
                a.button href=(address(name)) { "Back" }
            }
        }
    };
    let status = problem.map_or(StatusCode::OK, Problem::status);
    Page::new(&title, Section::Jobs).status(status).show(visitor, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_written_as_people_write_them() {
        assert_eq!(items("0, 2,5-7").unwrap(), [0, 2, 5, 6, 7]);
        assert_eq!(items("").unwrap(), [0_u32; 0]);
        for bad in ["a", "3-1", "-1", "1-99999999", "1;2"] {
            assert_eq!(items(bad).unwrap_err().errors()[0].field, "items", "{bad}");
        }
    }

    #[test]
    fn variables_are_lines() {
        let read = env("A=1\n\nB = x=y \n").unwrap();
        assert_eq!((read["A"].as_str(), read["B"].as_str()), ("1", " x=y "));
        assert_eq!(env("nonsense").unwrap_err().errors()[0].field, "env");
    }

    #[test]
    fn what_is_left_as_it_is_changes_nothing() {
        let nothing: &[(&str, &str)] = &[("jobParameter", "x"), ("items", ""), ("env", "\r\n")];
        assert_eq!(overrides(&nothing.into()).unwrap(), json!({}));
        let some: &[(&str, &str)] =
            &[("other-parameter", "1"), ("jobParameter", ""), ("items", "1")];
        assert_eq!(overrides(&some.into()).unwrap(), json!({"jobParameter": "", "items": [1]}));
    }
}
