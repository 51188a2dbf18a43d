//! Requests that carry an `Idempotency-Key`, and what they came to, so that a request that is sent
//! twice is carried out once and another one under the same key is refused. Absent: triggers, whose
//! keys name their runs, so that the engine knows them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderMap;
use serde_json::Value;
use shiftwork_engine::document::Fingerprint;

use super::operation::IDEMPOTENCY_KEY;
use super::problem::Problem;

/// Keys remembered: a client that repeats itself does so within minutes.
const KEYS_MAX: usize = 10_000;

/// Longest key, bytes: several UUIDs.
const KEY_LEN_MAX: usize = 255;

/// What requests with a key came to, in this process.
#[derive(Debug, Clone, Default)]
pub struct IdempotencyKeys(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    carried_out: BTreeMap<Place, CarriedOut>,
    /// The oldest first.
    order: VecDeque<Place>,
}

/// Whose key for what: keys of others, or for something else, are others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    who: String,
    what: String,
    key: String,
}

#[derive(Debug, Clone)]
struct CarriedOut {
    asked: Fingerprint,
    made: String,
}

/// A request with a key.
#[derive(Debug, Clone)]
pub(super) struct Keyed {
    place: Place,
    asked: Fingerprint,
}

/// The key as the header gives it, with or without the quotes of a structured field.
///
/// # Errors
/// Names the header, if it is there more than once: which of them counts would be a guess.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY.name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        let message = "is there more than once: send one".to_owned();
        return Err(Problem::parameter(IDEMPOTENCY_KEY.name, message));
    }
    let text = value.to_str().unwrap_or("\u{fffd}").trim();
    Ok(Some(text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)))
}

// === impl Keyed ===

impl Keyed {
    /// The request of somebody, if it has a key.
    ///
    /// # Errors
    /// Names the header, for what is no key.
    pub(super) fn read(
        headers: &HeaderMap,
        who: &str,
        what: impl Into<String>,
        body: &Value,
    ) -> Result<Option<Self>, Problem> {
        let Some(key) = key(headers)? else { return Ok(None) };
        let readable = key.bytes().all(|byte| byte.is_ascii_graphic());
        if key.is_empty() || key.len() > KEY_LEN_MAX || !readable {
            let message = format!("must be 1 to {KEY_LEN_MAX} ASCII characters without spaces");
            return Err(Problem::parameter(IDEMPOTENCY_KEY.name, message));
        }
        let place = Place { who: who.to_owned(), what: what.into(), key: key.to_owned() };
        // Members are sorted as they are read: their order in the body says nothing.
        Ok(Some(Self { place, asked: Fingerprint::of(&body.to_string()) }))
    }
}

// === impl IdempotencyKeys ===

impl IdempotencyKeys {
    /// What the same request made, if it was carried out.
    ///
    /// # Errors
    /// 422 if the key was another request's.
    pub(super) fn made(&self, request: &Keyed) -> Result<Option<String>, Problem> {
        let book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match book.carried_out.get(&request.place) {
            None => Ok(None),
            Some(before) if before.asked == request.asked => Ok(Some(before.made.clone())),
            Some(before) => {
                let key = &request.place.key;
                Err(Problem::key_reused(format!(
                    "key {key} was used with another body, which made {}: send that one again, or \
                     use another key",
                    before.made
                )))
            }
        }
    }

    /// Remembers what a request made.
    pub(super) fn remember(&self, request: Keyed, made: impl Into<String>) {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Keyed { place, asked } = request;
        let carried_out = CarriedOut { asked, made: made.into() };
        if book.carried_out.insert(place.clone(), carried_out).is_none() {
            book.order.push_back(place);
        }
        if book.order.len() > KEYS_MAX
            && let Some(oldest) = book.order.pop_front()
        {
            book.carried_out.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(key: &str, who: &str, body: &Value) -> Result<Option<Keyed>, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert("idempotency-key", key.parse().unwrap());
        Keyed::read(&headers, who, "apps", body)
    }

    fn good(key: &str, who: &str, body: &Value) -> Keyed {
        request(key, who, body).unwrap().unwrap()
    }

    #[test]
    fn a_key_is_one_request_of_one_client() {
        let keys = IdempotencyKeys::default();
        let (body, other) = (json!({"a": 1, "b": 2}), json!({"a": 1, "b": 3}));
        assert_eq!(keys.made(&good("k", "alice", &body)), Ok(None));
        keys.remember(good("k", "alice", &body), "app shop");
        let again: Value = serde_json::from_str(r#"{"b":2, "a":1}"#).unwrap();
        assert_eq!(keys.made(&good("\"k\"", "alice", &again)), Ok(Some("app shop".to_owned())));
        let refused = keys.made(&good("k", "alice", &other)).unwrap_err();
        assert_eq!((refused.status().as_u16(), refused.slug()), (422, "idempotency-key-reused"));
        assert!(refused.detail().contains("app shop"), "{}", refused.detail());
        assert_eq!(keys.made(&good("k", "bob", &other)), Ok(None));
        assert_eq!(keys.made(&good("l", "alice", &other)), Ok(None));
    }

    #[test]
    fn what_is_no_key_is_refused_and_no_key_is_none() {
        assert!(Keyed::read(&HeaderMap::new(), "a", "apps", &Value::Null).unwrap().is_none());
        for bad in ["", "\"\"", "a b", "é", &"k".repeat(KEY_LEN_MAX + 1)] {
            let refused = request(bad, "a", &Value::Null).unwrap_err();
            assert_eq!(refused.status().as_u16(), 400, "{bad:?}");
        }
    }

    #[test]
    fn the_oldest_key_makes_room() {
        let keys = IdempotencyKeys::default();
        for number in 0..=KEYS_MAX {
            keys.remember(good(&format!("k{number}"), "a", &Value::Null), "x");
        }
        assert_eq!(keys.made(&good("k0", "a", &Value::Null)), Ok(None));
        assert_eq!(keys.made(&good("k1", "a", &Value::Null)), Ok(Some("x".to_owned())));
    }
}
