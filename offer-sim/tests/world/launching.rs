//! Launches: to a new executor, to one that runs, and those that are invalid.

use offer_sim::world::WorldConfig;
use shiftwork_proto::mesos::v1::{
    AgentId, CommandInfo, FrameworkInfo, Resource, TaskInfo, TaskState,
};

use super::bench::{Bench, cpus, executor_info, info, task};

/// A bench whose framework `s` has offer O0 of two processors.
fn bench() -> Bench {
    let mut bench = Bench::with(WorldConfig::default(), "cpus:2");
    bench.subscribe("s");
    bench
}

/// What one invalid task is answered.
fn refusal(change: impl FnOnce(&mut TaskInfo)) -> String {
    let mut task = task("t");
    change(&mut task);
    let mut told = bench().launch(&["O0"], vec![task]);
    assert_eq!(told.len(), 1, "nothing is started: {told:?}");
    told.remove(0)
}

#[test]
fn tasks_wait_for_their_executor_and_then_come_in_order() {
    let mut bench = bench();
    assert_eq!(bench.launch(&["O0"], vec![task("a"), task("b")]), ["start e"]);
    assert_eq!(bench.executor("x", "e"), ["x SUBSCRIBED", "x LAUNCH a", "x LAUNCH b"]);
}

#[test]
fn a_further_task_goes_to_the_executor_that_runs_and_charges_it_once() {
    let mut bench = bench();
    let accept = bench.accept(&["O0"], vec![task("a")], Some(0.0));
    bench.call(accept);
    bench.executor("x", "e");
    assert_eq!(bench.wait(1_000), ["1000: s OFFERS O1 S0 cpus=1 with e"]);
    let accept = bench.accept(&["O1"], vec![task("b")], Some(0.0));
    assert_eq!(bench.call(accept), ["x LAUNCH b"]);
    assert_eq!(bench.wait(1_000), ["2000: s OFFERS O2 S0 cpus=0.5 with e"]);
}

#[test]
fn a_command_needs_no_executor() {
    let mut bench = bench();
    let command = CommandInfo { value: Some("true".to_owned()), ..CommandInfo::default() };
    let task = TaskInfo { executor: None, command: Some(command), ..task("t") };
    assert_eq!(bench.launch(&["O0"], vec![task]), ["start t"]);
    bench.executor("x", "t");
    bench.report("t", ("t", TaskState::TaskFinished, 1));
    bench.acknowledge("t", 1);
    assert_eq!(bench.exit(0, 0), ["x closed"], "the master does not know of it");
}

#[test]
fn invalid_tasks_are_told_as_a_master_tells_them() {
    let error = "s UPDATE t TASK_ERROR REASON_TASK_INVALID: ";
    let mut unallocated: Vec<Resource> = vec![cpus(0.5)];
    unallocated[0].allocation_info = None;
    for (told, rest) in [
        (
            refusal(|task| task.resources = vec![cpus(400.0)]),
            "Total resources cpus(allocated: *):400.5 required by task and its executor is more \
             than available cpus(allocated: *):2",
        ),
        (
            refusal(|task| task.resources.clone_from(&unallocated)),
            "Total resources cpus:0.5; cpus(allocated: *):0.5 required by task and its executor \
             is more than available cpus(allocated: *):2",
        ),
        (refusal(|task| task.resources.clear()), "Task uses no resources"),
        (
            refusal(|task| task.resources[0].scalar.as_mut().unwrap().value = -1.0),
            "Task uses invalid resources: cpus is -1; a scalar must be between 0 and 1e15",
        ),
        (
            refusal(|task| task.executor = None),
            "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present",
        ),
        (
            refusal(|task| task.executor.as_mut().unwrap().command = None),
            "'ExecutorInfo.command' must be set for 'CUSTOM' executor",
        ),
    ] {
        assert_eq!(told, format!("{error}{rest}"));
    }
    let told = refusal(|task| task.task_id.value = "../t".to_owned());
    assert!(told.contains("TaskID '../t' is invalid"), "{told}");
    let told = refusal(|task| task.agent_id = AgentId { value: "other".to_owned() });
    assert!(told.contains("Task uses invalid agent other while agent"), "{told}");
}

#[test]
fn an_id_is_taken_once() {
    let mut bench = bench();
    let told = bench.launch(&["O0"], vec![task("t"), task("t")]);
    let duplicate = "s UPDATE t TASK_ERROR REASON_TASK_INVALID: Task has duplicate ID: t";
    assert_eq!(told, [duplicate, "start e"]);
}

#[test]
fn an_executor_that_differs_from_the_running_one_is_refused() {
    let mut bench = bench();
    let accept = bench.accept(&["O0"], vec![task("a")], Some(0.0));
    bench.call(accept);
    bench.wait(1_000);
    let mut executor = executor_info("e");
    executor.resources = vec![cpus(0.25)];
    let other = TaskInfo { executor: Some(executor), ..task("b") };
    let told = bench.launch(&["O1"], vec![other]);
    assert_eq!(
        told,
        ["s UPDATE b TASK_ERROR REASON_TASK_INVALID: ExecutorInfo is not compatible with \
          existing ExecutorInfo with same ExecutorID."]
    );
}

#[test]
fn offers_of_two_agents_cannot_be_used_together() {
    let mut bench = Bench::new();
    bench.agent("cpus:1");
    bench.subscribe("s");
    let told = bench.launch(&["O0", "O1"], vec![task("t")]);
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with(
            "s UPDATE t TASK_DROPPED REASON_INVALID_OFFERS: Task launched with invalid offers: \
             Aggregated offers must belong to one single agent."
        ),
        "{}",
        told[0]
    );
    let back = ["1000: s OFFERS O2 S0 cpus=2 mem=512 | O3 S1 cpus=1"];
    assert_eq!(bench.wait(1_000), back, "both are used up and offered anew");
}

#[test]
fn a_framework_that_knows_no_partitions_is_told_lost() {
    let mut bench = Bench::new();
    let old = FrameworkInfo { roles: Vec::new(), capabilities: Vec::new(), ..info() };
    assert_eq!(bench.subscribe_as("s", old)[2], "s OFFERS O0 S0 cpus=2 mem=512");
    let told = bench.launch(&["O9"], vec![task("t")]);
    assert!(told[0].starts_with("s UPDATE t TASK_LOST REASON_INVALID_OFFERS"), "{told:?}");
    // It need not say what its resources are allocated to.
    let mut plain = task("u");
    plain.resources[0].allocation_info = None;
    plain.executor.as_mut().unwrap().resources[0].allocation_info = None;
    assert_eq!(bench.launch(&["O0"], vec![plain]), ["start e"]);
}
