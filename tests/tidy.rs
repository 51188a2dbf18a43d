//! The tree keeps its manners: file lengths, module headers, nothing left over. Absent: what the
//! compiler and clippy already say.

use std::path::{Path, PathBuf};

/// Longest source file, lines; tables and tests may be longer.
const LINES_MAX: usize = 500;
const TEST_LINES_MAX: usize = 900;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).expect("a parent")
}

/// Every Rust file of the workspace with its text.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut todo: Vec<PathBuf> = ["proto", "scheduler", "executor", "offer-sim", "tests"]
        .into_iter()
        .map(|member| root().join(member))
        .collect();
    while let Some(directory) = todo.pop() {
        for entry in std::fs::read_dir(&directory).expect("readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
                found.push((name, std::fs::read_to_string(&path).expect("text")));
            }
        }
    }
    assert!(found.len() > 50, "the tree was found");
    found
}

fn is_test(name: &str) -> bool {
    name.contains("tests") || name.contains("/e2e/")
}

fn offenders(wanted: impl Fn(&str, &str) -> Option<String>) -> Vec<String> {
    sources().iter().filter_map(|(name, text)| wanted(name, text)).collect()
}

#[test]
fn files_are_about_one_subject() {
    let long = offenders(|name, text| {
        let lines = text.lines().count();
        let max = if is_test(name) { TEST_LINES_MAX } else { LINES_MAX };
        (lines > max).then(|| format!("{name}: {lines} lines, at most {max}"))
    });
    assert_eq!(long, Vec::<String>::new(), "split them by subject");
}

#[test]
fn files_say_their_duty_first() {
    let silent = offenders(|name, text| (!text.starts_with("//!")).then(|| name.to_owned()));
    assert_eq!(silent, Vec::<String>::new(), "open them with a `//!` line");
}

#[test]
fn nothing_is_left_over() {
    // Written apart, so that this file does not find itself.
    let marks =
        [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["#[ig", "nore]"]].map(|mark| mark.concat());
    let left = offenders(|name, text| {
        let mark = marks.iter().find(|mark| text.contains(mark.as_str()))?;
        Some(format!("{name}: {mark}"))
    });
    assert_eq!(left, Vec::<String>::new(), "finish them or say them elsewhere");
}

#[test]
fn the_engine_depends_on_nothing_that_could_make_it_impure() {
    let allowed = ["regex", "serde", "serde_json", "shiftwork-schedule", "thiserror", "uuid"];
    let manifest =
        std::fs::read_to_string(root().join("scheduler/engine/Cargo.toml")).expect("text");
    let (_, dependencies) = manifest.split_once("[dependencies]").expect("a table");
    let (dependencies, _) =
        dependencies.split_once("[dev-dependencies]").unwrap_or((dependencies, ""));
    for line in dependencies.lines().filter(|line| !line.trim().is_empty()) {
        let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
        assert!(allowed.contains(&name), "{name} is not in the list of what the engine may know");
    }
}
