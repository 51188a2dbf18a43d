//! What makes a task invalid, in the order and the words of a real master. Changes nothing.

use shiftwork_proto::json;
use shiftwork_proto::mesos::v1::{ExecutorInfo, TaskInfo, executor_info};

use super::super::id::{AgentId, ExecutorId, FrameworkId, TaskId};
use super::super::resource_wire::from_wire;
use super::super::resources::Resources;
use super::Master;
use super::framework::Framework;

/// Longest id, as a file name has to hold it.
const ID_LEN_MAX: usize = 255;

/// The offers of one ACCEPT, as far as tasks have not taken from them.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) agent: AgentId,
    pub(super) role: String,
    pub(super) rest: Resources,
}

/// A valid task, with what it takes.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) task_resources: Resources,
    /// Filled in with framework and type; `None` for a task with a command of its own.
    pub(super) executor: Option<ExecutorInfo>,
    /// What the executor takes, when it does not run yet.
    pub(super) new_executor: Option<Resources>,
}

// === impl Master ===

impl Master {
    /// Whether a task can be launched out of what is left of its offers.
    pub(super) fn validate(
        &self,
        id: &FrameworkId,
        offered: &Offered,
        task: &TaskInfo,
    ) -> Result<Launch, String> {
        let framework = self.frameworks.get(id).ok_or("Framework cannot be found")?;
        self.validate_ids(id, offered, task)?;
        let task_resources = read_resources(framework, offered, &task.resources)
            .map_err(|error| format!("Task uses invalid resources: {error}"))?;
        if task_resources.is_empty() {
            return Err("Task uses no resources".to_owned());
        }
        let (executor, new_executor) = match (&task.executor, &task.command) {
            (Some(info), None) => {
                let info = complete(id, info)?;
                let new = self.validate_executor(id, framework, offered, &info)?;
                (Some(info), new)
            }
            (None, Some(_)) => (None, None),
            _ => {
                return Err("Task should have at least one (but not both) of CommandInfo or \
                            ExecutorInfo present"
                    .to_owned());
            }
        };
        let mut required = task_resources.clone();
        if let Some(resources) = &new_executor {
            required.add(resources);
        }
        if !offered.rest.contains(&required) {
            return Err(format!(
                "Total resources {required} required by task and its executor is more than \
                 available {}",
                offered.rest
            ));
        }
        Ok(Launch { task_resources, executor, new_executor })
    }

    fn validate_ids(
        &self,
        framework: &FrameworkId,
        offered: &Offered,
        task: &TaskInfo,
    ) -> Result<(), String> {
        let task_id = TaskId::from(&task.task_id);
        check_id(&task_id.0).map_err(|error| format!("TaskID '{task_id}' is invalid: {error}"))?;
        if self.tasks.contains_key(&(framework.clone(), task_id.clone())) {
            return Err(format!("Task has duplicate ID: {task_id}"));
        }
        let agent = AgentId::from(&task.agent_id);
        if agent != offered.agent {
            return Err(format!(
                "Task uses invalid agent {agent} while agent {} is expected",
                offered.agent
            ));
        }
        Ok(())
    }

    /// The resources that a new executor takes; `None` when the same one runs already.
    fn validate_executor(
        &self,
        id: &FrameworkId,
        framework: &Framework,
        offered: &Offered,
        info: &ExecutorInfo,
    ) -> Result<Option<Resources>, String> {
        let executor_id = ExecutorId::from(&info.executor_id);
        check_id(&executor_id.0)
            .map_err(|error| format!("ExecutorID '{executor_id}' is invalid: {error}"))?;
        let resources = read_resources(framework, offered, &info.resources)
            .map_err(|error| format!("Executor uses invalid resources: {error}"))?;
        let agent = self.agents.get(&offered.agent);
        let running = agent.and_then(|agent| agent.executors.get(&(id.clone(), executor_id)));
        match running {
            None => Ok(Some(resources)),
            Some(running) if is_compatible(running, info, &resources) => Ok(None),
            Some(running) => Err(incompatible(&running.info, info)),
        }
    }
}

/// Reads resources as the framework must write them; one that knows nothing of allocation takes
/// all it uses out of the role of its offer.
fn read_resources(
    framework: &Framework,
    offered: &Offered,
    list: &[shiftwork_proto::mesos::v1::Resource],
) -> Result<Resources, String> {
    let resources = from_wire(list).map_err(|error| error.to_string())?;
    let knows = framework.wire_form().allocation_info;
    Ok(if knows { resources } else { resources.allocated_to(Some(&offered.role)) })
}

/// An executor as it runs: with its framework and its type.
fn complete(framework: &FrameworkId, info: &ExecutorInfo) -> Result<ExecutorInfo, String> {
    let mut info = info.clone();
    if let Some(named) = info.framework_id.as_ref().map(FrameworkId::from)
        && named != *framework
    {
        return Err(format!(
            "ExecutorInfo has an invalid FrameworkID (Actual: {named} vs Expected: {framework})"
        ));
    }
    match info.r#type() {
        executor_info::Type::Default => {
            return Err("executors of type DEFAULT are not simulated".to_owned());
        }
        executor_info::Type::Custom | executor_info::Type::Unknown => {}
    }
    if info.command.is_none() {
        return Err("'ExecutorInfo.command' must be set for 'CUSTOM' executor".to_owned());
    }
    info.set_type(executor_info::Type::Custom);
    info.framework_id = Some(framework.into());
    Ok(info)
}

/// Whether an executor is the one that runs: the same in all, its resources in any order.
fn is_compatible(
    running: &super::RunningExecutor,
    info: &ExecutorInfo,
    resources: &Resources,
) -> bool {
    let without = |info: &ExecutorInfo| ExecutorInfo { resources: Vec::new(), ..info.clone() };
    running.resources == *resources && without(&running.info) == without(info)
}

fn incompatible(existing: &ExecutorInfo, info: &ExecutorInfo) -> String {
    const LINE: &str = "------------------------------------------------------------";
    let text = |info: &ExecutorInfo| {
        json::to_json("mesos.v1.ExecutorInfo", info).unwrap_or_else(|error| error.to_string())
    };
    format!(
        "ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.\n\
         {LINE}\nExisting ExecutorInfo:\n{}\n{LINE}\nExecutorInfo:\n{}\n{LINE}\n",
        text(existing),
        text(info)
    )
}

/// Ids become file names: they may not be empty, too long, a path, or unprintable.
fn check_id(id: &str) -> Result<(), &'static str> {
    if id.is_empty() {
        Err("ID must not be empty")
    } else if id.len() > ID_LEN_MAX {
        Err("ID must not be greater than 255 characters")
    } else if id == "." || id == ".." {
        Err("'.' and '..' are disallowed")
    } else if id.contains(|letter: char| letter.is_control() || letter == '/' || letter == '\\') {
        Err("ID contains invalid characters")
    } else {
        Ok(())
    }
}
