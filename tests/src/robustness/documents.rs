//! What users write: documents, constraints, parameters, names. What is refused is refused with the
//! field and a reason; what is taken is taken again from the registry.

use std::sync::Arc;

use shiftwork_engine::document::{
    App, CalendarDocument, FieldError, Job, Pattern, Strictness, parse_item_parameters,
};
use shiftwork_engine::ids::{AppName, CalendarName, JobName, RunId, TaskId, parse_shard_name};
use shiftwork_schedule::{BoundedSchedule, Interval, Schedule, Timestamp, Timetable, Zone};

/// When documents are tried: 2026-11-20T00:00:00Z.
const NOW: Timestamp = Timestamp::from_millis(1_795_132_800_000);
/// Firings asked for of a document that was taken.
const FIRINGS_MAX: usize = 3;

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn refused(errors: &[FieldError]) {
    assert!(!errors.is_empty(), "refused without a reason");
    assert!(errors.iter().all(|error| !error.message.is_empty()), "{errors:?}");
}

pub(super) fn apps() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"appName":"app","cpuCount":0.1,"memoryMB":32}"#,
        r#"{"appName":"a.b","appURL":"http://h/x.tar.gz","uris":["http://h/y"],"bootstrapScript":
        "bin/start.sh","cpuCount":"1","memoryMB":128,"appCacheEnable":true,"eventTraceSamplingCount"
        :10,"env":{"A":"b"},"labels":{"x":"y"},"idleTimeout":"10m"}"#,
    ])
}

pub(super) fn app(text: &[u8]) {
    match App::parse(text, Strictness::Request) {
        Ok(app) => {
            let stored = App::parse(app.source.get().as_bytes(), Strictness::Stored);
            assert_eq!(stored.expect("it was taken").name, app.name);
        }
        Err(errors) => refused(&errors),
    }
}

pub(super) fn jobs() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"jobName":"j","appName":"app","jobExecutionType":"TRANSIENT","shardingTotalCount":3,
        "shardingItemParameters":"0=a,1=b,2=c","cpuCount":0.1,"memoryMB":64,"scriptCommandLine":
        "true","cron":"0 0 2 * * ?","timeZone":"Europe/Berlin","misfire":{"policy":"all",
        "maxPending":5,"window":"1h"},"concurrency":{"policy":"allow","max":3},"retry":
        {"maxAttempts":3,"backoff":{"initial":"1s","max":"1m","multiplier":1.5,"jitter":0.2},
        "exitCodes":[1],"laterExitCodes":[75]},"timeout":"5m","queueTimeout":"1h","jitter":"30s"}"#,
        r#"{"jobName":"d","appName":"app","jobExecutionType":"DAEMON","shardingTotalCount":1,
        "cpuCount":"0.5","memoryMB":"64","jobType":"HTTP","http":{"uri":"http://h/x","method":"POST",
        "headers":{"a":"b"},"success":[200,"202-204"]},"every":"90s","startAt":
        "2026-11-20T02:00:00Z","count":10,"env":{"A":"b"},"labels":{"x":"y"}}"#,
        r#"{"jobName":"t","appName":"app","jobExecutionType":"TRANSIENT","shardingTotalCount":1,
        "cpuCount":1,"memoryMB":64,"scriptCommandLine":"x","at":"2026-11-21T00:00:00+01:00",
        "constraints":[["rack","LIKE","a.*"],["@hostname","UNIQUE"],["n","IS",4]],"ports":2,
        "gpuCount":1,"diskMB":10,"calendars":["c"],"placement":"spread","failover":true}"#,
    ])
}

pub(super) fn job(text: &[u8]) {
    let parsed = parse_job(text, Strictness::Request);
    let Some(job) = parsed else { return };
    let stored = parse_job(job.source.get().as_bytes(), Strictness::Stored);
    assert_eq!(stored.expect("it was taken").schedule, job.schedule);
}

pub(super) fn elastic_job_cloud() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"jobName":"foo_job","appName":"foo_app","jobClass":"yourJobClass","jobType":"SIMPLE",
        "jobExecutionType":"TRANSIENT","cron":"0/5 * * * * ?","shardingTotalCount":5,"cpuCount":0.1,
        "memoryMB":64.0,"failover":true,"misfire":true}"#,
        r#"{"jobName":"foo","appName":"a","jobType":"SCRIPT","jobExecutionType":"DAEMON",
        "cron":"0 0 0/1 * * ? 2026-2030","shardingTotalCount":1,"cpuCount":"0.1","memoryMB":"64",
        "bootstrapScript":"x","scriptCommandLine":"echo hi","jobProperties":{"a":"b"},
        "streamingProcess":false,"beanName":"b","applicationContext":"c","unknown":[1,{"a":null}]}"#,
        r#"{"jobName":"h","appName":"a","jobType":"HTTP","jobExecutionType":"TRANSIENT",
        "cron":"0 15 10 L * ?","shardingTotalCount":1,"cpuCount":1,"memoryMB":1,"props":{"http.uri":
        "http://h/x","http.method":"post","http.data":"a=b","http.connect.timeout.milliseconds":
        "1000","http.content.type":"text/plain"}}"#,
    ])
}

