//! Placement: no lease is ever over-committed, a gang is placed whole or not at all, what is
//! placed does not depend on agents that take part in nothing, and every reason is true.

use proptest::prelude::*;

use super::*;
use crate::document::{Constraint, Job, Placement, Strictness};
use crate::fleet::Fleet;
use crate::placement::{Candidate, Lacking, Placed, Placer, Refusals, Site, Slot, Unplaced};
use crate::resources::{Demand, PortPiece};

/// What a test offers of one agent.
#[derive(Debug, Clone, Default)]
struct Agent {
    resources: Vec<(Kind, i64, bool)>,
    ports: u32,
    attributes: Vec<(&'static str, String)>,
}

fn agent(cpus: i64, mem: i64) -> Agent {
    let resources = vec![(Kind::Cpus, cpus, false), (Kind::Mem, mem, false)];
    Agent { resources, ..Agent::default() }
}

fn gpu_agent(cpus: i64, mem: i64, gpus: i64) -> Agent {
    let mut agent = agent(cpus, mem);
    agent.resources.push((Kind::Gpus, gpus, false));
    agent
}

fn rack_agent(rack: &str, cpus: i64) -> Agent {
    let attributes = vec![("rack", rack.to_owned())];
    Agent { attributes, ..agent(cpus, 100_000) }
}

fn make_offer(id: usize, name: &str, agent: &Agent, executors: &[&str]) -> Offer {
    let origin = |reserved| {
        let (role, wire): (&str, &[u8]) = if reserved { ("batch", b"r") } else { ("*", b"") };
        Arc::new(Origin { role: role.into(), reserved, wire: wire.into() })
    };
    let mut resources = Resources::default();
    for (kind, amount, reserved) in &agent.resources {
        let (kind, amount) = (*kind, Milli(*amount));
        resources.add(Piece { kind, amount, origin: origin(*reserved) });
    }
    if agent.ports > 0 {
        let end = 31_000 + agent.ports - 1;
        resources.ports.push(PortPiece { begin: 31_000, end, origin: origin(false) });
    }
    Offer {
        id: OfferId::new(format!("offer-{id}")),
        agent: AgentId::new(name),
        hostname: format!("{name}.example"),
        resources,
        attributes: agent.attributes.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect(),
        executors: executors.iter().map(|id| crate::ids::ExecutorId::new(*id)).collect(),
        unavailability: None,
    }
}

/// Agents `a00`, `a01`, … with their offers.
fn fleet(agents: &[Agent]) -> Fleet {
    let mut fleet = Fleet::default();
    for (index, agent) in agents.iter().enumerate() {
        let offer = make_offer(index, &format!("a{index:02}"), agent, &[]);
        fleet.hold(offer, Timestamp::from_millis(START_MS));
    }
    fleet
}

fn demand(cpus: i64, mem: i64) -> Demand {
    Demand { cpus: Milli(cpus), mem: Milli(mem), ..Demand::default() }
}

pub(super) fn constraints(rows: &str) -> Arc<[Constraint]> {
    let document = job_document("j", &format!(r#""constraints":{rows}"#));
    let zone = shiftwork_schedule::Zone::utc();
    Job::parse(&document, Strictness::Request, &zone).unwrap().constraints
}

/// A candidate that owns what it refers to.
#[derive(Debug, Clone)]
struct Work {
    app: AppName,
    executor: Demand,
    shard: Demand,
    count: usize,
    placement: Placement,
    avoid: Option<AgentId>,
    constraints: Arc<[Constraint]>,
}

fn work(count: usize, shard: Demand) -> Work {
    Work {
        app: app_name(),
        executor: demand(0, 0),
        shard,
        count,
        placement: Placement::BinPack,
        avoid: None,
        constraints: Arc::default(),
    }
}

fn drawn(placer: &mut Placer, candidate: &Candidate<'_>, placed: Placed) -> Vec<Slot> {
    let mut slots = Vec::new();
    placer.draw(candidate, placed, &mut slots, |_| None).expect("sums and pieces agree");
    slots
}

impl Work {
    fn candidate(&self) -> Candidate<'_> {
        Candidate {
            app: &self.app,
            executor: &self.executor,
            shard: &self.shard,
            count: self.count,
            placement: self.placement,
            avoid: self.avoid.as_ref(),
            ends_by: None,
            constraints: &self.constraints,
            siblings: &[],
        }
    }

    /// Places it and takes its resources.
    fn slots(&self, placer: &mut Placer) -> Result<Vec<Slot>, Arc<Unplaced>> {
        let candidate = self.candidate();
        placer.place(&candidate).map(|placed| drawn(placer, &candidate, placed))
    }

    /// The agents it is placed on, alone on a fleet.
    fn agents(&self, mut fleet: Fleet) -> Vec<String> {
        let slots = self.slots(&mut fleet.lend()).unwrap();
        slots.iter().map(|slot| slot.agent.as_str().to_owned()).collect()
    }

    fn reason(&self, mut fleet: Fleet) -> String {
        self.slots(&mut fleet.lend()).unwrap_err().to_string()
    }
}

fn free(fleet: &Fleet) -> BTreeMap<AgentId, Demand> {
    let leases = fleet.leases.iter();
    leases.map(|(agent, lease)| (agent.clone(), Demand::of_resources(&lease.free))).collect()
}

// === what is preferred ===

#[test]
fn packing_fills_the_fullest_agent_and_spreading_uses_all() {
    let agents = [agent(8_000, 8_000), agent(2_000, 2_000)];
    let mut work = work(2, demand(1_000, 1_000));
    assert_eq!(work.agents(fleet(&agents)), ["a01", "a01"]);
    work.placement = Placement::Spread;
    assert_eq!(work.agents(fleet(&agents)), ["a00", "a01"]);
    work.count = 5;
    assert_eq!(work.agents(fleet(&agents)), ["a00", "a01", "a00", "a01", "a00"]);
}

#[test]
fn work_without_gpus_leaves_agents_with_gpus_alone_while_there_are_others() {
    let agents = [gpu_agent(1_000, 1_000, 1_000), agent(8_000, 8_000)];
    let plain = work(1, demand(1_000, 1_000));
    assert_eq!(plain.agents(fleet(&agents)), ["a01"]);
    let gpu = work(1, Demand { gpus: Milli(1_000), ..demand(1_000, 1_000) });
    assert_eq!(gpu.agents(fleet(&agents)), ["a00"]);
    assert_eq!(plain.agents(fleet(&agents[..1])), ["a00"]);
}

#[test]
fn agents_that_run_the_executor_come_first_and_pay_no_second_one() {
    let mut fleet = fleet(&[agent(1_500, 1_000), agent(8_000, 8_000)]);
    let mut placer = fleet.lend();
    let mut work = work(1, demand(1_000, 100));
    work.executor = demand(1_000, 100);
    // Only the large one has room for the executor, too.
    let first = work.slots(&mut placer).unwrap();
    assert_eq!(first[0].agent.as_str(), "a01");
    assert!(first[0].executor.is_some());
    work.executor = demand(500, 100);
    let second = work.slots(&mut placer).unwrap();
    assert_eq!(second[0].agent.as_str(), "a01", "it runs there, though a00 is fuller");
    assert_eq!(second[0].executor, None);
    let other = Work { app: AppName::parse("other").unwrap(), ..work };
    assert_eq!(other.slots(&mut placer).unwrap()[0].agent.as_str(), "a00");
}

#[test]
fn an_agent_to_avoid_is_taken_when_there_is_no_other() {
    let agents = [agent(1_000, 1_000), agent(8_000, 8_000)];
    let mut work = work(1, demand(1_000, 1_000));
    work.avoid = Some(AgentId::new("a00"));
    assert_eq!(work.agents(fleet(&agents)), ["a01"]);
    assert_eq!(work.agents(fleet(&agents[..1])), ["a00"]);
}

// === constraints ===

#[test]
fn constraints_mean_what_marathon_says() {
    let racks = ["a1", "a1", "a2", "b1", "b1", "b2"];
    let mut agents: Vec<Agent> = racks.iter().map(|rack| rack_agent(rack, 4_000)).collect();
    agents.push(agent(4_000, 100_000));
    let placed = |rows: &str, count| {
        let mut work = work(count, demand(1_000, 100));
        work.constraints = constraints(rows);
        let mut placer = fleet(&agents).lend();
        let slots = work.slots(&mut placer).map_err(|unplaced| unplaced.to_string());
        slots.map(|slots| {
            slots.iter().map(|slot| slot.agent.as_str().to_owned()).collect::<Vec<_>>()
        })
    };
    let ok = |agents: &[&str]| Ok(agents.iter().map(|agent| (*agent).to_owned()).collect());
    assert_eq!(placed(r#"[["rack","LIKE","b.*"]]"#, 5), ok(&["a03", "a03", "a03", "a03", "a04"]));
    assert_eq!(placed(r#"[["rack","UNLIKE",".*"]]"#, 1), ok(&["a06"]), "it has no rack");
    assert_eq!(placed(r#"[["rack","IS","a2"]]"#, 2), ok(&["a02", "a02"]));
    assert_eq!(placed(r#"[["rack","CLUSTER","b2"]]"#, 1), ok(&["a05"]));
    assert_eq!(placed(r#"[["rack","UNIQUE"]]"#, 4), ok(&["a00", "a02", "a03", "a05"]));
    assert_eq!(placed(r#"[["@hostname","UNIQUE"]]"#, 2), ok(&["a00", "a01"]));
    assert_eq!(placed(r#"[["@hostname","MAX_PER","2"]]"#, 3), ok(&["a00", "a00", "a01"]));
    // Five need two agents of one rack: a1 is the first that has them.
    assert_eq!(placed(r#"[["rack","CLUSTER"]]"#, 5), ok(&["a00", "a00", "a00", "a00", "a01"]));
    let groups = placed(r#"[["rack","GROUP_BY","4"]]"#, 8).unwrap();
    for rack in [&["a00", "a01"][..], &["a02"], &["a03", "a04"], &["a05"]] {
        let there = groups.iter().filter(|agent| rack.contains(&agent.as_str())).count();
        assert_eq!(there, 2, "{groups:?}");
    }
    assert_eq!(
        placed(r#"[["rack","CLUSTER"]]"#, 9).unwrap_err(),
        "only 8 of 9 shards fit, all start together; for one more, 1 agent: constraint rack CLUSTER"
    );
    assert_eq!(
        placed(r#"[["rack","UNIQUE"],["@hostname","UNLIKE","a05.*"]]"#, 4).unwrap_err(),
        "only 3 of 4 shards fit, all start together; for one more, \
         6 agents: constraint rack UNIQUE, 1: constraint @hostname UNLIKE a05.*"
    );
}

#[test]
fn shards_that_run_already_count_for_constraints_and_spreading() {
    let agents = ["a", "a", "b"].map(|rack| rack_agent(rack, 4_000));
    let site = |agent: &str, rack: &str| Site {
        agent: AgentId::new(agent),
        hostname: format!("{agent}.example"),
        attributes: vec![("rack".to_owned(), rack.to_owned())],
    };
    let mut work = work(1, demand(1_000, 100));
    let place = |work: &Work, siblings: &[&Site]| {
        let candidate = Candidate { siblings, ..work.candidate() };
        let mut placer = fleet(&agents).lend();
        let placed = placer.place(&candidate).map_err(|unplaced| unplaced.to_string())?;
        let slots = drawn(&mut placer, &candidate, placed);
        Ok::<_, String>(slots[0].agent.as_str().to_owned())
    };
    let (here, there, away) = (site("a00", "a"), site("a02", "b"), site("x", "z"));
    work.constraints = constraints(r#"[["rack","UNIQUE"]]"#);
    assert_eq!(place(&work, &[&here]).unwrap(), "a02");
    work.constraints = constraints(r#"[["rack","CLUSTER"]]"#);
    assert_eq!(place(&work, &[&there]).unwrap(), "a02");
    assert_eq!(place(&work, &[&away]).unwrap_err(), "3 agents: constraint rack CLUSTER");
    work.constraints = constraints(r#"[["rack","GROUP_BY"]]"#);
    assert_eq!(place(&work, &[&here, &here, &there]).unwrap(), "a02");
    work.constraints = Arc::default();
    work.placement = Placement::Spread;
    assert_eq!(place(&work, &[&here]).unwrap(), "a01");
}

// === reasons ===

#[test]
fn a_reason_counts_agents_by_cause() {
    let mut agents = vec![agent(2_000, 64_000); 3];
    agents.extend([agent(8_000, 1_000), rack_agent("b1", 8_000)]);
    let mut big = work(1, demand(4_000, 2_000));
    big.constraints = constraints(r#"[["rack","UNLIKE","b.*"]]"#);
    assert_eq!(
        big.reason(fleet(&agents)),
        "3 agents: insufficient cpus (needs 4, largest has 2), 1: insufficient mem (needs 2, \
         largest has 1), 1: constraint rack UNLIKE b.*"
    );
    assert_eq!(
        work(1, demand(1, 1)).reason(Fleet::default()),
        "no offers: waiting for the master to offer resources"
    );
    let gang = work(5, demand(4_000, 100));
    assert_eq!(
        gang.reason(fleet(&agents)),
        "only 4 of 5 shards fit, all start together; for one more, \
         5 agents: insufficient cpus (needs 4, largest has 2)"
    );
}

#[test]
fn what_did_not_fit_is_refused_by_shape_until_something_is_undone() {
    let mut placer = fleet(&[agent(4_000, 4_000)]).lend();
    let first = work(1, demand(3_000, 1_000));
    let second = work(1, demand(2_000, 1_000));
    let placed = placer.place(&first.candidate()).unwrap();
    let refused = placer.place(&second.candidate()).unwrap_err();
    let again = placer.place(&second.candidate()).unwrap_err();
    assert!(Arc::ptr_eq(&refused, &again), "the reason is kept, not found again");
    placer.undo(placed);
    assert_eq!(second.slots(&mut placer).unwrap().len(), 1);
}

#[test]
fn a_hidden_agent_is_named_as_kept_for_others() {
    let mut placer = fleet(&[agent(4_000, 4_000), agent(500, 500)]).lend();
    placer.hide(&AgentId::new("a00"));
    let refused = work(1, demand(1_000, 100)).slots(&mut placer).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "1 agent: insufficient cpus (needs 1, largest has 0.5), \
         1: kept for a gang that has waited longer"
    );
}

// === properties ===

fn any_agent() -> impl Strategy<Value = Agent> {
    let amounts = (0i64..8_000, 0i64..8_000, 0i64..3, any::<bool>(), 0i64..2_000, 0u32..4);
    (amounts, 0usize..4).prop_map(|((cpus, mem, gpus, reserved, more, ports), rack)| {
        let mut agent = gpu_agent(cpus, mem, gpus.saturating_sub(1) * 1_000);
        agent.resources.push((Kind::Cpus, more, reserved));
        agent.ports = ports;
        if let Some(rack) = ["a", "b", "c"].get(rack) {
            agent.attributes.push(("rack", (*rack).to_owned()));
        }
        agent
    })
}

const ROWS: [&str; 8] = [
    "[]",
    r#"[["rack","UNIQUE"]]"#,
    r#"[["rack","CLUSTER"]]"#,
    r#"[["rack","LIKE","a|b"]]"#,
    r#"[["rack","UNLIKE","a|b"]]"#,
    r#"[["rack","GROUP_BY",3],["@hostname","MAX_PER",2]]"#,
    r#"[["@hostname","UNIQUE"]]"#,
    r#"[["rack","CLUSTER"],["@hostname","UNIQUE"]]"#,
];

fn any_work() -> impl Strategy<Value = Work> {
    let numbers = (1i64..3_000, 1i64..3_000, 0i64..4, 0u32..2, 1usize..8);
    let choices = (any::<bool>(), 0usize..2, 0usize..20, 0usize..6);
    (numbers, choices).prop_map(|((cpus, mem, gpus, ports, count), (spread, app, rows, avoid))| {
        let mut work = work(count, demand(cpus, mem));
        work.shard.gpus = Milli((gpus - 2).max(0) * 500);
        work.shard.ports = ports;
        work.executor = demand(100, 50);
        work.app = AppName::parse(["app", "other"][app]).unwrap();
        work.placement = if spread { Placement::Spread } else { Placement::BinPack };
        work.constraints = constraints(ROWS.get(rows).copied().unwrap_or("[]"));
        work.avoid = (avoid == 0).then(|| AgentId::new("a00"));
        work
    })
}

/// How many shards of an unconstrained work fit on one agent.
fn room(work: &Work, free: &Demand, runs: bool) -> usize {
    let start = if runs { Demand::default() } else { work.executor };
    let covers = |need: &Demand| {
        Kind::ALL.into_iter().all(|kind| free.of(kind) >= need.of(kind)) && free.ports >= need.ports
    };
    let mut need = start;
    (0..work.count)
        .take_while(|_| {
            need = need.plus(&work.shard);
            covers(&need)
        })
        .count()
}

/// That the shards of a work are where its constraints let them be.
fn obeys(work: &Work, slots: &[Slot], fleet: &Fleet) -> bool {
    work.constraints.iter().all(|row| {
        let values: Vec<Option<&str>> = slots
            .iter()
            .map(|slot| {
                let lease = &fleet.leases[&slot.agent];
                row.value_of(&lease.hostname, &lease.attributes)
            })
            .collect();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for value in values.iter().flatten() {
            *counts.entry(value).or_default() += 1;
        }
        let most = counts.values().max().copied().unwrap_or(0);
        let least = counts.values().min().copied().unwrap_or(0);
        use crate::document::Rule;
        values.iter().all(|value| row.admits(*value))
            && match &row.rule {
                Rule::Unique => most <= 1,
                Rule::MaxPer(limit) => most <= *limit as usize,
                Rule::Cluster(None) => counts.len() <= 1,
                Rule::GroupBy(_) => most - least <= 1,
                _ => true,
            }
    })
}

fn lacking<'a>(refusals: &'a Refusals, what: &str) -> Option<&'a Lacking> {
    refusals.lacks.iter().find(|lacking| lacking.what() == what)
}

proptest! {
    #[test]
    fn works_are_placed_whole_within_the_leases_and_can_be_undone(
        agents in prop::collection::vec(any_agent(), 0..8),
        works in prop::collection::vec((any_work(), any::<bool>()), 1..10),
    ) {
        let mut fleet = fleet(&agents);
        let before = free(&fleet);
        let leases = fleet.clone();
        let mut placer = fleet.lend();
        let mut left = before.clone();
        let mut runs = std::collections::BTreeSet::new();
        for (work, undo) in &works {
            let candidate = work.candidate();
            let Ok(placed) = placer.place(&candidate) else { continue };
            if *undo {
                placer.undo(placed);
                continue;
            }
            let slots = drawn(&mut placer, &candidate, placed);
            prop_assert_eq!(slots.len(), work.count);
            prop_assert!(obeys(work, &slots, &leases), "{:?} {:?}", work, slots);
            for slot in slots {
                let own = left.get_mut(&slot.agent).unwrap();
                let pays = runs.insert((work.app.clone(), slot.agent.clone()));
                prop_assert_eq!(slot.executor.is_some(), pays, "one executor an app and agent");
                for part in [Some(&slot.resources), slot.executor.as_ref()].into_iter().flatten() {
                    let part = Demand::of_resources(part);
                    for kind in Kind::ALL {
                        prop_assert!(part.of(kind) <= own.of(kind), "over-committed");
                    }
                    prop_assert!(part.ports <= own.ports);
                    *own = own.minus(&part);
                }
                prop_assert_eq!(Demand::of_resources(&slot.resources), work.shard);
            }
        }
        fleet.take_back(placer);
        prop_assert_eq!(free(&fleet), left);
    }

    #[test]
    fn a_useless_agent_changes_nothing(
        agents in prop::collection::vec(any_agent(), 1..8),
        works in prop::collection::vec(any_work(), 1..8),
        name in "[a-c]0[0-9]x",
    ) {
        // Too small for any shard: every one needs at least a thousandth of memory.
        let useless = make_offer(99, &name, &agent(1, 0), &[]);
        let place = |useless: Option<Offer>| {
            let mut fleet = fleet(&agents);
            if let Some(offer) = useless {
                fleet.hold(offer, Timestamp::from_millis(START_MS));
            }
            let mut placer = fleet.lend();
            works.iter().map(|work| work.slots(&mut placer).ok()).collect::<Vec<_>>()
        };
        prop_assert_eq!(place(None), place(Some(useless)));
    }

    #[test]
    fn every_reason_is_true(
        agents in prop::collection::vec(any_agent(), 0..6),
        works in prop::collection::vec(any_work(), 1..8),
    ) {
        let mut fleet = fleet(&agents);
        let mut placer = fleet.lend();
        let mut runs = std::collections::BTreeSet::new();
        let mut left = free(&self::fleet(&agents));
        for work in &works {
            let work = Work { constraints: Arc::default(), ..work.clone() };
            let fits = |agent: &AgentId, free: &Demand| {
                room(&work, free, runs.contains(&(work.app.clone(), agent.clone())))
            };
            let fits: usize = left.iter().map(|(agent, free)| fits(agent, free)).sum();
            match work.slots(&mut placer).map_err(|unplaced| (*unplaced).clone()) {
                Ok(slots) => {
                    prop_assert!(fits >= work.count);
                    for slot in slots {
                        runs.insert((work.app.clone(), slot.agent.clone()));
                        let own = left.get_mut(&slot.agent).unwrap();
                        for part in [Some(&slot.resources), slot.executor.as_ref()] {
                            *own = part.map_or(*own, |part| own.minus(&Demand::of_resources(part)));
                        }
                    }
                }
                Err(Unplaced::NoOffers) => prop_assert!(agents.is_empty()),
                Err(Unplaced::Unfit(refusals)) => {
                    prop_assert_eq!(fits, 0);
                    prop_assert_eq!(refusals.agents(), agents.len());
                    let most = left.values().map(|free| free.cpus.0).max().unwrap_or(0);
                    if let Some(cpus) = lacking(&refusals, "cpus") {
                        prop_assert!(cpus.needs > cpus.has && cpus.has <= most);
                        prop_assert!(cpus.needs >= work.shard.cpus.0);
                    }
                }
                Err(Unplaced::Gang { fits: said, count, refusals }) => {
                    prop_assert_eq!((said, count), (fits, work.count));
                    prop_assert_eq!(refusals.agents(), agents.len());
                }
                Err(Unplaced::TooLarge { .. }) => prop_assert!(false, "nobody asked for it"),
            }
        }
    }

    #[test]
    fn every_agent_is_refused_for_a_constraint_it_breaks_or_a_resource_it_lacks(
        agents in prop::collection::vec(any_agent(), 1..8),
        work in any_work(),
        hidden in prop::collection::vec(any::<bool>(), 8),
        row in 0usize..3,
    ) {
        let rows = [
            r#"[["rack","LIKE","a|b"]]"#,
            r#"[["rack","UNLIKE","a|b"]]"#,
            r#"[["rack","IS","c"]]"#,
        ];
        let work = Work { count: 1, constraints: constraints(rows[row]), ..work };
        let mut fleet = fleet(&agents);
        let leases = fleet.clone().leases;
        let mut placer = fleet.lend();
        for (agent, _) in leases.keys().zip(&hidden).filter(|(_, hidden)| **hidden) {
            placer.hide(agent);
        }
        let rule = &work.constraints[0];
        let mut breaks = 0;
        let (mut kept, mut fits) = (0, 0);
        let mut lacks: BTreeMap<&str, usize> = BTreeMap::new();
        let need = work.shard.plus(&work.executor);
        for ((_, lease), hidden) in leases.iter().zip(&hidden) {
            if !rule.admits(rule.value_of(&lease.hostname, &lease.attributes)) {
                breaks += 1;
            } else if *hidden {
                kept += 1;
            } else if let Some(lack) = lease.free.lacks(&need) {
                *lacks.entry(lack.what).or_default() += 1;
            } else {
                fits += 1;
            }
        }
        match work.slots(&mut placer).map_err(|unplaced| (*unplaced).clone()) {
            Ok(_) => prop_assert!(fits > 0),
            Err(Unplaced::Unfit(refusals)) => {
                prop_assert_eq!(fits, 0);
                prop_assert_eq!(&refusals.constraints, &vec![(rule.clone(), breaks)]);
                prop_assert_eq!(refusals.held, kept);
                for (what, agents) in lacks {
                    prop_assert_eq!(lacking(&refusals, what).map(|it| it.agents), Some(agents));
                }
                prop_assert_eq!(refusals.agents(), agents.len());
            }
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }
}
