//! Pages over all runs: those the engine holds and those the history holds, as one list. Absent:
//! asking either; `rest/runs.rs` does.

use std::cmp::Ordering;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use shiftwork_engine::view::RunView;
use shiftwork_schedule::Timestamp;

use super::page::{List, Page, PageAt};

/// A run in the list.
#[derive(Debug, Clone)]
pub(crate) enum Row {
    /// As the engine holds it.
    Live(Box<RunView>),
    /// As the history holds it.
    Stored {
        /// Its id.
        id: String,
        /// Whether it had ended.
        ended: bool,
        /// The run as it was answered then.
        run: Box<RawValue>,
    },
}

impl Row {
    /// Its id.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Live(run) => run.id.as_str(),
            Self::Stored { id, .. } => id,
        }
    }

    /// The run; none if what the history holds cannot be read.
    pub(crate) fn view(&self) -> Option<RunView> {
        match self {
            Self::Live(run) => Some((**run).clone()),
            Self::Stored { run, .. } => serde_json::from_str(run.get()).ok(),
        }
    }

    /// Whether nothing about it will change.
    pub(crate) fn ended(&self) -> bool {
        match self {
            Self::Live(run) => run.state.is_final(),
            Self::Stored { ended, .. } => *ended,
        }
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Live(run) => run.serialize(serializer),
            Self::Stored { run, .. } => run.serialize(serializer),
        }
    }
}

/// The list of runs.
pub(crate) const RUNS: List = List("runs");

/// The place of a run in the list: newest first, then by id, descending as the history sorts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunKey {
    /// When the run was made.
    pub(crate) created_at: Timestamp,
    /// Its id.
    pub(crate) id: String,
}

impl RunKey {
    /// Its text in a cursor.
    pub(crate) fn text(&self) -> String {
        format!("{}/{}", self.created_at.as_millis(), self.id)
    }

    /// Reads what [`RunKey::text`] wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (millis, id) = text.split_once('/')?;
        let created_at = Timestamp::from_millis(millis.parse().ok()?);
        Some(Self { created_at, id: id.to_owned() })
    }
}

impl Ord for RunKey {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.created_at, &other.id).cmp(&(self.created_at, &self.id))
    }
}

impl PartialOrd for RunKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Rows of one source, from the cursor on.
#[derive(Debug, Clone)]
pub(crate) struct Rows<T> {
    /// The rows; some that the source gave may have been left out.
    rows: Vec<(RunKey, T)>,
    /// The last row given, if the source has more: beyond it nothing is known.
    known_to: Option<RunKey>,
}

impl<T> Rows<T> {
    /// Takes what a source gave, and how far that goes if the source has more.
    pub(crate) fn known_to(rows: Vec<(RunKey, T)>, known_to: Option<RunKey>) -> Self {
        Self { rows, known_to }
    }

    /// Cuts what a source gave when asked for [`PageAt::fetch`] rows.
    pub(crate) fn cut(mut rows: Vec<(RunKey, T)>, at: &PageAt) -> Self {
        let more = rows.len() > at.limit;
        rows.truncate(at.limit);
        let known_to = rows.last().filter(|_| more).map(|(key, _)| key.clone());
        Self { rows, known_to }
    }

    /// No rows, and no more to come.
    pub(crate) fn none() -> Self {
        Self { rows: Vec::new(), known_to: None }
    }

    /// The rows.
    pub(crate) fn rows_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.rows.iter_mut().map(|(_, row)| row)
    }
}