/// Unknown fields of a stored document are kept and ignored.
pub(super) fn as_stored(text: &[u8]) {
    drop(parse_job(text, Strictness::Stored));
}

fn parse_job(text: &[u8], strictness: Strictness) -> Option<Job> {
    match Job::parse(text, strictness, &Zone::utc()) {
        Ok(job) => {
            if let Some(schedule) = &job.schedule {
                let until = NOW.saturating_add(86_400_000);
                let (firings, _) = schedule.firings_between(NOW, until, FIRINGS_MAX);
                assert!(firings.is_sorted() && firings.iter().all(|at| *at > NOW && *at <= until));
            }
            assert!(job.jitter_delay_ms() <= job.jitter_ms);
            Some(job)
        }
        Err(errors) => {
            refused(&errors);
            None
        }
    }
}

pub(super) fn calendars() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"calendarName":"c","timeZone":"Europe/Berlin","weekdays":["sat","SUNDAY"]}"#,
        r#"{"calendarName":"h","dates":["2026-12-25"],"ranges":[{"from":"2026-12-28","to":
        "2026-12-31"}],"description":"x"}"#,
    ])
}

pub(super) fn calendar(text: &[u8]) {
    match CalendarDocument::parse(text, Strictness::Request, &Zone::utc()) {
        Ok(document) => {
            let hourly = Interval { period_ms: 3_600_000, start_at: NOW, count: None };
            let schedule = Arc::new(BoundedSchedule::from(Schedule::Every(hourly)));
            let calendars = vec![Arc::clone(&document.calendar)];
            let timetable = Timetable { schedule, calendars };
            if let Some(next) = timetable.next_after(NOW) {
                assert!(next > NOW && !document.calendar.excludes(next), "{next}");
            }
        }
        Err(errors) => refused(&errors),
    }
}

pub(super) fn constraints() -> Vec<Vec<u8>> {
    texts(&[
        r#"["rack","LIKE","a.*|b[0-9]+"]"#,
        r#"["rack","UNLIKE","(?i)x{1,20}"]"#,
        r#"["@hostname","MAX_PER","2"]"#,
        r#"["cores","IS",4.5]"#,
        r#"["zone","GROUP_BY",3]"#,
    ])
}

/// A row within a document, and its text as a pattern.
pub(super) fn constraint(row: &[u8]) {
    let document = [
        br#"{"jobName":"j","appName":"a","jobExecutionType":"TRANSIENT","shardingTotalCount":1,
        "cpuCount":1,"memoryMB":1,"scriptCommandLine":"x","constraints":["#
            .as_slice(),
        row,
        b"]}",
    ]
    .concat();
    if let Some(job) = parse_job(&document, Strictness::Request) {
        for constraint in job.constraints.iter() {
            let _admitted = constraint.admits(Some("r1"));
            assert!(!constraint.to_string().is_empty());
        }
    }
    if let Ok(text) = std::str::from_utf8(row)
        && let Ok(pattern) = Pattern::parse(text)
    {
        let _matched = pattern.matches("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    }
}

pub(super) fn parameters() -> Vec<Vec<u8>> {
    texts(&["0=a,1=b,2=c", " 0 = Beijing , 1=Shanghai", "4294967295=x"])
}

pub(super) fn parameter(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let (parameters, problems) = parse_item_parameters(&text);
    let given = text.split(',').filter(|_| !text.trim().is_empty()).count();
    assert!(parameters.len() + problems.len() >= given.min(1), "{text:?}");
}

pub(super) fn ids() -> Vec<Vec<u8>> {
    texts(&[
        "word-count_1.x",
        "word-count@20261120T020000Z.2",
        "foo@-@3@-@FAILOVER@-@8f3c-S0@-@00000000-0000-0000-0000-000000000000",
        "foo@-@3",
    ])
}

/// What is taken as a name or id says the same when it is written and read again.
pub(super) fn id(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    for name in [
        AppName::parse(&text).map(|name| name.to_string()),
        JobName::parse(&text).map(|name| name.to_string()),
        CalendarName::parse(&text).map(|name| name.to_string()),
    ]
    .into_iter()
    .flatten()
    {
        assert!(name == text && !name.contains("@-@") && !name.contains('/'), "{name:?}");
    }
    if let Ok(run) = RunId::parse(&text) {
        let second = run.generation(2);
        assert_eq!(second.first_generation(2), run);
        assert_eq!(RunId::parse(run.as_str()).expect("it is one").job(), run.job());
        assert!(JobName::parse(run.job().as_str()).is_ok(), "{run}");
    }
    if let Some((job, item)) = TaskId::new(text.as_ref()).job_and_item() {
        assert!(text.starts_with(job.as_str()), "{text:?} {item}");
    }
    if let Some((job, item)) = parse_shard_name(&text) {
        let written = shiftwork_engine::ids::shard_name(&job, item);
        assert_eq!(parse_shard_name(&written), Some((job, item)));
    }
}
