//! A thousand malformed and hostile requests: none makes a handler panic or fail, none writes
//! anything. The requests follow from a fixed seed, so that a failure can be repeated.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::{APP, job, shop};
use crate::api::ElasticJobConfig;
use crate::api::testing::{Answer, World, send};
use crate::auth::{AppScope, AuthConfig, Mode, NewToken, Role};

/// Requests of each run of the test.
const REQUESTS: usize = 1_200;

/// A small generator (xorshift64*), seeded once.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// What names and ids must not be.
const NAMES: [&str; 16] = [
    "..",
    "%2e%2e",
    "%2e%2e%2fetc%2fpasswd",
    "a%00b",
    "%ff%fe",
    "a%2f..%2fb",
    "a@-@0@-@READY@-@S@-@u",
    "a@-@b",
    "%F0%9F%92%A3",
    "%",
    "a%",
    "' OR 1=1 --",
    "<script>",
    "shop@-@",
    "-1",
    "nonexistent@20260101T000000Z",
];

const PATHS: [&str; 46] = [
    "/api/v1/apps",
    "/api/v1/apps/{}",
    "/api/v1/apps/{}/enable",
    "/api/v1/apps/{}/disable",
    "/api/v1/jobs",
    "/api/v1/jobs/{}",
    "/api/v1/jobs/{}/trigger",
    "/api/v1/jobs/{}/why",
    "/api/v1/jobs/{}/next",
    "/api/v1/jobs/{}/disable",
    "/api/v1/runs/{}",
    "/api/v1/runs/{}/rerun",
    "/api/v1/runs/{}/cancel",
    "/api/v1/runs/{}/events",
    "/api/v1/tasks/{}",
    "/api/v1/tasks/{}/kill",
    "/api/v1/tasks/{}/logs",
    "/api/v1/calendars",
    "/api/v1/calendars/{}",
    "/api/v1/agents/{}",
    "/api/v1/offers",
    "/api/v1/executors",
    "/api/v1/queues/ready",
    "/api/v1/queues/{}",
    "/api/v1/schedules/preview",
    "/api/v1/reconcile",
    "/api/v1/users",
    "/api/v1/users/{}",
    "/api/v1/tokens",
    "/api/v1/tokens/{}",
    "/api/v1/session",
    "/api/v1/audit-log",
    "/api/v1/{}",
    "/{}",
    "//api//v1//apps",
    "/api/v1/../v1/apps",
    "/openapi.json",
    "/docs/../../../etc/passwd",
    "/api/app",
    "/api/app/{}",
    "/api/app/{}/disable",
    "/api/job/register",
    "/api/job/update",
    "/api/job/{}/disable",
    "/api/job/jobs/{}",
    "/api/job/events/executions",
];

const QUERIES: [&str; 16] = [
    "",
    "?limit=-1",
    "?limit=99999999999999999999",
    "?cursor=AAAA",
    "?cursor=%FF%FE",
    "?fields=a.b.c.d.e.f.g.h.i.j",
    "?fields=,,,,",
    "?sort=;drop table run",
    "?job=%00",
    "?app=a&app=b",
    "?state=RUNNING%0d%0aX: y",
    "?n=366&from=9999-12-31T23:59:59Z&cron=* * * * * ?",
    "?cron=0 0 0 31 2 ?&n=366",
    "?timeZone=../../etc/localtime&cron=* * * * * ?",
    "?page=99999999999&per_page=99999999999",
    "?startTime=0000-00-00 00:00:00&endTime=99999",
];

/// A body that is no document, or one that says what it must not.
fn body(dice: &mut Dice) -> Vec<u8> {
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let deep_object = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    match dice.below(12) {
        0 => Vec::new(),
        1 => deep(100).into_bytes(),
        2 => deep(100_000).into_bytes(),
        3 => deep_object(50_000).into_bytes(),
        4 => (0..dice.below(4_000)).map(|_| dice.next() as u8).collect(),
        5 => vec![b' '; 1024 * 1024 + 1],
        6 => format!("{{\"appName\":\"{}\"}}", "a".repeat(70_000)).into_bytes(),
        7 => br#"{"appName":"a","appName":"b","cpuCount":1e400}"#.to_vec(),
        8 => br#"{"jobName":"\ud800","appName":"shop"}"#.to_vec(),
        9 => mutated(dice).into_bytes(),
        10 => flipped(dice),
        _ => b"null".to_vec(),
    }
}

