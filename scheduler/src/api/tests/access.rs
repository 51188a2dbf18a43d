//! Who may do what through the door: every route, by role and by app, and what the audit log says.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::{APP, job};
use crate::api::ElasticJobConfig;
use crate::api::access::Reach;
use crate::api::rest;
use crate::api::testing::{Answer, World};
use crate::auth::{AppScope, AuthConfig, Mode, NewToken, NewUser, Role};

/// A scheduler that asks everybody, and tokens of it.
struct Guarded {
    world: World,
}

const PASSWORD: &str = "a long enough password";

impl Guarded {
    async fn start() -> Self {
        let auth = AuthConfig { mode: Mode::Required, ..AuthConfig::default() };
        Self { world: World::start_guarded(ElasticJobConfig::default(), auth).await }
    }

    async fn token(&self, name: &str, role: Role, apps: &[&str]) -> String {
        self.token_for(name, role, apps, None).await
    }

    async fn token_for(
        &self,
        name: &str,
        role: Role,
        apps: &[&str],
        lifetime: Option<Duration>,
    ) -> String {
        let apps = AppScope::new(apps.iter().map(ToString::to_string).collect()).unwrap();
        let new = NewToken { name: name.to_owned(), role, apps, lifetime };
        self.world.auth.create_token(new, "test".into()).await.unwrap().1
    }

    async fn user(&self, name: &str, role: Role) {
        let (name, password) = (name.to_owned(), PASSWORD.to_owned());
        let new = NewUser { name, password, role, apps: AppScope::ALL };
        self.world.auth.create_user(new, "test".into()).await.unwrap();
    }

    async fn ask(&self, token: &str, method: &str, path: &str, body: &str) -> Answer {
        let authorization = format!("Bearer {token}");
        self.world.ask_with(method, path, body, &[("authorization", &authorization)]).await
    }
}

/// An app of a name, and a job of it.
fn documents(app: &str) -> (String, String) {
    let app_document = APP.replace("\"shop\"", &format!("\"{app}\""));
    let mut job: Value = serde_json::from_str(&job(&format!("{app}-job"))).unwrap();
    job["appName"] = app.into();
    (app_document, job.to_string())
}

/// A path of a template.
fn filled(path: &str) -> String {
    path.replace("{app}", "shop")
        .replace("{job}", "shop-job")
        .replace("{calendar}", "none")
        .replace("{run}", "shop-job@k")
        .replace("{task}", "shop-job@-@0@-@READY@-@S0@-@6ba7b810-9dad-11d1-80b4-00c04fd430c8")
        .replace("{agent}", "S0")
        .replace("{user}", "nobody")
        .replace("{token}", "none")
        .replace("{secret}", "none")
}

#[tokio::test]
async fn every_route_takes_the_role_it_says_and_no_other() {
    let guarded = Guarded::start().await;
    let viewer = guarded.token("viewer", Role::Viewer, &[]).await;
    let operator = guarded.token("operator", Role::Operator, &[]).await;
    let (_, operations) = rest::table().finish();
    let mut roles = BTreeSet::new();
    for operation in &operations {
        let (method, path) = (operation.method.as_str(), filled(&operation.path));
        roles.insert(operation.rule.role);
        let nobody = guarded.world.raw(method, &path, &[]).await.status().as_u16();
        let Some(role) = operation.rule.role else {
            assert_ne!(nobody, 401, "{method} {path}");
            continue;
        };
        assert_eq!(nobody, 401, "{method} {path}");
        for (token, held) in [(&viewer, Role::Viewer), (&operator, Role::Operator)] {
            let shown = format!("Bearer {token}");
            let headers = [("authorization", shown.as_str())];
            let status = guarded.world.raw(method, &path, &headers).await.status().as_u16();
            let is_refused = matches!(status, 401 | 403);
            assert_eq!(is_refused, held < role, "{method} {path} by {held}: {status}");
        }
    }
    assert_eq!(roles.len(), 4, "anybody and each role");
    guarded.world.stop().await;
}

