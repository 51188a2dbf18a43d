//! A framework over HTTP, as small as can be: one stream, calls, no memory.

use std::net::SocketAddr;
use std::time::Duration;

use prost::Message;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use shiftwork_proto::json::{from_json, to_json};
use shiftwork_proto::mesos::v1::framework_info::{Capability, capability};
use shiftwork_proto::mesos::v1::scheduler::{Call, Event, call, event};
use shiftwork_proto::mesos::v1::{
    AgentId, ExecutorInfo, FrameworkId, FrameworkInfo, Offer, TaskId, TaskInfo, TaskState,
    TaskStatus, offer,
};
use shiftwork_proto::recordio::{Decoder, MAX_RECORD_LEN_DEFAULT};

pub(crate) const PROTOBUF: &str = "application/x-protobuf";
pub(crate) const JSON: &str = "application/json";
/// Longest wait for something that is sure to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A stream of records.
pub(crate) struct Stream {
    response: reqwest::Response,
    decoder: Decoder,
}

/// A framework that is subscribed.
pub(crate) struct Framework {
    pub(crate) id: FrameworkId,
    pub(crate) stream_id: String,
    http: reqwest::Client,
    url: String,
    format: &'static str,
    stream: Stream,
}

// === impl Stream ===

impl Stream {
    pub(crate) fn new(response: reqwest::Response) -> Self {
        Self { response, decoder: Decoder::new(MAX_RECORD_LEN_DEFAULT) }
    }

    /// The next record, `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<bytes::Bytes> {
        loop {
            if let Some(record) = self.decoder.next().unwrap() {
                return Some(record);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            match chunk.expect("a record within the patience").ok().flatten() {
                Some(bytes) => self.decoder.push(&bytes),
                None => return None,
            }
        }
    }
}

// === impl Framework ===

impl Framework {
    /// Subscribes in `format`, with an id when it comes back.
    pub(crate) async fn subscribe(
        addr: SocketAddr,
        format: &'static str,
        id: Option<FrameworkId>,
    ) -> Self {
        let url = format!("http://{addr}/api/v1/scheduler");
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let info = FrameworkInfo { id: id.clone(), ..info() };
        let call = Call {
            framework_id: id,
            r#type: Some(call::Type::Subscribe.into()),
            subscribe: Some(call::Subscribe { framework_info: info, ..Default::default() }),
            ..Call::default()
        };
        let response = http
            .post(&url)
            .header(CONTENT_TYPE, format)
            .header(ACCEPT, format)
            .body(encode(format, &call))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[CONTENT_TYPE], format);
        let stream_id = response.headers()["mesos-stream-id"].to_str().unwrap().to_owned();
        let stream = Stream::new(response);
        let id = FrameworkId::default();
        let mut framework = Self { id, stream_id, http, url, format, stream };
        let subscribed = framework.next().await.subscribed.expect("SUBSCRIBED comes first");
        framework.id = subscribed.framework_id;
        assert_eq!(framework.next().await.r#type(), event::Type::Heartbeat, "one at once");
        framework
    }

    /// The next event.
    pub(crate) async fn next(&mut self) -> Event {
        self.try_next().await.expect("the stream goes on")
    }

    /// The next event, `None` at the end of the stream.
    pub(crate) async fn try_next(&mut self) -> Option<Event> {
        let record = self.stream.next().await?;
        Some(match self.format {
            JSON => from_json("mesos.v1.scheduler.Event", &record).unwrap(),
            _ => Event::decode(record).unwrap(),
        })
    }

