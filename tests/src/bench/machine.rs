//! What a figure was measured on: without it, it says little.

use std::fs;

use serde_json::{Value, json};

/// The machine, and how busy it is with other things at the moment.
pub(super) fn describe() -> Value {
    let processor = first_line("/proc/cpuinfo", "model name");
    let memory = first_line("/proc/meminfo", "MemTotal");
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().and_then(|load| load.parse::<f64>().ok());
    json!({
        "processor": processor,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": memory,
        "loadBefore": load,
        "isOptimized": !cfg!(debug_assertions),
        "at": shiftwork_scheduler::turn::now().to_string(),
    })
}

/// The value of the first line that begins so.
fn first_line(file: &str, begins: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(begins))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Prints what was measured, with the machine: as JSON, or a line a figure.
pub(super) fn tell(as_json: bool, figures: &Value) {
    let machine = describe();
    if as_json {
        println!("{:#}", json!({ "figures": figures, "machine": machine }));
        return;
    }
    for (name, value) in figures.as_object().into_iter().flatten() {
        println!("{name:<28} {value}");
    }
    println!("{:<28} {machine}", "machine");
}
