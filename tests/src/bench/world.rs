//! What placement is measured on: hosts as held leases, and work in the order of its rank.

use std::sync::Arc;

use anyhow::{Context, Result};
use shiftwork_engine::document::{App, Constraint, Job, Placement, Strictness};
use shiftwork_engine::event::Offer;
use shiftwork_engine::ids::{AgentId, AppName, OfferId};
use shiftwork_engine::placement::{Candidate, Fleet, Placed, Placer, Slot};
use shiftwork_engine::resources::{Demand, Kind, Milli, Origin, Piece, Resources};
use shiftwork_schedule::{Timestamp, Zone};

/// An agent of the world.
#[derive(Debug, Clone)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) resources: Demand,
    pub(super) attributes: Vec<(String, String)>,
}

/// Equal shards that start together.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub(super) app: AppName,
    pub(super) executor: Demand,
    pub(super) shard: Demand,
    pub(super) count: usize,
    pub(super) placement: Placement,
    pub(super) constraints: Arc<[Constraint]>,
}

/// What one pass came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Slots of everything placed.
    pub(super) slots: Vec<Slot>,
    /// Groups that were not placed.
    pub(super) unplaced: usize,
}

impl Work {
    fn candidate(&self) -> Candidate<'_> {
        Candidate {
            app: &self.app,
            executor: &self.executor,
            shard: &self.shard,
            count: self.count,
            placement: self.placement,
            avoid: None,
            ends_by: None,
            constraints: &self.constraints,
            siblings: &[],
        }
    }
}

/// All hosts as leases.
pub(super) fn fleet(hosts: &[Host]) -> Fleet {
    let origin = Arc::new(Origin { role: "*".into(), reserved: false, wire: [].into() });
    let mut fleet = Fleet::default();
    for host in hosts {
        let pieces = Kind::ALL.into_iter().filter_map(|kind| {
            let amount = host.resources.of(kind);
            let origin = Arc::clone(&origin);
            (amount > Milli::ZERO).then_some(Piece { kind, amount, origin })
        });
        let offer = Offer {
            id: OfferId::new(format!("offer-{}", host.name)),
            agent: AgentId::new(host.name.as_str()),
            hostname: format!("{}.example", host.name),
            resources: Resources { pieces: pieces.collect(), ports: Vec::new() },
            attributes: host.attributes.clone(),
            executors: Vec::new(),
            unavailability: None,
        };
        fleet.hold(offer, Timestamp::from_millis(0));
    }
    fleet
}

/// One whole pass as the launch cycle makes it: the index is built, every group of works is placed
/// whole or not at all, and its resources are drawn from the leases.
pub(super) fn pass(fleet: &mut Fleet, groups: &[&[Work]]) -> Outcome {
    let mut placer = fleet.lend();
    let shards = groups.iter().flat_map(|works| works.iter()).map(|work| work.count).sum();
    let mut outcome = Outcome { slots: Vec::with_capacity(shards), unplaced: 0 };
    let mut all = Vec::new();
    for works in groups {
        if !place_all(&mut placer, works, &mut all) {
            outcome.unplaced += 1;
            continue;
        }
        for (work, placed) in works.iter().zip(all.drain(..)) {
            if placer.draw(&work.candidate(), placed, &mut outcome.slots, |_| None).is_none() {
                outcome.unplaced += 1;
            }
        }
    }
    fleet.take_back(placer);
    outcome
}

/// Places all works of a group and adds them to `all`; false, and nothing is left, if one does not fit.
fn place_all(placer: &mut Placer, works: &[Work], all: &mut Vec<Placed>) -> bool {
    for work in works {
        if let Ok(placed) = placer.place(&work.candidate()) {
            all.push(placed);
        } else {
            while let Some(placed) = all.pop() {
                placer.undo(placed);
            }
            return false;
        }
    }
    true
}

/// An app's name, checked as documents are.
///
/// # Errors
/// It is no name.
pub(super) fn app(name: &str) -> Result<AppName> {
    let text = format!(r#"{{"appName":"{name}","cpuCount":0.1,"memoryMB":32}}"#);
    let app = App::parse(text.as_bytes(), Strictness::Request).map_err(|errors| {
        anyhow::anyhow!("app {name}: {}", errors.first().map_or("", |error| &error.message))
    })?;
    Ok(app.name)
}

/// Constraints from the rows of a job document.
///
/// # Errors
/// A row that documents do not allow.
pub(super) fn constraints(rows: &str) -> Result<Arc<[Constraint]>> {
    let text = format!(
        r#"{{"jobName":"bench","appName":"bench","jobExecutionType":"TRANSIENT",
        "scriptCommandLine":"true","shardingTotalCount":1,"cpuCount":1,"memoryMB":1,
        "constraints":{rows}}}"#
    );
    let job = Job::parse(text.as_bytes(), Strictness::Request, &Zone::utc());
    let job = job.map_err(|errors| {
        let all: Vec<String> =
            errors.iter().map(|e| format!("{} {}", e.field, e.message)).collect();
        anyhow::anyhow!(all.join("; "))
    });
    Ok(job.with_context(|| format!("constraints {rows}"))?.constraints)
}
