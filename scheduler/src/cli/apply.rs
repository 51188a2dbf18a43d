//! `shiftwork apply` and `shiftwork plan`: make what is registered as files say, or show what that would
//! change. Absent: removing what the files do not name.

use std::collections::BTreeSet;
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

/// Applies the documents, jobs last. What is refused is said and passed over: the others do not depend
/// on it, or are refused for it.
pub(super) async fn run(
    client: &Client,
    out: Output,
    args: ApplyArgs,
) -> Result<ExitCode, CliError> {
    let documents = args.files.documents()?;
    let (all, mut answers) = (documents.len(), Vec::new());
    let mut refused = Refused { count: 0 };
    let mut broken = None;
    for document in documents {
        let what = document.to_string();
        match apply(client, document).await {
            Ok((change, text)) => {
                if out == Output::Table {
                    show::done(out, "", &format!("{what} {}", change.verb()))?;
                }
                answers.push(text);
            }
            Err(source) if source.is_refusal() => refused.say(what, source),
            // Nobody answers: nobody would to the next.
            Err(source) => {
                broken = Some(CliError::Of { what, source: Box::new(source) });
                break;
            }
        }
    }
    if out.is_for_programs() {
        // Also when some were refused: the others are stored.
        output::print_json(out, &format!("[{}]", answers.join(",\n")))?;
    }
    match broken {
        Some(error) => Err(error),
        None => Ok(refused.sum_up(all, ExitCode::FAILURE)),
    }
}

/// Documents that the scheduler does not take.
struct Refused {
    count: usize,
}

impl Refused {
    /// Says why, on a line of its own.
    fn say(&mut self, what: String, source: CliError) {
        self.count += 1;
        output::complain(&CliError::Of { what, source: Box::new(source) });
    }

    /// Says how many, where that is not seen at a glance; `code` if there are any.
    fn sum_up(&self, all: usize, code: ExitCode) -> ExitCode {
        if self.count == 0 {
            return ExitCode::SUCCESS;
        }
        if all > 1 {
            output::progress(&format!("{} of {all} documents refused", self.count));
        }
        code
    }
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

/// Shows what applying would change, and what would be refused: then the exit code is 2.
pub(super) async fn plan(
    client: &Client,
    out: Output,
    args: PlanArgs,
) -> Result<ExitCode, CliError> {
    let documents = args.files.documents()?;
    let (all, mut changes) = (documents.len(), Vec::new());
    let mut counts = [0_usize; 3];
    let mut trial = Trial::default();
    let mut refused = Refused { count: 0 };
    for document in documents {
        let what = document.to_string();
        let of = |source| CliError::Of { what: what.clone(), source: Box::new(source) };
        let compared = compare(client, &document).await.map_err(of)?;
        counts[compared.change as usize] += 1;
        let refusal = trial.check(client, &document, &compared).await.map_err(of)?;
        let said = refusal.as_ref().map(ToString::to_string);
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
                "refusal": said,
            }));
        }
        if let Some(refusal) = refusal {
            refused.say(what, refusal);
        }
    }
    let [create, update, same] = counts;
    if out.is_for_programs() {
        output::print_json(out, &Value::from(changes).to_string())?;
    } else {
        let sentence = format!("{create} to create, {update} to update, {same} unchanged");
        show::done(out, "", &sentence)?;
    }
    if refused.count > 0 {
        return Ok(refused.sum_up(all, ExitCode::from(2)));
    }
    let differs = create + update > 0;
    Ok(if args.exit_code && differs { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Documents tried out, one after the other as they would be applied.
#[derive(Default)]
struct Trial {
    /// What would be there by then, as `app:shop`.
    assumed: BTreeSet<String>,
    /// Whoever may only read cannot have anything checked.
    is_forbidden: bool,
}

impl Trial {
    /// The refusal that applying a document would meet.
    async fn check(
        &mut self,
        client: &Client,
        document: &Document,
        compared: &Compared,
    ) -> Result<Option<CliError>, CliError> {
        let collection = document.kind.collection();
        let (method, path) = match compared.change {
            Change::None => return Ok(None),
            Change::Create => (Method::POST, ApiPath::of(&[collection])),
            Change::Update => (Method::PUT, ApiPath::of(&[collection, &document.name])),
        };
        if self.is_forbidden {
            return Ok(None);
        }
        let named = self.named(&compared.wanted);
        let assume = Some(named.as_str()).filter(|named| !named.is_empty());
        let path = path.with("dryRun", Some("true")).with("assume", assume);
        match client.change(method, &path, Payload::json(document.text.clone())).await {
            Ok(_) => {
                self.assumed.insert(format!("{}:{}", document.kind.noun(), document.name));
                Ok(None)
            }
            Err(error) if error.is_forbidden() => {
                self.is_forbidden = true;
                output::progress(&format!("not checked from here on: {error}"));
                Ok(None)
            }
            Err(error) if error.is_refusal() => Ok(Some(error)),
            Err(error) => Err(error),
        }
    }

    /// What a job names of what would be there by then.
    fn named(&self, wanted: &Value) -> String {
        let app = wanted["appName"].as_str().map(|name| format!("app:{name}"));
        let calendars = wanted["calendars"].as_array().into_iter().flatten();
        let calendars = calendars.filter_map(|name| Some(format!("calendar:{}", name.as_str()?)));
        let named: Vec<String> =
            app.into_iter().chain(calendars).filter(|one| self.assumed.contains(one)).collect();
        named.join(",")
    }
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
    fn a_job_is_tried_with_what_would_be_there() {
        let assumed = ["app:shop", "calendar:off", "calendar:other"].map(str::to_owned).into();
        let trial = Trial { assumed, is_forbidden: false };
        let job = |app: &str| json!({"appName": app, "calendars": ["off", "new"]});
        assert_eq!(trial.named(&job("shop")), "app:shop,calendar:off");
        assert_eq!(trial.named(&job("none")), "calendar:off");
        assert_eq!(trial.named(&json!({"appName": "shop"})), "app:shop");
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
