//! Plays the part of schedulers and of the agent's machine: sends what was recorded when it was
//! recorded. Ids are translated, as a new master gives new ones.

use std::collections::{BTreeMap, VecDeque};

use offer_sim::world::{
    AgentId, AgentSpec, ContainerId, Effect, Event, ExecutorId, Fault, FrameworkId, StreamId,
    World, WorldConfig, parse_attributes, parse_resources,
};
use prost::Message;
use serde_json::Value;
use shiftwork_proto::json::{from_json, to_json};
use shiftwork_proto::mesos::v1::{TaskStatus, executor, scheduler};

use super::recording::{Recording, offered, ordered, short};

/// Seconds since the epoch at which every session begins. The real masters' allocation intervals
/// beat about 0.16 s after the recordings began; ours beats at whole seconds.
const START_SECONDS: f64 = 1_795_000_000.0 - 0.16;
/// How much later than the real master ours may make the offer that a recorded ACCEPT uses.
const OFFER_LATE_SECONDS_MAX: f64 = 2.5;

/// A scheduler's recording, and when it began.
pub(crate) struct Script<'a> {
    pub(crate) recording: &'a Recording,
    pub(crate) start_seconds: f64,
}

/// Something that happens at a recorded moment.
enum Action<'a> {
    /// A scheduler's request.
    Request { script: usize, body: &'a Value },
    /// A scheduler's side broke its stream.
    Drop { script: usize },
    /// An executor reports.
    Report { executor: String, status: Box<TaskStatus> },
    /// An executor's process ended.
    Exit { executor: String, wait_status: i32 },
    /// Something goes wrong, or an operator acts.
    Fault(Fault),
}

/// One scheduler as it is played.
#[derive(Default)]
struct Scheduler {
    stream: Option<StreamId>,
    events: Vec<scheduler::Event>,
    /// Recorded framework and offer ids, and ours.
    framework: Option<FrameworkId>,
    offers: BTreeMap<String, String>,
}

/// A world in the middle of a replay.
pub(crate) struct Session {
    world: World,
    now_ms: u64,
    agent: AgentId,
    schedulers: Vec<Scheduler>,
    /// Executors that run, by id.
    running: BTreeMap<String, (FrameworkId, ContainerId)>,
    streams: u32,
}

// === impl Session ===

