//! Offers: made, kept away, rescinded, shared between frameworks and roles.

use offer_sim::world::WorldConfig;
use shiftwork_proto::mesos::v1::FrameworkInfo;
use shiftwork_proto::mesos::v1::scheduler::{Call, call};

use super::bench::{Bench, cpus, info, task};

#[test]
fn a_new_framework_is_offered_all_at_once() {
    let mut bench = Bench::new();
    assert_eq!(
        bench.subscribe("s"),
        ["s SUBSCRIBED 0000", "s HEARTBEAT", "s OFFERS O0 S0 cpus=2 mem=512"]
    );
    assert_eq!(bench.wait(30_000), ["15000: s HEARTBEAT", "30000: s HEARTBEAT"]);
}

#[test]
fn a_new_agent_is_offered_at_once_and_agents_share_an_event() {
    let mut bench = Bench::new();
    bench.agent("cpus:1");
    assert_eq!(
        bench.subscribe("s"),
        ["s SUBSCRIBED 0000", "s HEARTBEAT", "s OFFERS O0 S0 cpus=2 mem=512 | O1 S1 cpus=1"]
    );
    assert_eq!(bench.agent("cpus:3"), ["s OFFERS O2 S2 cpus=3"]);
}

#[test]
fn declined_resources_stay_away_as_long_as_asked() {
    let mut bench = Bench::new();
    bench.subscribe("s");
    assert!(bench.decline("O0", Some(2.5)).is_empty());
    // The filter ends at 2.5 s, the interval beats at 3.
    assert_eq!(bench.wait(4_000), ["3000: s OFFERS O1 S0 cpus=2 mem=512"]);
    assert!(bench.decline("O1", None).is_empty());
    assert_eq!(bench.wait(6_000), ["10000: s OFFERS O2 S0 cpus=2 mem=512"], "5 s by default");
    assert!(bench.decline("O2", Some(0.0)).is_empty());
    assert_eq!(bench.wait(1_000), ["11000: s OFFERS O3 S0 cpus=2 mem=512"], "no filter");
    assert!(bench.decline("O2", None).is_empty(), "an offer that is gone is passed over");
}

#[test]
fn resources_beyond_a_filter_are_offered() {
    let mut bench = Bench::new();
    bench.subscribe("s");
    bench.launch(&["O0"], vec![task("t")]);
    assert_eq!(bench.wait(1_000).len(), 0, "what is left was refused for 5 s");
    // The executor could not be started: its part and the task's are free again.
    let agent = bench.agent_id();
    let container = bench.container(0);
    bench.step(offer_sim::world::Event::ExecutorNotStarted {
        agent,
        container,
        why: "no such file".to_owned(),
    });
    assert_eq!(bench.wait(1_000), ["2000: s OFFERS O1 S0 cpus=2 mem=512"]);
}

#[test]
fn suppress_stops_offers_and_revive_clears_filters() {
    let mut bench = Bench::new();
    bench.subscribe("s");
    assert!(bench.simple(call::Type::Suppress).is_empty());
    assert!(bench.decline("O0", Some(1_000.0)).is_empty());
    assert!(bench.agent("cpus:1").is_empty());
    assert_eq!(bench.simple(call::Type::Revive), ["s OFFERS O1 S0 cpus=2 mem=512 | O2 S1 cpus=1"]);
}

#[test]
fn an_offer_nobody_answers_is_rescinded() {
    let config = WorldConfig { offer_timeout_ms: Some(5_500), ..WorldConfig::default() };
    let mut bench = Bench::with(config, "cpus:2");
    bench.subscribe("s");
    assert_eq!(bench.wait(6_000), ["5500: s RESCIND O0", "6000: s OFFERS O1 S0 cpus=2"]);
    let told = bench.launch(&["O0"], vec![task("t")]);
    assert_eq!(
        told,
        [format!(
            "s UPDATE t TASK_DROPPED REASON_INVALID_OFFERS: Task launched with invalid offers: \
             Offer {} is no longer valid",
            bench.full("O0")
        )]
    );
}

#[test]
fn reserved_resources_go_to_their_role_only() {
    let mut bench = Bench::with(WorldConfig::default(), "cpus:2;cpus(batch):1");
    assert_eq!(bench.subscribe("s")[2], "s OFFERS O0 S0 cpus=2");
    let batch = FrameworkInfo { roles: vec!["batch".to_owned()], ..info() };
    assert_eq!(bench.subscribe_as("b", batch)[2], "b OFFERS O1 S0 cpus(batch)=1");
}

#[test]
fn the_framework_that_has_least_comes_first() {
    let mut bench = Bench::with(WorldConfig::default(), "cpus:4");
    bench.subscribe("s");
    bench.subscribe("r");
    // The first uses one processor; when the rest comes back, the second has less.
    let call = bench.accept(&["O0"], vec![task("t")], Some(0.0));
    assert_eq!(bench.call(call), ["start e"]);
    assert_eq!(bench.wait(1_000), ["1000: r OFFERS O1 S0 cpus=3"]);
}

#[test]
fn several_offers_of_one_agent_make_one_launch() {
    let mut bench = Bench::with(WorldConfig::default(), "cpus:1");
    bench.subscribe("s");
    let accept = bench.accept(&["O0"], vec![task("t")], Some(0.0));
    bench.call(accept);
    let agent = bench.agent_id();
    // Half is free once the task is turned down, the other half once the executor is gone.
    bench.executor("x", "e");
    bench.report("e", ("t", shiftwork_proto::mesos::v1::TaskState::TaskFinished, 1));
    assert_eq!(bench.wait(1_000), ["1000: s OFFERS O1 S0 cpus=0.5 with e"]);
    bench.exit(0, 0);
    assert_eq!(bench.wait(1_000), ["2000: s OFFERS O2 S0 cpus=0.5"]);
    bench.acknowledge("t", 1);
    let mut big = task("big");
    big.resources = vec![cpus(0.5)];
    assert_eq!(bench.launch(&["O1", "O2"], vec![big]), ["start e"]);
    assert_eq!(bench.world.executors_alive(&agent), 1);
}

#[test]
fn calls_that_are_not_simulated_are_refused_aloud() {
    let mut bench = Bench::new();
    bench.subscribe("s");
    let framework_id = Some(shiftwork_proto::mesos::v1::FrameworkId { value: bench.full("0000") });
    let call = Call { framework_id, r#type: Some(call::Type::Request.into()), ..Call::default() };
    let rejection = bench.world.admit_scheduler_call(&call, Some("s")).unwrap_err();
    assert_eq!(rejection.status, 400);
    assert!(rejection.text.contains("REQUEST is not simulated"), "{}", rejection.text);
}
