//! Messages between master and agents of different processes, to and from the wire. Anything that
//! is not whole is not taken: both ends are this program.

use shiftwork_proto::mesos::v1::{AgentInfo, TaskState};
use shiftwork_proto::offersim::v1::{FromAgent, ToAgent as WireToAgent, from_agent, to_agent};

use super::event::AgentSpec;
use super::id::{AgentId, ExecutorId, FrameworkId, TaskId};
use super::mail::{
    MissingTask, RegisteredExecutor, RegisteredTask, Registration, RunTask, ToAgent, ToMaster,
};
use super::resource_wire::{NEWEST, from_wire, to_wire};

// === to the wire ===

pub(super) fn from_agent(agent: &AgentId, message: ToMaster) -> FromAgent {
    use from_agent::Message;
    let message = match message {
        ToMaster::StatusUpdate { framework, status, latest_state } => {
            Message::StatusUpdate(from_agent::StatusUpdate {
                framework_id: framework.0,
                status: Some(*status),
                latest_state: latest_state.into(),
            })
        }
        ToMaster::ExitedExecutor { framework, executor, wait_status } => {
            Message::ExitedExecutor(from_agent::ExitedExecutor {
                framework_id: framework.0,
                executor_id: executor.0,
                wait_status,
            })
        }
        ToMaster::ExecutorMessage { framework, executor, data } => {
            Message::ExecutorMessage(from_agent::ExecutorMessage {
                framework_id: framework.0,
                executor_id: executor.0,
                data,
            })
        }
        ToMaster::Register(registration) => Message::Register(write_registration(*registration)),
    };
    FromAgent { agent_id: agent.0.clone(), message: Some(message) }
}

fn write_registration(registration: Registration) -> from_agent::Register {
    let Registration { spec, executors, tasks } = registration;
    let executor = |it: RegisteredExecutor| from_agent::Executor {
        framework: Some(it.framework),
        info: Some(it.info),
        resources: to_wire(&it.resources, NEWEST),
        is_command: it.is_command,
    };
    let task = |it: RegisteredTask| from_agent::Task {
        framework_id: it.framework.0,
        task_id: it.task.0,
        executor_id: it.executor.map(|id| id.0),
        resources: to_wire(&it.resources, NEWEST),
        state: it.state.into(),
        sent: it.sent.map(|status| *status),
        container: it.container,
        outlived: it.outlived,
    };
    let agent = AgentInfo {
        hostname: spec.hostname,
        port: Some(i32::from(spec.port)),
        resources: to_wire(&spec.resources, NEWEST),
        attributes: spec.attributes,
        id: Some((&spec.id).into()),
        domain: None,
    };
    from_agent::Register {
        agent: Some(agent),
        ip: spec.ip,
        executors: executors.into_iter().map(executor).collect(),
        tasks: tasks.into_iter().map(task).collect(),
    }
}

pub(super) fn to_agent(agent: &AgentId, message: ToAgent) -> WireToAgent {
    use to_agent::Message;
    let message = match message {
        ToAgent::RunTask(run) => Message::RunTask(to_agent::RunTask {
            framework: Some(run.framework),
            task: Some(run.task),
            executor: run.executor,
            resources: to_wire(&run.resources, NEWEST),
            executor_resources: to_wire(&run.executor_resources, NEWEST),
            launch_executor: run.launch_executor,
        }),
        ToAgent::KillTask { framework, task, policy } => Message::KillTask(to_agent::KillTask {
            framework_id: framework.0,
            task_id: task.0,
            policy,
        }),
        ToAgent::ShutdownExecutor { framework, executor } => {
            Message::ShutdownExecutor(to_agent::ShutdownExecutor {
                framework_id: framework.0,
                executor_id: executor.0,
            })
        }
        ToAgent::FrameworkMessage { framework, executor, data } => {
            Message::FrameworkMessage(to_agent::FrameworkMessage {
                framework_id: framework.0,
                executor_id: executor.0,
                data,
            })
        }
        ToAgent::Acknowledge { framework, task, uuid } => {
            Message::Acknowledge(to_agent::Acknowledge {
                framework_id: framework.0,
                task_id: task.0,
                uuid,
            })
        }
        ToAgent::FrameworkConnected { framework } => Message::FrameworkConnected(framework.0),
        ToAgent::ShutdownFramework { framework } => Message::ShutdownFramework(framework.0),
        ToAgent::Registered { missing } => {
            let missing = missing.into_iter().map(|it| to_agent::MissingTask {
                framework_id: it.framework.0,
                task_id: it.task.0,
                executor_id: it.executor.map(|id| id.0),
                state: it.state.into(),
            });
            Message::Registered(to_agent::Registered { missing: missing.collect() })
        }
        ToAgent::Shutdown => Message::Shutdown(to_agent::Shutdown {}),
    };
    WireToAgent { agent_id: agent.0.clone(), message: Some(message) }
}

