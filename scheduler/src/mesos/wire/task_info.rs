//! A launch -> `TaskInfo` with its `ExecutorInfo` and payloads. The `ExecutorInfo` is a function of
//! the executor alone: Mesos refuses tasks whose executor differs from the one that runs.

use bytes::Bytes;
use prost::Message as _;
use shiftwork_engine::document::{
    App, ClassStyle, Execution, Job, JobExecutor, Limits, MisfirePolicy, Work,
};
use shiftwork_engine::effect::{ExecutorLaunch, Launch};
use shiftwork_engine::ids::{AgentId, FrameworkId, ID_DELIMITER, TaskId};
use shiftwork_proto::mesos::v1 as mesos;
use shiftwork_proto::mesos::v1::{command_info, environment, executor_info};
use shiftwork_proto::shiftwork::v1 as payload;
use shiftwork_schedule::{Schedule, Timestamp};

use super::outgoing::{agent_id, executor_id, framework_id, kill_policy, task_id};
use super::{WireError, command_mode, resources};

/// Version of the meaning of both payloads, raised when an older executor would misread them.
const PAYLOAD_VERSION: u32 = 1;

/// Writes the task of one launch.
///
/// # Errors
/// When its resources or its schedule cannot be written.
pub(super) fn write_task_info(
    launch: &Launch,
    agent: &AgentId,
    framework: &FrameworkId,
) -> Result<mesos::TaskInfo, WireError> {
    let mut task = mesos::TaskInfo {
        name: task_name(&launch.task).to_owned(),
        task_id: task_id(&launch.task),
        agent_id: agent_id(agent),
        resources: resources::write_resources(&launch.resources)?,
        data: Some(write_task_payload(launch)?.encode_to_vec().into()),
        ..mesos::TaskInfo::default()
    };
    match launch.job.executor {
        JobExecutor::App => task.executor = Some(write_executor_info(&launch.executor, framework)?),
        JobExecutor::Command => {
            task.command = Some(command_mode::write_command(launch, &task)?);
            task.container = launch.job.image.as_deref().map(command_mode::write_container);
            task.kill_policy = Some(kill_policy(launch.job.kill_grace_period_ms));
            // It is for executors of ours; Mesos' own has its command.
            task.data = None;
        }
    }
    Ok(task)
}

/// `{job}@-@{item}@-@{type}@-@{agent}`: the task's id without the part that makes it unique
/// (Elastic-Job-Cloud, chapter 7.4).
fn task_name(task: &TaskId) -> &str {
    let id = task.as_str();
    id.rsplit_once(ID_DELIMITER).map_or(id, |(name, _)| name)
}

fn write_executor_info(
    executor: &ExecutorLaunch,
    framework: &FrameworkId,
) -> Result<mesos::ExecutorInfo, WireError> {
    let app = &executor.app;
    let data = payload::ExecutorPayload {
        version: PAYLOAD_VERSION,
        app: app.name.to_string(),
        idle_timeout_ms: app.idle_timeout_ms,
    };
    Ok(mesos::ExecutorInfo {
        r#type: Some(executor_info::Type::Custom as i32),
        executor_id: executor_id(&executor.id),
        framework_id: Some(framework_id(framework)),
        command: Some(write_command(app)),
        resources: resources::write_resources(&executor.resources)?,
        data: Some(Bytes::from(data.encode_to_vec())),
        ..mesos::ExecutorInfo::default()
    })
}

fn write_command(app: &App) -> mesos::CommandInfo {
    let package = Some(&app.app_url).filter(|url| !url.is_empty());
    let uris = package
        .into_iter()
        .chain(&app.uris)
        .map(|uri| command_info::Uri {
            value: uri.clone(),
            extract: Some(true),
            cache: Some(app.app_cache_enable),
            ..command_info::Uri::default()
        })
        .collect();
    let variables: Vec<environment::Variable> = app
        .env
        .iter()
        .map(|(name, value)| environment::Variable {
            name: name.clone(),
            value: Some(value.clone()),
            ..environment::Variable::default()
        })
        .collect();
    mesos::CommandInfo {
        uris,
        environment: (!variables.is_empty()).then_some(mesos::Environment { variables }),
        shell: Some(true),
        value: Some(app.bootstrap_script.clone()),
        ..mesos::CommandInfo::default()
    }
}

