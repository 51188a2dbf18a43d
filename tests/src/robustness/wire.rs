//! What comes over the wire: framing, Mesos messages in both flavours, Shiftwork payloads. What is
//! read at all is written and read again as the same.

use prost::Message;
use serde_json::json;
use shiftwork_proto::json::{from_json, to_json};
use shiftwork_proto::mesos::v1::{executor, scheduler};
use shiftwork_proto::recordio::{Decoder, encode};
use shiftwork_proto::shiftwork::v1::task_payload::Work;
use shiftwork_proto::shiftwork::v1::{
    ExecutorPayload, Http, Schedule, Script, TaskOutcome, TaskPayload,
};

/// Longest record that the decoder is to take, bytes.
const RECORD_LEN_MAX: usize = 4 * 1024;

pub(super) fn streams() -> Vec<Vec<u8>> {
    let records: [&[u8]; 4] = [b"", b"a", b"hello, world", &[0xff; 300]];
    let stream = records.iter().flat_map(|record| encode(record)).collect();
    vec![stream, b"5\nhello0\n003\nabc".to_vec(), b"18446744073709551616\nx".to_vec()]
}

/// Cut into pieces or not, a stream says the same, and never more than it holds.
pub(super) fn record_io(stream: &[u8]) {
    let read = |piece: usize| {
        let mut decoder = Decoder::new(RECORD_LEN_MAX);
        let mut records = Vec::new();
        for bytes in stream.chunks(piece) {
            decoder.push(bytes);
            while let Ok(Some(record)) = decoder.next() {
                records.push(record);
            }
        }
        (records, decoder.finish().is_ok())
    };
    let whole = read(stream.len().max(1));
    assert_eq!(whole, read(1), "byte by byte");
    assert_eq!(whole, read(7), "in pieces");
    let len: usize = whole.0.iter().map(bytes_len).sum();
    assert!(len <= stream.len(), "{len} bytes out of {}", stream.len());
}

fn bytes_len(record: &impl AsRef<[u8]>) -> usize {
    record.as_ref().len()
}

/// Messages as a scheduler and an executor get and send them.
fn messages() -> Vec<(&'static str, serde_json::Value)> {
    let offer = json!({
        "id": {"value": "o1"}, "framework_id": {"value": "f"}, "agent_id": {"value": "a"},
        "hostname": "h",
        "allocation_info": {"role": "batch"},
        "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 4.0},
             "allocation_info": {"role": "batch"}},
            {"name": "ports", "type": "RANGES",
             "ranges": {"range": [{"begin": 31000, "end": 31007}]}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 64.0},
             "reservations": [{"type": "DYNAMIC", "role": "batch", "principal": "p"}]},
        ],
        "attributes": [{"name": "rack", "type": "TEXT", "text": {"value": "r1"}}],
        "executor_ids": [{"value": "app@-@a"}],
    });
    let status = json!({
        "task_id": {"value": "j@-@0@-@READY@-@a@-@u"}, "state": "TASK_FINISHED",
        "source": "SOURCE_EXECUTOR", "agent_id": {"value": "a"}, "uuid": "AAECAw==",
        "data": "CAE=", "timestamp": 1.5, "reason": "REASON_RECONCILIATION",
    });
    let event = "mesos.v1.scheduler.Event";
    let call = "mesos.v1.scheduler.Call";
    vec![
        (event, json!({"type": "OFFERS", "offers": {"offers": [offer]}})),
        (event, json!({"type": "UPDATE", "update": {"status": status}})),
        (event, json!({"type": "FAILURE", "failure": {"agent_id": {"value": "a"}, "status": 9}})),
        (event, json!({"type": "HEARTBEAT"})),
        (
            call,
            json!({"framework_id": {"value": "f"}, "type": "ACCEPT", "accept": {
                "offer_ids": [{"value": "o1"}], "filters": {"refuse_seconds": 0.5},
                "operations": [{"type": "LAUNCH", "launch": {"task_infos": [{
                    "name": "j", "task_id": {"value": "t"}, "agent_id": {"value": "a"},
                    "resources": [], "data": "CAE="}]}}]}}),
        ),
        (
            call,
            json!({"type": "SUBSCRIBE", "subscribe": {"framework_info": {
                "user": "root", "name": "n", "roles": ["*"],
                "capabilities": [{"type": "MULTI_ROLE"}]}}}),
        ),
        (
            "mesos.v1.executor.Event",
            json!({"type": "KILL", "kill": {"task_id": {"value": "t"},
                "kill_policy": {"grace_period": {"nanoseconds": 5}}}}),
        ),
        (
            "mesos.v1.executor.Call",
            json!({"executor_id": {"value": "e"}, "framework_id": {"value": "f"},
                "type": "UPDATE", "update": {"status": status}}),
        ),
    ]
}

