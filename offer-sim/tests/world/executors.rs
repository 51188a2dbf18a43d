//! Executors: their start, their end by themselves and by request, and what is left of them.

use offer_sim::world::{Event, StreamId};
use shiftwork_proto::mesos::v1::TaskState;

use super::bench::{Bench, task};

/// A bench with task `t` of executor `e` (stream `x`) running and acknowledged.
fn bench() -> Bench {
    let mut bench = starting();
    bench.executor("x", "e");
    bench.report("e", ("t", TaskState::TaskRunning, 1));
    bench.acknowledge("t", 1);
    bench
}

/// The same before the executor has subscribed.
fn starting() -> Bench {
    let mut bench = Bench::new();
    bench.subscribe("s");
    let accept = bench.accept(&["O0"], vec![task("t")], Some(1_000.0));
    bench.call(accept);
    bench
}

const FAILED: &str = "s UPDATE t TASK_FAILED REASON_EXECUTOR_TERMINATED: Executor terminated";

#[test]
fn an_executor_that_ends_fails_its_tasks_and_frees_what_it_held() {
    let mut bench = bench();
    assert_eq!(
        bench.exit(0, 1792),
        ["x closed", "keep #0 t TASK_FAILED", "s FAILURE e 1792", FAILED]
    );
    assert_eq!(bench.wait(1_000), ["1000: s OFFERS O1 S0 cpus=2 mem=512"]);
}

#[test]
fn an_executor_without_tasks_ends_quietly() {
    let mut bench = bench();
    bench.report("e", ("t", TaskState::TaskFinished, 2));
    bench.acknowledge("t", 2);
    assert_eq!(bench.exit(0, 0), ["x closed", "s FAILURE e 0"]);
    assert_eq!(bench.world.executors_alive(&bench.agent_id()), 0);
}

#[test]
fn shutdown_is_asked_for_and_enforced_after_the_grace() {
    let mut bench = bench();
    assert_eq!(bench.shutdown("e"), ["x SHUTDOWN"]);
    assert!(bench.shutdown("e").is_empty(), "once is enough");
    assert_eq!(bench.wait(10_000), ["5000: kill #0"]);
    assert_eq!(bench.exit(0, 9)[2], "s FAILURE e 9");
}

#[test]
fn an_executor_that_does_not_subscribe_is_killed() {
    let mut bench = starting();
    let told = bench.wait(60_000);
    assert_eq!(told.last().map(String::as_str), Some("60000: kill #0"));
    assert_eq!(
        bench.exit(0, 9),
        [
            "keep #0 t TASK_FAILED",
            "s FAILURE e 9",
            "s UPDATE t TASK_FAILED REASON_EXECUTOR_REGISTRATION_TIMEOUT: Executor did not \
             register within 60secs"
        ]
    );
}

#[test]
fn an_executor_that_cannot_start_says_why() {
    let mut bench = starting();
    let event = Event::ExecutorNotStarted {
        agent: bench.agent_id(),
        container: bench.container(0),
        why: "no such file".to_owned(),
    };
    assert_eq!(
        bench.step(event),
        [
            "keep #0 t TASK_FAILED",
            "s FAILURE e -1",
            "s UPDATE t TASK_FAILED REASON_CONTAINER_LAUNCH_FAILED: Failed to launch container: \
             no such file"
        ]
    );
}

#[test]
fn a_name_is_taken_until_all_of_its_updates_are_acknowledged() {
    let mut bench = bench();
    bench.exit(0, 0);
    bench.wait(1_000);
    // TASK_FAILED is not acknowledged: the agent still has the old executor.
    assert_eq!(
        bench.launch(&["O1"], vec![task("u")]),
        [
            "s FAILURE e -1",
            "s UPDATE u TASK_DROPPED REASON_EXECUTOR_TERMINATED: Master wants to launch \
             executor, but one already exists"
        ]
    );
}

#[test]
fn a_task_killed_before_its_executor_came_up_never_reaches_it() {
    let mut bench = starting();
    assert_eq!(
        bench.kill("t"),
        [
            "keep #0 t TASK_KILLED",
            "s UPDATE t TASK_KILLED REASON_TASK_KILLED_DURING_LAUNCH: Killed before delivery to \
             the executor"
        ]
    );
    let told = bench.executor("x", "e");
    assert_eq!(told, ["x SUBSCRIBED", "x SHUTDOWN"], "it has nothing to do");
}

#[test]
fn launches_wait_while_a_stream_is_broken() {
    let mut bench = bench();
    bench.decline("O0", None);
    let agent = bench.agent_id();
    bench.step(Event::ExecutorGone { agent, stream: StreamId::from("x") });
    bench.simple(shiftwork_proto::mesos::v1::scheduler::call::Type::Revive);
    assert!(bench.launch(&["O1"], vec![task("u")]).is_empty());
    assert_eq!(bench.executor("y", "e"), ["y SUBSCRIBED", "y LAUNCH u"]);
    assert_eq!(bench.executor("z", "e"), ["y closed", "z SUBSCRIBED"], "the newest stream wins");
}

#[test]
fn an_agent_that_leaves_asks_its_executors_and_says_nothing_of_their_end() {
    let mut bench = bench();
    let agent = bench.agent_id();
    assert_eq!(bench.step(Event::DrainAgent { agent }), ["x SHUTDOWN"]);
    assert_eq!(bench.wait(5_000), ["5000: kill #0"]);
    assert_eq!(bench.exit(0, 9), ["x closed"]);
}
