//! Pieces that pages are made of: states, links, tables, pagers, forms with one button. Absent: what
//! they show.

use maud::{Markup, html};
use shiftwork_engine::document::FieldError;
use shiftwork_engine::view::ShardState;

use super::format::{self, segment};

/// A state as a coloured word; the word says it to who sees no colour.
pub(super) fn state(name: &str) -> Markup {
    html! { span class=(format!("state s-{}", name.to_ascii_lowercase())) { (format::word(name)) } }
}

/// The name of a shard's state, as the API writes it.
pub(super) fn shard_state(state: ShardState) -> String {
    let value = serde_json::to_value(state).ok();
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A link to a job.
pub(super) fn job_link(job: &str) -> Markup {
    html! { a href=(format!("/jobs/{}", segment(job))) { (job) } }
}

/// A link to an app.
pub(super) fn app_link(app: &str) -> Markup {
    html! { a href=(format!("/apps/{}", segment(app))) { (app) } }
}

/// A link to a run.
pub(super) fn run_link(run: &str) -> Markup {
    html! { a.id href=(run_address(run)) { (run) } }
}

/// Where a run is shown.
pub(super) fn run_address(run: &str) -> String {
    format!("/runs/{}", segment(run))
}

/// A link to an agent.
pub(super) fn agent_link(agent: &str) -> Markup {
    html! { a.id href=(format!("/agents/{}", segment(agent))) { (agent) } }
}

/// Where the output of a task is shown.
pub(super) fn log_address(task: &str, stream: &str) -> String {
    format!("/tasks/{}/log?stream={stream}", segment(task))
}

/// The heading of a page, with what can be done there.
pub(super) fn heading(title: &str, beside: Markup) -> Markup {
    html! { div.heading { h1 { (title) } div.actions { (beside) } } }
}

/// Said where a list is empty.
pub(super) fn empty(text: &str) -> Markup {
    html! { p.empty { (text) } }
}

/// A number with what it counts.
pub(super) fn figure(label: &str, value: impl maud::Render, more: Option<Markup>) -> Markup {
    html! {
        div.figure {
            span.label { (label) }
            strong { (value) }
            @if let Some(more) = more { span.more { (more) } }
        }
    }
}

/// Facts, one below the other.
pub(super) fn facts(rows: &[(&str, Markup)]) -> Markup {
    html! {
        dl.facts {
            @for (name, value) in rows { div { dt { (name) } dd { (value) } } }
        }
    }
}

/// A table that scrolls within itself where there is no room for it.
pub(super) fn table(about: &str, columns: &[&str], rows: Markup) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(about) {
            table {
                caption.unseen { (about) }
                thead { tr { @for column in columns { th scope="col" { (column) } } } }
                tbody { (rows) }
            }
        }
    }
}

/// Links to the first and the next page of a list.
pub(super) fn pager(
    path: &str,
    filters: &[(&str, &str)],
    next: Option<&str>,
    is_first: bool,
) -> Markup {
    let with = |cursor: &str| {
        let mut pairs = filters.to_vec();
        pairs.push(("cursor", cursor));
        format!("{path}{}", format::query(&pairs))
    };
    html! {
        @if next.is_some() || !is_first {
            nav.pager aria-label="Pages" {
                @if is_first { span { "First page" } } @else { a href=(with("")) { "First page" } }
                @match next {
                    Some(cursor) => a rel="next" href=(with(cursor)) { "Next page" },
                    None => span { "Last page" },
                }
            }
        }
    }
}

/// A choice among few.
pub(super) fn choice(name: &str, label: &str, chosen: &str, options: &[(&str, &str)]) -> Markup {
    html! {
        label { span { (label) }
            select name=(name) {
                @for (value, text) in options {
                    option value=(value) selected[*value == chosen] { (text) }
                }
            }
        }
    }
}

/// A field of a filter.
pub(super) fn search(name: &str, label: &str, value: &str, placeholder: &str) -> Markup {
    html! {
        label { span { (label) }
            input type="search" name=(name) value=(value) placeholder=(placeholder) autocomplete="off" spellcheck="false";
        }
    }
}

/// A button that does one thing.
pub(super) fn button(action: &str, text: &str, class: &str) -> Markup {
    html! { form.inline method="post" action=(action) { button class=(class) { (text) } } }
}

/// What is wrong with what was sent, as a whole.
pub(super) fn refusal(detail: &str) -> Markup {
    html! { div.refusal role="alert" { strong { "Not done. " } (detail) } }
}

/// What is wrong with one field.
pub(super) fn field_error(id: &str, errors: &[FieldError], field: &str) -> Markup {
    let of_field = |error: &&FieldError| {
        error.field == field
            || error.field.strip_prefix(field).is_some_and(|rest| rest.starts_with(['.', '[']))
    };
    let messages: Vec<String> = errors
        .iter()
        .filter(of_field)
        .map(|error| {
            let part = error.field.strip_prefix(field).unwrap_or_default();
            if part.is_empty() {
                error.message.clone()
            } else {
                format!("{part} {}", error.message)
            }
        })
        .collect();
    html! {
        @if !messages.is_empty() {
            span.wrong id=(format!("{id}-wrong")) { (messages.join("; ")) }
        }
    }
}

/// JSON for people to read; text that is none as it is.
pub(super) fn document(text: &str) -> Markup {
    let value = serde_json::from_str::<serde_json::Value>(text);
    let pretty = value.ok().and_then(|value| serde_json::to_string_pretty(&value).ok());
    html! { pre.document tabindex="0" { (pretty.as_deref().unwrap_or(text)) } }
}

/// Tabs: address, text, whether it is the one that is shown.
pub(super) fn tabs(about: &str, entries: &[(String, String, bool)]) -> Markup {
    html! {
        nav.tabs aria-label=(about) {
            @for (address, text, is_current) in entries {
                a href=(address) aria-current=[is_current.then_some("page")] { (text) }
            }
        }
    }
}
