//! Job documents of Elastic-Job-Cloud, from both generations to ours. Absent: the way back
//! (`job_answer.rs`), and whether a document is right; beyond the checks whose messages clients know,
//! the engine says so.

use axum::body::Bytes;
use serde_json::{Map, Value};

use super::dialect::Dialect;

/// The fields both generations know.
const COMMON: [&str; 12] = [
    "jobName",
    "appName",
    "jobExecutionType",
    "cron",
    "shardingTotalCount",
    "cpuCount",
    "memoryMB",
    "shardingItemParameters",
    "jobParameter",
    "failover",
    "misfire",
    "description",
];

/// What 2.x knows beside them.
const OF_V2: [&str; 7] = [
    "jobClass",
    "jobType",
    "jobProperties",
    "streamingProcess",
    "scriptCommandLine",
    "beanName",
    "applicationContext",
];

/// What 3.x knows beside them.
const OF_V3: [&str; 9] = [
    "monitorExecution",
    "maxTimeDiffSeconds",
    "reconcileIntervalMinutes",
    "jobShardingStrategyType",
    "jobExecutorServiceHandlerType",
    "jobErrorHandlerType",
    "props",
    "disabled",
    "overwrite",
];

/// What neither has a word for. A change in their words leaves it as it is. The schedules beside cron
/// are not among them: a change names a cron, and a job has one schedule.
const EXTENSIONS: [&str; 26] = [
    "timeZone",
    "calendars",
    "jitter",
    "startAfter",
    "endBefore",
    "concurrency",
    "priority",
    "retry",
    "timeout",
    "queueTimeout",
    "killGracePeriod",
    "constraints",
    "diskMB",
    "gpuCount",
    "ports",
    "env",
    "labels",
    "placement",
    "onUnreachable",
    "runAs",
    "limits",
    "http",
    "executor",
    "contextArgument",
    "uris",
    "container",
];

/// A document as a client sent it.
#[derive(Debug)]
pub(super) struct Document(Map<String, Value>);

// === reading documents ===

/// The members of a stored document; none if it is no object.
pub(super) fn object(document: &str) -> Map<String, Value> {
    serde_json::from_str(document).unwrap_or_default()
}

/// A text, empty where there is none.
pub(super) fn text(document: &Map<String, Value>, name: &str) -> String {
    document.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A number, which may stand in a string.
pub(super) fn number(document: &Map<String, Value>, name: &str) -> Option<f64> {
    match document.get(name)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

/// A flag.
pub(super) fn boolean(document: &Map<String, Value>, name: &str, default: bool) -> bool {
    document.get(name).and_then(Value::as_bool).unwrap_or(default)
}

/// Takes over what a change could not have said.
pub(super) fn keep_extensions(
    document: &mut Map<String, Value>,
    stored: &Map<String, Value>,
    extensions: &[&str],
) {
    for name in extensions {
        if let (false, Some(value)) = (document.contains_key(*name), stored.get(*name)) {
            document.insert((*name).to_owned(), value.clone());
        }
    }
}

// === impl Document ===

impl Document {
    /// Reads a body.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(body: &Bytes) -> Result<Self, String> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            Ok(_) => Err("The document must be a JSON object.".to_owned()),
            Err(error) => Err(format!("The document is not valid JSON: {error}")),
        }
    }

    /// The members among these fields: others were always skipped, and `null` was as good as none.
    pub(super) fn with_fields(self, fields: &[&str]) -> Map<String, Value> {
        let known = |name: &str| fields.contains(&name);
        self.0.into_iter().filter(|(name, value)| known(name) && !value.is_null()).collect()
    }

    /// The job in our words.
    ///
    /// # Errors
    /// What is wrong with it, in the words of the Java system.
    pub(super) fn into_job(self, dialect: Dialect) -> Result<Map<String, Value>, String> {
        let fields = [&COMMON[..], &OF_V2, &OF_V3, &EXTENSIONS].concat();
        let mut job = self.with_fields(&fields);
        check(&job, dialect)?;
        if !job.contains_key("jobType") {
            work_of_props(&mut job);
        }
        Ok(job)
    }
}

/// The checks of 2.x in its order and words. 3.x checks nothing until it launches, where what is
/// wrong stops every job: it gets the same checks, but those of fields it does not have.
fn check(job: &Map<String, Value>, dialect: Dialect) -> Result<(), String> {
    let missing = |name: &str| text(job, name).trim().is_empty();
    let refuse = |message: &str| Err(message.to_owned());
    if missing("jobName") {
        return refuse("jobName can not be empty.");
    }
    if missing("cron") {
        return refuse("cron can not be empty.");
    }
    if number(job, "shardingTotalCount").is_none_or(|count| count < 1.0) {
        return refuse("shardingTotalCount should larger than zero.");
    }
    if dialect == Dialect::V2 {
        if missing("jobType") {
            return refuse("jobType cannot be null.");
        }
        if text(job, "jobType") != "SCRIPT" && missing("jobClass") {
            return refuse("jobClass cannot be empty.");
        }
    }
    if missing("appName") {
        return refuse("appName cannot be null.");
    }
    match number(job, "cpuCount") {
        None => return refuse("cpuCount cannot be null."),
        Some(count) if count < 0.001 => return refuse("cpuCount cannot be less than 0.001"),
        Some(_) => {}
    }
    match number(job, "memoryMB") {
        None => return refuse("memoryMB cannot be null."),
        Some(size) if size < 1.0 => return refuse("memory cannot be less than 1"),
        Some(_) => {}
    }
    if missing("jobExecutionType") {
        return refuse("jobExecutionType cannot be null.");
    }
    Ok(())
}

/// In 3.x the app's executor knows what its job is: here by the job's name, unless the properties
/// tell that it is a script or a request.
fn work_of_props(job: &mut Map<String, Value>) {
    let props = job.get("props").and_then(Value::as_object);
    let has = |name: &str| props.is_some_and(|props| props.contains_key(name));
    let streams = props.and_then(|props| props.get("streaming.process")).and_then(Value::as_str);
    let kind = if has("script.command.line") {
        "SCRIPT"
    } else if has("http.uri") {
        "HTTP"
    } else if streams == Some("true") {
        "DATAFLOW"
    } else {
        "SIMPLE"
    };
    if matches!(kind, "SIMPLE" | "DATAFLOW") && !job.contains_key("jobClass") {
        job.insert("jobClass".to_owned(), Value::from(text(job, "jobName")));
    }
    job.insert("jobType".to_owned(), Value::from(kind));
}

/// Takes over from the stored job what a change in their words could not have said.
pub(super) fn keep_job_extensions(job: &mut Map<String, Value>, stored: &Map<String, Value>) {
    keep_extensions(job, stored, &EXTENSIONS);
    // Their misfire is a flag: one that says what the stored policy comes to leaves that.
    if stored.get("misfire").is_some_and(Value::is_object)
        && boolean(job, "misfire", false) == accumulates(stored)
    {
        job.remove("misfire");
        keep_extensions(job, stored, &["misfire"]);
    }
}

/// Whether every missed firing gets its run.
pub(super) fn accumulates(document: &Map<String, Value>) -> bool {
    match document.get("misfire") {
        Some(Value::Object(policy)) => policy.get("policy").is_some_and(|policy| policy == "all"),
        Some(Value::Bool(flag)) => *flag,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
