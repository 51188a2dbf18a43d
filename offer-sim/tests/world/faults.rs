//! What can be made to go wrong: agents that are cut off, frozen or killed, a master that fails
//! over, updates that are disturbed, calls that are refused, streams that are slow.

use offer_sim::world::{Event, Fault, UpdateFault, WorldConfig};
use shiftwork_proto::mesos::v1::framework_info::{Capability, capability};
use shiftwork_proto::mesos::v1::{FrameworkInfo, TaskState};

use super::bench::{Bench, info, task};

/// Health checks fail after five seconds.
fn config() -> WorldConfig {
    WorldConfig { agent_ping_timeout_ms: 1_000, ..WorldConfig::default() }
}

/// A bench whose framework runs task `t` in executor `e` (stream `x`), nothing else offered.
fn bench_as(info: FrameworkInfo) -> Bench {
    let mut bench = Bench::with(config(), "cpus:2;mem:512");
    bench.subscribe_as("s", info);
    let accept = bench.accept(&["O0"], vec![task("t")], Some(1_000.0));
    bench.call(accept);
    bench.executor("x", "e");
    bench.report("e", ("t", TaskState::TaskRunning, 1));
    bench.acknowledge("t", 1);
    bench
}

fn bench() -> Bench {
    bench_as(info())
}

fn inject(bench: &mut Bench, fault: Fault) -> Vec<String> {
    bench.step(Event::Fault(fault))
}

/// What time brings about, without heartbeats.
fn wait(bench: &mut Bench, ms: u64) -> Vec<String> {
    bench.wait(ms).into_iter().filter(|line| !line.ends_with("HEARTBEAT")).collect()
}

#[test]
fn a_short_cut_goes_unnoticed_but_what_was_sent_is_lost() {
    let mut bench = bench();
    let agent = bench.agent_id();
    assert!(inject(&mut bench, Fault::CutOffAgents(vec![agent.clone()])).is_empty());
    assert_eq!(
        bench.report("e", ("t", TaskState::TaskFinished, 2)),
        ["keep #0 t TASK_FINISHED", "x ACKNOWLEDGED t"],
        "the agent takes it, the master hears nothing"
    );
    assert!(wait(&mut bench, 4_000).is_empty());
    let back = inject(&mut bench, Fault::ReconnectAgents(vec![agent]));
    assert_eq!(back[0], "s UPDATE t TASK_FINISHED", "{back:?}");
}

#[test]
fn a_long_cut_makes_an_agent_unreachable_until_it_registers_again() {
    let mut bench = bench();
    let agent = bench.agent_id();
    inject(&mut bench, Fault::CutOffAgents(vec![agent.clone()]));
    assert_eq!(
        wait(&mut bench, 6_000),
        [
            "5000: s UPDATE t TASK_UNREACHABLE REASON_AGENT_REMOVED: health check timed out",
            "5000: s FAILURE of S0",
        ]
    );
    let unreachable = "s UPDATE t TASK_UNREACHABLE REASON_RECONCILIATION: Reconciliation: Task is \
                       unreachable";
    assert_eq!(bench.reconcile(&[("t", None)]), [unreachable]);
    assert_eq!(bench.kill("t"), [unreachable]);
    assert!(bench.reconcile(&[]).is_empty(), "it is not one of those that can be reached");
    let back = inject(&mut bench, Fault::ReconnectAgents(vec![agent]));
    let again = "s UPDATE t TASK_RUNNING REASON_AGENT_REREGISTERED: Unreachable agent \
                 re-reregistered";
    assert_eq!(back[0], again);
    assert_eq!(bench.kill("t"), ["x KILL t"]);
}