#[tokio::test]
async fn whoever_may_use_some_apps_sees_and_changes_no_other() {
    let guarded = Guarded::start().await;
    let admin = guarded.token("admin", Role::Admin, &[]).await;
    for app in ["team-a-shop", "team-b-shop"] {
        let (app, job) = documents(app);
        assert_eq!(guarded.ask(&admin, "POST", "/api/v1/apps", &app).await.status, 201);
        assert_eq!(guarded.ask(&admin, "POST", "/api/v1/jobs", &job).await.status, 201);
    }
    for job in ["team-a-shop-job", "team-b-shop-job"] {
        let path = format!("/api/v1/jobs/{job}/trigger");
        assert_eq!(guarded.ask(&admin, "POST", &path, "").await.status, 201);
    }
    let token = guarded.token("a", Role::Operator, &["team-a-"]).await;
    // Lists hold theirs alone.
    for (list, name) in
        [("apps", "name"), ("jobs", "name"), ("runs", "job"), ("queues/ready", "job")]
    {
        let answer = guarded.ask(&token, "GET", &format!("/api/v1/{list}"), "").await;
        let items = answer.json()["items"].as_array().unwrap().clone();
        assert_eq!(items.len(), 1, "{list}: {}", answer.text);
        assert!(items[0][name].as_str().unwrap().starts_with("team-a-"), "{list}");
        let all = guarded.ask(&admin, "GET", &format!("/api/v1/{list}"), "").await;
        assert_eq!(all.json()["items"].as_array().unwrap().len(), 2, "{list}");
    }
    // What is named is theirs, or they may not.
    let run = guarded.ask(&admin, "GET", "/api/v1/runs?job=team-b-shop-job", "").await;
    let run = run.json()["items"][0]["id"].as_str().unwrap().to_owned();
    let (app, job) = documents("team-b-new");
    let (_, moved) = documents("team-a-shop");
    let moved = moved.replace("\"team-a-shop\"", "\"team-b-shop\"");
    for (method, path, body) in [
        ("GET", "/api/v1/apps/team-b-shop", ""),
        ("GET", "/api/v1/jobs/team-b-shop-job", ""),
        ("GET", "/api/v1/jobs/team-b-shop-job/why", ""),
        ("GET", "/api/v1/jobs/team-b-shop-job/next", ""),
        ("GET", &format!("/api/v1/runs/{run}"), ""),
        ("GET", &format!("/api/v1/runs/{run}/events"), ""),
        ("POST", &format!("/api/v1/runs/{run}/cancel"), ""),
        ("POST", "/api/v1/jobs/team-b-shop-job/trigger", ""),
        ("POST", "/api/v1/apps/team-b-shop/disable", ""),
        ("DELETE", "/api/v1/jobs/team-b-shop-job", ""),
        ("POST", "/api/v1/apps", &app),
        ("POST", "/api/v1/jobs", &job),
        // Not into another's app, either.
        ("PUT", "/api/v1/jobs/team-a-shop-job", &moved),
        ("POST", "/api/v1/reconcile", ""),
        ("POST", "/api/v1/calendars", r#"{"calendarName":"x"}"#),
        ("GET", "/api/v1/agents", ""),
        ("GET", "/api/v1/offers", ""),
        ("GET", "/api/v1/statistics", ""),
        ("GET", "/api/v1/events", ""),
        ("GET", "/api/v1/events?job=team-b-shop-job", ""),
        ("GET", "/api/app/list", ""),
        ("GET", "/api/job/jobs", ""),
    ] {
        let answer = guarded.ask(&token, method, path, body).await;
        assert_eq!(answer.status, 403, "{method} {path}: {}", answer.text);
    }
    assert_eq!(guarded.ask(&token, "GET", "/api/v1/events?job=not-yet", "").await.status, 404);
    for (method, path) in [
        ("GET", "/api/v1/status"),
        ("GET", "/api/v1/calendars"),
        ("GET", "/api/v1/jobs/team-a-shop-job"),
        ("POST", "/api/v1/jobs/team-a-shop-job/disable"),
        ("GET", "/api/v1/schedules/preview?cron=0+0+0+*+*+%3F"),
    ] {
        let answer = guarded.ask(&token, method, path, "").await;
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text);
    }
    guarded.world.stop().await;
}

