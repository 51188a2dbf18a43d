//! What a shard runs: a script, an HTTP request, a job registered in the app's own executor. Nothing
//! here knows how any of them is run.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Strictness;
use super::reader::Reader;

/// What a shard runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// A command line for the shell.
    Script {
        /// As written in the document.
        command_line: String,
    },
    /// A request; its answer decides.
    Http(HttpWork),
    /// A job that the app's own executor has registered.
    Class {
        /// The name it is registered under.
        name: String,
        /// How it runs.
        style: ClassStyle,
    },
}

/// A request to make.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HttpWork {
    /// Where to, `http://...` or `https://...`.
    pub uri: String,
    /// As `GET`.
    pub method: String,
    /// Beside the sharding context.
    pub headers: BTreeMap<String, String>,
    /// Empty for none.
    pub body: String,
    /// Until a connection stands, milliseconds; `None` is the executor's default.
    pub connect_timeout_ms: Option<u64>,
    /// Between two pieces of the answer, milliseconds; `None` is the executor's default.
    pub read_timeout_ms: Option<u64>,
    /// Good answers, from first to last code; none is every status below 400.
    pub success: Vec<(u16, u16)>,
}

/// How a registered job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassStyle {
    /// It is executed.
    Simple,
    /// It fetches and processes, once or until there is nothing more.
    Dataflow {
        /// Until there is nothing more.
        streaming: bool,
    },
}

/// Methods a request may have; CONNECT and TRACE are for proxies and tests of them.
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];

/// The longest name of a user; Linux' own limit.
const USER_NAME_LEN_MAX: usize = 32;

/// How the URI of a request begins.
const SCHEMES: [&str; 2] = ["http://", "https://"];

/// Reads what a job runs. `jobType` names it; without one, whatever else the document says does.
pub(super) fn read_work(reader: &mut Reader, strictness: Strictness) -> Option<Work> {
    let job_type = reader.string("jobType");
    let mut props = reader.strings("props");
    let command_line =
        reader.string("scriptCommandLine").or_else(|| props.remove("script.command.line"));
    let http = reader.object("http", strictness, read_http);
    let is_http = http.is_some() || props.contains_key("http.uri");
    match job_type.as_deref() {
        Some("HTTP") => read_request(reader, http, props),
        None if is_http && command_line.is_none() => read_request(reader, http, props),
        None | Some("SCRIPT") => {
            if http.is_some() {
                reader.error("http", "is not for a script: set jobType to HTTP or leave it out");
            }
            read_script(reader, command_line)
        }
        Some("SIMPLE") => read_class(reader, ClassStyle::Simple),
        Some("DATAFLOW") => {
            let streaming = reader.boolean("streamingProcess", false)
                || props.get("streaming.process").is_some_and(|text| text == "true");
            read_class(reader, ClassStyle::Dataflow { streaming })
        }
        Some(other) => {
            let types = "SCRIPT, HTTP, SIMPLE or DATAFLOW";
            reader.error("jobType", format!("must be {types}, is {other:?}"));
            None
        }
    }
}

fn read_script(reader: &mut Reader, command_line: Option<String>) -> Option<Work> {
    match command_line {
        Some(text) if !text.trim().is_empty() && !text.contains('\0') => {
            Some(Work::Script { command_line: text })
        }
        _ => {
            reader.error("scriptCommandLine", "is required: the command line of the script");
            None
        }
    }
}

fn read_class(reader: &mut Reader, style: ClassStyle) -> Option<Work> {
    if let Some(name) = reader.string("jobClass").filter(|name| !name.trim().is_empty()) {
        return Some(Work::Class { name, style });
    }
    reader.error("jobClass", "is required: the name the app's executor registers the job under");
    None
}

/// The request of a document, from either of its forms.
fn read_request(
    reader: &mut Reader,
    http: Option<HttpWork>,
    props: BTreeMap<String, String>,
) -> Option<Work> {
    let (prefix, request) = match http {
        Some(request) => ("http", request),
        // Whoever wrote nothing of the request is told of the form that documents have now.
        None if !props.keys().any(|name| name.starts_with("http.")) => {
            reader.error("http.uri", "is required: http://host:port/path");
            return None;
        }
        None => ("props.http", read_props(reader, props)),
    };
    check(reader, prefix, &request).then_some(Work::Http(request))
}

/// Elastic-Job-Cloud's form.
fn read_props(reader: &mut Reader, mut props: BTreeMap<String, String>) -> HttpWork {
    let mut millis = |name: &str| {
        let text = props.remove(name)?;
        let millis = text.trim().parse().ok();
        if millis.is_none() {
            reader.error(&format!("props.{name}"), format!("must be milliseconds, is {text:?}"));
        }
        millis
    };
    let connect_timeout_ms = millis("http.connect.timeout.milliseconds");
    let read_timeout_ms = millis("http.read.timeout.milliseconds");
    let mut text = |name: &str| props.remove(name).unwrap_or_default();
    let content_type = Some(text("http.content.type")).filter(|text| !text.is_empty());
    HttpWork {
        uri: text("http.uri"),
        method: text("http.method").trim().to_ascii_uppercase(),
        headers: content_type.map(|text| ("content-type".to_owned(), text)).into_iter().collect(),
        body: text("http.data"),
        connect_timeout_ms,
        read_timeout_ms,
        success: Vec::new(),
    }
}

