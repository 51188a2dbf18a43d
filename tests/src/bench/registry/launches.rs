//! An engine on the registry whose jobs fire every second: how many round trips a launched task costs,
//! with everything around it. Absent: the network to a master; tasks run and end by themselves.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;
use shiftwork_engine::command::Command;
use shiftwork_engine::event::{Offer, Outcome, RequestId, StatusReason, StatusUpdate, TaskState};
use shiftwork_engine::ids::{AgentId, FrameworkId, OfferId, TaskId};
use shiftwork_engine::resources::{Kind, Milli, Origin, Piece, Resources};
use shiftwork_engine::{Action, Effects, Engine, Event, Settings};
use shiftwork_scheduler::registry::{CommitError, Epoch, Registry, Transaction};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::zookeeper_server::Server;
use super::{Tell, lead, now, requests, rounded, transaction};

/// Commits on their way at once, as a scheduler has them.
const IN_FLIGHT_MAX: usize = 8;

/// Events taken in at once.
const TURN_EVENTS_MAX: usize = 1_000;

/// Agents that offer.
const AGENTS: usize = 10;

/// The owner looks at the clock at least this often.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// Commits on their way, and what waits for each.
type InFlight = VecDeque<(JoinHandle<Result<(), CommitError>>, Vec<Action>)>;

/// A scheduler's owner loop without anything around it.
pub(super) struct Owner {
    engine: Engine,
    registry: Box<dyn Registry>,
    epoch: Epoch,
    in_flight: InFlight,
    happened: mpsc::UnboundedSender<Event>,
    events: mpsc::UnboundedReceiver<Event>,
    /// Whether an agent's offer is held, and how many it has made.
    agents: BTreeMap<AgentId, (bool, u64)>,
    pub(super) launched: usize,
    commits: usize,
    operations: usize,
}

// === impl Owner ===

impl Owner {
    pub(super) fn new(engine: Engine, registry: Box<dyn Registry>, epoch: Epoch) -> Self {
        let (happened, events) = mpsc::unbounded_channel();
        let agents = (0..AGENTS).map(|i| (AgentId::new(format!("agent-{i}")), (false, 0)));
        Self {
            engine,
            registry,
            epoch,
            in_flight: VecDeque::new(),
            happened,
            events,
            agents: agents.collect(),
            launched: 0,
            commits: 0,
            operations: 0,
        }
    }

    /// The master takes the subscription and offers everything.
    pub(super) fn subscribe(&mut self) {
        let framework = FrameworkId::new("bench");
        // It is held by this very owner.
        let _ = self.happened.send(Event::Subscribed { framework });
        self.offer();
    }

    /// Runs until a condition holds.
    pub(super) async fn run(&mut self, until: impl Fn(&Self) -> bool) -> Result<()> {
        let mut events = Vec::new();
        while !until(self) {
            let room = self.in_flight.len() < IN_FLIGHT_MAX;
            let sleep = self.engine.next_deadline().map_or(SLEEP_MAX, |deadline| {
                Duration::from_millis(deadline.since(now()).max(0).unsigned_abs()).min(SLEEP_MAX)
            });
            tokio::select! {
                biased;
                done = first(&mut self.in_flight), if !self.in_flight.is_empty() => {
                    for action in done? {
                        self.act(action);
                    }
                    continue;
                }
                _ = self.events.recv_many(&mut events, TURN_EVENTS_MAX), if room => {}
                () = tokio::time::sleep(sleep), if room => {}
            }
            self.turn(std::mem::take(&mut events))?;
        }
        Ok(())
    }

    /// Steps through events, places, and sends what is to be written on its way.
    pub(super) fn turn(&mut self, events: Vec<Event>) -> Result<()> {
        let (mut batch, mut actions, mut fx) = (Vec::new(), Vec::new(), Effects::default());
        for event in events.into_iter().chain([Event::Tick]) {
            self.engine.step(now(), event, &mut fx);
            take(&mut fx, &mut batch, &mut actions)?;
        }
        self.engine.place(now(), &mut fx);
        take(&mut fx, &mut batch, &mut actions)?;
        self.commit(batch, actions);
        Ok(())
    }

