//! Reads what a Mesos agent tells an executor through its environment. Absent: any way to set these
//! values by hand, and any default for a value that only the agent can know.

use std::fmt;
use std::path::PathBuf;

use crate::transport::Transport;

/// The bound of the pause between two subscriptions when the agent names none; the agent's own
/// default (`--executor_reregistration_timeout` is the same 2 s).
const SUBSCRIPTION_BACKOFF_MAX_DEFAULT_MS: u64 = 2_000;
/// How long an executor waits for a lost agent when the agent names nothing; Mesos' own default
/// (`--recovery_timeout`).
const RECOVERY_TIMEOUT_DEFAULT_MS: u64 = 15 * 60 * 1_000;
/// How long a shutdown may take when the agent names nothing; Mesos' own default
/// (`--executor_shutdown_grace_period`).
const SHUTDOWN_GRACE_DEFAULT_MS: u64 = 5_000;

/// What the agent told this executor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `host:port` of the agent (`MESOS_AGENT_ENDPOINT`).
    pub agent_endpoint: String,
    /// How it is reached there.
    pub transport: Transport,
    /// The framework this executor belongs to (`MESOS_FRAMEWORK_ID`).
    pub framework_id: String,
    /// This executor's id (`MESOS_EXECUTOR_ID`).
    pub executor_id: String,
    /// The executor's sandbox directory (`MESOS_SANDBOX`, else `MESOS_DIRECTORY`).
    pub sandbox: PathBuf,
    /// For how many milliseconds a lost agent is waited for; `None` when the framework does not
    /// checkpoint, and a lost agent ends the executor at once (`MESOS_CHECKPOINT`,
    /// `MESOS_RECOVERY_TIMEOUT`).
    pub recovery_timeout_ms: Option<u64>,
    /// The longest pause between two subscriptions (`MESOS_SUBSCRIPTION_BACKOFF_MAX`).
    pub subscription_backoff_ms_max: u64,
    /// How long the agent waits after SHUTDOWN before it kills
    /// (`MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD`).
    pub shutdown_grace_ms: u64,
    /// The bearer token for calls to the agent (`MESOS_EXECUTOR_AUTHENTICATION_TOKEN`).
    pub token: Option<Token>,
}

/// A secret that shows nothing of itself in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// Why the environment cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A variable that only the agent can know is absent or empty.
    #[error(
        "{name} is not set: shiftwork-executor is started by a Mesos agent, which sets it; launch a \
         job through the scheduler instead of starting this program by hand"
    )]
    Missing {
        /// The variable.
        name: &'static str,
    },
    /// A variable holds something else than Mesos writes there.
    #[error(
        "{name} is {value:?}, expected {expected}; mend it in the agent that starts this executor"
    )]
    Invalid {
        /// The variable.
        name: &'static str,
        /// What it holds.
        value: String,
        /// What it should hold.
        expected: &'static str,
    },
}

// === impl Config ===

impl Config {
    /// Reads the variables through `get`, so that tests need not touch the process' environment.
    ///
    /// # Errors
    ///
    /// The first variable that is missing or cannot be read.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        let need = |name: &'static str| get(name).ok_or(ConfigError::Missing { name });
        let duration = |name: &'static str, default_ms: u64| match get(name) {
            None => Ok(default_ms),
            Some(value) => duration_ms(&value).ok_or(ConfigError::Invalid {
                name,
                value,
                expected: "a Mesos duration such as 5secs or 15mins",
            }),
        };
        let agent_endpoint = need("MESOS_AGENT_ENDPOINT")?;
        if !is_endpoint(&agent_endpoint) {
            return Err(ConfigError::Invalid {
                name: "MESOS_AGENT_ENDPOINT",
                value: agent_endpoint,
                expected: "host:port",
            });
        }
        let sandbox = get("MESOS_SANDBOX")
            .or_else(|| get("MESOS_DIRECTORY"))
            .map(PathBuf::from)
            .ok_or(ConfigError::Missing { name: "MESOS_SANDBOX" })?;
        if !sandbox.is_absolute() {
            return Err(ConfigError::Invalid {
                name: "MESOS_SANDBOX",
                value: sandbox.display().to_string(),
                expected: "an absolute path",
            });
        }
        let recovery_timeout_ms = match get("MESOS_CHECKPOINT").as_deref() {
            Some("1" | "true") => {
                Some(duration("MESOS_RECOVERY_TIMEOUT", RECOVERY_TIMEOUT_DEFAULT_MS)?)
            }
            None | Some("0" | "false") => None,
            Some(other) => {
                return Err(ConfigError::Invalid {
                    name: "MESOS_CHECKPOINT",
                    value: other.to_owned(),
                    expected: "0 or 1",
                });
            }
        };
        Ok(Self {
            framework_id: need("MESOS_FRAMEWORK_ID")?,
            executor_id: need("MESOS_EXECUTOR_ID")?,
            agent_endpoint,
            transport: Transport::read(get)?,
            sandbox,
            recovery_timeout_ms,
            subscription_backoff_ms_max: duration(
                "MESOS_SUBSCRIPTION_BACKOFF_MAX",
                SUBSCRIPTION_BACKOFF_MAX_DEFAULT_MS,
            )?,
            shutdown_grace_ms: duration(
                "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD",
                SHUTDOWN_GRACE_DEFAULT_MS,
            )?,
            token: get("MESOS_EXECUTOR_AUTHENTICATION_TOKEN").map(Token),
        })
    }
}