/// The user a script runs as; only scripts are processes of their own.
pub(super) fn read_run_as(reader: &mut Reader, work: Option<&Work>) -> Option<String> {
    let name = reader.string("runAs")?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > USER_NAME_LEN_MAX || !name.chars().all(is_plain) {
        reader.error("runAs", format!("must be the name of a user, is {name:?}"));
    } else if work.is_some_and(|work| !matches!(work, Work::Script { .. })) {
        reader.error("runAs", "is for scripts only: other work runs within the app's executor");
    }
    Some(name)
}

/// Whether the context is appended to the command line, which is what scripts of Elastic-Job-Cloud
/// expect, and what `sleep 5` does not.
pub(super) fn read_context_argument(reader: &mut Reader, work: Option<&Work>) -> bool {
    const FIELD: &str = "contextArgument";
    let given = reader.take(FIELD);
    if given.is_some() && work.is_some_and(|work| !matches!(work, Work::Script { .. })) {
        reader.error(FIELD, "is for scripts only: other work has no command line");
        return true;
    }
    if let Some(value) = given {
        reader.put(FIELD, value);
    }
    reader.boolean(FIELD, true)
}

/// Our own form.
fn read_http(reader: &mut Reader) -> HttpWork {
    HttpWork {
        uri: reader.string("uri").unwrap_or_default(),
        method: reader.string("method").unwrap_or_else(|| "GET".to_owned()).to_ascii_uppercase(),
        headers: reader.strings("headers"),
        body: reader.string("body").unwrap_or_default(),
        connect_timeout_ms: reader.duration("connectTimeout"),
        read_timeout_ms: reader.duration("readTimeout"),
        success: read_success(reader),
    }
}

fn read_success(reader: &mut Reader) -> Vec<(u16, u16)> {
    let list = match reader.take("success") {
        None => return Vec::new(),
        Some(Value::Array(list)) => list,
        Some(other) => vec![other],
    };
    let mut ranges = Vec::new();
    for value in list {
        let range = match &value {
            Value::Number(code) => {
                code.as_u64().and_then(|code| u16::try_from(code).ok()).map(|code| (code, code))
            }
            Value::String(text) => parse_range(text),
            _ => None,
        };
        match range {
            Some((first, last))
                if (100..=599).contains(&first) && (first..=599).contains(&last) =>
            {
                ranges.push((first, last));
            }
            _ => reader.error(
                "success",
                format!(
                    "must hold status codes from 100 to 599 or ranges like \"200-299\", not {value}"
                ),
            ),
        }
    }
    ranges
}

fn parse_range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
}

