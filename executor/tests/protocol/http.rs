//! HTTP jobs through the real executor: what is asked, how answers are judged, what a kill does.
//! Absent: a real server.

use shiftwork_proto::mesos::v1::TaskState;
use shiftwork_proto::shiftwork::v1::{Http, StatusRange, TaskPayload, task_payload::Work};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::agent::{Agent, Setting};
use crate::common::{PATIENCE, daemon_payload, payload, task_info};
use crate::outcome;

/// A server that answers as told, one connection a request.
struct Server {
    listener: TcpListener,
    uri: String,
}

impl Server {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let uri = format!("http://{}/job", listener.local_addr().expect("an address"));
        Self { listener, uri }
    }

    fn job(&self) -> Http {
        Http { uri: self.uri.clone(), method: "get".into(), ..Http::default() }
    }

    /// The next request, whole, with the connection to answer on.
    async fn request(&self) -> (String, TcpStream) {
        let accepted = tokio::time::timeout(PATIENCE, self.listener.accept()).await;
        let (mut stream, _) = accepted.expect("a request in time").expect("a connection");
        let mut request = String::new();
        loop {
            let mut piece = [0; 4096];
            let len = stream.read(&mut piece).await.expect("read");
            request.push_str(std::str::from_utf8(&piece[..len]).expect("text"));
            let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().expect("a number")) {
                return (request, stream);
            }
        }
    }

    /// Answers the next request; the request.
    async fn answer(&self, status: &str, head: &str, body: &str) -> String {
        let (request, mut stream) = self.request().await;
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\n{head}content-length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await.expect("written");
        request
    }
}

fn of(http: Http) -> TaskPayload {
    TaskPayload { work: Some(Work::Http(http)), ..payload("") }
}

#[tokio::test]
async fn a_request_carries_the_context_and_its_answer_is_kept() {
    let server = Server::new().await;
    let mut agent = Agent::subscribed(Setting::default()).await;
    let headers = [("content-type".into(), "application/json".into())].into();
    let http = Http { method: "POST".into(), body: "{\"n\":1}".into(), headers, ..server.job() };
    let payload = TaskPayload { sharding_parameter: "Köln".into(), ..of(http) };
    agent.launch(task_info("t", &payload)).await;
    let request = server.answer("200 OK", "", "42 rows\n").await;
    assert!(request.starts_with("POST /job HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"n\":1}"), "{request}");
    assert!(request.contains("\r\ncontent-type: application/json\r\n"), "{request}");
    let context = request.lines().find_map(|line| line.strip_prefix("shardingcontext: "));
    let context: serde_json::Value =
        serde_json::from_str(context.expect("a context")).expect("JSON");
    assert_eq!(context["shardingParameter"], "Köln");
    assert_eq!(context["taskId"], "t");
    assert_eq!(agent.update_acknowledged().await.state(), TaskState::TaskRunning);
    let finished = agent.update_acknowledged().await;
    assert_eq!(finished.state(), TaskState::TaskFinished);
    assert_eq!(finished.message(), "42 rows");
    assert_eq!(outcome(&finished).http_status, Some(200));
    let kept = std::fs::read_to_string(agent.sandbox.path().join("tasks/t/stdout"));
    assert_eq!(kept.expect("the answer"), "42 rows\n");
}

#[tokio::test]
async fn the_status_decides_unless_the_job_says_otherwise() {
    let server = Server::new().await;
    let mut agent = Agent::subscribed(Setting::default()).await;
    let only = |first, last| vec![StatusRange { first, last }];
    let rows = [
        ("204 No Content", vec![], TaskState::TaskFinished),
        ("399 Odd", vec![], TaskState::TaskFinished),
        ("404 Not Found", vec![], TaskState::TaskFailed),
        ("503 Service Unavailable", vec![], TaskState::TaskFailed),
        ("404 Not Found", only(404, 404), TaskState::TaskFinished),
        ("200 OK", only(201, 299), TaskState::TaskFailed),
    ];
    for (index, (status, success, expected)) in rows.into_iter().enumerate() {
        agent.launch(task_info(&index.to_string(), &of(Http { success, ..server.job() }))).await;
        server.answer(status, "", "because").await;
        agent.update_acknowledged().await;
        let ended = agent.update_acknowledged().await;
        assert_eq!(ended.state(), expected, "{status}");
        if expected == TaskState::TaskFailed {
            let code = status.get(..3).expect("a code");
            assert_eq!(ended.message(), format!("answered with status {code}: because"));
        }
    }
}

