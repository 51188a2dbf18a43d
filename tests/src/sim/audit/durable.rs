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
use crate::sim::scheduler::{Step, Turn};

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
        if let (Some(process), true) = (turn.process, turn.transactions() > 0) {
            self.waiting.entry(process).or_default().insert(turn.number);
        }
    }

    pub(super) fn on_transaction(&mut self, step: &Step) {
        for Write { key, value } in &step.writes {
            if let (Key::RunningShard(..), Some(value)) = (key, value) {
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

    pub(super) fn on_released(
        &mut self,
        turn: &Turn,
        action: &Action,
        registry: &Registry,
        tasks: &BTreeMap<TaskId, Task>,
    ) -> Result<(), String> {
        match action {
            Action::Accept { launches, .. } => {
                if let Some(launch) = launches.iter().find(|l| !self.launched.contains(&l.task)) {
                    return Err(format!("ACCEPT of {}, whose launch is not recorded", launch.task));
                }
            }
            Action::Acknowledge { task, uuid, .. } => {
                if let Some((_, state)) = self.updates.remove(uuid)
                    && let Some(known) = tasks.get(task)
                {
                    is_recorded(task, known, state, registry)?;
                }
            }
            _ => {}
        }
        self.rests_on_nothing_open(turn)
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
    let key = Key::RunningShard(known.job.clone(), known.item);
    let current = registry.records().get(&key).map(Vec::as_slice);
    if current != Some(task.as_str().as_bytes()) {
        return Ok(());
    }
    if is_terminal(state) {
        return Err(format!("the end of {task} is acknowledged, and its record says it runs"));
    }
    let run = registry.records().get(&Key::Running(known.job.clone()));
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
