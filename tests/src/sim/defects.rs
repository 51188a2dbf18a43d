//! Deliberate defects of the shell around the engine: each must be found, or the checks are worth
//! nothing. The engine itself is left alone.

use shiftwork_engine::Event;
use shiftwork_engine::effect::Action;
use shiftwork_engine::record::{Key, WatermarkRecord};
use shiftwork_schedule::Timestamp;

use super::scheduler::Step;

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
    /// Some of the first updates that a task is RUNNING or has ended are acknowledged unseen.
    UpdateSwallowed,
}

impl Defect {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::AcknowledgeBeforeCommit,
        Self::ActBeforeCommit,
        Self::ReplyBeforeCommit,
        Self::NoFence,
        Self::UnknownCountsAsDone,
        Self::WatermarkNotWritten,
        Self::WatermarkSetBack,
        Self::RunningRecordLost,
        Self::ReadyRecordKept,
        Self::AcceptTwice,
        Self::LaunchForgotten,
        Self::RescindIgnored,
        Self::KillNotRepeated,
        Self::UpdateSwallowed,
    ];

    /// Spoils what a step writes and wants. `count` is how many steps there were.
    pub(crate) fn spoil(self, step: &mut Step, count: u64) {
        /// Every so many steps a defect that comes now and then comes.
        const NOW_AND_THEN: u64 = 37;
        match self {
            Self::WatermarkNotWritten => step.writes.retain(|write| write.key != Key::Watermark),
            Self::RunningRecordLost if count.is_multiple_of(NOW_AND_THEN) => {
                step.writes.retain(|w| !matches!(w.key, Key::Running(_)) || w.value.is_none());
            }
            Self::ReadyRecordKept if count.is_multiple_of(NOW_AND_THEN) => {
                step.writes.retain(|w| !matches!(w.key, Key::Ready(..)) || w.value.is_some());
            }
            Self::LaunchForgotten => {
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
    pub(crate) fn spoil_records(self, records: &mut [(Key, Vec<u8>)]) {
        /// How far the watermark is put back.
        const BACK_MS: i64 = 600_000;
        if self != Self::WatermarkSetBack {
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

    /// Whether the engine never hears of this event.
    pub(crate) fn hides(self, event: &Event) -> bool {
        self == Self::RescindIgnored && matches!(event, Event::Rescinded(_))
    }

    /// Whether an action leaves at once.
    pub(crate) fn hastens(self, action: &Action) -> bool {
        match self {
            Self::ActBeforeCommit => true,
            Self::AcknowledgeBeforeCommit => matches!(action, Action::Acknowledge { .. }),
            _ => false,
        }
    }
}