#[tokio::test]
async fn what_is_no_answer_fails_by_name() {
    let server = Server::new().await;
    let mut agent = Agent::subscribed(Setting::default()).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let closed = format!("http://{}/", nobody.local_addr().expect("an address"));
    let closed_too = closed.replace("http://", "https://");
    drop(nobody);
    for (uri, expected) in [
        (closed.as_str(), "refused"),
        (closed_too.as_str(), "refused"),
        ("file:///etc/passwd", "must be http or https"),
        ("nonsense", "cannot be read"),
    ] {
        let http = Http { uri: uri.into(), ..server.job() };
        agent.launch(task_info(uri, &of(http))).await;
        let mut ended = agent.update_acknowledged().await;
        if ended.state() == TaskState::TaskRunning {
            ended = agent.update_acknowledged().await;
        }
        assert_eq!(ended.state(), TaskState::TaskFailed);
        assert!(ended.message().contains(expected), "{}", ended.message());
    }
    agent.launch(task_info("r", &of(server.job()))).await;
    server.answer("302 Found", "location: ftp://127.0.0.1/x\r\n", "").await;
    agent.update_acknowledged().await;
    let ended = agent.update_acknowledged().await;
    assert!(ended.message().contains("another scheme, ftp"), "{}", ended.message());

    let impatient = Http { read_timeout_ms: 100, ..server.job() };
    agent.launch(task_info("slow", &of(impatient))).await;
    let _held = server.request().await;
    agent.update_acknowledged().await;
    let ended = agent.update_acknowledged().await;
    assert_eq!(ended.state(), TaskState::TaskFailed);
    assert!(ended.message().contains("timed out"), "{}", ended.message());
}

#[tokio::test]
async fn a_kill_closes_the_connection() {
    let server = Server::new().await;
    let mut agent = Agent::subscribed(Setting::default()).await;
    let patient = Http { read_timeout_ms: 600_000, ..server.job() };
    agent.launch(task_info("t", &of(patient))).await;
    agent.update_acknowledged().await;
    let (_, mut stream) = server.request().await;
    agent.kill("t", None).await;
    assert_eq!(agent.update_acknowledged().await.state(), TaskState::TaskKilled);
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 16])).await;
    assert!(!matches!(read.expect("an end in time"), Ok(len) if len > 0));
}

#[tokio::test]
async fn a_daemon_fires_requests_and_lives_through_failures() {
    let server = Server::new().await;
    let mut agent = Agent::subscribed(Setting::default()).await;
    let payload = TaskPayload { work: Some(Work::Http(server.job())), ..daemon_payload("") };
    agent.launch(task_info("d", &payload)).await;
    assert_eq!(agent.update_acknowledged().await.message, None);
    for status in ["200 OK", "500 Internal Server Error", "200 OK"] {
        server.answer(status, "", "").await;
        assert_eq!(agent.update_acknowledged().await.message(), "BEGIN");
        let complete = agent.update_acknowledged().await;
        assert_eq!(complete.message(), "COMPLETE");
        let code = outcome(&complete).http_status.map(|code| code.to_string());
        assert_eq!(code.as_deref(), status.get(..3));
    }
    agent.kill("d", None).await;
    let mut ended = agent.update_acknowledged().await;
    while ended.state() == TaskState::TaskRunning {
        ended = agent.update_acknowledged().await;
    }
    assert_eq!(ended.state(), TaskState::TaskKilled);
}
