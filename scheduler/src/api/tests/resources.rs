//! What every resource has: entity tags, repeatable creation, order, chosen fields, compression, and
//! a description of each answer.

use serde_json::{Value, json};

use super::{APP, job, refused, shop};
use crate::api::schemas::tests::check_members;
use crate::api::testing::World;

#[tokio::test]
async fn a_change_may_depend_on_what_was_seen() {
    let world = shop().await;
    let path = "/api/v1/apps/shop";
    let seen = world.ask("GET", path, "").await;
    let tag = seen.headers["etag"].to_str().unwrap().to_owned();
    let changed = r#"{"appName":"shop","cpuCount":2}"#;
    let condition = [("if-match", tag.as_str())];
    let updated = world.ask_with("PUT", path, changed, &condition).await;
    assert_eq!(updated.status, 200, "{}", updated.text);
    assert_ne!(updated.headers["etag"], tag.as_str());
    // Whoever still holds the old tag would undo that without knowing.
    for (method, body) in [("PUT", APP), ("DELETE", "")] {
        refused(&world.ask_with(method, path, body, &condition).await, 412, None);
    }
    let disable = world.ask_with("POST", &format!("{path}/disable"), "", &condition).await;
    refused(&disable, 412, None);
    assert_eq!(world.ask("GET", path, "").await.json()["document"]["cpuCount"], 2);
    // The same again changes nothing, and so keeps the tag.
    let again = world.ask("PUT", path, changed).await;
    assert_eq!(again.headers["etag"], updated.headers["etag"]);
    let malformed = [("if-match", "W/\"x\"")];
    refused(&world.ask_with("PUT", path, APP, &malformed).await, 400, Some("If-Match"));
    assert_eq!(world.ask_with("DELETE", path, "", &[("if-match", "*")]).await.status, 204);
    refused(&world.ask_with("PUT", path, APP, &[("if-match", "*")]).await, 404, None);
    world.stop().await;
}

#[tokio::test]
async fn a_registration_with_a_key_may_be_repeated() {
    let world = World::start().await;
    let key = [("idempotency-key", "k")];
    let made = world.ask_with("POST", "/api/v1/apps", APP, &key).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let again = world.ask_with("POST", "/api/v1/apps", APP, &key).await;
    assert_eq!((again.status, again.json()["name"].clone()), (200, json!("shop")));
    assert_eq!(again.headers["location"], made.headers["location"]);
    // Another document is no repetition, whatever it names, and without a key nothing is.
    let other = r#"{"appName":"shop","cpuCount":2}"#;
    for other in [other, r#"{"appName":"other","cpuCount":2}"#] {
        let answer = world.ask_with("POST", "/api/v1/apps", other, &key).await;
        refused(&answer, 422, None);
        assert_eq!(answer.json()["type"], "urn:shiftwork:problem:idempotency-key-reused");
        assert!(answer.json()["detail"].as_str().unwrap().contains("app shop"), "{}", answer.text);
    }
    assert_eq!(world.ask("GET", "/api/v1/apps/other", "").await.status, 404);
    let fresh = [("idempotency-key", "l")];
    refused(&world.ask_with("POST", "/api/v1/apps", other, &fresh).await, 409, Some("appName"));
    refused(&world.ask("POST", "/api/v1/apps", APP).await, 409, Some("appName"));
    // The same key for something else is another key.
    let calendar = r#"{"calendarName":"off","weekdays":["SUN"]}"#;
    for (path, body, status) in [
        ("/api/v1/calendars", calendar, 201),
        ("/api/v1/calendars", calendar, 200),
        ("/api/v1/jobs", job("foo").as_str(), 201),
        ("/api/v1/jobs", job("foo").as_str(), 200),
        ("/api/v1/jobs", job("bar").as_str(), 422),
    ] {
        let answer = world.ask_with("POST", path, body, &key).await;
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.text);
    }
    // What was removed since is not made again by a request that comes late.
    assert_eq!(world.ask("DELETE", "/api/v1/apps/shop", "").await.status, 204);
    refused(&world.ask_with("POST", "/api/v1/apps", APP, &key).await, 409, None);
    refused(
        &world.ask_with("POST", "/api/v1/apps", APP, &[("idempotency-key", "")]).await,
        400,
        Some("Idempotency-Key"),
    );
    world.stop().await;
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_refused_and_stores_nothing() {
    let world = World::start().await;
    let dry = async |method: &str, path: &str, body: &str| {
        let answer = world.ask(method, &format!("{path}dryRun=true"), body).await;
        (answer.status, answer.text)
    };
    assert_eq!(dry("POST", "/api/v1/apps?", APP).await, (204, String::new()));
    let (status, text) = dry("POST", "/api/v1/jobs?", &job("foo")).await;
    assert!(status == 422 && text.contains("app shop is not registered"), "{text}");
    assert_eq!(dry("POST", "/api/v1/jobs?assume=app:shop&", &job("foo")).await.0, 204);
    let wrong = job("foo").replace("\"jobName\"", "\"colour\":\"red\",\"jobName\"");
    let (status, text) = dry("POST", "/api/v1/jobs?assume=app:shop&", &wrong).await;
    assert!(status == 422 && text.contains("colour"), "{text}");
    assert_eq!(world.ask("GET", "/api/v1/apps", "").await.json()["items"], json!([]));
    // Of what is there, as a change of it would be.
    assert_eq!(world.ask("POST", "/api/v1/apps", APP).await.status, 201);
    assert_eq!(dry("POST", "/api/v1/apps?", APP).await.0, 409);
    let tag = world.ask("GET", "/api/v1/apps/shop", "").await.headers["etag"].clone();
    let larger = r#"{"appName":"shop","cpuCount":9}"#;
    assert_eq!(dry("PUT", "/api/v1/apps/shop?", larger).await.0, 204);
    assert_eq!(dry("PUT", "/api/v1/apps/other?", larger).await.0, 422);
    let gone = larger.replace("shop", "gone");
    assert_eq!(dry("PUT", "/api/v1/apps/gone?", &gone).await.0, 404);
    let stale = [("if-match", "\"0123456789abcdef\"")];
    let path = "/api/v1/apps/shop?dryRun=true";
    refused(&world.ask_with("PUT", path, larger, &stale).await, 412, None);
    assert_eq!(world.ask("GET", "/api/v1/apps/shop", "").await.headers["etag"], tag);
    world.stop().await;
}