// === impl Token ===

impl Token {
    /// The secret itself, for the `Authorization` header and nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Whether `text` reads `host:port`, which is all that goes into the agent's URL.
fn is_endpoint(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let bracketed = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok());
        !host.is_empty() && (bracketed || host.chars().all(plain)) && port.parse::<u16>().is_ok()
    })
}

/// A duration as stout's `Duration` writes it (`15mins`, `1.5secs`), in milliseconds, rounded down.
fn duration_ms(text: &str) -> Option<u64> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at_checked(unit_at)?;
    let ms = match unit {
        "ns" => 0.000_001,
        "us" => 0.001,
        "ms" => 1.0,
        "secs" => 1_000.0,
        "mins" => 60_000.0,
        "hrs" => 3_600_000.0,
        "days" => 86_400_000.0,
        "weeks" => 604_800_000.0,
        _ => return None,
    };
    let number: f64 = number.trim().parse().ok()?;
    let total = number * ms;
    // The upper bound is 100 years: what is beyond it is an error, and sums stay far from overflow.
    (number.is_finite() && (0.0..=3.2e12).contains(&total)).then_some(total as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The environment of recording 03 of a real agent, and changes to it.
    fn read(changes: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let recorded = [
            ("MESOS_AGENT_ENDPOINT", "127.0.0.1:5081"),
            ("MESOS_CHECKPOINT", "1"),
            ("MESOS_DIRECTORY", "/var/lib/mesos/run"),
            ("MESOS_EXECUTOR_ID", "app1@-@S0"),
            ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "5secs"),
            ("MESOS_FRAMEWORK_ID", "b9a4602a-0000"),
            ("MESOS_RECOVERY_TIMEOUT", "15mins"),
            ("MESOS_SANDBOX", "/var/lib/mesos/run"),
            ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "2secs"),
        ];
        Config::read(|name| {
            let all = changes.iter().chain(&recorded);
            all.into_iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn reads_what_a_real_agent_sets() {
        let expected = Config {
            agent_endpoint: "127.0.0.1:5081".into(),
            transport: Transport::Plain,
            framework_id: "b9a4602a-0000".into(),
            executor_id: "app1@-@S0".into(),
            sandbox: "/var/lib/mesos/run".into(),
            recovery_timeout_ms: Some(900_000),
            subscription_backoff_ms_max: 2_000,
            shutdown_grace_ms: 5_000,
            token: None,
        };
        assert_eq!(read(&[]), Ok(expected));
    }

    #[test]
    fn without_checkpointing_no_agent_is_waited_for() {
        assert_eq!(read(&[("MESOS_CHECKPOINT", "0")]).unwrap().recovery_timeout_ms, None);
        assert_eq!(read(&[("MESOS_CHECKPOINT", "")]).unwrap().recovery_timeout_ms, None);
    }

    #[test]
    fn a_missing_variable_is_named_with_the_way_out() {
        let error = read(&[("MESOS_FRAMEWORK_ID", "")]).unwrap_err();
        assert_eq!(error, ConfigError::Missing { name: "MESOS_FRAMEWORK_ID" });
        assert!(error.to_string().contains("started by a Mesos agent"));
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_name() {
        for (name, value) in [
            ("MESOS_AGENT_ENDPOINT", "127.0.0.1"),
            ("MESOS_AGENT_ENDPOINT", "host/path:80"),
            ("MESOS_AGENT_ENDPOINT", "[nonsense]:80"),
            ("MESOS_RECOVERY_TIMEOUT", "15 parsecs"),
            ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "-2secs"),
            ("MESOS_CHECKPOINT", "perhaps"),
            ("MESOS_SANDBOX", "relative"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(matches!(error, ConfigError::Invalid { name: n, .. } if n == name), "{error}");
        }
        assert!(read(&[("MESOS_AGENT_ENDPOINT", "[::1]:5051")]).is_ok());
    }

    #[test]
    fn durations_are_those_of_mesos() {
        let rows = [("1.5secs", 1_500), ("2hrs", 7_200_000), ("250ms", 250), ("900us", 0)];
        for (text, ms) in rows {
            assert_eq!(duration_ms(text), Some(ms), "{text}");
        }
        for text in ["", "5", "secs", "NaNsecs", "infsecs", "99999999weeks"] {
            assert_eq!(duration_ms(text), None, "{text}");
        }
    }

    #[test]
    fn a_token_does_not_show_in_debug_output() {
        let config = read(&[("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", "s3cret")]).unwrap();
        assert!(!format!("{config:?}").contains("s3cret"));
        assert_eq!(config.token.unwrap().reveal(), "s3cret");
    }
}