/// A good document of which one field has become something else.
fn mutated(dice: &mut Dice) -> String {
    let mut document: Value = serde_json::from_str(&job("hostile")).unwrap();
    let fields: Vec<String> = document.as_object().unwrap().keys().cloned().collect();
    let field = &fields[dice.below(fields.len())];
    let numbers = [json!(-1), json!(1e308), json!(0), json!(1.5), json!(u64::MAX)];
    let texts = [json!(""), json!("\u{0}"), json!("x".repeat(50_000)), json!("../../x")];
    let others = [json!([]), json!({}), json!(null), json!(true), json!([[[]]])];
    let wrong: Vec<&Value> = numbers.iter().chain(&texts).chain(&others).collect();
    document[field.as_str()] = wrong[dice.below(wrong.len())].clone();
    // Whatever became of the field: this app does not exist.
    document["appName"] = json!("nobody");
    document.to_string()
}

/// A good document with some bytes changed, and never a good one.
fn flipped(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = job("hostile").replace("\"shop\"", "\"nobody\"").into_bytes();
    for _ in 0..=dice.below(8) {
        let place = dice.below(bytes.len());
        bytes[place] = dice.next() as u8;
    }
    bytes
}

fn request(dice: &mut Dice) -> Option<Request<Body>> {
    let methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW"];
    let path = dice.one(&PATHS).replace("{}", dice.one(&NAMES));
    let path = format!("{path}{}", dice.one(&QUERIES)).replace(' ', "%20");
    let mut request = Request::builder().method(dice.one(&methods)).uri(path);
    let types =
        ["application/json", "text/plain", "application/json; charset=utf-16", "\u{7f}", ""];
    request = request.header("content-type", dice.one(&types));
    let headers = [
        ("if-match", "\"'"),
        ("if-match", "W/\"0\", \"1\""),
        ("idempotency-key", "../../x"),
        ("idempotency-key", "\u{20}"),
        ("last-event-id", "-1.99999999999999999999"),
        ("accept-encoding", "gzip, gzip, br;q=x"),
        ("content-length", "99999999999999999999"),
        ("transfer-encoding", "chunked, chunked"),
        ("origin", "https://evil.example"),
        ("accesstoken", "eyJhdXRoVXNlcm5hbWUiOiJyb290IiwiYXV0aFBhc3N3b3JkIjoicHdkIn0="),
        ("authorization", "Basic ////"),
        ("range", "bytes=0-,0-,0-"),
    ];
    for _ in 0..dice.below(4) {
        let (name, value) = headers[dice.below(headers.len())];
        request = request.header(name, value);
    }
    let huge = "h".repeat(60_000);
    if dice.below(20) == 0 {
        request = request.header("x-huge", huge);
    }
    // What cannot even be built cannot be sent over HTTP either.
    request.body(Body::from(body(dice))).ok()
}

/// All that is stored, as the API shows it.
async fn stored(world: &World) -> Vec<String> {
    let mut stored = Vec::new();
    for list in ["apps", "jobs", "calendars", "runs", "queues/ready"] {
        stored.push(world.ask("GET", &format!("/api/v1/{list}"), "").await.text);
    }
    stored
}

#[tokio::test]
async fn a_thousand_hostile_requests_break_and_write_nothing() {
    let world = shop().await;
    assert_eq!(world.ask("POST", "/api/v1/jobs", &job("foo")).await.status, 201);
    let before = stored(&world).await;
    let mut dice = Dice(0x5EED_0F54_1700);
    let (mut sent, mut refused) = (0, 0);
    while sent < REQUESTS {
        let Some(request) = request(&mut dice) else { continue };
        sent += 1;
        let what = format!("{} {}", request.method(), request.uri());
        let answer = send(world.router(), request).await;
        assert!(answer.status < 500 || in_their_words(&what, &answer), "{what}: {}", answer.text);
        refused += usize::from(answer.status >= 400);
    }
    assert!(refused * 2 > sent, "{refused} of {sent} refused: the requests are not hostile");
    assert_eq!(stored(&world).await, before);
    // And it still works.
    let update = world.ask("PUT", "/api/v1/apps/shop", APP).await;
    assert_eq!(update.status, 200, "{}", update.text);
    world.stop().await;
}

