//! Pages of lists: limit, opaque cursor, and the one shape `{"items", "next"}`. Absent: where rows
//! come from.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::params::{Kind, Param, Params};
use super::problem::Problem;

/// Rows of a page when the client names no limit: a screen or two.
pub(super) const LIMIT_DEFAULT: usize = 100;

/// Most rows of a page: bounds what one request takes from the owner loop.
pub(crate) const LIMIT_MAX: usize = 1000;

/// Longest cursor, bytes: the longest key is a run's, twice a name plus its time, in base64.
const CURSOR_LEN_MAX: usize = 1024;

/// How many rows of a list are wanted.
pub(crate) static LIMIT: Param = Param {
    name: "limit",
    about: "Most rows of the page; 100 unless given.",
    kind: Kind::Integer(1, LIMIT_MAX as u64),
};

/// Where a page begins.
pub(crate) static CURSOR: Param =
    Param { name: "cursor", about: "The `next` of the page before; opaque.", kind: Kind::Text };

/// Part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Page<T> {
    /// The rows.
    pub(crate) items: Vec<T>,
    /// Where the next page begins; none on the last.
    pub(crate) next: Option<String>,
}

impl<T> Page<T> {
    /// A list that is never cut.
    pub(crate) fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }

    /// Cuts rows, of which one more than the limit was asked for, to a page.
    pub(crate) fn cut(mut rows: Vec<T>, at: &PageAt, key: impl Fn(&T) -> String) -> Self {
        let more = rows.len() > at.limit;
        rows.truncate(at.limit);
        let next = rows.last().filter(|_| more).map(|row| at.list.encode(&key(row)));
        Self { items: rows, next }
    }
}

/// What is said of a cursor that no list gave.
const NOT_A_CURSOR: &str = "is not one of this list: take it from the page before, or leave it out";

/// Names a list, so that the cursor of one is not taken for that of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct List(pub(crate) &'static str);

impl List {
    /// The cursor after the row with this key.
    pub(crate) fn encode(self, key: &str) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}\n{key}", self.0))
    }

    pub(super) fn decode(self, cursor: &str) -> Result<String, &'static str> {
        if cursor.len() > CURSOR_LEN_MAX {
            return Err(NOT_A_CURSOR);
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| NOT_A_CURSOR)?;
        let text = String::from_utf8(bytes).map_err(|_| NOT_A_CURSOR)?;
        match text.split_once('\n') {
            Some((list, key)) if list == self.0 => Ok(key.to_owned()),
            _ => Err(NOT_A_CURSOR),
        }
    }
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageAt {
    /// Of which list.
    pub(crate) list: List,
    /// Most rows wanted.
    pub(crate) limit: usize,
    /// The key of the last row of the page before.
    pub(crate) after: Option<String>,
    /// What the door calls the cursor.
    pub(crate) cursor: &'static str,
}

impl PageAt {
    /// Reads `limit` and `cursor`.
    ///
    /// # Errors
    /// Names the parameter that is wrong.
    pub(crate) fn read(list: List, params: &Params) -> Result<Self, Problem> {
        Ok(Self {
            list,
            limit: params.count(LIMIT.name, LIMIT_DEFAULT, LIMIT_MAX)?,
            after: params.read(CURSOR.name, |text| list.decode(text))?,
            cursor: CURSOR.name,
        })
    }

    /// The key of the last row of the page before, as `read` reads it.
    ///
    /// # Errors
    /// Names the cursor, which somebody has made up.
    pub(crate) fn read_after<T, E>(
        &self,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        let wrong = |_| Problem::parameter(self.cursor, NOT_A_CURSOR);
        self.after.as_deref().map(read).transpose().map_err(wrong)
    }

    /// How many rows to ask for: one more tells whether there is a next page.
    pub(crate) fn fetch(&self) -> usize {
        self.limit + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIST: List = List("jobs");

    fn at(limit: usize, after: Option<String>) -> PageAt {
        PageAt { list: LIST, limit, after, cursor: CURSOR.name }
    }

    #[test]
    fn a_cursor_belongs_to_its_list() {
        let cursor = LIST.encode("word-count");
        assert_eq!(LIST.decode(&cursor), Ok("word-count".to_owned()));
        assert!(List("apps").decode(&cursor).is_err());
        for bad in ["", "%%%", "AAAA", "=", &"A".repeat(2000)] {
            assert!(LIST.decode(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_last_page_has_no_next() {
        let page = Page::cut(vec!["a".to_owned(), "b".to_owned()], &at(2, None), Clone::clone);
        assert_eq!(page, Page::whole(vec!["a".to_owned(), "b".to_owned()]));
    }

    proptest! {
        #[test]
        fn walking_the_pages_gives_every_row_once(
            names in proptest::collection::btree_set("[a-z]{1,4}", 0..40), limit in 1_usize..7
        ) {
            let all: Vec<String> = names.into_iter().collect();
            let mut seen = Vec::new();
            let mut after: Option<String> = None;
            for _ in 0..=all.len() {
                let place = at(limit, after.take());
                let rows = all.iter().filter(|name| place.after.as_ref().is_none_or(|a| *name > a));
                let rows = rows.take(place.fetch()).cloned().collect();
                let page = Page::cut(rows, &place, Clone::clone);
                seen.extend(page.items);
                match page.next {
                    Some(cursor) => after = Some(LIST.decode(&cursor).unwrap()),
                    None => break,
                }
            }
            prop_assert_eq!(seen, all);
        }

        #[test]
        fn no_text_makes_a_cursor_panic(text in "\\PC*") {
            let _ = LIST.decode(&text);
        }
    }
}