#[test]
fn a_framework_that_knows_no_partitions_is_told_of_a_loss_and_its_task_is_killed() {
    let multi_role = capability::Type::MultiRole;
    let capabilities = vec![Capability { r#type: Some(multi_role.into()) }];
    let mut bench = bench_as(FrameworkInfo { capabilities, ..info() });
    let agent = bench.agent_id();
    inject(&mut bench, Fault::CutOffAgents(vec![agent.clone()]));
    assert_eq!(
        wait(&mut bench, 6_000)[0],
        "5000: s UPDATE t TASK_LOST REASON_AGENT_REMOVED: health check timed out"
    );
    let back = inject(&mut bench, Fault::ReconnectAgents(vec![agent]));
    assert_eq!(back[0], "x KILL t");
}

#[test]
fn a_launch_that_never_arrived_is_dropped_when_the_agent_is_back() {
    let mut bench = Bench::with(config(), "cpus:2;mem:512");
    bench.subscribe("s");
    let agent = bench.agent_id();
    inject(&mut bench, Fault::CutOffAgents(vec![agent.clone()]));
    let accept = bench.accept(&["O0"], vec![task("t")], Some(1_000.0));
    assert!(bench.call(accept).is_empty(), "no executor is started");
    let back = inject(&mut bench, Fault::ReconnectAgents(vec![agent]));
    assert_eq!(
        back[0],
        "s UPDATE t TASK_DROPPED REASON_RECONCILIATION: Reconciliation: task unknown to the agent"
    );
}

#[test]
fn a_killed_host_stays_away_and_its_successor_is_another_agent() {
    let mut bench = Bench::without_agents(config());
    bench.simulate("cpus:2;mem:512");
    bench.subscribe("s");
    let agent = bench.agent_id();
    inject(&mut bench, Fault::KillAgents(vec![agent.clone()]));
    let told = wait(&mut bench, 6_000);
    assert_eq!(told, ["5000: s RESCIND O0", "5000: s FAILURE of S0"]);
    assert!(inject(&mut bench, Fault::ReconnectAgents(vec![agent.clone()])).is_empty());
    let back = inject(&mut bench, Fault::StartAgents(vec![agent]));
    assert_eq!(back, ["s OFFERS O1 S1 cpus=2 mem=512"]);
}

#[test]
fn a_new_master_knows_what_agents_tell_it() {
    let mut bench = bench();
    assert_eq!(inject(&mut bench, Fault::FailOverMaster), ["s closed", "drop agents"]);
    let former = bench.full("0000");
    bench.subscribe_as("s2", FrameworkInfo { id: Some(id(&former)), ..info() });
    assert!(
        bench.reconcile_of(&former, "t").is_empty(),
        "nothing is said of tasks whose agent is yet to register"
    );
    let told = wait(&mut bench, 2_000);
    assert!(
        told.iter().any(|line| line.contains("OFFERS") && line.contains("cpus=1 ")),
        "{told:?}"
    );
    assert_eq!(
        bench.reconcile_of(&former, "t"),
        ["s2 UPDATE t TASK_RUNNING REASON_RECONCILIATION: Reconciliation: Latest task state"]
    );
}

fn id(value: &str) -> shiftwork_proto::mesos::v1::FrameworkId {
    shiftwork_proto::mesos::v1::FrameworkId { value: value.to_owned() }
}

#[test]
fn updates_are_lost_late_doubled_or_overtaken() {
    let disturb = |fault| Fault::DisturbUpdates {
        fault,
        agents: None,
        probability: 1.0,
        for_ms: Some(5_000),
    };
    let finished = |bench: &mut Bench| {
        let told = bench.report("e", ("t", TaskState::TaskFinished, 2));
        told.into_iter().filter(|line| line.starts_with("s ")).collect::<Vec<_>>()
    };
    let mut dropping = bench();
    inject(&mut dropping, disturb(UpdateFault::Drop));
    assert!(finished(&mut dropping).is_empty());
    assert_eq!(wait(&mut dropping, 11_000)[0], "10000: s UPDATE t TASK_FINISHED", "sent again");

    let mut delaying = bench();
    inject(&mut delaying, disturb(UpdateFault::Delay { ms: 700 }));
    assert!(finished(&mut delaying).is_empty());
    assert_eq!(wait(&mut delaying, 1_000)[0], "700: s UPDATE t TASK_FINISHED");

    let mut doubling = bench();
    inject(&mut doubling, disturb(UpdateFault::Duplicate));
    assert_eq!(finished(&mut doubling), ["s UPDATE t TASK_FINISHED"; 2]);

    let mut reordering = bench();
    inject(&mut reordering, disturb(UpdateFault::Reorder));
    assert!(finished(&mut reordering).is_empty());
    let next = reordering.report("e", ("u", TaskState::TaskFinished, 3));
    let told: Vec<_> = next.iter().filter(|line| line.starts_with("s ")).collect();
    assert_eq!(told, ["s UPDATE u TASK_FINISHED", "s UPDATE t TASK_FINISHED"]);

    inject(&mut doubling, Fault::EndDisturbances);
    doubling.acknowledge("t", 2);
    let told = doubling.report("e", ("u", TaskState::TaskFinished, 4));
    assert_eq!(told.iter().filter(|line| line.starts_with("s ")).count(), 1, "{told:?}");
}

#[test]
fn calls_are_refused_for_a_while() {
    let mut bench = bench();
    let now_ms = bench.now_ms;
    assert_eq!(bench.world.refuses_call(now_ms), None);
    inject(&mut bench, Fault::RefuseCalls { probability: 1.0, for_ms: 500 });
    assert_eq!(bench.world.refuses_call(now_ms + 499).map(|refusal| refusal.status), Some(503));
    assert_eq!(bench.world.refuses_call(now_ms + 500), None);
    inject(&mut bench, Fault::RefuseCalls { probability: 0.5, for_ms: 500 });
    let refused = (0..1000).filter(|_| bench.world.refuses_call(now_ms).is_some()).count();
    assert!((400..600).contains(&refused), "{refused}");
}

#[test]
fn a_slow_stream_keeps_the_order() {
    let mut bench = bench();
    inject(&mut bench, Fault::SlowStreams { interval_ms: 100, for_ms: 350 });
    let told: Vec<_> = (0..6)
        .flat_map(|number| bench.reconcile(&[(format!("t{number}").as_str(), None)]))
        .collect();
    assert!(told.is_empty(), "{told:?}");
    let told = wait(&mut bench, 1_000);
    let brief: Vec<_> = told.iter().map(|line| line.split(" TASK").next().unwrap()).collect();
    let expected = [
        "100: s UPDATE t0",
        "200: s UPDATE t1",
        "300: s UPDATE t2",
        "350: s UPDATE t3",
        "350: s UPDATE t4",
        "350: s UPDATE t5",
    ];
    assert_eq!(brief, expected);
}

#[test]
fn offers_are_taken_back_and_made_again() {
    let mut bench = Bench::with(config(), "cpus:2;mem:512");
    bench.subscribe("s");
    let told = inject(&mut bench, Fault::RescindOffers(None));
    assert_eq!(told, ["s RESCIND O0"]);
    assert_eq!(wait(&mut bench, 1_000), ["1000: s OFFERS O1 S0 cpus=2 mem=512"]);
}
