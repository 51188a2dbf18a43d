//! Why a job does not run now, in one sentence and with the facts behind it. Absent: finding out;
//! the engine keeps the reason of every run that waits.

use serde::Serialize;
use shiftwork_engine::Engine;
use shiftwork_engine::ids::{JobName, RunId};
use shiftwork_engine::record::DisabledRecord;
use shiftwork_engine::view::{AppView, JobView, RunState, RunView};
use shiftwork_schedule::Timestamp;

/// The facts, and what follows from them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Why {
    pub(crate) job: String,
    /// What follows: the first thing that stands in the way, in a sentence.
    pub(crate) answer: String,
    /// Whether job and app are enabled.
    pub(crate) enabled: bool,
    /// The run that is being launched or running.
    pub(crate) running: Option<Waiting>,
    /// The pending run that comes next.
    pub(crate) pending: Option<Waiting>,
    /// Number of pending runs.
    pub(crate) pending_runs: usize,
    pub(crate) next_firing: Option<Timestamp>,
}

/// A run and what holds it up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Waiting {
    pub(crate) run: RunId,
    pub(crate) state: RunState,
    pub(crate) logical_time: Timestamp,
    pub(crate) reason: Option<String>,
}

impl From<&RunView> for Waiting {
    fn from(run: &RunView) -> Self {
        Self {
            run: run.id.clone(),
            state: run.state,
            logical_time: run.logical_time,
            reason: run.reason.clone(),
        }
    }
}

/// What the engine knows about a job, taken at one moment.
pub(crate) struct Facts {
    pub(crate) job: JobView,
    /// The job's app, if it is registered.
    pub(crate) app: Option<AppView>,
    pub(crate) running: Option<Waiting>,
    /// The pending run that comes next.
    pub(crate) pending: Option<Waiting>,
    pub(crate) connected: bool,
    /// Why no schedule fires at all.
    pub(crate) clock: Option<String>,
}

impl Facts {
    /// Asks the engine.
    pub(crate) fn of(engine: &Engine, name: &JobName) -> Option<Self> {
        let job = engine.job(name)?;
        let run = |id: &RunId| engine.run(id).map(|run| Waiting::from(&run));
        Some(Self {
            app: job.app.as_ref().and_then(|app| engine.app(app)),
            running: job.running.as_ref().and_then(run),
            pending: engine.next_pending(name).as_ref().map(Waiting::from),
            connected: engine.status().connected,
            clock: engine.clock_problem(),
            job,
        })
    }
}

/// Draws the conclusion.
pub(crate) fn explain(facts: Facts) -> Why {
    let answer = answer(&facts);
    let Facts { job, app, running, pending, .. } = facts;
    Why {
        answer,
        enabled: job.enabled && app.is_some_and(|app| app.enabled),
        running,
        pending,
        pending_runs: job.pending,
        next_firing: job.next_firing,
        job: job.name,
    }
}

/// The nearest obstacle: what is further away only matters when it is gone.
fn answer(facts: &Facts) -> String {
    let job = &facts.job;
    let name = &job.name;
    if let Some(problem) = &job.problem {
        return format!("the stored document of job {name} cannot be used: {problem}");
    }
    if !job.enabled {
        return disabled("job", name, job.disabled.as_ref());
    }
    match &facts.app {
        None => return format!("the app of job {name} is not registered: register it first"),
        Some(app) => {
            if let Some(problem) = &app.problem {
                return format!(
                    "the stored document of app {} cannot be used: {problem}",
                    app.name
                );
            }
            if !app.enabled {
                return disabled("app", &app.name, app.disabled.as_ref());
            }
        }
    }
    if let Some(running) = &facts.running {
        let doing = match running.state {
            RunState::Launching => "is being launched",
            _ => "is running",
        };
        return match &running.reason {
            Some(reason) => format!("run {} {doing}: {reason}", running.run),
            None => format!("it does run: run {} {doing}", running.run),
        };
    }
    if let Some(pending) = &facts.pending {
        let reason = pending.reason.as_deref().unwrap_or("waiting for the next launch cycle");
        return format!("run {} is pending: {reason}", pending.run);
    }
    match job.next_firing {
        _ if !facts.connected => {
            "the scheduler is not connected to the Mesos master, and no run is pending".to_owned()
        }
        Some(at) => match &facts.clock {
            Some(problem) => format!("nothing is pending; the next firing is {at}: {problem}"),
            None => format!("nothing is pending; the next firing is {at}"),
        },
        None => "nothing is pending and the schedule has no further firing: trigger it".to_owned(),
    }
}

