//! Placement properties: no lease is ever over-committed, a gang is placed whole or not at all.

use proptest::prelude::*;

use super::*;
use crate::document::Placement;
use crate::fleet::Fleet;
use crate::placement::{Candidate, place, undo};
use crate::resources::Demand;

fn demand(cpus: i64, mem: i64) -> Demand {
    Demand { cpus: Milli(cpus), mem: Milli(mem), ..Demand::default() }
}

fn totals(fleet: &Fleet) -> Vec<(i64, i64)> {
    let free = fleet.leases.values().map(|lease| &lease.free);
    free.map(|free| (free.total(Kind::Cpus).0, free.total(Kind::Mem).0)).collect()
}

proptest! {
    #[test]
    fn a_candidate_is_placed_whole_or_leaves_no_trace(
        agents in prop::collection::vec((0i64..8_000, 0i64..8_000), 0..6),
        cpus in 1i64..3_000,
        mem in 1i64..3_000,
        count in 1usize..8,
        spread in any::<bool>(),
    ) {
        let mut world = World::new();
        let mut fleet = Fleet::default();
        for (index, (cpus, mem)) in agents.iter().enumerate() {
            let (cpus, mem) = (*cpus as f64 / 1000.0, *mem as f64 / 1000.0);
            let offer = world.make_offer(&format!("a{index}"), cpus, mem, &[]);
            fleet.hold(offer, world.now);
        }
        let before = totals(&fleet);
        let (app, executor, shard) = (app_name(), demand(100, 50), demand(cpus, mem));
        let placement = if spread { Placement::Spread } else { Placement::BinPack };
        let candidate = Candidate {
            app: &app, executor: &executor, shard: &shard, count, placement, avoid: None,
        };
        match place(&candidate, &mut fleet) {
            Err(_) => prop_assert_eq!(totals(&fleet), before),
            Ok(slots) => {
                prop_assert_eq!(slots.len(), count);
                prop_assert!(totals(&fleet).iter().all(|(cpus, mem)| *cpus >= 0 && *mem >= 0));
                let mut charged: Vec<_> = slots.iter()
                    .filter(|slot| slot.executor.is_some())
                    .map(|slot| slot.agent.clone())
                    .collect();
                let mut used: Vec<_> = slots.iter().map(|slot| slot.agent.clone()).collect();
                used.sort();
                used.dedup();
                charged.sort();
                prop_assert_eq!(charged, used, "one executor on each agent used");
                undo(slots, &mut fleet);
                prop_assert_eq!(totals(&fleet), before);
            }
        }
    }
}

#[test]
fn packing_fills_the_fullest_agent_and_spreading_uses_all() {
    let (app, executor, shard) = (app_name(), demand(0, 0), demand(1000, 1000));
    let fleet = || {
        let mut world = World::new();
        let mut fleet = Fleet::default();
        for (agent, cpus) in [("large", 8.0), ("small", 2.0)] {
            let offer = world.make_offer(agent, cpus, cpus, &[]);
            fleet.hold(offer, world.now);
        }
        fleet
    };
    let candidate = |placement| Candidate {
        app: &app,
        executor: &executor,
        shard: &shard,
        count: 2,
        placement,
        avoid: None,
    };
    let agents = |placement| {
        let slots = place(&candidate(placement), &mut fleet()).unwrap();
        slots.iter().map(|slot| slot.agent.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(agents(Placement::BinPack), ["small", "small"]);
    assert_eq!(agents(Placement::Spread), ["large", "small"]);
}