/// The messages of one type, as bytes.
fn encoded<M: Message + Default>(name: &str) -> impl Iterator<Item = Vec<u8>> {
    messages()
        .into_iter()
        .filter(move |(of, _)| *of == name)
        .filter_map(|(of, text)| from_json::<M>(of, text.to_string().as_bytes()).ok())
        .map(|message| message.encode_to_vec())
        .collect::<Vec<_>>()
        .into_iter()
}

pub(super) fn calls() -> Vec<Vec<u8>> {
    encoded::<scheduler::Call>("mesos.v1.scheduler.Call")
        .chain(encoded::<executor::Call>("mesos.v1.executor.Call"))
        .collect()
}

pub(super) fn events() -> Vec<Vec<u8>> {
    encoded::<scheduler::Event>("mesos.v1.scheduler.Event")
        .chain(encoded::<executor::Event>("mesos.v1.executor.Event"))
        .collect()
}

/// What is read is written and read again as the same; written out it says the same in both flavours.
fn again<M: Message + Default + PartialEq>(bytes: &[u8], json_name: Option<&str>) {
    let Ok(message) = M::decode(bytes) else { return };
    let written = message.encode_to_vec();
    let read = M::decode(written.as_slice()).expect("what was written is read");
    // By bytes: a number that is none is not equal to itself.
    assert_eq!(read.encode_to_vec(), written);
    let Some(name) = json_name else { return };
    if let Ok(text) = to_json(name, &message) {
        let from_text = from_json::<M>(name, text.as_bytes()).expect("what was written is read");
        assert_eq!(from_text.encode_to_vec(), written, "{text}");
    }
}

pub(super) fn call(bytes: &[u8]) {
    again::<scheduler::Call>(bytes, Some("mesos.v1.scheduler.Call"));
    again::<executor::Call>(bytes, Some("mesos.v1.executor.Call"));
}

pub(super) fn event(bytes: &[u8]) {
    again::<scheduler::Event>(bytes, Some("mesos.v1.scheduler.Event"));
    again::<executor::Event>(bytes, Some("mesos.v1.executor.Event"));
}

pub(super) fn json_messages() -> Vec<Vec<u8>> {
    messages().into_iter().map(|(_, message)| message.to_string().into_bytes()).collect()
}

pub(super) fn json_message(text: &[u8]) {
    fn check<M: Message + Default>(name: &str, text: &[u8]) {
        let Ok(message) = from_json::<M>(name, text) else { return };
        let written = to_json(name, &message).expect("what was read can be written");
        let read = from_json::<M>(name, written.as_bytes()).expect("what was written is read");
        assert_eq!(read.encode_to_vec(), message.encode_to_vec(), "{written}");
    }
    check::<scheduler::Call>("mesos.v1.scheduler.Call", text);
    check::<scheduler::Event>("mesos.v1.scheduler.Event", text);
    check::<executor::Call>("mesos.v1.executor.Call", text);
    check::<executor::Event>("mesos.v1.executor.Event", text);
}

pub(super) fn payloads() -> Vec<Vec<u8>> {
    let script = Work::Script(Script { command_line: "true".to_owned(), ..Script::default() });
    let http = Work::Http(Http { uri: "http://h/".to_owned(), ..Http::default() });
    let payload = |work| TaskPayload {
        version: 1,
        app: "a".to_owned(),
        job: "j".to_owned(),
        run_id: "j@20261120T020000Z".to_owned(),
        schedule: Some(Schedule { cron: "0 0 2 * * ?".to_owned(), ..Schedule::default() }),
        work: Some(work),
        ..TaskPayload::default()
    };
    vec![
        payload(script).encode_to_vec(),
        payload(http).encode_to_vec(),
        ExecutorPayload { version: 1, app: "a".to_owned(), idle_timeout_ms: 5 }.encode_to_vec(),
        TaskOutcome { version: 1, ..TaskOutcome::default() }.encode_to_vec(),
    ]
}

pub(super) fn payload(bytes: &[u8]) {
    again::<TaskPayload>(bytes, None);
    again::<ExecutorPayload>(bytes, None);
    again::<TaskOutcome>(bytes, None);
}
