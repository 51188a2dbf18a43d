//! Frameworks: gone for a while, taken over, torn down, given up, refused.

use offer_sim::world::{Event, StreamId};
use shiftwork_proto::mesos::v1::scheduler::call;
use shiftwork_proto::mesos::v1::{FrameworkId, FrameworkInfo, TaskState};

use super::bench::{Bench, info, task};

/// A bench with task `t` of executor `e` (stream `x`) running and acknowledged.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.subscribe("s");
    let accept = bench.accept(&["O0"], vec![task("t")], Some(0.0));
    bench.call(accept);
    bench.executor("x", "e");
    bench.report("e", ("t", TaskState::TaskRunning, 1));
    bench.acknowledge("t", 1);
    bench
}

fn again(bench: &Bench, stream: &str) -> (String, FrameworkInfo) {
    let id = FrameworkId { value: bench.full("0000") };
    (stream.to_owned(), FrameworkInfo { id: Some(id), ..info() })
}

#[test]
fn a_second_subscription_takes_over() {
    let mut bench = bench();
    bench.wait(1_000);
    let (stream, info) = again(&bench, "s2");
    assert_eq!(
        bench.subscribe_as(&stream, info),
        [
            "s ERROR Framework failed over",
            "s closed",
            "s2 SUBSCRIBED 0000",
            "s2 HEARTBEAT",
            "s2 OFFERS O2 S0 cpus=1 mem=512 with e"
        ]
    );
    assert_eq!(
        bench.reconcile(&[]),
        ["s2 UPDATE t TASK_RUNNING REASON_RECONCILIATION: Reconciliation: Latest task state"]
    );
}

#[test]
fn tasks_outlive_a_broken_stream_for_the_failover_timeout() {
    let mut bench = bench();
    bench.wait(1_000);
    assert!(bench.step(Event::SchedulerGone { stream: StreamId::from("s") }).is_empty());
    assert!(
        bench.report("e", ("t", TaskState::TaskRunning, 2)).contains(&"x ACKNOWLEDGED t".into())
    );
    assert!(bench.wait(30_000).is_empty(), "nobody is there to hear");
    let (stream, info) = again(&bench, "s2");
    let told = bench.subscribe_as(&stream, info);
    assert_eq!(told[2], "s2 OFFERS O2 S0 cpus=1 mem=512 with e", "{told:?}");
    assert!(bench.wait(45_000).contains(&"71000: s2 UPDATE t TASK_RUNNING".into()));
}

#[test]
fn a_framework_that_stays_away_is_given_up() {
    let mut bench = bench();
    bench.step(Event::SchedulerGone { stream: StreamId::from("s") });
    // Its executor is asked to leave at 60 s and killed at 65.
    assert_eq!(bench.wait(70_000), ["60000: x SHUTDOWN", "65000: kill #0"]);
    assert_eq!(bench.exit(0, 9), ["x closed"]);
    let (stream, info) = again(&bench, "s2");
    assert_eq!(
        bench.subscribe_as(&stream, info),
        ["s2 ERROR Framework has been removed", "s2 closed"]
    );
}

#[test]
fn teardown_ends_all_and_frees_all() {
    let mut bench = bench();
    assert_eq!(bench.subscribe("r")[2], "r OFFERS O1 S0 cpus=1 mem=512");
    assert_eq!(bench.simple(call::Type::Teardown), ["s closed", "x SHUTDOWN"]);
    assert_eq!(bench.wait(1_000), ["1000: r OFFERS O2 S0 cpus=1"]);
}

#[test]
fn a_framework_unknown_to_this_master_is_taken() {
    let mut bench = Bench::new();
    let id = FrameworkId { value: "another-master-0007".to_owned() };
    let told = bench.subscribe_as("s", FrameworkInfo { id: Some(id), ..info() });
    assert_eq!(told[0], "s SUBSCRIBED another-master-0007");
}

#[test]
fn an_introduction_that_makes_no_sense_is_an_error_on_the_stream() {
    let mut bench = Bench::new();
    let old = FrameworkInfo { capabilities: Vec::new(), ..info() };
    assert_eq!(
        bench.subscribe_as("s", old),
        [
            "s ERROR 'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE \
             capable",
            "s closed"
        ]
    );
    let twice = FrameworkInfo { roles: vec!["a".to_owned(), "a".to_owned()], ..info() };
    let told = bench.subscribe_as("s", twice);
    assert_eq!(told[0], "s ERROR 'FrameworkInfo.roles' contains duplicate items: a");
    let path = FrameworkInfo { roles: vec!["a b".to_owned()], ..info() };
    assert_eq!(bench.subscribe_as("s", path)[0], "s ERROR Role 'a b' is invalid");
}
