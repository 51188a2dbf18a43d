//! Documents as Elastic-Job-Cloud stored them: the JSON of 2.x as it is, the YAML of 3.x turned into
//! JSON. Absent: checking them; the engine does, and reports what it cannot read.

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use shiftwork_engine::document::DOCUMENT_LEN_MAX;
use shiftwork_engine::record::Key;

/// What 3.x calls the command line of a script, among a job's `props`.
const SCRIPT_PROPERTY: &str = "script.command.line";

/// How the names of a request's settings begin there.
const HTTP_PROPERTIES: &str = "http.";

/// Whether a DATAFLOW job goes on until there is nothing more.
const STREAMING_PROPERTY: &str = "streaming.process";

/// Whether a node says nothing: most records are as good as gone where their node is empty, since it
/// may be a parent that was only made for its children. A flag counts by being there, and a document that
/// was emptied by hand is one that cannot be read: a slip of the pen ends nothing.
pub fn says_nothing(key: &Key, data: &[u8]) -> bool {
    let counts = matches!(
        key,
        Key::DisabledApp(_) | Key::DisabledJob(_) | Key::App(_) | Key::Job(_) | Key::Calendar(_)
    );
    data.is_empty() && !counts
}

/// A record's value as the engine reads it: documents as JSON, everything else as it is.
pub fn readable<'a>(key: &Key, data: &'a [u8]) -> Cow<'a, [u8]> {
    let is_job = match key {
        Key::App(_) => false,
        Key::Job(_) => true,
        _ => return Cow::Borrowed(data),
    };
    // Our own documents and those of 2.x; what is longer is refused as it is.
    if data.trim_ascii_start().starts_with(b"{") || data.len() > DOCUMENT_LEN_MAX {
        return Cow::Borrowed(data);
    }
    let Ok(mut document) = serde_norway::from_slice::<Map<String, Value>>(data) else {
        return Cow::Borrowed(data);
    };
    if is_job {
        say_what_it_runs(&mut document);
    }
    Cow::Owned(Value::Object(document).to_string().into_bytes())
}

/// A 3.x document does not name what it runs unless that is a script or a request: it is compiled
/// into the app's executor, which then knows it by the job's name.
fn say_what_it_runs(document: &mut Map<String, Value>) {
    let props = document.get("props").and_then(Value::as_object);
    let has = |wanted: &dyn Fn(&str) -> bool| {
        props.is_some_and(|props| props.keys().any(|name| wanted(name)))
    };
    let is_said = ["jobType", "jobClass", "scriptCommandLine", "http"]
        .iter()
        .any(|field| document.contains_key(*field))
        || has(&|name| name == SCRIPT_PROPERTY || name.starts_with(HTTP_PROPERTIES));
    if is_said {
        return;
    }
    let job_type = if has(&|name| name == STREAMING_PROPERTY) { "DATAFLOW" } else { "SIMPLE" };
    let class = document.get("jobName").cloned().unwrap_or_default();
    document.insert("jobType".to_owned(), json!(job_type));
    document.insert("jobClass".to_owned(), class);
}

#[cfg(test)]
mod tests {
    use super::*;
    use shiftwork_engine::document::{App, Execution, Job, Strictness, Work};
    use shiftwork_engine::ids::{AppName, JobName};
    use shiftwork_schedule::Zone;

    const JOB_3X: &str = "appName: test_app\ncpuCount: 1.0\ncron: 0/30 * * * * ?\n\
        description: ''\ndisabled: false\nfailover: true\njobExecutionType: TRANSIENT\n\
        jobName: test_job\njobParameter: ''\nmaxTimeDiffSeconds: 0\nmemoryMB: 128.0\n\
        misfire: true\nmonitorExecution: false\noverwrite: false\nreconcileIntervalMinutes: 0\n\
        shardingItemParameters: ''\nshardingTotalCount: 10\n";

    fn job(text: &str) -> Job {
        let key = Key::Job(JobName::parse("test_job").unwrap());
        let data = readable(&key, text.as_bytes());
        Job::parse(&data, Strictness::Stored, &Zone::utc()).unwrap()
    }

    #[test]
    fn documents_of_3x_are_read() {
        let job_of = job(JOB_3X);
        assert_eq!((job_of.execution, job_of.sharding_total_count), (Execution::Transient, 10));
        assert!(job_of.failover && job_of.schedule.is_some());
        assert!(matches!(&job_of.work, Work::Class { name, .. } if name == "test_job"));
        let script = format!("{JOB_3X}props:\n  script.command.line: \"echo 'a: b'\"\n");
        let work = job(&script).work;
        assert!(
            matches!(&work, Work::Script { command_line } if command_line == "echo 'a: b'"),
            "{work:?}"
        );
        let http = format!("{JOB_3X}props:\n  http.uri: http://h/\n  http.method: GET\n");
        assert!(matches!(job(&http).work, Work::Http(_)));

        let key = Key::App(AppName::parse("foo_app").unwrap());
        let text = "appCacheEnable: true\nappName: foo_app\nappURL: http://h/x.tar.gz\n\
            bootstrapScript: bin/start.sh\ncpuCount: 1.0\neventTraceSamplingCount: 0\n\
            memoryMB: 64.0\n";
        let app = App::parse(&readable(&key, text.as_bytes()), Strictness::Stored).unwrap();
        assert_eq!(app.name.as_str(), "foo_app");
    }

    #[test]
    fn documents_of_2x_are_left_as_they_are() {
        let text = r#"{"jobName":"test_job","jobClass":"x.TestSimpleJob","jobType":"SIMPLE",
            "cron":"0/30 * * * * ?","shardingTotalCount":10,"shardingItemParameters":"0\u003da",
            "jobParameter":"","failover":true,"misfire":true,"description":"","jobProperties":
            {"job_exception_handler":"x.H","executor_service_handler":"x.E"},"appName":"test_app",
            "cpuCount":1.0,"memoryMB":128.0,"jobExecutionType":"TRANSIENT"}"#;
        let key = Key::Job(JobName::parse("test_job").unwrap());
        assert!(matches!(readable(&key, text.as_bytes()), Cow::Borrowed(_)));
        assert_eq!(job(text).sharding_parameter(0), "a");
    }

    #[test]
    fn garbage_stays_garbage_for_the_engine_to_report() {
        let key = Key::Job(JobName::parse("j").unwrap());
        let deep = "[".repeat(10_000);
        let laughs = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n\
            c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n\
            e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n\
            g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: [*g,*g,*g,*g,*g,*g,*g,*g,*g]\n";
        for garbage in ["never", "- a\n- b", "a: [", "\u{fffd}\0", &deep, laughs] {
            assert_eq!(&*readable(&key, garbage.as_bytes()), garbage.as_bytes());
        }
        assert!(!says_nothing(&key, b""), "emptied by hand");
        // A counter looks like YAML and is none of its business.
        let ready = Key::ReadyCount(JobName::parse("j").unwrap());
        assert!(says_nothing(&ready, b""));
        assert_eq!(&*readable(&ready, b"a: 1"), b"a: 1");
    }
}
