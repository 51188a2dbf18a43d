//! Agents that an operator takes away: what is placed on them, what is moved, what the master is told.

use super::*;
use crate::event::{InverseOffer, Unavailability};

const HOUR_MS: i64 = 3_600_000;

/// A window of an hour that begins in so many milliseconds.
fn window(world: &World, in_ms: i64) -> Unavailability {
    Unavailability { start: world.now.plus_millis(in_ms), duration_ms: Some(HOUR_MS as u64) }
}

fn offer_leaving(world: &mut World, agent: &str, in_ms: i64) -> Turn {
    let unavailability = Some(window(world, in_ms));
    let offer = world.make_offer(agent, 4.0, 4096.0, &[]);
    world.turn(Event::Offers(vec![Offer { unavailability, ..offer }]))
}

fn inverse_offer(world: &mut World, agent: &str, in_ms: i64) -> Turn {
    let unavailability = window(world, in_ms);
    let (id, agent) = (OfferId::new("i1"), AgentId::new(agent));
    world.turn(Event::InverseOffers(vec![InverseOffer { id, agent, unavailability }]))
}

fn is_launched(turn: &Turn) -> bool {
    turn.actions.iter().any(|action| matches!(action, Action::Accept { .. }))
}

#[test]
fn within_the_horizon_an_agent_gets_only_what_will_have_ended() {
    for (extra, in_ms, expected) in [
        ("", 2 * HOUR_MS, true),
        ("", HOUR_MS / 2, false),
        (r#","timeout":"20m""#, HOUR_MS / 2, true),
        (r#","timeout":"40m""#, HOUR_MS / 2, false),
        // The grace period counts: 29 m 59 s and 5 s.
        (r#","timeout":"1799s""#, HOUR_MS / 2, false),
        // The window has begun.
        (r#","timeout":"1s""#, -1, false),
        // It is over.
        ("", -HOUR_MS, true),
    ] {
        let mut world = World::with_app();
        world.job("j", &format!(r#""cron":null,"shardingTotalCount":1{extra}"#));
        world.command(trigger("j", Some("k"))).unwrap();
        let turn = offer_leaving(&mut world, "a1", in_ms);
        assert_eq!(is_launched(&turn), expected, "{extra} {in_ms}");
        if !expected {
            let reason = world.engine.run(&RunId::parse("j@k").unwrap()).unwrap().reason.unwrap();
            assert!(reason.contains("due for maintenance"), "{reason}");
        }
    }
}

#[test]
fn what_does_not_fit_before_the_window_keeps_nothing_from_what_does() {
    let mut world = World::with_app();
    world.job("endless", r#""cron":null,"shardingTotalCount":1"#);
    world.job("short", r#""cron":null,"shardingTotalCount":1,"timeout":"1m""#);
    world.command(trigger("endless", Some("k"))).unwrap();
    world.command(trigger("short", Some("k"))).unwrap();
    let turn = offer_leaving(&mut world, "a1", HOUR_MS / 2);
    assert_eq!(turn.said(), ["accept a1 [o1]: short/0#1"]);
}

#[test]
fn a_window_that_is_taken_back_opens_the_agent_again() {
    let mut world = World::with_app();
    world.job("j", r#""cron":null,"shardingTotalCount":1"#);
    world.command(trigger("j", Some("k"))).unwrap();
    offer_leaving(&mut world, "a1", HOUR_MS / 2);
    assert!(world.engine.agents(None, 1)[0].unavailable_from.is_some());
    assert!(is_launched(&world.offer("a1", 4.0)));
}

#[test]
fn daemons_are_moved_when_the_horizon_is_reached_and_transient_tasks_are_left_to_end() {
    let mut world = World::with_app();
    world.job("d", r#""jobExecutionType":"DAEMON","shardingTotalCount":1"#);
    world.job("t", r#""cron":null,"shardingTotalCount":1,"timeout":"10m""#);
    world.command(trigger("t", Some("k"))).unwrap();
    world.offer("a1", 4.0);
    for job in ["d", "t"] {
        let task = world.tasks(job).remove(0);
        world.status(&task, TaskState::Running);
    }
    let turn = inverse_offer(&mut world, "a1", 2 * HOUR_MS);
    assert_eq!(turn.said(), ["accept inverse 1"], "all can have left by then");
    let task = world.tasks("d").remove(0);
    let turn = world.wait(HOUR_MS);
    assert!(turn.said().contains(&"kill d/0".to_owned()), "{:?}", turn.said());
    world.status(&task, TaskState::Killed);
    assert!(!is_launched(&offer_leaving(&mut world, "a1", HOUR_MS)), "not there again");
    assert_eq!(world.offer("a2", 4.0).said(), ["accept a2 [o3]: d/0#2"]);
}

#[test]
fn leaving_is_declined_while_something_runs_whose_end_is_not_known() {
    let mut world = World::with_app();
    world.job("t", r#""cron":null,"shardingTotalCount":1"#);
    world.command(trigger("t", Some("k"))).unwrap();
    world.offer("a1", 4.0);
    let turn = inverse_offer(&mut world, "a1", HOUR_MS / 2);
    assert_eq!(turn.said(), ["decline inverse 1"]);
    let turn = inverse_offer(&mut world, "a2", HOUR_MS / 2);
    assert_eq!(turn.said(), ["accept inverse 1"], "nothing is there");
}

#[test]
fn a_task_that_a_draining_agent_kills_is_lost_and_not_failed() {
    let mut world = World::with_app();
    world.job("j", r#""cron":null,"shardingTotalCount":1,"failover":true"#);
    world.command(trigger("j", Some("k"))).unwrap();
    world.offer("a1", 4.0);
    let task = world.tasks("j").remove(0);
    world.status(&task, TaskState::Running);
    let mut status = update(&task, TaskState::Killed);
    status.reason = StatusReason::AgentLost;
    world.turn(Event::Status(status));
    world.wait(5_000);
    assert!(is_launched(&world.offer("a2", 4.0)));
    assert_eq!(world.active("j").shards[0].attempt, 2);
}