    /// Sends transactions on their way; actions wait for them.
    pub(super) fn commit(&mut self, batch: Vec<Transaction>, actions: Vec<Action>) {
        if batch.is_empty() && actions.is_empty() {
            return;
        }
        self.commits += 1;
        self.operations += batch.iter().map(|transaction| transaction.changes.len()).sum::<usize>();
        let commit = tokio::spawn(self.registry.commit(self.epoch, batch));
        self.in_flight.push_back((commit, actions));
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Accept { agent, launches, .. } => {
                for launch in launches {
                    self.launched += 1;
                    self.live(launch.task, agent.clone());
                }
                self.release(&agent);
            }
            Action::Decline { offers, .. } => {
                for offer in offers {
                    let agent = offer.as_str().split('/').next().unwrap_or_default();
                    self.release(&AgentId::new(agent));
                }
            }
            Action::Revive => self.offer(),
            _ => {}
        }
    }

    fn release(&mut self, agent: &AgentId) {
        if let Some((held, _)) = self.agents.get_mut(agent) {
            *held = false;
        }
        self.offer();
    }

    /// Each agent whose offer is not held offers again: it never has less.
    fn offer(&mut self) {
        let mut offers = Vec::new();
        for (agent, (held, made)) in &mut self.agents {
            if !std::mem::replace(held, true) {
                *made += 1;
                offers.push(make_offer(agent, *made));
            }
        }
        if !offers.is_empty() {
            let _ = self.happened.send(Event::Offers(offers));
        }
    }

    /// A task runs for some tens of milliseconds; no two tell of it at the same moment.
    fn live(&self, task: TaskId, agent: AgentId) {
        let spread = (self.launched as u64).wrapping_mul(7_919);
        let happened = self.happened.clone();
        tokio::spawn(async move {
            for (state, millis) in
                [(TaskState::Running, 2 + spread % 40), (TaskState::Finished, 5 + spread % 200)]
            {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                let update = StatusUpdate {
                    task: task.clone(),
                    agent: Some(agent.clone()),
                    state,
                    reason: StatusReason::Other,
                    message: None,
                    uuid: Some(vec![1]),
                    outcome: (state == TaskState::Finished)
                        .then(|| Outcome { exit_code: Some(0), ..Outcome::default() }),
                };
                let _ = happened.send(Event::Status(update));
            }
        });
    }
}

fn take(fx: &mut Effects, batch: &mut Vec<Transaction>, actions: &mut Vec<Action>) -> Result<()> {
    let (transaction, more) = transaction(fx)?;
    if !transaction.changes.is_empty() {
        batch.push(transaction);
    }
    actions.extend(more);
    Ok(())
}

/// Waits for the oldest commit; gives what waited for it.
async fn first(in_flight: &mut InFlight) -> Result<Vec<Action>> {
    let (commit, _) = in_flight.front_mut().context("nothing is on its way")?;
    commit.await??;
    Ok(in_flight.pop_front().map(|(_, actions)| actions).unwrap_or_default())
}

fn make_offer(agent: &AgentId, number: u64) -> Offer {
    let origin = Arc::new(Origin { role: "*".into(), reserved: false, wire: [].into() });
    let piece = |kind, amount| Piece { kind, amount, origin: Arc::clone(&origin) };
    let plenty = Milli::from_f64(1_000_000.0).unwrap_or(Milli::ZERO);
    Offer {
        id: OfferId::new(format!("{agent}/{number}")),
        agent: agent.clone(),
        hostname: agent.to_string(),
        resources: Resources {
            pieces: vec![piece(Kind::Cpus, plenty), piece(Kind::Mem, plenty)],
            ports: Vec::new(),
        },
        attributes: Vec::new(),
        executors: Vec::new(),
        unavailability: None,
    }
}

/// A document of a job with one shard.
pub(super) fn job(name: &str, cron: &str) -> Vec<u8> {
    let document = json!({
        "jobName": name, "appName": "app", "jobExecutionType": "TRANSIENT",
        "scriptCommandLine": "bin/work --of nightly;", "cron": cron, "misfire": true,
        "shardingTotalCount": 1, "cpuCount": 0.1, "memoryMB": 16,
    });
    document.to_string().into_bytes()
}

/// A document of the app they belong to.
pub(super) const APP: &[u8] = br#"{"appName":"app","cpuCount":0.1,"memoryMB":32}"#;

pub(super) async fn measure(
    server: &Server,
    address: &str,
    time: Duration,
    firing: usize,
    tell: Tell<'_>,
) -> Result<()> {
    let (registry, tenure) = lead(address).await?;
    let mut fx = Effects::default();
    let engine = Engine::restore(Settings::default(), 1, now(), Vec::new(), &mut fx);
    let mut owner = Owner::new(engine, registry, tenure.epoch);
    let mut commands = vec![Command::CreateApp { document: APP.to_vec() }];
    commands.extend(
        (0..firing)
            .map(|i| Command::CreateJob { document: job(&format!("job-{i:05}"), "* * * * * ?") }),
    );
    let command = |(number, command)| Event::Command {
        request: RequestId(number),
        by: "bench".to_owned(),
        command,
    };
    owner.turn((0..).zip(commands).map(command).collect())?;
    owner.subscribe();
    owner.run(|owner| owner.launched >= firing).await?;

    let (before, begun) = (requests(server)?, Instant::now());
    let (launched, commits, operations) = (owner.launched, owner.commits, owner.operations);
    owner.run(|_| begun.elapsed() >= time).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let round_trips = requests(server)?.saturating_sub(before);
    let launched = (owner.launched - launched).max(1) as f64;
    let commits = (owner.commits - commits).max(1) as f64;
    let operations = (owner.operations - operations) as f64;
    tell("launches per second", json!((launched / seconds).round()));
    tell("round trips per launched task", json!(rounded(round_trips as f64 / launched)));
    tell("commits per launched task", json!(rounded(commits / launched)));
    tell("operations per commit", json!(rounded(operations / commits)));
    owner.registry.close().await;
    Ok(())
}
