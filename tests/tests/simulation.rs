//! A slice of the simulation for every test run: fixed seeds, seeds that once found something, a few
//! that nobody has seen, and worlds with deliberate defects, each of which must be found.

use std::hash::{BuildHasher, RandomState};

use shiftwork_tests::sim::{ClusterKind, Defect, Fault, Options, Outcome, shrink, simulate};

/// Seeds that once found something: `cluster seed steps what`, one a line.
const NAMED: &str = include_str!("../seeds.txt");

const CLUSTERS: [ClusterKind; 2] = [ClusterKind::OfferSim, ClusterKind::Model];

fn check(options: &Options) -> Outcome {
    let outcome = simulate(options);
    if let Some(violation) = &outcome.violation {
        let smaller = shrink(options);
        panic!(
            "{violation:?}\n{}\nagain: simulate {}\nsmaller: simulate {}\n{}",
            outcome.story.join("\n"),
            options.arguments(),
            smaller.arguments(),
            simulate(&smaller).story.join("\n"),
        );
    }
    outcome
}

fn count(outcome: &Outcome, what: &str) -> u64 {
    let found = outcome.tally.iter().find(|(name, _)| *name == what);
    found.map_or(0, |(_, count)| *count)
}

#[test]
fn a_world_without_faults_keeps_the_rules() {
    for cluster in CLUSTERS {
        for seed in 0..6 {
            let outcome = check(&Options::new(cluster, seed, 6_000).calm());
            assert_eq!(outcome.faults, [], "seed {seed}");
            assert_eq!(count(&outcome, "take-overs"), 1, "seed {seed}");
            assert!(count(&outcome, "runs ended") > 0, "seed {seed}: something ran");
        }
    }
}

#[test]
fn worlds_with_faults_keep_the_rules() {
    for cluster in CLUSTERS {
        let mut faults = std::collections::BTreeSet::new();
        for seed in 0..24 {
            let outcome = check(&Options::new(cluster, seed, 10_000));
            faults.extend(outcome.faults.iter().map(|(fault, _)| *fault));
        }
        let never: Vec<Fault> =
            Fault::of(cluster).into_iter().filter(|fault| !faults.contains(fault)).collect();
        assert!(never.len() <= 1, "every kind of fault came but perhaps the rarest: {never:?}");
    }
}

#[test]
fn seeds_that_once_found_something_find_nothing_now() {
    for line in NAMED.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let cluster = words.next().and_then(ClusterKind::named);
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
        let (Some(cluster), Some(seed), Some(steps)) = (cluster, number(), number()) else {
            panic!("not `cluster seed steps what`: {line}");
        };
        check(&Options::new(cluster, seed, steps));
    }
}

#[test]
fn seeds_that_nobody_has_seen_keep_the_rules() {
    let first = RandomState::new().hash_one("fresh seeds");
    for (cluster, count) in [(ClusterKind::OfferSim, 6), (ClusterKind::Model, 2)] {
        for seed in (first..).take(count) {
            let name = cluster.name();
            println!("fresh: simulate --cluster {name} --seed {seed} --steps 10000");
            check(&Options::new(cluster, seed, 10_000));
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_world() {
    for cluster in CLUSTERS {
        let options = Options::new(cluster, 3, 5_000);
        let (first, second) = (simulate(&options), simulate(&options));
        assert_eq!(first.simulated_ms, second.simulated_ms);
        assert_eq!(first.tally, second.tally);
        assert_eq!(first.faults, second.faults);
    }
}

/// The checks are checked: what is wrong on purpose is found, and soon.
#[test]
fn every_deliberate_defect_is_found() {
    /// Some defects show only when a fault comes at the very moment; the first find ends the search.
    const SEEDS_MAX: u64 = 200;
    let cluster = ClusterKind::OfferSim;
    for defect in Defect::ALL {
        let found = (0..SEEDS_MAX).find_map(|seed| {
            let options = Options::new(cluster, seed, 4_000).with(defect);
            Some((seed, simulate(&options).violation?))
        });
        let Some((seed, violation)) = found else {
            panic!("{defect:?} is not found in {SEEDS_MAX} seeds");
        };
        println!("{defect:?}: seed {seed}, step {}: {}", violation.step, violation.invariant);
    }
}
