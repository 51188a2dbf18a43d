//! The JSON flavour of the Mesos v1 API: proto field names, enum names, base64 bytes, numbers for
//! 64-bit integers. No knowledge of any message: the compiled descriptors lead the way.

use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions,
};

/// Descriptors of every `.proto` file of this crate.
static POOL: LazyLock<Result<DescriptorPool, String>> = LazyLock::new(|| {
    let bytes = &include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"))[..];
    DescriptorPool::decode(bytes).map_err(|error| error.to_string())
});

/// Why a message could not be turned into JSON or back.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The name is of no message of this crate.
    #[error("no message is named {0}; give the full name, like mesos.v1.scheduler.Call")]
    UnknownMessage(String),
    /// The descriptors compiled into this crate cannot be read.
    #[error("the compiled-in descriptors are damaged ({0}); build again")]
    Descriptors(String),
    /// The message is not of the type that the name says.
    #[error("a message given as {name} does not match that type: {why}")]
    Mismatch {
        /// Full name of the message type.
        name: String,
        /// What the decoder met.
        why: prost::DecodeError,
    },
    /// The text is not JSON, or not of this message.
    #[error("invalid {name} at `{path}`: {why}")]
    Invalid {
        /// Full name of the message type.
        name: String,
        /// Path of the field, `.` for the whole.
        path: String,
        /// What the parser met there.
        why: serde_json::Error,
    },
    /// A required field is absent.
    #[error("{name}: {why}; proto2 requires every field so marked")]
    Missing {
        /// Full name of the message type.
        name: String,
        /// Which field of which message.
        why: prost::DecodeError,
    },
    /// A message cannot be written as JSON.
    #[error("{name} cannot be written as JSON: {why}")]
    Write {
        /// Full name of the message type.
        name: String,
        /// What the writer met.
        why: serde_json::Error,
    },
}

/// The descriptor of a message by its full name, such as `mesos.v1.scheduler.Call`.
///
/// # Errors
/// [`JsonError::UnknownMessage`] for a name that no `.proto` file of this crate defines.
pub fn descriptor(full_name: &str) -> Result<MessageDescriptor, JsonError> {
    let pool = POOL.as_ref().map_err(|error| JsonError::Descriptors(error.clone()))?;
    pool.get_message_by_name(full_name)
        .ok_or_else(|| JsonError::UnknownMessage(full_name.to_owned()))
}

/// Writes `message`, whose type has the name `full_name`, as Mesos writes JSON.
///
/// # Errors
/// When the name is unknown or is not that of `message`.
pub fn to_json<M: Message>(full_name: &str, message: &M) -> Result<String, JsonError> {
    let name = || full_name.to_owned();
    let mut dynamic = DynamicMessage::new(descriptor(full_name)?);
    dynamic.transcode_from(message).map_err(|why| JsonError::Mismatch { name: name(), why })?;
    let options =
        SerializeOptions::new().use_proto_field_name(true).stringify_64_bit_integers(false);
    let mut text = Vec::new();
    dynamic
        .serialize_with_options(&mut serde_json::Serializer::new(&mut text), &options)
        .map_err(|why| JsonError::Write { name: name(), why })?;
    // The writer emits UTF-8 only; a lossy copy cannot change anything.
    Ok(String::from_utf8(text)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// Reads a message of the type named `full_name` from JSON. Unknown fields are ignored, as Mesos
/// does; 64-bit integers may be numbers or strings.
///
/// # Errors
/// With the path of the offending field when the text is not JSON or a value has the wrong type,
/// and with the field's name when a required one is absent.
pub fn from_json<M: Message + Default>(full_name: &str, text: &[u8]) -> Result<M, JsonError> {
    let descriptor = descriptor(full_name)?;
    let name = || full_name.to_owned();
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    let mut parser = serde_json::Deserializer::from_slice(text);
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut parser, &mut track);
    let dynamic = DynamicMessage::deserialize_with_options(descriptor, tracked, &options)
        .map_err(|why| JsonError::Invalid { name: name(), path: track.path().to_string(), why })?;
    parser.end().map_err(|why| JsonError::Invalid { name: name(), path: ".".to_owned(), why })?;
    dynamic.transcode_to().map_err(|why| JsonError::Missing { name: name(), why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesos::v1::scheduler::{Call, call};
    use crate::mesos::v1::{TaskStatus, TimeInfo};

    const CALL: &str = "mesos.v1.scheduler.Call";

    #[test]
    fn names_enums_bytes_and_numbers_are_as_mesos_writes_them() {
        let status = TaskStatus {
            task_id: crate::mesos::v1::TaskId { value: "t".to_owned() },
            state: 6,
            uuid: Some(bytes::Bytes::from_static(&[0xfb, 0xff])),
            timestamp: Some(1.5),
            unreachable_time: Some(TimeInfo { nanoseconds: 9_007_199_254_740_993 }),
            ..TaskStatus::default()
        };
        let text = to_json("mesos.v1.TaskStatus", &status).unwrap();
        assert_eq!(
            text,
            r#"{"task_id":{"value":"t"},"state":"TASK_STAGING","timestamp":1.5,"uuid":"+/8=","unreachable_time":{"nanoseconds":9007199254740993}}"#
        );
        assert_eq!(
            from_json::<TaskStatus>("mesos.v1.TaskStatus", text.as_bytes()).unwrap(),
            status
        );
    }

    #[test]
    fn big_integers_are_read_from_numbers_and_strings_and_unknown_fields_are_ignored() {
        for text in [r#"{"nanoseconds":12,"x":[{}]}"#, r#"{"nanoseconds":"12"}"#] {
            let time = from_json::<TimeInfo>("mesos.v1.TimeInfo", text.as_bytes()).unwrap();
            assert_eq!(time.nanoseconds, 12);
        }
    }

    #[test]
    fn an_error_names_the_path() {
        let text = br#"{"type":"KILL","kill":{"task_id":{"value":7}}}"#;
        let error = from_json::<Call>(CALL, text).unwrap_err();
        assert!(error.to_string().contains("`kill.task_id.value`"), "{error}");
        let error = from_json::<Call>(CALL, b"{\"type\":").unwrap_err();
        assert!(matches!(error, JsonError::Invalid { .. }), "{error}");
        let error = from_json::<Call>(CALL, b"{} {}").unwrap_err();
        assert!(error.to_string().contains("trailing"), "{error}");
        let error = from_json::<Call>("mesos.v1.Nothing", b"{}").unwrap_err();
        assert!(matches!(error, JsonError::UnknownMessage(_)), "{error}");
    }

    #[test]
    fn an_empty_call_has_no_type() {
        let call = from_json::<Call>(CALL, b"{}").unwrap();
        assert_eq!(call, Call::default());
        assert_eq!(call.r#type(), call::Type::Unknown);
    }
}
