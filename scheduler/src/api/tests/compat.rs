//! Elastic-Job-Cloud's REST in both dialects, as its clients use it: chapter by chapter of what it
//! answered.

use serde_json::{Value, json};

use crate::api::testing::{Answer, World};
use crate::api::{Credentials, Dialect, ElasticJobConfig};

const APP: &str = r#"{"appName":"foo_app","appURL":"http://app_host:8080/foo-job.tar.gz",
    "cpuCount":0.1,"memoryMB":64.0,"bootstrapScript":"bin/start.sh","appCacheEnable":true,
    "eventTraceSamplingCount":0,"unknown":1}"#;

fn job(name: &str) -> String {
    json!({
        "jobName": name, "appName": "foo_app", "jobClass": "com.acme.MyJob", "jobType": "SIMPLE",
        "jobExecutionType": "TRANSIENT", "cron": "0 0 2 1 1 ?", "shardingTotalCount": "5",
        "shardingItemParameters": "0=a,1=b", "cpuCount": "0.1", "memoryMB": 64.0,
        "failover": true, "misfire": true,
    })
    .to_string()
}

async fn world(dialect: Dialect) -> World {
    World::start_with(ElasticJobConfig { dialect, credentials: None }).await
}

/// What each dialect answers to a change.
#[track_caller]
fn done(answer: &Answer, dialect: Dialect) {
    match dialect {
        Dialect::V2 => assert_eq!((answer.status, answer.text.as_str()), (204, "")),
        Dialect::V3 => assert_eq!((answer.status, answer.text.as_str()), (200, "true")),
    }
}

/// How each dialect refuses.
#[track_caller]
fn failed(answer: &Answer, dialect: Dialect, message: &str) {
    assert_eq!(answer.status, 500, "{}", answer.text);
    match dialect {
        Dialect::V2 => assert_eq!(
            (answer.content_type.as_str(), answer.text.as_str()),
            ("text/plain", message)
        ),
        Dialect::V3 => {
            assert_eq!(answer.content_type, "application/json; charset=utf-8");
            assert_eq!(answer.json(), message);
        }
    }
}

