//! Documents as forms. What a form has a field for is written there; all else of a document stands as
//! JSON in a field of its own, so that nothing is lost by editing. Every mistake is shown at its
//! field. Absent: which fields there are, and what they mean.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Map, Value, json};
use shiftwork_engine::command::Command;
use shiftwork_engine::document::{FieldError, Fingerprint};

use super::forms::Fields;
use super::layout::{Page, Section};
use super::parts;
use super::visitor::Visitor;
use crate::api::Problem;

/// The field for what no other field is for.
const OTHER: &str = "other";
/// The document as its author saw it.
const SEEN: &str = "seen";

/// How a field is written.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// A line of text.
    Text,
    /// A number.
    Number,
    /// Some lines of text.
    Area,
    /// One of these: value and what is shown.
    Choice(&'static [(&'static str, &'static str)]),
    /// The same; the value is `true` or `false`.
    Boolean(&'static [(&'static str, &'static str)]),
    /// A box: false unless it is ticked.
    Flag,
    /// Words with commas between them.
    Words,
    /// `NAME=value` lines.
    Lines,
}

/// A field of a form.
pub(super) struct Field {
    /// Its path in the document.
    pub(super) name: &'static str,
    /// What it is called.
    pub(super) label: &'static str,
    /// What to write.
    pub(super) help: &'static str,
    /// How.
    pub(super) kind: Kind,
    /// Whether it must be written.
    pub(super) required: bool,
    /// Only with these values of another field, as `jobType=SIMPLE|DATAFLOW`.
    pub(super) when: Option<&'static str>,
}

/// An optional field.
pub(super) const fn field(
    name: &'static str,
    label: &'static str,
    help: &'static str,
    kind: Kind,
) -> Field {
    Field { name, label, help, kind, required: false, when: None }
}

impl Field {
    /// One that must be written.
    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// One that is only written together with something else.
    pub(super) const fn when(mut self, when: &'static str) -> Self {
        self.when = Some(when);
        self
    }
}

/// Fields that belong together.
pub(super) struct Group {
    /// What they are about.
    pub(super) title: &'static str,
    /// The fields.
    pub(super) fields: &'static [Field],
}

/// A form and what is in it.
pub(super) struct Form<'a> {
    pub(super) title: &'a str,
    pub(super) section: Section,
    /// Where it is sent.
    pub(super) action: &'a str,
    /// Where its author came from.
    pub(super) back: &'a str,
    /// What the button says.
    pub(super) button: &'a str,
    pub(super) groups: &'static [Group],
    pub(super) filled: &'a Fields,
    /// The name cannot be changed.
    pub(super) fixed: Option<&'static str>,
    pub(super) problem: Option<&'a Problem>,
    /// What a group has beside its fields, by its title.
    pub(super) beside: Option<(&'static str, Markup)>,
    pub(super) scripts: &'a [&'a str],
}

/// The fields of a form for a document.
pub(super) fn fill(text: &str, groups: &[Group]) -> Fields {
    let mut rest = match serde_json::from_str(text) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    };
    let mut pairs: Vec<(String, String)> = Vec::new();
    for field in groups.iter().flat_map(|group| group.fields) {
        if let Some(text) = take(&mut rest, field) {
            pairs.push((field.name.to_owned(), text));
        }
    }
    if !rest.is_empty() {
        let pretty = serde_json::to_string_pretty(&rest).unwrap_or_default();
        pairs.push((OTHER.to_owned(), pretty));
    }
    let Fingerprint(seen) = Fingerprint::of(text);
    pairs.push((SEEN.to_owned(), format!("{seen:016x}")));
    let pairs: Vec<(&str, &str)> =
        pairs.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    Fields::from(pairs.as_slice())
}

