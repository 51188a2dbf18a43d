//! Job documents: what is accepted, and that each mistake is named by its field.

use super::*;
use shiftwork_schedule::Zone;

fn job(extra: &str) -> Result<Job, Vec<FieldError>> {
    let text = format!(
        r#"{{"jobName":"foo","appName":"app","jobExecutionType":"TRANSIENT","jobType":"SCRIPT",
        "scriptCommandLine":"true","cron":"0/5 * * * * ?","shardingTotalCount":3,
        "cpuCount":0.1,"memoryMB":64 {extra} }}"#
    );
    Job::parse(text.as_bytes(), Strictness::Request, &Zone::utc())
}

fn fields(extra: &str) -> Vec<String> {
    job(extra).unwrap_err().into_iter().map(|error| error.field).collect()
}

#[test]
fn a_document_of_elastic_job_cloud_is_taken() {
    let job = job(
        r#","failover":true,"misfire":true,"shardingItemParameters":" 0 = a, 2=c","description":"x",
        "jobClass":"x.Y","streamingProcess":false,"priority":"70""#,
    )
    .unwrap();
    assert_eq!(job.sharding_parameter(0), "a");
    assert_eq!(job.sharding_parameter(1), "");
    assert_eq!(job.misfire.policy, MisfirePolicy::All);
    assert_eq!(job.retry.max_attempts, 3);
    assert_eq!(job.priority, 70);
}

#[test]
fn each_mistake_names_its_field() {
    for (extra, field) in [
        (r#","cron":"61 * * * * ?""#, "cron"),
        (r#","every":"10s""#, "cron"),
        (r#","timeZone":"Europe/Nowhere""#, "timeZone"),
        (r#","shardingItemParameters":"0""#, "shardingItemParameters"),
        (r#","shardingItemParameters":"x=1""#, "shardingItemParameters"),
        (r#","shardingItemParameters":"0=a,3=b""#, "shardingItemParameters"),
        (r#","shardingTotalCount":0"#, "shardingTotalCount"),
        (r#","cpuCount":0"#, "cpuCount"),
        (r#","memoryMB":"much""#, "memoryMB"),
        (r#","jobType":"SPARK""#, "jobType"),
        (r#","scriptCommandLine":"  ""#, "scriptCommandLine"),
        (r#","priority":101"#, "priority"),
        (r#","retry":{"maxAttempts":0}"#, "retry.maxAttempts"),
        (r#","retry":{"backoff":{"initial":"10"}}"#, "retry.backoff.initial"),
        (r#","retry":{"tries":3}"#, "retry.tries"),
        (r#","misfire":{"policy":"none"}"#, "misfire.policy"),
        (r#","concurrency":"maybe""#, "concurrency"),
        (r#","concurrency":3"#, "concurrency"),
        (r#","concurrency":{"policy":"allow","max":0}"#, "concurrency.max"),
        (r#","concurrency":{"policy":"forbid","max":2}"#, "concurrency.max"),
        (r#","concurrency":{"max":2}"#, "concurrency.policy"),
        (r#","jitter":"25h""#, "jitter"),
        (r#","cron":null,"every":"10s","jitter":"10s""#, "jitter"),
        (r#","retry":{"laterExitCodes":[0]}"#, "retry.laterExitCodes"),
        (r#","constraints":"rack""#, "constraints"),
        (r#","constraints":[["rack","UNIQUE"],["rack","LIKE","["]]"#, "constraints[1]"),
        (r#","startAfter":"tomorrow""#, "startAfter"),
        (r#","timeOut":"5s""#, "timeOut"),
        (r#","jobName":"a/b""#, "jobName"),
        (r#","env":{"A=B":"x"}"#, "env.A=B"),
        (r#","env":{"A":{"secret":"a/b"}}"#, "env.A"),
        (r#","env":{"A":{"secret":"x","more":1}}"#, "env.A"),
        (r#","env":{"A":{"secret":1}}"#, "env.A"),
    ] {
        assert_eq!(fields(extra), [field], "{extra}");
    }
}

#[test]
fn concurrency_is_a_word_or_an_object() {
    for (text, expected) in [
        (r#""allow""#, Concurrency::Allow { max: 10 }),
        (r#"{"policy":"allow"}"#, Concurrency::Allow { max: 10 }),
        (r#"{"policy":"allow","max":"3"}"#, Concurrency::Allow { max: 3 }),
        (r#"{"policy":"skip"}"#, Concurrency::Skip),
        ("null", Concurrency::Forbid),
    ] {
        assert_eq!(job(&format!(r#","concurrency":{text}"#)).unwrap().concurrency, expected);
    }
}

#[test]
fn a_daemon_has_no_use_for_what_makes_runs() {
    for (extra, field) in [
        (r#","jitter":"1s""#, "jitter"),
        (r#","concurrency":"allow""#, "concurrency"),
        (r#","retry":{"maxAttempts":3}"#, "retry"),
        (r#","misfire":{"policy":"all"}"#, "misfire"),
        (r#","misfire":{"window":"1h"}"#, "misfire"),
    ] {
        let extra = format!(r#","jobExecutionType":"DAEMON"{extra}"#);
        assert_eq!(fields(&extra), [field]);
    }
}

#[test]
fn a_daemon_leaves_missed_firings_out_unless_told_to_make_the_latest() {
    use MisfirePolicy::{Coalesce, Skip};
    for (misfire, expected) in [
        ("null", Skip),
        ("false", Skip),
        ("true", Coalesce),
        (r#"{"policy":"coalesce"}"#, Coalesce),
        (r#"{"policy":"skip"}"#, Skip),
    ] {
        let job = job(&format!(r#","jobExecutionType":"DAEMON","misfire":{misfire}"#)).unwrap();
        assert_eq!(job.misfire.policy, expected, "{misfire}");
    }
}

#[test]
fn what_is_stored_may_hold_parameters_of_items_that_are_no_more() {
    let text = br#"{"jobName":"foo","appName":"app","jobExecutionType":"TRANSIENT",
        "scriptCommandLine":"true","shardingTotalCount":1,"cpuCount":1,"memoryMB":1,
        "shardingItemParameters":"0=a,1=b"}"#;
    let job = Job::parse(text, Strictness::Stored, &Zone::utc()).unwrap();
    assert_eq!(job.sharding_parameter(0), "a");
}

#[test]
fn daemons_need_a_schedule() {
    let text = br#"{"jobName":"foo","appName":"app","jobExecutionType":"DAEMON",
        "scriptCommandLine":"true","shardingTotalCount":1,"cpuCount":1,"memoryMB":1}"#;
    let errors = Job::parse(text, Strictness::Request, &Zone::utc()).unwrap_err();
    assert_eq!(errors[0].field, "cron");
}

#[test]
fn text_that_is_no_object_is_refused_whole() {
    for text in ["", "[]", "{", "\u{0}", "{\"jobName\":"] {
        let errors = Job::parse(text.as_bytes(), Strictness::Request, &Zone::utc()).unwrap_err();
        assert_eq!(errors[0].field, "document");
    }
}
