//! What a figure was measured on: without it, it says little.

use std::fs;
use std::sync::OnceLock;

use serde_json::{Value, json};

/// How busy the machine was with other things when the benchmark began.
static LOAD_BEFORE: OnceLock<Option<f64>> = OnceLock::new();

/// Looks at the machine before anything is measured.
pub fn begin() {
    // Called once; a second call changes nothing.
    let _before = LOAD_BEFORE.get_or_init(load);
}

/// The machine, and how busy it was with other things.
pub(super) fn describe() -> Value {
    json!({
        "processor": first_line("/proc/cpuinfo", "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": first_line("/proc/meminfo", "MemTotal"),
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|r| r.trim().to_owned()),
        "loadBefore": LOAD_BEFORE.get().copied().flatten().or_else(load),
        "isOptimized": !cfg!(debug_assertions),
        "at": shiftwork_scheduler::turn::now().to_string(),
    })
}

/// Processes that ran or wanted to, on average over the last minute.
fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// The value of the first line that begins so.
fn first_line(file: &str, begins: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(begins))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Prints what was measured, under which load, with the machine: as JSON, or a line a figure.
pub(super) fn tell(as_json: bool, load: &str, figures: &Value) {
    let machine = describe();
    if as_json {
        println!("{:#}", json!({ "load": load, "figures": figures, "machine": machine }));
        return;
    }
    println!("{:<32} {load}", "load");
    for (name, value) in figures.as_object().into_iter().flatten() {
        println!("{name:<32} {value}");
    }
    println!("{:<32} {machine}", "machine");
}

/// As many digits as such a figure says.
pub(super) fn rounded(figure: f64) -> f64 {
    let digits = if figure.abs() < 10.0 { 1_000.0 } else { 10.0 };
    (figure * digits).round() / digits
}