/// Takes what a field is for out of a document, if the field can show it.
fn take(rest: &mut Map<String, Value>, field: &Field) -> Option<String> {
    if let Some((outer, inner)) = field.name.split_once('.') {
        let object = rest.get_mut(outer)?.as_object_mut()?;
        let text = shown(object.get(inner)?, field.kind)?;
        object.remove(inner);
        if object.is_empty() {
            rest.remove(outer);
        }
        return Some(text);
    }
    let text = shown(rest.get(field.name)?, field.kind)?;
    rest.remove(field.name);
    Some(text)
}

fn shown(value: &Value, kind: Kind) -> Option<String> {
    match (kind, value) {
        // A duration may be written as a number, too.
        (Kind::Number | Kind::Text, Value::Number(number)) => Some(number.to_string()),
        (Kind::Flag, Value::Bool(true)) => Some("1".to_owned()),
        // Said by not ticking it.
        (Kind::Flag, Value::Bool(false)) => Some(String::new()),
        (Kind::Boolean(_), Value::Bool(flag)) => Some(flag.to_string()),
        (Kind::Words, Value::Array(words)) => {
            let words: Option<Vec<&str>> = words.iter().map(Value::as_str).collect();
            words
                .filter(|words| words.iter().all(|word| !word.contains(',')))
                .map(|words| words.join(", "))
        }
        (Kind::Lines, Value::Object(map)) => {
            let line = |(name, value): (&String, &Value)| {
                let value = value.as_str().filter(|value| !value.contains('\n'))?;
                Some(format!("{name}={value}"))
            };
            map.iter().map(line).collect::<Option<Vec<String>>>().map(|lines| lines.join("\n"))
        }
        (Kind::Choice(options), Value::String(text)) => {
            options.iter().any(|(value, _)| value == text).then(|| text.clone())
        }
        (Kind::Text | Kind::Number | Kind::Area, Value::String(text)) => Some(text.clone()),
        _ => None,
    }
}

/// The document that a form says.
///
/// # Errors
/// Where the field for all else is no JSON object.
pub(super) fn document(sent: &Fields, groups: &[Group]) -> Result<Value, Problem> {
    let other = sent.raw(OTHER);
    let mut document = if other.trim().is_empty() {
        Map::new()
    } else {
        match serde_json::from_str(&other) {
            Ok(Value::Object(map)) => map,
            Ok(_) => {
                return Err(wrong(
                    OTHER,
                    "must be a JSON object, as {\"labels\": {\"team\": \"blue\"}}",
                ));
            }
            Err(error) => return Err(wrong(OTHER, &format!("is not valid JSON: {error}"))),
        }
    };
    for field in groups.iter().flat_map(|group| group.fields) {
        if let Some(value) = value(sent, field)? {
            put(&mut document, field.name, value);
        }
    }
    Ok(Value::Object(document))
}

fn wrong(field: &str, message: &str) -> Problem {
    let errors = vec![FieldError { field: field.to_owned(), message: message.to_owned() }];
    Problem::invalid("the document is wrong", errors)
}

fn put(document: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        Some((outer, inner)) => {
            let object = document.entry(outer).or_insert_with(|| json!({}));
            if let Value::Object(object) = object {
                object.insert(inner.to_owned(), value);
            }
        }
        None => {
            document.insert(name.to_owned(), value);
        }
    }
}

fn value(sent: &Fields, field: &Field) -> Result<Option<Value>, Problem> {
    if let Kind::Flag = field.kind {
        return Ok((!sent.text(field.name).is_empty()).then_some(Value::Bool(true)));
    }
    let Some(text) = sent.given(field.name) else { return Ok(None) };
    Ok(Some(match field.kind {
        // The engine says what is wrong with one that is none.
        Kind::Number => serde_json::from_str::<serde_json::Number>(text)
            .map_or_else(|_| json!(text), Value::Number),
        Kind::Boolean(_) => json!(text == "true"),
        Kind::Words => json!(
            text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect::<Vec<_>>()
        ),
        Kind::Lines => json!(
            super::trigger::env(&sent.raw(field.name))
                .map_err(|problem| renamed(&problem, field.name))?
        ),
        Kind::Area => json!(sent.raw(field.name)),
        _ => json!(text),
    }))
}

