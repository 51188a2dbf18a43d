//! The table of metrics, the text that is served and the documentation agree. Absent: whether each
//! metric is fed (end-to-end tests).

use std::collections::BTreeSet;

use shiftwork_engine::event::TaskState;

use super::*;

/// The names that a text in Prometheus' format describes.
fn described(text: &str) -> BTreeSet<(&str, &str)> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.collect()
}

#[test]
fn what_is_served_is_what_is_defined() {
    let text = Metrics::new().text(&Reading::default());
    let kind = |kind| match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let defined: BTreeSet<_> =
        ALL.iter().map(|definition| (definition.name, kind(definition.kind))).collect();
    assert_eq!(described(&text), defined);
}

#[test]
fn the_documentation_lists_every_metric_as_it_is_defined() {
    let documented = include_str!("../../../docs/metrics.md");
    let rows: Vec<&str> = documented.lines().filter(|line| line.starts_with("| `")).collect();
    let defined: Vec<String> = ALL
        .iter()
        .map(|Definition { name, kind, label, help }| {
            let label = label.map(|label| format!("`{label}`")).unwrap_or_default();
            format!("| `{name}` | {} | {label} | {help} |", format!("{kind:?}").to_lowercase())
        })
        .collect();
    assert_eq!(rows, defined, "the table of docs/metrics.md must be:\n{}", defined.join("\n"));
}

#[test]
fn every_task_state_has_its_counter() {
    let states = [
        TaskState::Staging,
        TaskState::Starting,
        TaskState::Running,
        TaskState::Killing,
        TaskState::Finished,
        TaskState::Failed,
        TaskState::Killed,
        TaskState::Error,
        TaskState::Lost,
        TaskState::Dropped,
        TaskState::Unreachable,
        TaskState::Gone,
        TaskState::GoneByOperator,
        TaskState::Unknown,
    ];
    assert_eq!(states.map(TaskState::name), TASK_STATES);
}

#[test]
fn the_end_of_a_tenure_clears_what_only_a_leader_has() {
    let metrics = Metrics::new();
    metrics.on_tenure_begun(7);
    let text = metrics.text(&Reading::default());
    assert!(
        text.contains("\nshiftwork_leader 1.0\n")
            && text.contains("\nshiftwork_leader_epoch 7.0\n")
    );
    metrics.on_tenure_ended();
    let text = metrics.text(&Reading::default());
    assert!(
        text.contains("\nshiftwork_leader 0.0\n") && text.contains("\nshiftwork_tenures_total 1\n")
    );
}
