//! Runs as traces: a span for the run, from when it was made to its end, and below it one for the time
//! it waited and one for each of its tasks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Span as _, SpanBuilder, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;
use shiftwork_engine::Trace;
use shiftwork_engine::ids::{RunId, TaskId};
use shiftwork_engine::view::{RunState, RunView};
use shiftwork_schedule::Timestamp;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::Otel;
use crate::trace::{FAILED_STATES, RUNNING_STATE, SUCCEEDED_STATES};

/// Runs of which tasks are remembered: more live at once only in benchmarks, and of the oldest only
/// the spans of tasks are missing.
const RUNS_MAX: usize = 20_000;

/// What is known of a task.
#[derive(Debug, Clone)]
struct TaskTimes {
    item: u32,
    launched: Timestamp,
    running: Option<Timestamp>,
    ended: Option<(Timestamp, &'static str, Option<String>)>,
}

/// The tasks of runs that have not ended.
#[derive(Debug, Default)]
struct Book {
    runs: BTreeMap<RunId, BTreeMap<TaskId, TaskTimes>>,
}

/// Sends a trace of every run that ends, until nothing more can happen.
pub async fn export_runs(otel: Otel, mut traces: Receiver<Arc<Trace>>) {
    let tracer = otel.tracer();
    let mut book = Book::default();
    loop {
        match traces.recv().await {
            Ok(trace) => book.take(&tracer, &trace),
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "traces of runs are incomplete: too much happened at once");
            }
            Err(RecvError::Closed) => return,
        }
    }
}

impl Book {
    fn take(&mut self, tracer: &SdkTracer, trace: &Trace) {
        match trace {
            Trace::Task { run, at, item, task, state, message, .. } => {
                self.note(run, task, *item, *at, state, message.as_deref());
            }
            Trace::Run(view) if view.state.is_final() => {
                let tasks = self.runs.remove(&view.id).unwrap_or_default();
                export(tracer, view, &tasks);
            }
            Trace::Run(_) | Trace::Missed { .. } | Trace::Changed(_) => {}
        }
    }

    fn note(
        &mut self,
        run: &RunId,
        task: &TaskId,
        item: u32,
        at: Timestamp,
        state: &'static str,
        message: Option<&str>,
    ) {
        if self.runs.len() >= RUNS_MAX && !self.runs.contains_key(run) {
            self.runs.pop_first();
        }
        let new = TaskTimes { item, launched: at, running: None, ended: None };
        let tasks = self.runs.entry(run.clone()).or_default();
        let times = tasks.entry(task.clone()).or_insert(new);
        if state == RUNNING_STATE {
            times.running.get_or_insert(at);
        } else if SUCCEEDED_STATES.contains(&state) || FAILED_STATES.contains(&state) {
            times.ended = Some((at, state, message.map(str::to_owned)));
        }
    }
}

fn export(tracer: &SdkTracer, run: &RunView, tasks: &BTreeMap<TaskId, TaskTimes>) {
    let finished = run.finished_at.unwrap_or(run.created_at);
    let mut attributes = vec![
        KeyValue::new("shiftwork.run", run.id.to_string()),
        KeyValue::new("shiftwork.job", run.job.to_string()),
        KeyValue::new("shiftwork.app", run.app.to_string()),
        KeyValue::new("shiftwork.state", run.state.name()),
        KeyValue::new("shiftwork.attempt", i64::from(run.attempt)),
    ];
    if let Some(submitter) = &run.submitter {
        attributes.push(KeyValue::new("shiftwork.submitter", submitter.clone()));
    }
    let span = SpanBuilder::from_name("run")
        .with_start_time(moment(run.created_at))
        .with_attributes(attributes)
        .start_with_context(tracer, &Context::new());
    let context = Context::new().with_span(span);
    let launched = tasks.values().map(|task| task.launched).min();
    let waited = SpanBuilder::from_name("waiting").with_start_time(moment(run.created_at));
    let mut waited = waited.start_with_context(tracer, &context);
    waited.end_with_timestamp(moment(launched.unwrap_or(finished)));
    for (id, task) in tasks {
        export_task(tracer, &context, id, task, finished);
    }
    let root = context.span();
    if matches!(run.state, RunState::Failed | RunState::TimedOut | RunState::Expired) {
        root.set_status(Status::error(run.reason.clone().unwrap_or_default()));
    }
    root.end_with_timestamp(moment(finished));
}

fn export_task(
    tracer: &SdkTracer,
    run: &Context,
    id: &TaskId,
    task: &TaskTimes,
    run_finished: Timestamp,
) {
    let attributes = [
        KeyValue::new("shiftwork.task", id.to_string()),
        KeyValue::new("shiftwork.item", i64::from(task.item)),
    ];
    let mut span = SpanBuilder::from_name("task")
        .with_start_time(moment(task.launched))
        .with_attributes(attributes)
        .start_with_context(tracer, run);
    if let Some(at) = task.running {
        span.add_event_with_timestamp("running", moment(at), Vec::new());
    }
    let mut end = run_finished;
    if let Some((at, state, message)) = &task.ended {
        end = *at;
        span.set_attribute(KeyValue::new("shiftwork.state", *state));
        if FAILED_STATES.contains(state) {
            span.set_status(Status::error(message.clone().unwrap_or_default()));
        }
    }
    span.end_with_timestamp(moment(end));
}

fn moment(at: Timestamp) -> SystemTime {
    let millis = u64::try_from(at.as_millis()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
}
