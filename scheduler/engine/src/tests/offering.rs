//! What becomes of offers in virtual time: when they are asked for, what is kept and for how long, and
//! with which filters the rest goes back.

use super::*;
use crate::resources::Demand;

/// What a turn says about offers and launches.
fn said(turn: &Turn) -> Vec<String> {
    turn.said().into_iter().filter(|said| !said.starts_with("reconcile")).collect()
}

/// Lets time pass as a shell does: the engine is called whenever it wants to be.
fn pass(world: &mut World, millis: i64) -> Vec<String> {
    let end = world.now.plus_millis(millis);
    let mut all = Vec::new();
    while world.now < end {
        let next = world.engine.next_deadline().unwrap_or(end).min(end);
        let turn = world.wait(next.since(world.now).max(1));
        all.extend(said(&turn));
    }
    all
}

/// A world whose job `j` (2 shards of 1 cpu) fires every ten minutes, first at 02:10.
fn ten_minutes(extra: &str) -> World {
    let mut world = World::with_app();
    world.job("j", &format!(r#""cron":"0 0/10 * * * ?"{extra}"#));
    world
}

#[test]
fn offers_are_asked_for_ahead_of_a_firing_and_used_at_its_moment() {
    let mut world = ten_minutes("");
    world.offer("a1", 8.0);
    let turn = world.wait(5_000);
    let until = 600_000 - 5_000 - 2_000;
    assert_eq!(turn.said(), [format!("decline [o1] {until}").as_str(), "suppress"]);
    assert_eq!(pass(&mut world, until - 1), Vec::<String>::new());
    assert_eq!(pass(&mut world, 1), ["revive"]);
    assert_eq!(world.offer("a1", 8.0).said(), Vec::<String>::new());
    let turn = world.wait(2_000);
    assert_eq!(said(&turn), ["accept a1 [o2]: j/0#1 j/1#1"], "at the very moment");
}

#[test]
fn what_a_firing_will_need_is_kept_for_it_and_nothing_else() {
    let mut world = ten_minutes("");
    world.wait(594_500);
    world.offer("a1", 8.0);
    world.offer("a2", 16.0);
    // The hold ends half a second before the firing. Both shards fit on the first agent.
    assert_eq!(pass(&mut world, 5_000), ["decline [o2] 2000"], "others may have it meanwhile");
    assert_eq!(pass(&mut world, 500), ["accept a1 [o1]: j/0#1 j/1#1"]);
    // The next firing cannot start beside this run: nothing is asked for or kept ahead of it.
    for task in world.tasks("j") {
        world.status(&task, TaskState::Running);
    }
    world.wait(585_000);
    world.offer("a2", 16.0);
    world.wait(5_000);
    world.offer("a1", 6.0);
    assert_eq!(world.engine.status().offers, 1, "the former went back");
    assert!(!pass(&mut world, 9_000).contains(&"revive".to_owned()));
}

#[test]
fn parts_of_a_gang_that_does_not_fit_yet_are_kept_together() {
    let mut world = ten_minutes(r#","shardingTotalCount":4"#);
    world.wait(594_500);
    world.offer("a1", 2.5);
    world.offer("a2", 0.5);
    assert_eq!(world.wait(5_000).said(), ["decline [o2] 2000"], "too small for any shard");
    assert_eq!(world.offer("a3", 2.5).launched().len(), 0, "it is not time");
    let turn = world.wait(500);
    assert_eq!(said(&turn), ["accept a1 [o1]: j/0#1 j/1#1", "accept a3 [o3]: j/2#1 j/3#1"]);
}

#[test]
fn nothing_is_asked_for_ahead_of_firings_that_launch_nothing() {
    let idle = |world: &mut World| {
        world.offer("a1", 8.0);
        world.wait(5_000);
        pass(world, 599_000)
    };
    let mut world = ten_minutes("");
    let set = Command::SetJobEnabled { job: name("j"), enabled: false, reason: None };
    world.command(set).unwrap();
    assert_eq!(idle(&mut world), Vec::<String>::new(), "disabled");
    let mut world = ten_minutes(r#","jitter":"30m""#);
    assert_eq!(idle(&mut world), Vec::<String>::new(), "held back by jitter for longer");
}

#[test]
fn offers_are_asked_for_ahead_of_back_off_and_jitter() {
    let retry = r#""retry":{"maxAttempts":2,"backoff":{"initial":"1m","jitter":0}}"#;
    let mut world = World::with_app();
    world.job("j", &format!(r#""cron":null,"shardingTotalCount":1,{retry}"#));
    world.command(trigger("j", Some("k"))).unwrap();
    world.offer("a1", 8.0);
    let task = world.tasks("j").remove(0);
    world.exit(&task, 1);
    world.offer("a2", 8.0);
    assert_eq!(world.wait(5_000).said(), ["decline [o2] 53000", "suppress"]);
    assert_eq!(pass(&mut world, 53_000), ["revive"]);
    let mut world = World::with_app();
    world.job("j", r#""cron":"0 0/10 * * * ?","jitter":"5m""#);
    world.wait(600_000);
    world.offer("a1", 8.0);
    let turn = world.wait(5_000);
    let view = world.engine.next_pending(&name("j")).unwrap();
    assert!(view.reason.unwrap().contains("by the job's jitter"));
    assert_eq!(
        turn.said().len(),
        2,
        "declined until it is near, and suppressed: {:?}",
        turn.said()
    );
    let mut waited = 0;
    while pass(&mut world, 1_000) != ["revive"] {
        waited += 1;
        assert!(waited < 300, "never asked for");
    }
    assert_eq!(world.offer("a1", 8.0).launched().len(), 0);
    let launched = pass(&mut world, 3_000);
    assert_eq!(launched, ["accept a1 [o2]: j/0#1 j/1#1"], "two seconds before it is launched");
}

#[test]
fn agents_that_can_never_take_what_waits_are_refused_for_long() {
    let mut world = World::with_app();
    world.job("large", r#""cron":null,"shardingTotalCount":1,"cpuCount":6"#);
    world.job("small", r#""cron":null,"shardingTotalCount":1,"cpuCount":2"#);
    let wide = world.make_offer("a1", 8.0, 10_000.0, &[]);
    world.turn(Event::Offers(vec![wide]));
    world.command(trigger("large", Some("1"))).unwrap();
    world.command(trigger("large", Some("2"))).unwrap();
    let first = world.tasks("large").remove(0);
    world.status(&first, TaskState::Running);
    world.job("large2", r#""cron":null,"shardingTotalCount":1,"cpuCount":6"#);
    world.command(trigger("large2", None)).unwrap();
    world.offer("a1", 1.9);
    world.offer("a2", 4.0);
    // Where it fits when something ends, only for a moment; where it never does, for long.
    assert_eq!(world.wait(30_000).said(), ["decline [o2] 1000", "decline [o3] 300000"]);
    let turn = world.command_turn(trigger("small", None)).1;
    assert_eq!(turn.said(), ["revive"], "filters that were fitted to others are void");
    assert_eq!(world.offer("a2", 4.0).launched().len(), 1);
}

#[test]
fn nothing_is_kept_for_a_gang_larger_than_all_agents() {
    let mut world = World::with_app();
    world.job("huge", r#""cron":null,"shardingTotalCount":40"#);
    world.job("small", r#""cron":null,"shardingTotalCount":1"#);
    world.command(trigger("huge", None)).unwrap();
    world.offer("a1", 8.0);
    world.offer("a2", 8.0);
    // As where nothing waits, and other frameworks have as long for themselves.
    assert_eq!(pass(&mut world, 5_000), ["decline [o1 o2] 5000"]);
    // One more agent: that, too, goes back, until there are enough.
    world.offer("a3", 8.0);
    assert_eq!(pass(&mut world, 5_000), ["decline [o3] 5000"]);
    let turn = world.command_turn(trigger("small", None)).1;
    assert_eq!(turn.said(), ["revive"], "what may fit does not wait for the filters");
    assert_eq!(world.offer("a1", 8.0).launched().len(), 1);
    // Enough at last: from then on they are kept, so that they come together.
    world.offer("a4", 30.0);
    assert!(pass(&mut world, 20_000).iter().all(|said| !said.starts_with("decline")));
}

#[test]
fn a_trigger_gets_offers_again_that_were_declined_while_others_are_held() {
    let mut world = World::with_app();
    world.job("j", r#""cron":null,"shardingTotalCount":1,"cpuCount":6"#);
    world.offer("a1", 8.0);
    world.wait(3_000);
    world.offer("a2", 2.0);
    assert_eq!(world.wait(2_000).said(), ["decline [o1] 3600000"], "the other one is held on");
    let turn = world.command_turn(trigger("j", None)).1;
    assert_eq!(turn.said(), ["revive"], "else it would wait for an hour");
}

#[test]
fn the_warm_reserve_is_kept_used_at_once_and_filled_again() {
    let reserve = Demand { cpus: Milli(2_000), mem: Milli(1_000_000), ..Demand::default() };
    let mut world = World::with(Settings { warm_reserve: Some(reserve), ..settings() });
    let document = br#"{"appName":"app","cpuCount":0.1,"memoryMB":32}"#.to_vec();
    world.command(Command::CreateApp { document }).unwrap();
    world.job("j", r#""cron":null,"shardingTotalCount":1"#);
    for (agent, cpus) in [("a1", 16.0), ("a2", 4.0), ("a3", 1.0), ("a4", 8.0)] {
        world.offer(agent, cpus);
    }
    let turn = world.wait(5_000);
    assert_eq!(
        turn.said(),
        ["decline [o1 o3 o4] 3600000", "suppress"],
        "the smallest that will do"
    );
    assert_eq!(pass(&mut world, 3_600_000), Vec::<String>::new());
    let turn = world.command_turn(trigger("j", None)).1;
    assert_eq!(turn.said(), ["accept a2 [o2]: j/0#1", "revive"], "and then another one");
}

#[test]
fn the_warm_reserve_is_bounded_by_a_share_of_the_agents() {
    let reserve = Demand { cpus: Milli(1_000_000), ..Demand::default() };
    let mut world = World::with(Settings { warm_reserve: Some(reserve), ..settings() });
    for number in 0..8 {
        world.offer(&format!("a{number}"), 4.0 + f64::from(number));
    }
    let turn = world.wait(5_000);
    assert_eq!(turn.said(), ["decline [o1 o2 o3 o4 o5 o6] 3600000", "suppress"], "a quarter of 8");
    assert_eq!(world.engine.status().offers, 2);
}

/// Behind a slow commit it may leave only now, and would keep all offers of the new subscription away.
#[test]
fn a_suppress_of_the_subscription_before_is_taken_back() {
    let mut world = World::with_app();
    world.offer("a1", 8.0);
    let idle = world.wait(5_000).said();
    assert!(idle.contains(&"suppress".to_owned()), "{idle:?}");
    assert!(world.subscribe().said().contains(&"revive".to_owned()));
    assert!(
        !world.subscribe().said().contains(&"revive".to_owned()),
        "there is nothing to take back"
    );
}

#[test]
fn a_burst_of_events_is_one_launch_cycle() {
    let mut world = World::with(Settings { launch_debounce_ms: 10, ..settings() });
    let document = br#"{"appName":"app","cpuCount":0.1,"memoryMB":32}"#.to_vec();
    world.command(Command::CreateApp { document }).unwrap();
    for job in ["j", "k", "l"] {
        world.job(job, r#""cron":null,"shardingTotalCount":1"#);
    }
    world.wait(1_000);
    world.offer("a1", 8.0);
    world.wait(1_000);
    let turn = world.command_turn(trigger("j", None)).1;
    assert_eq!(turn.launched().len(), 1, "the first has its cycle at once");
    world.wait(4);
    let offers = vec![world.make_offer("a2", 8.0, 10_000.0, &[])];
    world.turn(Event::Offers(offers));
    assert_eq!(world.command_turn(trigger("k", None)).1.launched().len(), 0);
    assert_eq!(world.command_turn(trigger("l", None)).1.launched().len(), 0);
    assert_eq!(world.engine.next_deadline(), Some(world.now.plus_millis(6)));
    assert_eq!(world.wait(6).launched().len(), 2, "what came meanwhile, together");
}
