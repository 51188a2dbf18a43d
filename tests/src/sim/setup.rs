//! How a world is laid out: its machines, the habits of its work, its schedulers, its users. Drawn
//! from the seed, or fixed for the walk through all commit boundaries.

use super::cluster::{Amounts, Habits};
use super::defects::Defect;
use super::documents::Shape;
use super::faults::{Fault, Faults};
use super::options::{ClusterKind, Options};
use super::users::Users;
use crate::random::Random;

/// Everything that is decided before the first thing happens.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) cluster: ClusterKind,
    pub(crate) machines: Vec<Amounts>,
    pub(crate) habits: Habits,
    /// By how much each scheduler's clock is off, milliseconds.
    pub(crate) clocks: Vec<i64>,
    pub(crate) users: Users,
    pub(crate) faults: Faults,
    /// The largest transaction that the registry takes, bytes.
    pub(crate) transaction_bytes: usize,
    pub(crate) defect: Option<Defect>,
    /// For all that happens by chance later on.
    pub(crate) random: Random,
}

// === impl Setup ===

impl Setup {
    /// From the seed.
    pub(crate) fn drawn(options: &Options) -> Self {
        let mut random = Random::new(options.seed);
        let mut own = random.fork();
        let faults = Faults::new(&mut random.fork(), &options.faults);
        let machines: Vec<Amounts> = (0..own.between(2, 8)).map(|_| machine(&mut own)).collect();
        let shape = Shape {
            machines: machines.len() as u64,
            gpus: machines.iter().filter(|machine| machine.has_gpus()).count() as u64,
            commands: matches!(options.cluster, ClusterKind::OfferSim),
        };
        let habits = Habits {
            work_mean_ms: *own.pick(&[300.0, 2_000.0, 10_000.0, 20_000.0]),
            failing: *own.pick(&[0.0, 0.02, 0.2]),
            stuck: *own.pick(&[0.0, 0.0, 0.003]),
            idle_ms: *own.pick(&[30_000, 600_000]),
            health_ms: *own.pick(&[20_000, 75_000]),
            offer_timeout_ms: *own.pick(&[60_000, 600_000]),
        };
        let skewed = options.faults.contains(&Fault::ClockForward);
        let count = *own.pick(&[1, 2, 3]);
        let clocks = (0..count).map(|_| if skewed { own.between(-2_000, 2_000) } else { 0 });
        Self {
            cluster: options.cluster,
            machines,
            habits,
            clocks: clocks.collect(),
            users: Users::new(random.fork(), options.jobs_max, shape),
            faults,
            transaction_bytes: *own.pick(&TRANSACTION_BYTES),
            defect: options.defect,
            random,
        }
    }

    /// Three machines, two schedulers, work of which some fails, and users with a list.
    pub(crate) fn fixed(cluster: ClusterKind, users: Users) -> Self {
        /// Any seed will do whose work fails now and then.
        const SEED: u64 = 11;
        let mut random = Random::new(SEED);
        let habits = Habits {
            work_mean_ms: 2_000.0,
            failing: 0.25,
            stuck: 0.0,
            idle_ms: 600_000,
            health_ms: 10_000,
            offer_timeout_ms: 600_000,
        };
        Self {
            cluster,
            machines: vec![Amounts::new(4_000, 8_000_000); 3],
            habits,
            clocks: vec![0, 0],
            users,
            faults: Faults::new(&mut random, &[]),
            transaction_bytes: TRANSACTION_BYTES[0],
            defect: None,
            random,
        }
    }
}

/// The largest transaction, bytes: the real limit, which no world of this size reaches, in most of
/// them; in some so little that large steps are split.
const TRANSACTION_BYTES: [usize; 4] = [1_000_000, 1_000_000, 20_000, 4_000];

/// A machine of some size, on which a part may be reserved.
fn machine(random: &mut Random) -> Amounts {
    let (cpus, mem) = (*random.pick(&[4_000, 8_000]), *random.pick(&[8_000_000, 16_000_000]));
    let all = Amounts::new(cpus, mem).with(
        10_000_000,
        *random.pick(&[0, 0, Shape::GPUS * 1_000]),
        random.between(Shape::PORTS.into(), 64) as u32,
    );
    if random.chance(0.7) {
        return all;
    }
    all.reserving(random.between(1, 2_000), random.between(1, 4_000) * 1_000, random.next())
}
