//! Which updates wait, and how long. Absent: the owner loop around it (`turn_tests.rs`).

use proptest::prelude::*;
use shiftwork_engine::event::{StatusReason, StatusUpdate, TaskState};
use shiftwork_engine::ids::TaskId;

use super::*;

fn update() -> Event {
    Event::Status(StatusUpdate {
        task: TaskId::new("job@-@0@-@READY@-@agent@-@1"),
        agent: None,
        state: TaskState::Running,
        reason: StatusReason::Other,
        message: None,
        uuid: None,
        outcome: None,
    })
}

/// Lets updates come at these milliseconds; gives how many each turn takes, and when.
fn turns(times: &[u64]) -> Vec<(usize, u64)> {
    let begin = Instant::now();
    let mut linger = Linger::default();
    let (mut waiting, mut turns) = (Vec::new(), Vec::new());
    for at in times {
        let now = begin + Duration::from_millis(*at);
        if let Some(until) = linger.until.filter(|until| *until <= now) {
            let at = u64::try_from((until - begin).as_millis()).unwrap_or(u64::MAX);
            turns.push((waiting.len(), at));
            waiting.clear();
            linger.end();
        }
        waiting.push(update());
        if !linger.holds(now, &waiting) {
            turns.push((waiting.len(), *at));
            waiting.clear();
            linger.end();
        }
    }
    turns
}

#[test]
fn a_lone_update_goes_at_once() {
    assert_eq!(turns(&[0, 1_000, 2_000]), [(1, 0), (1, 1_000), (1, 2_000)]);
}

#[test]
fn a_few_at_a_time_go_at_once() {
    let times: Vec<u64> = (0..100).map(|i| i * 10).collect();
    assert_eq!(turns(&times).len(), 100, "a hundred a second");
}

#[test]
fn of_a_thousand_a_second_sixty_go_together() {
    let times: Vec<u64> = (0..5_000).collect();
    let turns = turns(&times);
    assert!(turns.len() < 5 * 17 + 15, "{} turns in five seconds", turns.len());
}

#[test]
fn of_many_more_none_waits_for_the_time_to_pass() {
    let times: Vec<u64> = (0..20_000).map(|i| i / 20).collect();
    let turns = turns(&times);
    let full = turns.iter().filter(|(taken, _)| *taken == TOGETHER).count();
    assert!(full + 15 > turns.len(), "{full} of {} are full", turns.len());
}

#[test]
fn what_is_no_update_takes_along_what_waits() {
    let now = Instant::now();
    let mut linger = Linger::default();
    let mut waiting: Vec<Event> = (0..20).map(|_| update()).collect();
    assert!(linger.holds(now, &waiting));
    waiting.push(Event::Disconnected);
    assert!(!linger.holds(now, &waiting));
}

proptest! {
    #[test]
    fn nothing_waits_longer_than_it_may(gaps in proptest::collection::vec(0_u64..60, 1..400)) {
        let times: Vec<u64> = gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
        let mut taken = 0;
        for (count, at) in turns(&times) {
            prop_assert!(count <= TOGETHER);
            let first = times[taken];
            prop_assert!(at - first <= 60, "the first of {count} waited from {first} to {at}");
            taken += count;
        }
    }
}