/// Joins both sources to a page: sorted, each run once. A run in both is the engine's, unless
/// `ended` says that the history's row is its end, which happened after the engine was asked.
pub(crate) fn merge<T>(
    live: Rows<T>,
    stored: Rows<T>,
    at: &PageAt,
    ended: impl Fn(&T) -> bool,
) -> Page<T> {
    let known_to = [live.known_to, stored.known_to].into_iter().flatten().min();
    // Live rows first: the sort is stable, so of two with one key the engine's comes first.
    let mut rows: Vec<(RunKey, T)> = live.rows.into_iter().chain(stored.rows).collect();
    rows.retain(|(key, _)| known_to.as_ref().is_none_or(|end| key <= end));
    rows.sort_by(|(a, _), (b, _)| a.cmp(b));
    rows.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same && ended(&later.1) {
            std::mem::swap(later, kept);
        }
        same
    });
    let next = if rows.len() > at.limit {
        rows.truncate(at.limit);
        rows.last().map(|(key, _)| key.clone())
    } else {
        known_to
    };
    Page {
        next: next.map(|key| RUNS.encode(&key.text())),
        items: rows.into_iter().map(|(_, row)| row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    /// Where a generated run is, and whether the history's row is its end.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Place {
        Live,
        Stored,
        Both { ended: bool },
    }

    /// What a page shows: the id, the source, whether it ended.
    type TestRow = (String, &'static str, bool);

    /// The rows of one source.
    type Source = Vec<(RunKey, TestRow)>;

    fn key(created_at: i64, id: &str) -> RunKey {
        RunKey { created_at: Timestamp::from_millis(created_at), id: id.to_owned() }
    }

    /// What a source answers: its rows after the cursor, sorted, cut.
    fn fetch(source: &[(RunKey, TestRow)], at: &PageAt, after: Option<&RunKey>) -> Rows<TestRow> {
        let mut rows = source.to_vec();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        rows.retain(|(key, _)| after.is_none_or(|after| key > after));
        rows.truncate(at.fetch());
        Rows::cut(rows, at)
    }

    fn decoded(cursor: &str) -> RunKey {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        RunKey::parse(text.strip_prefix("runs\n").unwrap()).unwrap()
    }

    fn sources(runs: &[(i64, Place)]) -> (Source, Source) {
        let (mut live, mut stored) = (Vec::new(), Vec::new());
        for (index, (created_at, place)) in runs.iter().enumerate() {
            let id = format!("job@{index}");
            let place_key = key(*created_at, &id);
            if *place != Place::Stored {
                live.push((place_key.clone(), (id.clone(), "live", false)));
            }
            match place {
                Place::Live => {}
                Place::Stored => stored.push((place_key, (id, "stored", true))),
                Place::Both { ended } => stored.push((place_key, (id, "stored", *ended))),
            }
        }
        (live, stored)
    }

    #[test]
    fn keys_sort_newest_first_and_survive_a_cursor() {
        let mut keys = vec![key(1, "a@x"), key(2, "a@x"), key(2, "b@x")];
        keys.sort();
        assert_eq!(keys, [key(2, "b@x"), key(2, "a@x"), key(1, "a@x")]);
        assert_eq!(RunKey::parse(&key(-5, "a@x").text()), Some(key(-5, "a@x")));
        assert_eq!(RunKey::parse("five/a@x"), None);
    }

    #[test]
    fn rows_left_out_do_not_open_a_gap() {
        // The history gave three rows and has more; two of them could not be read. The live row
        // older than the last of them must wait: unknown rows may come before it.
        let at = PageAt { list: RUNS, limit: 3, after: None, cursor: "cursor" };
        let stored = Rows::known_to(vec![(key(9, "a@9"), 9)], Some(key(7, "a@7")));
        let live = Rows::cut(vec![(key(1, "a@1"), 1)], &at);
        let page = merge(live, stored, &at, |_| false);
        assert_eq!(page.items, [9]);
        assert_eq!(decoded(&page.next.unwrap()), key(7, "a@7"));
    }

    fn place() -> impl Strategy<Value = Place> {
        prop_oneof![
            Just(Place::Live),
            Just(Place::Stored),
            any::<bool>().prop_map(|ended| Place::Both { ended })
        ]
    }

    proptest! {
        #[test]
        fn every_run_comes_once_and_in_order(
            runs in proptest::collection::vec((0_i64..6, place()), 0..40), limit in 1_usize..8
        ) {
            let (live, stored) = sources(&runs);
            let at = PageAt { list: RUNS, limit, after: None, cursor: "cursor" };
            let mut seen: Vec<TestRow> = Vec::new();
            let mut after: Option<RunKey> = None;
            for _ in 0..=runs.len() {
                let here = after.take();
                let page = merge(
                    fetch(&live, &at, here.as_ref()),
                    fetch(&stored, &at, here.as_ref()),
                    &at,
                    |row| row.2,
                );
                prop_assert!(page.items.len() <= limit);
                seen.extend(page.items);
                match page.next {
                    Some(cursor) => after = Some(decoded(&cursor)),
                    None => break,
                }
            }
            prop_assert!(after.is_none(), "the walk ends");
            let mut expected: Vec<(RunKey, TestRow)> = Vec::new();
            for (index, (created_at, place)) in runs.iter().enumerate() {
                let id = format!("job@{index}");
                let row = match place {
                    Place::Live | Place::Both { ended: false } => (id.clone(), "live", false),
                    Place::Stored | Place::Both { ended: true } => (id.clone(), "stored", true),
                };
                expected.push((key(*created_at, &id), row));
            }
            expected.sort_by(|a, b| a.0.cmp(&b.0));
            let expected: Vec<TestRow> = expected.into_iter().map(|(_, row)| row).collect();
            prop_assert_eq!(seen, expected);
        }
    }
}
