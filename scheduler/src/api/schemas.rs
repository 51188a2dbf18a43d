//! The schemas of the API's document: what is answered. Absent: the documents that users write
//! (`schemas/documents.rs`), and where a schema is used; operations name theirs.
//!
//! They are written down beside the views, and not derived from them, because the views stand in the
//! engine, which depends on nothing that describes an API. A test compares both, and the schema
//! fuzzer of `tests/run` compares what is really answered.

mod access;
mod documents;
mod scheduler;

use serde_json::{Map, Value, json};

use super::rest::SHARD_STATES;
use super::run_lookup::STATE_NAMES;

/// All schemas, by name.
pub(super) fn all() -> Map<String, Value> {
    answers().into_iter().chain(documents::all()).map(|(name, it)| (name.to_owned(), it)).collect()
}

/// The names of the members that an object of this schema may have.
pub(super) fn members(schema: &str) -> Vec<String> {
    let schemas = all();
    let properties = schemas.get(schema).and_then(|schema| schema["properties"].as_object());
    properties.map(|properties| properties.keys().cloned().collect()).unwrap_or_default()
}

// === the words that schemas are made of ===

/// A member: its name and its schema.
type Member = (&'static str, Value);

fn text(about: &str) -> Value {
    json!({"type": "string", "description": about})
}

fn flag(about: &str) -> Value {
    json!({"type": "boolean", "description": about})
}

fn count(about: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "description": about})
}

fn integer(about: &str) -> Value {
    json!({"type": "integer", "description": about})
}

fn instant(about: &str) -> Value {
    json!({"type": "string", "format": "date-time", "description": about})
}

fn one_of(values: &[&str], about: &str) -> Value {
    json!({"type": "string", "enum": values, "description": about})
}

fn list(items: Value, about: &str) -> Value {
    json!({"type": "array", "items": items, "description": about})
}

fn map_of(values: Value, about: &str) -> Value {
    json!({"type": "object", "additionalProperties": values, "description": about})
}

