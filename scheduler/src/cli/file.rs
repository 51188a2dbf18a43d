//! Documents from files and standard input: which are apps, which are jobs, what they are called.
//! Absent: whether they are right; the scheduler says that.

mod form;

use std::collections::BTreeSet;
use std::io::Read as _;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::CliError;

/// Where a document is.
#[derive(Debug, Clone, Args)]
pub(super) struct FileArg {
    /// The file with the document as JSON or YAML, - for standard input
    #[arg(short, long, value_name = "FILE")]
    pub(super) file: String,
}

impl FileArg {
    /// The one document in it, as JSON.
    pub(super) fn read(&self) -> Result<String, CliError> {
        let mut texts = form::json_texts(&self.file, read(&self.file)?)
            .map_err(|problem| self.wrong(problem))?;
        match (texts.pop(), texts.is_empty()) {
            (Some(text), true) => Ok(text),
            _ => Err(self.wrong("must hold one document: apply takes several")),
        }
    }

    /// An error in the text.
    pub(super) fn wrong(&self, problem: impl Into<String>) -> CliError {
        CliError::Document { path: shown(&self.file), problem: problem.into() }
    }
}

/// Where documents are.
#[derive(Debug, Clone, Args)]
pub(super) struct FilesArg {
    /// A file with documents as JSON or YAML, a directory of such files, or - for standard input; may
    /// be repeated. A file holds a document, several, or {"apps":[…],"calendars":[…],"jobs":[…]}
    #[arg(short, long, value_name = "FILE", required = true)]
    file: Vec<String>,
}

impl FilesArg {
    /// All of them: apps first, then calendars, then jobs, each kind in the order it was found.
    pub(super) fn documents(&self) -> Result<Vec<Document>, CliError> {
        let mut all: Vec<Document> = Vec::new();
        for file in &self.file {
            for path in files(file)? {
                let wrong = |problem| CliError::Document { path: shown(&path), problem };
                for text in form::json_texts(&path, read(&path)?).map_err(wrong)? {
                    all.extend(documents(&text).map_err(wrong)?);
                }
            }
        }
        all.sort_by_key(|document| document.kind);
        let mut seen = BTreeSet::new();
        if let Some(twice) = all.iter().find(|it| !seen.insert((it.kind, it.name.clone()))) {
            let what = format!("{} {}", twice.kind.noun(), twice.name);
            return Err(CliError::Usage(format!("{what} is given twice: leave one out")));
        }
        Ok(all)
    }
}

/// The files of an argument: those of a directory that documents may be in, by their names.
fn files(given: &str) -> Result<Vec<String>, CliError> {
    let failed = |source| CliError::File { path: given.to_owned(), source };
    if given == "-" || !std::fs::metadata(given).map_err(failed)?.is_dir() {
        return Ok(vec![given.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(given).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let known = path.extension().and_then(|extension| extension.to_str());
        if path.is_file() && known.is_some_and(|extension| form::EXTENSIONS.contains(&extension)) {
            files.push(path.to_string_lossy().into_owned());
        }
    }
    if files.is_empty() {
        let problem = format!("holds no file that ends in .{}", form::EXTENSIONS.join(", ."));
        return Err(CliError::Document { path: given.to_owned(), problem });
    }
    files.sort();
    Ok(files)
}

fn read(path: &str) -> Result<String, CliError> {
    let failed = |source| CliError::File { path: shown(path), source };
    if path == "-" {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).map_err(failed)?;
        return Ok(text);
    }
    std::fs::read_to_string(path).map_err(failed)
}

fn shown(path: &str) -> String {
    if path == "-" { "standard input".to_owned() } else { path.to_owned() }
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

    /// The field that names it.
    pub(super) fn name_field(self) -> &'static str {
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

impl std::fmt::Display for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind.noun(), self.name)
    }
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
    } else if let Some(kind) = kind_of(&value) {
        // Asked first: a job has a field `calendars`, too.
        documents.push(document(kind, text)?);
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
        return Err(NEITHER.to_owned());
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
        let with_calendars = r#"{"jobName": "j", "appName": "a", "calendars": ["c"]}"#;
        assert_eq!(names(with_calendars), [(Kind::Job, "j".to_owned())]);
        let calendar = r#"{"calendarName":"c"}"#;
        let calendars = vec![(Kind::Calendar, "c".to_owned()), (Kind::Job, "j".to_owned())];
        assert_eq!(names(&format!("[{job},{calendar}]")), calendars);
        assert_eq!(names(&format!(r#"{{"jobs":[{job}],"calendars":[{calendar}]}}"#)), calendars);
        assert_eq!(names(app), expected[..1]);
        assert_eq!(documents(job).unwrap()[0].text, job, "kept as written");
        assert_eq!(names("[]"), []);
    }

    #[test]
    fn a_directory_is_all_files_that_may_hold_documents() {
        let directory = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).unwrap();
        };
        put("b.json", r#"{"jobName":"j","appName":"a"}"#);
        put("a.yaml", "jobName: k\nappName: a\n---\nappName: a\n");
        put("README.md", "no document");
        let files = FilesArg { file: vec![directory.path().to_string_lossy().into_owned()] };
        let found: Vec<_> = files.documents().unwrap().into_iter().map(|it| it.name).collect();
        assert_eq!(found, ["a", "k", "j"]);
        put("c.json", r#"{"jobName":"j","appName":"a"}"#);
        let twice = files.documents().unwrap_err().to_string();
        assert!(twice.contains("job j is given twice"), "{twice}");
        put("c.json", "{");
        let wrong = files.documents().unwrap_err().to_string();
        assert!(wrong.contains("c.json: is not valid JSON"), "{wrong}");
        let empty = tempfile::tempdir().unwrap();
        let files = FilesArg { file: vec![empty.path().to_string_lossy().into_owned()] };
        assert!(files.documents().unwrap_err().to_string().contains("holds no file"));
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
