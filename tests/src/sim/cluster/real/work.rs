//! How the work of a world behaves: what is planned for the executors and tasks of offer-sim, by the
//! habits of this world and by what a task's payload says of it.

use bytes::Bytes;
use offer_sim::world::{ExecutorPlan, Reports, StartExecutor, TaskPlan, Work};
use prost::Message as _;
use shiftwork_proto::mesos::v1::TaskInfo;
use shiftwork_proto::shiftwork::v1::{ExecutionType, TaskOutcome, TaskPayload};

use super::super::{DAEMON_LIFE_MS, EXIT_CODES, FIRING_MS, Habits};
use crate::random::Random;

/// Plans by habits and chance.
#[derive(Debug)]
pub(super) struct Habitual {
    habits: Habits,
    random: Random,
}

// === impl Habitual ===

impl Habitual {
    pub(super) fn new(habits: Habits, random: Random) -> Self {
        Self { habits, random }
    }

    fn between(&mut self, low: i64, high: i64) -> u64 {
        self.random.between(low, high).unsigned_abs()
    }

    fn waiting(&mut self, mean_ms: f64) -> u64 {
        self.random.waiting_ms(mean_ms).unsigned_abs()
    }
}

impl Work for Habitual {
    fn executor(&mut self, _start: &StartExecutor) -> ExecutorPlan {
        ExecutorPlan {
            up_after_ms: Some(self.between(200, 3_000)),
            crash_after_ms: None,
            idle_ms: Some(self.habits.idle_ms.unsigned_abs()),
            leave_after_ms: self.between(10, 500),
        }
    }

    fn task(&mut self, task: &TaskInfo) -> TaskPlan {
        let payload = task.data.clone().and_then(|data| TaskPayload::decode(data).ok());
        let daemon = payload.is_some_and(|it| it.execution_type() == ExecutionType::Daemon);
        let stuck = self.random.chance(self.habits.stuck);
        let fails = self.random.chance(self.habits.failing);
        let exit_code = if fails { *self.random.pick(&EXIT_CODES) } else { 0 };
        let lasts_ms = if daemon {
            self.waiting(DAEMON_LIFE_MS)
        } else {
            let mean = self.habits.work_mean_ms;
            self.waiting(mean).min(20 * mean as u64)
        };
        let reports = daemon.then(|| Reports {
            every_ms: self.waiting(FIRING_MS),
            messages: vec!["BEGIN", "COMPLETE"],
        });
        let outcome = TaskOutcome {
            version: 1,
            exit_code: Some(exit_code),
            duration_ms: lasts_ms,
            ..TaskOutcome::default()
        };
        TaskPlan {
            says_starting: self.random.chance(0.5),
            run_after_ms: Some(self.between(1, 200)).filter(|_| !stuck),
            end_after_ms: Some(lasts_ms),
            fails,
            data: Some(Bytes::from(outcome.encode_to_vec())),
            reports,
            says_killing: self.random.chance(0.5),
            // The grace of the kill is a bound of its own.
            kill_after_ms: self.between(1, 5_000),
        }
    }
}
