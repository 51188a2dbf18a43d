//! `shiftwork apply` and `shiftwork plan`: make what is registered as files say, or show what that would
//! change. Absent: removing what the files do not name.

use std::process::ExitCode;

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};
use similar::TextDiff;

use super::client::{Answer, ApiPath, Client, Payload};
use super::error::CliError;
use super::file::{Document, FilesArg};
use super::output::{self, Output};
use super::show;

/// Lines around a change that are shown.
const CONTEXT_LINES: usize = 3;

/// What to apply.
#[derive(Debug, Clone, Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    files: FilesArg,
}

/// What to compare.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    files: FilesArg,
    /// Exit with 1 if anything would change
    #[arg(long)]
    exit_code: bool,
}

/// What applying a document comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Create,
    Update,
    None,
}

impl Change {
    fn verb(self) -> &'static str {
        match self {
            Self::Create => "created",
            Self::Update => "updated",
            Self::None => "unchanged",
        }
    }
}

/// What is registered under a document's name, and what applying it comes to.
struct Compared {
    registered: Option<Value>,
    wanted: Value,
    change: Change,
}

async fn compare(client: &Client, document: &Document) -> Result<Compared, CliError> {
    let path = ApiPath::of(&[document.kind.collection(), &document.name]);
    let registered = match client.get(&path).await {
        Ok(answer) => {
            let view: Value = client.parse(answer.get())?;
            Some(view.get("document").cloned().unwrap_or_default())
        }
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error),
    };
    let wanted: Value = client.parse(&document.text)?;
    let change = match &registered {
        None => Change::Create,
        Some(registered) if *registered == as_stored(&wanted, registered) => Change::None,
        Some(_) => Change::Update,
    };
    Ok(Compared { registered, wanted, change })
}

/// A document as it is stored beside one that is registered: what counts from registration counts from
/// the first one.
fn as_stored(wanted: &Value, registered: &Value) -> Value {
    let mut stored = wanted.clone();
    let Some(members) = stored.as_object_mut() else { return stored };
    if members.contains_key("every")
        && !members.contains_key("startAt")
        && let Some(start) = registered.get("startAt")
    {
        members.insert("startAt".to_owned(), start.clone());
    }
    if let Some(at) = registered.get("at")
        && members.remove("delay").is_some()
    {
        members.insert("at".to_owned(), at.clone());
    }
    stored
}

/// Applies the documents, jobs last, and stops at the first that is refused.
pub(super) async fn run(client: &Client, out: Output, args: ApplyArgs) -> Result<(), CliError> {
    let mut answers = Vec::new();
    let mut refused = None;
    for document in args.files.documents()? {
        let what = format!("{} {}", document.kind.noun(), document.name);
        match apply(client, document).await {
            Ok((change, text)) => {
                if out == Output::Table {
                    show::done(out, "", &format!("{what} {}", change.verb()))?;
                }
                answers.push(text);
            }
            Err(source) => {
                refused = Some(CliError::Of { what, source: Box::new(source) });
                break;
            }
        }
    }
    if out.is_for_programs() {
        // Also when one was refused: those before it are stored.
        output::print_json(out, &format!("[{}]", answers.join(",\n")))?;
    }
    refused.map_or(Ok(()), Err)
}

/// Updates what differs, and creates what is not there.
async fn apply(client: &Client, document: Document) -> Result<(Change, String), CliError> {
    let collection = document.kind.collection();
    let compared = compare(client, &document).await?;
    let (method, path) = match compared.change {
        Change::None => {
            let path = ApiPath::of(&[collection, &document.name]);
            return Ok((Change::None, client.get(&path).await?.get().to_owned()));
        }
        Change::Create => (Method::POST, ApiPath::of(&[collection])),
        Change::Update => (Method::PUT, ApiPath::of(&[collection, &document.name])),
    };
    let answer: Answer = client.change(method, &path, Payload::json(document.text)).await?;
    Ok((compared.change, answer.text))
}

/// Shows what applying would change.
pub(super) async fn plan(
    client: &Client,
    out: Output,
    args: PlanArgs,
) -> Result<ExitCode, CliError> {
    let mut changes = Vec::new();
    let mut counts = [0_usize; 3];
    for document in args.files.documents()? {
        let what = format!("{} {}", document.kind.noun(), document.name);
        let compared = compare(client, &document)
            .await
            .map_err(|source| CliError::Of { what: what.clone(), source: Box::new(source) })?;
        counts[compared.change as usize] += 1;
        if out == Output::Table {
            if compared.change != Change::None {
                output::print(&difference(&what, &compared))?;
            }
        } else {
            changes.push(json!({
                "kind": document.kind.noun(),
                "name": document.name,
                "change": compared.change.verb(),
                "registered": compared.registered,
                "wanted": compared.wanted,
            }));
        }
    }
    let [create, update, same] = counts;
    if out.is_for_programs() {
        output::print_json(out, &Value::from(changes).to_string())?;
    } else {
        let sentence = format!("{create} to create, {update} to update, {same} unchanged");
        show::done(out, "", &sentence)?;
    }
    let differs = create + update > 0;
    Ok(if args.exit_code && differs { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The change as a unified diff of indented JSON, members in the order of their names.
fn difference(what: &str, compared: &Compared) -> String {
    let text = |value: &Value| format!("{value:#}\n");
    let before = compared.registered.as_ref().map(text).unwrap_or_default();
    let after = text(&compared.wanted);
    let diff = TextDiff::from_lines(&before, &after);
    let before_name = match compared.registered {
        Some(_) => format!("{what}, registered"),
        None => "nothing".to_owned(),
    };
    let lines = diff
        .unified_diff()
        .context_radius(CONTEXT_LINES)
        .header(&before_name, &format!("{what}, wanted"))
        .to_string();
    lines.trim_end().lines().map(output::plain).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(registered: Option<Value>, wanted: Value) -> Compared {
        Compared { registered, wanted, change: Change::Update }
    }

    #[test]
    fn what_counts_from_registration_is_no_change() {
        let same = |wanted: Value, registered: Value| as_stored(&wanted, &registered) == registered;
        let start = "2026-11-20T02:00:00Z";
        assert!(same(json!({"every": "1m"}), json!({"every": "1m", "startAt": start})));
        assert!(same(json!({"delay": "2s"}), json!({"at": start})));
        assert!(!same(json!({"every": "2m"}), json!({"every": "1m", "startAt": start})));
        let later = "2026-11-21T02:00:00Z";
        let wanted = json!({"every": "1m", "startAt": later});
        assert!(!same(wanted, json!({"every": "1m", "startAt": start})));
        assert!(!same(json!({"delay": "2s"}), json!({"cron": "* * * * * ?"})));
    }

    #[test]
    fn a_change_is_shown_by_its_lines() {
        let registered = json!({"jobName": "j", "cron": "0 0 1 * * ?", "cpuCount": 1.0});
        let wanted = json!({"cpuCount": 1.0, "jobName": "j", "cron": "0 0 2 * * ?"});
        assert_eq!(
            difference("job j", &compared(Some(registered), wanted)),
            "--- job j, registered\n+++ job j, wanted\n@@ -1,5 +1,5 @@\n {\n   \"cpuCount\": 1.0,\n\
             -  \"cron\": \"0 0 1 * * ?\",\n+  \"cron\": \"0 0 2 * * ?\",\n   \"jobName\": \"j\"\n }"
        );
        let text = difference("app a", &compared(None, json!({"appName": "a"})));
        assert!(text.starts_with("--- nothing\n+++ app a, wanted\n"), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("-  ")), "{text}");
    }
}
