//! The image and the cluster in containers. There may be no engine to build them with, so a linter
//! and their own form must do; what the form cannot show stands in docs/install.md.

use std::process::Command;

use serde_json::Value;

use crate::{read, root, succeeds};

#[test]
fn the_image_is_pinned_and_runs_as_nobody_else() {
    let text = read("deploy/docker/Dockerfile");
    let instructions: Vec<&str> = text.lines().collect();
    let stages = instructions.iter().filter(|line| line.starts_with("FROM ")).count();
    assert!(stages >= 2, "what builds it is not in it");
    for base in ["RUST", "DEBIAN"] {
        let pin = instructions.iter().find_map(|line| line.strip_prefix(&format!("ARG {base}=")));
        let (_, tag) = pin.and_then(|pin| pin.split_once(':')).expect("a tag");
        assert!(tag.chars().any(|c| c.is_ascii_digit()) && tag != "latest", "{tag}");
    }
    let user = instructions.iter().rfind(|line| line.starts_with("USER ")).expect("a user");
    assert!(!user.contains("root") && !user.contains(" 0"), "{user}");
    assert!(text.contains("--locked") && text.contains("HEALTHCHECK"));
}

#[test]
fn the_linter_finds_nothing_in_the_image() {
    let Some(hadolint) = std::env::var_os("SHIFTWORK_TEST_HADOLINT") else {
        println!("not linted: SHIFTWORK_TEST_HADOLINT names no hadolint (tests/run installs one)");
        return;
    };
    succeeds(Command::new(hadolint).arg(root().join("deploy/docker/Dockerfile")));
}

#[test]
fn compose_takes_the_cluster() {
    let file = root().join("deploy/compose/compose.yml");
    succeeds(Command::new("docker-compose").arg("-f").arg(file).args(["config", "--quiet"]));
}

/// The file as JSON, merges and anchors resolved.
fn compose() -> Value {
    // Python is what the tests' own tools need anyway.
    let python = std::env::var("SHIFTWORK_TEST_PYTHON_YAML").unwrap_or_else(|_| "python3".into());
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let file = root().join("deploy/compose/compose.yml");
    let said = succeeds(Command::new(python).args(["-c", script]).arg(file));
    serde_json::from_str(&said).expect("JSON")
}

#[test]
fn nobody_gets_in_unasked() {
    for file in ["deploy/compose/compose.yml", "deploy/marathon/shiftwork.json"] {
        assert!(!read(file).to_lowercase().contains("insecure"), "{file}");
    }
    let compose = compose();
    for scheduler in ["shiftwork-1", "shiftwork-2"] {
        let service = &compose["services"][scheduler];
        let token = &service["environment"]["SHIFTWORK_ADMIN_TOKEN_FILE"];
        let token = token.as_str().expect("the file of a token");
        // On the volume of both: either may lead.
        let directory = token.rsplit_once('/').map(|(directory, _)| directory);
        let shared = format!("access:{}", directory.expect("a directory"));
        let volumes = service["volumes"].as_array().expect("volumes");
        assert!(volumes.iter().any(|volume| *volume == shared.as_str()), "{volumes:?}");
    }
    // What `access` writes, Prometheus reads: /etc/prometheus/scraper/token.
    let written = &compose["services"]["access"];
    assert_eq!(written["entrypoint"][2], "/var/lib/shiftwork/token");
    let mounts = |service: &str, mount: &str| {
        let volumes = compose["services"][service]["volumes"].as_array().cloned();
        volumes.into_iter().flatten().any(|volume| volume == mount)
    };
    assert!(mounts("access", "scraper:/var/lib/shiftwork"));
    assert!(mounts("prometheus", "scraper:/etc/prometheus/scraper:ro"));
    assert!(read("deploy/prometheus/prometheus.yml").contains("credentials_file: scraper/token\n"));
}

#[test]
fn the_cluster_in_containers_is_whole() {
    let compose = compose();
    let services = compose["services"].as_object().expect("services");
    let wanted = [
        "zookeeper",
        "mesos-master",
        "mesos-agent-1",
        "mesos-agent-2",
        "postgres",
        "shiftwork-1",
        "shiftwork-2",
        "access",
        "prometheus",
        "grafana",
    ];
    for name in wanted {
        assert!(services.contains_key(name), "{name}");
    }
    for (name, service) in services {
        let image = service["image"].as_str().expect("an image");
        let (_, tag) =
            image.rsplit_once(':').unwrap_or_else(|| panic!("{name}: {image} has no tag"));
        assert_ne!(tag, "latest", "{name}");
        // Our image brings its own check.
        let is_ours = image.starts_with("shiftwork:");
        assert!(is_ours || service["healthcheck"]["test"].is_array(), "{name} has no health check");
        for port in service["ports"].as_array().into_iter().flatten() {
            let port = port.as_str().expect("text");
            assert!(port.starts_with("127.0.0.1:"), "{name} is open to other machines: {port}");
        }
        for needed in service["depends_on"].as_object().into_iter().flatten() {
            assert!(services.contains_key(needed.0), "{name} needs {}", needed.0);
            // That which ends is waited for to the end.
            let ends = services[needed.0]["restart"] == "on-failure";
            let wanted = if ends { "service_completed_successfully" } else { "service_healthy" };
            assert_eq!(needed.1["condition"], wanted, "{name}");
        }
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let volume = volume.as_str().expect("text");
            let source = volume.split(':').next().expect("a source");
            let there = if source.starts_with('.') {
                root().join("deploy/compose").join(source).exists()
            } else {
                compose["volumes"].as_object().is_some_and(|named| named.contains_key(source))
            };
            assert!(there, "{name}: {volume}");
        }
    }
}
