//! Messages that take their time between master and agents, connections that break at one, and
//! simulated work as whoever runs the world plans and watches it.

use offer_sim::world::{
    Deed, Distribution, Event, ExecutorPlan, Fault, Lost, StartExecutor, TaskPlan, Work,
    WorldConfig,
};
use shiftwork_proto::mesos::v1::TaskInfo;

use super::bench::{Bench, task};

/// Executors that are up at once; tasks that say that they start, run after 10 ms, and end after 50.
#[derive(Debug)]
struct Quick;

impl Work for Quick {
    fn executor(&mut self, _start: &StartExecutor) -> ExecutorPlan {
        ExecutorPlan {
            up_after_ms: Some(0),
            crash_after_ms: None,
            idle_ms: Some(1_000),
            leave_after_ms: 0,
        }
    }

    fn task(&mut self, _task: &TaskInfo) -> TaskPlan {
        TaskPlan {
            says_starting: true,
            run_after_ms: Some(10),
            end_after_ms: Some(50),
            fails: false,
            data: None,
            reports: None,
            says_killing: false,
            kill_after_ms: 0,
        }
    }
}

fn bench(link_delay: Distribution) -> Bench {
    let config = WorldConfig {
        link_delay,
        agent_ping_timeout_ms: 1_000,
        registration_backoff_ms: 100,
        ..WorldConfig::default()
    };
    let mut bench = Bench::without_agents(config);
    bench.world.set_work(Box::new(Quick));
    bench.world.watch_work();
    bench.simulate("cpus:2;mem:512");
    bench.wait(10);
    bench.subscribe("s");
    bench
}

fn launch(bench: &mut Bench) {
    let accept = bench.accept(&["O0"], vec![task("t")], Some(1_000.0));
    bench.call(accept);
}

fn updates(told: Vec<String>) -> Vec<String> {
    told.into_iter().filter(|line| line.contains("UPDATE")).collect()
}

/// What was done, a word each.
fn deeds(bench: &mut Bench) -> Vec<&'static str> {
    let word = |deed: Deed| match deed {
        Deed::Started { .. } => "started",
        Deed::Took { .. } => "took",
        Deed::Began { .. } => "began",
        Deed::Over { .. } => "over",
        Deed::Exited { .. } => "exited",
    };
    bench.world.take_deeds().into_iter().map(word).collect()
}

#[test]
fn messages_take_their_time_and_keep_their_order() {
    let mut bench = bench(Distribution::Constant(5));
    launch(&mut bench);
    assert!(deeds(&mut bench).is_empty(), "the launch is on its way");
    let told = updates(bench.wait(100));
    assert_eq!(told.len(), 1, "the next is sent when this one is acknowledged: {told:?}");
    assert!(told[0].ends_with("s UPDATE t TASK_STARTING"), "{told:?}");
    assert_eq!(deeds(&mut bench), ["started", "took", "began", "over"]);
    for state in ["TASK_RUNNING", "TASK_FINISHED"] {
        let update = bench.last_update.clone().unwrap();
        bench.acknowledge_status(&update);
        let told = updates(bench.wait(11));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].ends_with(state), "{told:?}");
    }
    bench.wait(2_000);
    assert_eq!(deeds(&mut bench), ["exited"], "it had nothing to do");
}

#[test]
fn a_launch_is_lost_with_its_connection_and_dropped_when_there_is_another() {
    let mut bench = bench(Distribution::Constant(0));
    let lose = Fault::LoseMessages { what: Lost::Launch, probability: 1.0 };
    bench.step(Event::Fault(lose));
    launch(&mut bench);
    assert_eq!(bench.world.messages_lost(Lost::Launch), 1);
    let told = bench.wait(200);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("TASK_DROPPED REASON_RECONCILIATION"), "{told:?}");
    assert!(told[1].ends_with("s FAILURE e -1"), "its executor was not there either: {told:?}");
    assert!(told[2].ends_with("OFFERS O1 S0 cpus=2 mem=512"), "all is offered again: {told:?}");
    assert!(deeds(&mut bench).is_empty());
    bench.step(Event::Fault(Fault::EndDisturbances));
    let update = bench.last_update.clone().unwrap();
    bench.acknowledge_status(&update);
    let told = bench.wait(2_000);
    assert_eq!(told, Vec::<String>::new(), "what was free once is not freed once more");
}

#[test]
fn a_task_whose_end_died_with_its_host_is_told_of() {
    let mut bench = bench(Distribution::Constant(0));
    launch(&mut bench);
    bench.wait(100);
    let agent = bench.agent_id();
    bench.step(Event::Fault(Fault::KillAgents(vec![agent])));
    let told = updates(bench.wait(10_000));
    assert!(
        told.iter().any(|line| line.contains("t TASK_UNREACHABLE REASON_AGENT_REMOVED")),
        "the framework was told only that it starts: {told:?}"
    );
}

#[test]
fn an_executor_crashes_when_somebody_wants_it() {
    let mut bench = bench(Distribution::Constant(0));
    launch(&mut bench);
    let containers: Vec<_> =
        bench.world.simulated_executors().map(|(_, container)| container.clone()).collect();
    bench.step(Event::Fault(Fault::CrashExecutor(containers[0].clone())));
    assert_eq!(deeds(&mut bench), ["started", "took", "over", "exited"]);
    let update = bench.last_update.clone().unwrap();
    bench.acknowledge_status(&update);
    let status = bench.last_update.clone().unwrap();
    assert_eq!(status.message(), "Executor terminated");
}
