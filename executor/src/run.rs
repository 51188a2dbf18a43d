//! The loop: every event meets the core here, and every effect is carried out here, in order.
//! Absent: decisions.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use shiftwork_proto::mesos::v1::executor::{self as wire_types, call};
use shiftwork_proto::mesos::v1::{TaskState, TaskStatus};
use shiftwork_schedule::Timestamp;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

use crate::agent::{Agent, Connection, ConnectionError};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::config::Config;
use crate::core::{Core, Effect, Event, ExitReason, Ids, Limits, Now};
use crate::error_chain;
use crate::jobs::Registry;
use crate::process::Processes;
use crate::wire::{self, Inbound};
use crate::works::Works;

/// Why the executor cannot begin its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("cannot set up the connection to the agent")]
    Agent(#[source] ConnectionError),
    #[error("cannot use the sandbox")]
    Checkpoint(#[source] CheckpointError),
    #[error("the kernel refused {step}; Linux 5.4 or newer is needed")]
    Kernel {
        step: &'static str,
        #[source]
        source: std::io::Error,
    },
}

/// The executor at work.
struct Executor {
    agent: Agent,
    core: Core,
    works: Works,
    checkpoint: Checkpoint,
    connection: Option<Connection>,
    clock: Clock,
    effects: Vec<Effect>,
    exit: Option<ExitReason>,
}

/// The two clocks.
struct Clock {
    begun: Instant,
}

struct RandomIds;

/// Works until the core decides to leave.
pub(crate) async fn run(config: Config, jobs: Registry) -> Result<ExitReason, RunError> {
    let agent = Agent::new(&config).map_err(RunError::Agent)?;
    let (checkpoint, updates) = Checkpoint::open(&config.sandbox).map_err(RunError::Checkpoint)?;
    let listen = |kind, step| signal(kind).map_err(|source| RunError::Kernel { step, source });
    let mut children = listen(SignalKind::child(), "to listen for SIGCHLD")?;
    let terminate = listen(SignalKind::terminate(), "to listen for SIGTERM")?;
    let interrupt = listen(SignalKind::interrupt(), "to listen for SIGINT")?;
    let quit = listen(SignalKind::quit(), "to listen for SIGQUIT")?;
    let mut end = [terminate, interrupt, quit];
    let processes = Processes::new(config.sandbox.clone()).map_err(|source| RunError::Kernel {
        step: "to adopt orphans (subreaper) and hear signals",
        source,
    })?;
    let clock = Clock { begun: Instant::now() };
    let limits = Limits {
        executor_id: config.executor_id,
        subscription_backoff_ms_max: config.subscription_backoff_ms_max,
        recovery_timeout_ms: config.recovery_timeout_ms,
        shutdown_grace_ms: config.shutdown_grace_ms,
    };
    let core = Core::new(limits, Box::new(RandomIds), updates, clock.now());
    let mut executor = Executor {
        agent,
        core,
        works: Works::new(processes, jobs),
        checkpoint,
        connection: None,
        clock,
        effects: Vec::new(),
        exit: None,
    };
    executor.on_event(Event::Tick);
    loop {
        executor.settle();
        if let Some(reason) = executor.exit {
            executor.works.processes.end_all().await;
            return Ok(reason);
        }
        executor.wait(&mut children, &mut end).await;
    }
}

// === impl Executor ===

impl Executor {
    /// Waits for the next thing to happen, and lets it happen.
    async fn wait(&mut self, children: &mut SignalStream, end: &mut [SignalStream; 3]) {
        let [terminate, interrupt, quit] = end;
        let wakeup = self.core.wakeup_ms(self.clock.now()).map(Duration::from_millis);
        let sweep = self.works.processes.sweep_after();
        tokio::select! {
            _ = children.recv() => self.works.processes.on_child_ended(),
            _ = terminate.recv() => self.on_event(Event::Shutdown),
            _ = interrupt.recv() => self.on_event(Event::Shutdown),
            _ = quit.recv() => self.on_event(Event::Shutdown),
            received = next_event(self.connection.as_mut()) => self.on_received(received),
            () = sleep(wakeup) => self.on_event(Event::Tick),
            () = sleep(sweep) => self.works.processes.sweep(),
            () = self.works.wait() => {}
        }
    }

    /// Lets the core and the work answer each other until both are silent.
    fn settle(&mut self) {
        loop {
            let events = self.works.take_events();
            if events.is_empty() {
                return;
            }
            for event in events {
                self.on_event(event);
            }
        }
    }

    fn on_received(&mut self, received: Result<wire_types::Event, ConnectionError>) {
        match received.map(wire::read) {
            Ok(Inbound::Core(events)) => {
                for event in events {
                    self.on_event(event);
                }
            }
            Ok(Inbound::Subscribed { event, environment }) => {
                tracing::info!("subscribed");
                self.works.processes.set_app_environment(environment);
                self.on_event(event);
            }
            Ok(Inbound::Nothing(what)) => tracing::debug!(what, "nothing to do"),
            Ok(Inbound::Error(message)) => {
                tracing::error!(message, "the agent reports an error; subscribing again");
                self.disconnect();
            }
            Err(error) => {
                tracing::warn!(error = %error_chain(&error), "no subscription");
                self.disconnect();
            }
        }
    }

    fn disconnect(&mut self) {
        self.connection = None;
        self.on_event(Event::Disconnected);
    }

    fn on_event(&mut self, event: Event) {
        match &event {
            Event::Tick | Event::Acknowledged { .. } => tracing::trace!(?event),
            Event::Launch(info) => tracing::info!(task = info.task_id.value, "LAUNCH"),
            Event::Shutdown => tracing::info!("shutting down"),
            Event::Kill { task, grace_ms } => tracing::info!(%task, grace_ms, "KILL"),
            _ => tracing::debug!(?event),
        }
        let mut effects = std::mem::take(&mut self.effects);
        self.core.step(self.clock.now(), event, &mut effects);
        for effect in effects.drain(..) {
            self.perform(effect);
        }
        self.effects = effects;
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Start { work, spec, firing } => self.works.start(work, &spec, firing),
            Effect::Signal { work, signal } => {
                tracing::debug!(%work, ?signal, "signal");
                self.works.signal(work, signal);
            }
            Effect::Checkpoint(update) => log_failed(self.checkpoint.append(&update)),
            Effect::RewriteCheckpoint(updates) => log_failed(self.checkpoint.rewrite(&updates)),
            Effect::Subscribe { tasks, updates } => {
                let subscribe = call::Subscribe {
                    unacknowledged_tasks: tasks,
                    unacknowledged_updates: updates,
                };
                self.connection = Some(self.agent.subscribe(subscribe));
            }
            Effect::Send(update) => {
                log_update(&update.status);
                if let Some(connection) = &self.connection {
                    connection.send(update);
                }
            }
            Effect::Ignored { task, why } => tracing::info!(%task, why, "ignored"),
            Effect::Exit(reason) => {
                tracing::info!(%reason, tasks = self.core.task_count(), "leaving");
                self.exit = Some(reason);
            }
        }
    }
}

