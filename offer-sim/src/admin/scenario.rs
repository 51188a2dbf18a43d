//! A scenario file: faults with their times, in JSON. The words are those of the admin API, so
//! what can be done by hand can be written down.

use std::path::{Path, PathBuf};
use std::time::Duration;

use shiftwork_proto::json::{JsonError, from_json};
use shiftwork_proto::offersim::v1 as wire;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::hub::{Hub, Input};

/// Faults in the order of their times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scenario(Vec<(Duration, wire::Fault)>);

/// Why a scenario cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("cannot read the scenario {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no scenario.
    #[error("the scenario {} is not understood", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        source: JsonError,
    },
    /// A step without a fault.
    #[error(
        "step {step} of the scenario {} has no fault; write {{\"at_ms\": 0, \"fault\": {{…}}}}",
        path.display()
    )]
    NoFault {
        /// Which file.
        path: PathBuf,
        /// Which step, from 1.
        step: usize,
    },
}

// === impl Scenario ===

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// When the file cannot be read or is no scenario.
    pub fn read(path: &Path) -> Result<Self, ScenarioError> {
        let path = path.to_owned();
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(source) => return Err(ScenarioError::Read { path, source }),
        };
        let scenario: wire::Scenario = match from_json("offersim.v1.Scenario", &text) {
            Ok(scenario) => scenario,
            Err(source) => return Err(ScenarioError::Invalid { path, source }),
        };
        let mut steps = Vec::new();
        for (number, step) in scenario.steps.into_iter().enumerate() {
            match step.fault.filter(|fault| fault.fault.is_some()) {
                Some(fault) => steps.push((Duration::from_millis(step.at_ms), fault)),
                None => return Err(ScenarioError::NoFault { path, step: number + 1 }),
            }
        }
        steps.sort_by_key(|(at, _)| *at);
        Ok(Self(steps))
    }
}

/// Injects each fault at its time after now.
pub(crate) async fn play(scenario: Scenario, hub: Hub) {
    let begun = Instant::now();
    for (at, fault) in scenario.0 {
        tokio::time::sleep_until(begun + at).await;
        let (reply, answer) = oneshot::channel();
        hub.send(Input::Inject { fault, reply }).await;
        if let Ok(Err(error)) = answer.await {
            tracing::error!(at_ms = at.as_millis(), %error, "a step of the scenario has no effect");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Scenario, ScenarioError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("scenario.json");
        std::fs::write(&path, text).unwrap();
        Scenario::read(&path)
    }

    #[test]
    fn steps_are_in_the_order_of_their_times() {
        let scenario = read(
            r#"{"steps": [
                {"at_ms": 9000, "fault": {"reconnect": {"agents": ["rack:r3"]}}},
                {"at_ms": 5000, "fault": {"cut_off": {"agents": ["rack:r3"]}}},
                {"at_ms": 7000, "fault": {"updates": {"kind": "DROP", "probability": 0.5}}}
            ]}"#,
        )
        .unwrap();
        let times: Vec<u128> = scenario.0.iter().map(|(at, _)| at.as_millis()).collect();
        assert_eq!(times, [5000, 7000, 9000]);
    }

    #[test]
    fn what_is_no_scenario_is_refused() {
        for text in [
            "steps",
            r#"{"steps": [{"at_ms": 1}]}"#,
            r#"{"steps": [{"at_ms": 1, "fault": {}}]}"#,
            r#"{"steps": [{"at_ms": 1, "fault": {"burn": {}}}]}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(matches!(Scenario::read(Path::new("/no/such")), Err(ScenarioError::Read { .. })));
    }
}