/// Bodies of somebody who wants more than they may.
const ESCALATIONS: [&str; 6] = [
    r#"{"name":"evil","role":"admin","password":"a long enough password"}"#,
    r#"{"name":"evil","role":"admin"}"#,
    r#"{"role":"admin","apps":[]}"#,
    r#"{"appName":"evil","cpuCount":1}"#,
    r#"{"name":"alice","password":"wrong but long enough"}"#,
    r#"{"reason":"evil"}"#,
];

#[tokio::test]
async fn a_thousand_requests_of_strangers_and_climbers_write_nothing() {
    let auth = AuthConfig { mode: Mode::Required, ..AuthConfig::default() };
    let world = World::start_guarded(ElasticJobConfig::default(), auth).await;
    let token = async |name: &str, role, apps: &[&str], lifetime| {
        let apps = AppScope::new(apps.iter().map(ToString::to_string).collect()).unwrap();
        let new = NewToken { name: name.to_owned(), role, apps, lifetime };
        world.auth.create_token(new, "test".into()).await.unwrap().1
    };
    let admin = token("admin", Role::Admin, &[], None).await;
    let expired = token("expired", Role::Admin, &[], Some(Duration::from_millis(1))).await;
    let viewer = token("viewer", Role::Viewer, &[], None).await;
    let elsewhere = token("elsewhere", Role::Operator, &["other-"], None).await;
    let revoked = token("revoked", Role::Admin, &[], None).await;
    world.auth.revoke_token("revoked", "test".into()).await.unwrap();
    let as_admin = [("authorization", format!("Bearer {admin}"))];
    let as_admin: Vec<(&str, &str)> = as_admin.iter().map(|(n, v)| (*n, v.as_str())).collect();
    for (path, document) in [("/api/v1/apps", APP.to_owned()), ("/api/v1/jobs", job("foo"))] {
        assert_eq!(world.ask_with("POST", path, &document, &as_admin).await.status, 201);
    }
    let stored = async || {
        let mut stored = Vec::new();
        let lists = ["apps", "jobs", "calendars", "runs", "queues/ready", "users", "tokens"];
        for list in lists {
            let path = format!("/api/v1/{list}");
            stored.push(world.ask_with("GET", &path, "", &as_admin).await.text);
        }
        stored
    };
    let before = stored().await;
    let last = if admin.ends_with('A') { 'E' } else { 'A' };
    let forged = format!("{}{last}", &admin[..admin.len() - 1]);
    let shown = [&expired, &viewer, &elsewhere, &revoked, &forged].map(|it| format!("Bearer {it}"));
    let methods = ["POST", "PUT", "DELETE", "GET"];
    let mut dice = Dice(0x00C1_1ABE_5EED);
    let mut kinds = BTreeMap::<u16, usize>::new();
    for _ in 0..REQUESTS {
        let name = if dice.below(2) == 0 { "shop" } else { "foo" };
        let path = dice.one(&PATHS).replace("{}", name);
        let text =
            if dice.below(3) == 0 { mutated(&mut dice) } else { dice.one(&ESCALATIONS).into() };
        let mut request = Request::builder().method(dice.one(&methods)).uri(&path);
        request = request.header("content-type", "application/json");
        match dice.below(8) {
            0 => {}
            1 => request = request.header("cookie", format!("shiftwork-session={admin}")),
            2 => request = request.header("accesstoken", dice.one(&["x", &revoked, &expired])),
            _ => request = request.header("authorization", &shown[dice.below(shown.len())]),
        }
        let answer = send(world.router(), request.body(Body::from(text)).unwrap()).await;
        assert!(answer.status < 500, "{path}: {}", answer.text);
        assert!(!answer.text.contains("argon2"), "{path}");
        *kinds.entry(answer.status).or_default() += 1;
    }
    assert_eq!(stored().await, before);
    assert!(kinds[&401] + kinds[&403] + kinds[&429] > REQUESTS / 4, "{kinds:?}");
    world.stop().await;
}

/// Elastic-Job-Cloud refuses with 500 and a sentence, and its clients know that; and without a
/// master there is nobody to reconcile with.
fn in_their_words(what: &str, answer: &Answer) -> bool {
    let theirs = what.contains(" /api/app") || what.contains(" /api/job");
    theirs && answer.status == 500 && !answer.text.contains("internal-error")
}
