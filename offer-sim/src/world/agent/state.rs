//! What an agent runs, for `/state`. Changes nothing.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shiftwork_proto::mesos::v1::ExecutorInfo;

use super::super::id::{ContainerId, FrameworkId};
use super::super::resources::Resources;
use super::super::state::{describe, role_of};
use super::Agent;
use super::executor::{Executor, Phase};

// === impl Agent ===

impl Agent {
    /// Frameworks with the executors they have here.
    pub(in super::super) fn frameworks_state(
        &self,
        directory: &dyn Fn(&ExecutorInfo, &ContainerId) -> String,
    ) -> Value {
        let mut frameworks: BTreeMap<&FrameworkId, Vec<&Executor>> = BTreeMap::new();
        let alive = |executor: &&Executor| !matches!(executor.phase, Phase::Terminated);
        for ((framework, _), executor) in &self.executors {
            let executors = frameworks.entry(framework).or_default();
            executors.extend(Some(executor).filter(alive));
        }
        let described = frameworks.into_iter().map(|(id, executors)| {
            let info = executors.first().map(|executor| &executor.framework);
            let list = executors.iter().map(|executor| {
                let place = directory(&executor.info, &executor.container);
                self.executor_state(id, executor, &place)
            });
            json!({
                "id": id.0,
                "name": info.map_or("", |info| info.name.as_str()),
                "user": info.map_or("", |info| info.user.as_str()),
                "executors": list.collect::<Vec<_>>(),
                "completed_executors": [],
            })
        });
        described.collect()
    }

    fn executor_state(&self, framework: &FrameworkId, executor: &Executor, place: &str) -> Value {
        let id = &executor.info.executor_id.value;
        let mut held: Resources = executor.resources.clone();
        executor.tasks.values().for_each(|task| held.add(&task.resources));
        let describe_tasks = |queued: bool| -> Vec<Value> {
            let tasks = executor.tasks.iter().filter(|(_, task)| task.queued.is_some() == queued);
            let described = tasks.map(|(task_id, task)| {
                json!({
                    "id": task_id.0,
                    "framework_id": framework.0,
                    "executor_id": if executor.is_command { "" } else { id },
                    "slave_id": self.spec.id.0,
                    "state": task.state.as_str_name(),
                    "resources": describe(&task.resources),
                    "role": role_of(&task.resources),
                })
            });
            described.collect()
        };
        json!({
            "id": id,
            "name": executor.info.name(),
            "source": "",
            "container": executor.container.0,
            "directory": place,
            "type": "CUSTOM",
            "resources": describe(&held),
            "role": role_of(&held),
            "tasks": describe_tasks(false),
            "queued_tasks": describe_tasks(true),
            "completed_tasks": [],
        })
    }
}
