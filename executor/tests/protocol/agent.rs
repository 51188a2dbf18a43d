//! A scripted agent: takes calls over HTTP, answers as told, sends the events it is given. Absent:
//! any behaviour of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use prost::Message as _;
use rustix::process::{Pid, Signal, kill_process_group};
use shiftwork_proto::mesos::v1::executor::{Call, Event, call, event};
use shiftwork_proto::mesos::v1::{
    ExecutorId, ExecutorInfo, KillPolicy, TaskId, TaskInfo, TaskStatus,
};
use shiftwork_proto::recordio;
use shiftwork_proto::shiftwork::v1::ExecutorPayload;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::common::{PATIENCE, children};

/// The agent, one executor, and its sandbox.
pub(crate) struct Agent {
    listener: Listener,
    port: u16,
    calls: mpsc::UnboundedReceiver<Received>,
    calls_in: mpsc::UnboundedSender<Received>,
    servers: JoinSet<()>,
    /// How many UPDATEs are still to be refused.
    refusals: Arc<AtomicUsize>,
    stream: Option<Stream>,
    pub(crate) sandbox: tempfile::TempDir,
    pub(crate) executor: Child,
}

/// A call as it came. A SUBSCRIBE brings the connection its answer is to be written to.
pub(crate) struct Received {
    pub(crate) call: Call,
    pub(crate) head: String,
    stream: Option<Stream>,
}

/// How one executor is started.
pub(crate) struct Setting {
    pub(crate) checkpoint: &'static str,
    pub(crate) recovery_timeout: &'static str,
    pub(crate) token: &'static str,
    pub(crate) way: Way,
    /// What its environment holds instead of, or beside, the usual.
    pub(crate) variables: Vec<(String, String)>,
}