/// Whether the request can be made; says what cannot.
fn check(reader: &mut Reader, prefix: &str, request: &HttpWork) -> bool {
    let mut is_good = true;
    let mut wrong = |field: &str, message: String| {
        reader.error(&format!("{prefix}.{field}"), message);
        is_good = false;
    };
    let uri = request.uri.trim();
    let rest = SCHEMES.iter().find_map(|known| {
        let (scheme, rest) = uri.split_at_checked(known.len())?;
        scheme.eq_ignore_ascii_case(known).then_some(rest)
    });
    match rest {
        _ if uri.is_empty() => wrong("uri", "is required: http://host:port/path".to_owned()),
        None => wrong("uri", format!("must begin with http:// or https://, is {uri:?}")),
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            wrong("uri", format!("names no host: {uri:?}"));
        }
        Some(rest) if rest.chars().any(|c| c.is_whitespace() || c.is_control()) => {
            wrong("uri", format!("must not hold spaces, is {uri:?}: write them as %20"));
        }
        Some(_) => {}
    }
    if !METHODS.contains(&request.method.as_str()) {
        let methods = METHODS.join(", ");
        wrong("method", format!("must be one of {methods}, is {:?}", request.method));
    }
    for (name, value) in &request.headers {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(is_token) {
            wrong("headers", format!("{name:?} is no name of a header"));
        }
        if !value.chars().all(|c| matches!(c, ' '..='~' | '\t')) {
            wrong("headers", format!("the value of {name} must be visible ASCII"));
        }
    }
    is_good
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{FieldError, Job};

    fn work(extra: &str) -> Result<Work, Vec<FieldError>> {
        let text = format!(
            r#"{{"jobName":"foo","appName":"app","jobExecutionType":"TRANSIENT",
            "shardingTotalCount":3,"cpuCount":0.1,"memoryMB":64,{extra}}}"#
        );
        let zone = shiftwork_schedule::Zone::utc();
        Job::parse(text.as_bytes(), Strictness::Request, &zone).map(|job| job.work)
    }

    fn fields(extra: &str) -> Vec<String> {
        work(extra).unwrap_err().into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn requests_of_elastic_job_cloud_are_taken() {
        let expected = HttpWork {
            uri: "http://h/x".to_owned(),
            method: "POST".to_owned(),
            headers: [("content-type".to_owned(), "text/plain".to_owned())].into(),
            body: "a=b".to_owned(),
            connect_timeout_ms: Some(1000),
            read_timeout_ms: None,
            success: Vec::new(),
        };
        let props = r#""props":{"http.uri":"http://h/x","http.method":"post","http.data":"a=b",
            "http.connect.timeout.milliseconds":"1000","http.content.type":"text/plain"}"#;
        for job_type in ["", r#""jobType":"HTTP","#] {
            let extra = format!("{job_type}{props}");
            assert_eq!(work(&extra), Ok(Work::Http(expected.clone())));
        }
        assert!(work(r#""http":{"uri":"HTTPS://h/x"}"#).is_ok());
    }

    #[test]
    fn our_own_form_says_what_is_good() {
        let Ok(Work::Http(http)) = work(
            r#""http":{"uri":"http://h:1/","headers":{"X-A":"b"},"readTimeout":"2s",
            "success":[200,"202-204"]}"#,
        ) else {
            panic!("not a request")
        };
        assert_eq!((http.method.as_str(), http.read_timeout_ms), ("GET", Some(2000)));
        assert_eq!(http.success, [(200, 200), (202, 204)]);
    }

    #[test]
    fn registered_jobs_are_named_by_their_class() {
        let class = |name: &str, style| Ok(Work::Class { name: name.to_owned(), style });
        assert_eq!(work(r#""jobType":"SIMPLE","jobClass":"w""#), class("w", ClassStyle::Simple));
        let streaming = ClassStyle::Dataflow { streaming: true };
        assert_eq!(
            work(r#""jobType":"DATAFLOW","jobClass":"l","streamingProcess":true"#),
            class("l", streaming)
        );
        assert_eq!(fields(r#""jobType":"SIMPLE""#), ["jobClass"]);
    }

    #[test]
    fn a_script_may_run_as_a_user_and_nothing_else_may() {
        let script = r#""scriptCommandLine":"true""#;
        assert!(work(&format!(r#"{script},"runAs":"batch-user""#)).is_ok());
        assert_eq!(fields(&format!(r#"{script},"runAs":"a b""#)), ["runAs"]);
        assert_eq!(fields(r#""jobType":"SIMPLE","jobClass":"w","runAs":"batch""#), ["runAs"]);
    }

    #[test]
    fn only_a_script_may_do_without_its_context_as_an_argument() {
        let script = r#""scriptCommandLine":"sleep 5","contextArgument":false"#;
        assert!(work(script).is_ok());
        assert_eq!(
            fields(r#""http":{"uri":"http://h/"},"contextArgument":true"#),
            ["contextArgument"]
        );
    }

    #[test]
    fn each_mistake_names_its_field() {
        for (extra, field) in [
            (r#""jobType":"SPARK""#, "jobType"),
            (r#""jobType":"SCRIPT""#, "scriptCommandLine"),
            (r#""jobType":"SCRIPT","scriptCommandLine":"x","http":{"uri":"http://h/"}"#, "http"),
            (r#""jobType":"HTTP""#, "http.uri"),
            (r#""jobType":"HTTP","props":{"http.method":"GET"}"#, "props.http.uri"),
            (r#""http":{}"#, "http.uri"),
            (r#""http":{"uri":"ftp://h/"}"#, "http.uri"),
            (r#""http":{"uri":"https:///x"}"#, "http.uri"),
            (r#""http":{"uri":"http:///x"}"#, "http.uri"),
            (r#""http":{"uri":"http://h/a b"}"#, "http.uri"),
            (r#""http":{"uri":"http://h/","method":"FETCH"}"#, "http.method"),
            (r#""http":{"uri":"http://h/","headers":{"a b":"c"}}"#, "http.headers"),
            (r#""http":{"uri":"http://h/","headers":{"a":"ü"}}"#, "http.headers"),
            (r#""http":{"uri":"http://h/","success":[42]}"#, "http.success"),
            (r#""http":{"uri":"http://h/","success":["300-200"]}"#, "http.success"),
            (r#""http":{"uri":"http://h/","verb":"GET"}"#, "http.verb"),
            (
                r#""props":{"http.uri":"http://h/","http.method":"GET","http.read.timeout.milliseconds":"x"}"#,
                "props.http.read.timeout.milliseconds",
            ),
        ] {
            assert!(fields(extra).contains(&field.to_owned()), "{extra} -> {:?}", fields(extra));
        }
    }
}
