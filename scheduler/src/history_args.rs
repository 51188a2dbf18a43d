//! Where the history is kept and for how long, on the command line and in the environment. Absent:
//! opening it.

use std::time::Duration;

use clap::Args;
use shiftwork_schedule::parse_duration;

use crate::app::HistoryConfig;
use crate::trace::{HistoryTarget, Retention};

/// The history's options.
#[derive(Debug, Clone, Args)]
pub struct HistoryArgs {
    /// Database of the history: `sqlite:FILE`, `postgres://USER@HOST/DATABASE` or
    /// `mysql://USER@HOST/DATABASE`, shared by all schedulers that name it; a password belongs into
    /// the environment, where other users do not see it (default: a file in the data directory)
    #[allow(clippy::doc_markdown, reason = "the command line shows it as it is")]
    #[arg(long, env = "SHIFTWORK_HISTORY", hide_env_values = true, value_name = "URL")]
    history: Option<HistoryTarget>,
    /// Forget runs that ended longer ago than this
    #[arg(long, env = "SHIFTWORK_HISTORY_MAX_AGE", default_value = "30d",
        value_name = "DURATION", value_parser = duration)]
    history_max_age: Duration,
    /// Forget the oldest runs that ended where there are more than this
    #[arg(long, env = "SHIFTWORK_HISTORY_MAX_RUNS", default_value = "1000000",
        value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    history_max_runs: u64,
    /// Forget who changed what longer ago than this
    #[arg(long, env = "SHIFTWORK_AUDIT_LOG_MAX_AGE", default_value = "365d",
        value_name = "DURATION", value_parser = duration)]
    audit_log_max_age: Duration,
    /// Compare what was due with what ran this often, alarming on a firing missed or doubled; off
    /// for never
    #[arg(long, env = "SHIFTWORK_AUDIT_INTERVAL", default_value = "5m", value_name = "DURATION",
        value_parser = interval)]
    audit_interval: Interval,
}

/// How often, or never.
#[derive(Debug, Clone, Copy)]
struct Interval(Option<Duration>);

fn interval(text: &str) -> Result<Interval, String> {
    if text == "off" {
        Ok(Interval(None))
    } else {
        duration(text).map(|every| Interval(Some(every)))
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(0) => Err("must be longer than nothing".to_owned()),
        Ok(millis) => Ok(Duration::from_millis(millis)),
        Err(error) => Err(error.to_string()),
    }
}

impl HistoryArgs {
    /// How often to audit; none for never.
    pub fn audit_every(&self) -> Option<Duration> {
        self.audit_interval.0
    }

    /// As the scheduler takes them.
    pub fn config(&self) -> HistoryConfig {
        let retention = Retention {
            age_max: self.history_max_age,
            runs_max: self.history_max_runs,
            audit_log_age_max: self.audit_log_max_age,
        };
        HistoryConfig { target: self.history.clone(), retention }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        history: HistoryArgs,
    }

    #[test]
    fn the_defaults_are_the_historys() {
        let line = Line::try_parse_from(["x"]).unwrap();
        let config = line.history.config();
        assert!(config.target.is_none());
        assert_eq!(config.retention, Retention::default());
    }

    #[test]
    fn a_database_that_is_not_spoken_is_refused_with_those_that_are() {
        let error = Line::try_parse_from(["x", "--history", "oracle://u:secret@h/d"]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("postgres://"), "{text}");
    }
}
