//! The kill of a task is repeated until the task has ended.

use std::collections::BTreeMap;

use shiftwork_engine::Settings;
use shiftwork_engine::effect::Action;
use shiftwork_engine::ids::TaskId;

use super::mind::Mind;
use crate::sim::env::Process;

/// Lateness that is nobody's fault: a turn that waits for a slow commit.
const SLACK_MS: i64 = 20_000;

/// The last kill of each task that is to end.
#[derive(Debug, Default)]
pub(super) struct Kills {
    process: Option<Process>,
    sent: BTreeMap<TaskId, Sent>,
}

#[derive(Debug)]
struct Sent {
    /// In the engine's time.
    at: i64,
    grace_ms: i64,
    /// It was overdue at the last look already.
    overdue: bool,
}

impl Kills {
    pub(super) fn on_sent(&mut self, process: Process, mind: &Mind, action: &Action) {
        if self.process != Some(process) {
            self.process = Some(process);
            self.sent.clear();
        }
        if let Action::Kill { task, grace_ms, .. } = action {
            let sent = Sent { at: mind.now, grace_ms: *grace_ms as i64, overdue: false };
            self.sent.insert(task.clone(), sent);
        }
    }

    pub(super) fn on_pulse(
        &mut self,
        process: Process,
        mind: &Mind,
        now: i64,
        settings: &Settings,
    ) -> Result<(), String> {
        // While its clock is behind, the engine's time stands still.
        let Some(subscribed_at) = mind.subscribed_at else { return Ok(()) };
        if self.process != Some(process) || now < mind.now {
            return Ok(());
        }
        let live = |task: &TaskId| mind.shards.values().any(|other| other == task);
        self.sent.retain(|task, _| live(task));
        for (task, sent) in &mut self.sent {
            let waited = now - sent.at.max(subscribed_at);
            let overdue = waited > sent.grace_ms + settings.kill_retry_ms as i64 + SLACK_MS;
            if overdue && sent.overdue {
                return Err(format!("{task} was told to end {waited} ms ago and not again since"));
            }
            sent.overdue = overdue;
        }
        Ok(())
    }
}
