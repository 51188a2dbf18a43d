//! Who looks at a page, and how they want to see it: name and rights, time zone, theme, and where they
//! are. Absent: deciding who somebody is.

use std::collections::BTreeMap;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use shiftwork_schedule::{Timestamp, Zone};

use crate::api::ApiState;
use crate::auth::{AppScope, Identity, Proof, Role};
use crate::turn::now;

/// The cookie of the time zone.
pub(super) const ZONE_COOKIE: &str = "shiftwork-zone";
/// The cookie of the theme.
pub(super) const THEME_COOKIE: &str = "shiftwork-theme";

/// Light or dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Theme {
    /// As the system is set.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// Its name, as in the cookie.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// Reads a name.
    pub(super) fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.name() == text)
    }
}

/// Who looks at a page.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    /// Who they are; none if they have not been let in.
    pub(super) identity: Option<Identity>,
    /// The zone in which times are shown.
    pub(super) zone: Zone,
    /// Whether they chose it, or their browser did for them.
    pub(super) zone_chosen: bool,
    /// Light or dark.
    pub(super) theme: Theme,
    /// When they asked.
    pub(super) now: Timestamp,
    /// The page they are on, its query included.
    pub(super) address: String,
    /// What was done just before, as its word in the address says.
    pub(super) said: Option<&'static str>,
}

/// What is told after something was done, by the word that stands for it in the address: nothing
/// that somebody else made up can be said this way.
const SAID: [(&str, &str); 14] = [
    ("created", "It was registered."),
    ("saved", "The changes were saved."),
    ("deleted", "It was removed."),
    ("enabled", "It is enabled."),
    ("disabled", "It is disabled."),
    ("triggered", "The run was made."),
    ("repeated", "That run had been made before with the same key."),
    ("rerun", "The run was made once more."),
    ("cancelled", "The run is being cancelled."),
    ("killed", "The task is being killed."),
    ("reconciled", "The master is being asked about every task."),
    ("preferences", "Your preferences were saved."),
    ("loggedin", "You are logged in."),
    ("loggedout", "You are logged out."),
];

impl Visitor {
    /// Reads the request.
    pub(super) fn of(parts: &Parts, state: &ApiState) -> Self {
        let cookies = cookies(&parts.headers);
        let zone = cookies.get(ZONE_COOKIE).and_then(|name| Zone::parse(name).ok());
        let query = parts.uri.query().unwrap_or_default();
        let word = query.split('&').find_map(|pair| pair.strip_prefix("said="));
        let said = SAID.iter().find(|(name, _)| Some(*name) == word).map(|(_, text)| *text);
        let address = parts.uri.path_and_query().map_or("/", |address| address.as_str());
        Self {
            identity: parts.extensions.get::<Identity>().cloned(),
            zone_chosen: zone.is_some(),
            zone: zone.unwrap_or_else(|| state.default_zone.clone()),
            theme: cookies.get(THEME_COOKIE).and_then(|name| Theme::read(name)).unwrap_or_default(),
            now: now(),
            address: without_said(address),
            said,
        }
    }

    /// Whether they may change something of an app, or of whichever if none is named.
    pub(super) fn may_change(&self, app: Option<&str>) -> bool {
        self.identity.as_ref().is_some_and(|identity| {
            identity.role >= Role::Operator && app.is_none_or(|app| identity.apps.covers(app))
        })
    }

    /// Whether they decide who may do what.
    pub(super) fn is_admin(&self) -> bool {
        self.identity.as_ref().is_some_and(|identity| identity.role >= Role::Admin)
    }

    /// The apps whose things they are shown.
    pub(super) fn scope(&self) -> AppScope {
        self.identity.as_ref().map(|identity| identity.apps.clone()).unwrap_or_default()
    }

    /// Whether it is all apps.
    pub(super) fn sees_all(&self) -> bool {
        self.identity.as_ref().is_some_and(|identity| identity.apps.is_all())
    }

    /// Their name, and whether a session of this browser says so; none where nobody is asked.
    pub(super) fn name(&self) -> Option<(&str, bool)> {
        let known = self.identity.as_ref().filter(|identity| identity.proof != Proof::None)?;
        Some((&known.name, known.proof == Proof::Cookie))
    }
}

impl FromRequestParts<ApiState> for Visitor {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &ApiState,
    ) -> Result<Self, Self::Rejection> {
        let known = parts.extensions.get::<Self>().cloned();
        Ok(known.unwrap_or_else(|| Self::of(parts, state)))
    }
}

/// The address to come back to says nothing of what was done.
fn without_said(address: &str) -> String {
    let Some((path, query)) = address.split_once('?') else { return address.to_owned() };
    let kept: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("said=")).collect();
    if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
}

/// An address of this console, whatever somebody wrote into a form: never another site's.
pub(super) fn own_address(text: &str) -> &str {
    let is_own = text.starts_with('/')
        && !text.starts_with("//")
        && !text.contains(['\\', '\n', '\r'])
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_own { text } else { "/" }
}

/// The same with a word of [`SAID`] added.
pub(super) fn saying(address: &str, word: &str) -> String {
    let sign = if address.contains('?') { '&' } else { '?' };
    format!("{address}{sign}said={word}")
}

fn cookies(headers: &HeaderMap) -> BTreeMap<String, String> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.split_once('='));
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(text.trim()).decode_utf8_lossy().into_owned()
    };
    pairs.map(|(name, value)| (name.trim().to_owned(), decoded(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_addresses_are_gone_back_to() {
        for own in ["/", "/jobs?q=a%20b", "/runs/a@b"] {
            assert_eq!(own_address(own), own);
        }
        for foreign in
            ["", "//evil.example", "https://evil.example", "/\\evil", "/a\nb", "javascript:x"]
        {
            assert_eq!(own_address(foreign), "/", "{foreign}");
        }
    }

    #[test]
    fn what_was_said_is_not_said_again() {
        assert_eq!(without_said("/jobs?said=saved&q=a"), "/jobs?q=a");
        assert_eq!(without_said("/jobs?said=saved"), "/jobs");
        assert_eq!(saying("/jobs?q=a", "saved"), "/jobs?q=a&said=saved");
        assert_eq!(saying("/jobs", "saved"), "/jobs?said=saved");
    }

    #[test]
    fn cookies_are_read() {
        let mut headers = HeaderMap::new();
        headers.insert("cookie", "a=1; shiftwork-zone=Europe%2FBerlin".parse().unwrap());
        let cookies = cookies(&headers);
        assert_eq!(cookies[ZONE_COOKIE], "Europe/Berlin");
    }
}
