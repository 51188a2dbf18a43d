//! gRPC as clients use it: over a socket, with the compiled messages and with none but what reflection
//! tells.

mod access;
mod questions;
mod reflected;

use std::time::Duration;

use shiftwork_proto::shiftwork::v1 as wire;
use shiftwork_proto::shiftwork::v1::document::Document as Text;
use shiftwork_proto::shiftwork::v1::scheduler_client::SchedulerClient;
use shiftwork_proto::shiftwork::v1::watch_response::What;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Streaming};

use super::standby::LEADER;
use crate::api::ApiState;
use crate::api::testing::World;
use crate::registry::{LeaderInfo, Standing};

/// Anything that takes longer than this on a busy machine does not happen at all.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server on a port of its own.
struct Served {
    channel: Channel,
    /// Whether it leads.
    standing: watch::Sender<Standing>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Served {
    async fn start(mut state: ApiState) -> Self {
        let (standing, receiver) = watch::channel(Standing::Leading);
        state.leadership.standing = receiver;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task =
            tokio::spawn(
                async move { super::serve(listener, None, state, stopped).await.unwrap() },
            );
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let channel = endpoint.connect().await.unwrap();
        Self { channel, standing, stop, task }
    }

    fn client(&self) -> SchedulerClient<Channel> {
        SchedulerClient::new(self.channel.clone())
    }

    async fn stop(self) {
        self.stop.cancel();
        drop(self.channel);
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}

fn app(name: &str) -> wire::Document {
    let text = format!(r#"{{"appName":"{name}","cpuCount":0.1,"memoryMB":32}}"#);
    wire::Document { document: Some(Text::App(text)), if_match: String::new() }
}

fn job_text(name: &str, cpus: f64) -> String {
    format!(
        r#"{{"jobName":"{name}","appName":"shop","jobExecutionType":"TRANSIENT","shardingTotalCount":2,
        "cpuCount":{cpus},"memoryMB":16,"scriptCommandLine":"true"}}"#
    )
}

fn job(name: &str) -> wire::Document {
    wire::Document { document: Some(Text::Job(job_text(name, 0.1))), if_match: String::new() }
}

async fn shop(served: &Served, jobs: &[&str]) {
    // Jobs before their app: the order of kinds is the server's.
    let documents = jobs.iter().map(|name| job(name)).chain([app("shop")]).collect();
    let applied =
        served.client().apply(wire::ApplyRequest { documents, dry_run: false }).await.unwrap();
    let applied = applied.into_inner().applied;
    assert!(applied.iter().all(|one| one.created), "{applied:?}");
    assert_eq!(applied[0].name, "shop");
}

async fn trigger(served: &Served, job: &str, submitter: &str) -> String {
    let request = wire::TriggerRequest {
        job: job.to_owned(),
        submitter: submitter.to_owned(),
        ..wire::TriggerRequest::default()
    };
    served.client().trigger(request).await.unwrap().into_inner().run
}

async fn cancel(served: &Served, run: &str) {
    let request = wire::CancelRunRequest { run: run.to_owned() };
    served.client().cancel_run(request).await.unwrap();
}

/// The next event; what only says how far it has come is passed over.
async fn next(watching: &mut Streaming<wire::WatchResponse>) -> (String, wire::Event) {
    loop {
        let told = tokio::time::timeout(PATIENCE, watching.message()).await.unwrap();
        let told = told.unwrap().expect("it goes on");
        if let Some(What::Event(event)) = told.what {
            assert_eq!(told.cursor, event.id);
            return (told.cursor, event);
        }
    }
}

#[tokio::test]
async fn documents_are_applied_read_and_removed() {
    let world = World::start().await;
    let served = Served::start(world.state()).await;
    let mut client = served.client();
    shop(&served, &["foo", "bar"]).await;
    let name = || "foo".to_owned();
    let read = client.get_job(wire::GetJobRequest { name: name() }).await.unwrap().into_inner();
    assert_eq!((read.app.as_str(), read.enabled), ("shop", true));
    assert!(read.document.contains(r#""cpuCount":0.1"#), "{}", read.document);
    // The same tag as REST gives, which lets a change through once.
    let rest = world.ask("GET", "/api/v1/jobs/foo", "").await;
    assert_eq!(rest.headers["etag"], read.etag.as_str());
    let change = |cpus| wire::ApplyRequest {
        documents: vec![wire::Document {
            document: Some(Text::Job(job_text("foo", cpus))),
            if_match: read.etag.clone(),
        }],
        dry_run: false,
    };
    let applied = client.apply(change(0.2)).await.unwrap().into_inner().applied;
    assert_eq!(applied, [wire::Applied { kind: "job".into(), name: name(), created: false }]);
    let refused = client.apply(change(0.3)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted, "{refused}");
    assert!(refused.message().starts_with("documents[0]: job foo"), "{refused}");
    // Pages go on where the one before ended.
    let mut token = String::new();
    for expected in ["bar", "foo"] {
        let page = Some(wire::Page { size: 1, token });
        let request = wire::ListJobsRequest { app: "shop".to_owned(), page };
        let listed = client.list_jobs(request).await.unwrap().into_inner();
        assert_eq!(listed.jobs[0].name, expected);
        token = listed.next_page_token;
    }
    assert!(token.is_empty());
    let off = wire::SetJobEnabledRequest { name: name(), enabled: false, reason: "audit".into() };
    let disabled = client.set_job_enabled(off).await.unwrap().into_inner().disabled.unwrap();
    assert_eq!(
        (disabled.reason.as_deref(), disabled.by.as_str()),
        (Some("audit"), "grpc 127.0.0.1")
    );
    let why = client.why_job(wire::WhyJobRequest { name: name() }).await.unwrap().into_inner();
    assert!(!why.enabled && why.answer.contains("audit"), "{why:?}");
    client
        .delete_job(wire::DeleteJobRequest { name: name(), if_match: String::new() })
        .await
        .unwrap();
    let gone = client.get_job(wire::GetJobRequest { name: name() }).await.unwrap_err();
    assert_eq!((gone.code(), gone.message()), (Code::NotFound, "there is no job foo"));
    served.stop().await;
    world.stop().await;
}

#[tokio::test]
async fn a_dry_run_applies_nothing() {
    let world = World::start().await;
    let served = Served::start(world.state()).await;
    let mut client = served.client();
    let documents = || vec![job("foo"), app("shop")];
    let dry = |documents| wire::ApplyRequest { documents, dry_run: true };
    let applied = client.apply(dry(documents())).await.unwrap().into_inner().applied;
    assert_eq!(applied.len(), 2);
    assert!(applied.iter().all(|one| one.created), "{applied:?}");
    let refused = client.apply(dry(vec![job("foo")])).await.unwrap_err();
    assert!(refused.message().contains("app shop is not registered"), "{refused}");
    let none = client.list_apps(wire::ListAppsRequest::default()).await.unwrap().into_inner();
    assert_eq!(none.apps, []);
    shop(&served, &["foo"]).await;
    let applied = client.apply(dry(documents())).await.unwrap().into_inner().applied;
    assert!(applied.iter().all(|one| !one.created), "{applied:?}");
    served.stop().await;
    world.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_named_by_field() {
    use tonic_types::StatusExt as _;
    let world = World::start().await;
    let served = Served::start(world.state()).await;
    let mut client = served.client();
    let text = r#"{"jobName":"x","appName":"shop","colour":"red"}"#.to_owned();
    let wrong = wire::Document { document: Some(Text::Job(text)), if_match: String::new() };
    let refused = client
        .apply(wire::ApplyRequest { documents: vec![wrong], dry_run: false })
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let details = refused.get_error_details();
    let fields: Vec<_> = details.bad_request().unwrap().field_violations.iter().collect();
    assert!(fields.iter().any(|violation| violation.field == "colour"), "{fields:?}");
    for (field, refused) in [
        ("job", client.trigger(wire::TriggerRequest::default()).await.unwrap_err()),
        ("run", client.get_run(wire::GetRunRequest { run: "../x".into() }).await.unwrap_err()),
        ("task", client.get_task(wire::GetTaskRequest { task: "x".into() }).await.unwrap_err()),
        ("documents[0]", {
            let documents = vec![wire::Document::default()];
            client.apply(wire::ApplyRequest { documents, dry_run: false }).await.unwrap_err()
        }),
        ("state", {
            let request = wire::ListRunsRequest { state: 99, ..Default::default() };
            client.list_runs(request).await.unwrap_err()
        }),
        ("after", {
            let request = wire::WatchRequest { after: "x".into(), ..Default::default() };
            client.watch(request).await.unwrap_err()
        }),
    ] {
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.message().starts_with(field), "{refused}");
    }
    let large = wire::GetJobRequest { name: "x".repeat(crate::api::BODY_LEN_MAX) };
    let refused = client.get_job(large).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    served.stop().await;
    world.stop().await;
}

#[tokio::test]
async fn a_run_is_made_once_by_its_key_and_read_by_both_faces() {
    let world = World::start().await;
    let served = Served::start(world.state()).await;
    let mut client = served.client();
    shop(&served, &["foo"]).await;
    let request = || wire::TriggerRequest {
        job: "foo".to_owned(),
        key: "order-17".to_owned(),
        items: vec![1],
        ..wire::TriggerRequest::default()
    };
    let made = client.trigger(request()).await.unwrap().into_inner();
    let again = client.trigger(request()).await.unwrap().into_inner();
    assert_eq!((made.run.as_str(), made.created, again.created), ("foo@order-17", true, false));
    let other = wire::TriggerRequest { items: vec![0], ..request() };
    let refused = client.trigger(other).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert!(refused.message().contains("foo@order-17"), "{refused}");
    let run = client.get_run(wire::GetRunRequest { run: made.run.clone() }).await.unwrap();
    let run = run.into_inner();
    assert_eq!(run.state(), wire::RunState::Pending);
    assert_eq!(run.submitter.as_deref(), Some("grpc 127.0.0.1"), "whoever asked");
    assert_eq!(run.shards.iter().map(|shard| shard.item).collect::<Vec<_>>(), [1]);
    let rest = world.ask("GET", "/api/v1/runs/foo@order-17", "").await.json();
    assert_eq!(rest["submitter"], "grpc 127.0.0.1");
    cancel(&served, &made.run).await;
    let run = client.get_run(wire::GetRunRequest { run: made.run.clone() }).await.unwrap();
    assert_eq!(run.into_inner().state(), wire::RunState::Cancelled);
    let listed = wire::ListRunsRequest {
        job: "foo".to_owned(),
        state: wire::RunState::Cancelled.into(),
        ..wire::ListRunsRequest::default()
    };
    assert_eq!(client.list_runs(listed).await.unwrap().into_inner().runs.len(), 1);
    let rerun = wire::RerunRequest { run: made.run, failed_only: false };
    let rerun = client.rerun(rerun).await.unwrap().into_inner();
    let run = client.get_run(wire::GetRunRequest { run: rerun.run }).await.unwrap().into_inner();
    assert_eq!((run.attempt, run.submitter.as_deref()), (2, Some("grpc 127.0.0.1")));
    served.stop().await;
    world.stop().await;
}

#[tokio::test]
async fn a_watcher_that_was_away_misses_nothing() {
    let world = World::start().await;
    let served = Served::start(world.state()).await;
    let mut client = served.client();
    shop(&served, &["foo", "bar"]).await;
    let by_submitter = |after: &str| wire::WatchRequest {
        submitter: "billing".to_owned(),
        after: after.to_owned(),
        ..wire::WatchRequest::default()
    };
    let mut watching = client.watch(by_submitter("")).await.unwrap().into_inner();
    // Before anything has happened there is a cursor: who is cut off now misses nothing, either.
    let begun = watching.message().await.unwrap().unwrap();
    assert!(matches!(begun.what, Some(What::Progress(_))), "{begun:?}");
    let mine = trigger(&served, "foo", "billing").await;
    let others = trigger(&served, "foo", "").await;
    let (first, event) = next(&mut watching).await;
    assert_eq!((event.run.as_str(), event.state.as_str()), (mine.as_str(), "PENDING"));
    assert_eq!(event.submitter.as_deref(), Some("billing"));
    drop(watching);
    // It is away, and much happens.
    for run in [&others, &mine] {
        cancel(&served, run).await;
    }
    let second = trigger(&served, "bar", "billing").await;
    let expected = [(mine.as_str(), "CANCELLED"), (second.as_str(), "PENDING")];
    let mut seen = Vec::new();
    let mut watching = client.watch(by_submitter(&first)).await.unwrap().into_inner();
    for _ in &expected {
        let (_, event) = next(&mut watching).await;
        seen.push((event.run, event.state));
    }
    let shown: Vec<_> = seen.iter().map(|(run, state)| (run.as_str(), state.as_str())).collect();
    assert_eq!(shown, expected);
    // From the beginning: what the feed has no longer comes from the history, all of it once.
    for after in [begun.cursor.as_str(), "0.0"] {
        let mut watching = client.watch(by_submitter(after)).await.unwrap().into_inner();
        for (run, state) in [(mine.as_str(), "PENDING")].iter().chain(&expected) {
            let (_, event) = next(&mut watching).await;
            assert_eq!((event.run.as_str(), event.state.as_str()), (*run, *state), "{after}");
        }
    }
    // Other filters of the same stream.
    let ended = wire::WatchRequest {
        job: "foo".to_owned(),
        kind: wire::EventKind::Run.into(),
        states: vec!["CANCELLED".to_owned()],
        after: "0.0".to_owned(),
        ..wire::WatchRequest::default()
    };
    let mut watching = client.watch(ended).await.unwrap().into_inner();
    for expected in [others, mine] {
        assert_eq!(next(&mut watching).await.1.run, expected);
    }
    let foreign = wire::WatchRequest { after: "99.1".to_owned(), ..Default::default() };
    let mut watching = client.watch(foreign).await.unwrap().into_inner();
    let told = watching.message().await.unwrap().unwrap();
    assert!(matches!(told.what, Some(What::Reset(_))), "{told:?}");
    drop(watching);
    served.stop().await;
    world.stop().await;
}

#[tokio::test]
async fn a_standby_names_the_leader_and_ends_what_it_streams() {
    let world = World::start().await;
    let served = Served::start(world.state()).await;
    let mut client = served.client();
    let mut health = tonic_health::pb::health_client::HealthClient::new(served.channel.clone());
    let mut check = async |service: &str| {
        let service = service.to_owned();
        let request = tonic_health::pb::HealthCheckRequest { service };
        health.check(request).await.unwrap().into_inner().status()
    };
    use tonic_health::pb::health_check_response::ServingStatus;
    let mut watching = client.watch(wire::WatchRequest::default()).await.unwrap().into_inner();
    assert!(watching.message().await.unwrap().is_some());
    assert_eq!(check("shiftwork.v1.Scheduler").await, ServingStatus::Serving);
    let leader = LeaderInfo {
        id: "other".to_owned(),
        addresses: vec!["http://10.0.0.1:8899".to_owned(), "grpc://10.0.0.1:8898".to_owned()],
        since: jiff::Timestamp::UNIX_EPOCH,
    };
    served.standing.send_replace(Standing::Standby { leader: Some(leader) });
    let ended = tokio::time::timeout(PATIENCE, watching.message()).await.unwrap().unwrap_err();
    assert_eq!(ended.code(), Code::Unavailable, "{ended}");
    let refused = client.get_status(wire::GetStatusRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(refused.metadata().get(LEADER).unwrap(), "10.0.0.1:8898");
    let told = client.get_leader(wire::GetLeaderRequest {}).await.unwrap().into_inner();
    assert_eq!((told.id.as_str(), told.is_self), ("other", false));
    assert_eq!(check("").await, ServingStatus::Serving, "the process lives");
    let begun = std::time::Instant::now();
    while check("shiftwork.v1.Scheduler").await != ServingStatus::NotServing {
        assert!(begun.elapsed() < PATIENCE, "a balancer is never told");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    served.stop().await;
    world.stop().await;
}