impl Session {
    pub(crate) fn new(scripts: &[Script<'_>], config: WorldConfig) -> Self {
        let config = WorldConfig { offer_timeout_ms: Some(30_000), ..config };
        let mut world = World::new(config, 7);
        let agent = world.assign_agent_id();
        let spec = AgentSpec {
            id: agent.clone(),
            hostname: "127.0.0.1".to_owned(),
            ip: "127.0.0.1".to_owned(),
            port: 5081,
            resources: parse_resources(
                "cpus:4;mem:4096;disk:8192;ports:[31000-31009];cpus(batch):2;mem(batch):1024",
            )
            .unwrap(),
            attributes: parse_attributes("rack:r1;zone:a;level:3").unwrap(),
        };
        let mut session = Self {
            world,
            now_ms: (START_SECONDS * 1000.0) as u64,
            agent,
            schedulers: scripts.iter().map(|_| Scheduler::default()).collect(),
            running: BTreeMap::new(),
            streams: 0,
        };
        session.step(Event::RegisterAgent { agent: spec, recovered: Vec::new() });
        session
    }

    pub(crate) fn agent(&self) -> AgentId {
        self.agent.clone()
    }

    /// Plays all to the end; what each scheduler was told, in short.
    pub(crate) fn play(
        mut self,
        scripts: &[Script<'_>],
        executor: Option<&Recording>,
        faults: Vec<(f64, Fault)>,
    ) -> Vec<Vec<String>> {
        let mut actions: Vec<_> =
            faults.into_iter().map(|(t, fault)| (t, Action::Fault(fault))).collect();
        for (script, Script { recording, start_seconds }) in scripts.iter().enumerate() {
            collect(&mut actions, script, recording, *start_seconds, executor);
        }
        actions.sort_by(|(left, _), (right, _)| left.total_cmp(right));
        for (t, action) in actions {
            self.wait_until(t);
            match action {
                Action::Request { script, body } => self.request(&scripts[script], script, body),
                Action::Drop { script } => {
                    let stream = self.schedulers[script].stream.clone().unwrap();
                    self.step(Event::SchedulerGone { stream });
                }
                Action::Report { executor, status } => self.report(&executor, *status),
                Action::Exit { executor, wait_status } => self.exit(&executor, wait_status),
                Action::Fault(fault) => self.step(Event::Fault(fault)),
            }
        }
        let told = |scheduler: &Scheduler| {
            ordered(scheduler.events.iter().filter_map(|event| short(&json(event))).collect())
        };
        self.schedulers.iter().map(told).collect()
    }

    fn wait_until(&mut self, t: f64) {
        let target_ms = ((START_SECONDS + t) * 1000.0) as u64;
        while let Some(due_ms) = self.world.next_deadline_ms().filter(|due| *due <= target_ms) {
            self.now_ms = self.now_ms.max(due_ms);
            self.step(Event::Tick);
        }
        self.now_ms = self.now_ms.max(target_ms);
    }

    fn step(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.world.step(self.now_ms, event, &mut effects);
        let mut started = VecDeque::new();
        for effect in effects {
            match effect {
                Effect::ToScheduler { stream, event } => {
                    let of_stream =
                        |scheduler: &&mut Scheduler| scheduler.stream.as_ref() == Some(&stream);
                    let scheduler = self.schedulers.iter_mut().rev().find(of_stream).unwrap();
                    scheduler.events.push(*event);
                }
                Effect::StartExecutor(start) => started.push_back(start),
                _ => {}
            }
        }
        for start in started {
            let framework = FrameworkId::from(start.framework.id.as_ref().unwrap());
            let id = start.executor.executor_id.value.clone();
            self.running.insert(id.clone(), (framework.clone(), start.container.clone()));
            self.streams += 1;
            let agent = self.agent.clone();
            let container = start.container;
            self.step(Event::ExecutorStarted { agent: agent.clone(), container, pid: 4711 });
            self.step(Event::ExecutorSubscribe {
                agent,
                stream: StreamId(format!("executor-{}", self.streams)),
                framework,
                executor: ExecutorId(id),
                subscribe: executor::call::Subscribe::default(),
            });
        }
    }

    fn request(&mut self, script: &Script<'_>, number: usize, body: &Value) {
        let call = self.translate(script, number, body);
        if call.r#type() == scheduler::call::Type::Subscribe {
            let stream = self.world.assign_stream_id();
            self.schedulers[number].stream = Some(stream.clone());
            let info = Box::new(call.subscribe.unwrap().framework_info);
            self.step(Event::Subscribe { stream, info, suppressed_roles: Vec::new() });
            let told = self.schedulers[number].events.iter();
            let subscribed = told.filter_map(|event| event.subscribed.as_ref()).next_back();
            self.schedulers[number].framework =
                subscribed.map(|subscribed| (&subscribed.framework_id).into());
            return;
        }
        let framework = FrameworkId::from(call.framework_id.as_ref().unwrap());
        let stream = self.schedulers[number].stream.clone().unwrap();
        let answer = self.world.admit_scheduler_call(&call, Some(&stream.0));
        let recorded = response_after(script.recording, body);
        let status = answer.as_ref().map_or_else(|rejection| rejection.status, |()| 202);
        assert_eq!(u64::from(status), recorded, "{}: {body}", script.recording.name);
        if answer.is_ok() {
            self.step(Event::SchedulerCall { framework, call: Box::new(call) });
        }
    }

    /// A recorded request with our ids in place of the recorded ones.
    fn translate(&mut self, script: &Script<'_>, number: usize, body: &Value) -> scheduler::Call {
        let mut text = body.to_string();
        let recorded = framework_of(script.recording);
        if let Some(recorded) = recorded {
            let master = recorded.rsplit_once('-').unwrap().0;
            for id in offer_ids(body) {
                if let Some(ours) = self.find_offer(script, number, &id) {
                    text = text.replace(&format!("\"{id}\""), &format!("\"{ours}\""));
                }
            }
            let known = self.schedulers.iter().filter_map(|known| known.framework.clone());
            let number_of = recorded.rsplit_once('-').unwrap().1;
            let ours = known.into_iter().find(|known| known.0.ends_with(number_of));
            if let Some(ours) = ours {
                text = text.replace(&recorded, &ours.0);
            }
            if let Some(ours) = self.inverse_offer(number) {
                for id in inverse_offer_ids(body) {
                    text = text.replace(&format!("\"{id}\""), &format!("\"{ours}\""));
                }
            }
            text = text.replace(&format!("{master}-S0"), &self.agent.0);
            if let Some(uuid) = body["acknowledge"]["uuid"].as_str()
                && let Some(ours) = self.own_uuid(script, number, uuid)
            {
                text = text.replace(uuid, &ours);
            }
        }
        from_json("mesos.v1.scheduler.Call", text.as_bytes()).unwrap()
    }

    /// The inverse offer that was sent last.
    fn inverse_offer(&self, number: usize) -> Option<String> {
        let mut told = self.schedulers[number].events.iter().rev();
        let asked = told.find_map(|event| event.inverse_offers.as_ref())?;
        asked.inverse_offers.last().map(|offer| offer.id.value.clone())
    }

    /// The uuid of our agent's own update that stands for a recorded one; `None` for an update of
    /// an executor, which carries the recorded uuid.
    fn own_uuid(&self, script: &Script<'_>, number: usize, uuid: &str) -> Option<String> {
        let is_meant =
            |status: &Value| status["uuid"] == uuid && status["source"] == "SOURCE_AGENT";
        let recorded = script.recording.bodies().map(|(_, body)| &body["update"]["status"]);
        let recorded = recorded.into_iter().find(|status| is_meant(status))?;
        let told = self.schedulers[number].events.iter().rev().map(json);
        let ours = told.map(|body| body["update"]["status"].clone()).find(|status| {
            ["task_id", "state", "source"].iter().all(|key| status[*key] == recorded[*key])
        });
        Some(ours.unwrap()["uuid"].as_str().unwrap().to_owned())
    }

    /// Our offer that holds what the recorded one held; waits a little when it is yet to come.
    fn find_offer(&mut self, script: &Script<'_>, number: usize, id: &str) -> Option<String> {
        let recorded = offers_in(script.recording.bodies().map(|(_, body)| body.clone()))
            .into_iter()
            .find(|offer| offer["id"]["value"] == id)?;
        let wanted = offered(&recorded);
        let give_up_ms = self.now_ms + (OFFER_LATE_SECONDS_MAX * 1000.0) as u64;
        loop {
            let told = self.schedulers[number].events.iter().map(json);
            let taken: Vec<&String> = self.schedulers[number].offers.values().collect();
            let fits = |offer: &Value| {
                let id = offer["id"]["value"].as_str().unwrap().to_owned();
                (offered(offer) == wanted && !taken.contains(&&id)).then_some(id)
            };
            if let Some(ours) = offers_in(told).iter().rev().find_map(fits) {
                self.schedulers[number].offers.insert(id.to_owned(), ours.clone());
                return Some(ours);
            }
            let due_ms = self.world.next_deadline_ms().filter(|due_ms| *due_ms <= give_up_ms);
            let Some(due_ms) = due_ms else {
                panic!("{}: no offer like {id}: {wanted:?}", script.recording.name);
            };
            self.now_ms = self.now_ms.max(due_ms);
            self.step(Event::Tick);
        }
    }

    fn report(&mut self, executor: &str, mut status: TaskStatus) {
        let executor = executor.replace(recorded_agent(executor).as_str(), &self.agent.0);
        let (framework, _) = self.running[&executor].clone();
        status.agent_id = None;
        status.container_status = None;
        status.executor_id = None;
        self.step(Event::ExecutorUpdate {
            agent: self.agent.clone(),
            framework,
            executor: ExecutorId(executor),
            status: Box::new(status),
        });
    }

    fn exit(&mut self, executor: &str, wait_status: i32) {
        let executor = executor.replace(recorded_agent(executor).as_str(), &self.agent.0);
        let (_, container) = self.running.remove(&executor).unwrap();
        let agent = self.agent.clone();
        self.step(Event::ExecutorExited { agent, container, wait_status });
    }
}

/// Everything that happened outside the master, at its time.
fn collect<'a>(
    actions: &mut Vec<(f64, Action<'a>)>,
    script: usize,
    recording: &'a Recording,
    start: f64,
    executor: Option<&Recording>,
) {
    for (t, line) in recording.of("request") {
        actions.push((start + t, Action::Request { script, body: &line["body"] }));
    }
    for (t, line) in recording.of("stream-end") {
        // The recorder's own end; a master that ends a stream is not played.
        if line["why"] == "AttributeError" {
            actions.push((start + t, Action::Drop { script }));
        }
    }
    let first_seen = first_reports(recording);
    match executor {
        None => {
            for (t, status) in first_seen.values() {
                let executor = status.executor_id.as_ref().unwrap().value.clone();
                let is_end = status.message().starts_with("Command ");
                let report =
                    Action::Report { executor: executor.clone(), status: Box::new(status.clone()) };
                actions.push((start + t - 0.001, report));
                if is_end {
                    actions.push((start + t - 0.0005, Action::Exit { executor, wait_status: 0 }));
                }
            }
        }
        Some(side) => collect_executor(actions, side, &first_seen),
    }
    for (t, body) in recording.bodies().filter(|(_, body)| body["type"] == "FAILURE") {
        let failure = &body["failure"];
        // Without a status it is of an agent.
        let Some(wait_status) = failure["status"].as_i64() else { continue };
        let wait_status = wait_status as i32;
        // -1 is not of a process: the agent turned a task away.
        if wait_status >= 0 {
            let executor = failure["executor_id"]["value"].as_str().unwrap().to_owned();
            actions.push((start + t - 0.0005, Action::Exit { executor, wait_status }));
        }
    }
}

/// What an executor sent, on the scheduler's clock: an update cannot be seen before it was sent.
fn collect_executor(
    actions: &mut Vec<(f64, Action<'_>)>,
    side: &Recording,
    first_seen: &BTreeMap<String, (f64, TaskStatus)>,
) {
    let mut sent = Vec::new();
    for (t, line) in side.of("request").filter(|(_, line)| line["body"]["type"] == "UPDATE") {
        let uuid = line["body"]["update"]["status"]["uuid"].as_str().unwrap().to_owned();
        let text = line["body"].to_string();
        let call: executor::Call = from_json("mesos.v1.executor.Call", text.as_bytes()).unwrap();
        sent.push((t, uuid, call));
    }
    let delays = sent.iter().filter_map(|(t, uuid, _)| first_seen.get(uuid).map(|(at, _)| at - t));
    let offset = delays.fold(f64::INFINITY, f64::min);
    for (t, _, call) in sent {
        let report = Action::Report {
            executor: call.executor_id.value,
            status: Box::new(call.update.unwrap().status),
        };
        actions.push((t + offset - 0.0005, report));
    }
}

/// Every update of an executor with the time when the scheduler first saw it, by uuid.
fn first_reports(recording: &Recording) -> BTreeMap<String, (f64, TaskStatus)> {
    let mut first = BTreeMap::new();
    for (t, body) in recording.bodies() {
        let status = &body["update"]["status"];
        if let (Some("SOURCE_EXECUTOR"), Some(uuid)) =
            (status["source"].as_str(), status["uuid"].as_str())
        {
            let decoded = || {
                let text = status.to_string();
                (t, from_json("mesos.v1.TaskStatus", text.as_bytes()).unwrap())
            };
            first.entry(uuid.to_owned()).or_insert_with(decoded);
        }
    }
    first
}

fn json<M: Message>(event: &M) -> Value {
    serde_json::from_str(&to_json("mesos.v1.scheduler.Event", event).unwrap()).unwrap()
}

fn framework_of(recording: &Recording) -> Option<String> {
    let in_event = recording
        .bodies()
        .find_map(|(_, body)| body["subscribed"]["framework_id"]["value"].as_str());
    let in_request = recording
        .of("request")
        .find_map(|(_, line)| line["body"]["framework_id"]["value"].as_str());
    in_event.or(in_request).map(str::to_owned)
}

fn offer_ids(body: &Value) -> Vec<String> {
    let lists = [&body["accept"]["offer_ids"], &body["decline"]["offer_ids"]];
    let ids = lists.into_iter().filter_map(Value::as_array).flatten();
    ids.map(|id| id["value"].as_str().unwrap().to_owned()).collect()
}

fn inverse_offer_ids(body: &Value) -> Vec<String> {
    let answers = [&body["accept_inverse_offers"], &body["decline_inverse_offers"]];
    let ids = answers.into_iter().filter_map(|answer| answer["inverse_offer_ids"].as_array());
    ids.flatten().map(|id| id["value"].as_str().unwrap().to_owned()).collect()
}

fn offers_in(bodies: impl Iterator<Item = Value>) -> Vec<Value> {
    bodies.filter_map(|body| body["offers"]["offers"].as_array().cloned()).flatten().collect()
}

/// The agent's id in an executor's, which was named after it; empty text matches nowhere else.
fn recorded_agent(executor: &str) -> String {
    executor.rsplit_once('@').map_or_else(|| "\0".to_owned(), |(_, agent)| agent.to_owned())
}

/// The status that was answered to a request.
fn response_after(recording: &Recording, body: &Value) -> u64 {
    let at = recording.lines.iter().position(|line| line["body"] == *body).unwrap();
    let response = recording.lines[at..].iter().find(|line| line["dir"] == "response");
    response.unwrap()["status"].as_u64().unwrap()
}
