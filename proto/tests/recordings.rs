//! Every recorded message of a real master and agent decodes with our types and loses nothing when
//! encoded again. Bodies of the operator API are not of our types and are left alone.

// A test falls over at what it does not expect; its helpers too.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use prost::Message;
use serde_json::Value;
use shiftwork_proto::json;
use shiftwork_proto::mesos::v1::{executor, scheduler};
use shiftwork_proto::recordio::{Decoder, MAX_RECORD_LEN_DEFAULT, encode};

/// Requests whose bytes are wrong on purpose: the recording's file and line, counted from 0.
const MALFORMED: &[(&str, usize)] = &[
    // "not a protobuf", an unfinished JSON text.
    ("06-http-errors.jsonl", 9),
    ("06-http-errors.jsonl", 13),
    // A protobuf sent as text/plain; decoded by nobody.
    ("06-http-errors.jsonl", 11),
];

/// Bytes that decoding loses, by file and line: an agent turns its internal record of itself into
/// `AgentInfo` and leaves `checkpoint` (field 7, two bytes) in, which v1 does not define.
const LOSSY: &[(&str, usize, usize)] = &[
    ("03-custom-executor.executor-side.jsonl", 3, 2),
    ("07-framework.executor-side.jsonl", 3, 2),
    ("12-executor-info.executor-side.jsonl", 3, 2),
];

/// One line of a recording with where it stands.
struct Line {
    file: String,
    number: usize,
    value: Value,
}

// === impl Line ===

impl Line {
    fn place(&self) -> String {
        format!("{} line {}", self.file, self.number)
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.value.get(key).and_then(Value::as_str)
    }

    fn content_type(&self) -> Option<&str> {
        self.value.pointer("/headers/Content-Type").and_then(Value::as_str)
    }

    /// The bytes on the wire, when they were recorded.
    fn bytes(&self) -> Option<Vec<u8>> {
        self.text("body_b64").map(|text| base64(text).unwrap_or_else(|| panic!("{}", self.place())))
    }

    fn is_executor(&self) -> bool {
        self.file.contains("executor-side")
    }
}

fn recordings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings")
}

fn lines() -> Vec<Line> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(recordings()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut lines = Vec::new();
    for path in files {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        for (number, text) in std::fs::read_to_string(&path).unwrap().lines().enumerate() {
            lines.push(Line {
                file: file.clone(),
                number,
                value: serde_json::from_str(text).unwrap(),
            });
        }
    }
    lines
}

/// Standard base64 with padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = 0_u32;
    let mut count = 0;
    let mut bytes = Vec::new();
    for byte in text.bytes().filter(|&byte| byte != b'=') {
        let value = ALPHABET.iter().position(|&letter| letter == byte)?;
        bits = (bits << 6) | value as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

/// JSON as this test compares it: 64-bit numbers and their strings are one, so are 1 and 1.0, and
/// an empty list or map says as much as its absence.
fn normal(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, value)| (key.clone(), normal(value)))
                .filter(|(_, value)| *value != Value::Array(Vec::new()))
                .collect(),
        ),
        Value::Array(list) => Value::Array(list.iter().map(normal).collect()),
        Value::Number(number) => Value::from(number.as_f64().unwrap()),
        Value::String(text) => match text.parse::<u64>() {
            Ok(number) if number.to_string() == *text => Value::from(number as f64),
            _ => value.clone(),
        },
        other => other.clone(),
    }
}

/// Decodes protobuf as `M`, compares with the recorded JSON, encodes again and compares the bytes.
fn check_protobuf<M: Message + Default>(line: &Line, name: &str, bytes: &[u8]) {
    let place = line.place();
    let message = M::decode(bytes).unwrap_or_else(|error| panic!("{place}: {error}"));
    let again = message.encode_to_vec();
    if again != bytes {
        // Field order or default values may differ; what must not differ is the length of what is
        // known, and the meaning.
        let lost =
            LOSSY.iter().find(|(file, number, _)| *file == line.file && *number == line.number);
        let lost = lost.map_or(0, |(_, _, bytes)| *bytes);
        assert_eq!(again.len() + lost, bytes.len(), "{place}: bytes were lost");
        let twice = M::decode(&again[..]).unwrap();
        assert_eq!(
            json::to_json(name, &twice).unwrap(),
            json::to_json(name, &message).unwrap(),
            "{place}"
        );
    }
    let text = json::to_json(name, &message).unwrap();
    let ours: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(normal(&ours), normal(&line.value["body"]), "{place}");
}

/// Reads JSON as `M` and compares what is written again with what was read.
fn check_json<M: Message + Default>(line: &Line, name: &str, text: &[u8]) {
    let place = line.place();
    let message: M = json::from_json(name, text).unwrap_or_else(|error| panic!("{place}: {error}"));
    let ours: Value = serde_json::from_str(&json::to_json(name, &message).unwrap()).unwrap();
    let theirs: Value = serde_json::from_slice(text).unwrap();
    assert_eq!(normal(&ours), normal(&theirs), "{place}");
}

#[test]
fn recorded_requests_lose_nothing() {
    let mut checked = 0;
    for line in lines() {
        let at = (line.file.as_str(), line.number);
        let (Some("request"), Some(path)) = (line.text("dir"), line.text("path")) else {
            continue;
        };
        let Some(bytes) = line.bytes() else { continue };
        if MALFORMED.contains(&at) || !matches!(path, "/api/v1/scheduler" | "/api/v1/executor") {
            continue;
        }
        match (path, line.content_type()) {
            ("/api/v1/scheduler", Some("application/x-protobuf")) => {
                check_protobuf::<scheduler::Call>(&line, "mesos.v1.scheduler.Call", &bytes);
            }
            ("/api/v1/scheduler", Some("application/json")) => {
                check_json::<scheduler::Call>(&line, "mesos.v1.scheduler.Call", &bytes);
            }
            ("/api/v1/executor", Some("application/x-protobuf")) => {
                check_protobuf::<executor::Call>(&line, "mesos.v1.executor.Call", &bytes);
            }
            other => panic!("{}: unexpected {other:?}", line.place()),
        }
        checked += 1;
    }
    assert_eq!(checked, 170, "recorded requests of our types");
}

#[test]
fn recorded_events_lose_nothing_and_have_the_length_they_say() {
    let mut checked = 0;
    for line in lines().iter().filter(|line| line.text("dir") == Some("event")) {
        if let Some(bytes) = line.bytes() {
            let length: usize = line.text("length").unwrap().parse().unwrap();
            assert_eq!(length, bytes.len(), "{}", line.place());
            let mut decoder = Decoder::new(MAX_RECORD_LEN_DEFAULT);
            decoder.push(&encode(&bytes));
            assert_eq!(decoder.next().unwrap().unwrap(), bytes, "{}", line.place());
            if line.is_executor() {
                check_protobuf::<executor::Event>(line, "mesos.v1.executor.Event", &bytes);
            } else {
                check_protobuf::<scheduler::Event>(line, "mesos.v1.scheduler.Event", &bytes);
            }
        } else {
            let text = line.value["body"].to_string();
            check_json::<scheduler::Event>(line, "mesos.v1.scheduler.Event", text.as_bytes());
        }
        checked += 1;
    }
    assert_eq!(checked, 264, "recorded events");
}
