//! Which calls a master answers at all, and with which status and text it refuses the others. No
//! change of anything.

use shiftwork_proto::mesos::v1::{offer::operation, scheduler};

use super::super::id::FrameworkId;
use super::Master;

/// An HTTP answer other than 200 and 202.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The status code.
    pub status: u16,
    /// The body, plain text.
    pub text: String,
}

// === impl Rejection ===

impl Rejection {
    /// 400: the call makes no sense.
    pub fn bad_request(text: impl Into<String>) -> Self {
        Self { status: 400, text: text.into() }
    }

    /// 403: the caller may not.
    pub fn forbidden(text: impl Into<String>) -> Self {
        Self { status: 403, text: text.into() }
    }

    /// 503: not now.
    pub fn unavailable(text: impl Into<String>) -> Self {
        Self { status: 503, text: text.into() }
    }

    fn invalid(text: &str) -> Self {
        Self::bad_request(format!("Failed to validate scheduler::Call: {text}"))
    }
}

// === impl Master ===

impl Master {
    /// Checks a call in the order in which a master does: shape, framework, stream.
    pub(in super::super) fn admit(
        &self,
        call: &scheduler::Call,
        stream: Option<&str>,
    ) -> Result<(), Rejection> {
        use scheduler::call::Type;
        if call.r#type() == Type::Unknown {
            return Err(Rejection::invalid("Expecting 'type' to be present"));
        }
        if call.r#type() == Type::Subscribe {
            return admit_subscribe(call, stream);
        }
        let Some(id) = call.framework_id.as_ref().map(FrameworkId::from) else {
            return Err(Rejection::invalid("Expecting 'framework_id' to be present"));
        };
        check_parts(call)?;
        let framework = self
            .frameworks
            .get(&id)
            .ok_or_else(|| Rejection::bad_request("Framework cannot be found"))?;
        let Some(stream) = stream else {
            return Err(Rejection::bad_request(
                "All non-subscribe calls should include the 'Mesos-Stream-Id' header",
            ));
        };
        match framework.stream() {
            None => Err(Rejection::forbidden("Framework is not subscribed")),
            Some(current) if current.0 == stream => Ok(()),
            Some(_) => Err(Rejection::bad_request(format!(
                "The stream ID '{stream}' included in this request didn't match the stream ID \
                 currently associated with framework ID {id}"
            ))),
        }
    }
}

fn admit_subscribe(call: &scheduler::Call, stream: Option<&str>) -> Result<(), Rejection> {
    let Some(subscribe) = &call.subscribe else {
        return Err(Rejection::invalid("Expecting 'subscribe' to be present"));
    };
    if subscribe.framework_info.id != call.framework_id {
        return Err(Rejection::invalid(
            "'framework_id' differs from 'subscribe.framework_info.id'",
        ));
    }
    if stream.is_some() {
        return Err(Rejection::bad_request(
            "Subscribe calls should not include the 'Mesos-Stream-Id' header",
        ));
    }
    Ok(())
}

/// Each call must carry the message of its type.
fn check_parts(call: &scheduler::Call) -> Result<(), Rejection> {
    use scheduler::call::Type;
    let expect = |part: bool, name: &str| {
        let text = format!("Expecting '{name}' to be present");
        if part { Ok(()) } else { Err(Rejection::invalid(&text)) }
    };
    match call.r#type() {
        Type::Accept => {
            expect(call.accept.is_some(), "accept")?;
            check_operations(call)
        }
        Type::Decline => expect(call.decline.is_some(), "decline"),
        Type::Kill => expect(call.kill.is_some(), "kill"),
        Type::Shutdown => expect(call.shutdown.is_some(), "shutdown"),
        Type::Acknowledge => {
            expect(call.acknowledge.is_some(), "acknowledge")?;
            let uuid = call.acknowledge.as_ref().map_or(0, |acknowledge| acknowledge.uuid.len());
            if uuid == UUID_LEN { Ok(()) } else { Err(Rejection::invalid("Not a valid UUID")) }
        }
        Type::Reconcile => expect(call.reconcile.is_some(), "reconcile"),
        Type::Message => expect(call.message.is_some(), "message"),
        Type::AcceptInverseOffers => {
            expect(call.accept_inverse_offers.is_some(), "accept_inverse_offers")
        }
        Type::DeclineInverseOffers => {
            expect(call.decline_inverse_offers.is_some(), "decline_inverse_offers")
        }
        Type::Teardown | Type::Revive | Type::Suppress => Ok(()),
        other => Err(Rejection::invalid(&format!("{} is not simulated", other.as_str_name()))),
    }
}

/// Bytes of a UUID.
const UUID_LEN: usize = 16;

/// Only launching is simulated; anything else is refused aloud rather than lost.
fn check_operations(call: &scheduler::Call) -> Result<(), Rejection> {
    let operations = call.accept.iter().flat_map(|accept| &accept.operations);
    for operation in operations {
        match operation.r#type() {
            operation::Type::Launch if operation.launch.is_some() => {}
            operation::Type::Launch => {
                return Err(Rejection::invalid("Expecting 'launch' to be present"));
            }
            other => {
                let text = format!("operation {} is not simulated", other.as_str_name());
                return Err(Rejection::invalid(&text));
            }
        }
    }
    Ok(())
}
