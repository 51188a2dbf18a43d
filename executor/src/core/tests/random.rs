//! Any order of events: each task ends exactly once, its updates are in order, nothing is lost.
//! The world around the core is played here: processes that end when they like or when killed, an
//! agent that comes and goes and acknowledges when it likes.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// What may happen next; numbers pick one of what is possible.
#[derive(Debug, Clone)]
enum Turn {
    Launch { daemon: bool, timeout: bool },
    Kill(usize),
    Answer(usize),
    Fail(usize),
    End(usize),
    Vanish(usize),
    Acknowledge(usize),
    Lose,
    Accept,
    Wait(u64),
    StepClock(i64),
}

fn turns() -> impl Strategy<Value = Turn> {
    prop_oneof![
        3 => (any::<bool>(), any::<bool>())
            .prop_map(|(daemon, timeout)| Turn::Launch { daemon, timeout }),
        2 => any::<usize>().prop_map(Turn::Kill),
        6 => any::<usize>().prop_map(Turn::Answer),
        1 => any::<usize>().prop_map(Turn::Fail),
        5 => any::<usize>().prop_map(Turn::End),
        5 => any::<usize>().prop_map(Turn::Vanish),
        6 => any::<usize>().prop_map(Turn::Acknowledge),
        1 => Just(Turn::Lose),
        2 => Just(Turn::Accept),
        5 => (0_u64..30_000).prop_map(Turn::Wait),
        1 => (-90_000_i64..90_000).prop_map(Turn::StepClock),
    ]
}

/// The processes of one start, as the shell would know them.
#[derive(Debug, Default)]
struct Played {
    task: String,
    answered: bool,
    ended: bool,
    killed: bool,
}

/// The connection, as the agent sees it.
#[derive(Debug, PartialEq)]
enum PlayedLink {
    Lost,
    Asked,
    Up,
}

struct World {
    scene: Scene,
    works: BTreeMap<u64, Played>,
    launched: BTreeSet<String>,
    daemons: BTreeSet<String>,
    /// What the checkpoint file would hold.
    checkpoint: Vec<Update>,
    /// What the agent has received, per task, in order of first arrival.
    received: BTreeMap<String, Vec<Update>>,
    acknowledged: BTreeSet<Vec<u8>>,
    link: PlayedLink,
    /// Sent, and not yet received: lost when the connection is.
    in_flight: Vec<Update>,
    fired: BTreeMap<String, Timestamp>,
}

impl World {
    fn new() -> Self {
        Self {
            scene: Scene::subscribed_with(Some(u64::MAX / 2), None),
            works: BTreeMap::new(),
            launched: BTreeSet::new(),
            daemons: BTreeSet::new(),
            checkpoint: Vec::new(),
            received: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            link: PlayedLink::Up,
            in_flight: Vec::new(),
            fired: BTreeMap::new(),
        }
    }

    fn happen(&mut self, event: Event) {
        for effect in self.scene.effects(event) {
            match effect {
                Effect::Start { work, spec, firing } => self.on_start(work, &spec, firing),
                Effect::Signal { work, signal } => {
                    if let Some(played) = self.works.get_mut(&work.0) {
                        played.killed |= signal == Signal::Kill;
                    }
                }
                Effect::Checkpoint(update) => self.checkpoint.push(update),
                Effect::RewriteCheckpoint(updates) => self.checkpoint = updates,
                Effect::Subscribe { updates, .. } => {
                    self.link = PlayedLink::Asked;
                    self.in_flight = updates;
                }
                Effect::Send(update) => {
                    assert!(self.link == PlayedLink::Up, "sent to nobody: {update:?}");
                    self.in_flight.push(update);
                }
                Effect::Ignored { .. } => {}
                Effect::Exit(reason) => panic!("left: {reason}"),
            }
        }
    }

    fn on_start(&mut self, work: WorkId, spec: &TaskSpec, firing: Option<Timestamp>) {
        let task = spec.id.0.clone();
        let overlap = self.works.values().any(|played| played.task == task);
        assert!(!overlap, "two starts of {task} at once");
        if let Some(moment) = firing {
            let before = self.fired.insert(task.clone(), moment);
            assert!(before < Some(moment), "{task} fired {moment} after {before:?}");
            assert!(moment <= self.scene.now().wall, "{task} fired {moment} too early");
        }
        let played = Played { task, ..Played::default() };
        assert!(self.works.insert(work.0, played).is_none(), "start {work} used twice");
    }

    fn receive(&mut self, update: Update) {
        assert!(self.checkpoint.contains(&update), "sent before it was kept");
        let all = self.received.entry(update.status.task_id.value.clone()).or_default();
        if !all.contains(&update) {
            all.push(update);
        }
    }

    fn pick(&self, number: usize, which: impl Fn(&Played) -> bool) -> Option<(u64, TaskId)> {
        let all: Vec<(u64, TaskId)> = self
            .works
            .iter()
            .filter(|(_, played)| which(played))
            .map(|(work, played)| (*work, id(&played.task)))
            .collect();
        all.get(number.checked_rem(all.len())?).cloned()
    }