#[tokio::test]
async fn lists_have_two_ends_and_rows_chosen_members() {
    let world = shop().await;
    for name in ["a", "b", "c"] {
        assert_eq!(world.ask("POST", "/api/v1/jobs", &job(name)).await.status, 201);
    }
    let path = "/api/v1/jobs?sort=-name&limit=2&fields=name,document.shardingTotalCount";
    let first = world.ask("GET", path, "").await.json();
    let row = |name: &str| json!({"name": name, "document": {"shardingTotalCount": 1}});
    assert_eq!(first["items"], json!([row("c"), row("b")]));
    let cursor = first["next"].as_str().unwrap();
    let second = world.ask("GET", &format!("{path}&cursor={cursor}"), "").await.json();
    assert_eq!(second, json!({"items": [row("a")], "next": null}));
    // The cursor of one order is no place in the other.
    let other = world.ask("GET", &format!("/api/v1/jobs?cursor={cursor}"), "").await;
    refused(&other, 400, Some("cursor"));
    let one = world.ask("GET", "/api/v1/jobs/a?fields=name", "").await;
    assert_eq!(one.json(), json!({"name": "a"}));
    refused(&world.ask("GET", "/api/v1/jobs?fields=colour", "").await, 400, Some("fields"));
    refused(&world.ask("GET", "/api/v1/jobs?sort=age", "").await, 400, Some("sort"));
    refused(&world.ask("POST", "/api/v1/reconcile?fields=id", "").await, 400, Some("fields"));
    world.stop().await;
}

#[tokio::test]
async fn long_answers_are_compressed_for_who_can_read_that() {
    let world = shop().await;
    let asked = [("accept-encoding", "gzip")];
    let whole = world.ask("GET", "/openapi.json", "").await;
    let response = world.raw("GET", "/openapi.json", &asked).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    assert!(bytes.len() * 3 < whole.text.len(), "{} of {}", bytes.len(), whole.text.len());
    world.stop().await;
}

#[tokio::test]
async fn every_answer_is_described() {
    let world = shop().await;
    assert_eq!(world.ask("POST", "/api/v1/jobs", &job("foo")).await.status, 201);
    let calendar = r#"{"calendarName":"off","dates":[]}"#;
    assert_eq!(world.ask("POST", "/api/v1/calendars", calendar).await.status, 201);
    let triggered = world.ask("POST", "/api/v1/jobs/foo/trigger", "").await.json();
    check_members("Triggered", &triggered);
    let run = triggered["id"].as_str().unwrap();
    for (path, schema) in [
        ("apps/shop", "App"),
        ("jobs/foo", "Job"),
        ("calendars/off", "Calendar"),
        ("jobs/foo/why", "Why"),
        ("status", "Status"),
        (format!("runs/{run}").as_str(), "Run"),
    ] {
        check_members(schema, &world.ask("GET", &format!("/api/v1/{path}"), "").await.json());
    }
    let first = |page: Value| page["items"][0].clone();
    let ready = world.ask("GET", "/api/v1/queues/ready", "").await.json();
    check_members("Ready", &first(ready));
    let cancelled = world.ask("POST", &format!("/api/v1/runs/{run}/cancel"), "").await.json();
    check_members("Accepted", &cancelled);
    let preview = "/api/v1/schedules/preview?cron=0%200%202%20*%20*%20?&n=1";
    check_members("Firing", &first(world.ask("GET", preview, "").await.json()));
    check_members("Problem", &world.ask("GET", "/api/v1/jobs/none", "").await.json());
    check_members("Health", &world.ask("GET", "/healthz", "").await.json());
    world.stop().await;
}

