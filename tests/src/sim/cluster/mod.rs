//! The Mesos cluster of a world, one of two: the core of offer-sim behind the real wire, or a model at
//! the level of the engine's events and actions that was written apart from it. They share no code
//! but amounts, so that neither can hide what the other does wrong.

mod amounts;
mod model;
mod real;

use shiftwork_engine::effect::Action;
use shiftwork_engine::ids::{FrameworkId, TaskId};

pub(crate) use self::amounts::Amounts;
pub(crate) use self::model::ModelHappening;
pub(crate) use self::real::RealHappening;
use super::env::{Env, Process, StreamId};
use super::faults::{Fault, Faults};
use super::options::ClusterKind;
use crate::random::Random;

/// Something that happens within the cluster.
#[derive(Debug)]
pub(crate) enum ClusterHappening {
    Model(ModelHappening),
    Real(RealHappening),
}

/// What schedulers, users and the auditor have to do with a cluster.
pub(crate) trait Cluster: std::fmt::Debug {
    /// Lets one thing happen. False if it was nothing: an alarm that no longer matters.
    fn happen(&mut self, what: ClusterHappening, env: &mut Env) -> bool;

    /// A process subscribes. False if there is no master at the moment.
    fn subscribe(&mut self, from: Process, framework: Option<FrameworkId>, env: &mut Env) -> bool;

    /// The other end has closed its stream.
    fn stream_closed(&mut self, stream: StreamId, env: &mut Env);

    /// A call does not arrive, or is refused, and whoever sent it cannot know that.
    fn missed(&mut self, action: &Action);

    /// A call arrives. It is given back if it was not taken.
    fn call(&mut self, stream: StreamId, action: Action, env: &mut Env) -> Option<Action>;

    /// One fault that comes by itself; false if there is nothing it could hit.
    fn suffer(&mut self, fault: Fault, env: &mut Env) -> bool;

    /// From now on work runs well, and messages arrive; what has begun badly stays so.
    fn calm(&mut self, env: &mut Env);

    /// Tells how often the faults struck that the cluster itself brings about.
    fn count(&self, faults: &mut Faults);

    /// Work that is going on, for the auditor: task by task.
    fn working(&self) -> Vec<&TaskId>;

    /// Offers that are out.
    fn offers_out(&self) -> usize;

    /// When the oldest offer that is out was made.
    fn oldest_offer(&self) -> Option<i64>;
}

/// How the work of this world behaves; from the seed.
#[derive(Debug, Clone)]
pub(crate) struct Habits {
    /// Mean time a task works, milliseconds.
    pub(crate) work_mean_ms: f64,
    /// Share of the work that fails.
    pub(crate) failing: f64,
    /// Share of tasks that never come to run.
    pub(crate) stuck: f64,
    /// An executor without tasks leaves after this long, milliseconds.
    pub(crate) idle_ms: i64,
    /// An agent that is silent this long is unreachable, milliseconds.
    pub(crate) health_ms: i64,
    /// An offer is taken back after this long, milliseconds.
    pub(crate) offer_timeout_ms: i64,
}

/// A cluster with machines of these sizes, all of them up.
pub(crate) fn new(
    kind: ClusterKind,
    sizes: &[Amounts],
    habits: Habits,
    random: Random,
    env: &mut Env,
) -> Box<dyn Cluster> {
    match kind {
        ClusterKind::Model => Box::new(model::Model::new(sizes, habits, random, env)),
        ClusterKind::OfferSim => Box::new(real::Real::new(sizes, habits, random, env)),
    }
}

/// Exit codes of failing work; documents of retries name some of them.
const EXIT_CODES: [i32; 3] = [1, 3, 75];

/// The role that everything is allocated to.
const ROLE: &str = "batch";

/// Agents that have not registered at a new master after this long are given up, milliseconds.
const REREGISTER_MS: i64 = 180_000;

/// Between two rounds of offers, milliseconds.
const ALLOCATE_MS: i64 = 1_000;

/// Until an agent sends an unacknowledged update again, milliseconds.
const RESEND_MS: i64 = 10_000;

/// A daemon has no end of its own but a bug of its own now and then, milliseconds.
const DAEMON_LIFE_MS: f64 = 3_600_000.0;

/// Between two reports of a daemon, milliseconds.
const FIRING_MS: f64 = 120_000.0;

/// What an agent says of its machine: one of three racks, one of two zones, and each other machine
/// that its disks are fast.
fn attributes(number: usize) -> Vec<(String, String)> {
    let attribute = |name: &str, value: String| (name.to_owned(), value);
    let mut attributes = vec![
        attribute("rack", format!("r{}", number % 3)),
        attribute("zone", format!("z{}", number % 2)),
    ];
    if number.is_multiple_of(2) {
        attributes.push(attribute("ssd", "true".to_owned()));
    }
    attributes
}

/// A machine's host name.
fn hostname(number: usize) -> String {
    format!("host{number}")
}

// === impl ClusterHappening ===

impl From<ModelHappening> for ClusterHappening {
    fn from(what: ModelHappening) -> Self {
        Self::Model(what)
    }
}

impl From<RealHappening> for ClusterHappening {
    fn from(what: RealHappening) -> Self {
        Self::Real(what)
    }
}
