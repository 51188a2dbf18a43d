//! Which executor runs the shards of a job. Absent: what any of them does.

use super::reader::Reader;
use super::{Execution, Work};

/// Which executor runs the shards of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum JobExecutor {
    /// The app's: one on each agent, shared by all tasks of the app there.
    #[default]
    App,
    /// The one Mesos brings along, one for each task (Elastic-Job-Cloud 2.x ran TRANSIENT scripts so).
    /// It knows neither schedules nor requests nor registered jobs, and measures nothing.
    Command,
}

/// Reads `executor`, and refuses what Mesos' own executor cannot do.
pub(super) fn read_executor(
    reader: &mut Reader,
    work: Option<&Work>,
    execution: Option<Execution>,
) -> JobExecutor {
    const FIELD: &str = "executor";
    match reader.string(FIELD).as_deref() {
        None | Some("app") => return JobExecutor::App,
        Some("command") => {}
        Some(other) => {
            reader.error(FIELD, format!("must be app or command, is {other:?}"));
            return JobExecutor::App;
        }
    }
    if execution == Some(Execution::Daemon) {
        reader.error(FIELD, "command is for TRANSIENT jobs: a DAEMON fires in its app's executor");
    }
    if work.is_some_and(|work| !matches!(work, Work::Script { .. })) {
        reader.error(
            FIELD,
            "command is for scripts: requests and registered jobs need their app's executor",
        );
    }
    JobExecutor::Command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{FieldError, Job, Strictness};

    fn read(extra: &str) -> Result<JobExecutor, Vec<FieldError>> {
        let text = format!(
            r#"{{"jobName":"foo","appName":"app","shardingTotalCount":3,"cpuCount":0.1,"memoryMB":64,{extra}}}"#
        );
        let zone = shiftwork_schedule::Zone::utc();
        Job::parse(text.as_bytes(), Strictness::Request, &zone).map(|job| job.executor)
    }

    #[test]
    fn transient_scripts_may_run_in_mesos_own_executor_and_nothing_else_may() {
        let script = r#""jobExecutionType":"TRANSIENT","scriptCommandLine":"true""#;
        assert_eq!(read(script), Ok(JobExecutor::App));
        assert_eq!(read(&format!(r#"{script},"executor":"app""#)), Ok(JobExecutor::App));
        assert_eq!(read(&format!(r#"{script},"executor":"command""#)), Ok(JobExecutor::Command));
        for refused in [
            &format!(r#"{script},"executor":"docker""#),
            r#""jobExecutionType":"DAEMON","cron":"0 0 * * * ?","scriptCommandLine":"true","executor":"command""#,
            r#""jobExecutionType":"TRANSIENT","http":{"uri":"http://h/"},"executor":"command""#,
            r#""jobExecutionType":"TRANSIENT","jobType":"SIMPLE","jobClass":"w","executor":"command""#,
        ] {
            let fields: Vec<String> =
                read(refused).unwrap_err().into_iter().map(|error| error.field).collect();
            assert_eq!(fields, ["executor"], "{refused}");
        }
    }
}