// === impl Clock ===

impl Clock {
    fn now(&self) -> Now {
        // A clock before 1970 is a broken clock; the schedule then waits for 1970.
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_ms = i64::try_from(wall.as_millis()).unwrap_or(i64::MAX);
        let mono_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { wall: Timestamp::from_millis(wall_ms), mono_ms }
    }
}

// === impl RandomIds ===

impl Ids for RandomIds {
    fn fresh(&mut self) -> [u8; 16] {
        uuid::Uuid::new_v4().into_bytes()
    }
}

async fn sleep(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

async fn next_event(
    connection: Option<&mut Connection>,
) -> Result<wire_types::Event, ConnectionError> {
    match connection {
        Some(connection) => connection.next().await,
        None => std::future::pending().await,
    }
}

/// Firings of daemons may come by the thousand, and nobody trims an executor's log.
fn log_update(status: &TaskStatus) {
    let (task, state) = (&status.task_id.value, status.state());
    if state == TaskState::TaskRunning && status.message.is_some() {
        tracing::debug!(task, message = status.message(), "firing");
    } else {
        tracing::info!(task, state = state.as_str_name(), message = status.message(), "update");
    }
}

/// A checkpoint that cannot be written must not stop the work: the updates are still sent.
fn log_failed(result: Result<(), CheckpointError>) {
    if let Err(error) = result {
        tracing::error!(error = %error_chain(&error), "an agent that restarts may miss updates");
    }
}
