//! The app document: a deployable package and the resources of its executor.

use std::collections::BTreeMap;

use super::reader::{Reader, source};
use super::{FieldError, Source, Strictness};
use crate::ids::AppName;
use crate::resources::{Demand, Milli};

/// Default command that starts an executor: the one this project ships.
pub(super) const BOOTSTRAP_SCRIPT_DEFAULT: &str = "shiftwork-executor";

/// An idle executor leaves after this long, milliseconds.
const IDLE_TIMEOUT_DEFAULT_MS: u64 = 10 * 60 * 1000;

/// A checked app document.
#[derive(Debug, Clone)]
pub struct App {
    /// Unique key.
    pub name: AppName,
    /// Package that the agent's fetcher puts into the sandbox; empty for none.
    pub app_url: String,
    /// Further packages or files for the fetcher.
    pub uris: Vec<String>,
    /// Shell command that starts the executor.
    pub bootstrap_script: String,
    /// Resources of the executor process itself.
    pub demand: Demand,
    /// Whether the fetcher may cache the package.
    pub app_cache_enable: bool,
    /// DAEMON: one firing in N is reported; 0 reports each.
    pub event_trace_sampling_count: u32,
    /// Environment of the executor.
    pub env: BTreeMap<String, String>,
    /// An executor without tasks leaves after this long, milliseconds; 0 means never.
    pub idle_timeout_ms: u64,
    /// The document as stored.
    pub source: Source,
}

impl App {
    /// Checks a document.
    ///
    /// # Errors
    /// Every field that is wrong, with what is wrong.
    pub fn parse(text: &[u8], strictness: Strictness) -> Result<Self, Vec<FieldError>> {
        let mut reader = Reader::parse(text)?;
        let app = read(&mut reader, text, strictness);
        reader.finish(strictness, app)
    }
}

fn read(reader: &mut Reader, text: &[u8], strictness: Strictness) -> Option<App> {
    let name = reader.required("appName").and_then(|name| match AppName::parse(&name) {
        Ok(name) => Some(name),
        Err(error) => {
            reader.error("appName", error.to_string());
            None
        }
    });
    let app_url = reader.string("appURL").unwrap_or_default();
    let uris = read_uris(reader);
    let bootstrap_script = reader
        .string("bootstrapScript")
        .filter(|script| !script.trim().is_empty())
        .unwrap_or_else(|| BOOTSTRAP_SCRIPT_DEFAULT.to_owned());
    let cpus = read_amount(reader, "cpuCount", 1.0, 0.0);
    let mem = read_amount(reader, "memoryMB", 128.0, 0.0);
    let app_cache_enable = reader.boolean("appCacheEnable", true);
    let event_trace_sampling_count =
        reader.integer("eventTraceSamplingCount", 0, u32::MAX).unwrap_or(0);
    let env = read_env(reader);
    let idle_timeout_ms = reader.duration("idleTimeout").unwrap_or(IDLE_TIMEOUT_DEFAULT_MS);
    reader.strings("labels");
    reader.ignore(&["description"]);
    if strictness == Strictness::Request {
        reader.refuse(&["runAs"]);
    }
    Some(App {
        name: name?,
        app_url,
        uris,
        bootstrap_script,
        demand: Demand { cpus: cpus?, mem: mem?, ..Demand::default() },
        app_cache_enable,
        event_trace_sampling_count,
        env,
        idle_timeout_ms,
        source: source(text)?,
    })
}

/// Addresses for the fetcher.
pub(super) fn read_uris(reader: &mut Reader) -> Vec<String> {
    let Some(value) = reader.take("uris") else {
        return Vec::new();
    };
    if let Ok(uris) = serde_json::from_value(value) {
        uris
    } else {
        reader.error("uris", "must be a list of strings");
        Vec::new()
    }
}

/// An amount of a resource, at least `min`.
pub(super) fn read_amount(
    reader: &mut Reader,
    name: &str,
    default: f64,
    min: f64,
) -> Option<Milli> {
    let number = reader.number(name).unwrap_or(default);
    match Milli::from_f64(number) {
        Some(amount) if number >= min => Some(amount),
        _ => {
            reader.error(
                name,
                format!("must be a number of at least {min} and at most 10^12, is {number}"),
            );
            None
        }
    }
}

/// Environment variables: names that a shell can hold, values without NUL.
pub(super) fn read_env(reader: &mut Reader) -> BTreeMap<String, String> {
    let env = reader.strings("env");
    for (name, value) in &env {
        let field = format!("env.{name}");
        if name.is_empty() || name.contains(['=', '\0']) {
            reader.error(&field, "a variable's name must not be empty nor hold '=' or NUL");
        }
        if value.contains('\0') {
            reader.error(&field, "must not hold NUL");
        }
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_elastic_job_cloud() {
        let app = App::parse(br#"{"appName":"foo"}"#, Strictness::Request).unwrap();
        assert_eq!(app.demand.cpus, Milli(1000));
        assert_eq!(app.demand.mem, Milli(128_000));
        assert_eq!(app.bootstrap_script, BOOTSTRAP_SCRIPT_DEFAULT);
    }

    #[test]
    fn every_wrong_field_is_named() {
        let text =
            br#"{"appName":"a/b","cpuCount":-1,"memoryMB":"x","colour":"red","env":{"A":1}}"#;
        let errors = App::parse(text, Strictness::Request).unwrap_err();
        let fields: Vec<&str> = errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(
            fields,
            ["appName", "cpuCount", "memoryMB", "env.A", "colour"]
                .into_iter()
                .filter(|f| fields.contains(f))
                .collect::<Vec<_>>()
        );
        assert_eq!(fields.len(), 5);
    }

    #[test]
    fn numbers_may_come_as_strings_and_stored_documents_keep_unknown_fields() {
        let text = br#"{"appName":"foo","cpuCount":"0.1","colour":"red"}"#;
        let app = App::parse(text, Strictness::Stored).unwrap();
        assert_eq!(app.demand.cpus, Milli(100));
        assert!(app.source.get().contains("colour"));
    }
}