#[tokio::test]
async fn apps_in_both_dialects() {
    for dialect in [Dialect::V2, Dialect::V3] {
        let world = world(dialect).await;
        done(&world.ask("POST", "/api/app", APP).await, dialect);
        failed(
            &world.ask("POST", "/api/app", APP).await,
            dialect,
            "app 'foo_app' already existed.",
        );
        let app = world.ask("GET", "/api/app/foo_app", "").await;
        assert_eq!(
            app.text.replace("\\u003d", "="),
            r#"{"appName":"foo_app","appURL":"http://app_host:8080/foo-job.tar.gz","bootstrapScript":"bin/start.sh","cpuCount":0.1,"memoryMB":64.0,"appCacheEnable":true,"eventTraceSamplingCount":0}"#
        );
        let short = r#"{"appName":"foo_app","cpuCount":0.2,"memoryMB":32}"#;
        done(&world.ask("PUT", "/api/app", short).await, dialect);
        let list = world.ask("GET", "/api/app/list", "").await.json();
        assert_eq!((&list[0]["cpuCount"], &list[0]["appURL"]), (&json!(0.2), &json!("")));
        done(&world.ask("PUT", "/api/app", r#"{"appName":"none"}"#).await, dialect);
        let absent = world.ask("GET", "/api/app/none", "").await;
        let expected = if dialect == Dialect::V2 { 404 } else { 200 };
        assert_eq!((absent.status, absent.text.as_str()), (expected, ""));

        assert_eq!(world.ask("GET", "/api/app/foo_app/disable", "").await.text, "false");
        done(&world.ask("POST", "/api/app/foo_app/disable", "").await, dialect);
        assert_eq!(world.ask("GET", "/api/app/foo_app/disable", "").await.text, "true");
        match dialect {
            Dialect::V2 => {
                done(&world.ask("DELETE", "/api/app/foo_app/disable", "").await, dialect);
            }
            Dialect::V3 => done(&world.ask("POST", "/api/app/foo_app/enable", "").await, dialect),
        }
        assert_eq!(world.ask("GET", "/api/app/foo_app/disable", "").await.text, "false");
        done(&world.ask("DELETE", "/api/app/foo_app", "").await, dialect);
        done(&world.ask("DELETE", "/api/app/foo_app", "").await, dialect);
        assert_eq!(world.ask("GET", "/api/app/list", "").await.json(), json!([]));
        world.stop().await;
    }
}

#[tokio::test]
async fn jobs_in_both_dialects() {
    for dialect in [Dialect::V2, Dialect::V3] {
        let world = world(dialect).await;
        let path = "/api/job/register";
        let answer = world.ask("POST", path, &job("foo_job")).await;
        failed(&answer, dialect, "Register app 'foo_app' firstly.");
        done(&world.ask("POST", "/api/app", APP).await, dialect);
        done(&world.ask("POST", path, &job("foo_job")).await, dialect);
        let again = world.ask("POST", path, &job("foo_job")).await;
        failed(&again, dialect, "Job 'foo_job' already existed.");
        let unknown = world.ask("PUT", "/api/job/update", &job("none")).await;
        failed(&unknown, dialect, "Cannot found job 'none', please register first.");
        done(&world.ask("PUT", "/api/job/update", &job("foo_job")).await, dialect);

        let text = world.ask("GET", "/api/job/jobs/foo_job", "").await.text;
        assert!(text.contains(r#""shardingItemParameters":"0\u003da,1\u003db""#), "{text}");
        let shown: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&shown["shardingTotalCount"], &shown["cpuCount"]), (&json!(5), &json!(0.1)));
        match dialect {
            Dialect::V2 => {
                assert_eq!(shown["jobClass"], "com.acme.MyJob");
                assert!(!text.contains("null"), "{text}");
                assert!(text.starts_with(r#"{"jobName":"foo_job","jobClass""#), "{text}");
            }
            Dialect::V3 => {
                assert_eq!(
                    (&shown["jobErrorHandlerType"], &shown["props"]),
                    (&Value::Null, &json!({}))
                );
                assert!(text.starts_with(r#"{"appName":"foo_app","cpuCount":0.1"#), "{text}");
            }
        }
        assert_eq!(world.ask("GET", "/api/job/jobs", "").await.json()[0], shown);
        // What is not there counts as disabled.
        for (name, disabled) in [("foo_job", "false"), ("none", "true"), ("a%20b", "true")] {
            let path = format!("/api/job/{name}/disable");
            assert_eq!(world.ask("GET", &path, "").await.text, disabled, "{name}");
        }
        done(&world.ask("POST", "/api/job/foo_job/disable", "").await, dialect);
        assert_eq!(world.ask("GET", "/api/job/foo_job/disable", "").await.text, "true");
        let disabled = world.ask("POST", path, &job("foo_job")).await;
        failed(&disabled, dialect, "Job 'foo_job' has been disable.");
        match dialect {
            Dialect::V2 => {
                done(&world.ask("DELETE", "/api/job/foo_job/disable", "").await, dialect);
                done(&world.ask("DELETE", "/api/job/deregister", "foo_job").await, dialect);
                done(&world.ask("DELETE", "/api/job/deregister", "foo_job").await, dialect);
            }
            Dialect::V3 => {
                done(&world.ask("POST", "/api/job/foo_job/enable", "").await, dialect);
                done(&world.ask("DELETE", "/api/job/foo_job/deregister", "").await, dialect);
                done(&world.ask("DELETE", "/api/job/foo_job/deregister", "").await, dialect);
            }
        }
        assert_eq!(world.ask("GET", "/api/job/jobs", "").await.json(), json!([]));
        world.stop().await;
    }
}

#[tokio::test]
async fn triggers_and_queues_in_both_dialects() {
    for dialect in [Dialect::V2, Dialect::V3] {
        let world = world(dialect).await;
        done(&world.ask("POST", "/api/app", APP).await, dialect);
        done(&world.ask("POST", "/api/job/register", &job("foo_job")).await, dialect);
        done(&world.ask("POST", "/api/job/trigger", "foo_job").await, dialect);
        done(&world.ask("POST", "/api/job/trigger", "\"foo_job\"").await, dialect);
        done(&world.ask("POST", "/api/job/trigger", "none").await, dialect);
        let ready = world.ask("GET", "/api/job/tasks/ready", "").await.json();
        assert_eq!(ready, json!([{"jobName": "foo_job", "times": "2"}]));
        for queue in ["running", "failover"] {
            let path = format!("/api/job/tasks/{queue}");
            assert_eq!(world.ask("GET", &path, "").await.json(), json!([]));
        }
        let mut daemon: Value = serde_json::from_str(&job("foo_daemon")).unwrap();
        daemon["jobExecutionType"] = json!("DAEMON");
        done(&world.ask("POST", "/api/job/register", &daemon.to_string()).await, dialect);
        let refused = world.ask("POST", "/api/job/trigger", "foo_daemon").await;
        failed(&refused, dialect, "Daemon job 'foo_daemon' cannot support trigger.");
        world.stop().await;
    }
}

#[tokio::test]
async fn searches_statistics_and_operations_answer_in_their_shapes() {
    let world = world(Dialect::V2).await;
    done(&world.ask("POST", "/api/app", APP).await, Dialect::V2);
    done(&world.ask("POST", "/api/job/register", &job("foo_job")).await, Dialect::V2);
    for search in ["executions", "statusTraces"] {
        let path = format!("/api/job/events/{search}?per_page=5&page=2&sort=jobName&order=DESC");
        assert_eq!(world.ask("GET", &path, "").await.json(), json!({"total": 0, "rows": []}));
        let wrong = world.ask("GET", &format!("/api/job/events/{search}?startTime=x"), "").await;
        failed(&wrong, Dialect::V2, "Unparseable date: \"x\"");
    }
    let ask = async |path: &str| {
        world.ask("GET", &format!("/api/job/statistics/{path}"), "").await.json()
    };
    for (period, interval) in
        [("lastMinute", "MINUTE"), ("lastHour", "HOUR"), ("lastWeek", "DAY"), ("other", "DAY")]
    {
        let row = ask(&format!("tasks/results/{period}")).await;
        assert_eq!(
            (&row["statisticInterval"], &row["successCount"]),
            (&json!(interval), &json!(0))
        );
    }
    assert_eq!(ask("tasks/results?since=ever").await, json!([]));
    assert!(ask("tasks/results?since=last24hours").await.as_array().unwrap().len() >= 24 * 60);
    assert_eq!(ask("tasks/running?since=lastWeek").await[0]["runningCount"], 0);
    assert_eq!(ask("jobs/running?since=lastWeek").await[0]["runningCount"], 0);
    assert_eq!(ask("jobs/register").await[0]["registeredCount"], 1);
    assert_eq!(
        ask("jobs/type").await,
        json!({"scriptJobCount": 0, "simpleJobCount": 1, "dataflowJobCount": 0})
    );
    assert_eq!(
        ask("jobs/executionType").await,
        json!({"transientJobCount": 1, "daemonJobCount": 0})
    );
    let sandbox = world.ask("GET", "/api/operate/sandbox", "").await;
    failed(&sandbox, Dialect::V2, "Lack param 'appName'");
    let sandbox = world.ask("GET", "/api/operate/sandbox?appName=foo_app", "").await;
    assert_eq!(sandbox.json(), json!([]));
    // There is no master to ask; the second comes too early all the same.
    assert_eq!(world.ask("POST", "/api/operate/reconcile/explicit", "").await.status, 500);
    let early = world.ask("POST", "/api/operate/reconcile/implicit", "").await;
    failed(&early, Dialect::V2, "Repeat explicitReconcile");
    world.stop().await;
}

#[tokio::test]
async fn with_credentials_nothing_is_open() {
    let credentials = Credentials { username: "root".to_owned(), password: "pwd".to_owned() };
    let config = ElasticJobConfig { dialect: Dialect::V3, credentials: Some(credentials) };
    let world = World::start_with(config).await;
    let unauthorized = json!({"message": "Unauthorized."});
    for (method, path) in [("GET", "/api/app/list"), ("POST", "/api/job/trigger")] {
        let answer = world.ask(method, path, "").await;
        assert_eq!((answer.status, answer.json()), (401, unauthorized.clone()));
    }
    let wrong = world.ask("POST", "/api/login", r#"{"username":"root","password":"x"}"#).await;
    assert_eq!((wrong.status, wrong.json()), (401, unauthorized.clone()));
    assert_eq!(world.ask("POST", "/api/login", "{").await.status, 401);
    let login = world.ask("POST", "/api/login", r#"{"username":"root","password":"pwd"}"#).await;
    let token = login.json()["accessToken"].as_str().unwrap().to_owned();
    let shows = [("accessToken", token.as_str())];
    let apps = world.ask_with("GET", "/api/app/list", "", &shows).await;
    assert_eq!((apps.status, apps.text.as_str()), (200, "[]"));
    let basic = [("authorization", "Basic cm9vdDpwd2Q=")];
    assert_eq!(world.ask_with("GET", "/api/app/list", "", &basic).await.status, 200);
    let forged = [("accessToken", "forged")];
    assert_eq!(world.ask_with("DELETE", "/api/app/x", "", &forged).await.status, 401);
    // Our own API is not touched by that.
    assert_eq!(world.ask("GET", "/api/v1/apps", "").await.status, 200);
    world.stop().await;
}
