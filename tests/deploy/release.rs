//! The inventory of a release: what is linked in, with licences, and nothing that is not.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::{root, succeeds};

#[test]
fn the_inventory_lists_what_is_linked_in() {
    let inventory = succeeds(
        Command::new(root().join("deploy/release/inventory")).env("CARGO_NET_OFFLINE", "true"),
    );
    let inventory: Value = serde_json::from_str(&inventory).expect("JSON");
    assert_eq!(inventory["bomFormat"], "CycloneDX");
    let components = inventory["components"].as_array().expect("components");
    let names: BTreeSet<_> = components.iter().filter_map(|it| it["name"].as_str()).collect();
    for linked in ["shiftwork-engine", "tokio", "redb", "rustls"] {
        assert!(names.contains(linked), "{linked}");
    }
    // For tests alone.
    for absent in ["shiftwork-tests", "proptest", "croner"] {
        assert!(!names.contains(absent), "{absent}");
    }
    for component in components {
        assert!(component["licenses"][0]["expression"].is_string(), "{component}");
    }
}