fn the(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

/// The same, or null.
fn maybe(schema: Value) -> Value {
    match schema.get("type").cloned() {
        Some(kind @ Value::String(_)) if schema.get("enum").is_none() => {
            let mut schema = schema;
            schema["type"] = json!([kind, "null"]);
            schema
        }
        _ => json!({"oneOf": [schema, {"type": "null"}]}),
    }
}

/// An object that always has these members.
fn object(about: &str, members: Vec<Member>) -> Value {
    with_optional(about, members, Vec::new())
}

/// An object that always has the first members, and may have the others.
fn with_optional(about: &str, members: Vec<Member>, optional: Vec<Member>) -> Value {
    let required: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    let properties: Map<String, Value> = members
        .into_iter()
        .chain(optional)
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect();
    json!({"type": "object", "description": about, "required": required, "properties": properties})
}

// === what is answered ===

fn answers() -> Vec<Member> {
    let mut schemas = vec![
        ("Problem", problem()),
        ("App", document_view("An app.", "AppDocument", true)),
        ("Job", job()),
        ("Calendar", document_view("A calendar.", "CalendarDocument", false)),
    ];
    schemas.extend(runs());
    schemas.extend(scheduler::cluster());
    schemas.extend(scheduler::overall());
    schemas.extend(access::all());
    schemas
}

fn problem() -> Value {
    let error = object(
        "What is wrong with one field, parameter or header.",
        vec![
            ("field", text("Which, as written in the request.")),
            ("message", text("What is wrong with it and how to mend it.")),
        ],
    );
    with_optional(
        "Why a request was refused (RFC 9457).",
        vec![
            ("type", text("Names the kind for programs; never changes for one kind.")),
            ("title", text("The kind in words.")),
            ("status", integer("The status of the answer.")),
            ("detail", text("What is wrong and how to mend it.")),
        ],
        vec![("errors", list(error, "By field."))],
    )
}

fn disabled() -> Value {
    maybe(with_optional(
        "Who disabled it and why.",
        vec![
            ("name", text("What is disabled.")),
            ("by", text("Who did it.")),
            ("at", instant("When.")),
        ],
        vec![("reason", text("Why."))],
    ))
}

fn document_view(about: &str, document: &str, switched: bool) -> Value {
    let mut members = vec![
        ("name", text("Its name.")),
        ("jobs", count("Number of jobs that name it.")),
        ("problem", maybe(text("What is wrong with the stored document, if anything."))),
        ("document", stored(document)),
    ];
    if switched {
        members.push(("enabled", flag("Whether its jobs may run.")));
        members.push(("disabled", disabled()));
    }
    object(about, members)
}

/// A document as it is stored: by an older version or by hand, it may be anything.
fn stored(document: &str) -> Value {
    json!({"description": format!("As it is stored: {document}, unless `problem` says otherwise.")})
}

fn job() -> Value {
    object(
        "A job.",
        vec![
            ("name", text("Its name.")),
            ("app", maybe(text("Its app, unless the stored document cannot be read."))),
            ("enabled", flag("Whether it may run; its app's flag is not counted.")),
            ("disabled", disabled()),
            ("pending", count("Number of pending runs.")),
            ("running", maybe(text("The run that is being launched or running, the first by id."))),
            ("runningCount", count("Number of its runs that are being launched or running.")),
            ("firings", the("FiringCounts")),
            ("nextFiring", maybe(instant("Its next firing, if it is enabled and has one."))),
            ("problem", maybe(text("What is wrong with the stored document, if anything."))),
            ("document", stored("JobDocument")),
        ],
    )
}

fn runs() -> Vec<Member> {
    let waiting = object(
        "A run and what holds it up.",
        vec![
            ("run", text("Its id.")),
            ("state", one_of(&STATE_NAMES, "Its state.")),
            ("logicalTime", instant("The moment the schedule named.")),
            ("reason", maybe(text("Why it is in that state."))),
        ],
    );
    let why = object(
        "Why a job does not run now.",
        vec![
            ("job", text("Its name.")),
            ("answer", text("The first thing that stands in the way, in a sentence.")),
            ("enabled", flag("Whether job and app are enabled.")),
            ("running", maybe(waiting.clone())),
            ("pending", maybe(waiting)),
            ("pendingRuns", count("Number of pending runs.")),
            ("nextFiring", maybe(instant("Its next firing."))),
        ],
    );
    let triggered =
        object("The run that was made.", vec![("id", text("Its id.")), ("job", text("Its job."))]);
    let accepted = with_optional(
        "It has begun; its end will be seen at the resource.",
        vec![("accepted", flag("True."))],
        vec![("id", text("Of what."))],
    );
    let firing = object(
        "A coming firing.",
        vec![
            ("utc", instant("When.")),
            ("local", text("When, in the zone of the schedule.")),
            ("note", maybe(text("What a change of DST did to it."))),
        ],
    );
    let event = object(
        "Something that happened to a run.",
        vec![
            ("id", text("Its place in the order of all events.")),
            ("at", instant("When.")),
            ("run", text("To which run.")),
            ("job", text("Of which job.")),
            (
                "app",
                maybe(text(
                    "Of which app; none of what was recorded by a version that did not say.",
                )),
            ),
            ("kind", text("What it happened to: RUN or TASK.")),
            ("item", maybe(count("Which shard."))),
            ("taskId", maybe(text("Which task."))),
            ("state", maybe(text("The state after it."))),
            ("message", maybe(text("More, in words."))),
            ("submitter", maybe(text("Who asked for the run, if anybody did."))),
        ],
    );
    vec![
        ("Run", run()),
        ("FiringCounts", firing_counts()),
        ("Shard", shard()),
        ("Why", why),
        ("Triggered", triggered),
        ("Accepted", accepted),
        ("Firing", firing),
        ("Event", event),
        ("Task", task()),
        ("Log", log()),
    ]
}

fn run() -> Value {
    with_optional(
        "A run: one firing of a job, one task per shard.",
        vec![
            (
                "id",
                text("Its id: {job}@{logical time or key}, with the generation if it was rerun."),
            ),
            ("job", text("Its job.")),
            ("app", text("The job's app.")),
            ("origin", one_of(&["SCHEDULE", "TRIGGER", "RERUN", "DAEMON"], "What made it.")),
            ("logicalTime", instant("The moment the schedule named.")),
            ("state", one_of(&STATE_NAMES, "Its state.")),
            ("reason", maybe(text("Why it is in that state; of a pending run, why it waits."))),
            ("attempt", count("From 1; more for a run that was made once more.")),
            ("shards", list(the("Shard"), "Its shards that run; none while it is pending.")),
            ("createdAt", instant("When it was made.")),
            ("startedAt", maybe(instant("When its first task ran."))),
            ("finishedAt", maybe(instant("When it ended."))),
        ],
        vec![
            ("shardingTotalCount", count("The shard count of its job.")),
            ("submitter", text("Who asked for it, if anybody did.")),
            ("overrides", the("Overrides")),
            (
                "misfire",
                one_of(
                    &["SKIPPED", "COALESCED", "MISSED"],
                    "What became of a firing that got no run.",
                ),
            ),
            ("document", stored("JobDocument")),
        ],
    )
}

fn firing_counts() -> Value {
    object(
        "What became of firings since this leader began.",
        vec![
            ("fired", count("Got a run.")),
            ("skipped", count("Left out by the policy skip.")),
            ("coalesced", count("Another run stands for them.")),
            ("missed", count("Could not be made: disabled, too old, too many waiting.")),
        ],
    )
}

fn shard() -> Value {
    with_optional(
        "A shard of a run.",
        vec![
            ("item", count("Which.")),
            ("state", one_of(&SHARD_STATES, "Its state.")),
            ("taskId", maybe(text("Its latest task."))),
            ("agent", maybe(text("The agent of its latest task."))),
            ("attempt", count("How often it was launched.")),
            ("exitCode", maybe(integer("How its latest task ended."))),
            ("message", maybe(text("What is to be said about it."))),
        ],
        ended_members(),
    )
}

/// What runs of earlier versions do not have, and what is not told where it is as usual.
fn ended_members() -> Vec<Member> {
    vec![
        ("executorGeneration", count("Which of the app's executors there, from the second on.")),
        ("signal", maybe(integer("The signal that ended its latest task."))),
        ("httpStatus", maybe(integer("The status of the answer, where its work is a request."))),
        ("usage", maybe(map_of(json!({}), "What its latest task used."))),
        ("stdoutTail", maybe(text("The end of its stdout."))),
        ("stderrTail", maybe(text("The end of its stderr."))),
    ]
}

fn task() -> Value {
    object(
        "A task: one attempt of one shard on one agent.",
        vec![
            ("id", text("Its id.")),
            ("run", text("Its run.")),
            ("job", text("The run's job.")),
            ("app", text("The job's app.")),
            ("item", count("Its shard.")),
            ("state", one_of(&SHARD_STATES, "Its state.")),
            ("agent", maybe(text("Its agent."))),
            ("attempt", count("How often the shard was launched, this task included.")),
            ("since", maybe(instant("Since when it is in that state."))),
            ("idle", maybe(flag("For a DAEMON: true between firings."))),
            ("exitCode", maybe(integer("How it ended."))),
            ("message", maybe(text("What is to be said about it."))),
        ],
    )
}

fn log() -> Value {
    with_optional(
        "A part of what a task wrote.",
        vec![
            ("taskId", text("Which task.")),
            ("stream", one_of(&["stdout", "stderr"], "Which output.")),
            ("offset", count("Where `data` begins in the file, bytes.")),
            ("next", count("Where to go on reading, bytes.")),
            (
                "source",
                one_of(&["agent", "status"], "The agent's file, or the last status update."),
            ),
            ("data", text("What was written.")),
        ],
        vec![
            ("note", text("Why the agent's file could not be read.")),
            (
                "size",
                count(
                    "The file's length, where nothing was read: less than `offset` if it was begun anew.",
                ),
            ),
        ],
    )
}

#[cfg(test)]
pub(super) mod tests;
