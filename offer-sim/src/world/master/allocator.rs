//! Who is offered what: fair shares over frameworks and roles, filters, and when to look. Offers
//! themselves are made in `offers`.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Turn;
use super::super::id::{AgentId, FrameworkId};
use super::super::resources::Resources;
use super::super::timers::Timer;
use super::Master;

/// An offer must have this much of the processors, in thousandths, or ...
const CPUS_MILLI_MIN: u64 = 10;
/// ... this much memory, in thousandths of a megabyte: what a real master takes for worth offering.
const MEM_MILLI_MIN: u64 = 32_000;
/// Longest filter: a year, as in a real master; it also keeps the arithmetic far from overflow.
const FILTER_MS_MAX: f64 = 365.0 * 24.0 * 3600.0 * 1000.0;
/// `refuse_seconds` when it is absent or negative, as the API defines it.
const REFUSE_SECONDS_DEFAULT: f64 = 5.0;

/// What decides about offers beside the resources themselves.
#[derive(Debug, Default)]
pub(super) struct Allocator {
    /// Agents whose free resources, or whose filters, changed since the last allocation.
    considered: BTreeSet<AgentId>,
    /// When the next allocation is planned.
    due_ms: Option<u64>,
    /// An allocation is wanted at the end of this step.
    wanted: bool,
    filters: BTreeMap<AgentId, Vec<Filter>>,
}

/// Resources that a framework does not want to see for a while.
#[derive(Debug)]
struct Filter {
    framework: FrameworkId,
    role: String,
    refused: Resources,
    until_ms: u64,
}

/// A share of an agent that goes to one framework in one role.
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) framework: FrameworkId,
    pub(super) role: String,
    pub(super) agent: AgentId,
    /// Allocated to nobody yet.
    pub(super) resources: Resources,
}

// === impl Allocator ===

impl Allocator {
    /// Looks at this agent in the next allocation.
    pub(super) fn consider(&mut self, agent: &AgentId) {
        self.considered.insert(agent.clone());
    }

    /// Allocates at the end of this step.
    pub(super) fn now(&mut self) {
        self.wanted = true;
    }

    /// Allocates at the next beat of the allocation interval, together with what comes back until
    /// then.
    pub(super) fn soon(&mut self, turn: &mut Turn<'_>) {
        if self.due_ms.is_none() {
            let interval_ms = turn.config.allocation_interval_ms.max(1);
            let due_ms = (turn.now_ms / interval_ms + 1) * interval_ms;
            self.due_ms = Some(due_ms);
            turn.timers.set(due_ms, Timer::Allocate);
        }
    }

    /// Keeps resources like these from a framework for as long as it asked.
    pub(super) fn refuse(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &FrameworkId,
        (role, agent, refused): (&str, &AgentId, &Resources),
        refuse_seconds: Option<f64>,
    ) {
        let seconds = refuse_seconds.filter(|seconds| *seconds >= 0.0);
        let seconds = seconds.unwrap_or(REFUSE_SECONDS_DEFAULT);
        if seconds == 0.0 || refused.is_empty() {
            return;
        }
        let asked_ms = (seconds * 1000.0).min(FILTER_MS_MAX) as u64;
        let until_ms = turn.now_ms + asked_ms.max(turn.config.allocation_interval_ms);
        let filter = Filter {
            framework: framework.clone(),
            role: role.to_owned(),
            refused: refused.allocated_to(None),
            until_ms,
        };
        // What it says as well need not be kept: who launches all day may refuse for a day each time.
        let filters = self.filters.entry(agent.clone()).or_default();
        filters.retain(|old| !filter.covers(old));
        filters.push(filter);
        turn.timers.set(until_ms, Timer::FilterExpiry(agent.clone()));
    }

    /// Drops a framework's filters, those of `roles` or all.
    pub(super) fn clear_filters(&mut self, framework: &FrameworkId, roles: Option<&[String]>) {
        let drops = |filter: &Filter| {
            filter.framework == *framework && roles.is_none_or(|roles| roles.contains(&filter.role))
        };
        for filters in self.filters.values_mut() {
            filters.retain(|filter| !drops(filter));
        }
        self.filters.retain(|_, filters| !filters.is_empty());
    }

    fn is_refused(&self, allocation: &Allocation) -> bool {
        self.filters.get(&allocation.agent).is_some_and(|filters| {
            filters.iter().any(|filter| {
                filter.framework == allocation.framework
                    && filter.role == allocation.role
                    && filter.refused.contains(&allocation.resources)
            })
        })
    }
}

