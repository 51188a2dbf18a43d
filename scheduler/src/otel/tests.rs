//! Traces of runs as a collector receives them: a small one of our own, over a socket.

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use shiftwork_engine::Trace;
use shiftwork_engine::command::Overrides;
use shiftwork_engine::ids::{AppName, JobName, RunId, TaskId};
use shiftwork_engine::record::Origin;
use shiftwork_engine::view::{RunState, RunView};
use shiftwork_schedule::Timestamp;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use super::{Otel, export_runs};

/// Keeps what it is sent.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let service = TraceServiceServer::new(self.clone());
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        endpoint
    }

    /// All spans, with the name of the service they are of.
    fn spans(&self) -> Vec<(String, Span)> {
        let requests = self.0.lock().unwrap();
        let resources = requests.iter().flat_map(|request| &request.resource_spans);
        let mut spans = Vec::new();
        for of_resource in resources {
            let attributes = of_resource.resource.iter().flat_map(|resource| &resource.attributes);
            let service = attributes.clone().find(|pair| pair.key == "service.name").unwrap();
            let service = format!("{:?}", service.value);
            let of_scopes = of_resource.scope_spans.iter().flat_map(|scope| &scope.spans);
            spans.extend(of_scopes.map(|span| (service.clone(), span.clone())));
        }
        spans
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn nanos(millis: u64) -> u64 {
    millis * 1_000_000
}

fn task(item: u32, millis: i64, state: &'static str) -> Trace {
    Trace::Task {
        run: RunId::parse("foo@k").unwrap(),
        job: JobName::parse("foo").unwrap(),
        app: AppName::parse("shop").unwrap(),
        is_daemon: false,
        at: at(millis),
        item,
        task: TaskId::new(format!("foo@-@{item}@-@READY@-@S0@-@u")),
        state,
        message: Some("exit code 3".to_owned()),
        submitter: None,
    }
}

fn ended() -> Trace {
    Trace::Run(Box::new(RunView {
        id: RunId::parse("foo@k").unwrap(),
        job: JobName::parse("foo").unwrap(),
        app: AppName::parse("shop").unwrap(),
        origin: Origin::Trigger,
        logical_time: at(1_000),
        state: RunState::Failed,
        reason: Some("shard 1 failed".to_owned()),
        attempt: 1,
        sharding_total_count: 2,
        submitter: Some("billing".to_owned()),
        overrides: Overrides::default(),
        shards: Vec::new(),
        created_at: at(1_000),
        started_at: Some(at(2_500)),
        finished_at: Some(at(9_000)),
        misfire: None,
        document: None,
    }))
}

#[tokio::test]
async fn a_run_that_has_ended_is_a_trace_of_its_own() {
    let collector = Collector::default();
    let otel = Otel::start(&collector.serve().await).unwrap();
    let (sender, traces) = tokio::sync::broadcast::channel(100);
    for trace in [
        task(0, 2_000, "TASK_STAGING"),
        task(1, 2_000, "TASK_STAGING"),
        task(0, 2_500, "TASK_RUNNING"),
        task(0, 5_000, "TASK_FINISHED"),
        task(1, 9_000, "TASK_FAILED"),
        ended(),
    ] {
        sender.send(Arc::new(trace)).unwrap();
    }
    drop(sender);
    export_runs(otel.clone(), traces).await;
    otel.close().await;
    let spans = collector.spans();
    assert!(spans.iter().all(|(service, _)| service.contains("shiftwork")), "{spans:?}");
    let spans: Vec<Span> = spans.into_iter().map(|(_, span)| span).collect();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let [run] = named("run")[..] else { panic!("{spans:?}") };
    let times = |span: &Span| (span.start_time_unix_nano, span.end_time_unix_nano);
    assert_eq!(times(run), (nanos(1_000), nanos(9_000)));
    assert_eq!(run.status.as_ref().unwrap().message, "shard 1 failed");
    assert!(run.attributes.iter().any(|pair| pair.key == "shiftwork.submitter"), "{run:?}");
    let [waiting] = named("waiting")[..] else { panic!("{spans:?}") };
    assert_eq!(times(waiting), (nanos(1_000), nanos(2_000)));
    let mut tasks = named("task");
    tasks.sort_by_key(|task| task.end_time_unix_nano);
    let ends: Vec<_> = tasks.iter().map(|task| times(task)).collect();
    assert_eq!(ends, [(nanos(2_000), nanos(5_000)), (nanos(2_000), nanos(9_000))]);
    assert_eq!(tasks[0].events[0].time_unix_nano, nanos(2_500));
    assert_eq!(tasks[1].status.as_ref().unwrap().message, "exit code 3");
    for below in tasks.iter().chain([&waiting]) {
        assert_eq!((&below.trace_id, &below.parent_span_id), (&run.trace_id, &run.span_id));
    }
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nothing_up() {
    // Bound and dropped: nobody listens there.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let otel = Otel::start(&endpoint).unwrap();
    let (sender, traces) = tokio::sync::broadcast::channel(10);
    sender.send(Arc::new(ended())).unwrap();
    drop(sender);
    let begun = std::time::Instant::now();
    export_runs(otel.clone(), traces).await;
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    otel.close().await;
    let refused = super::read_endpoint("collector:4317").unwrap_err();
    assert!(refused.contains("http://host:port"), "{refused}");
}