fn disabled(what: &str, name: &str, record: Option<&DisabledRecord>) -> String {
    let Some(record) = record else {
        return format!("{what} {name} is disabled: enable it");
    };
    let reason = record.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("{what} {name} was disabled by {} at {}{reason}: enable it", record.by, record.at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;
    use shiftwork_engine::ids::AppName;
    use shiftwork_engine::statistics::FiringCounts;
    use std::sync::Arc;

    fn document() -> Arc<RawValue> {
        RawValue::from_string("{}".to_owned()).unwrap().into()
    }

    fn facts() -> Facts {
        let name = JobName::parse("foo").unwrap();
        Facts {
            job: JobView {
                name: name.to_string(),
                app: Some(AppName::parse("shop").unwrap()),
                enabled: true,
                disabled: None,
                pending: 0,
                running: None,
                running_count: 0,
                firings: FiringCounts::default(),
                next_firing: Some(Timestamp::from_millis(0)),
                problem: None,
                document: document(),
            },
            app: Some(AppView {
                name: "shop".to_owned(),
                enabled: true,
                disabled: None,
                jobs: 1,
                problem: None,
                document: document(),
            }),
            running: None,
            pending: None,
            connected: true,
            clock: None,
        }
    }

    fn waiting(state: RunState, reason: Option<&str>) -> Waiting {
        Waiting {
            run: RunId::parse("foo@k").unwrap(),
            state,
            logical_time: Timestamp::from_millis(0),
            reason: reason.map(str::to_owned),
        }
    }

    fn by_ann() -> DisabledRecord {
        DisabledRecord {
            name: "foo".to_owned(),
            by: "ann".to_owned(),
            reason: Some("audit".to_owned()),
            at: Timestamp::from_millis(0),
        }
    }

    #[test]
    fn the_nearest_obstacle_is_the_answer() {
        let mut facts = facts();
        assert!(answer(&facts).contains("next firing is 1970-01-01T00:00:00Z"));
        facts.pending = Some(waiting(RunState::Pending, Some("insufficient cpus")));
        assert_eq!(answer(&facts), "run foo@k is pending: insufficient cpus");
        facts.running = Some(waiting(RunState::Running, None));
        assert_eq!(answer(&facts), "it does run: run foo@k is running");
        facts.app.as_mut().unwrap().enabled = false;
        assert_eq!(answer(&facts), "app shop is disabled: enable it");
        facts.app = None;
        assert!(answer(&facts).contains("not registered"));
        (facts.job.enabled, facts.job.disabled) = (false, Some(by_ann()));
        assert_eq!(
            answer(&facts),
            "job foo was disabled by ann at 1970-01-01T00:00:00Z (audit): enable it"
        );
        facts.job.problem = Some("cron is empty".to_owned());
        assert!(answer(&facts).ends_with("cron is empty"));
    }

    #[test]
    fn without_work_the_connection_and_the_schedule_count() {
        let mut facts = facts();
        facts.job.next_firing = None;
        assert!(answer(&facts).ends_with("trigger it"));
        facts.connected = false;
        assert!(answer(&facts).contains("not connected"));
    }

    #[test]
    fn a_disabled_app_disables_its_job() {
        let mut facts = facts();
        facts.app.as_mut().unwrap().enabled = false;
        let why = serde_json::to_value(explain(facts)).unwrap();
        assert_eq!(why["enabled"], false);
        assert_eq!(why["pendingRuns"], 0);
        assert_eq!(why["nextFiring"], "1970-01-01T00:00:00Z");
    }
}
