//! What calls have in common: names, pages, who asks.

use std::ops::RangeInclusive;

use shiftwork_proto::shiftwork::v1 as wire;
use shiftwork_schedule::Timestamp;
use tonic::Request;

use super::wire::ToWire;
use crate::api::extract::InPath;
use crate::api::page::{LIMIT_DEFAULT, LIMIT_MAX, List, Page, PageAt};
use crate::api::problem::Problem;
use crate::auth::{Actor, Identity};

/// The years 1 to 9999, which are what `google.protobuf.Timestamp` may hold.
const SECONDS: RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// What the cursor of a list is called here.
const TOKEN: &str = "page.token";

/// Who asks.
pub(super) fn identity<T>(request: &Request<T>) -> Identity {
    request.extensions().get::<Identity>().cloned().unwrap_or_else(Identity::nobody)
}

/// The same, for the records.
pub(super) fn caller<T>(request: &Request<T>) -> Actor {
    let from = request.remote_addr().map(|address| address.ip().to_canonical());
    Actor { identity: identity(request), door: "grpc", from }
}

/// A name that must be given.
///
/// # Errors
/// Names the field and the rule it breaks.
pub(super) fn name<T: InPath>(field: &str, text: &str) -> Result<T, Problem> {
    T::read(text).map_err(|message| Problem::parameter(field, message))
}

/// A name that need not be given.
///
/// # Errors
/// Names the field and the rule it breaks.
pub(super) fn filter<T: InPath>(field: &str, text: &str) -> Result<Option<T>, Problem> {
    if text.is_empty() { Ok(None) } else { name(field, text).map(Some) }
}

/// A text that need not be given.
pub(super) fn given(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// A moment that need not be given.
///
/// # Errors
/// Names the field, for what is no moment of the years 1 to 9999.
pub(super) fn moment(
    field: &str,
    at: Option<prost_types::Timestamp>,
) -> Result<Option<Timestamp>, Problem> {
    let Some(prost_types::Timestamp { seconds, nanos }) = at else { return Ok(None) };
    if !SECONDS.contains(&seconds) || !(0..1_000_000_000).contains(&nanos) {
        return Err(Problem::parameter(field, "is no moment of the years 1 to 9999"));
    }
    Ok(Some(Timestamp::from_millis(seconds * 1_000 + i64::from(nanos) / 1_000_000)))
}

/// Which part of a list is asked for.
///
/// # Errors
/// Names the field that is wrong.
pub(super) fn page(list: List, page: Option<wire::Page>) -> Result<PageAt, Problem> {
    let wire::Page { size, token } = page.unwrap_or_default();
    let limit = match size as usize {
        0 => LIMIT_DEFAULT,
        size if size <= LIMIT_MAX => size,
        _ => {
            let message =
                format!("must be a whole number from 1 to {LIMIT_MAX}, or 0 for {LIMIT_DEFAULT}");
            return Err(Problem::parameter("page.size", message));
        }
    };
    let after = given(token).map(|token| list.decode(&token)).transpose();
    let after = after.map_err(|message| Problem::parameter(TOKEN, message))?;
    Ok(PageAt { list, limit, after, cursor: TOKEN })
}

/// The rows of a page, and where the next begins.
pub(super) fn rows<T: ToWire>(page: Page<T>) -> (Vec<T::Wire>, String) {
    let rows = page.items.into_iter().map(T::to_wire).collect();
    (rows, page.next.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_one_or_refused_by_name() {
        let read =
            |seconds, nanos| moment("since", Some(prost_types::Timestamp { seconds, nanos }));
        assert_eq!(moment("since", None), Ok(None));
        assert_eq!(read(-1, 999_000_000), Ok(Some(Timestamp::from_millis(-1))));
        assert_eq!(read(1, 500_000_000), Ok(Some(Timestamp::from_millis(1_500))));
        for (seconds, nanos) in [(i64::MAX, 0), (i64::MIN, 0), (0, -1), (0, i32::MAX)] {
            let refused = read(seconds, nanos).unwrap_err();
            assert!(refused.detail().starts_with("since is no moment"), "{}", refused.detail());
        }
    }

    #[test]
    fn a_page_is_bounded_and_of_its_list() {
        let list = List("jobs");
        let at = page(list, None).unwrap();
        assert_eq!((at.limit, at.after), (LIMIT_DEFAULT, None));
        let token = list.encode("word-count");
        let at = page(list, Some(wire::Page { size: 7, token: token.clone() })).unwrap();
        assert_eq!((at.limit, at.after.as_deref()), (7, Some("word-count")));
        let large = wire::Page { size: 1_001, token: String::new() };
        assert!(page(list, Some(large)).unwrap_err().detail().starts_with("page.size"));
        let foreign = wire::Page { size: 0, token };
        assert!(page(List("apps"), Some(foreign)).unwrap_err().detail().starts_with("page.token"));
    }
}
