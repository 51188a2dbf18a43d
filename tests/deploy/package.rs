//! The Debian package, built out of the programs of this build: what is in it, and that it is the
//! same when it is built again. Absent: installing it, which `tests/clean-machine` does.

use std::os::unix::fs::PermissionsExt as _;
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
        "./etc/shiftwork/shiftwork.toml",
        "./etc/shiftwork/shiftwork-standalone.toml",
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
    let configuration =
        list.lines().filter(|line| line.contains(" ./etc/") && !line.ends_with('/'));
    assert!(configuration.into_iter().all(|line| line.starts_with("-rw-r----- ")), "{list}");
    let control = succeeds(Command::new("dpkg-deb").arg("--field").arg(&package));
    for field in ["Package: shiftwork", "Depends: libc6 (>= 2.", "Description: "] {
        assert!(control.contains(field), "{field}\n{control}");
    }

    // It runs where it is unpacked.
    let tree = directory.path().join("tree");
    succeeds(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(&tree));
    the_documentation_leads_somewhere(&tree.join("usr/share/doc/shiftwork"));
    let version = succeeds(Command::new(tree.join("usr/bin/shiftwork")).arg("--version"));
    assert!(version.starts_with(concat!("shiftwork ", env!("CARGO_PKG_VERSION"))), "{version}");

    let conffiles =
        succeeds(Command::new("dpkg-deb").args(["--info"]).arg(&package).arg("conffiles"));
    assert_eq!(
        conffiles.lines().collect::<Vec<_>>(),
        [
            "/etc/default/shiftwork",
            "/etc/shiftwork/shiftwork-standalone.toml",
            "/etc/shiftwork/shiftwork.toml"
        ]
    );
    for (unit, command) in [("shiftwork", "scheduler"), ("shiftwork-standalone", "standalone")] {
        the_configuration_is_checked_and_says_defaults(&tree, unit, command);
    }

    // Byte for byte the same.
    let again = directory.path().join("again");
    let again = build(&again);
    assert!(std::fs::read(package).expect("it") == std::fs::read(again).expect("it"));
}

/// The program takes the file that a unit names, as it is, and with every default of it uncommented.
fn the_configuration_is_checked_and_says_defaults(tree: &Path, unit: &str, command: &str) {
    let named = format!("/etc/shiftwork/{unit}.toml");
    let service = std::fs::read_to_string(tree.join(format!("lib/systemd/system/{unit}.service")));
    let service = service.expect("its unit");
    assert!(service.contains(&format!("Environment=SHIFTWORK_CONFIG={named}\n")), "{service}");

    let file = tree.join(&named[1..]);
    // Whoever unpacked it may be somebody else than the administrator.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("its owner");
    let check = || {
        let mut check = Command::new(program("shiftwork"));
        succeeds(check.args(["config", "check", command, "--config"]).arg(&file).env_clear())
    };
    let said = check();
    let in_force = |key: &str, said: &str| {
        let start = format!("{key} = ");
        said.lines().find_map(|line| line.strip_prefix(&start)).map(str::to_owned)
    };
    let data_dir = in_force("data-dir", &said);
    assert_eq!(data_dir.as_deref(), Some("\"/var/lib/shiftwork\"  # file"), "{said}");
    let masters = in_force("mesos", &said).expect("masters, or where they are served");
    assert!(
        masters.ends_with(if command == "scheduler" { "# file" } else { "# default" }),
        "{said}"
    );

    let text = std::fs::read_to_string(&file).expect("text");
    let mut uncommented = 0;
    let lines = text.lines().map(|line| {
        let key = line.strip_prefix('#').and_then(|line| line.split_once(" = "));
        let default = key.and_then(|(key, _)| in_force(key, &said));
        uncommented += usize::from(default.is_some());
        if default.is_some() { &line[1..] } else { line }
    });
    let all = lines.collect::<Vec<_>>().join("\n");
    assert!(uncommented > 20, "{uncommented} of {text}");
    std::fs::write(&file, all).expect("written");
    // The same is in force, but by the file; what is false cannot be said by a flag.
    let value = |line: &str| line.split("  # ").next().unwrap_or_default().to_owned();
    let values = |said: &str| said.lines().map(value).collect::<Vec<_>>();
    let again = check();
    assert_eq!(values(&again), values(&said), "{unit}");
    assert!(again.matches("  # file").count() > 15, "{again}");
}

/// What its pages link to is in the package.
fn the_documentation_leads_somewhere(documentation: &Path) {
    let mut pages = vec![documentation.join("README.md")];
    let chapters = std::fs::read_dir(documentation.join("docs")).expect("chapters").flatten();
    pages.extend(chapters.map(|entry| entry.path()));
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    let (mut links, mut broken) = (0, Vec::new());
    for page in pages {
        let text = std::fs::read_to_string(&page).expect("text");
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            links += 1;
            if !page.parent().expect("a directory").join(target).exists() {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(links > 100, "{links} links were found");
    assert_eq!(broken, Vec::<String>::new());
}