    fn take(&mut self, turn: Turn) {
        match turn {
            Turn::Launch { daemon, timeout } => {
                let task = format!("t{}", self.launched.len());
                self.launched.insert(task.clone());
                let mut payload = if daemon { daemon_payload(timeout, 2) } else { payload("true") };
                payload.timeout_ms = if timeout { 10_000 } else { 0 };
                if daemon {
                    self.daemons.insert(task.clone());
                }
                self.happen(Event::Launch(Box::new(task_info(&task, &payload))));
            }
            Turn::Kill(number) => {
                let task = format!("t{}", number % (self.launched.len() + 1));
                self.happen(Event::Kill { task: id(&task), grace_ms: None });
            }
            Turn::Answer(number) => {
                if let Some((work, task)) = self.pick(number, |played| !played.answered) {
                    if let Some(played) = self.works.get_mut(&work) {
                        played.answered = true;
                    }
                    self.happen(Event::Started { task, work: WorkId(work) });
                }
            }
            Turn::Fail(number) => {
                if let Some((work, task)) = self.pick(number, |played| !played.answered) {
                    self.works.remove(&work);
                    let reason = "no".into();
                    self.happen(Event::StartFailed { task, work: WorkId(work), reason });
                }
            }
            Turn::End(number) => self.end(number),
            Turn::Vanish(number) => {
                if let Some((work, task)) = self.pick(number, |played| played.ended) {
                    self.works.remove(&work);
                    self.happen(Event::Gone { task, work: WorkId(work), usage: Usage::default() });
                }
            }
            Turn::Acknowledge(number) => self.acknowledge(number),
            Turn::Lose => {
                self.link = PlayedLink::Lost;
                self.in_flight.clear();
                self.happen(Event::Disconnected);
            }
            Turn::Accept => {
                if self.link == PlayedLink::Asked {
                    self.link = PlayedLink::Up;
                    self.happen(Event::Subscribed { idle_timeout_ms: None });
                }
            }
            Turn::Wait(ms) => {
                self.scene.mono_ms += ms;
                self.happen(Event::Tick);
            }
            Turn::StepClock(ms) => {
                self.scene.wall_offset_ms += ms;
                self.happen(Event::Tick);
            }
        }
    }

    fn end(&mut self, number: usize) {
        if let Some((work, task)) = self.pick(number, |played| played.answered && !played.ended) {
            let mut exited = Exited::Code(i32::from(number.is_multiple_of(3)));
            if let Some(played) = self.works.get_mut(&work) {
                played.ended = true;
                if played.killed {
                    exited = Exited::Signal(9);
                }
            }
            let end = WorkEnd { exited, stdout_tail: "y".into(), stderr_tail: "x".into() };
            self.happen(Event::LeaderEnded { task, work: WorkId(work), end });
        }
    }

    /// The agent receives what was sent to it, and acknowledges any update it has.
    fn acknowledge(&mut self, number: usize) {
        if self.link != PlayedLink::Up {
            return;
        }
        for update in std::mem::take(&mut self.in_flight) {
            self.receive(update);
        }
        let open: Vec<Update> = self
            .received
            .values()
            .flatten()
            .filter(|update| !self.acknowledged.contains(&uuid(update)))
            .cloned()
            .collect();
        let Some(at) = number.checked_rem(open.len()) else {
            return;
        };
        if let Some(update) = open.get(at) {
            self.acknowledged.insert(uuid(update));
            let task = id(&update.status.task_id.value);
            self.happen(Event::Acknowledged { task, uuid: uuid(update).into() });
        }
    }

    /// Lets everything come to its end: the agent is back, every task is killed, every process goes.
    fn finish(&mut self) {
        self.take(Turn::Wait(2_000));
        self.take(Turn::Accept);
        for task in self.launched.clone() {
            self.happen(Event::Kill { task: id(&task), grace_ms: None });
        }
        for _ in 0..self.works.len() {
            self.take(Turn::Answer(0));
            self.take(Turn::End(0));
            self.take(Turn::Vanish(0));
        }
        for _ in 0..self.checkpoint.len() {
            self.acknowledge(0);
        }
    }

    fn check(&self) {
        assert_eq!(self.scene.core.task_count(), 0);
        assert!(self.works.is_empty(), "{:?}", self.works);
        assert_eq!(self.checkpoint, [], "acknowledged, but still kept");
        let received: BTreeSet<String> = self.received.keys().cloned().collect();
        assert_eq!(received, self.launched, "a task nobody heard of");
        for (task, updates) in &self.received {
            let shown = show_updates(updates);
            let (last, before) = updates.split_last().expect("at least one");
            let is_terminal = |update: &Update| update.status.state() as i32 != 1;
            assert!(is_terminal(last), "{shown}");
            assert!(!before.iter().any(is_terminal), "{shown}");
            let times: Vec<Option<u8>> =
                updates.iter().map(|update| uuid(update).first().copied()).collect();
            assert!(times.is_sorted_by_key(|number| *number), "{shown}");
            let state = last.status.state().as_str_name();
            assert!(!self.daemons.contains(task) || state == "TASK_KILLED", "{shown}");
        }
    }
}

fn uuid(update: &Update) -> Vec<u8> {
    update.status.uuid.as_ref().expect("every update has one").to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn each_task_ends_once_and_nothing_is_lost(
        turns in proptest::collection::vec(turns(), 0..80)
    ) {
        let mut world = World::new();
        for turn in turns {
            world.take(turn);
        }
        world.finish();
        world.check();
    }
}
