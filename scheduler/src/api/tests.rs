//! The API against a scheduler that leads but has no master: documents, runs that stay pending,
//! and what becomes of them.

mod access;
mod compat;
mod hostile;
mod reference;
mod resources;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::testing::{Answer, World};

const APP: &str = r#"{"appName":"shop"}"#;

/// A job that only runs when it is triggered.
fn job(name: &str) -> String {
    json!({
        "jobName": name, "appName": "shop", "jobExecutionType": "TRANSIENT",
        "scriptCommandLine": "true", "shardingTotalCount": 1, "cpuCount": 0.1, "memoryMB": 16,
    })
    .to_string()
}

async fn shop() -> World {
    let world = World::start().await;
    assert_eq!(world.ask("POST", "/api/v1/apps", APP).await.status, 201);
    world
}

#[track_caller]
fn refused(answer: &Answer, status: u16, field: Option<&str>) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.content_type, "application/problem+json");
    let named = answer.json()["errors"][0]["field"].as_str().map(str::to_owned);
    assert_eq!(named.as_deref(), field, "{}", answer.text);
}

#[tokio::test]
async fn an_app_is_registered_replaced_and_removed() {
    let world = World::start().await;
    let created = world.ask("POST", "/api/v1/apps", APP).await;
    assert_eq!(created.status, 201, "{}", created.text);
    assert_eq!(created.headers["location"], "/api/v1/apps/shop");
    assert_eq!(created.json()["name"], "shop");

    let again = world.ask("POST", "/api/v1/apps", APP).await;
    assert_eq!(again.status, 409, "{}", again.text);
    let other = world.ask("PUT", "/api/v1/apps/shop", r#"{"appName":"bank"}"#).await;
    refused(&other, 422, Some("appName"));
    let absent = world.ask("PUT", "/api/v1/apps/bank", r#"{"appName":"bank"}"#).await;
    refused(&absent, 404, None);
    let unknown = world.ask("POST", "/api/v1/apps", r#"{"appName":"x","colour":"red"}"#).await;
    refused(&unknown, 422, Some("colour"));
    refused(&world.ask("POST", "/api/v1/apps", "{").await, 400, None);

    let changed = world.ask("PUT", "/api/v1/apps/shop", r#"{"appName":"shop","cpuCount":2}"#).await;
    assert_eq!((changed.status, changed.json()["document"]["cpuCount"].clone()), (200, json!(2)));
    assert_eq!(world.ask("DELETE", "/api/v1/apps/shop", "").await.status, 204);
    refused(&world.ask("DELETE", "/api/v1/apps/shop", "").await, 404, None);
    refused(&world.ask("GET", "/api/v1/apps/shop", "").await, 404, None);
    world.stop().await;
}

#[tokio::test]
async fn a_disabled_app_says_who_and_why() {
    let world = shop().await;
    assert_eq!(world.ask("POST", "/api/v1/jobs", &job("foo")).await.status, 201);
    let answer = world.ask("POST", "/api/v1/apps/shop/disable", r#"{"reason":"audit"}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["disabled"]["reason"], "audit");
    let why = world.ask("GET", "/api/v1/jobs/foo/why", "").await.json();
    let answer = why["answer"].as_str().unwrap();
    assert!(answer.contains("app shop was disabled by rest") && answer.contains("audit"), "{why}");
    let enabled = world.ask("POST", "/api/v1/apps/shop/enable", "").await;
    assert_eq!((enabled.status, enabled.json()["enabled"].clone()), (200, json!(true)));
    world.stop().await;
}

#[tokio::test]
async fn jobs_are_listed_by_app_and_page() {
    let world = shop().await;
    assert_eq!(world.ask("POST", "/api/v1/apps", r#"{"appName":"bank"}"#).await.status, 201);
    for name in ["a", "b", "c"] {
        let created = world.ask("POST", "/api/v1/jobs", &job(name)).await;
        assert_eq!(created.status, 201, "{}", created.text);
    }
    let first = world.ask("GET", "/api/v1/jobs?app=shop&limit=2", "").await.json();
    let names = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&first), ["a", "b"]);
    let path = format!("/api/v1/jobs?limit=2&cursor={}", first["next"].as_str().unwrap());
    let second = world.ask("GET", &path, "").await.json();
    assert_eq!((names(&second), second["next"].clone()), (vec!["c".to_owned()], Value::Null));
    let none = world.ask("GET", "/api/v1/jobs?app=bank", "").await.json();
    assert_eq!(none, json!({"items": [], "next": null}));
    refused(&world.ask("GET", "/api/v1/jobs?limit=0", "").await, 400, Some("limit"));
    refused(&world.ask("GET", "/api/v1/apps/shop?verbose=1", "").await, 400, Some("verbose"));
    world.stop().await;
}

#[tokio::test]
async fn a_job_of_an_unknown_app_or_with_a_wrong_cron_is_refused_by_field() {
    let world = World::start().await;
    refused(&world.ask("POST", "/api/v1/jobs", &job("foo")).await, 422, Some("appName"));
    assert_eq!(world.ask("POST", "/api/v1/apps", APP).await.status, 201);
    let mut wrong: Value = serde_json::from_str(&job("foo")).unwrap();
    wrong["cron"] = json!("0 75 2 * * ?");
    let answer = world.ask("POST", "/api/v1/jobs", &wrong.to_string()).await;
    refused(&answer, 422, Some("cron"));
    world.stop().await;
}

#[tokio::test]
async fn the_same_key_makes_one_run() {
    let world = shop().await;
    world.ask("POST", "/api/v1/jobs", &job("foo")).await;
    let key = [("idempotency-key", "order-17")];
    let path = "/api/v1/jobs/foo/trigger";
    let body = r#"{"jobParameter":"x","env":{"A":"1"}}"#;
    let made = world.ask_with("POST", path, body, &key).await;
    assert_eq!((made.status, made.json()["id"].clone()), (201, json!("foo@order-17")));
    assert_eq!(made.headers["location"], "/api/v1/runs/foo@order-17");
    let again = world.ask_with("POST", path, body, &key).await;
    assert_eq!((again.status, again.json()["id"].clone()), (200, json!("foo@order-17")));
    // Under the same key nothing else is asked for: neither while the run lives nor when it ended.
    for cancelled in [false, true] {
        for other in ["", r#"{"jobParameter":"y","env":{"A":"1"}}"#, r#"{"items":[0]}"#] {
            let answer = world.ask_with("POST", path, other, &key).await;
            refused(&answer, 422, None);
            assert_eq!(answer.json()["type"], "urn:shiftwork:problem:idempotency-key-reused");
            assert!(answer.text.contains("foo@order-17"), "{}", answer.text);
        }
        let elsewhere = r#"{"jobParameter":"x","env":{"A":"1"},"submitter":"billing"}"#;
        refused(&world.ask_with("POST", path, elsewhere, &key).await, 422, None);
        assert_eq!(world.ask_with("POST", path, body, &key).await.status, 200, "{cancelled}");
        world.ask("POST", "/api/v1/runs/foo@order-17/cancel", "").await;
    }
    refused(&world.ask("POST", "/api/v1/jobs/bar/trigger", "").await, 404, None);
    refused(&world.ask("POST", path, r#"{"cron":"x"}"#).await, 422, Some("cron"));
    world.stop().await;
}

#[tokio::test]
async fn a_run_is_seen_pending_and_then_cancelled() {
    let world = shop().await;
    world.ask("POST", "/api/v1/jobs", &job("foo")).await;
    let made = world.ask("POST", "/api/v1/jobs/foo/trigger", "").await;
    let path = made.headers["location"].to_str().unwrap().to_owned();
    let run = world.ask("GET", &path, "").await.json();
    assert_eq!((run["state"].clone(), run["job"].clone()), (json!("PENDING"), json!("foo")));
    assert!(run["reason"].is_string(), "{run}");
    let members: BTreeSet<&str> = run.as_object().unwrap().keys().map(String::as_str).collect();
    for member in ["id", "job", "logicalTime", "state", "reason", "attempt", "shards", "createdAt"]
        .into_iter()
        .chain(["startedAt", "finishedAt"])
    {
        assert!(members.contains(member), "{member}");
    }
    let ready = world.ask("GET", "/api/v1/queues/ready", "").await.json();
    assert_eq!(ready["items"][0]["job"], "foo");

    let cancelled = world.ask("POST", &format!("{path}/cancel"), "").await;
    assert_eq!(cancelled.status, 202, "{}", cancelled.text);
    // From here on the run is the history's.
    let run = world.ask("GET", &path, "").await;
    assert_eq!((run.status, run.json()["state"].clone()), (200, json!("CANCELLED")));
    let events = world.ask("GET", &format!("{path}/events"), "").await;
    assert_eq!(events.status, 200, "{}", events.text);
    refused(&world.ask("GET", "/api/v1/runs/foo@nothing", "").await, 404, None);
    refused(&world.ask("GET", "/api/v1/runs/foo@nothing/events", "").await, 404, None);
    refused(&world.ask("GET", "/api/v1/runs/foo", "").await, 400, Some("run"));
    world.stop().await;
}

#[tokio::test]
async fn the_list_of_runs_joins_engine_and_history() {
    let world = shop().await;
    world.ask("POST", "/api/v1/jobs", &job("foo")).await;
    let mut made = BTreeSet::new();
    for number in 0..7 {
        let key = format!("k{number}");
        let headers = [("idempotency-key", key.as_str())];
        let answer = world.ask_with("POST", "/api/v1/jobs/foo/trigger", "", &headers).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        made.insert(format!("foo@{key}"));
        if number % 2 == 0 {
            let path = format!("/api/v1/runs/foo@{key}");
            world.ask("POST", &format!("{path}/cancel"), "").await;
            // Reading it waits until the history has it.
            assert_eq!(world.ask("GET", &path, "").await.json()["state"], "CANCELLED");
        }
    }
    let mut seen: Vec<Value> = Vec::new();
    let mut path = "/api/v1/runs?job=foo&limit=2".to_owned();
    loop {
        let page = world.ask("GET", &path, "").await.json();
        seen.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/api/v1/runs?job=foo&limit=2&cursor={next}");
    }
    let text = |run: &Value, member: &str| run[member].as_str().unwrap().to_owned();
    let ids: Vec<String> = seen.iter().map(|run| text(run, "id")).collect();
    assert_eq!(ids.len(), made.len(), "{ids:?}");
    assert_eq!(ids.iter().cloned().collect::<BTreeSet<_>>(), made);
    let places: Vec<_> = seen.iter().map(|run| (text(run, "createdAt"), text(run, "id"))).collect();
    assert!(places.is_sorted_by(|a, b| a > b), "{places:?}");

    let pending = world.ask("GET", "/api/v1/runs?state=PENDING", "").await.json();
    assert_eq!(pending["items"].as_array().unwrap().len(), 3);
    let cancelled = world.ask("GET", "/api/v1/runs?state=CANCELLED&app=shop", "").await.json();
    assert_eq!(cancelled["items"].as_array().unwrap().len(), 4);
    world.stop().await;
}

#[tokio::test]
async fn a_run_that_ended_is_made_once_more() {
    let world = shop().await;
    assert_eq!(world.ask("POST", "/api/v1/jobs", &job("foo")).await.status, 201);
    let body = r#"{"items":[0],"env":{"A":"1"}}"#;
    let key = [("Idempotency-Key", "k")];
    let answer = world.ask_with("POST", "/api/v1/jobs/foo/trigger", body, &key).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let path = "/api/v1/runs/foo@k/rerun";
    refused(&world.ask("POST", path, "").await, 409, None);
    world.ask("POST", "/api/v1/runs/foo@k/cancel", "").await;
    refused(&world.ask("POST", path, r#"{"failed":true}"#).await, 422, Some("failed"));
    let body = r#"{"failedOnly":true}"#;
    let made = world.ask_with("POST", path, body, &key).await;
    assert_eq!((made.status, made.json()["id"].clone()), (201, json!("foo@k.2")), "{}", made.text);
    let again = world.ask("POST", path, "").await;
    assert_eq!((again.status, again.json()["id"].clone()), (200, json!("foo@k.2")));
    let run = world.ask("GET", "/api/v1/runs/foo@k.2", "").await.json();
    assert_eq!((run["attempt"].clone(), run["origin"].clone()), (json!(2), json!("RERUN")));
    // Its one shard is all the job has.
    assert_eq!(run["overrides"], json!({"env": {"A": "1"}}));
    world.ask("POST", "/api/v1/runs/foo@k.2/cancel", "").await;
    world.ask("GET", "/api/v1/runs/foo@k.2", "").await;
    // By its key it is the second, although a third could be made by now.
    let again = world.ask_with("POST", path, body, &key).await;
    assert_eq!((again.status, again.json()["id"].clone()), (200, json!("foo@k.2")));
    refused(&world.ask_with("POST", path, "", &key).await, 422, None);
    let third = world.ask("POST", path, "").await;
    assert_eq!((third.status, third.json()["id"].clone()), (201, json!("foo@k.3")));
    refused(&world.ask("POST", "/api/v1/runs/foo@none/rerun", "").await, 404, None);
    world.stop().await;
}

#[tokio::test]
async fn firings_are_previewed_for_jobs_and_for_expressions() {
    let world = shop().await;
    let mut nightly: Value = serde_json::from_str(&job("nightly")).unwrap();
    nightly["cron"] = json!("0 0 2 * * ?");
    nightly["timeZone"] = json!("Europe/Berlin");
    assert_eq!(world.ask("POST", "/api/v1/jobs", &nightly.to_string()).await.status, 201);
    let expected = json!({
        "utc": "2026-11-20T01:00:00Z",
        "local": "2026-11-20T02:00:00+01:00[Europe/Berlin]",
        "note": null,
    });
    let from = "from=2026-11-20T00:00:00Z";
    let path = format!("/api/v1/jobs/nightly/next?n=1&{from}");
    let next = world.ask("GET", &path, "").await.json();
    assert_eq!(next, json!({"items": [expected], "next": null}));
    let path = format!(
        "/api/v1/schedules/preview?cron=0%200%202%20*%20*%20?&timeZone=Europe/Berlin&n=1&{from}"
    );
    let preview = world.ask("GET", &path, "").await;
    assert_eq!(preview.json(), next, "{}", preview.text);
    refused(&world.ask("GET", "/api/v1/jobs/none/next", "").await, 404, None);
    world.stop().await;
}

#[tokio::test]
async fn calendars_are_kept_and_shared() {
    let world = shop().await;
    let path = "/api/v1/calendars";
    let document = |dates: &str| format!(r#"{{"calendarName":"off","dates":[{dates}]}}"#);
    assert_eq!(world.ask("POST", path, &document("")).await.status, 201);
    refused(&world.ask("POST", path, &document("")).await, 409, Some("calendarName"));
    refused(&world.ask("POST", path, &document("1")).await, 422, Some("dates[0]"));
    let mut nightly: Value = serde_json::from_str(&job("nightly")).unwrap();
    nightly["cron"] = json!("0 0 2 * * ?");
    nightly["calendars"] = json!(["off", "none"]);
    let answer = world.ask("POST", "/api/v1/jobs", &nightly.to_string()).await;
    refused(&answer, 422, Some("calendars"));
    nightly["calendars"] = json!(["off"]);
    assert_eq!(world.ask("POST", "/api/v1/jobs", &nightly.to_string()).await.status, 201);
    let next = "/api/v1/jobs/nightly/next?n=2&from=2026-11-20T00:00:00Z";
    let days = |answer: &Answer| {
        let items = answer.json()["items"].as_array().unwrap().clone();
        items.iter().map(|it| it["utc"].as_str().unwrap()[8..10].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(days(&world.ask("GET", next, "").await), ["20", "21"]);
    let one = format!("{path}/off");
    let changed = world.ask("PUT", &one, &document(r#""2026-11-20""#)).await;
    assert_eq!((changed.status, changed.json()["jobs"].clone()), (200, json!(1)));
    assert_eq!(days(&world.ask("GET", next, "").await), ["21", "22"]);
    let kept = world.ask("DELETE", &one, "").await;
    refused(&kept, 409, None);
    assert!(kept.text.contains("in use by nightly"), "{}", kept.text);
    assert_eq!(world.ask("DELETE", "/api/v1/jobs/nightly", "").await.status, 204);
    assert_eq!(world.ask("DELETE", &one, "").await.status, 204);
    refused(&world.ask("GET", &one, "").await, 404, None);
    assert_eq!(world.ask("GET", path, "").await.json()["items"], json!([]));
    world.stop().await;
}

#[tokio::test]
async fn health_readiness_and_status() {
    let world = World::start().await;
    assert_eq!(world.ask("GET", "/healthz", "").await.status, 200);
    // It leads, but there is no master.
    let ready = world.ask("GET", "/readyz", "").await;
    refused(&ready, 503, None);
    assert!(ready.text.contains("Mesos master"), "{}", ready.text);
    assert!(ready.headers.contains_key("retry-after"));
    let status = world.ask("GET", "/api/v1/status", "").await.json();
    assert_eq!((status["connected"].clone(), status["apps"].clone()), (json!(false), json!(0)));
    // There is nobody to ask about tasks.
    refused(&world.ask("POST", "/api/v1/reconcile", "").await, 409, None);
    for list in ["agents", "queues/failover", "queues/running", "apps", "runs"] {
        let page = world.ask("GET", &format!("/api/v1/{list}"), "").await;
        assert_eq!(page.json(), json!({"items": [], "next": null}), "{list}: {}", page.text);
    }
    let task = "foo@-@0@-@READY@-@S0@-@6ba7b810-9dad-11d1-80b4-00c04fd430c8";
    refused(&world.ask("POST", &format!("/api/v1/tasks/{task}/kill"), "").await, 404, None);
    refused(&world.ask("POST", "/api/v1/tasks/foo/kill", "").await, 400, Some("task"));
    world.stop().await;
}

#[tokio::test]
async fn without_a_leader_everything_but_health_is_unavailable() {
    let world = World::start().await;
    let door = world.door();
    world.stop().await;
    assert_eq!(door.ask("GET", "/healthz", "").await.status, 200);
    for (method, path) in
        [("GET", "/readyz"), ("GET", "/api/v1/apps"), ("POST", "/api/v1/reconcile")]
    {
        let answer = door.ask(method, path, "").await;
        refused(&answer, 503, None);
        assert!(answer.headers.contains_key("retry-after"));
    }
}
