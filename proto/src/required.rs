//! What proto2 requires and prost does not ask for: an absent required field is read as its default,
//! which may mean something else altogether (a task in state STAGING, an agent that is away since 1970).
//! Looks at the bytes, before their meaning is lost. Absent: any opinion on values.

use bytes::{Buf, Bytes};
use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// Messages within messages that are looked into; as deep as prost decodes.
const DEPTH_MAX: u32 = 100;

/// What is known of one message type.
struct MessageRule {
    name: &'static str,
    /// Number and name of each required field.
    required: &'static [(u32, &'static str)],
    /// Number of each field that is a message, and the row of its type.
    within: &'static [(u32, usize)],
}

include!(concat!(env!("OUT_DIR"), "/required.rs"));

/// Why bytes are not the message they should be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RequiredError {
    /// They are none at all.
    #[error("it cannot be decoded")]
    Undecodable(#[from] prost::DecodeError),
    /// A required field is absent, in it or in a message within it.
    #[error("{message}.{field} is absent, though proto2 requires it")]
    Missing {
        /// Full name of the message type that lacks it.
        message: &'static str,
        /// The field.
        field: &'static str,
    },
}

/// Decodes a message whose type has this full name, such as `mesos.v1.scheduler.Call`, as proto2 means it.
///
/// # Errors
/// When it cannot be decoded, or lacks a required field. A name no `.proto` file of this crate defines
/// requires nothing.
pub fn decode<M: Message + Default>(full_name: &str, bytes: Bytes) -> Result<M, RequiredError> {
    let message = M::decode(bytes.clone())?;
    check(full_name, &bytes)?;
    Ok(message)
}

/// Whether bytes that can be decoded hold every field that the type with this full name requires.
///
/// # Errors
/// The first that is absent.
pub fn check(full_name: &str, bytes: &[u8]) -> Result<(), RequiredError> {
    match MESSAGES.binary_search_by_key(&full_name, |rule| rule.name) {
        Ok(row) => check_row(row, bytes, DEPTH_MAX),
        Err(_) => Ok(()),
    }
}

/// The values of a field that is a message or bytes, each as it stands in `message`.
///
/// # Errors
/// When the bytes are no message.
pub fn values_of(message: &[u8], field: u32) -> Result<Vec<&[u8]>, RequiredError> {
    let mut values = Vec::new();
    for_each_value(message, |number, value| {
        if number == field {
            values.push(value);
        }
        Ok(())
    })?;
    Ok(values)
}

fn check_row(row: usize, bytes: &[u8], depth: u32) -> Result<(), RequiredError> {
    let Some(rule) = MESSAGES.get(row).filter(|_| depth > 0) else { return Ok(()) };
    let mut seen = 0_u64;
    let mut note = |number: u32| {
        if let Some(at) = rule.required.iter().position(|(required, _)| *required == number) {
            seen |= 1 << at;
        }
    };
    for_each_field(bytes, |number, value| {
        note(number);
        match (value, rule.within.iter().find(|(within, _)| *within == number)) {
            (Some(value), Some((_, row))) => check_row(*row, value, depth - 1),
            _ => Ok(()),
        }
    })?;
    let absent = rule.required.iter().enumerate().find(|(at, _)| seen & (1 << at) == 0);
    match absent {
        None => Ok(()),
        Some((_, (_, field))) => Err(RequiredError::Missing { message: rule.name, field }),
    }
}

fn for_each_value<'a>(
    bytes: &'a [u8],
    mut take: impl FnMut(u32, &'a [u8]) -> Result<(), RequiredError>,
) -> Result<(), RequiredError> {
    for_each_field(bytes, |number, value| value.map_or(Ok(()), |value| take(number, value)))
}

