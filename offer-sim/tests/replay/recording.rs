//! A recording, line by line, and what its lines say in short. Nothing is played here.

use std::path::Path;

use serde_json::Value;

/// One `.jsonl` file.
pub(crate) struct Recording {
    pub(crate) name: String,
    pub(crate) lines: Vec<Value>,
}

// === impl Recording ===

impl Recording {
    pub(crate) fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../proto/tests/recordings")
            .join(format!("{name}.jsonl"));
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Self { name: name.to_owned(), lines }
    }

    /// Lines of one direction with their time in seconds.
    pub(crate) fn of<'a>(&'a self, dir: &'a str) -> impl Iterator<Item = (f64, &'a Value)> {
        self.lines
            .iter()
            .filter(move |line| line["dir"] == dir)
            .map(|line| (line["t"].as_f64().unwrap(), line))
    }

    pub(crate) fn bodies(&self) -> impl Iterator<Item = (f64, &Value)> {
        self.of("event").map(|(t, line)| (t, &line["body"]))
    }

    /// What was answered, in short and in order.
    pub(crate) fn answers(&self) -> Vec<String> {
        ordered(self.bodies().filter_map(|(_, body)| short(body)).collect())
    }
}

/// An event in short; `None` for one whose moment depends on nothing but the clock. The moments of
/// offers are compared where one is used.
pub(crate) fn short(body: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    match body["type"].as_str().unwrap() {
        "HEARTBEAT" | "OFFERS" | "RESCIND" => None,
        "UPDATE" => {
            let status = &body["update"]["status"];
            let message = text(&status["message"]);
            let fields = [
                text(&status["task_id"]["value"]),
                text(&status["state"]),
                text(&status["source"]),
                text(&status["reason"]),
                // Only the first line: a whole ExecutorInfo in text form may follow.
                message.lines().next().unwrap().to_owned(),
                format!("agent={}", status["agent_id"].is_object()),
                format!("executor={}", status["executor_id"].is_object()),
                format!("uuid={}", status["uuid"].is_string()),
                format!("container={}", status["container_status"].is_object()),
                format!("unreachable={}", status["unreachable_time"].is_object()),
            ];
            Some(format!("UPDATE {}", fields.join(" | ")))
        }
        "FAILURE" => Some(format!("FAILURE {}", body["failure"]["status"])),
        "ERROR" => Some(format!("ERROR {}", text(&body["error"]["message"]))),
        other => Some(other.to_owned()),
    }
}

/// Answers to one RECONCILE come in the order of a hash table, and so do the tasks of an agent that
/// is lost: put neighbours in a fixed one.
pub(crate) fn ordered(mut answers: Vec<String>) -> Vec<String> {
    let reasons = ["REASON_RECONCILIATION", "REASON_AGENT_REMOVED_BY_OPERATOR"];
    let of = |answer: &String| reasons.into_iter().find(|reason| answer.contains(reason));
    for chunk in answers.chunk_by_mut(|left, right| of(left) == of(right)) {
        if of(&chunk[0]).is_some() {
            chunk.sort();
        }
    }
    answers
}

/// The resources of an offer, in short and in order.
pub(crate) fn offered(offer: &Value) -> Vec<String> {
    let piece = |resource: &Value| {
        let amount = match &resource["scalar"]["value"] {
            Value::Null => resource["ranges"]["range"]
                .as_array()
                .unwrap()
                .iter()
                .map(|range| format!("{}-{}", plain(&range["begin"]), plain(&range["end"])))
                .collect::<Vec<_>>()
                .join(","),
            number => format!("{:.3}", number.as_f64().unwrap()),
        };
        format!(
            "{} {amount} {} {}",
            resource["name"], resource["allocation_info"]["role"], resource["reservations"]
        )
    };
    let mut pieces: Vec<String> =
        offer["resources"].as_array().unwrap().iter().map(piece).collect();
    pieces.sort();
    pieces
}

/// A number that may be written as a string.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
