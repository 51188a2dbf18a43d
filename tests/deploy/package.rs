//! The Debian package, built out of the programs of this build: what is in it, and that it is the
//! same when it is built again. Absent: installing it, which `tests/clean-machine` does.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{program, root, succeeds};

/// Builds it, uncompressed for speed.
fn build(output: &Path) -> PathBuf {
    let programs = program("shiftwork");
    let said = succeeds(
        Command::new(root().join("deploy/debian/build"))
            .arg(programs.parent().expect("a directory"))
            .arg(output)
            .env("SHIFTWORK_DEB_COMPRESSION", "-Znone")
            .env("SOURCE_DATE_EPOCH", "1700000000"),
    );
    PathBuf::from(said.lines().last().expect("its path"))
}

#[test]
fn the_package_holds_what_an_operator_needs() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let package = build(directory.path());
    let list = succeeds(Command::new("dpkg-deb").arg("--contents").arg(&package));
    for wanted in [
        "./usr/bin/shiftwork",
        "./usr/bin/shiftwork-executor",
        "./lib/systemd/system/shiftwork.service",
        "./lib/systemd/system/shiftwork-standalone.service",
        "./etc/default/shiftwork",
        "./usr/share/man/man1/shiftwork-executor.1.gz",
        "./usr/share/man/man1/shiftwork.1.gz",
        "./usr/share/bash-completion/completions/shiftwork",
        "./usr/share/zsh/vendor-completions/_shiftwork",
        "./usr/share/fish/vendor_completions.d/shiftwork.fish",
        "./usr/share/doc/shiftwork/copyright",
        "./usr/share/doc/shiftwork/changelog.gz",
        "./usr/share/doc/shiftwork/docs/start.md",
        "./usr/share/doc/shiftwork/examples/prometheus/alerts.yml",
        "./usr/share/doc/shiftwork/examples/example/pack",
    ] {
        assert!(list.lines().any(|line| line.ends_with(&format!(" {wanted}"))), "{wanted}\n{list}");
    }
    assert!(list.lines().all(|line| line.contains(" root/root ")), "{list}");
    let control = succeeds(Command::new("dpkg-deb").arg("--field").arg(&package));
    for field in ["Package: shiftwork", "Depends: libc6 (>= 2.", "Description: "] {
        assert!(control.contains(field), "{field}\n{control}");
    }

    // It runs where it is unpacked.
    let tree = directory.path().join("tree");
    succeeds(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(&tree));
    let version = succeeds(Command::new(tree.join("usr/bin/shiftwork")).arg("--version"));
    assert!(version.starts_with(concat!("shiftwork ", env!("CARGO_PKG_VERSION"))), "{version}");

    // Byte for byte the same.
    let again = directory.path().join("again");
    let again = build(&again);
    assert!(std::fs::read(package).expect("it") == std::fs::read(again).expect("it"));
}
