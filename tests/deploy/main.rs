//! What `deploy/` holds fits the programs: metrics, options and variables exist, and each piece is
//! checked by the program that reads it. Absent: what needs servers (`e2e`).

mod containers;
mod metrics;
mod options;
mod package;
mod release;
mod units;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The root of the tree.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).expect("a parent")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A program of this workspace, built beside this test.
fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a test knows its own file");
    let built = own.parent().and_then(Path::parent).map(|directory| directory.join(name));
    built.filter(|file| file.exists()).unwrap_or_else(|| {
        panic!("{name} is not built: run `cargo build --workspace --bins` first")
    })
}

/// Runs a program that must end well, and gives what it printed.
fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{} must be installed (tests/run does it): {error}", command.get_program().display())
    });
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    said(&output)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}