// === impl Filter ===

impl Filter {
    /// Whether it keeps back all that another does, for as long.
    fn covers(&self, other: &Self) -> bool {
        self.framework == other.framework
            && self.role == other.role
            && self.until_ms >= other.until_ms
            && self.refused.contains(&other.refused)
    }
}

// === impl Master ===

impl Master {
    pub(in super::super) fn on_allocation_due(&mut self, turn: &mut Turn<'_>) {
        if self.allocator.due_ms.is_some_and(|due_ms| due_ms <= turn.now_ms) {
            self.allocator.now();
            self.maintenance.look();
        }
    }

    pub(in super::super) fn on_filter_expiry(&mut self, turn: &mut Turn<'_>, agent: &AgentId) {
        if let Some(filters) = self.allocator.filters.get_mut(agent) {
            filters.retain(|filter| filter.until_ms > turn.now_ms);
            if filters.is_empty() {
                self.allocator.filters.remove(agent);
            }
            self.allocator.consider(agent);
            self.allocator.soon(turn);
        }
    }

    /// REVIVE: offers again, filters dropped; for all roles when none is named.
    pub(super) fn on_revive(&mut self, id: &FrameworkId, roles: Vec<String>) {
        let Some(framework) = self.frameworks.get_mut(id) else { return };
        if roles.is_empty() {
            framework.suppressed.clear();
            self.allocator.clear_filters(id, None);
        } else {
            framework.suppressed.retain(|role| !roles.contains(role));
            self.allocator.clear_filters(id, Some(&roles));
        }
        self.allocator.considered.extend(self.agents.keys().cloned());
        self.allocator.now();
    }

    /// SUPPRESS: no offers until revived; for all roles when none is named.
    pub(super) fn on_suppress(&mut self, id: &FrameworkId, roles: Vec<String>) {
        let Some(framework) = self.frameworks.get_mut(id) else { return };
        let roles =
            if roles.is_empty() { framework.roles.clone() } else { roles.into_iter().collect() };
        framework.suppressed.extend(roles);
    }

    /// Shares out what is free on the agents under consideration, when an allocation is wanted.
    pub(super) fn allocate(&mut self) -> Vec<Allocation> {
        if !std::mem::take(&mut self.allocator.wanted) {
            return Vec::new();
        }
        self.allocator.due_ms = None;
        let considered = std::mem::take(&mut self.allocator.considered);
        let mut candidates = self.candidates();
        // With one candidate there is no order to find.
        let mut shares = (candidates.len() > 1).then(|| self.shares());
        let mut allocations = Vec::new();
        for agent in considered {
            if let Some(shares) = &shares {
                candidates
                    .sort_by_cached_key(|candidate| (shares.order(candidate), candidate.clone()));
            }
            for allocation in self.allocate_agent(&agent, &candidates) {
                if let Some(shares) = &mut shares {
                    shares.add(&allocation.framework, &allocation.role, &allocation.resources);
                }
                allocations.push(allocation);
            }
        }
        allocations
    }

    /// Gives each candidate in turn what is reserved for it, and the first that does not refuse
    /// also what is for anybody.
    fn allocate_agent(
        &mut self,
        agent: &AgentId,
        candidates: &[(FrameworkId, String)],
    ) -> Vec<Allocation> {
        let mut allocations = Vec::new();
        let Some(registered) = self.agents.get_mut(agent).filter(|agent| agent.is_active) else {
            return allocations;
        };
        for (framework, role) in candidates {
            let allocation = Allocation {
                framework: framework.clone(),
                role: role.clone(),
                agent: agent.clone(),
                resources: registered.available.usable_by(role, true),
            };
            if is_worth_offering(&allocation.resources) && !self.allocator.is_refused(&allocation) {
                registered.available.subtract(&allocation.resources);
                allocations.push(allocation);
            }
        }
        allocations
    }

    /// Every framework that can be reached, with each role in which it wants offers.
    fn candidates(&self) -> Vec<(FrameworkId, String)> {
        let mut candidates = Vec::new();
        for (id, framework) in &self.frameworks {
            if framework.stream().is_some() {
                let wanted = framework.roles.difference(&framework.suppressed);
                candidates.extend(wanted.map(|role| (id.clone(), role.clone())));
            }
        }
        candidates
    }
}

fn is_worth_offering(resources: &Resources) -> bool {
    resources.milli("cpus") >= CPUS_MILLI_MIN || resources.milli("mem") >= MEM_MILLI_MIN
}
