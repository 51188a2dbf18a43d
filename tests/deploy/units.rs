//! The systemd units, as systemd's own checker sees them, and how much they leave open.

use std::process::Command;

use crate::{program, read, succeeds};

/// Most exposure on systemd's scale of 0 to 100: the scheduler needs the network and its directory.
const EXPOSURE_MAX: [(&str, u32); 2] =
    [("shiftwork.service", 20), ("shiftwork-standalone.service", 50)];

#[test]
fn systemd_takes_the_units_and_finds_them_closed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    // The checker wants the program to be there, as it is once the package is installed.
    let built = program("shiftwork").display().to_string();
    for (name, exposure_max) in EXPOSURE_MAX {
        let text = read(&format!("deploy/systemd/{name}"));
        let file = directory.path().join(name);
        std::fs::write(&file, text.replace("/usr/bin/shiftwork", &built)).expect("a file");
        let said =
            succeeds(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file));
        let about_it: Vec<_> = said.lines().filter(|line| line.contains(name)).collect();
        assert!(about_it.is_empty(), "{about_it:?}");
        succeeds(
            Command::new("systemd-analyze")
                .args(["security", "--offline=true", "--no-pager"])
                .arg(format!("--threshold={exposure_max}"))
                .arg(&file),
        );
    }
}

#[test]
fn an_agents_unit_keeps_its_executors_over_a_restart() {
    let unit = read("deploy/systemd/mesos-agent.service.d/shiftwork.conf");
    for line in ["[Service]", "KillMode=process", "Delegate=yes"] {
        assert!(unit.lines().any(|it| it == line), "{line}");
    }
}
