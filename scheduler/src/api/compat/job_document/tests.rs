//! Documents of both generations, from the examples of their documentation.

use serde_json::json;
use shiftwork_engine::document::{Job, Strictness};
use shiftwork_schedule::Zone;

use super::*;

fn read(document: Value, dialect: Dialect) -> Result<Map<String, Value>, String> {
    Document::read(&Bytes::from(document.to_string()))?.into_job(dialect)
}

fn script() -> Value {
    json!({"jobName": "foo_job", "appName": "foo_app", "jobType": "SCRIPT",
        "jobExecutionType": "TRANSIENT", "cron": "0/5 * * * * ?", "shardingTotalCount": "5",
        "cpuCount": "0.1", "memoryMB": 64.0, "scriptCommandLine": "true",
        "appURL": "http://legacy", "bootstrapScript": "bin/start.sh", "beanName": null})
}

#[test]
fn what_it_always_skipped_is_skipped_and_the_rest_is_a_job_of_ours() {
    let job = read(script(), Dialect::V2).unwrap();
    assert!(!job.contains_key("appURL") && !job.contains_key("beanName"));
    let text = Value::Object(job).to_string();
    let job = Job::parse(text.as_bytes(), Strictness::Request, &Zone::utc()).unwrap();
    assert_eq!((job.sharding_total_count, job.name.as_str()), (5, "foo_job"));
}

#[test]
fn mistakes_are_worded_as_clients_know_them() {
    for (field, value, message) in [
        ("jobName", json!(""), "jobName can not be empty."),
        ("cron", json!(null), "cron can not be empty."),
        ("shardingTotalCount", json!(0), "shardingTotalCount should larger than zero."),
        ("jobType", json!(null), "jobType cannot be null."),
        ("appName", json!(null), "appName cannot be null."),
        ("cpuCount", json!(null), "cpuCount cannot be null."),
        ("cpuCount", json!(0.0001), "cpuCount cannot be less than 0.001"),
        ("memoryMB", json!("x"), "memoryMB cannot be null."),
        ("memoryMB", json!("0.5"), "memory cannot be less than 1"),
        ("jobExecutionType", json!(null), "jobExecutionType cannot be null."),
    ] {
        let mut document = script();
        document[field] = value;
        assert_eq!(read(document, Dialect::V2), Err(message.to_owned()), "{field}");
    }
    let mut simple = script();
    simple["jobType"] = json!("SIMPLE");
    assert_eq!(read(simple, Dialect::V2), Err("jobClass cannot be empty.".to_owned()));
}

#[test]
fn what_a_job_of_3_x_is_follows_from_its_properties() {
    let mut document = script();
    document["jobType"] = Value::Null;
    document["scriptCommandLine"] = Value::Null;
    for (props, kind, class) in [
        (json!({"script.command.line": "true"}), "SCRIPT", Value::Null),
        (json!({"http.uri": "http://h/"}), "HTTP", Value::Null),
        (json!({"streaming.process": "true"}), "DATAFLOW", json!("foo_job")),
        (json!({}), "SIMPLE", json!("foo_job")),
    ] {
        document["props"] = props;
        let job = read(document.clone(), Dialect::V3).unwrap();
        let class_of = job.get("jobClass").cloned().unwrap_or_default();
        assert_eq!((job["jobType"].as_str(), class_of), (Some(kind), class));
    }
}

#[test]
fn a_change_in_their_words_leaves_what_they_have_no_word_for() {
    let stored = json!({"timeZone": "Europe/Berlin", "every": "5m", "priority": 80,
        "misfire": {"policy": "all", "maxPending": 3}});
    let stored = stored.as_object().unwrap();
    let mut document = script();
    document["misfire"] = json!(true);
    document["priority"] = json!(20);
    let mut job = read(document.clone(), Dialect::V2).unwrap();
    keep_job_extensions(&mut job, stored);
    assert_eq!((&job["timeZone"], &job["priority"]), (&json!("Europe/Berlin"), &json!(20)));
    assert_eq!(job["misfire"], stored["misfire"]);
    assert!(!job.contains_key("every"));
    document["misfire"] = json!(false);
    let mut job = read(document, Dialect::V2).unwrap();
    keep_job_extensions(&mut job, stored);
    assert_eq!(job["misfire"], json!(false));
}
