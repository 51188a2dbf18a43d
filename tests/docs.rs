//! The documentation holds together: every chapter is in the book's table, every relative link and
//! every heading it points at is there. Absent: its commands, which `e2e/docs.rs` runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).expect("a parent")
}

/// README, CHANGELOG, ARCHITECTURE and the chapters, by their path from the root.
fn pages() -> Vec<(String, String)> {
    let mut names: Vec<_> =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(str::to_owned).into();
    for entry in std::fs::read_dir(root().join("docs")).expect("docs").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
            names.push(format!("docs/{name}"));
        }
    }
    assert!(names.len() > 10, "the chapters were found");
    names.sort();
    let text = |name: String| {
        let text = std::fs::read_to_string(root().join(&name)).expect("text");
        (name, text)
    };
    names.into_iter().map(text).collect()
}

/// Lines outside fenced blocks, with inline code taken out.
fn prose(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push(line.split('`').step_by(2).collect::<Vec<_>>().join("``"));
        }
    }
    lines
}

/// What stands between `](` and `)`.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        for part in line.split("](").skip(1) {
            let target = part.split(')').next().unwrap_or_default();
            found.push(target.split_whitespace().next().unwrap_or_default().to_owned());
        }
    }
    found
}

/// Headings as anchors, as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut fenced = false;
    let mut found = BTreeSet::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        let heading = line.trim_start_matches('#');
        if !fenced && heading.len() < line.len() && heading.starts_with(' ') {
            let kept = |c: char| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
                _ => None,
            };
            found.insert(heading.trim().chars().filter_map(kept).collect());
        }
    }
    found
}

#[test]
fn relative_links_lead_somewhere() {
    let mut broken = Vec::new();
    let mut checked = 0;
    for (name, text) in pages() {
        let page = root().join(&name);
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            checked += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().expect("a directory").join(file),
            };
            let there = target.exists()
                && (anchor.is_empty()
                    || std::fs::read_to_string(&target)
                        .is_ok_and(|text| anchors(&text).contains(anchor)));
            if !there {
                broken.push(format!("{name}: {link}"));
            }
        }
    }
    assert!(checked > 20, "links were found");
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn the_book_has_every_chapter_once() {
    let summary = std::fs::read_to_string(root().join("docs/SUMMARY.md")).expect("a table");
    let listed = links(&summary);
    let once: BTreeSet<_> = listed.iter().cloned().collect();
    assert_eq!(once.len(), listed.len(), "a chapter stands twice in {listed:?}");
    let chapters: BTreeSet<_> = pages()
        .into_iter()
        .filter_map(|(name, _)| name.strip_prefix("docs/").map(str::to_owned))
        .filter(|name| name != "SUMMARY.md")
        .collect();
    assert_eq!(once, chapters, "left: docs/SUMMARY.md, right: the files of docs/");
}

#[test]
fn chapters_open_with_their_title() {
    for (name, text) in pages() {
        assert!(text.starts_with("# "), "{name} must open with `# ` and its title");
    }
}

/// What a block may say of itself, as docs/releases.md explains.
const FENCES: [&str; 11] = [
    "",
    "sh",
    "sh,server",
    "sh,stopped",
    "sh,norun",
    "console",
    "json",
    "toml",
    "yaml",
    "rust",
    "text",
];

#[test]
fn blocks_say_what_a_test_does_with_them() {
    let mut wrong = Vec::new();
    for (name, text) in pages() {
        if name == "ARCHITECTURE.md" {
            continue;
        }
        let (mut before, mut fenced) = (String::new(), false);
        for (number, line) in text.lines().enumerate() {
            if let Some(info) = line.trim_start().strip_prefix("```") {
                let reason = before.trim().strip_prefix("<!-- norun: ");
                let reasoned = reason.is_some_and(|reason| reason.len() > 10);
                let at = format!("{name}:{}", number + 1);
                if !fenced && !FENCES.contains(&info) {
                    wrong.push(format!("{at}: {info:?} is none of {FENCES:?}"));
                } else if !fenced && (info == "sh,norun") != reasoned {
                    wrong.push(format!("{at}: <!-- norun: reason --> and sh,norun go together"));
                }
                fenced = !fenced;
            }
            line.clone_into(&mut before);
        }
        assert!(!fenced, "{name}: a block has no end");
    }
    assert_eq!(wrong, Vec::<String>::new());
}
