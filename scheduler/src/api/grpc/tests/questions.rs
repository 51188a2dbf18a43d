//! What REST answers, asked over gRPC by a client that knows only what reflection tells: the same.

use serde_json::{Value, json};
use tonic::Code;

use super::reflected::Reflected;
use super::{Served, World, shop};

struct Asked {
    world: World,
    served: Served,
    client: Reflected,
}

impl Asked {
    async fn start() -> Self {
        let world = World::start().await;
        let served = Served::start(world.state()).await;
        shop(&served, &["foo"]).await;
        let client = Reflected::ask(&served).await;
        Self { world, served, client }
    }

    async fn rest(&self, path: &str) -> Value {
        let answer = self.world.ask("GET", path, "").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }

    async fn grpc(&self, method: &str, request: Value) -> Value {
        self.client.call(method, request).await.unwrap()
    }

    async fn stop(self) {
        drop(self.client);
        self.served.stop().await;
        self.world.stop().await;
    }
}

#[tokio::test]
async fn coming_firings_are_those_of_rest() {
    let asked = Asked::start().await;
    let cron = json!({"cron": "0 30 2 * * ?", "timeZone": "Europe/Berlin", "n": 3,
        "from": "2026-10-24T00:00:00Z"});
    let told = asked.grpc("PreviewSchedule", cron).await;
    let rest = asked
        .rest(
            "/api/v1/schedules/preview?cron=0+30+2+*+*+%3F&timeZone=Europe/Berlin&n=3\
             &from=2026-10-24T00:00:00Z",
        )
        .await;
    let (told, rest) = (told["firings"].as_array().unwrap(), rest["items"].as_array().unwrap());
    assert_eq!(told.len(), 3);
    for (told, rest) in told.iter().zip(rest) {
        assert_eq!((&told["at"], &told["local"]), (&rest["utc"], &rest["local"]));
    }
    // The day on which this hour comes twice is noted at both.
    let noted = |firings: &[Value]| firings.iter().filter(|it| it["note"].is_string()).count();
    assert_eq!((noted(told), noted(rest)), (1, 1), "{told:?}");
    // Only by trigger.
    let next = asked.grpc("NextFirings", json!({"name": "foo"})).await;
    assert_eq!(next, json!({}));
    for (method, request, field) in [
        ("NextFirings", json!({"name": "foo", "n": 367}), "n must be"),
        ("PreviewSchedule", json!({"n": 1}), "cron is required"),
        ("PreviewSchedule", json!({"cron": "every day"}), "the schedule is wrong; cron: "),
    ] {
        let refused = asked.client.call(method, request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{method}: {refused}");
        assert!(refused.message().starts_with(field), "{method}: {refused}");
    }
    let gone = asked.client.call("NextFirings", json!({"name": "bar"})).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    asked.stop().await;
}

#[tokio::test]
async fn the_audit_log_is_that_of_rest() {
    let asked = Asked::start().await;
    let off = json!({"name": "foo", "enabled": false, "reason": "broken"});
    asked.grpc("SetJobEnabled", off).await;
    assert!(asked.world.state().history.flushed(super::PATIENCE).await);
    let told = asked.grpc("ListAuditLog", json!({"page": {"size": 2}})).await;
    let rest = asked.rest("/api/v1/audit-log?limit=2").await;
    let (rows, expected) = (told["entries"].as_array().unwrap(), rest["items"].as_array().unwrap());
    assert_eq!((rows.len(), expected.len()), (2, 2), "{told}");
    for (row, expected) in rows.iter().zip(expected) {
        for field in ["id", "at", "door", "action", "kind", "name", "app"] {
            assert_eq!(row[field], expected[field], "{field}");
        }
        let after: Value = serde_json::from_str(row["after"].as_str().unwrap()).unwrap();
        assert_eq!(after, expected["after"]);
    }
    assert_eq!((&rows[0]["action"], &rows[0]["door"]), (&json!("disable"), &json!("grpc")));
    let behind = json!({"page": {"size": 2, "token": told["nextPageToken"]}});
    let last = asked.grpc("ListAuditLog", behind).await;
    assert_eq!(last["entries"].as_array().unwrap().len(), 1, "{last}");
    let only = json!({"kind": "app", "action": "create"});
    let only = asked.grpc("ListAuditLog", only).await;
    assert_eq!(only["entries"].as_array().unwrap().len(), 1, "{only}");
    let none = asked.grpc("ListAuditLog", json!({"until": "2020-01-01T00:00:00Z"})).await;
    assert_eq!(none, json!({}));
    asked.stop().await;
}

#[tokio::test]
async fn statistics_and_the_audit_of_firings_are_asked_by_interval_and_moment() {
    let asked = Asked::start().await;
    let told = asked.grpc("GetStatistics", json!({"interval": "INTERVAL_MINUTE"})).await;
    assert_eq!(told["intervalMs"], "60000");
    let rest = asked.rest("/api/v1/statistics?since=2026-11-20T00:00:00Z&interval=day").await;
    let day = json!({"since": "2026-11-20T00:00:00Z", "interval": "INTERVAL_DAY"});
    let told = asked.grpc("GetStatistics", day).await;
    assert_eq!((&told["since"], rest["tasks"].as_array().unwrap().len()), (&rest["since"], 0));
    let long = json!({"since": "2020-01-01T00:00:00Z", "interval": "INTERVAL_MINUTE"});
    for (method, request, field) in [
        ("GetStatistics", long, "since must be"),
        ("GetStatistics", json!({"interval": 9}), "interval is none"),
    ] {
        let refused = asked.client.call(method, request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{method}: {refused}");
        assert!(refused.message().starts_with(field), "{method}: {refused}");
    }
    // Both say the same of this tenure, be it a report or that there is none yet.
    let rest = asked.world.ask("GET", "/api/v1/audit", "").await;
    match asked.client.call("Audit", json!({})).await {
        Ok(report) => {
            assert_eq!(rest.status, 200, "{}", rest.text);
            assert!(report["until"].is_string(), "{report}");
        }
        Err(refused) => {
            assert_eq!((refused.code(), rest.status), (Code::Unavailable, 503), "{refused}");
            assert_eq!(rest.json()["detail"], refused.message());
        }
    }
    asked.stop().await;
}

#[tokio::test]
async fn logs_and_the_cluster_say_what_rest_says() {
    let asked = Asked::start().await;
    for method in ["ListOffers", "ListExecutors", "ListRunning"] {
        assert_eq!(asked.grpc(method, json!({})).await, json!({}), "{method}");
    }
    let refused = asked.client.call("GetAgent", json!({"agent": "S9"})).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert!(refused.message().contains("agent S9"), "{refused}");
    let task = "foo@-@0@-@READY@-@S0@-@6ba7b810-9dad-11d1-80b4-00c04fd430c8";
    let rest = asked.world.ask("GET", &format!("/api/v1/tasks/{task}/logs"), "").await;
    for method in ["ReadLogs", "FollowLogs"] {
        let refused = asked.client.call(method, json!({"task": task})).await.unwrap_err();
        assert_eq!((refused.code(), rest.status), (Code::NotFound, 404), "{method}: {refused}");
        assert_eq!(rest.json()["detail"], refused.message(), "{method}");
        let wrong = json!({"task": task, "stream": 7});
        let refused = asked.client.call(method, wrong).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{method}: {refused}");
    }
    asked.stop().await;
}
