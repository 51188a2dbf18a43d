//! Which shard goes where: a pure function of candidates and leases, with a true reason where
//! something does not fit.
//!
//! A [`Placer`] owns the leases while it places: candidates are given in the order of their rank,
//! each is placed whole or not at all, and what was placed is drawn from the leases or undone.
//! Agents are found through an index, so that the work for a task does not grow with their
//! number. Absent: queues, records, launches, time.

mod amounts;
mod attempt;
mod index;
mod misfits;
mod nodes;
mod outline;
mod placer;
mod refusal;
mod rules;

pub use crate::fleet::{Fleet, Lease};
pub(crate) use misfits::Capacity;
pub(crate) use placer::room_on_empty;
pub use placer::{Placed, Placer};
pub use refusal::{Lacking, Refusals, Unplaced};

use std::sync::Arc;

use shiftwork_schedule::Timestamp;

use crate::document::{Constraint, Placement};
use crate::ids::{AgentId, AppName};
use crate::resources::{Demand, Resources};

/// Shards that are placed together or not at all.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Their app.
    pub app: &'a AppName,
    /// What the app's executor costs on an agent that does not run it yet.
    pub executor: &'a Demand,
    /// What each shard needs.
    pub shard: &'a Demand,
    /// How many.
    pub count: usize,
    /// Where they are put among agents that fit.
    pub placement: Placement,
    /// An agent to stay away from while there is another: the shard was just lost there.
    pub avoid: Option<&'a AgentId>,
    /// When its tasks will have ended, if that is known: agents that go away before are left alone.
    pub ends_by: Option<Timestamp>,
    /// What is asked of the agents.
    pub constraints: &'a Arc<[Constraint]>,
    /// Where other shards of the same run already are: constraints and spreading count them.
    pub siblings: &'a [&'a Site],
}

/// An agent as constraints see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its id.
    pub agent: AgentId,
    /// Its host name.
    pub hostname: String,
    /// Its attributes, as text.
    pub attributes: Vec<(String, String)>,
}

/// Where one shard goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// The agent.
    pub agent: AgentId,
    /// What the task gets.
    pub resources: Resources,
    /// What the executor gets, if it starts with this task.
    pub executor: Option<Resources>,
}
