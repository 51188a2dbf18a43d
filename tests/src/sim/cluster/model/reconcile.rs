//! Reconciliation: the state last told of what is known, and for the rest what the agent's standing
//! says. Answers carry no uuid. About an agent that has yet to register, a new master says nothing.

use shiftwork_engine::event::{StatusReason, TaskState};
use shiftwork_engine::ids::{AgentId, TaskId};

use super::Model;
use super::master::{MasterTask, Standing};
use crate::sim::env::Env;

impl Model {
    pub(super) fn reconcile(&mut self, mut tasks: Vec<(TaskId, AgentId)>, env: &mut Env) {
        if tasks.is_empty() {
            tasks = self.all_known();
        }
        for (task, agent) in tasks {
            if let Some(state) = self.state_of(&task, &agent) {
                self.tell_state(task, Some(agent), state, StatusReason::Reconciliation, env);
            }
        }
    }

    fn all_known(&self) -> Vec<(TaskId, AgentId)> {
        let slaves = self.master.slaves.iter();
        let registered = slaves.filter(|(_, slave)| slave.standing == Standing::Registered);
        registered
            .flat_map(|(agent, slave)| slave.tasks.keys().map(|task| (task.clone(), agent.clone())))
            .collect()
    }

    fn state_of(&self, task: &TaskId, agent: &AgentId) -> Option<TaskState> {
        let Some(slave) = self.master.slaves.get(agent) else { return Some(TaskState::Unknown) };
        match slave.standing {
            Standing::Registered => {
                let told = |task: &MasterTask| task.told.map_or(task.state, |(state, _)| state);
                Some(slave.tasks.get(task).map_or(TaskState::Gone, told))
            }
            Standing::Unreachable => Some(TaskState::Unreachable),
            Standing::Gone => Some(TaskState::GoneByOperator),
            Standing::Recovering => None,
        }
    }
}