    /// The next event that is `wanted`; others are dropped.
    pub(crate) async fn next_of(&mut self, wanted: event::Type) -> Event {
        loop {
            let event = self.next().await;
            if event.r#type() == wanted {
                return event;
            }
        }
    }

    pub(crate) async fn offer(&mut self) -> Offer {
        self.next_of(event::Type::Offers).await.offers.unwrap().offers.remove(0)
    }

    pub(crate) async fn update(&mut self) -> TaskStatus {
        self.next_of(event::Type::Update).await.update.unwrap().status
    }

    /// The next update, which must say this, and is acknowledged.
    pub(crate) async fn expect(&mut self, task: &str, state: TaskState) -> TaskStatus {
        let status = self.update().await;
        assert_eq!((status.task_id.value.as_str(), status.state()), (task, state), "{status:?}");
        self.acknowledge(&status).await;
        status
    }

    pub(crate) async fn acknowledge(&self, status: &TaskStatus) {
        let acknowledge = call::Acknowledge {
            agent_id: status.agent_id.clone().unwrap(),
            task_id: status.task_id.clone(),
            uuid: status.uuid.clone().expect("an update that may be acknowledged"),
        };
        self.call(Call {
            r#type: Some(call::Type::Acknowledge.into()),
            acknowledge: Some(acknowledge),
            ..Call::default()
        })
        .await;
    }

    pub(crate) async fn launch(&self, offer: &Offer, tasks: Vec<TaskInfo>) {
        let launch = offer::Operation {
            r#type: Some(offer::operation::Type::Launch.into()),
            launch: Some(offer::operation::Launch { task_infos: tasks }),
            ..offer::Operation::default()
        };
        let accept = call::Accept {
            offer_ids: vec![offer.id.clone()],
            operations: vec![launch],
            filters: None,
        };
        self.call(Call {
            r#type: Some(call::Type::Accept.into()),
            accept: Some(accept),
            ..Call::default()
        })
        .await;
    }

    pub(crate) async fn kill(&self, task: &str) {
        let task_id = TaskId { value: task.to_owned() };
        self.call(Call {
            r#type: Some(call::Type::Kill.into()),
            kill: Some(call::Kill { task_id, ..call::Kill::default() }),
            ..Call::default()
        })
        .await;
    }

    /// Asks for one task; the answer.
    pub(crate) async fn reconcile(&mut self, task: &str, agent: &AgentId) -> TaskStatus {
        let task = call::reconcile::Task {
            task_id: TaskId { value: task.to_owned() },
            agent_id: Some(agent.clone()),
        };
        self.call(Call {
            r#type: Some(call::Type::Reconcile.into()),
            reconcile: Some(call::Reconcile { tasks: vec![task.clone()] }),
            ..Call::default()
        })
        .await;
        loop {
            let status = self.update().await;
            if status.task_id == task.task_id && status.uuid.is_none() {
                return status;
            }
        }
    }

    /// Sends a call that must be accepted.
    pub(crate) async fn call(&self, call: Call) {
        let call = Call { framework_id: Some(self.id.clone()), ..call };
        let response = self
            .http
            .post(&self.url)
            .header(CONTENT_TYPE, self.format)
            .header("Mesos-Stream-Id", &self.stream_id)
            .body(encode(self.format, &call))
            .send()
            .await
            .unwrap();
        let status = response.status();
        assert_eq!(status, 202, "{}", response.text().await.unwrap());
    }
}

fn encode(format: &str, call: &Call) -> Vec<u8> {
    match format {
        JSON => to_json("mesos.v1.scheduler.Call", call).unwrap().into_bytes(),
        _ => call.encode_to_vec(),
    }
}

pub(crate) fn info() -> FrameworkInfo {
    use capability::Type;
    let able = [
        Type::MultiRole,
        Type::PartitionAware,
        Type::TaskKillingState,
        Type::ReservationRefinement,
    ];
    FrameworkInfo {
        user: "root".to_owned(),
        name: "test".to_owned(),
        roles: vec!["*".to_owned()],
        failover_timeout: Some(600.0),
        capabilities: able.map(|able| Capability { r#type: Some(able.into()) }).to_vec(),
        ..FrameworkInfo::default()
    }
}

/// A task out of an offer, with a tenth of a processor.
pub(crate) fn task(offer: &Offer, id: &str, executor: Option<ExecutorInfo>) -> TaskInfo {
    let cpus = offer.resources.iter().find(|resource| resource.name == "cpus").unwrap();
    let mut cpus = cpus.clone();
    cpus.scalar.as_mut().unwrap().value = 0.1;
    TaskInfo {
        name: id.to_owned(),
        task_id: TaskId { value: id.to_owned() },
        agent_id: offer.agent_id.clone(),
        resources: vec![cpus],
        executor,
        ..TaskInfo::default()
    }
}
