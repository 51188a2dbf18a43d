//! The chapter of the documentation about REST: what it says of routes is made from the table of
//! routes.

use std::fmt::Write as _;

use crate::api::operation::{Answered, Operation};
use crate::api::rest;

/// What is above it is written by hand.
const BEGIN: &str = "<!-- generated from the table of routes, see its test -->\n";

/// `SHIFTWORK_WRITE_DOCS=1 cargo test -p shiftwork-scheduler --lib reference` writes it anew.
#[test]
fn the_reference_of_routes_is_in_step() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api.md");
    let page = std::fs::read_to_string(path).expect("the chapter is there");
    let (by_hand, generated) = page.split_once(BEGIN).expect("the marker is there");
    let (_, operations) = rest::table().finish();
    let wanted = markdown(&operations);
    if std::env::var_os("SHIFTWORK_WRITE_DOCS").is_some() {
        std::fs::write(path, format!("{by_hand}{BEGIN}{wanted}")).expect("it can be written");
        return;
    }
    assert!(
        generated == wanted,
        "docs/api.md says something else than the table of routes: write it anew with \
         SHIFTWORK_WRITE_DOCS=1 cargo test -p shiftwork-scheduler --lib reference"
    );
}

fn markdown(operations: &[Operation]) -> String {
    let mut tags: Vec<&str> = Vec::new();
    for operation in operations {
        if !tags.contains(&operation.tag) {
            tags.push(operation.tag);
        }
    }
    let mut text = String::new();
    for tag in tags {
        let _ = writeln!(text, "\n## {tag}");
        for operation in operations.iter().filter(|operation| operation.tag == tag) {
            section(&mut text, operation);
        }
    }
    text
}

fn section(text: &mut String, operation: &Operation) {
    let Operation { method, path, summary, .. } = operation;
    let _ = writeln!(text, "\n### `{method} {path}`\n\n{}\n", summary.replace('<', "&lt;"));
    for (what, params) in [("query", &operation.query), ("header", &operation.headers)] {
        for param in params {
            let _ = writeln!(text, "- {what} `{}`: {}", param.name, param.about);
        }
    }
    if let Some(body) = operation.body {
        let optional = if body.required { "" } else { ", or none" };
        let _ = writeln!(text, "- body: `{}`{optional}", body.schema);
    }
    let answers: Vec<String> = operation.answers.iter().map(answer).collect();
    let _ = writeln!(text, "- answers {}", answers.join(", "));
    if !operation.refusals.is_empty() {
        let mut refusals = operation.refusals.clone();
        refusals.sort_unstable();
        refusals.dedup();
        let refusals: Vec<_> = refusals.iter().map(|status| format!("`{status}`")).collect();
        let _ = writeln!(text, "- refuses with {}", refusals.join(", "));
    }
}

fn answer((status, answered): &(u16, Answered)) -> String {
    match answered {
        Answered::One(schema) => format!("`{status}` with `{schema}`"),
        Answered::Page(schema) => format!("`{status}` with a page of `{schema}`"),
        Answered::Stream(None) => format!("`{status}` with server-sent events"),
        Answered::Stream(Some(schema)) => {
            format!("`{status}` with `{schema}`, or server-sent events if they are accepted")
        }
        Answered::Text(media_type) => format!("`{status}` with `{media_type}`"),
        Answered::Empty => format!("`{status}`"),
    }
}
