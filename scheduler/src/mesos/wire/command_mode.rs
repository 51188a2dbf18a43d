//! Tasks that Mesos' own executor runs: how a script is written for it, and what its words say of the
//! end. Absent: which jobs run so (`document/executor.rs` of the engine).

use shiftwork_engine::document::{App, Work};
use shiftwork_engine::effect::Launch;
use shiftwork_engine::event::Outcome;
use shiftwork_executor::core::TaskSpec;
use shiftwork_executor::script;
use shiftwork_proto::mesos::v1 as mesos;
use shiftwork_proto::mesos::v1::{command_info, container_info, environment, image};

use super::WireError;

/// The shell that runs command lines, as an executor of ours does.
const SHELL: &str = "/bin/sh";

/// Packages with these endings are unpacked, anything else is a program (Elastic-Job-Cloud, chapter
/// 7.5, and Mesos' own fetcher).
const ARCHIVES: [&str; 9] =
    [".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".gz", ".tgz", ".tbz2", ".txz", ".zip"];

/// What a command that ended says, with its exit code behind it.
const EXITED: &str = "Command exited with status ";
/// What a command that a signal ended says, with strsignal(3)'s name behind it.
const TERMINATED: &str = "Command terminated with signal ";

/// The names strsignal(3) has in glibc for signals that end a process.
const SIGNAL_NAMES: [(&str, i32); 18] = [
    ("Hangup", 1),
    ("Interrupt", 2),
    ("Quit", 3),
    ("Illegal instruction", 4),
    ("Trace/breakpoint trap", 5),
    ("Aborted", 6),
    ("Bus error", 7),
    ("Floating point exception", 8),
    ("Killed", 9),
    ("User defined signal 1", 10),
    ("Segmentation fault", 11),
    ("User defined signal 2", 12),
    ("Broken pipe", 13),
    ("Alarm clock", 14),
    ("Terminated", 15),
    ("CPU time limit exceeded", 24),
    ("File size limit exceeded", 25),
    ("Bad system call", 31),
];

/// The command of a launch whose payload stands in the `data` of `task`. The sharding context is an
/// argument of its own: no shell reads it.
///
/// # Errors
/// When its payload could not be run by an executor of ours either.
pub(super) fn write_command(
    launch: &Launch,
    task: &mesos::TaskInfo,
) -> Result<mesos::CommandInfo, WireError> {
    let unfit = |problem: String| WireError::Command { job: launch.job.name.to_string(), problem };
    let Work::Script { command_line } = &launch.job.work else {
        return Err(unfit("it is no script".to_owned()));
    };
    let spec = TaskSpec::read(task).map_err(|error| unfit(error.to_string()))?;
    let app = &launch.executor.app;
    let mut variables = app.env.clone();
    variables.extend(script::variables(&spec, None));
    let variables = variables.into_iter().map(|(name, value)| environment::Variable {
        name,
        value: Some(value),
        ..environment::Variable::default()
    });
    let mut arguments = vec!["sh".to_owned()];
    arguments.extend(script::arguments(&spec, command_line, None));
    Ok(mesos::CommandInfo {
        uris: write_uris(app, &launch.job.uris),
        environment: Some(mesos::Environment { variables: variables.collect() }),
        shell: Some(false),
        value: Some(SHELL.to_owned()),
        arguments,
        user: launch.job.run_as.clone(),
    })
}

/// The container of a task that runs in an image of its own.
pub(super) fn write_container(image: &str) -> mesos::ContainerInfo {
    let docker = image::Docker { name: image.to_owned(), ..image::Docker::default() };
    let image = mesos::Image {
        r#type: image::Type::Docker as i32,
        docker: Some(docker),
        ..mesos::Image::default()
    };
    mesos::ContainerInfo {
        r#type: container_info::Type::Mesos as i32,
        mesos: Some(container_info::MesosInfo { image: Some(image) }),
        ..mesos::ContainerInfo::default()
    }
}

fn write_uris(app: &App, own: &[String]) -> Vec<command_info::Uri> {
    let package = Some(&app.app_url).filter(|url| !url.is_empty());
    let uri = |uri: &String| {
        let is_archive = ARCHIVES.iter().any(|ending| uri.ends_with(ending));
        command_info::Uri {
            value: uri.clone(),
            executable: Some(!is_archive),
            extract: Some(is_archive),
            cache: Some(app.app_cache_enable),
            ..command_info::Uri::default()
        }
    };
    package.into_iter().chain(&app.uris).chain(own).map(uri).collect()
}

/// How a command ended, from the only words Mesos' own executor has for it; it measures nothing.
pub(super) fn read_outcome(message: &str) -> Option<Outcome> {
    if let Some(code) = message.strip_prefix(EXITED) {
        let exit_code = Some(code.trim().parse().ok()?);
        return Some(Outcome { exit_code, ..Outcome::default() });
    }
    let name = message.strip_prefix(TERMINATED)?.trim();
    let signal = SIGNAL_NAMES.iter().find(|(known, _)| *known == name).map(|(_, signal)| *signal);
    Some(Outcome { signal: Some(signal?), ..Outcome::default() })
}
