//! The environment of an executor: what a real agent sets, what the command asks for, and a PATH.
//! Nothing else of this process is passed on.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Shared;
use crate::world::StartExecutor;

/// PATH when this process has none.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Longest pause between two attempts of an executor to subscribe, as a real agent tells it.
const SUBSCRIPTION_BACKOFF_MAX: &str = "2secs";
/// How long an executor may wait for its agent; told by every agent though this one never returns.
const RECOVERY_TIMEOUT: &str = "15mins";

/// Everything that the executor's process has in its environment.
pub(super) fn environment(
    shared: &Shared,
    start: &StartExecutor,
    sandbox: &Path,
) -> BTreeMap<OsString, OsString> {
    let mut variables: BTreeMap<OsString, OsString> = BTreeMap::new();
    variables.insert("PATH".into(), path(&shared.extra_path));
    let command = start.executor.command.as_ref();
    let asked = command.and_then(|command| command.environment.as_ref());
    for variable in asked.into_iter().flat_map(|environment| &environment.variables) {
        if let Some(value) = &variable.value {
            variables.insert(variable.name.clone().into(), value.into());
        }
    }
    let framework = start.framework.id.as_ref().map_or("", |id| id.value.as_str());
    let address = shared.address;
    for (name, value) in [
        ("LIBPROCESS_IP", address.ip().to_string()),
        ("LIBPROCESS_PORT", "0".to_owned()),
        ("MESOS_AGENT_ENDPOINT", address.to_string()),
        // This agent does not outlive its process, so neither should its executors.
        ("MESOS_CHECKPOINT", "0".to_owned()),
        ("MESOS_EXECUTOR_ID", start.executor.executor_id.value.clone()),
        ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", duration_text(shared.shutdown_grace)),
        ("MESOS_FRAMEWORK_ID", framework.to_owned()),
        ("MESOS_HTTP_COMMAND_EXECUTOR", "0".to_owned()),
        ("MESOS_RECOVERY_TIMEOUT", RECOVERY_TIMEOUT.to_owned()),
        ("MESOS_SLAVE_ID", start.agent.0.clone()),
        ("MESOS_SLAVE_PID", format!("slave(1)@{address}")),
        ("MESOS_SUBSCRIPTION_BACKOFF_MAX", SUBSCRIPTION_BACKOFF_MAX.to_owned()),
    ] {
        variables.insert(name.into(), value.into());
    }
    variables.insert("MESOS_DIRECTORY".into(), sandbox.into());
    variables.insert("MESOS_SANDBOX".into(), sandbox.into());
    variables
}

/// This process's PATH behind the extra directories.
fn path(extra: &[PathBuf]) -> OsString {
    let inherited = std::env::var_os("PATH").unwrap_or_else(|| PATH_DEFAULT.into());
    let directories = extra.iter().cloned().chain(std::env::split_paths(&inherited));
    // A directory with a colon in its name cannot be in a PATH; then there are no extra ones.
    std::env::join_paths(directories).unwrap_or(inherited)
}

/// A duration as agents write it: `5secs`, `500ms`.
fn duration_text(duration: Duration) -> String {
    let ms = duration.as_millis();
    if ms.is_multiple_of(1000) { format!("{}secs", ms / 1000) } else { format!("{ms}ms") }
}
