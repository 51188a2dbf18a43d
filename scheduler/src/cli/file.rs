//! Documents from files and standard input: which are apps, which are jobs, what they are called.
//! Absent: whether they are right; the scheduler says that.

use std::io::Read as _;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::CliError;

/// Where a document is.
#[derive(Debug, Args)]
pub(super) struct FileArg {
    /// The file with the JSON document, - for standard input
    #[arg(short, long, value_name = "FILE")]
    pub(super) file: String,
}

impl FileArg {
    /// The whole text.
    pub(super) fn read(&self) -> Result<String, CliError> {
        let failed = |source| CliError::File { path: self.shown(), source };
        if self.file == "-" {
            let mut text = String::new();
            std::io::stdin().lock().read_to_string(&mut text).map_err(failed)?;
            Ok(text)
        } else {
            std::fs::read_to_string(&self.file).map_err(failed)
        }
    }

    /// An error in the text.
    pub(super) fn wrong(&self, problem: impl Into<String>) -> CliError {
        CliError::Document { path: self.shown(), problem: problem.into() }
    }

    fn shown(&self) -> String {
        if self.file == "-" { "standard input".to_owned() } else { self.file.clone() }
    }
}

/// What a document describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Comes before jobs: they need their apps.
    App,
    /// Comes before jobs: they need their calendars.
    Calendar,
    /// See [`Kind::App`].
    Job,
}

impl Kind {
    /// As the API's path names it.
    pub(super) fn collection(self) -> &'static str {
        match self {
            Self::App => "apps",
            Self::Calendar => "calendars",
            Self::Job => "jobs",
        }
    }

    /// In words.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Calendar => "calendar",
            Self::Job => "job",
        }
    }

    fn name_field(self) -> &'static str {
        match self {
            Self::App => "appName",
            Self::Calendar => "calendarName",
            Self::Job => "jobName",
        }
    }
}

/// One document.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// As written: numbers keep their form.
    pub(super) text: String,
}

/// Takes one document of a kind.
pub(super) fn document(kind: Kind, text: &str) -> Result<Document, String> {
    let field = kind.name_field();
    let value: Value = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    let name = value.get(field).and_then(Value::as_str).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| format!("must be a JSON object with a text in {field}"))?;
    Ok(Document { kind, name: name.to_owned(), text: text.to_owned() })
}

/// A file of several.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bundle {
    #[serde(default)]
    apps: Vec<Box<RawValue>>,
    #[serde(default)]
    calendars: Vec<Box<RawValue>>,
    #[serde(default)]
    jobs: Vec<Box<RawValue>>,
}

/// Takes one document, an array of them, or `{"apps": […], "calendars": […], "jobs": […]}`; jobs
/// come last.
pub(super) fn documents(text: &str) -> Result<Vec<Document>, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    let mut documents = Vec::new();
    if value.is_array() {
        let items: Vec<Box<RawValue>> =
            serde_json::from_str(text).map_err(|error| not_json(&error))?;
        for (index, item) in items.iter().enumerate() {
            let kind = kind_of(&serde_json::from_str(item.get()).unwrap_or(Value::Null));
            let kind = kind.ok_or_else(|| format!("[{index}]: {NEITHER}"))?;
            let read = document(kind, item.get());
            documents.push(read.map_err(|problem| format!("[{index}]: {problem}"))?);
        }
    } else if ["apps", "calendars", "jobs"].iter().any(|kind| value.get(kind).is_some()) {
        let bundle: Bundle = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let calendars = (Kind::Calendar, bundle.calendars);
        for (kind, items) in [(Kind::App, bundle.apps), calendars, (Kind::Job, bundle.jobs)] {
            for (index, item) in items.iter().enumerate() {
                let place = |problem| format!("{}[{index}]: {problem}", kind.collection());
                documents.push(document(kind, item.get()).map_err(place)?);
            }
        }
    } else {
        documents.push(document(kind_of(&value).ok_or(NEITHER)?, text)?);
    }
    documents.sort_by_key(|document| document.kind);
    Ok(documents)
}

const NEITHER: &str =
    "is neither an app (appName) nor a calendar (calendarName) nor a job (jobName and appName)";

fn not_json(error: &serde_json::Error) -> String {
    format!("is not valid JSON: {error}")
}

fn kind_of(value: &Value) -> Option<Kind> {
    if value.get("jobName").is_some() {
        Some(Kind::Job)
    } else if value.get("calendarName").is_some() {
        Some(Kind::Calendar)
    } else {
        value.get("appName").map(|_| Kind::App)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<(Kind, String)> {
        documents(text).unwrap().into_iter().map(|read| (read.kind, read.name)).collect()
    }

    #[test]
    fn apps_come_before_jobs_in_every_form() {
        let job = r#"{"jobName": "j", "appName": "a", "cpuCount": 1.0}"#;
        let app = r#"{"appName":"a"}"#;
        let expected = vec![(Kind::App, "a".to_owned()), (Kind::Job, "j".to_owned())];
        assert_eq!(names(&format!("[{job},{app}]")), expected);
        assert_eq!(names(&format!(r#"{{"jobs":[{job}],"apps":[{app}]}}"#)), expected);
        let calendar = r#"{"calendarName":"c"}"#;
        let calendars = vec![(Kind::Calendar, "c".to_owned()), (Kind::Job, "j".to_owned())];
        assert_eq!(names(&format!("[{job},{calendar}]")), calendars);
        assert_eq!(names(&format!(r#"{{"jobs":[{job}],"calendars":[{calendar}]}}"#)), calendars);
        assert_eq!(names(app), expected[..1]);
        assert_eq!(documents(job).unwrap()[0].text, job, "kept as written");
        assert_eq!(names("[]"), []);
    }

    #[test]
    fn errors_name_the_place() {
        for (text, start) in [
            ("{", "is not valid JSON"),
            ("{}", "is neither"),
            ("3", "is neither"),
            (r#"[{"appName":"a"},{"x":1}]"#, "[1]: is neither"),
            (r#"{"apps":[{"appName":7}]}"#, "apps[0]: must be"),
            (r#"{"apps":[],"job":[]}"#, "unknown field `job`"),
        ] {
            let problem = documents(text).unwrap_err();
            assert!(problem.starts_with(start), "{text}: {problem}");
        }
        assert!(document(Kind::Job, r#"{"appName":"a"}"#).unwrap_err().contains("jobName"));
    }
}
