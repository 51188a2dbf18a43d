//! Every recorded message of a real master becomes the right event, and what is launched on a
//! recorded offer has the form of the recorded request. What no master sent is written by hand.

// A test falls over at what it does not expect; its helpers too.
#![allow(clippy::unwrap_used, clippy::panic)]

mod command_mode;
mod incoming;
mod outgoing;
mod resources;
mod states;

use std::path::{Path, PathBuf};

use prost::Message as _;
use serde_json::Value;
use shiftwork_engine::event::Offer;
use shiftwork_proto::json;
use shiftwork_proto::mesos::v1 as mesos;

use super::{Incoming, WireError, read_event};

/// One message of a recording.
pub(super) struct Recorded {
    pub(super) place: String,
    pub(super) body: Value,
    /// As sent, where that was protobuf.
    pub(super) bytes: Option<Vec<u8>>,
}

/// All recorded messages in one direction of one type.
pub(super) fn recorded(direction: &str, kind: &str) -> Vec<Recorded> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/tests/recordings");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| !path.to_string_lossy().contains("executor-side"));
    files.sort();
    let mut found = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            let mut line: Value = serde_json::from_str(line).unwrap();
            if line["dir"] == direction && line["body"]["type"] == kind {
                let place = format!("{} line {}", path.display(), number + 1);
                let bytes = line["body_b64"].as_str().map(base64);
                found.push(Recorded { place, body: line["body"].take(), bytes });
            }
        }
    }
    assert!(!found.is_empty(), "no {kind} was recorded");
    found
}

/// What the recorded event is to us.
pub(super) fn read(recorded: &Recorded) -> Incoming {
    let text = recorded.body.to_string();
    let event: mesos::scheduler::Event =
        json::from_json("mesos.v1.scheduler.Event", text.as_bytes()).unwrap();
    read_event(event.encode_to_vec().into()).unwrap()
}

pub(super) fn read_wire(event: &mesos::scheduler::Event) -> Result<Incoming, WireError> {
    read_event(event.encode_to_vec().into())
}

pub(super) fn text(value: &Value) -> Option<&str> {
    value["value"].as_str()
}

pub(super) fn base64(text: &str) -> Vec<u8> {
    let status = format!(r#"{{"task_id":{{"value":"t"}},"state":"TASK_RUNNING","uuid":"{text}"}}"#);
    let status: mesos::TaskStatus =
        json::from_json("mesos.v1.TaskStatus", status.as_bytes()).unwrap();
    status.uuid.unwrap().to_vec()
}
/// The first offer of a recording.
pub(super) fn first_offer(file: &str) -> Offer {
    let all = recorded("event", "OFFERS");
    let recorded = all.iter().find(|recorded| recorded.place.contains(file)).unwrap();
    let Incoming::Offers { mut usable, .. } = read(recorded) else { panic!("{file}") };
    usable.remove(0)
}
