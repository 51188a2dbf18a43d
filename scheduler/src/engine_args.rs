//! The engine's settings on the command line and in the environment. Absent: what they mean to it;
//! `shiftwork_engine::Settings` says.

use clap::Args;
use shiftwork_engine::Settings;
use shiftwork_schedule::{Zone, parse_duration};

/// When the engine does what; durations as 10s, 5m, 1h30m.
#[derive(Debug, Clone, Args)]
pub struct EngineArgs {
    /// Try placement at least this often
    #[arg(long, env = "SHIFTWORK_LAUNCH_INTERVAL", default_value = "10s", value_name = "DURATION",
        value_parser = duration)]
    launch_interval: u64,
    /// Give offers back after this long while nothing waits
    #[arg(long, env = "SHIFTWORK_OFFER_HOLD", default_value = "5s", value_name = "DURATION",
        value_parser = duration)]
    offer_hold: u64,
    /// Kill and place elsewhere a task that does not run after this long
    #[arg(long, env = "SHIFTWORK_LAUNCH_TIMEOUT", default_value = "5m", value_name = "DURATION",
        value_parser = duration)]
    launch_timeout: u64,
    /// Count a task on an unreachable agent as lost after this long
    #[arg(long, env = "SHIFTWORK_UNREACHABLE_TIMEOUT", default_value = "60s",
        value_name = "DURATION", value_parser = duration)]
    unreachable_timeout: u64,
    /// Count a task the master does not answer about as lost after this long
    #[arg(long, env = "SHIFTWORK_RECONCILE_GRACE", default_value = "5m", value_name = "DURATION",
        value_parser = duration)]
    reconcile_grace: u64,
    /// Ask the master about every task this often
    #[arg(long, env = "SHIFTWORK_RECONCILE_INTERVAL", default_value = "10m",
        value_name = "DURATION", value_parser = duration)]
    reconcile_interval: u64,
    /// Hold offers back for a run that has waited this long
    #[arg(long, env = "SHIFTWORK_RESERVE_AFTER", default_value = "30s", value_name = "DURATION",
        value_parser = duration)]
    reserve_after: u64,
    /// So long before an agent goes away for maintenance, place on it only what will have ended by then
    #[arg(long, env = "SHIFTWORK_MAINTENANCE_HORIZON", default_value = "1h", value_name = "DURATION",
        value_parser = duration)]
    maintenance_horizon: u64,
    /// Time zone of jobs that name none
    #[arg(long, env = "SHIFTWORK_TIME_ZONE", default_value = "UTC", value_name = "ZONE",
        value_parser = zone)]
    time_zone: Zone,
}

/// Milliseconds; nothing at all would make the engine do one thing without end.
fn duration(text: &str) -> Result<u64, String> {
    match parse_duration(text) {
        Ok(0) => Err("must be longer than nothing".to_owned()),
        Ok(millis) => Ok(millis),
        Err(error) => Err(error.to_string()),
    }
}

fn zone(text: &str) -> Result<Zone, String> {
    Zone::parse(text).map_err(|error| error.to_string())
}

impl EngineArgs {
    /// As the engine takes them.
    pub fn settings(&self) -> Settings {
        Settings {
            launch_interval_ms: self.launch_interval,
            offer_hold_ms: self.offer_hold,
            launch_timeout_ms: self.launch_timeout,
            unreachable_timeout_ms: self.unreachable_timeout,
            reconcile_grace_ms: self.reconcile_grace,
            reconcile_interval_ms: self.reconcile_interval,
            reserve_after_ms: self.reserve_after,
            maintenance_horizon_ms: self.maintenance_horizon,
            default_zone: self.time_zone.clone(),
            ..Settings::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        engine: EngineArgs,
    }

    #[test]
    fn the_defaults_are_the_engines() {
        let line = Line::try_parse_from(["x"]).unwrap();
        let (ours, engines) = (line.engine.settings(), Settings::default());
        assert_eq!(format!("{ours:?}"), format!("{engines:?}"));
    }

    #[test]
    fn mistakes_name_the_option() {
        for (option, value) in
            [("--offer-hold", "0s"), ("--launch-timeout", "long"), ("--time-zone", "Mars/Base")]
        {
            let error = Line::try_parse_from(["x", option, value]).unwrap_err().to_string();
            assert!(error.contains(option), "{error}");
        }
    }
}
