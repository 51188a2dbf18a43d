//! Who may do what over gRPC: every method, by role and by app, as over REST.

use axum::http::uri::PathAndQuery;
use prost_reflect::{DynamicMessage, ReflectMessage as _};
use serde_json::{Value, json};
use shiftwork_proto::shiftwork::v1 as wire;
use shiftwork_proto::shiftwork::v1::document::Document as Text;
use shiftwork_proto::shiftwork::v1::scheduler_client::SchedulerClient;
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::reflected::{Dynamic, Reflected};
use super::{Served, World, app, job_text};
use crate::api::access::Reach;
use crate::api::grpc::access::{OPERATIONS, rule};
use crate::api::{ElasticJobConfig, rest};
use crate::auth::{AppScope, AuthConfig, Mode, NewToken, Role};
use crate::trace::{RunRow, TraceRecord};

/// A scheduler that asks everybody, with an app of each of two teams, a job of each and a run of each.
struct Guarded {
    world: World,
    served: Served,
    reflected: Reflected,
    admin: String,
}

/// What is not the team's that asks.
const APP: &str = "team-b-shop";
const JOB: &str = "team-b-job";
const RUN: &str = "team-b-job@k";
const TASK: &str = "team-b-job@-@0@-@READY@-@S0@-@6ba7b810-9dad-11d1-80b4-00c04fd430c8";

/// Shows a token with every call.
#[derive(Clone)]
struct Shown(MetadataValue<Ascii>);

impl Interceptor for Shown {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

fn job(name: &str, app: &str) -> wire::Document {
    let text = job_text(name, 0.1).replace("\"shop\"", &format!("\"{app}\""));
    wire::Document { document: Some(Text::Job(text)), if_match: String::new() }
}

impl Guarded {
    async fn start() -> Self {
        let auth = AuthConfig { mode: Mode::Required, ..AuthConfig::default() };
        let world = World::start_guarded(ElasticJobConfig::default(), auth).await;
        let served = Served::start(world.state()).await;
        let reflected = Reflected::ask(&served).await;
        let admin = token(&world, "admin", Role::Admin, &[]).await;
        let guarded = Self { world, served, reflected, admin };
        let mut client = guarded.client(&guarded.admin);
        for team in ["team-a", "team-b"] {
            let (shop, name) = (format!("{team}-shop"), format!("{team}-job"));
            let documents = vec![app(&shop), job(&name, &shop)];
            client.apply(wire::ApplyRequest { documents, dry_run: false }).await.unwrap();
            let key = "k".to_owned();
            let trigger = wire::TriggerRequest { job: name, key, ..Default::default() };
            client.trigger(trigger).await.unwrap();
        }
        guarded.store_a_task().await;
        guarded
    }

    /// Puts a run with a task into the history: without a master none comes to be.
    async fn store_a_task(&self) {
        let authorization = format!("Bearer {}", self.admin);
        let headers = [("authorization", authorization.as_str())];
        let path = format!("/api/v1/runs/{RUN}");
        let mut run = self.world.ask_with("GET", &path, "", &headers).await.json();
        let id = format!("{JOB}@ended");
        run["id"] = id.clone().into();
        run["state"] = "FAILED".into();
        run["finishedAt"] = run["createdAt"].clone();
        run["shards"][0]["taskId"] = TASK.into();
        run.as_object_mut().unwrap().remove("document");
        let row = RunRow {
            id,
            job: JOB.to_owned(),
            app: APP.to_owned(),
            state: "FAILED".to_owned(),
            created_at_ms: 1,
            finished_at_ms: Some(2),
            version: 1,
            json: run.to_string(),
            ..RunRow::default()
        };
        let history = self.world.state().history;
        history.append(&[TraceRecord::Run(row)]).unwrap();
        assert!(history.flushed(super::PATIENCE).await);
    }

    fn client(&self, token: &str) -> SchedulerClient<InterceptedService<Channel, Shown>> {
        let shown = Shown(format!("Bearer {token}").parse().unwrap());
        SchedulerClient::with_interceptor(self.served.channel.clone(), shown)
    }

