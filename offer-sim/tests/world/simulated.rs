//! Simulated agents: their executors subscribe, run their tasks and end them as distributions say,
//! the same for the same seed.

use offer_sim::world::{Distribution, Workload, WorldConfig};

use super::bench::{Bench, task};

fn bench(workload: Workload) -> Bench {
    let mut bench = Bench::without_agents(WorldConfig::default());
    bench.world.set_workload(workload);
    bench.simulate("cpus:8;mem:512");
    bench.subscribe("s");
    bench
}

fn updates(told: &[String]) -> Vec<String> {
    told.iter()
        .filter(|line| line.contains("UPDATE") || line.contains("FAILURE"))
        .cloned()
        .collect()
}

#[test]
fn a_task_takes_its_time_and_finishes() {
    let mut bench = bench(Workload::default());
    let accept = bench.accept(&["O0"], vec![task("t")], Some(1_000.0));
    assert!(bench.call(accept).is_empty(), "nobody outside is to start anything");
    let told = bench.wait(300);
    assert_eq!(updates(&told), ["100: s UPDATE t TASK_RUNNING"]);
    let update = bench.last_update.clone().unwrap();
    bench.acknowledge_status(&update);
    let told = bench.wait(10_000);
    assert_eq!(updates(&told), ["10100: s UPDATE t TASK_FINISHED"]);
    let told = bench.shutdown("e");
    assert!(told[0].starts_with("s FAILURE e 0"), "{told:?}");
}

#[test]
fn a_task_is_killed_when_asked_also_one_that_runs_for_ever() {
    let run_forever = vec!["daemon".to_owned()];
    let mut bench = bench(Workload { run_forever, ..Workload::default() });
    let accept = bench.accept(&["O0"], vec![task("daemon-1")], Some(10_000.0));
    bench.call(accept);
    bench.wait(200);
    let update = bench.last_update.clone().unwrap();
    bench.acknowledge_status(&update);
    assert!(updates(&bench.wait(1_000_000)).is_empty());
    assert_eq!(updates(&bench.kill("daemon-1")), ["s UPDATE daemon-1 TASK_KILLING"]);
    let update = bench.last_update.clone().unwrap();
    let told = bench.acknowledge_status(&update);
    assert_eq!(updates(&told), ["s UPDATE daemon-1 TASK_KILLED"]);
}

#[test]
fn tasks_fail_and_executors_crash_at_the_rate_asked_for() {
    let mut failing = bench(Workload { failure_rate: 1.0, ..Workload::default() });
    let accept = failing.accept(&["O0"], vec![task("t")], Some(1_000.0));
    failing.call(accept);
    failing.wait(200);
    let update = failing.last_update.clone().unwrap();
    failing.acknowledge_status(&update);
    assert_eq!(updates(&failing.wait(10_000)), ["10100: s UPDATE t TASK_FAILED"]);

    let executor_lifetime = Distribution::Constant(3_000);
    let mut crashing = bench(Workload { executor_lifetime, ..Workload::default() });
    let accept = crashing.accept(&["O0"], vec![task("t")], Some(1_000.0));
    crashing.call(accept);
    crashing.wait(200);
    let update = crashing.last_update.clone().unwrap();
    crashing.acknowledge_status(&update);
    assert_eq!(
        updates(&crashing.wait(5_000)),
        [
            "3100: s FAILURE e 256",
            "3100: s UPDATE t TASK_FAILED REASON_EXECUTOR_TERMINATED: Executor terminated"
        ]
    );
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let story = || {
        let workload = Workload {
            start_delay: Distribution::Uniform(10, 500),
            task_duration: Distribution::Exponential(2_000),
            failure_rate: 0.3,
            ..Workload::default()
        };
        let mut bench = bench(workload);
        let tasks = (0..10).map(|number| task(&format!("t{number}"))).collect();
        let accept = bench.accept(&["O0"], tasks, Some(1_000.0));
        bench.call(accept);
        bench.wait(60_000)
    };
    let told = story();
    assert_eq!(told, story());
    assert!(told.len() > 20, "{told:?}");
}

#[test]
fn two_frameworks_share_what_is_free() {
    let mut bench = Bench::without_agents(WorldConfig::default());
    bench.subscribe("first");
    bench.subscribe("second");
    let offered: Vec<String> = (0..4).flat_map(|_| bench.simulate("cpus:2;mem:512")).collect();
    let to = |stream: &str| offered.iter().filter(|line| line.starts_with(stream)).count();
    assert_eq!((to("first"), to("second")), (2, 2), "{offered:?}");
}