// === from the wire ===

pub(super) fn read_from_agent(wire: FromAgent) -> Option<(AgentId, ToMaster)> {
    use from_agent::Message;
    let message = match wire.message? {
        Message::StatusUpdate(it) => ToMaster::StatusUpdate {
            framework: FrameworkId(it.framework_id),
            latest_state: TaskState::try_from(it.latest_state).ok()?,
            status: Box::new(it.status?),
        },
        Message::ExitedExecutor(it) => ToMaster::ExitedExecutor {
            framework: FrameworkId(it.framework_id),
            executor: ExecutorId(it.executor_id),
            wait_status: it.wait_status,
        },
        Message::ExecutorMessage(it) => ToMaster::ExecutorMessage {
            framework: FrameworkId(it.framework_id),
            executor: ExecutorId(it.executor_id),
            data: it.data,
        },
        Message::Register(it) => ToMaster::Register(Box::new(read_registration(it)?)),
    };
    Some((AgentId(wire.agent_id), message))
}

fn read_registration(wire: from_agent::Register) -> Option<Registration> {
    let agent = wire.agent?;
    let spec = AgentSpec {
        id: agent.id.as_ref().map(AgentId::from)?,
        hostname: agent.hostname,
        ip: wire.ip,
        port: u16::try_from(agent.port.unwrap_or_default()).ok()?,
        resources: from_wire(&agent.resources).ok()?,
        attributes: agent.attributes,
    };
    let executor = |it: from_agent::Executor| {
        Some(RegisteredExecutor {
            framework: it.framework?,
            info: it.info?,
            resources: from_wire(&it.resources).ok()?,
            is_command: it.is_command,
        })
    };
    let task = |it: from_agent::Task| {
        Some(RegisteredTask {
            framework: FrameworkId(it.framework_id),
            task: TaskId(it.task_id),
            executor: it.executor_id.map(ExecutorId),
            resources: from_wire(&it.resources).ok()?,
            state: TaskState::try_from(it.state).ok()?,
            sent: it.sent.map(Box::new),
            container: it.container,
            outlived: it.outlived,
        })
    };
    Some(Registration {
        spec,
        executors: wire.executors.into_iter().map(executor).collect::<Option<_>>()?,
        tasks: wire.tasks.into_iter().map(task).collect::<Option<_>>()?,
    })
}

pub(super) fn read_to_agent(wire: WireToAgent) -> Option<(AgentId, ToAgent)> {
    use to_agent::Message;
    let message = match wire.message? {
        Message::RunTask(it) => ToAgent::RunTask(Box::new(RunTask {
            framework: it.framework?,
            task: it.task?,
            executor: it.executor,
            resources: from_wire(&it.resources).ok()?,
            executor_resources: from_wire(&it.executor_resources).ok()?,
            launch_executor: it.launch_executor,
        })),
        Message::KillTask(it) => ToAgent::KillTask {
            framework: FrameworkId(it.framework_id),
            task: TaskId(it.task_id),
            policy: it.policy,
        },
        Message::ShutdownExecutor(it) => ToAgent::ShutdownExecutor {
            framework: FrameworkId(it.framework_id),
            executor: ExecutorId(it.executor_id),
        },
        Message::FrameworkMessage(it) => ToAgent::FrameworkMessage {
            framework: FrameworkId(it.framework_id),
            executor: ExecutorId(it.executor_id),
            data: it.data,
        },
        Message::Acknowledge(it) => ToAgent::Acknowledge {
            framework: FrameworkId(it.framework_id),
            task: TaskId(it.task_id),
            uuid: it.uuid,
        },
        Message::FrameworkConnected(id) => {
            ToAgent::FrameworkConnected { framework: FrameworkId(id) }
        }
        Message::ShutdownFramework(id) => ToAgent::ShutdownFramework { framework: FrameworkId(id) },
        Message::Registered(it) => {
            let missing = it.missing.into_iter().map(|it| {
                Some(MissingTask {
                    framework: FrameworkId(it.framework_id),
                    task: TaskId(it.task_id),
                    executor: it.executor_id.map(ExecutorId),
                    state: TaskState::try_from(it.state).ok()?,
                })
            });
            ToAgent::Registered { missing: missing.collect::<Option<_>>()? }
        }
        Message::Shutdown(_) => ToAgent::Shutdown,
    };
    Some((AgentId(wire.agent_id), message))
}
