//! Whether the secrets exist that a job's document names, when it is registered and not when it is due.
//! Absent: reading the document; what is wrong with it otherwise is the engine's to say.

use serde_json::Value;
use shiftwork_engine::command::Command;
use shiftwork_engine::document::FieldError;

use super::problem::Problem;
use crate::secrets::Secrets;

/// Looks at the document of a command, if it has one.
///
/// # Errors
/// 422, by variable.
pub(super) fn check(secrets: &Secrets, command: &Command) -> Result<(), Problem> {
    let document = match command {
        Command::IfUnchanged { change, .. } => return check(secrets, change),
        Command::CreateJob { document } | Command::UpdateJob { document, .. } => document,
        _ => return Ok(()),
    };
    let document: Value = serde_json::from_slice(document).unwrap_or_default();
    let app = document["appName"].as_str().unwrap_or_default();
    let Some(env) = document["env"].as_object() else { return Ok(()) };
    let mut errors = Vec::new();
    for (variable, value) in env {
        let problem = value["secret"].as_str().and_then(|secret| {
            let problem = secrets.problem(secret, app)?;
            Some(format!("the secret {secret:?} {problem}"))
        });
        errors.extend(
            problem.map(|message| FieldError { field: format!("env.{variable}"), message }),
        );
    }
    if errors.is_empty() { Ok(()) } else { Err(Problem::invalid("the job is wrong", errors)) }
}
