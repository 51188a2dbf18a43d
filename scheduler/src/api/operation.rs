//! What a route is, beside its handler: method, path, parameters, answers. The router and the
//! document of the API are both made from it, so that neither can know a route the other does not.
//! Absent: the handlers, and how the document is written.

use axum::http::Method;

use super::access::{Reach, Rule};
use super::page::{CURSOR, LIMIT};
use super::params::{Kind, Param};
use super::projection::FIELDS;
use crate::auth::Role;

/// One operation of the API.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    /// Its method.
    pub(super) method: Method,
    /// Its path, as the router takes it.
    pub(super) path: String,
    /// Its name for generated clients, unique.
    pub(super) id: String,
    /// The resource it belongs to.
    pub(super) tag: &'static str,
    /// What it does, in a sentence.
    pub(super) summary: String,
    /// The query parameters it takes.
    pub(super) query: Vec<&'static Param>,
    /// The headers it looks at.
    pub(super) headers: Vec<&'static Param>,
    /// The schema of the body it takes.
    pub(super) body: Option<Body>,
    /// What it answers when all is well, by status.
    pub(super) answers: Vec<(u16, Answered)>,
    /// The statuses with which it refuses, beyond those every operation may have.
    pub(super) refusals: Vec<u16>,
    /// Who may use it.
    pub(super) rule: Rule,
}

/// A body that is taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Body {
    /// The name of its schema.
    pub(super) schema: &'static str,
    /// Whether there must be one.
    pub(super) required: bool,
}

/// A body that is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    /// JSON of this schema.
    One(&'static str),
    /// A page of rows of this schema.
    Page(&'static str),
    /// Server-sent events, or JSON of this schema if they are not asked for.
    Stream(Option<&'static str>),
    /// Text of this media type.
    Text(&'static str),
    /// Nothing.
    Empty,
}

/// Where to find again what was made.
pub(super) const LOCATION: &str = "Location";

/// The tag of the document as the caller saw it.
pub(super) static IF_MATCH: Param = Param {
    name: "If-Match",
    about: "The ETag of the document as it was read: it is changed only if it is still the same.",
    kind: Kind::Text,
};

/// Makes a POST repeatable.
pub(super) static IDEMPOTENCY_KEY: Param = Param {
    name: "Idempotency-Key",
    about: "Chosen by the client: the same request with the same key is carried out once.",
    kind: Kind::Text,
};

/// Where a stream of events goes on.
pub(super) static LAST_EVENT_ID: Param = Param {
    name: "Last-Event-ID",
    about: "The id of the last event that was received: the stream goes on behind it.",
    kind: Kind::Text,
};

// === impl Operation ===

impl Operation {
    fn new(
        method: Method,
        path: impl Into<String>,
        id: impl Into<String>,
        summary: impl Into<String>,
    ) -> Self {
        let path = path.into();
        // Reading takes less than changing; what names an app, or what has one, is of that app.
        let role = if method.is_safe() { Role::Viewer } else { Role::Operator };
        let of_app = ["{app}", "{job}", "{run}", "{task}"];
        let reach = if path.split('/').any(|segment| of_app.contains(&segment)) {
            Reach::Path
        } else {
            Reach::AllApps
        };
        Self {
            method,
            path,
            id: id.into(),
            tag: "scheduler",
            summary: summary.into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            answers: Vec::new(),
            refusals: Vec::new(),
            rule: Rule { role: Some(role), reach },
        }
    }

    /// Takes this role, instead of viewer to read and operator to change.
    pub(super) fn role(mut self, role: Role) -> Self {
        self.rule.role = Some(role);
        self
    }

    /// Anybody may use it, whoever they are.
    pub(super) fn open(mut self) -> Self {
        self.rule.role = None;
        self
    }

    /// Leaves out, or refuses, what is not of the apps of whoever asks.
    pub(super) fn filtered(mut self) -> Self {
        self.rule.reach = Reach::Filtered;
        self
    }

    /// Holds nothing that is of an app.
    pub(super) fn shared(mut self) -> Self {
        self.rule.reach = Reach::Shared;
        self
    }

    /// A GET.
    pub(super) fn get(
        path: impl Into<String>,
        id: impl Into<String>,
        summary: impl Into<String>,
    ) -> Self {
        Self::new(Method::GET, path, id, summary)
    }

    /// A POST.
    pub(super) fn post(
        path: impl Into<String>,
        id: impl Into<String>,
        summary: impl Into<String>,
    ) -> Self {
        Self::new(Method::POST, path, id, summary).refuses(&[403])
    }

    /// A PUT.
    pub(super) fn put(
        path: impl Into<String>,
        id: impl Into<String>,
        summary: impl Into<String>,
    ) -> Self {
        Self::new(Method::PUT, path, id, summary).refuses(&[403])
    }

    /// A DELETE.
    pub(super) fn delete(
        path: impl Into<String>,
        id: impl Into<String>,
        summary: impl Into<String>,
    ) -> Self {
        Self::new(Method::DELETE, path, id, summary).refuses(&[403])
    }

    /// Under this resource.
    pub(super) fn tag(mut self, tag: &'static str) -> Self {
        self.tag = tag;
        self
    }

    /// Takes these query parameters.
    pub(super) fn query(mut self, query: &[&'static Param]) -> Self {
        self.query.extend(query);
        self
    }

    /// Looks at this header.
    pub(super) fn header(mut self, header: &'static Param) -> Self {
        self.headers.push(header);
        self
    }

    /// Takes a body, and must have one.
    pub(super) fn body(mut self, schema: &'static str) -> Self {
        self.body = Some(Body { schema, required: true });
        self.refuses(&[413, 415, 422])
    }

    /// Takes a body if there is one.
    pub(super) fn optional_body(mut self, schema: &'static str) -> Self {
        self.body = Some(Body { schema, required: false });
        self.refuses(&[413, 415, 422])
    }

    /// Answers this when all is well.
    pub(super) fn answers(mut self, status: u16, answered: Answered) -> Self {
        self.answers.push((status, answered));
        self
    }

    /// Answers JSON of this schema, of which the client may choose members.
    pub(super) fn one(self, schema: &'static str) -> Self {
        self.query(&[&FIELDS]).answers(200, Answered::One(schema))
    }

    /// Answers pages of rows of this schema, of which the client may choose members.
    pub(super) fn page(self, schema: &'static str) -> Self {
        self.query(&[&LIMIT, &CURSOR, &FIELDS]).answers(200, Answered::Page(schema))
    }

    /// Refuses with these statuses, too.
    pub(super) fn refuses(mut self, statuses: &[u16]) -> Self {
        self.refusals.extend(statuses);
        self
    }

    /// The names of the parameters in its path.
    pub(super) fn path_parameters(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
    }

    /// The schema of which members may be chosen.
    pub(super) fn chosen_from(&self) -> Option<&'static str> {
        let chooses = self.query.iter().any(|param| param.name == FIELDS.name);
        self.answers.iter().find_map(|(_, answered)| match answered {
            Answered::One(schema) | Answered::Page(schema) if chooses => Some(*schema),
            _ => None,
        })
    }
}
