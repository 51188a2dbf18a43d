//! What is launched on offers never exceeds them, whatever the order in which offers come and go,
//! tasks end and executors die; and the shards of a run start together.

use proptest::prelude::*;

use super::*;
use crate::ids::ExecutorId;

/// Something that happens.
#[derive(Debug, Clone)]
enum Step {
    Offer { agent: usize, cpus: i64, mem: i64, reserved: i64 },
    Rescind(usize),
    Exit(usize),
    Lost(usize),
    ExecutorGone(usize),
    Wait(i64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..4, 0i64..5_000, 0i64..2_000, 0i64..1_500).prop_map(
            |(agent, cpus, mem, reserved)| Step::Offer { agent, cpus, mem, reserved }
        ),
        1 => (0usize..8).prop_map(Step::Rescind),
        2 => (0usize..8).prop_map(Step::Exit),
        1 => (0usize..8).prop_map(Step::Lost),
        1 => (0usize..4).prop_map(Step::ExecutorGone),
        2 => (1i64..12_000).prop_map(Step::Wait),
    ]
}

type Amounts = BTreeMap<(Kind, bool), i64>;

/// The master's books.
#[derive(Default)]
struct Books {
    offers: BTreeMap<OfferId, (AgentId, Amounts)>,
    executors: BTreeMap<AgentId, Vec<ExecutorId>>,
    tasks: Vec<TaskId>,
    made: usize,
}

fn add(sums: &mut Amounts, resources: &Resources, sign: i64) {
    for piece in &resources.pieces {
        *sums.entry((piece.kind, piece.origin.reserved)).or_default() += sign * piece.amount.0;
    }
}

impl Books {
    fn offer(&mut self, agent: usize, cpus: i64, mem: i64, reserved: i64) -> Offer {
        let agent = AgentId::new(format!("a{agent}"));
        self.made += 1;
        let id = OfferId::new(format!("o{}", self.made));
        let mut resources = Resources::default();
        for (kind, amount, reserved) in [
            (Kind::Cpus, cpus, false),
            (Kind::Mem, mem * 1000, false),
            (Kind::Cpus, reserved, true),
        ] {
            let wire: &[u8] = if reserved { b"r" } else { b"" };
            let origin = Arc::new(Origin { role: "*".into(), reserved, wire: wire.into() });
            resources.add(Piece { kind, amount: Milli(amount), origin });
        }
        let mut amounts = Amounts::new();
        add(&mut amounts, &resources, 1);
        self.offers.insert(id.clone(), (agent.clone(), amounts));
        let executors = self.executors.get(&agent).cloned().unwrap_or_default();
        let hostname = agent.to_string();
        let (attributes, unavailability) = (Vec::new(), None);
        Offer { id, agent, hostname, resources, attributes, executors, unavailability }
    }

    /// Carries out what a turn did; panics where it used what was not offered.
    fn audit(&mut self, turn: &Turn) {
        let mut started: BTreeMap<&RunId, (usize, u32)> = BTreeMap::new();
        for action in &turn.actions {
            match action {
                Action::Accept { agent, offers, launches } => {
                    let mut left = Amounts::new();
                    for offer in offers {
                        let (of, amounts) = self.offers.remove(offer).expect("an offer we made");
                        assert_eq!(of, *agent);
                        for (key, amount) in amounts {
                            *left.entry(key).or_default() += amount;
                        }
                    }
                    for launch in launches {
                        add(&mut left, &launch.resources, -1);
                        let executors = self.executors.entry(agent.clone()).or_default();
                        if !executors.contains(&launch.executor.id) {
                            add(&mut left, &launch.executor.resources, -1);
                            executors.push(launch.executor.id.clone());
                        }
                        self.tasks.push(launch.task.clone());
                        if launch.attempt == 1 {
                            let total = launch.job.sharding_total_count;
                            started.entry(&launch.run).or_insert((0, total)).0 += 1;
                        }
                    }
                    assert!(left.values().all(|left| *left >= 0), "over-committed: {left:?}");
                }
                Action::Decline { offers, .. } => {
                    for offer in offers {
                        assert!(self.offers.remove(offer).is_some(), "an offer we made");
                    }
                }
                _ => {}
            }
        }
        for (run, (shards, total)) in started {
            assert_eq!(shards, total as usize, "{run} was not started whole");
        }
    }

    fn act(&mut self, world: &mut World, step: &Step) -> Turn {
        match *step {
            Step::Offer { agent, cpus, mem, reserved } => {
                let offer = self.offer(agent, cpus, mem, reserved);
                world.turn(Event::Offers(vec![offer]))
            }
            Step::Rescind(index) => match self.offers.keys().nth(index).cloned() {
                Some(offer) => {
                    self.offers.remove(&offer);
                    world.turn(Event::Rescinded(offer))
                }
                None => Turn::default(),
            },
            Step::Exit(index) | Step::Lost(index) if index >= self.tasks.len() => Turn::default(),
            Step::Exit(index) => {
                let task = self.tasks.remove(index);
                world.exit(&task, 0)
            }
            Step::Lost(index) => {
                let task = self.tasks.remove(index);
                world.status(&task, TaskState::Lost)
            }
            Step::ExecutorGone(agent) => {
                let agent = AgentId::new(format!("a{agent}"));
                match self.executors.get_mut(&agent).and_then(Vec::pop) {
                    Some(executor) => {
                        world.turn(Event::Failure { agent, executor: Some(executor) })
                    }
                    None => Turn::default(),
                }
            }
            Step::Wait(millis) => world.wait(millis),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_offer_is_over_committed_or_used_twice(
        steps in prop::collection::vec(any_step(), 1..60),
    ) {
        let mut world = World::with_app();
        let other = br#"{"appName":"other","cpuCount":0.3,"memoryMB":64}"#.to_vec();
        world.command(Command::CreateApp { document: other }).unwrap();
        world.job("small", r#""shardingTotalCount":1,"cpuCount":0.5"#);
        world.job("gang", r#""shardingTotalCount":4,"failover":true"#);
        world.job("wide", r#""shardingTotalCount":3,"placement":"spread","appName":"other""#);
        world.job("apart", r#""shardingTotalCount":2,"constraints":[["@hostname","UNIQUE"]]"#);
        let mut books = Books::default();
        for step in &steps {
            let turn = books.act(&mut world, step);
            books.audit(&turn);
        }
        world.assert_durable();
    }
}
