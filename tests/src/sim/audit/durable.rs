//! Nothing leaves a scheduler before what it rests on is durable: ACCEPT after the record of its
//! tasks, ACKNOWLEDGE after what the update means, a reply after what it promises.

use std::collections::{BTreeMap, BTreeSet};

use shiftwork_engine::command::Reply;
use shiftwork_engine::effect::Action;
use shiftwork_engine::event::{StatusUpdate, TaskState};
use shiftwork_engine::ids::TaskId;
use shiftwork_engine::record::{Key, Phase, RunRecord, Write};

use super::{Task, is_terminal};
use crate::sim::env::Process;
use crate::sim::registry::{Outcome, Registry};
use crate::sim::scheduler::Turn;

/// What was written, and what is still to be.
#[derive(Debug, Default)]
pub(super) struct Durable {
    /// Tasks whose launch was recorded.
    launched: BTreeSet<TaskId>,
    /// Updates that may be acknowledged, and what they say.
    updates: BTreeMap<Vec<u8>, (TaskId, TaskState)>,
    /// Turns with writes that are not durable, by process.
    waiting: BTreeMap<Process, BTreeSet<u64>>,
}

impl Durable {
    pub(super) fn on_update(&mut self, update: &StatusUpdate) {
        if let Some(uuid) = &update.uuid {
            self.updates.insert(uuid.clone(), (update.task.clone(), update.state));
        }
    }

    pub(super) fn on_issued(&mut self, turn: &Turn) {
        if let (Some(process), false) = (turn.process, turn.transactions.is_empty()) {
            self.waiting.entry(process).or_default().insert(turn.number);
        }
    }

    pub(super) fn on_transaction(&mut self, writes: &[Write]) {
        for Write { key, value } in writes {
            if let (Key::RunningShard(..) | Key::ParallelShard(..), Some(value)) = (key, value) {
                self.launched.insert(TaskId::new(String::from_utf8_lossy(value).into_owned()));
            }
        }
    }

    pub(super) fn on_applied(&mut self, turn: &Turn, outcome: Outcome) {
        if let (Some(process), Outcome::Done) = (turn.process, outcome)
            && let Some(waiting) = self.waiting.get_mut(&process)
        {
            waiting.remove(&turn.number);
        }
    }

    fn rests_on_nothing_open(&self, turn: &Turn) -> Result<(), String> {
        let waiting = turn.process.and_then(|process| self.waiting.get(&process));
        match waiting.and_then(|waiting| waiting.first()) {
            Some(first) if *first <= turn.number => {
                Err(format!("turn {} acts while turn {first} is not durable", turn.number))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn on_released(&mut self, turn: &Turn, action: &Action) -> Result<(), String> {
        if let Action::Accept { launches, .. } = action
            && let Some(launch) = launches.iter().find(|l| !self.launched.contains(&l.task))
        {
            return Err(format!("ACCEPT of {}, whose launch is not recorded", launch.task));
        }
        self.rests_on_nothing_open(turn)
    }

    /// A call is sent, by whomever.
    pub(super) fn on_sent(
        &mut self,
        action: &Action,
        registry: &Registry,
        tasks: &BTreeMap<TaskId, Task>,
    ) -> Result<(), String> {
        let Action::Acknowledge { task, uuid, .. } = action else { return Ok(()) };
        match (self.updates.remove(uuid), tasks.get(task)) {
            (Some((_, state)), Some(known)) => is_recorded(task, known, state, registry),
            _ => Ok(()),
        }
    }

    pub(super) fn on_reply(&self, turn: &Turn, reply: &Reply) -> Result<(), String> {
        match reply {
            Ok(_) => self.rests_on_nothing_open(turn),
            Err(_) => Ok(()),
        }
    }
}

/// Whether the registry shows what an update says.
fn is_recorded(
    task: &TaskId,
    known: &Task,
    state: TaskState,
    registry: &Registry,
) -> Result<(), String> {
    let run = match &known.key {
        Some(Key::RunningShard(job, _)) => Key::Running(job.clone()),
        Some(Key::ParallelShard(run, _)) => Key::ParallelRunning(run.clone()),
        _ => return Ok(()),
    };
    let current = known.key.as_ref().and_then(|key| registry.records().get(key));
    let current = current.map(Vec::as_slice);
    if current != Some(task.as_str().as_bytes()) {
        return Ok(());
    }
    if is_terminal(state) {
        return Err(format!("the end of {task} is acknowledged, and its record says it runs"));
    }
    let run = registry.records().get(&run);
    let run = run.and_then(|value| serde_json::from_slice::<RunRecord>(value).ok());
    let launching = run.is_some_and(|run| {
        run.shards.iter().any(|shard| {
            shard.task_id.as_ref() == Some(task) && matches!(shard.phase, Phase::Launching { .. })
        })
    });
    if state == TaskState::Running && launching {
        return Err(format!("{task} is acknowledged as RUNNING, and its record says launching"));
    }
    Ok(())
}
