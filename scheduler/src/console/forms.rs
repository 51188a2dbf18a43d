//! What a form sends, and a query of a page. Absent: what the fields mean.

use std::collections::BTreeMap;

use axum::Form;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::Uri;
use axum::http::request::Parts;

use super::oops::Oops;
use crate::api::Problem;

/// The fields of a form or of a query: of two with one name the last counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    /// A field's text without white space around it; empty if there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |text| text.trim())
    }

    /// The same; none if it is empty.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// A field as it was sent: what it holds may begin with white space. Lines end as on Unix.
    pub(super) fn raw(&self, name: &str) -> String {
        self.0.get(name).map(|text| text.replace("\r\n", "\n")).unwrap_or_default()
    }

    /// Writes a field.
    pub(super) fn set(&mut self, name: &str, text: &str) {
        self.0.insert(name.to_owned(), text.to_owned());
    }

    /// Whether a box is ticked.
    pub(super) fn ticked(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The fields of a query.
    pub(super) fn of_query(uri: &Uri) -> Result<Self, Oops> {
        let read = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        let unreadable = |_| {
            Problem::malformed(
                "the address cannot be read: percent-encode names and values as UTF-8",
            )
        };
        let pairs = read.map_err(unreadable)?.0;
        Ok(Self(pairs.into_iter().collect()))
    }
}

impl From<&[(&str, &str)]> for Fields {
    fn from(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }
}

/// The fields of a query.
pub(super) struct QueryFields(pub(super) Fields);

impl<S: Send + Sync> FromRequestParts<S> for QueryFields {
    type Rejection = Oops;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Oops> {
        Fields::of_query(&parts.uri).map(Self)
    }
}

/// The fields of a form that was sent.
pub(super) struct Sent(pub(super) Fields);

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Oops;

    async fn from_request(request: Request, state: &S) -> Result<Self, Oops> {
        let unreadable = |rejection: axum::extract::rejection::FormRejection| {
            Problem::malformed(format!("the form cannot be read: {}", rejection.body_text()))
        };
        let form = Form::<Vec<(String, String)>>::from_request(request, state).await;
        let Form(pairs) = form.map_err(unreadable)?;
        Ok(Self(Fields(pairs.into_iter().collect())))
    }
}
