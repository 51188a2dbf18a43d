//! Status updates: kept, sent again, acknowledged, asked for.

use shiftwork_proto::mesos::v1::TaskState;

use super::bench::{Bench, task};

/// A bench with task `t` of executor `e` (stream `x`) given to it, and nothing else offered.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.subscribe("s");
    let accept = bench.accept(&["O0"], vec![task("t")], Some(1_000.0));
    bench.call(accept);
    bench.executor("x", "e");
    bench
}

#[test]
fn an_update_is_kept_then_answered_then_forwarded() {
    let mut bench = bench();
    assert_eq!(
        bench.report("e", ("t", TaskState::TaskRunning, 1)),
        ["keep #0 t TASK_RUNNING", "x ACKNOWLEDGED t", "s UPDATE t TASK_RUNNING"]
    );
    assert_eq!(bench.acknowledge("t", 1), ["forget #0 1"]);
    assert!(bench.wait(14_000).is_empty(), "an acknowledged update is not sent again");
}

#[test]
fn the_next_update_waits_for_the_acknowledgement_of_the_one_before() {
    let mut bench = bench();
    bench.report("e", ("t", TaskState::TaskRunning, 1));
    assert_eq!(
        bench.report("e", ("t", TaskState::TaskFinished, 2)),
        ["keep #0 t TASK_FINISHED", "x ACKNOWLEDGED t"]
    );
    assert!(bench.acknowledge("t", 2).is_empty(), "it was not sent yet");
    assert_eq!(bench.acknowledge("t", 1), ["forget #0 1", "s UPDATE t TASK_FINISHED"]);
    assert_eq!(bench.acknowledge("t", 2), ["forget #0 2"]);
    assert_eq!(
        bench.reconcile(&[("t", Some("S0"))]),
        [
            "s UPDATE t TASK_GONE REASON_RECONCILIATION: Reconciliation: Task is unknown to the agent"
        ]
    );
}

#[test]
fn an_unacknowledged_update_comes_again_ever_later() {
    let mut bench = bench();
    bench.report("e", ("t", TaskState::TaskRunning, 1));
    let again: Vec<String> =
        bench.wait(75_000).into_iter().filter(|line| !line.ends_with("HEARTBEAT")).collect();
    assert_eq!(
        again,
        [
            "10000: s UPDATE t TASK_RUNNING",
            "30000: s UPDATE t TASK_RUNNING",
            "70000: s UPDATE t TASK_RUNNING"
        ]
    );
}

#[test]
fn an_update_the_executor_sends_again_is_only_answered() {
    let mut bench = bench();
    bench.report("e", ("t", TaskState::TaskRunning, 1));
    let again = ["x ACKNOWLEDGED t"];
    assert_eq!(bench.report("e", ("t", TaskState::TaskRunning, 1)), again);
    bench.acknowledge("t", 1);
    assert_eq!(bench.report("e", ("t", TaskState::TaskRunning, 1)), again, "also afterwards");
    bench.report("e", ("t", TaskState::TaskFinished, 2));
    let late = bench.report("e", ("t", TaskState::TaskRunning, 3));
    assert_eq!(late, again, "nothing follows the end");
}

#[test]
fn resources_are_free_once_the_master_hears_of_the_end() {
    let mut bench = bench();
    bench.report("e", ("t", TaskState::TaskRunning, 1));
    bench.report("e", ("t", TaskState::TaskFinished, 2));
    // The end waits behind RUNNING; sent again at 10 s, that says what the task has come to.
    let told = bench.wait(11_000);
    assert_eq!(told[0], "10000: s UPDATE t TASK_RUNNING");
    assert!(told[1].starts_with("11000: s OFFERS O1 S0 cpus=1.5"), "{told:?}");
}

#[test]
fn reconciliation_tells_what_is_known() {
    let mut bench = bench();
    let state = |state: &str| {
        format!("s UPDATE t {state} REASON_RECONCILIATION: Reconciliation: Latest task state")
    };
    assert_eq!(bench.reconcile(&[]), [state("TASK_STAGING")]);
    bench.report("e", ("t", TaskState::TaskRunning, 1));
    assert_eq!(bench.reconcile(&[("t", None)]), [state("TASK_RUNNING")]);
    bench.acknowledge("t", 1);
    assert_eq!(
        bench.reconcile(&[("u", Some("S0")), ("v", None), ("w", Some("S9"))]),
        [
            "s UPDATE u TASK_GONE REASON_RECONCILIATION: Reconciliation: Task is unknown to the \
             agent",
            "s UPDATE v TASK_UNKNOWN REASON_RECONCILIATION: Reconciliation: Task is unknown",
            "s UPDATE w TASK_UNKNOWN REASON_RECONCILIATION: Reconciliation: Task is unknown",
        ]
    );
    bench.report("e", ("t", TaskState::TaskFinished, 2));
    assert!(bench.reconcile(&[]).is_empty(), "a task that ended is not listed");
    assert_eq!(bench.reconcile(&[("t", None)]), [state("TASK_FINISHED")]);
}

#[test]
fn a_kill_goes_to_the_executor_or_is_answered() {
    let mut bench = bench();
    assert_eq!(bench.kill("t"), ["x KILL t"]);
    assert_eq!(
        bench.kill("never-heard"),
        ["s UPDATE never-heard TASK_UNKNOWN REASON_RECONCILIATION: Reconciliation: Task is \
          unknown"]
    );
}