fn renamed(problem: &Problem, field: &str) -> Problem {
    wrong(field, problem.errors().first().map_or("cannot be read", |error| &error.message))
}

/// Makes a change conditional on the document that its author saw.
pub(super) fn guarded(sent: &Fields, change: Command) -> Command {
    match u64::from_str_radix(sent.text(SEEN), 16) {
        Ok(seen) => Command::IfUnchanged { seen: Fingerprint(seen), change: Box::new(change) },
        Err(_) => change,
    }
}

// === impl Form ===

impl Form<'_> {
    /// The page.
    pub(super) fn show(self, visitor: &Visitor) -> Response {
        let errors = self.problem.map(Problem::errors).unwrap_or_default();
        let body = html! {
            (parts::heading(self.title, html! {}))
            @if let Some(problem) = self.problem { (parts::refusal(&summary(problem))) }
            form.document method="post" action=(self.action) novalidate {
                input type="hidden" name=(SEEN) value=(self.filled.text(SEEN));
                @for group in self.groups {
                    fieldset {
                        legend { (group.title) }
                        div.fields {
                            @for field in group.fields { (self.field(field, errors)) }
                            @if let Some((title, beside)) = &self.beside { @if *title == group.title { (beside) } }
                        }
                    }
                }
                (self.other(errors))
                p.actions {
                    button.primary { (self.button) }
                    a.button href=(self.back) { "Back" }
                }
            }
        };
        let status = self.problem.map_or(StatusCode::OK, Problem::status);
        Page::new(self.title, self.section).scripts(self.scripts).status(status).show(visitor, body)
    }

    fn field(&self, field: &Field, errors: &[FieldError]) -> Markup {
        let id = field.name;
        let is_wrong = Self::concerns(errors, field);
        let described = format!("{id}-help {id}-wrong");
        let text = self.filled.text(id);
        let fixed = self.fixed == Some(id);
        let class =
            if matches!(field.kind, Kind::Area | Kind::Lines) { "field full" } else { "field" };
        let invalid = is_wrong.then_some("true");
        html! {
            div class=(class) data-when=[field.when] {
                @if !matches!(field.kind, Kind::Flag) {
                    label for=(id) class=[field.required.then_some("required")] { (field.label) }
                }
                @match field.kind {
                    Kind::Area | Kind::Lines => textarea id=(id) name=(id) rows="4" spellcheck="false" aria-describedby=(described) aria-invalid=[invalid] required[field.required] { "\n" (self.filled.raw(id)) },
                    Kind::Choice(options) | Kind::Boolean(options) => select id=(id) name=(id) aria-describedby=(described) aria-invalid=[invalid] {
                        @for (value, label) in options { option value=(value) selected[*value == text] { (label) } }
                    },
                    Kind::Flag => label.check { input id=(id) type="checkbox" name=(id) value="1" checked[!text.is_empty()] aria-describedby=(described); (field.label) },
                    _ => input id=(id) name=(id) value=(text) readonly[fixed] required[field.required] autocomplete="off" spellcheck="false"
                        inputmode=[matches!(field.kind, Kind::Number).then_some("decimal")] aria-describedby=(described) aria-invalid=[invalid];,
                }
                @if !field.help.is_empty() { span.help id=(format!("{id}-help")) { (field.help) } }
                (parts::field_error(id, errors, id))
            }
        }
    }

    /// What no field is for, and what is wrong with it.
    fn other(&self, errors: &[FieldError]) -> Markup {
        let known = |error: &FieldError| {
            self.groups
                .iter()
                .flat_map(|group| group.fields)
                .any(|field| Self::concerns(std::slice::from_ref(error), field))
        };
        let unknown: Vec<&FieldError> = errors.iter().filter(|error| !known(error)).collect();
        let text = self.filled.raw(OTHER);
        html! {
            fieldset {
                legend { "Everything else" }
                details open[!text.is_empty() || !unknown.is_empty()] {
                    summary { "Further fields of the document, as JSON" }
                    div.field.full {
                        textarea id=(OTHER) name=(OTHER) rows="8" spellcheck="false" aria-label="Further fields, as a JSON object"
                            aria-invalid=[(!unknown.is_empty()).then_some("true")] placeholder="{}" { "\n" (text) }
                        span.help { "A JSON object. What is written in a field above counts before what is written here." }
                        @for error in unknown { span.wrong { (error.field) " " (error.message) } }
                    }
                }
            }
        }
    }

    fn concerns(errors: &[FieldError], field: &Field) -> bool {
        errors.iter().any(|error| {
            let rest = error.field.strip_prefix(field.name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }
}

/// What is wrong as a whole; each mistake stands at its field.
fn summary(problem: &Problem) -> String {
    match problem.errors().len() {
        0 => problem.detail().to_owned(),
        1 => "One field is wrong: see below.".to_owned(),
        number => format!("{number} fields are wrong: see below."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS: &[Group] = &[Group {
        title: "All",
        fields: &[
            field("name", "Name", "", Kind::Text).required(),
            field("count", "Count", "", Kind::Number),
            field("script", "Script", "", Kind::Area),
            field("http.uri", "URI", "", Kind::Text),
            field("failover", "Failover", "", Kind::Flag),
            field("misfire", "Misfire", "", Kind::Boolean(&[("", "default"), ("true", "all")])),
            field("calendars", "Calendars", "", Kind::Words),
            field("env", "Environment", "", Kind::Lines),
            field(
                "placement",
                "Placement",
                "",
                Kind::Choice(&[("", "default"), ("spread", "spread")]),
            ),
        ],
    }];

    /// What comes back when a document is shown and sent as it is.
    fn round_trip(text: &str) -> Value {
        document(&fill(text, GROUPS), GROUPS).unwrap()
    }

    #[test]
    fn a_document_survives_being_edited() {
        for text in [
            r#"{"name":"a","count":3,"script":"echo\n  b","failover":true,"misfire":true,"calendars":["x","y"],"env":{"A":"1=2"},"placement":"spread"}"#,
            r#"{"name":"a","count":"3","retry":{"maxAttempts":2},"labels":{"team":"blue"}}"#,
            r#"{"http":{"uri":"http://h/","method":"POST"},"misfire":{"policy":"skip"}}"#,
            r#"{"env":{"A":"two\nlines"},"calendars":["a,b"],"placement":"elsewhere","name":7.5}"#,
        ] {
            let document: Value = serde_json::from_str(text).unwrap();
            let back = round_trip(text);
            let same = back == document
                || (document["count"] == "3" && back["count"] == 3)
                || (document["name"] == 7.5 && back["name"] == "7.5");
            assert!(same, "{text}\n{back}");
        }
        assert_eq!(round_trip(r#"{"name":"a","failover":false}"#), json!({"name": "a"}));
    }

    #[test]
    fn what_is_no_json_is_said_at_its_field() {
        for bad in ["{", "[]", "nonsense"] {
            let sent: &[(&str, &str)] = &[("name", "a"), (OTHER, bad)];
            assert_eq!(document(&sent.into(), GROUPS).unwrap_err().errors()[0].field, OTHER);
        }
        let sent: &[(&str, &str)] = &[("env", "nonsense")];
        assert_eq!(document(&sent.into(), GROUPS).unwrap_err().errors()[0].field, "env");
    }

    #[test]
    fn a_change_is_for_the_document_that_was_seen() {
        let job = shiftwork_engine::ids::JobName::parse("a").unwrap();
        let change = || Command::DeleteJob { job: job.clone() };
        let Command::IfUnchanged { seen, .. } = guarded(&fill("{}", GROUPS), change()) else {
            panic!("not conditional")
        };
        assert_eq!(seen, Fingerprint::of("{}"));
        assert_eq!(guarded(&Fields::default(), change()), change());
    }
}
