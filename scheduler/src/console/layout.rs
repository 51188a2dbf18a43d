//! The frame of every page: head, navigation, what was just done, and the headers that let a page load
//! its own files and nothing else. Absent: what is on the pages.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::gate;
use super::visitor::{Theme, Visitor};

/// What a page may load and do: its own files, its own forms, nothing inline, nothing of anybody else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The parts of the console, as the navigation shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub(super) enum Section {
    Overview,
    Jobs,
    Apps,
    Calendars,
    Runs,
    Queues,
    Agents,
    Executors,
    History,
    Audit,
    Changes,
    AuditLog,
    Settings,
    None,
}

/// An entry of the navigation: name, address and section.
type Entry = (&'static str, &'static str, Section);

/// The navigation, in groups.
const NAVIGATION: [(&str, &[Entry]); 3] = [
    (
        "Work",
        &[
            ("Overview", "/", Section::Overview),
            ("Jobs", "/jobs", Section::Jobs),
            ("Runs", "/runs", Section::Runs),
            ("Apps", "/apps", Section::Apps),
            ("Calendars", "/calendars", Section::Calendars),
        ],
    ),
    (
        "Cluster",
        &[
            ("Queues", "/queues/ready", Section::Queues),
            ("Agents", "/agents", Section::Agents),
            ("Executors", "/executors", Section::Executors),
        ],
    ),
    (
        "Records",
        &[
            ("History", "/history/executions", Section::History),
            ("Firing audit", "/audit", Section::Audit),
            ("Changes", "/changes", Section::Changes),
            ("Audit log", "/audit-log", Section::AuditLog),
            ("Settings", "/settings", Section::Settings),
        ],
    ),
];

/// What the frame must know of a page.
pub(super) struct Page<'a> {
    title: &'a str,
    section: Section,
    /// The events after which it is shown anew.
    events: Option<String>,
    /// How often it is shown anew without one, seconds.
    every_s: Option<u32>,
    /// Scripts of its own.
    scripts: &'a [&'a str],
    status: StatusCode,
}

// === impl Page ===

impl<'a> Page<'a> {
    /// A page that stays as it is.
    pub(super) fn new(title: &'a str, section: Section) -> Self {
        let status = StatusCode::OK;
        Self { title, section, events: None, every_s: None, scripts: &[], status }
    }

    /// Shown anew after events that pass this query of `/api/v1/events`, and every so many seconds.
    pub(super) fn live(mut self, events: impl Into<String>, every_s: u32) -> Self {
        self.events = Some(format!("/api/v1/events{}", events.into()));
        self.every_s = Some(every_s);
        self
    }

    /// Shown anew every so many seconds.
    pub(super) fn polled(mut self, every_s: u32) -> Self {
        self.every_s = Some(every_s);
        self
    }

    /// With scripts of its own.
    pub(super) fn scripts(mut self, scripts: &'a [&'a str]) -> Self {
        self.scripts = scripts;
        self
    }

    /// Answered with another status than 200.
    pub(super) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The page around its body.
    pub(super) fn show(self, visitor: &Visitor, body: Markup) -> Response {
        let markup = self.markup(visitor, &body).into_string();
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "same-origin"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
        (self.status, headers, markup).into_response()
    }

    fn markup(&self, visitor: &Visitor, body: &Markup) -> Markup {
        // Who is shown some apps only may watch one job or one run; other pages are then polled.
        let may_watch = |events: &&str| {
            visitor.sees_all() || ["job=", "run="].iter().any(|one| events.contains(one))
        };
        let events = self.events.as_deref().filter(may_watch);
        let theme = (visitor.theme != Theme::System).then(|| visitor.theme.name());
        html! {
            (DOCTYPE)
            html lang="en" data-theme=[theme] {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.title) " · Shiftwork" }
                    link rel="icon" href="/console/icon.svg" type="image/svg+xml";
                    link rel="stylesheet" href="/console/console.css";
                    script type="module" src="/console/console.js" {}
                    @for script in self.scripts {
                        script type="module" src=(format!("/console/{script}")) {}
                    }
                }
                body data-zone=[visitor.zone_chosen.then(|| visitor.zone.name())]
                    data-events=[events] data-every=[self.every_s] {
                    a.skip href="#main" { "Skip to the content" }
                    header.top {
                        a.brand href="/" { (mark()) "Shiftwork" }
                        (zone_chooser(visitor))
                        (who(visitor))
                    }
                    (navigation(visitor, self.section))
                    main #main tabindex="-1" {
                        p.interrupted #interrupted role="status" hidden {
                            "Live updates are interrupted: trying again. What you see may be old."
                        }
                        @if let Some(said) = visitor.said { p.said role="status" { (said) } }
                        (body)
                    }
                }
            }
        }
    }
}

/// The sign of the product: shards at work on a shift.
fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 24 24" aria-hidden="true" {
            rect x="2" y="3" width="12" height="5" rx="1.5" {}
            rect x="6" y="9.5" width="12" height="5" rx="1.5" {}
            rect x="10" y="16" width="12" height="5" rx="1.5" {}
        }
    }
}

fn navigation(visitor: &Visitor, current: Section) -> Markup {
    html! {
        nav aria-label="Console" {
            // A phone has no room for it: there it is opened.
            details #menu {
                summary { "Menu" }
                (groups(visitor, current))
            }
            div.rail { (groups(visitor, current)) }
        }
    }
}

/// What somebody may not see is not offered to them.
fn is_for(visitor: &Visitor, (_, address, section): &Entry) -> bool {
    match section {
        Section::AuditLog => visitor.is_admin(),
        _ => visitor.sees_all() || !gate::ALL_APPS.contains(address),
    }
}

fn groups(visitor: &Visitor, current: Section) -> Markup {
    html! {
        @for (group, entries) in &NAVIGATION {
            section {
                h2 { (group) }
                ul {
                    @for (name, address, section) in entries.iter().filter(|entry| is_for(visitor, entry)) {
                        li {
                            a href=(address) aria-current=[(*section == current).then_some("page")] { (name) }
                        }
                    }
                }
            }
        }
    }
}

/// Who is logged in, and the way in or out.
fn who(visitor: &Visitor) -> Markup {
    html! {
        @match (visitor.name(), &visitor.identity) {
            (Some((name, by_cookie)), _) => form.who method="post" action="/logout" {
                span { (name) }
                @if by_cookie { button { "Log out" } }
            },
            (None, None) => a href="/login" { "Log in" },
            // Nobody is asked.
            (None, Some(_)) => {},
        }
    }
}

/// The zone of all times on the page. The browser's own is added by script, which alone knows it.
fn zone_chooser(visitor: &Visitor) -> Markup {
    html! {
        form.zone #zone method="post" action="/preferences" {
            input type="hidden" name="back" value=(visitor.address);
            label for="zone-choice" { "Times in" }
            select #zone-choice name="zone" {
                option value=(visitor.zone.name()) selected { (visitor.zone.name()) }
                @if visitor.zone.name() != "UTC" { option value="UTC" { "UTC" } }
            }
            noscript { button { "Switch" } }
            a href=(format!("/preferences?back={}", super::format::segment(&visitor.address))) { "Preferences" }
        }
    }
}
