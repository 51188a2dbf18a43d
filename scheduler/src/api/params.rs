//! Parameters: how routes declare them, and the query read strictly by that: what is unknown or
//! doubled is refused by name. Absent: the meaning of each; that is with the resource.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;

use super::problem::Problem;

/// A parameter as a route declares it: what is declared is accepted, and described in the
/// document of the API.
#[derive(Debug)]
pub(crate) struct Param {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it does, in a sentence.
    pub(crate) about: &'static str,
    /// What it holds.
    pub(crate) kind: Kind,
}

/// What a parameter holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// The name of an app, a job or a calendar.
    Name,
    /// A whole number from the first to the second, inclusive.
    Integer(u64, u64),
    /// `true` or `false`.
    Boolean,
    /// RFC 3339, as `2026-11-20T02:00:00Z`.
    Instant,
    /// One of these.
    OneOf(&'static [&'static str]),
}

/// The query of a request, not yet looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawParams(Result<Vec<(String, String)>, ()>);

/// Parameters of which each is known and given once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Params(BTreeMap<String, String>);

/// The route's frame has read them by what the route declares.
impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.remove::<Self>().ok_or_else(|| {
            tracing::error!(path = parts.uri.path(), "a route stands outside the table of routes");
            Problem::internal("a defect of the scheduler, see its log")
        })
    }
}

impl RawParams {
    /// Takes the query of an address.
    pub(crate) fn parse(uri: &axum::http::Uri) -> Self {
        Self(Query::try_from_uri(uri).map(|Query(pairs)| pairs).map_err(drop))
    }

    /// Takes the parameters if they are among `known`. One given without a value counts as not
    /// given, as the empty field of a form does.
    ///
    /// # Errors
    /// Names the first that is unknown or given twice.
    pub(crate) fn only(self, known: &[&str]) -> Result<Params, Problem> {
        let pairs = self.0.map_err(|()| {
            Problem::malformed("the query cannot be read: percent-encode names and values as UTF-8")
        })?;
        let mut params = BTreeMap::new();
        for (name, value) in pairs {
            if !known.contains(&name.as_str()) {
                let message = match known {
                    [] => "is not a parameter here: this resource takes none".to_owned(),
                    _ => format!("is not a parameter here: known are {}", known.join(", ")),
                };
                return Err(Problem::parameter(&name, message));
            }
            if value.is_empty() {
                continue;
            }
            if params.contains_key(&name) {
                return Err(Problem::parameter(&name, "is given twice: leave one out"));
            }
            params.insert(name, value);
        }
        Ok(Params(params))
    }
}

impl Params {
    /// The text of a parameter.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter read by `read`.
    ///
    /// # Errors
    /// Names the parameter and says what `read` says.
    pub(crate) fn read<T, E: Display>(
        &self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        self.text(name)
            .map(|text| read(text).map_err(|error| Problem::parameter(name, error.to_string())))
            .transpose()
    }

    /// A whole number from 1 to `max`.
    ///
    /// # Errors
    /// Names the parameter and the range.
    pub(crate) fn count(&self, name: &str, default: usize, max: usize) -> Result<usize, Problem> {
        let number = self.read(name, |text| match usize::from_str(text) {
            Ok(number) if (1..=max).contains(&number) => Ok(number),
            _ => Err(format!("must be a whole number from 1 to {max}")),
        })?;
        Ok(number.unwrap_or(default))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(query: &str, known: &[&str]) -> Result<Params, Problem> {
        RawParams::parse(&format!("/x{query}").parse().unwrap()).only(known)
    }

    fn refused(query: &str, known: &[&str]) -> serde_json::Value {
        serde_json::to_value(only(query, known).unwrap_err()).unwrap()
    }

    #[test]
    fn known_parameters_are_decoded() {
        let params = only("?cron=0%200%202+*+*+%3F&n=", &["cron", "n"]).unwrap();
        assert_eq!(params.text("cron"), Some("0 0 2 * * ?"));
        assert_eq!(params.text("n"), None);
        assert_eq!(params.count("n", 5, 10), Ok(5));
    }

    #[test]
    fn what_is_unknown_or_doubled_is_named() {
        let unknown = refused("?job=a&colour=red", &["job", "app"]);
        assert_eq!(unknown["status"], 400);
        assert_eq!(unknown["errors"][0]["field"], "colour");
        assert!(unknown["detail"].as_str().unwrap().ends_with("known are job, app"));
        assert_eq!(refused("?job=a&job=a", &["job"])["errors"][0]["field"], "job");
        assert_eq!(refused("?x=1", &[])["errors"][0]["field"], "x");
        assert!(only("", &[]).is_ok());
    }

    #[test]
    fn a_number_out_of_range_is_refused_with_the_range() {
        for bad in ["0", "11", "-1", "1.5", "ten", "99999999999999999999999"] {
            let params = only(&format!("?n={bad}"), &["n"]).unwrap();
            let problem = serde_json::to_value(params.count("n", 5, 10).unwrap_err()).unwrap();
            assert_eq!(problem["detail"], "n must be a whole number from 1 to 10", "{bad}");
        }
        assert_eq!(only("?n=10", &["n"]).unwrap().count("n", 5, 10), Ok(10));
    }
}
