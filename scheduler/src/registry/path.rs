//! A node's place in the registry tree, and which names are allowed. Absent: what the places mean.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest path in bytes. ZooKeeper has no limit of its own; ours keeps error texts and the
/// share of names in a transaction small, and is far above the longest id the API accepts.
pub const PATH_BYTES_MAX: usize = 1024;

/// A node's place in the tree, e.g. `config/job/word-count`: segments joined by `/`, relative to the
/// namespace, never empty.
///
/// Exactly what ZooKeeper accepts is accepted (`org.apache.zookeeper.common.PathUtils`), so that a
/// tree can move from one registry to the other: no empty segment, no `.` or `..`, no control
/// characters, no private-use or special characters, none beyond U+FFFF.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Arc<str>);

/// Why a text is not a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing at all; the root of the namespace is no node.
    #[error("a registry path is empty: name at least one segment")]
    Empty,
    /// Two slashes in a row, or one at either end.
    #[error("registry path {path:?} has an empty segment: no slash at either end, no two in a row")]
    EmptySegment {
        /// The text as given.
        path: String,
    },
    /// A segment `.` or `..`.
    #[error("registry path {path:?} has a segment {segment:?}: relative segments are not allowed")]
    Relative {
        /// The text as given.
        path: String,
        /// The segment in question.
        segment: String,
    },
    /// A character that ZooKeeper refuses.
    #[error(
        "registry path {path:?} has the character {character:?}: control, private-use and special \
         characters and those beyond U+FFFF are not allowed"
    )]
    Character {
        /// The text as given.
        path: String,
        /// The first such character.
        character: char,
    },
    /// Longer than [`PATH_BYTES_MAX`].
    #[error("registry path starting {start:?} has {bytes} bytes, at most {PATH_BYTES_MAX} fit")]
    TooLong {
        /// The first characters.
        start: String,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A slash where one segment was asked for.
    #[error("registry name {segment:?} has a slash: it must be a single segment")]
    Slash {
        /// The text as given.
        segment: String,
    },
}

// === impl Path ===

impl Path {
    /// Checks a text and makes it a path.
    ///
    /// # Errors
    ///
    /// [`PathError`] naming the first rule it breaks.
    pub fn new(path: impl Into<String>) -> Result<Self, PathError> {
        let path = path.into();
        if path.is_empty() {
            return Err(PathError::Empty);
        }
        if path.len() > PATH_BYTES_MAX {
            let start = path.chars().take(60).collect();
            return Err(PathError::TooLong { start, bytes: path.len() });
        }
        if let Some(character) = path.chars().find(|c| !is_allowed(*c)) {
            return Err(PathError::Character { path, character });
        }
        for segment in path.split('/') {
            match segment {
                "" => return Err(PathError::EmptySegment { path }),
                "." | ".." => {
                    let segment = segment.to_owned();
                    return Err(PathError::Relative { path, segment });
                }
                _ => {}
            }
        }
        Ok(Self(path.into()))
    }

    /// The path of a child of this node.
    ///
    /// # Errors
    ///
    /// [`PathError`] when the name is no single valid segment or the whole becomes too long.
    pub fn join(&self, segment: &str) -> Result<Self, PathError> {
        if segment.contains('/') {
            return Err(PathError::Slash { segment: segment.to_owned() });
        }
        Self::new(format!("{}/{segment}", self.0))
    }

    /// The whole path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(self.as_str(), |(_, name)| name)
    }

    /// The segments from the root down.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The node above, none for a node directly below the namespace.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.into()))
    }

    /// Whether this node stands below `ancestor`, at any depth; no node stands below itself.
    pub fn is_below(&self, ancestor: &Self) -> bool {
        self.0.strip_prefix(ancestor.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// ZooKeeper's rule, where surrogates are refused one by one: nothing beyond U+FFFF gets through.
fn is_allowed(character: char) -> bool {
    !matches!(
        character,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{10ffff}'
    )
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::new(text)
    }
}

impl TryFrom<String> for Path {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        Self::new(text)
    }
}

/// Lets maps keyed by paths be searched by text; the order is that of the text.
impl Borrow<str> for Path {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Path {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_zookeeper_accepts_is_accepted() {
        for text in [
            "a",
            "config/job/word-count",
            "state/running/j/j@-@0@-@READY",
            "...",
            ".a/a.",
            "Wörter zählen",
            "夜間バッチ",
            "%2F",
            "a\u{a0}b",
        ] {
            assert_eq!(Path::new(text).map(|p| p.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn each_broken_rule_is_named() {
        assert_eq!(Path::new(""), Err(PathError::Empty));
        for text in ["/a", "a/", "a//b", "/"] {
            assert!(matches!(Path::new(text), Err(PathError::EmptySegment { .. })), "{text}");
        }
        for text in [".", "..", "a/./b", "a/../b", "a/.."] {
            assert!(matches!(Path::new(text), Err(PathError::Relative { .. })), "{text}");
        }
        for text in ["a\0", "a\nb", "\u{7f}", "\u{9f}", "\u{e000}", "\u{fffd}", "job-🚀"] {
            assert!(matches!(Path::new(text), Err(PathError::Character { .. })), "{text:?}");
        }
        assert!(Path::new("x".repeat(PATH_BYTES_MAX)).is_ok());
        assert!(matches!(
            Path::new("x".repeat(PATH_BYTES_MAX + 1)),
            Err(PathError::TooLong { bytes: 1025, .. })
        ));
    }

    #[test]
    fn family_relations() {
        let job = Path::new("state/ready/j").unwrap();
        let run = job.join("r1").unwrap();
        assert_eq!(run.as_str(), "state/ready/j/r1");
        assert_eq!((run.name(), run.parent()), ("r1", Some(job.clone())));
        assert_eq!(Path::new("state").unwrap().parent(), None);
        assert!(run.is_below(&job) && run.is_below(&Path::new("state").unwrap()));
        assert!(!job.is_below(&job) && !Path::new("state/ready/j2").unwrap().is_below(&job));
        assert!(matches!(job.join("a/b"), Err(PathError::Slash { .. })));
        assert!(job.join("..").is_err() && job.join("").is_err());
        assert_eq!(run.segments().count(), 4);
    }
}