/// How the executor is to reach its agent.
pub(crate) enum Way {
    Plain,
    /// With what the executor's environment says of it.
    Tls(TlsAcceptor, Vec<(&'static str, PathBuf)>),
    Socket,
}

enum Listener {
    Tcp(TcpListener, Option<TlsAcceptor>),
    Socket(UnixListener),
}

/// A connection, over whatever.
trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

type Stream = Box<dyn Connection>;

impl Default for Setting {
    fn default() -> Self {
        Self {
            checkpoint: "1",
            recovery_timeout: "15mins",
            token: "",
            way: Way::Plain,
            variables: Vec::new(),
        }
    }
}

// === impl Agent ===

impl Agent {
    /// Starts an executor under a new agent.
    pub(crate) async fn new(setting: Setting) -> Self {
        Self::of_program(env!("CARGO_BIN_EXE_shiftwork-executor").as_ref(), setting).await
    }

    /// Starts `program` as executor under a new agent.
    pub(crate) async fn of_program(program: &Path, setting: Setting) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let sandbox = tempfile::tempdir().expect("a sandbox");
        let log = std::fs::File::create(sandbox.path().join("executor.log")).expect("a log");
        let mut executor = Command::new(program);
        executor
            .env_clear()
            .env("PATH", std::env::var_os("PATH").expect("a PATH"))
            .env("MESOS_AGENT_ENDPOINT", format!("127.0.0.1:{port}"))
            .env("MESOS_FRAMEWORK_ID", "framework-1")
            .env("MESOS_EXECUTOR_ID", "app@-@S0")
            .env("MESOS_SANDBOX", sandbox.path())
            .env("MESOS_CHECKPOINT", setting.checkpoint)
            .env("MESOS_RECOVERY_TIMEOUT", setting.recovery_timeout)
            .env("MESOS_SUBSCRIPTION_BACKOFF_MAX", "100ms")
            .env("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "5secs")
            .env("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", setting.token)
            .env("SHIFTWORK_EXECUTOR_LOG", "debug")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        executor.envs(setting.variables);
        let listener = match setting.way {
            Way::Plain => Listener::Tcp(listener, None),
            Way::Tls(acceptor, variables) => {
                executor.envs(variables);
                Listener::Tcp(listener, Some(acceptor))
            }
            Way::Socket => {
                let path = sandbox.path().join("agent.sock");
                executor.env("MESOS_DOMAIN_SOCKET", &path);
                executor.env("MESOS_SLAVE_PID", format!("slave(1)@127.0.0.1:{port}"));
                Listener::Socket(UnixListener::bind(path).expect("a socket"))
            }
        };
        let executor = executor.spawn().expect("the executor");
        let (calls_in, calls) = mpsc::unbounded_channel();
        let servers = JoinSet::new();
        Self {
            listener,
            port,
            calls,
            calls_in,
            servers,
            refusals: Arc::new(AtomicUsize::new(0)),
            stream: None,
            sandbox,
            executor,
        }
    }

    /// A new agent with its executor subscribed.
    pub(crate) async fn subscribed(setting: Setting) -> Self {
        let mut agent = Self::new(setting).await;
        let subscribe = agent.accept(0).await;
        assert_eq!(subscribe, call::Subscribe::default());
        agent
    }

    /// The next call, of whatever kind.
    pub(crate) async fn next(&mut self) -> Received {
        let next = async {
            loop {
                tokio::select! {
                    call = self.calls.recv() => return call.expect("the sender is kept"),
                    connection = self.listener.accept() => {
                        let (calls, refusals) = (self.calls_in.clone(), Arc::clone(&self.refusals));
                        let (stream, acceptor) = connection;
                        self.servers.spawn(async move {
                            // What does not get through the handshake says nothing.
                            if let Some(stream) = shake_hands(stream, acceptor).await {
                                serve(stream, calls, refusals).await;
                            }
                        });
                    }
                }
            }
        };
        let received = tokio::time::timeout(PATIENCE, next).await.ok();
        received.unwrap_or_else(|| panic!("no call came; the executor's log:\n{}", self.log()))
    }

    /// Waits for a SUBSCRIBE and accepts it; what it held.
    pub(crate) async fn accept(&mut self, idle_timeout_ms: u64) -> call::Subscribe {
        let subscribe = self.open().await.subscribe;
        let payload = ExecutorPayload { version: 1, app: "app".into(), idle_timeout_ms };
        let executor_info = ExecutorInfo {
            executor_id: ExecutorId { value: "app@-@S0".into() },
            data: Some(payload.encode_to_vec().into()),
            ..ExecutorInfo::default()
        };
        let subscribed = event::Subscribed { executor_info, ..event::Subscribed::default() };
        self.send(Event { subscribed: Some(subscribed), ..of(event::Type::Subscribed) }).await;
        subscribe.expect("its content")
    }

    /// Waits for a SUBSCRIBE and opens the stream of its answer, with nothing in it yet; the call.
    pub(crate) async fn open(&mut self) -> Call {
        let received = self.subscribe().await;
        let mut stream = received.stream.expect("a connection");
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await.expect("written");
        self.stream = Some(stream);
        received.call
    }

    /// Waits for a SUBSCRIBE.
    pub(crate) async fn subscribe(&mut self) -> Received {
        let received = self.next().await;
        assert_eq!(received.call.r#type(), call::Type::Subscribe, "{:?}", received.call);
        received
    }

    /// Waits for a SUBSCRIBE and refuses it.
    pub(crate) async fn refuse(&mut self) -> call::Subscribe {
        let received = self.subscribe().await;
        let mut stream = received.stream.expect("a connection");
        let answer = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 10\r\n\r\nrecovering";
        stream.write_all(answer.as_bytes()).await.expect("written");
        received.call.subscribe.expect("its content")
    }

    /// Refuses the next UPDATE, as an agent that is just recovering does.
    pub(crate) fn refuse_an_update(&mut self) {
        self.refusals.store(1, Ordering::SeqCst);
    }

    /// Waits for an UPDATE.
    pub(crate) async fn update(&mut self) -> TaskStatus {
        let received = self.next().await;
        assert_eq!(received.call.r#type(), call::Type::Update, "{:?}", received.call);
        received.call.update.expect("its content").status
    }

    /// Waits for an UPDATE and acknowledges it.
    pub(crate) async fn update_acknowledged(&mut self) -> TaskStatus {
        let status = self.update().await;
        self.acknowledge(&status).await;
        status
    }

    pub(crate) async fn launch(&mut self, task: TaskInfo) {
        let launch = Some(event::Launch { task });
        self.send(Event { launch, ..of(event::Type::Launch) }).await;
    }

    pub(crate) async fn kill(&mut self, task: &str, kill_policy: Option<KillPolicy>) {
        let kill = event::Kill { task_id: TaskId { value: task.into() }, kill_policy };
        self.send(Event { kill: Some(kill), ..of(event::Type::Kill) }).await;
    }

    pub(crate) async fn shut_down(&mut self) {
        self.send(of(event::Type::Shutdown)).await;
    }

    pub(crate) async fn acknowledge(&mut self, status: &TaskStatus) {
        let uuid = status.uuid.clone().expect("an id");
        let acknowledged = event::Acknowledged { task_id: status.task_id.clone(), uuid };
        let acknowledged = Some(acknowledged);
        self.send(Event { acknowledged, ..of(event::Type::Acknowledged) }).await;
    }

    /// Ends the subscription, as an agent that dies does.
    pub(crate) fn hang_up(&mut self) {
        self.stream = None;
    }

    /// Stops listening as well: no agent at all. A later [`Agent::come_back`] listens again.
    pub(crate) async fn vanish(&mut self) {
        self.hang_up();
        self.servers.shutdown().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("another port");
        self.listener = Listener::Tcp(listener, None);
    }

    pub(crate) async fn come_back(&mut self) {
        let address = ("127.0.0.1", self.port);
        let listener = TcpListener::bind(address).await.expect("the port is still free");
        self.listener = Listener::Tcp(listener, None);
    }

    /// The executor's exit code.
    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.executor.try_wait().expect("a child") {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "still there; its log:\n{}", self.log());
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.sandbox.path().join("executor.log")).unwrap_or_default()
    }

    /// The updates in the executor's checkpoint.
    pub(crate) fn checkpoint(&self) -> Vec<TaskStatus> {
        let bytes = std::fs::read(self.sandbox.path().join("unacknowledged-updates"));
        let mut decoder = recordio::Decoder::new(1 << 20);
        decoder.push(&bytes.expect("a checkpoint"));
        let next = || decoder.next().expect("frames");
        std::iter::from_fn(next)
            .map(|frame: Bytes| call::Update::decode(frame).expect("an update").status)
            .collect()
    }

    pub(crate) async fn send(&mut self, event: Event) {
        let record = recordio::encode(&event.encode_to_vec());
        let stream = self.stream.as_mut().expect("a subscription");
        let (first, rest) = record.split_at(record.len() / 2);
        // In two chunks: a record may arrive in pieces.
        for piece in [first, rest].iter().filter(|piece| !piece.is_empty()) {
            let head = format!("{:x}\r\n", piece.len());
            let chunk = [head.as_bytes(), piece, b"\r\n"].concat();
            stream.write_all(&chunk).await.expect("written");
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Whatever the test's outcome, nothing of it stays behind.
        for (pid, _) in children(self.executor.id()) {
            if let Some(pid) = Pid::from_raw(pid) {
                let _gone = kill_process_group(pid, Signal::KILL);
            }
        }
        let _ended = self.executor.kill();
        let _reaped = self.executor.wait();
    }
}

impl Listener {
    async fn accept(&self) -> (Stream, Option<TlsAcceptor>) {
        match self {
            Self::Tcp(listener, acceptor) => {
                let (stream, _) = listener.accept().await.expect("a connection");
                (Box::new(stream), acceptor.clone())
            }
            Self::Socket(listener) => {
                let (stream, _) = listener.accept().await.expect("a connection");
                (Box::new(stream), None)
            }
        }
    }
}

async fn shake_hands(stream: Stream, acceptor: Option<TlsAcceptor>) -> Option<Stream> {
    match acceptor {
        None => Some(stream),
        Some(acceptor) => Some(Box::new(acceptor.accept(stream).await.ok()?)),
    }
}

fn of(kind: event::Type) -> Event {
    Event { r#type: Some(kind.into()), ..Event::default() }
}

/// Takes calls from one connection, answers 202, hands over SUBSCRIBEs with their connection.
async fn serve(stream: Stream, calls: mpsc::UnboundedSender<Received>, refusals: Arc<AtomicUsize>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if !matches!(stream.read_line(&mut head).await, Ok(len) if len > 0) {
                return;
            }
        }
        let len = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.parse().ok())
            .expect("a length");
        let mut body = vec![0; len];
        stream.read_exact(&mut body).await.expect("a body");
        let call = Call::decode(Bytes::from(body)).expect("a call");
        if call.r#type() == call::Type::Subscribe {
            let stream = Some(stream.into_inner());
            let _gone = calls.send(Received { call, head, stream });
            return;
        }
        let refused = refusals.swap(0, Ordering::SeqCst) > 0;
        let status = if refused { "503 Service Unavailable" } else { "202 Accepted" };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        let _gone = calls.send(Received { call, head, stream: None });
    }
}
