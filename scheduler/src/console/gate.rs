//! Who may see which page and send which form: as the routes of the API ask, by role and by app. Absent:
//! who somebody is (`api/access.rs`), and what roles are (`auth/`).

use axum::http::Method;

use crate::api::access::{Reach, Rule};
use crate::auth::Role;

/// Pages that anybody may see: who is not let in must find the door.
const OPEN: [&str; 3] = ["/login", "/logout", "/preferences"];

/// Pages about all apps at once: nobody sees them whose role is for some apps only.
pub(super) const ALL_APPS: [&str; 8] = [
    "/agents",
    "/agents/{agent}",
    "/history/executions",
    "/history/executions.csv",
    "/history/states",
    "/history/states.csv",
    "/audit",
    "/changes",
];

/// Pages on which nothing is of an app.
const SHARED: [&str; 3] = ["/settings", "/calendars", "/calendars/{calendar}"];

/// Ends of pages that lead to a change.
const CHANGES: [&str; 4] = ["/edit", "/trigger", "/disable", "/delete"];

/// What a page takes.
pub(super) fn rule(method: &Method, template: &str) -> Rule {
    let changes = *method != Method::GET
        || template.starts_with("/new/")
        || CHANGES.iter().any(|end| template.ends_with(end));
    let role = match template {
        open if OPEN.contains(&open) => None,
        "/audit-log" => Some(Role::Admin),
        _ if changes => Some(Role::Operator),
        _ => Some(Role::Viewer),
    };
    let of_app = ["{app}", "{job}", "{run}", "{task}"];
    let reach = if template.split('/').any(|segment| of_app.contains(&segment)) {
        Reach::Path
    } else if ALL_APPS.contains(&template) || template.starts_with("/new/calendar") {
        Reach::AllApps
    } else if SHARED.contains(&template) {
        Reach::Shared
    } else if template.starts_with("/calendars/") {
        Reach::AllApps
    } else {
        Reach::Filtered
    };
    Rule { role, reach }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_takes_less_than_changing() {
        let of = |method: Method, template: &str| rule(&method, template);
        assert_eq!(of(Method::GET, "/jobs").role, Some(Role::Viewer));
        assert_eq!(of(Method::GET, "/jobs").reach, Reach::Filtered);
        assert_eq!(of(Method::GET, "/jobs/{job}").reach, Reach::Path);
        for (method, template) in [
            (Method::POST, "/jobs/{job}/enable"),
            (Method::POST, "/runs/{run}/cancel"),
            (Method::POST, "/tasks/{task}/kill"),
            (Method::GET, "/jobs/{job}/edit"),
            (Method::GET, "/jobs/{job}/delete"),
            (Method::GET, "/new/job"),
            (Method::POST, "/new/app"),
            (Method::POST, "/calendars/{calendar}/delete"),
        ] {
            assert_eq!(of(method.clone(), template).role, Some(Role::Operator), "{template}");
        }
        assert_eq!(of(Method::GET, "/audit-log").role, Some(Role::Admin));
        assert_eq!(of(Method::POST, "/calendars/{calendar}/delete").reach, Reach::AllApps);
        assert_eq!(of(Method::GET, "/calendars/{calendar}").reach, Reach::Shared);
        assert_eq!(of(Method::GET, "/agents").reach, Reach::AllApps);
        assert_eq!(of(Method::POST, "/login").role, None);
    }
}
