//! `/api/operate` in Elastic-Job-Cloud's words, and what all changes in its words have in common.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Query, State};
use serde_json::json;
use shiftwork_engine::Engine;
use shiftwork_engine::command::{Command, Refusal, Reply};
use shiftwork_engine::ids::AppName;

use super::Compat;
use super::dialect::{Answer, Dialect, Refused};
use crate::api::access::Caller;
use crate::auth::Actor;

/// Between two reconciliations by hand, of either kind.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(10);
/// Executors of one app that are told of: more than agents of a large cluster.
const SANDBOXES_MAX: usize = 10_000;

/// When the last reconciliation by hand began.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<Option<Instant>>);

// === impl Throttle ===

impl Throttle {
    /// Whether enough time has passed; if so, it begins anew.
    fn passes(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passes =
            last.is_none_or(|last| now.saturating_duration_since(last) >= RECONCILE_INTERVAL);
        if passes {
            *last = Some(now);
        }
        passes
    }
}

// === impl Compat ===

impl Compat {
    /// Carries a change out; what the engine says is for the caller to word.
    pub(super) async fn carry_out(&self, by: Actor, command: Command) -> Result<Reply, Refused> {
        Ok(self.api.ask_for(by, command).await?)
    }

    /// Carries out a change of what may not be there: then nothing happens, and nobody is told.
    pub(super) async fn change_if_there(
        &self,
        dialect: Dialect,
        by: Actor,
        command: Option<Command>,
    ) -> Answer {
        let Some(command) = command else { return Ok(dialect.done()) };
        let reply = self.carry_out(by, command).await?;
        dialect.of_reply(reply)
    }
}

// === impl Dialect ===

impl Dialect {
    /// The answer to a change.
    pub(super) fn of_reply(self, reply: Reply) -> Answer {
        match reply {
            Ok(_) | Err(Refusal::NotFound { .. }) => Ok(self.done()),
            Err(Refusal::Invalid { detail, errors } | Refusal::Conflict { detail, errors }) => {
                let by_field = |it: &shiftwork_engine::document::FieldError| {
                    format!("{} {}", it.field, it.message)
                };
                let said: Vec<String> = errors.iter().map(by_field).collect();
                let message = if said.is_empty() { detail } else { said.join("; ") };
                Err(Refused::Message(self, message))
            }
            Err(Refusal::KeyReused { key, run }) => {
                Err(Refused::Message(self, format!("key {key} was used for run {run}")))
            }
            Err(Refusal::Changed { what }) => {
                Err(Refused::Message(self, format!("{what} was changed meanwhile, try again")))
            }
        }
    }
}

/// `POST /api/operate/reconcile/explicit`, `POST /api/operate/reconcile/implicit`: ours is both.
pub(super) async fn reconcile(
    State(state): State<Compat>,
    dialect: Dialect,
    Caller(by): Caller,
) -> Answer {
    if !state.throttle.passes(Instant::now()) {
        // The same words for both, as ever.
        return Err(Refused::Message(dialect, "Repeat explicitReconcile".to_owned()));
    }
    let reply = state.carry_out(by, Command::Reconcile).await?;
    dialect.of_reply(reply)
}

/// `GET /api/operate/sandbox?appName=`
pub(super) async fn sandbox(
    State(state): State<Compat>,
    dialect: Dialect,
    Query(query): Query<BTreeMap<String, String>>,
) -> Answer {
    let Some(name) = query.get("appName").filter(|name| !name.is_empty()) else {
        return Err(Refused::Message(dialect, "Lack param 'appName'".to_owned()));
    };
    let Ok(app) = AppName::parse(name) else { return Ok(dialect.json(&json!([]))) };
    let ask = move |engine: &Engine| {
        let framework = engine.framework_id().cloned();
        let executors = engine.executors(Some(&app), None, None, SANDBOXES_MAX);
        let rows = executors.into_iter().filter_map(|executor| {
            let framework = framework.as_ref()?;
            let agent = &executor.agent;
            let hostname = engine.agent(agent).map(|agent| agent.hostname);
            let path = format!(
                "/slaves/{agent}/frameworks/{framework}/executors/{}/runs/latest",
                executor.id
            );
            Some(json!({"hostname": hostname.unwrap_or_default(), "path": path}))
        });
        rows.collect::<Vec<_>>()
    };
    Ok(dialect.json(&state.api.query(ask).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reconciliations_keep_their_distance() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        assert!(throttle.passes(now));
        assert!(!throttle.passes(now + Duration::from_secs(9)));
        assert!(throttle.passes(now + RECONCILE_INTERVAL));
        assert!(!throttle.passes(now + RECONCILE_INTERVAL + Duration::from_secs(1)));
    }
}
