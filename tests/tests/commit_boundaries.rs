//! For a fixed scenario with transient, failover, retry and daemon shards, the leader dies at every
//! commit boundary there is: before the commit, after it but before its effects, and after its
//! effects. Another takes over and goes on to the end. No run may be lost, none doubled, no finished
//! shard run again; the auditor watches each walk.

use std::collections::BTreeSet;

use shiftwork_tests::sim::{Boundary, ClusterKind, FIRINGS, JOBS, Walk, walk};

/// The runs that the schedules ask for.
fn expected() -> BTreeSet<String> {
    let mut runs = BTreeSet::new();
    for job in JOBS {
        for firing in 0..FIRINGS {
            runs.insert(format!("{job}@20261120T0000{}Z", 20 + 15 * firing));
        }
    }
    runs
}

fn check(name: &str, walked: &Walk) {
    if let Some(violation) = &walked.violation {
        panic!("{name}: {violation:?}\n{}", walked.story.join("\n"));
    }
    let ended: BTreeSet<String> = walked.ended.keys().cloned().collect();
    assert_eq!(ended, expected(), "{name}: each firing has one run that ends");
}

fn walk_all(cluster: ClusterKind) {
    let whole = walk(cluster, None);
    check("without a crash", &whole);
    assert!(whole.launched_again >= 5, "shards fail and are lost: {}", whole.launched_again);
    let mut walks = 0;
    for (boundary, passed) in Boundary::ALL.into_iter().zip(whole.passed) {
        assert!(passed > 30, "the scenario has commits: {passed}");
        for number in 0..passed {
            check(&format!("{boundary:?} {number}"), &walk(cluster, Some((boundary, number))));
            walks += 1;
        }
    }
    println!("{walks} crashes, one at each boundary of {:?} commits", whole.passed);
}

#[test]
fn a_leader_may_die_at_every_commit_boundary() {
    walk_all(ClusterKind::OfferSim);
}

#[test]
fn a_leader_may_die_at_every_commit_boundary_of_the_model() {
    walk_all(ClusterKind::Model);
}
