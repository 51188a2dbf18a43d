//! Entity tags of documents, and `If-Match`. A tag marks the document and not the answer around it,
//! of which parts (next firing, pending runs) change by themselves: so there is no `304`.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use shiftwork_engine::command::Command;
use shiftwork_engine::document::Fingerprint;

use super::operation::IF_MATCH;
use super::problem::Problem;

/// The header value for a document.
pub(super) fn etag(document: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&etag_text(document)).ok()
}

/// The same as text, quotes included.
pub(super) fn etag_text(document: &str) -> String {
    let Fingerprint(mark) = Fingerprint::of(document);
    format!("\"{mark:016x}\"")
}

/// What a change is conditional on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IfMatch(Option<Fingerprint>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let wrong = |message: &str| Problem::parameter(IF_MATCH.name, message);
        let mut given = parts.headers.get_all(header::IF_MATCH).iter();
        let Some(value) = given.next() else {
            return Ok(Self(None));
        };
        if given.next().is_some() {
            return Err(wrong("is given twice: leave one out"));
        }
        Self::read(value.to_str().unwrap_or_default()).map_err(wrong)
    }
}

// === impl IfMatch ===

impl IfMatch {
    /// Reads one tag.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        Self::parse(text).ok_or(
            "must be one ETag as it was answered, quotes included, or *; lists and weak tags are not taken",
        )
    }

    /// Whatever the document is.
    pub(super) fn any() -> Self {
        Self(None)
    }

    /// `*` holds for whatever exists; a change of what does not is refused anyway.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text == "*" {
            return Some(Self(None));
        }
        let mark = text.strip_prefix('"')?.strip_suffix('"')?;
        if mark.is_empty() || mark.contains(['"', ',']) {
            return None;
        }
        // A tag that is none of ours matches nothing, which is no mistake in the request.
        let ours = Some(mark).filter(|mark| mark.len() == 16);
        let mark = ours.and_then(|mark| u64::from_str_radix(mark, 16).ok());
        Some(Self(Some(mark.map_or(NOBODYS, Fingerprint))))
    }

    /// Makes a change conditional.
    pub(super) fn guard(self, change: Command) -> Command {
        match self.0 {
            Some(seen) => Command::IfUnchanged { seen, change: Box::new(change) },
            None => change,
        }
    }
}

/// The fingerprint of the empty text, which no document is.
const NOBODYS: Fingerprint = Fingerprint(0xcbf2_9ce4_8422_2325);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_comes_back_as_it_went() {
        let value = etag("{}").unwrap();
        let read = IfMatch::parse(value.to_str().unwrap());
        assert_eq!(read, Some(IfMatch(Some(Fingerprint::of("{}")))));
        assert_eq!(IfMatch::parse("*"), Some(IfMatch(None)));
        assert_eq!(NOBODYS, Fingerprint::of(""));
        assert_eq!(IfMatch::parse("\"other\""), Some(IfMatch(Some(NOBODYS))));
        for bad in ["", "W/\"x\"", "x", "\"", "\"a\", \"b\"", "\"\""] {
            assert_eq!(IfMatch::parse(bad), None, "{bad}");
        }
    }
}