#[tokio::test]
async fn the_page_to_try_it_is_served_with_a_strict_policy() {
    let world = World::start().await;
    for path in ["/docs", "/docs/page.js", "/docs/page.css"] {
        let answer = world.ask("GET", path, "").await;
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    }
    let document = world.ask("GET", "/openapi.json", "").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/api/v1/jobs/{job}"]["put"].is_object());
    world.stop().await;
}

/// Reads server-sent events until one holds a text.
pub(super) async fn read_until(body: axum::body::Body, text: &str) -> String {
    use futures_util::StreamExt as _;
    let mut parts = body.into_data_stream();
    let mut read = String::new();
    while !read.contains(text) {
        let part = parts.next().await.unwrap().unwrap();
        read.push_str(&String::from_utf8_lossy(&part));
    }
    read
}

/// The ids of the events in a stream, without those that only say how far it has come.
fn ids(stream: &str) -> Vec<&str> {
    let events = stream.split("\n\n").filter(|block| block.contains("event: "));
    events.filter_map(|block| block.lines().find_map(|line| line.strip_prefix("id: "))).collect()
}

#[tokio::test]
async fn a_watcher_that_was_away_misses_nothing() {
    let world = shop().await;
    assert_eq!(world.ask("POST", "/api/v1/jobs", &job("foo")).await.status, 201);
    assert_eq!(world.ask("POST", "/api/v1/jobs", &job("bar")).await.status, 201);
    let watching = world.raw("GET", "/api/v1/events?job=foo", &[]).await;
    assert_eq!(watching.headers()["content-type"], "text/event-stream");
    for name in ["foo", "bar", "foo"] {
        let path = format!("/api/v1/jobs/{name}/trigger");
        let made = world.ask("POST", &path, "").await.json();
        let run = made["id"].as_str().unwrap();
        world.ask("POST", &format!("/api/v1/runs/{run}/cancel"), "").await;
        // Reading it waits until the history has it.
        world.ask("GET", &format!("/api/v1/runs/{run}"), "").await;
    }
    let last = world.ask("GET", "/api/v1/runs?job=foo&limit=1", "").await.json();
    let last = last["items"][0]["id"].as_str().unwrap().to_owned();
    let end =
        format!(r#""run":"{last}","job":"foo","item":null,"taskId":null,"state":"CANCELLED""#);
    let seen = read_until(watching.into_body(), &end).await;
    assert!(!seen.contains("bar@"), "{seen}");
    let seen = ids(&seen);
    // From the first event on, which it has: the rest again, none twice and none missing.
    for source in ["Last-Event-ID", "after"] {
        let again = match source {
            "after" => {
                let path = format!("/api/v1/events?job=foo&after={}", seen[0]);
                world.raw("GET", &path, &[]).await
            }
            _ => world.raw("GET", "/api/v1/events?job=foo", &[("last-event-id", seen[0])]).await,
        };
        let again = read_until(again.into_body(), &end).await;
        assert_eq!(ids(&again), seen[1..], "{source}");
    }
    // A cursor comes before anything has happened: who is cut off before the first event has one.
    let begun = world.raw("GET", "/api/v1/events?job=foo", &[]).await;
    assert!(read_until(begun.into_body(), "\n\n").await.starts_with("id: "));
    // From before this leader: what the feed does not have the history has.
    let all = world.raw("GET", "/api/v1/events?job=foo&after=0.0", &[]).await;
    assert!(ids(&read_until(all.into_body(), &end).await).ends_with(&seen));
    let foreign = world.raw("GET", "/api/v1/events?after=99.1", &[]).await;
    assert!(read_until(foreign.into_body(), "\n\n").await.starts_with("event: reset"));
    refused(&world.ask("GET", "/api/v1/events?after=x", "").await, 400, Some("after"));
    refused(&world.ask("GET", "/api/v1/events?kind=JOB", "").await, 400, Some("kind"));
    let events = world.ask("GET", &format!("/api/v1/runs/{last}/events"), "").await.json();
    check_members("Event", &events["items"][0]);
    check_members("Statistics", &world.ask("GET", "/api/v1/statistics", "").await.json());
    refused(&world.ask("GET", "/api/v1/statistics?interval=year", "").await, 400, Some("interval"));
    world.stop().await;
}