fn write_task_payload(launch: &Launch) -> Result<payload::TaskPayload, WireError> {
    let job = &launch.job;
    let (execution_type, schedule) = match job.execution {
        Execution::Transient => (payload::ExecutionType::Transient, None),
        Execution::Daemon => (payload::ExecutionType::Daemon, Some(write_schedule(job)?)),
    };
    Ok(payload::TaskPayload {
        version: PAYLOAD_VERSION,
        app: launch.executor.app.name.to_string(),
        job: job.name.to_string(),
        run_id: launch.run.to_string(),
        logical_time_ms: launch.logical_time.as_millis(),
        attempt: launch.attempt,
        item: launch.item,
        sharding_total_count: job.sharding_total_count,
        sharding_parameter: launch.sharding_parameter.clone(),
        job_parameter: launch.job_parameter.clone(),
        execution_type: execution_type as i32,
        schedule,
        env: launch.env.clone(),
        kill_grace_period_ms: job.kill_grace_period_ms,
        timeout_ms: job.timeout_ms.unwrap_or(0),
        event_sampling_count: launch.executor.app.event_trace_sampling_count,
        ports: resources::port_numbers(&launch.resources),
        run_as: job.run_as.clone().unwrap_or_default(),
        limits: job.limits.map(write_limits),
        work: Some(write_work(job)),
    })
}

fn write_limits(limits: Limits) -> payload::Limits {
    payload::Limits {
        open_files: limits.open_files,
        file_size_mb: limits.file_size_mb,
        virtual_memory_mb: limits.virtual_memory_mb,
        cpu_time_s: limits.cpu_time_s,
        core_mb: limits.core_mb,
    }
}

fn write_work(job: &Job) -> payload::task_payload::Work {
    use payload::task_payload::Work as Wire;
    match &job.work {
        Work::Script { command_line } => Wire::Script(payload::Script {
            command_line: command_line.clone(),
            no_context_argument: !job.context_argument,
        }),
        Work::Http(http) => Wire::Http(payload::Http {
            uri: http.uri.clone(),
            method: http.method.clone(),
            headers: http.headers.clone(),
            body: http.body.clone(),
            connect_timeout_ms: http.connect_timeout_ms.unwrap_or(0),
            read_timeout_ms: http.read_timeout_ms.unwrap_or(0),
            success: http.success.iter().map(|&(first, last)| status_range(first, last)).collect(),
        }),
        Work::Class { name, style } => Wire::JobClass(payload::JobClass {
            name: name.clone(),
            dataflow: matches!(style, ClassStyle::Dataflow { .. }),
            streaming: matches!(style, ClassStyle::Dataflow { streaming: true }),
        }),
    }
}

fn status_range(first: u16, last: u16) -> payload::StatusRange {
    payload::StatusRange { first: first.into(), last: last.into() }
}

/// The schedule by which an executor fires the shard of a DAEMON job itself.
fn write_schedule(job: &Job) -> Result<payload::Schedule, WireError> {
    let bounded = job.schedule.as_ref();
    let common = payload::Schedule {
        misfire: job.misfire.policy != MisfirePolicy::Skip,
        start_after_ms: bounded.and_then(|bounded| bounded.start_after).map(Timestamp::as_millis),
        end_before_ms: bounded.and_then(|bounded| bounded.end_before).map(Timestamp::as_millis),
        ..payload::Schedule::default()
    };
    match bounded.map(|bounded| &bounded.schedule) {
        Some(Schedule::Cron { cron, zone }) => Ok(payload::Schedule {
            cron: cron.expression().to_owned(),
            time_zone: zone.name().to_owned(),
            ..common
        }),
        Some(Schedule::Every(interval)) => Ok(payload::Schedule {
            every_ms: interval.period_ms,
            start_at_ms: interval.start_at.as_millis(),
            count: interval.count.unwrap_or(0),
            ..common
        }),
        Some(Schedule::At(_)) | None => Err(WireError::Schedule { job: job.name.to_string() }),
    }
}
