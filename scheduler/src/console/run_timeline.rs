//! What happened to the tasks of a run, as bars: one for each stretch of each attempt. Absent: drawing
//! them (`charts.rs`).

use std::collections::BTreeMap;

use shiftwork_engine::view::RunView;
use shiftwork_schedule::Timestamp;

use super::charts::{Lane, Stretch};
use super::format::{self, duration};
use super::visitor::Visitor;
use crate::trace::EventRow;

/// Marks on the scale.
const MARKS: usize = 5;

/// The bars of the shards from `first` on, at most `most` of them, and a scale of time above them.
pub(super) fn of_run(
    visitor: &Visitor,
    run: &RunView,
    events: &[EventRow],
    shards: &[u32],
) -> (Vec<Lane>, Vec<(f64, String)>) {
    let mut tasks: BTreeMap<u32, Vec<(&str, Vec<&EventRow>)>> = BTreeMap::new();
    for event in events {
        let (Some(item), Some(task)) = (event.item, event.task_id.as_deref()) else { continue };
        let of_shard = tasks.entry(item).or_default();
        match of_shard.iter_mut().find(|(known, _)| *known == task) {
            Some((_, of_task)) => of_task.push(event),
            None => of_shard.push((task, vec![event])),
        }
    }
    let times = events.iter().filter(|event| event.task_id.is_some()).map(|event| event.at_ms);
    let from = times.clone().min().unwrap_or_else(|| run.created_at.as_millis());
    let end = run.finished_at.unwrap_or(visitor.now).as_millis();
    let until = times.max().unwrap_or(from).max(end).max(from + 1);
    let share = |at_ms: i64| (at_ms - from) as f64 / (until - from) as f64;
    let lanes = shards.iter().map(|item| Lane {
        label: format!("shard {item}"),
        stretches: tasks
            .get(item)
            .into_iter()
            .flatten()
            .enumerate()
            .flat_map(|(before, (_, events))| stretches(before + 1, events, until, &share))
            .collect(),
    });
    let scale = (0..MARKS).map(|mark| {
        let place = mark as f64 / (MARKS - 1) as f64;
        let at = Timestamp::from_millis(from + ((until - from) as f64 * place) as i64);
        (place, format::clock(&visitor.zone, at))
    });
    (lanes.collect(), scale.collect())
}

/// The stretches of one attempt.
fn stretches(
    attempt: usize,
    events: &[&EventRow],
    until_ms: i64,
    share: &impl Fn(i64) -> f64,
) -> Vec<Stretch> {
    let end = events.last().filter(|event| is_end(state(event)));
    let ended_as = end.map(|event| state(event).to_ascii_lowercase());
    let mut found = Vec::new();
    for (place, event) in events.iter().enumerate() {
        if is_end(state(event)) {
            break;
        }
        let to_ms = events.get(place + 1).map_or(until_ms, |next| next.at_ms);
        let is_idle = event.firing_succeeded().is_some()
            || (event.is_daemon == Some(true) && !event.begins_firing());
        let (class, doing) = match state(event) {
            "TASK_RUNNING" if is_idle => ("staging".to_owned(), "idle between firings".to_owned()),
            "TASK_RUNNING" => {
                let class = match events.get(place + 1).and_then(|next| next.firing_succeeded()) {
                    Some(true) => "task_finished".to_owned(),
                    Some(false) => "task_failed".to_owned(),
                    None => ended_as.clone().unwrap_or_else(|| "task_running".to_owned()),
                };
                (class, "running".to_owned())
            }
            name => ("staging".to_owned(), format::word(name)),
        };
        let ended =
            end.map(|event| format!(", then {}", format::word(state(event)))).unwrap_or_default();
        found.push(Stretch {
            from: share(event.at_ms),
            to: share(to_ms),
            class,
            title: format!(
                "attempt {attempt}: {doing} for {}{ended}",
                duration(to_ms - event.at_ms)
            ),
        });
    }
    // Whose end is all that is known is still to be seen.
    if let (true, Some(end)) = (found.is_empty(), end) {
        found.push(Stretch {
            from: share(end.at_ms),
            to: share(end.at_ms),
            class: state(end).to_ascii_lowercase(),
            title: format!("attempt {attempt}: {}", format::word(state(end))),
        });
    }
    found
}

fn state(event: &EventRow) -> &str {
    event.state.as_deref().unwrap_or_default()
}

fn is_end(state: &str) -> bool {
    !matches!(
        state,
        "TASK_STAGING" | "TASK_STARTING" | "TASK_RUNNING" | "TASK_KILLING" | "TASK_UNREACHABLE"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at_ms: i64, state: &str, message: &str) -> EventRow {
        EventRow {
            at_ms,
            state: Some(state.to_owned()),
            message: Some(message.to_owned()).filter(|text| !text.is_empty()),
            ..EventRow::default()
        }
    }

    fn classes(events: &[EventRow]) -> Vec<String> {
        let events: Vec<&EventRow> = events.iter().collect();
        let share = |at_ms: i64| at_ms as f64 / 100.0;
        stretches(1, &events, 100, &share).into_iter().map(|stretch| stretch.class).collect()
    }

    #[test]
    fn a_bar_has_the_colour_of_its_end() {
        let good = [
            event(0, "TASK_STAGING", ""),
            event(10, "TASK_RUNNING", ""),
            event(50, "TASK_FINISHED", ""),
        ];
        assert_eq!(classes(&good), ["staging", "task_finished"]);
        assert_eq!(classes(&good[..2]), ["staging", "task_running"]);
        let bad = [event(10, "TASK_RUNNING", ""), event(50, "TASK_FAILED", "exited with code 1")];
        assert_eq!(classes(&bad), ["task_failed"]);
        assert_eq!(classes(&[event(50, "TASK_LOST", "")]), ["task_lost"]);
    }

    #[test]
    fn a_daemon_is_idle_between_its_firings() {
        let events = [
            event(0, "TASK_RUNNING", "BEGIN"),
            event(10, "TASK_RUNNING", "COMPLETE (ran 10 ms, 5 ms of CPU)"),
            event(20, "TASK_RUNNING", "BEGIN"),
            event(30, "TASK_RUNNING", "COMPLETE: exited with code 1"),
        ];
        assert_eq!(classes(&events), ["task_finished", "staging", "task_failed", "staging"]);
        let first = EventRow { is_daemon: Some(true), ..event(0, "TASK_RUNNING", "") };
        assert_eq!(
            classes(&[first, event(5, "TASK_RUNNING", "BEGIN")]),
            ["staging", "task_running"]
        );
    }
}
