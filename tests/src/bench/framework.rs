//! A Mesos framework as small as can be, for benchmarks: one stream, calls, no memory, no threads.
//! Absent: any recovery; a benchmark that loses its master has failed.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use prost::Message as _;
use shiftwork_proto::mesos::v1::scheduler::{Call, Event, call, event};
use shiftwork_proto::mesos::v1::{
    AgentId, Filters, FrameworkId, FrameworkInfo, Offer, TaskId, TaskInfo, TaskState, TaskStatus,
    framework_info, offer,
};
use shiftwork_proto::recordio::Decoder;

/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_mins(1);
/// The longest record that is read: offers of one agent are far shorter.
const RECORD_LEN_MAX: usize = 4 * 1024 * 1024;

/// A framework that is subscribed.
pub(super) struct Framework {
    address: String,
    id: FrameworkId,
    stream_id: String,
    stream: BufReader<TcpStream>,
    decoder: Decoder,
    offers: VecDeque<Offer>,
    updates: VecDeque<TaskStatus>,
    calls: BufReader<TcpStream>,
}

// === impl Framework ===

impl Framework {
    pub(super) fn subscribe(address: &str) -> Result<Self> {
        let capabilities = [
            framework_info::capability::Type::MultiRole,
            framework_info::capability::Type::PartitionAware,
            framework_info::capability::Type::ReservationRefinement,
        ];
        let capabilities = capabilities
            .map(|able| framework_info::Capability { r#type: Some(able.into()) })
            .to_vec();
        let framework_info = FrameworkInfo {
            user: "root".to_owned(),
            name: "bench".to_owned(),
            roles: vec!["*".to_owned()],
            capabilities,
            ..FrameworkInfo::default()
        };
        let subscribe = call::Subscribe { framework_info, ..call::Subscribe::default() };
        let call = Call {
            r#type: Some(call::Type::Subscribe.into()),
            subscribe: Some(subscribe),
            ..Call::default()
        };
        let mut stream = open(address)?;
        let head = send(&mut stream, address, "", &call)?;
        let find = |line: &str| line.strip_prefix("mesos-stream-id: ").map(str::to_owned);
        let stream_id = head.lines().find_map(find).context("no Mesos-Stream-Id")?;
        let mut framework = Self {
            address: address.to_owned(),
            id: FrameworkId::default(),
            stream_id,
            stream,
            decoder: Decoder::new(RECORD_LEN_MAX),
            offers: VecDeque::new(),
            updates: VecDeque::new(),
            calls: open(address)?,
        };
        let subscribed = framework.next()?.subscribed.context("SUBSCRIBED comes first")?;
        framework.id = subscribed.framework_id;
        Ok(framework)
    }

    /// The next offer that stands.
    pub(super) fn offer(&mut self) -> Result<Offer> {
        loop {
            if let Some(offer) = self.offers.pop_front() {
                return Ok(offer);
            }
            self.take_event()?;
        }
    }

    /// The next update, acknowledged, and whether it is the last of its task.
    pub(super) fn update(&mut self) -> Result<(bool, TaskStatus)> {
        loop {
            if let Some(status) = self.updates.pop_front() {
                let running = [TaskState::TaskStarting, TaskState::TaskRunning];
                return Ok((!running.contains(&status.state()), status));
            }
            self.take_event()?;
        }
    }

    /// Asks for a task's end.
    pub(super) fn kill(&mut self, task: &TaskId, agent: &AgentId) -> Result<()> {
        self.call(Call {
            r#type: Some(call::Type::Kill.into()),
            kill: Some(call::Kill {
                task_id: task.clone(),
                agent_id: Some(agent.clone()),
                kill_policy: None,
            }),
            ..Call::default()
        })
    }

    pub(super) fn accept(&mut self, offer: &Offer, tasks: Vec<TaskInfo>) -> Result<()> {
        let launch = offer::Operation {
            r#type: Some(offer::operation::Type::Launch.into()),
            launch: Some(offer::operation::Launch { task_infos: tasks }),
            ..offer::Operation::default()
        };
        let accept = call::Accept {
            offer_ids: vec![offer.id.clone()],
            operations: vec![launch],
            // What is left is wanted at once, for the next.
            filters: Some(Filters { refuse_seconds: Some(0.0) }),
        };
        self.call(Call {
            r#type: Some(call::Type::Accept.into()),
            accept: Some(accept),
            ..Call::default()
        })
    }

    fn take_event(&mut self) -> Result<()> {
        let event = self.next()?;
        match event.r#type() {
            event::Type::Offers => self.offers.extend(event.offers.unwrap_or_default().offers),
            event::Type::Rescind => {
                let gone = event.rescind.context("RESCIND without content")?.offer_id;
                self.offers.retain(|offer| offer.id != gone);
            }
            event::Type::Update => {
                let status = event.update.context("UPDATE without content")?.status;
                self.acknowledge(&status)?;
                self.updates.push_back(status);
            }
            event::Type::Error | event::Type::Failure => bail!("the master reports {event:?}"),
            _ => {}
        }
        Ok(())
    }

    fn acknowledge(&mut self, status: &TaskStatus) -> Result<()> {
        let (Some(uuid), Some(agent_id)) = (status.uuid.clone(), status.agent_id.clone()) else {
            return Ok(());
        };
        let task_id = status.task_id.clone();
        self.call(Call {
            r#type: Some(call::Type::Acknowledge.into()),
            acknowledge: Some(call::Acknowledge { agent_id, task_id, uuid }),
            ..Call::default()
        })
    }

    fn call(&mut self, call: Call) -> Result<()> {
        let call = Call { framework_id: Some(self.id.clone()), ..call };
        send(&mut self.calls, &self.address, &self.stream_id, &call).map(drop)
    }

    fn next(&mut self) -> Result<Event> {
        loop {
            if let Some(record) = self.decoder.next()? {
                return Ok(Event::decode(record)?);
            }
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let len = usize::from_str_radix(line.trim(), 16).context("not a chunk")?;
            ensure!(len > 0, "the master ended the stream");
            // With the line feed that ends the chunk.
            let mut chunk = vec![0; len + 2];
            self.stream.read_exact(&mut chunk)?;
            chunk.truncate(len);
            self.decoder.push(&chunk);
        }
    }
}

fn open(address: &str) -> Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

/// Sends a call, tied to a stream unless it opens one; the head of its answer, in lower case, which must be of success.
fn send(
    stream: &mut BufReader<TcpStream>,
    address: &str,
    stream_id: &str,
    call: &Call,
) -> Result<String> {
    let body = call.encode_to_vec();
    let tied = match stream_id {
        "" => String::new(),
        id => format!("Mesos-Stream-Id: {id}\r\n"),
    };
    let head = format!(
        "POST /api/v1/scheduler HTTP/1.1\r\nHost: {address}\r\n{tied}\
         Content-Type: application/x-protobuf\r\nAccept: application/x-protobuf\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    // In one piece: two would wait for each other's acknowledgement.
    stream.get_mut().write_all(&[head.as_bytes(), &body].concat())?;
    let mut answer = String::new();
    while !answer.ends_with("\r\n\r\n") {
        ensure!(stream.read_line(&mut answer)? > 0, "the master hung up");
    }
    ensure!(answer.starts_with("HTTP/1.1 20"), "the master refuses a call: {answer}");
    Ok(answer.to_ascii_lowercase())
}
