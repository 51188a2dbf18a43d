//! From a shard in memory to its view. Absent: the shape of the view (`view.rs`).

use crate::ids::AgentId;
use crate::record::{Phase, Shard};
use crate::view::{ShardState, ShardView};

impl ShardView {
    pub(crate) fn pending(item: u32) -> Self {
        Self {
            item,
            state: ShardState::Pending,
            task_id: None,
            agent: None,
            executor_generation: 1,
            attempt: 0,
            exit_code: None,
            signal: None,
            http_status: None,
            usage: None,
            stdout_tail: None,
            stderr_tail: None,
            message: None,
        }
    }

    pub(crate) fn of(shard: &Shard) -> Self {
        // The agent of an ended task is still of interest; it stands in the task's id.
        let agent = shard.phase.agent().cloned().or_else(|| {
            let task = shard.task_id.as_ref()?;
            task.as_str().split(crate::ids::ID_DELIMITER).nth(3).map(AgentId::new)
        });
        Self {
            item: shard.item,
            state: shard.phase.state(),
            task_id: shard.task_id.clone(),
            agent,
            executor_generation: shard.executor_generation,
            attempt: shard.attempt,
            exit_code: shard.exit_code,
            signal: shard.signal,
            http_status: shard.http_status,
            usage: shard.usage,
            stdout_tail: shard.stdout_tail.clone(),
            stderr_tail: shard.stderr_tail.clone(),
            message: shard.message.clone(),
        }
    }

    /// The state of the shard's live task, for the running queue.
    pub(crate) fn state_of(phase: &Phase) -> ShardState {
        phase.state()
    }
}
