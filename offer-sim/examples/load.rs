//! A framework that fills a cluster: launches tasks until so many run, acknowledges what it is told,
//! and says how long that took. For measuring offer-sim; it schedules nothing.
//!
//! `cargo run --release -p offer-sim --example load -- 127.0.0.1:5050 100000`

use std::collections::VecDeque;
use std::time::Instant;

use prost::Message;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use shiftwork_proto::mesos::v1::framework_info::{Capability, capability};
use shiftwork_proto::mesos::v1::scheduler::{Call, Event, call};
use shiftwork_proto::mesos::v1::{
    CommandInfo, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo, Offer, Resource, TaskId,
    TaskInfo, TaskState, offer, value,
};
use shiftwork_proto::recordio::Decoder;
use tokio::task::JoinSet;

const PROTOBUF: &str = "application/x-protobuf";
/// Tasks launched at once on one agent.
const TASKS_PER_OFFER: usize = 10;
/// Calls under way at once.
const CALLS_MAX: usize = 16;
/// Tasks that were launched and do not run yet: a reader that falls behind is cut off.
const STARTING_MAX: usize = 5_000;
/// Largest event that is read: ten thousand offers.
const EVENT_BYTES_MAX: usize = 64 * 1024 * 1024;

struct Framework {
    http: reqwest::Client,
    url: String,
    stream: String,
    id: FrameworkId,
    launched: usize,
    wanted: usize,
    running: usize,
    /// Offers that were not used yet.
    offers: VecDeque<Offer>,
    calls: JoinSet<anyhow::Result<()>>,
}

// === impl Framework ===

impl Framework {
    /// Sends a call while others are under way.
    async fn call(&mut self, call: Call) -> anyhow::Result<()> {
        let call = Call { framework_id: Some(self.id.clone()), ..call };
        let request = self.http.post(&self.url).header(CONTENT_TYPE, PROTOBUF);
        let request = request.header("Mesos-Stream-Id", &self.stream).body(call.encode_to_vec());
        self.calls.spawn(async move {
            request.send().await?.error_for_status()?;
            Ok(())
        });
        while self.calls.len() > CALLS_MAX {
            if let Some(called) = self.calls.join_next().await {
                called??;
            }
        }
        Ok(())
    }

    async fn on_event(&mut self, event: Event) -> anyhow::Result<()> {
        if let Some(subscribed) = event.subscribed {
            self.id = subscribed.framework_id;
        }
        self.offers.extend(event.offers.into_iter().flat_map(|offers| offers.offers));
        while self.launched < self.wanted.min(self.running + STARTING_MAX)
            && let Some(offer) = self.offers.pop_front()
        {
            self.on_offer(&offer).await?;
        }
        let Some(update) = event.update else { return Ok(()) };
        let status = update.status;
        match status.state() {
            TaskState::TaskRunning => self.running += 1,
            TaskState::TaskFinished => {}
            other => eprintln!("{} {other:?} {}", status.task_id.value, status.message()),
        }
        if let (Some(uuid), Some(agent_id)) = (status.uuid, status.agent_id) {
            let acknowledge = call::Acknowledge { agent_id, task_id: status.task_id, uuid };
            let r#type = Some(call::Type::Acknowledge.into());
            self.call(Call { r#type, acknowledge: Some(acknowledge), ..Call::default() }).await?;
        }
        Ok(())
    }

    async fn on_offer(&mut self, offer: &Offer) -> anyhow::Result<()> {
        let count = TASKS_PER_OFFER.min(self.wanted - self.launched);
        let first = self.launched;
        self.launched += count;
        let task = |number: usize| TaskInfo {
            name: "load".to_owned(),
            task_id: TaskId { value: format!("load-{}", first + number) },
            agent_id: offer.agent_id.clone(),
            resources: resources(0.5, 64.0),
            executor: Some(ExecutorInfo {
                executor_id: ExecutorId { value: "load".to_owned() },
                command: Some(CommandInfo { value: Some("load".to_owned()), ..Default::default() }),
                resources: resources(0.1, 32.0),
                ..ExecutorInfo::default()
            }),
            ..TaskInfo::default()
        };
        let launch = offer::Operation {
            r#type: Some(offer::operation::Type::Launch.into()),
            launch: Some(offer::operation::Launch { task_infos: (0..count).map(task).collect() }),
            ..offer::Operation::default()
        };
        let filters = shiftwork_proto::mesos::v1::Filters { refuse_seconds: Some(3_600.0) };
        let accept = call::Accept {
            offer_ids: vec![offer.id.clone()],
            operations: vec![launch],
            filters: Some(filters),
        };
        let r#type = Some(call::Type::Accept.into());
        self.call(Call { r#type, accept: Some(accept), ..Call::default() }).await
    }
}

fn resources(cpus: f64, mem: f64) -> Vec<Resource> {
    let one = |(name, value): (&str, f64)| {
        let mut resource = Resource { name: name.to_owned(), ..Resource::default() };
        resource.set_type(value::Type::Scalar);
        resource.scalar = Some(value::Scalar { value });
        resource
    };
    [("cpus", cpus), ("mem", mem)].into_iter().map(one).collect()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(master), Some(wanted)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("give the master's host:port and how many tasks to run");
    };
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("http://{master}/api/v1/scheduler");
    let partition_aware = Some(capability::Type::PartitionAware.into());
    let framework_info = FrameworkInfo {
        user: "root".to_owned(),
        name: "load".to_owned(),
        capabilities: vec![Capability { r#type: partition_aware }],
        ..FrameworkInfo::default()
    };
    let subscribe = Call {
        r#type: Some(call::Type::Subscribe.into()),
        subscribe: Some(call::Subscribe { framework_info, ..call::Subscribe::default() }),
        ..Call::default()
    };
    let request = http.post(&url).header(CONTENT_TYPE, PROTOBUF).header(ACCEPT, PROTOBUF);
    let mut response = request.body(subscribe.encode_to_vec()).send().await?.error_for_status()?;
    let stream = response.headers().get("mesos-stream-id");
    let stream = stream.and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let wanted = wanted.parse()?;
    let id = FrameworkId::default();
    let mut framework = Framework {
        http,
        url,
        stream,
        id,
        launched: 0,
        wanted,
        running: 0,
        offers: VecDeque::new(),
        calls: JoinSet::new(),
    };
    let mut decoder = Decoder::new(EVENT_BYTES_MAX);
    let (begun, mut is_full) = (Instant::now(), false);
    while let Some(bytes) = response.chunk().await? {
        decoder.push(&bytes);
        while let Some(record) = decoder.next()? {
            framework.on_event(Event::decode(record)?).await?;
        }
        if framework.running >= wanted && !is_full {
            is_full = true;
            println!("{wanted} tasks run after {:?}; Ctrl-C ends", begun.elapsed());
        }
    }
    Ok(())
}