    /// The first message that a method answers to JSON, or why it answers none.
    async fn call(
        &self,
        token: Option<&str>,
        method: &str,
        request: Value,
    ) -> Result<Value, Status> {
        let service = self.reflected.pool.get_service_by_name("shiftwork.v1.Scheduler").unwrap();
        let method = service.methods().find(|known| known.name() == method).unwrap();
        let request = DynamicMessage::deserialize(method.input(), request).unwrap();
        let path = format!("/shiftwork.v1.Scheduler/{}", method.name());
        let path: PathAndQuery = path.parse().unwrap();
        let mut request = Request::new(request);
        if let Some(token) = token {
            let shown = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", shown);
        }
        let mut grpc = Grpc::new(self.reflected.channel.clone());
        grpc.ready().await.unwrap();
        let answer = grpc.server_streaming(request, path, Dynamic(method.output())).await?;
        let first = answer.into_inner().message().await?;
        let first = first.unwrap_or_else(|| DynamicMessage::new(method.output()));
        assert_eq!(first.descriptor(), method.output());
        Ok(serde_json::to_value(first).unwrap())
    }

    async fn stop(self) {
        drop(self.reflected);
        self.served.stop().await;
        self.world.stop().await;
    }
}

async fn token(world: &World, name: &str, role: Role, apps: &[&str]) -> String {
    let apps = AppScope::new(apps.iter().map(ToString::to_string).collect()).unwrap();
    let new = NewToken { name: name.to_owned(), role, apps, lifetime: None };
    world.auth.create_token(new, "test".into()).await.unwrap().1
}

#[tokio::test]
async fn every_method_takes_its_role_and_no_other() {
    let guarded = Guarded::start().await;
    let viewer = token(&guarded.world, "viewer", Role::Viewer, &[]).await;
    let operator = token(&guarded.world, "operator", Role::Operator, &[]).await;
    for (method, _) in OPERATIONS {
        let role = rule(method).role.unwrap();
        let nobody = guarded.call(None, method, json!({})).await.unwrap_err();
        assert_eq!(nobody.code(), Code::Unauthenticated, "{method}");
        for (token, held) in [(&viewer, Role::Viewer), (&operator, Role::Operator)] {
            let answer = guarded.call(Some(token), method, json!({})).await;
            let refused = answer.as_ref().is_err_and(|it| it.code() == Code::PermissionDenied);
            assert_eq!(refused, held < role, "{method} by {held}: {answer:?}");
        }
    }
    // Once: who guesses is slowed down.
    let forged = guarded.call(Some("forged"), "GetStatus", json!({})).await.unwrap_err();
    assert_eq!(forged.code(), Code::Unauthenticated, "{forged}");
    guarded.stop().await;
}

#[tokio::test]
async fn what_is_named_is_of_ones_apps_or_refused_by_the_apps_name() {
    let guarded = Guarded::start().await;
    let a = token(&guarded.world, "a", Role::Admin, &["team-a-"]).await;
    let (_, operations) = rest::table().finish();
    let mut asked = 0;
    for (method, id) in OPERATIONS.iter().filter(|(it, _)| rule(it).reach == Reach::Path) {
        let operation = operations.iter().find(|it| it.id == *id).unwrap();
        let kind = operation.path_parameters().next().unwrap();
        let foreign = match kind {
            "app" => APP,
            "job" => JOB,
            "run" => RUN,
            "task" => TASK,
            other => panic!("{method}: {other}"),
        };
        let pool = &guarded.reflected.pool;
        let service = pool.get_service_by_name("shiftwork.v1.Scheduler").unwrap();
        let input = service.methods().find(|it| it.name() == *method).unwrap().input();
        let field = if input.get_field_by_name(kind).is_some() { kind } else { "name" };
        let mut named = json!({field: foreign});
        if input.get_field_by_name("enabled").is_some() {
            named["enabled"] = true.into();
        }
        let refused = guarded.call(Some(&a), method, named.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{method}: {refused}");
        assert!(refused.message().contains(APP), "{method}: {refused}");
        // The same is let in whose it is.
        let theirs = guarded.call(Some(&guarded.admin), method, named).await;
        let code = theirs.as_ref().err().map(Status::code);
        assert_ne!(code, Some(Code::PermissionDenied), "{method}: {theirs:?}");
        assert_ne!(code, Some(Code::Internal), "{method}: {theirs:?}");
        asked += 1;
        if method.starts_with("Delete") {
            // What the next methods name is there again.
            let mut client = guarded.client(&guarded.admin);
            let documents = vec![app(APP), job(JOB, APP)];
            client.apply(wire::ApplyRequest { documents, dry_run: false }).await.unwrap();
            let again = json!({"job": JOB, "key": "k"});
            guarded.call(Some(&guarded.admin), "Trigger", again).await.unwrap();
        }
    }
    assert!(asked > 10, "{asked}");
    for (method, _) in OPERATIONS.iter().filter(|(it, _)| rule(it).reach == Reach::AllApps) {
        let refused = guarded.call(Some(&a), method, json!({})).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{method}: {refused}");
        assert!(refused.message().contains("all apps"), "{method}: {refused}");
    }
    guarded.stop().await;
}

#[tokio::test]
async fn lists_hold_the_apps_of_whoever_asks() {
    let guarded = Guarded::start().await;
    let a = token(&guarded.world, "a", Role::Viewer, &["team-a-"]).await;
    for (method, rows, name) in [
        ("ListApps", "apps", "name"),
        ("ListJobs", "jobs", "name"),
        ("ListRuns", "runs", "job"),
        ("ListReady", "ready", "job"),
    ] {
        let told = guarded.call(Some(&a), method, json!({})).await.unwrap();
        let seen = told[rows].as_array().unwrap();
        assert_eq!(seen.len(), 1, "{method}: {told}");
        assert!(seen[0][name].as_str().unwrap().starts_with("team-a-"), "{method}: {told}");
        let all = guarded.call(Some(&guarded.admin), method, json!({})).await.unwrap();
        assert!(all[rows].as_array().unwrap().len() >= 2, "{method}: {all}");
        // A filter leads nowhere else.
        if method == "ListJobs" || method == "ListRuns" {
            let theirs = guarded.call(Some(&a), method, json!({"app": APP})).await.unwrap();
            assert_eq!(theirs.get(rows), None, "{method}: {theirs}");
        }
    }
    for (method, rows) in [("ListTasks", "tasks"), ("ListFailover", "failover")] {
        let told = guarded.call(Some(&a), method, json!({})).await.unwrap();
        assert_eq!(told.get(rows), None, "{method}: {told}");
    }
    // Events do not say of which app they are: one job or one run of theirs.
    for (filter, code) in [
        (json!({"job": "team-a-job"}), None),
        (json!({"run": "team-a-job@k"}), None),
        (json!({}), Some(Code::PermissionDenied)),
        (json!({"job": JOB}), Some(Code::PermissionDenied)),
        (json!({"run": RUN}), Some(Code::PermissionDenied)),
        (json!({"submitter": "admin"}), Some(Code::PermissionDenied)),
        (json!({"job": "not-yet"}), Some(Code::NotFound)),
    ] {
        let told = guarded.call(Some(&a), "Watch", filter.clone()).await;
        assert_eq!(told.err().map(|status| status.code()), code, "{filter}");
    }
    guarded.stop().await;
}

#[tokio::test]
async fn nobody_comes_to_another_app_by_a_document() {
    let guarded = Guarded::start().await;
    let a = token(&guarded.world, "a", Role::Operator, &["team-a-"]).await;
    let mut client = guarded.client(&a);
    for document in [
        app("team-b-new"),
        app(APP),
        job("team-a-other", APP),
        job(JOB, APP),
        // Neither theirs into another's app, nor another's into theirs.
        job("team-a-job", APP),
        job(JOB, "team-a-shop"),
    ] {
        let request = wire::ApplyRequest { documents: vec![document.clone()], dry_run: false };
        let refused = client.apply(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{document:?}: {refused}");
        assert!(refused.message().contains("team-b-"), "{document:?}: {refused}");
    }
    let calendar = r#"{"calendarName":"x","dates":["2026-12-25"]}"#.to_owned();
    let calendar =
        wire::Document { document: Some(Text::Calendar(calendar)), if_match: String::new() };
    let refused =
        client.apply(wire::ApplyRequest { documents: vec![calendar], dry_run: false }).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    // What is theirs is theirs.
    let documents = vec![app("team-a-new"), job("team-a-new-job", "team-a-new")];
    let applied =
        client.apply(wire::ApplyRequest { documents, dry_run: false }).await.unwrap().into_inner();
    assert!(applied.applied.iter().all(|one| one.created), "{applied:?}");
    let own = wire::GetJobRequest { name: "team-a-new-job".to_owned() };
    assert_eq!(client.get_job(own).await.unwrap().into_inner().app, "team-a-new");
    guarded.stop().await;
}
