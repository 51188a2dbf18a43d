//! Alerts and dashboard: Prometheus' own checker takes the rules and their unit tests, and every
//! query names metrics, labels and label values that are exported.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use shiftwork_scheduler::metrics::{ALL, Kind, Metrics, Reading};

use crate::{read, root, succeeds};

/// Names of metrics that a query may use: histograms by their series.
fn exported() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for definition in ALL {
        let endings: &[&str] = match definition.kind {
            Kind::Histogram => &["_bucket", "_sum", "_count"],
            Kind::Counter | Kind::Gauge => &[""],
        };
        names.extend(endings.iter().map(|ending| format!("{}{ending}", definition.name)));
    }
    names
}

/// Metrics that a query names, each with its selector's text.
fn named(query: &str) -> Vec<(String, String)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    let mut rest = query;
    while let Some(start) = rest.find(is_word) {
        let word_and_rest = &rest[start..];
        let end = word_and_rest.find(|c| !is_word(c)).unwrap_or(word_and_rest.len());
        let (word, after) = word_and_rest.split_at(end);
        if word.starts_with("shiftwork_") || word.starts_with("process_") {
            let selector = after.strip_prefix('{').and_then(|text| text.split_once('}'));
            let selector = selector.map(|(selector, _)| selector).unwrap_or_default();
            found.push((word.to_owned(), selector.to_owned()));
        }
        rest = after;
    }
    found
}

/// What a query asks for that is not there.
fn mistakes(query: &str, text: &str) -> Vec<String> {
    let exported = exported();
    let mut wrong = Vec::new();
    for (metric, selector) in named(query) {
        if !exported.contains(&metric) {
            wrong.push(format!("no metric {metric}"));
        }
        for matcher in selector.split(',').filter(|matcher| !matcher.is_empty()) {
            let (label, value) = matcher.split_once('=').expect("a label and its value");
            let values = value.trim_start_matches('~').trim_matches('"');
            // Added by whoever scrapes.
            if ["job", "instance"].contains(&label) {
                continue;
            }
            for value in values.split('|') {
                if !text.contains(&format!("{metric}{{{label}=\"{value}\"}}")) {
                    wrong.push(format!("no {metric} with {label}=\"{value}\""));
                }
            }
        }
    }
    wrong
}

/// All strings under a key, wherever it stands.
fn strings(value: &Value, key: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if let (true, Value::String(text)) = (name == key, member) {
                    found.push(text.clone());
                }
                strings(member, key, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| strings(item, key, found)),
        _ => {}
    }
}

#[test]
fn prometheus_takes_the_alerts_and_they_fire_when_they_should() {
    let directory = root().join("deploy/prometheus");
    let promtool = |args: &[&str]| {
        succeeds(Command::new("promtool").args(args).current_dir(&directory));
    };
    promtool(&["check", "rules", "alerts.yml"]);
    promtool(&["test", "rules", "alerts_test.yml"]);

    // It looks for the files that its configuration names, where that lies.
    let place = tempfile::tempdir().expect("a temporary directory");
    for name in ["prometheus.yml", "alerts.yml"] {
        std::fs::copy(directory.join(name), place.path().join(name)).expect("copied");
    }
    std::fs::create_dir(place.path().join("scraper")).expect("a directory");
    std::fs::write(place.path().join("scraper/token"), "sw_1").expect("written");
    succeeds(
        Command::new("promtool")
            .args(["check", "config", "prometheus.yml"])
            .current_dir(place.path()),
    );
}

#[test]
fn every_alert_is_tested_and_told_of() {
    let alerts = read("deploy/prometheus/alerts.yml");
    let (tests, chapter) = (read("deploy/prometheus/alerts_test.yml"), read("docs/watching.md"));
    let names: Vec<_> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() >= 10, "the alerts were found");
    for name in names {
        let silent = tests.contains(&format!("alertname: {name}, exp_alerts: []"));
        let firing = tests.contains(&format!("alertname: {name}\n"));
        assert!(silent && firing, "{name} must be tested to fire and not to fire");
        assert!(chapter.contains(&format!("`{name}`")), "docs/watching.md must tell of {name}");
    }
}

#[test]
fn alerts_and_dashboard_ask_for_what_is_exported() {
    let text = Metrics::new().text(&Reading::default());
    let alerts: String = {
        let text = read("deploy/prometheus/alerts.yml");
        text.lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert!(named(&alerts).len() > 10, "the queries were found");
    assert_eq!(mistakes(&alerts, &text), Vec::<String>::new(), "deploy/prometheus/alerts.yml");

    let dashboard: Value =
        serde_json::from_str(&read("deploy/grafana/shiftwork.json")).expect("JSON");
    let mut queries = Vec::new();
    for key in ["expr", "query"] {
        strings(&dashboard, key, &mut queries);
    }
    assert!(queries.len() > 25, "the queries were found");
    for query in &queries {
        assert_eq!(mistakes(query, &text), Vec::<String>::new(), "{query}");
    }
    let shown: BTreeSet<_> =
        queries.iter().flat_map(|query| named(query)).map(|(name, _)| name).collect();
    assert!(shown.len() > 25, "it shows little: {shown:?}");
}

#[test]
fn a_query_for_what_is_not_exported_is_found() {
    let text = Metrics::new().text(&Reading::default());
    assert_eq!(mistakes("rate(shiftwork_nothing_total[5m])", &text).len(), 1);
    assert_eq!(mistakes(r#"shiftwork_queue_depth{queue="full"}"#, &text).len(), 1);
    assert!(mistakes(r#"sum(shiftwork_queue_depth{job=~"$job",queue="ready"})"#, &text).is_empty());
}
