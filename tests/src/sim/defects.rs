//! Deliberate defects of the shell around the engine: each must be found, or the checks are worth
//! nothing. The engine itself is left alone.

use std::collections::BTreeSet;

use shiftwork_engine::Event;
use shiftwork_engine::effect::Action;
use shiftwork_engine::ids::TaskId;
use shiftwork_engine::record::{Key, WatermarkRecord};
use shiftwork_schedule::Timestamp;

use super::scheduler::Step;
use crate::random::Random;

/// Something that is wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// ACKNOWLEDGE does not wait for its commit.
    AcknowledgeBeforeCommit,
    /// No action waits for its commit.
    ActBeforeCommit,
    /// A reply does not wait for its commit.
    ReplyBeforeCommit,
    /// The registry takes commits of former leaders.
    NoFence,
    /// Turns that write nothing act without asking whether they still may.
    ActionsUnfenced,
    /// A commit whose outcome is unknown counts as done.
    UnknownCountsAsDone,
    /// The watermark is never written.
    WatermarkNotWritten,
    /// The watermark is put back before a restart: firings come again.
    WatermarkSetBack,
    /// Now and then the record of a run that starts is not written.
    RunningRecordLost,
    /// A run that was removed from the ready queue stays in the registry.
    ReadyRecordKept,
    /// ACCEPT is sent twice.
    AcceptTwice,
    /// ACCEPTs leave without their last launch.
    LaunchForgotten,
    /// The engine is not told of rescinded offers.
    RescindIgnored,
    /// A kill is sent only once.
    KillNotRepeated,
    /// The engine is told wrong attributes of agents.
    AttributesMixedUp,
    /// Two tasks of an ACCEPT get the same ports.
    PortsTakenTwice,
    /// Some of the first updates that a task is RUNNING or has ended are acknowledged unseen.
    UpdateSwallowed,
}

impl Defect {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::AcknowledgeBeforeCommit,
        Self::ActBeforeCommit,
        Self::ReplyBeforeCommit,
        Self::NoFence,
        Self::ActionsUnfenced,
        Self::UnknownCountsAsDone,
        Self::WatermarkNotWritten,
        Self::WatermarkSetBack,
        Self::RunningRecordLost,
        Self::ReadyRecordKept,
        Self::AcceptTwice,
        Self::LaunchForgotten,
        Self::RescindIgnored,
        Self::KillNotRepeated,
        Self::AttributesMixedUp,
        Self::PortsTakenTwice,
        Self::UpdateSwallowed,
    ];

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|defect| format!("{defect:?}") == name)
    }
}

/// Carries a defect out, or none.
#[derive(Debug, Default)]
pub(crate) struct Spoiler {
    defect: Option<Defect>,
    /// Steps of engines so far.
    steps: u64,
    /// Tasks whose first kill was sent.
    killed: BTreeSet<TaskId>,
}

// === impl Spoiler ===

impl Spoiler {
    pub(crate) fn new(defect: Option<Defect>) -> Self {
        Self { defect, ..Self::default() }
    }

    pub(crate) fn is(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    /// Spoils what a step writes and wants.
    pub(crate) fn spoil(&mut self, step: &mut Step) {
        /// Every so many steps a defect that comes now and then comes.
        const NOW_AND_THEN: u64 = 37;
        self.steps += 1;
        let now_and_then = self.steps.is_multiple_of(NOW_AND_THEN);
        match self.defect {
            Some(Defect::WatermarkNotWritten) => {
                step.writes.retain(|write| write.key != Key::Watermark);
            }
            Some(Defect::RunningRecordLost) if now_and_then => {
                step.writes.retain(|w| !matches!(w.key, Key::Running(_)) || w.value.is_none());
            }
            Some(Defect::ReadyRecordKept) if now_and_then => {
                step.writes.retain(|w| !matches!(w.key, Key::Ready(..)) || w.value.is_some());
            }
            Some(Defect::PortsTakenTwice) => {
                for action in &mut step.actions {
                    if let Action::Accept { launches, .. } = action
                        && let [first, .., last] = launches.as_mut_slice()
                    {
                        last.resources.ports.clone_from(&first.resources.ports);
                    }
                }
            }
            Some(Defect::LaunchForgotten) => {
                for action in &mut step.actions {
                    if let Action::Accept { launches, .. } = action
                        && launches.len() > 1
                    {
                        launches.pop();
                    }
                }
            }
            _ => {}
        }
    }

    /// Spoils what is restored.
    pub(crate) fn spoil_records(&self, records: &mut [(Key, Vec<u8>)]) {
        /// How far the watermark is put back.
        const BACK_MS: i64 = 600_000;
        if !self.is(Defect::WatermarkSetBack) {
            return;
        }
        for (key, value) in records {
            if *key == Key::Watermark
                && let Ok(mut record) = serde_json::from_slice::<WatermarkRecord>(value)
            {
                let millis = record.watermark.as_millis() - BACK_MS;
                record.watermark = Timestamp::from_millis(millis);
                if let Ok(text) = serde_json::to_vec(&record) {
                    *value = text;
                }
            }
        }
    }

    /// The acknowledgement of an update that the engine is not to see.
    pub(crate) fn swallows(&self, event: &Event, random: &mut Random) -> Option<Action> {
        /// One update in so many is swallowed.
        const SWALLOWED: u64 = 50;
        let Event::Status(update) = event else { return None };
        let (uuid, agent) = (update.uuid.clone()?, update.agent.clone()?);
        let task = update.task.clone();
        let swallowed = self.is(Defect::UpdateSwallowed) && random.below(SWALLOWED) == 0;
        swallowed.then_some(Action::Acknowledge { task, agent, uuid })
    }

    /// Spoils what an engine is told.
    pub(crate) fn spoil_event(&self, event: &mut Event) {
        if let (true, Event::Offers(offers)) = (self.is(Defect::AttributesMixedUp), event) {
            for offer in offers {
                let values: Vec<String> =
                    offer.attributes.iter().map(|(_, value)| value.clone()).rev().collect();
                for ((_, value), other) in offer.attributes.iter_mut().zip(values) {
                    *value = other;
                }
            }
        }
    }

    /// Whether the engine never hears of this event.
    pub(crate) fn hides(&self, event: &Event) -> bool {
        self.is(Defect::RescindIgnored) && matches!(event, Event::Rescinded(_))
    }

    /// Whether an action leaves at once.
    pub(crate) fn hastens(&self, action: &Action) -> bool {
        match self.defect {
            Some(Defect::ActBeforeCommit) => true,
            Some(Defect::AcknowledgeBeforeCommit) => matches!(action, Action::Acknowledge { .. }),
            _ => false,
        }
    }

    /// Whether an action is not sent because it was sent before.
    pub(crate) fn drops(&mut self, action: &Action) -> bool {
        match action {
            Action::Kill { task, .. } if self.is(Defect::KillNotRepeated) => {
                !self.killed.insert(task.clone())
            }
            _ => false,
        }
    }
}
