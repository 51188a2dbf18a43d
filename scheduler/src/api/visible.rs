//! Lists for somebody who is shown some apps only: rows of others are passed over, and the page is
//! filled all the same. Absent: the history, which is asked for those apps at once.

use std::sync::Arc;

use shiftwork_engine::Engine;

use super::ApiState;
use super::page::PageAt;
use super::problem::Problem;
use crate::auth::AppScope;

/// Rows looked at between two turns of the engine, where rows may have to be passed over.
const ROWS_AT_ONCE: usize = 500;

/// The rows of a page, and one more if there is one. `listing` says how to ask for rows behind a key,
/// and gives the key and the app of a row.
///
/// # Errors
/// 503 without a leader.
pub(crate) async fn rows<K, T, Ask, Key, App>(
    state: &ApiState,
    scope: &AppScope,
    at: &PageAt,
    after: Option<K>,
    listing: (Ask, Key, App),
) -> Result<Vec<T>, Problem>
where
    K: Clone + Send + Sync + 'static,
    T: Send + 'static,
    Ask: Fn(&Engine, Option<&K>, usize) -> Vec<T> + Send + Sync + 'static,
    Key: Fn(&T) -> K + Send + Sync + 'static,
    App: Fn(&Engine, &T) -> Option<String> + Send + Sync + 'static,
{
    let wanted = at.fetch();
    let (ask, key, app) = listing;
    if scope.is_all() {
        return state.query(move |engine| ask(engine, after.as_ref(), wanted)).await;
    }
    let listing = Arc::new((ask, key, app));
    let (mut seen, mut after) = (Vec::new(), after);
    loop {
        let (listing, scope, behind) = (Arc::clone(&listing), scope.clone(), after.clone());
        let look = move |engine: &Engine| {
            let (ask, key, app) = &*listing;
            let rows = ask(engine, behind.as_ref(), ROWS_AT_ONCE);
            let last = rows.last().filter(|_| rows.len() == ROWS_AT_ONCE).map(key);
            let covered = |row: &T| app(engine, row).is_some_and(|app| scope.covers(&app));
            (rows.into_iter().filter(covered).collect::<Vec<T>>(), last)
        };
        let (rows, last) = state.query(look).await?;
        seen.extend(rows);
        after = last;
        if seen.len() >= wanted || after.is_none() {
            seen.truncate(wanted);
            return Ok(seen);
        }
    }
}
