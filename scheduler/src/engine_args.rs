//! The engine's settings on the command line and in the environment. Absent: what they mean to it;
//! `shiftwork_engine::Settings` says.

use clap::Args;
use shiftwork_engine::Settings;
use shiftwork_engine::resources::{Demand, Milli};
use shiftwork_schedule::{Zone, parse_duration};

/// When the engine does what; durations as 10s, 5m, 1h30m.
#[derive(Debug, Clone, Args)]
pub struct EngineArgs {
    /// Try placement at least this often
    #[arg(long, env = "SHIFTWORK_LAUNCH_INTERVAL", default_value = "10s", value_name = "DURATION",
        value_parser = duration)]
    launch_interval: u64,
    /// Leave at least so much time between launch cycles, so that a burst of events is one
    #[arg(long, env = "SHIFTWORK_LAUNCH_DEBOUNCE", default_value = "10ms", value_name = "DURATION",
        value_parser = parse_duration)]
    launch_debounce: u64,
    /// Ask for offers, and keep those needed, this long ahead of firings
    #[arg(long, env = "SHIFTWORK_OFFER_LOOKAHEAD", default_value = "2s", value_name = "DURATION",
        value_parser = parse_duration)]
    offer_lookahead: u64,
    /// Keep offers of at least this much for triggers, as cpus:2;mem:1024 (MB), in whole agents and
    /// at most a quarter of them [default: none]
    #[arg(long, env = "SHIFTWORK_WARM_RESERVE", value_name = "RESOURCES",
        value_parser = resources)]
    warm_reserve: Option<Demand>,
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
    #[arg(long, env = "SHIFTWORK_TIME_ZONE", default_value = "UTC", value_name = "ZONE")]
    // Text, as which time zone data counts is not known while the line is parsed.
    time_zone: String,
}

/// Milliseconds; nothing at all would make the engine do one thing without end.
fn duration(text: &str) -> Result<u64, String> {
    match parse_duration(text) {
        Ok(0) => Err("must be longer than nothing".to_owned()),
        Ok(millis) => Ok(millis),
        Err(error) => Err(error.to_string()),
    }
}

/// Amounts as Mesos writes them: `cpus:2;mem:1024`.
fn resources(text: &str) -> Result<Demand, String> {
    let mut demand = Demand::default();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, amount) = part.split_once(':').unwrap_or((part, ""));
        let number = amount.trim().parse().ok().and_then(Milli::from_f64);
        let number = number.filter(|number| *number > Milli::ZERO).ok_or_else(|| {
            format!("{part:?} must be a name and an amount above 0, as in cpus:2")
        })?;
        match name.trim() {
            "cpus" => demand.cpus = number,
            "mem" => demand.mem = number,
            "disk" => demand.disk = number,
            "gpus" => demand.gpus = number,
            other => return Err(format!("{other:?} is not one of cpus, mem, disk, gpus")),
        }
    }
    if demand == Demand::default() {
        return Err("must name at least one amount, as in cpus:2;mem:1024".to_owned());
    }
    Ok(demand)
}

impl EngineArgs {
    /// As the engine takes them. The time zone data must have been chosen before.
    ///
    /// # Errors
    /// A time zone that is none, with the option's name.
    pub fn settings(&self) -> Result<Settings, String> {
        let default_zone =
            Zone::parse(&self.time_zone).map_err(|error| format!("--time-zone: {error}"))?;
        Ok(Settings {
            launch_interval_ms: self.launch_interval,
            launch_debounce_ms: self.launch_debounce,
            offer_lookahead_ms: self.offer_lookahead,
            warm_reserve: self.warm_reserve,
            offer_hold_ms: self.offer_hold,
            launch_timeout_ms: self.launch_timeout,
            unreachable_timeout_ms: self.unreachable_timeout,
            reconcile_grace_ms: self.reconcile_grace,
            reconcile_interval_ms: self.reconcile_interval,
            reserve_after_ms: self.reserve_after,
            maintenance_horizon_ms: self.maintenance_horizon,
            default_zone,
            ..Settings::default()
        })
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
        let (ours, engines) = (line.engine.settings().unwrap(), Settings::default());
        assert_eq!(format!("{ours:?}"), format!("{engines:?}"));
    }

    #[test]
    fn a_reserve_is_read_as_mesos_writes_resources() {
        let line = Line::try_parse_from(["x", "--warm-reserve", "cpus:2.5; mem:1024"]).unwrap();
        let reserve = line.engine.settings().unwrap().warm_reserve.unwrap();
        assert_eq!((reserve.cpus, reserve.mem), (Milli(2_500), Milli(1_024_000)));
    }

    #[test]
    fn mistakes_name_the_option() {
        for (option, value) in [
            ("--offer-hold", "0s"),
            ("--launch-timeout", "long"),
            ("--offer-lookahead", "2 parsecs"),
            ("--warm-reserve", "cpus"),
            ("--warm-reserve", "cpus:-1"),
            ("--warm-reserve", "cpus:2;mems:5"),
            ("--warm-reserve", ";"),
        ] {
            let error = Line::try_parse_from(["x", option, value]).unwrap_err().to_string();
            assert!(error.contains(option), "{error}");
        }
        let line = Line::try_parse_from(["x", "--time-zone", "Mars/Base"]).unwrap();
        let error = line.engine.settings().unwrap_err();
        assert!(error.starts_with("--time-zone: time zone \"Mars/Base\""), "{error}");
    }
}