/// Calls `take` with each field's number and, where it has a length, its bytes.
fn for_each_field<'a>(
    mut bytes: &'a [u8],
    mut take: impl FnMut(u32, Option<&'a [u8]>) -> Result<(), RequiredError>,
) -> Result<(), RequiredError> {
    while bytes.has_remaining() {
        let (number, wire_type) = decode_key(&mut bytes)?;
        if wire_type != WireType::LengthDelimited {
            skip_field(wire_type, number, &mut bytes, DecodeContext::default())?;
            take(number, None)?;
            continue;
        }
        let len = usize::try_from(decode_varint(&mut bytes)?).unwrap_or(usize::MAX);
        // Longer than what is left: whoever decodes says so.
        let Some((value, rest)) = bytes.split_at_checked(len) else { return Ok(()) };
        bytes = rest;
        take(number, Some(value))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesos::v1::scheduler::{Call, Event, call, event};
    use crate::mesos::v1::{TaskId, TaskStatus, Unavailability};

    const EVENT: &str = "mesos.v1.scheduler.Event";

    #[test]
    fn the_table_is_in_order_and_no_row_outgrows_the_mask() {
        assert!(MESSAGES.is_sorted_by_key(|rule| rule.name));
        assert!(MESSAGES.iter().all(|rule| rule.required.len() <= 64));
        let of = |name: &str| MESSAGES.iter().find(|rule| rule.name == name).unwrap();
        let required: Vec<&str> =
            of("mesos.v1.TaskStatus").required.iter().map(|(_, name)| *name).collect();
        assert_eq!(required, ["task_id", "state"]);
    }

    #[test]
    fn a_whole_message_is_decoded() {
        let status = TaskStatus {
            task_id: TaskId { value: "t".to_owned() },
            state: 1,
            ..TaskStatus::default()
        };
        let event = Event {
            r#type: Some(event::Type::Update.into()),
            update: Some(event::Update { status }),
            ..Event::default()
        };
        let bytes = Bytes::from(event.encode_to_vec());
        assert_eq!(decode::<Event>(EVENT, bytes).unwrap(), event);
        assert_eq!(decode::<Event>("no.such.Message", Bytes::new()), Ok(Event::default()));
    }

    /// UPDATE with a status of only a task id: 2 = `status.task_id`, and within it 1 = value.
    #[test]
    fn what_is_absent_deep_inside_is_named_with_its_message() {
        let task_id = [0x0a, 0x03, 0x0a, 0x01, b't'];
        let status = [&[0x0a, task_id.len() as u8][..], &task_id].concat();
        let update = crate::mesos::v1::scheduler::Event {
            r#type: Some(event::Type::Update.into()),
            ..Event::default()
        };
        let mut bytes = update.encode_to_vec();
        prost::encoding::bytes::encode(5, &status, &mut bytes);
        let error = decode::<Event>(EVENT, bytes.into()).unwrap_err();
        let expected = RequiredError::Missing { message: "mesos.v1.TaskStatus", field: "state" };
        assert_eq!(error, expected);
        assert_eq!(
            error.to_string(),
            "mesos.v1.TaskStatus.state is absent, though proto2 requires it"
        );
    }

    #[test]
    fn an_empty_message_lacks_its_first_required_field() {
        let missing = |name: &str| match check(name, &[]) {
            Err(RequiredError::Missing { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(missing("mesos.v1.Unavailability"), "start");
        assert_eq!(missing("mesos.v1.Offer"), "id");
        let whole = Unavailability::default().encode_to_vec();
        assert_eq!(check("mesos.v1.Unavailability", &whole), Ok(()), "prost writes them all");
    }

    #[test]
    fn anything_but_a_message_is_an_error_or_nothing_to_complain_of() {
        assert!(decode::<Call>("mesos.v1.scheduler.Call", Bytes::from_static(b"no call")).is_err());
        // A length beyond the end, a group that never ends, half a number.
        for bytes in [&b"\x12\xff\x01"[..], b"\x0b", b"\x80"] {
            let _either = check("mesos.v1.scheduler.Call", bytes);
            assert!(decode::<Call>("mesos.v1.scheduler.Call", bytes.to_vec().into()).is_err());
        }
        let call = Call { r#type: Some(call::Type::Revive.into()), ..Call::default() };
        assert_eq!(values_of(&call.encode_to_vec(), 1).unwrap(), Vec::<&[u8]>::new());
        let nested = [0x1a, 0x02, b'h', b'i', 0x08, 0x01, 0x1a, 0x00];
        assert_eq!(values_of(&nested, 3).unwrap(), [&b"hi"[..], b""]);
    }
}