#[tokio::test]
async fn expired_forged_and_revoked_tokens_are_of_no_use() {
    let guarded = Guarded::start().await;
    let short = Some(Duration::from_millis(1));
    let expired = guarded.token_for("short", Role::Admin, &[], short).await;
    let revoked = guarded.token("revoked", Role::Admin, &[]).await;
    guarded.token("admin", Role::Admin, &[]).await;
    guarded.world.auth.revoke_token("revoked", "test".into()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let good = guarded.token("good", Role::Viewer, &[]).await;
    let longer = format!("{good}x");
    for token in [&expired, &revoked, &good[1..], &longer, "", "null", "../../etc/passwd"] {
        let answer = guarded.ask(token, "GET", "/api/v1/apps", "").await;
        assert_eq!(answer.status, 401, "{token}: {}", answer.text);
        assert_eq!(answer.headers["www-authenticate"], "Bearer realm=\"shiftwork\"");
    }
    assert_eq!(guarded.ask(&good, "GET", "/api/v1/apps", "").await.status, 200);
    guarded.world.stop().await;
}

#[tokio::test]
async fn a_session_is_a_cookie_that_no_other_page_can_use() {
    let guarded = Guarded::start().await;
    guarded.user("alice", Role::Operator).await;
    let login = format!(r#"{{"name":"alice","password":"{PASSWORD}"}}"#);
    let wrong = r#"{"name":"alice","password":"something else"}"#;
    assert_eq!(guarded.world.ask("POST", "/api/v1/session", wrong).await.status, 401);
    let answer = guarded.world.ask("POST", "/api/v1/session", &login).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let set = answer.headers["set-cookie"].to_str().unwrap();
    assert!(set.contains("; HttpOnly") && set.contains("; SameSite=Strict"), "{set}");
    let cookie = set.split(';').next().unwrap();
    let csrf = answer.json()["csrfToken"].as_str().unwrap().to_owned();
    let ask = async |method, path, headers: &[(&str, &str)]| {
        let headers = [&[("cookie", cookie)], headers].concat();
        guarded.world.ask_with(method, path, "", &headers).await.status
    };
    assert_eq!(ask("GET", "/api/v1/jobs", &[]).await, 200);
    let change = "/api/v1/reconcile";
    assert_eq!(ask("POST", change, &[]).await, 403);
    assert_eq!(ask("POST", change, &[("x-csrf-token", "guessed")]).await, 403);
    let foreign = [("origin", "https://evil.example"), ("host", "here")];
    assert_eq!(ask("POST", change, &foreign).await, 403);
    let cross = [("sec-fetch-site", "cross-site")];
    assert_eq!(ask("POST", change, &cross).await, 403);
    // Let in; without a master there is nobody to ask.
    for ours in
        [&[("x-csrf-token", csrf.as_str())][..], &[("origin", "http://here"), ("host", "here")]]
    {
        assert!(matches!(ask("POST", change, ours).await, 202 | 409));
    }
    assert_eq!(ask("DELETE", "/api/v1/session", &[("x-csrf-token", &csrf)]).await, 204);
    assert_eq!(ask("GET", "/api/v1/jobs", &[]).await, 401);
    guarded.world.stop().await;
}

#[tokio::test]
async fn the_audit_log_says_who_changed_what_from_what_to_what() {
    let guarded = Guarded::start().await;
    let admin = guarded.token("admin", Role::Admin, &[]).await;
    let operator = guarded.token("operator", Role::Operator, &[]).await;
    let (app, job) = documents("shop");
    guarded.ask(&operator, "POST", "/api/v1/apps", &app).await;
    guarded.ask(&operator, "POST", "/api/v1/jobs", &job).await;
    // Refused: nothing was changed.
    assert_eq!(guarded.ask(&operator, "POST", "/api/v1/jobs", &job).await.status, 409);
    let faster = job.replace("\"shardingTotalCount\":1", "\"shardingTotalCount\":3");
    assert_ne!(faster, job, "{job}");
    guarded.ask(&operator, "PUT", "/api/v1/jobs/shop-job", &faster).await;
    guarded.ask(&operator, "POST", "/api/v1/jobs/shop-job/disable", r#"{"reason":"broken"}"#).await;
    let secret = r#"{"name":"bob","role":"viewer","password":"bob has a long one"}"#;
    assert_eq!(guarded.ask(&admin, "POST", "/api/v1/users", secret).await.status, 201);
    let entries = loop {
        let answer = guarded.ask(&admin, "GET", "/api/v1/audit-log", "").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let items = answer.json()["items"].as_array().unwrap().clone();
        // The two tokens, and five changes.
        if items.len() == 7 {
            assert!(!answer.text.contains("bob has a long one") && !answer.text.contains(&admin));
            assert!(!answer.text.contains("argon2"), "{}", answer.text);
            break items;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let said = |entry: &Value| {
        let text = |name: &str| entry[name].as_str().unwrap_or("-").to_owned();
        [text("actor"), text("action"), text("kind"), text("name")].join(" ")
    };
    let newest: Vec<String> = entries.iter().map(said).collect();
    assert_eq!(
        newest[..5],
        [
            "admin create user bob",
            "operator disable job shop-job",
            "operator update job shop-job",
            "operator create job shop-job",
            "operator create app shop",
        ]
    );
    crate::api::schemas::tests::check_members("AuditLogEntry", &entries[0]);
    assert_eq!(entries[1]["before"], serde_json::json!({"enabled": true}));
    assert_eq!(entries[1]["after"], serde_json::json!({"enabled": false, "reason": "broken"}));
    assert_eq!(entries[2]["before"]["shardingTotalCount"], 1);
    assert_eq!(entries[2]["after"]["shardingTotalCount"], 3);
    assert_eq!(entries[2]["app"], "shop");
    assert_eq!((&entries[3]["before"], &entries[3]["role"]), (&Value::Null, &"operator".into()));
    let only = guarded.ask(&admin, "GET", "/api/v1/audit-log?kind=job&action=update", "").await;
    assert_eq!(only.json()["items"].as_array().unwrap().len(), 1);
    let page = guarded.ask(&admin, "GET", "/api/v1/audit-log?limit=3", "").await.json();
    let next = format!("/api/v1/audit-log?limit=3&cursor={}", page["next"].as_str().unwrap());
    let next = guarded.ask(&admin, "GET", &next, "").await.json();
    assert_eq!(next["items"][0], entries[3]);
    guarded.world.stop().await;
}

#[tokio::test]
async fn users_and_tokens_are_managed_through_the_door() {
    let guarded = Guarded::start().await;
    let admin = guarded.token("admin", Role::Admin, &[]).await;
    let new = r#"{"name":"ci","role":"operator","apps":["team-a-"],"expiresIn":"90d"}"#;
    let answer = guarded.ask(&admin, "POST", "/api/v1/tokens", new).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    crate::api::schemas::tests::check_members("CreatedToken", &answer.json());
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    let me = guarded.ask(&token, "GET", "/api/v1/session", "").await.json();
    crate::api::schemas::tests::check_members("Session", &me);
    assert_eq!((&me["name"], &me["role"]), (&"ci".into(), &"operator".into()));
    let list = guarded.ask(&admin, "GET", "/api/v1/tokens", "").await;
    assert!(!list.text.contains(&token) && !list.text.contains("hash"), "{}", list.text);
    // Nobody but an admin makes anybody an admin.
    let role = r#"{"name":"x","role":"admin"}"#;
    assert_eq!(guarded.ask(&token, "POST", "/api/v1/tokens", role).await.status, 403);
    assert_eq!(guarded.ask(&admin, "DELETE", "/api/v1/tokens/ci", "").await.status, 204);
    assert_eq!(guarded.ask(&token, "GET", "/api/v1/session", "").await.status, 401);
    let short = r#"{"name":"bob","role":"viewer","password":"short"}"#;
    let refused = guarded.ask(&admin, "POST", "/api/v1/users", short).await;
    assert_eq!((refused.status, &refused.json()["errors"][0]["field"]), (422, &"password".into()));
    assert!(!refused.text.contains("short\""), "{}", refused.text);
    guarded.user("bob", Role::Viewer).await;
    let user = guarded.ask(&admin, "PUT", "/api/v1/users/bob", r#"{"role":"operator"}"#).await;
    crate::api::schemas::tests::check_members("User", &user.json());
    assert_eq!(user.json()["role"], "operator");
    assert_eq!(guarded.ask(&admin, "DELETE", "/api/v1/users/bob", "").await.status, 204);
    assert_eq!(guarded.ask(&admin, "GET", "/api/v1/users/bob", "").await.status, 404);
    guarded.world.stop().await;
}

#[test]
fn what_holds_nothing_of_an_app_is_a_short_list() {
    let (_, operations) = rest::table().finish();
    let shared = operations.iter().filter(|it| it.rule.reach == Reach::Shared);
    let shared: Vec<&str> = shared.map(|it| it.id.as_str()).collect();
    // Each of these was looked at; a new one is to be, too.
    assert_eq!(
        shared,
        [
            "listCalendars",
            "getCalendar",
            "previewSchedule",
            "getLeader",
            "getStatus",
            "getSession",
            "login",
            "logout",
            "getMetrics",
        ]
    );
}

/// A name may come to be of another app: what its runs did there is not shown with it.
#[tokio::test]
async fn events_are_those_of_runs_of_their_own_apps() {
    let guarded = Guarded::start().await;
    let admin = guarded.token("root", Role::Admin, &[]).await;
    let token = guarded.token("ci", Role::Viewer, &["team-a-"]).await;
    let mut runs = Vec::new();
    for app in ["team-b-shop", "team-a-shop"] {
        let (document, job) = documents(app);
        let job = job.replace(&format!("{app}-job"), "moving");
        assert_eq!(guarded.ask(&admin, "POST", "/api/v1/apps", &document).await.status, 201);
        assert_eq!(guarded.ask(&admin, "POST", "/api/v1/jobs", &job).await.status, 201);
        let made = guarded.ask(&admin, "POST", "/api/v1/jobs/moving/trigger", "").await.json();
        let run = made["id"].as_str().unwrap().to_owned();
        guarded.ask(&admin, "POST", &format!("/api/v1/runs/{run}/cancel"), "").await;
        // Reading it waits until the history has it.
        guarded.ask(&admin, "GET", &format!("/api/v1/runs/{run}"), "").await;
        if app == "team-b-shop" {
            guarded.ask(&admin, "DELETE", "/api/v1/jobs/moving", "").await;
        }
        runs.push(run);
    }
    let end = format!(
        r#""run":"{}","job":"moving","item":null,"taskId":null,"state":"CANCELLED""#,
        runs[1]
    );
    for (token, sees_all) in [(&admin, true), (&token, false)] {
        let authorization = format!("Bearer {token}");
        let path = "/api/v1/events?job=moving&after=0.0";
        let headers = [("authorization", authorization.as_str())];
        let stream = guarded.world.raw("GET", path, &headers).await;
        let seen = super::resources::read_until(stream.into_body(), &end).await;
        assert_eq!(seen.contains(&runs[0]), sees_all, "{seen}");
    }
    guarded.world.stop().await;
}
