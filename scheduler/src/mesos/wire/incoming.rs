//! One record of the stream -> what it says. Absent: any reaction to it.

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use shiftwork_engine::event::{Event, InverseOffer, Offer, Unavailability};
use shiftwork_engine::ids::{AgentId, ExecutorId, FrameworkId, OfferId};
use shiftwork_proto::mesos::v1 as mesos;
use shiftwork_proto::mesos::v1::scheduler::event as wire;
use shiftwork_proto::required::{self, RequiredError};
use shiftwork_schedule::Timestamp;

use super::{WireError, resources, status};
use crate::agent_files::{AgentAddress, Scheme};

/// Heartbeat interval of a master that does not name one: what every Mesos 1.x master uses.
const HEARTBEAT_INTERVAL_DEFAULT: Duration = Duration::from_secs(15);

/// Longer heartbeat intervals are taken for a mistake: a dead stream would go unnoticed for hours.
const HEARTBEAT_INTERVAL_SECONDS_MAX: f64 = 600.0;

const NANOS_PER_MILLI: i64 = 1_000_000;

/// Full name of a record's type.
const EVENT: &str = "mesos.v1.scheduler.Event";

/// Number of the field `Event.offers`.
const EVENT_OFFERS: u32 = 3;

/// Number of the field `Event.Offers.offers`.
const OFFERS_OFFERS: u32 = 1;

/// Full name of an offer's type.
const OFFER: &str = "mesos.v1.Offer";

/// What one record says.
#[derive(Debug, PartialEq)]
pub enum Incoming {
    /// The subscription was taken.
    Subscribed {
        /// The id under which the master knows us.
        framework: FrameworkId,
        /// How often it will send something.
        heartbeat_interval: Duration,
    },
    /// The master is alive.
    Heartbeat,
    /// New offers.
    Offers {
        /// Those that can be placed on.
        usable: Vec<Offer>,
        /// Those that must be given back, because nobody will ever use them.
        unusable: Vec<UnusableOffer>,
        /// Where their agents are.
        agents: Vec<(AgentId, AgentAddress)>,
    },
    /// Anything else the engine wants to know.
    Event(Event),
    /// An executor or agent is gone.
    Failure {
        /// What the engine wants to know of it.
        event: Event,
        /// How it ended, for the log.
        how: String,
    },
    /// The master ends the subscription, for this reason.
    Error(String),
    /// Something this framework has no use for, by name.
    Ignored(&'static str),
}

/// An offer that was not understood.
#[derive(Debug, PartialEq)]
pub struct UnusableOffer {
    /// Its id; `None` if not even that could be read.
    pub id: Option<OfferId>,
    /// What is wrong with it.
    pub error: WireError,
}

/// Reads one record.
///
/// # Errors
/// When it is not a scheduler event or lacks what its type promises; the stream stays in step.
pub fn read_event(record: Bytes) -> Result<Incoming, WireError> {
    let event = mesos::scheduler::Event::decode(record.clone()).map_err(WireError::Undecodable)?;
    if event.r#type() == wire::Type::Offers {
        return read_parts(event, &check_offers(&record));
    }
    required::check(EVENT, &record).map_err(WireError::Incomplete)?;
    read(event)
}

/// Reads what one record holds, of which it is known that no required field is absent.
///
/// # Errors
/// When it lacks what its type promises.
pub fn read(event: mesos::scheduler::Event) -> Result<Incoming, WireError> {
    read_parts(event, &[])
}

/// Reads an event; `absent` is what its offers lack, in their order.
fn read_parts(
    event: mesos::scheduler::Event,
    absent: &[Option<RequiredError>],
) -> Result<Incoming, WireError> {
    match event.r#type() {
        wire::Type::Subscribed => {
            read_subscribed(event.subscribed.ok_or(WireError::Missing("Event.subscribed"))?)
        }
        wire::Type::Heartbeat => Ok(Incoming::Heartbeat),
        wire::Type::Offers => {
            let offers = event.offers.ok_or(WireError::Missing("Event.offers"))?;
            Ok(read_offers(offers.offers, absent))
        }
        wire::Type::Rescind => {
            let rescind = event.rescind.ok_or(WireError::Missing("Event.rescind"))?;
            let id = required(rescind.offer_id.value, "Rescind.offer_id")?;
            Ok(Incoming::Event(Event::Rescinded(OfferId::new(id))))
        }
        wire::Type::Update => {
            let update = event.update.ok_or(WireError::Missing("Event.update"))?;
            Ok(Incoming::Event(Event::Status(status::read_status(update.status)?)))
        }
        wire::Type::Failure => {
            read_failure(event.failure.ok_or(WireError::Missing("Event.failure"))?)
        }
        wire::Type::Error => {
            let error = event.error.ok_or(WireError::Missing("Event.error"))?;
            Ok(Incoming::Error(error.message))
        }
        wire::Type::InverseOffers => {
            let offers = event.inverse_offers.ok_or(WireError::Missing("Event.inverse_offers"))?;
            let offers = offers.inverse_offers.into_iter().map(read_inverse_offer);
            Ok(Incoming::Event(Event::InverseOffers(offers.collect::<Result<_, _>>()?)))
        }
        // Inverse offers are answered at once; executors tell everything by status updates; a type
        // of a later Mesos is to be ignored, as the protocol says.
        wire::Type::RescindInverseOffer => Ok(Incoming::Ignored("RESCIND_INVERSE_OFFER")),
        wire::Type::UpdateOperationStatus => Ok(Incoming::Ignored("UPDATE_OPERATION_STATUS")),
        wire::Type::Message => Ok(Incoming::Ignored("MESSAGE")),
        wire::Type::Unknown => Ok(Incoming::Ignored("UNKNOWN")),
    }
}

/// The text of an id, which must not be empty.
pub(super) fn required(value: String, field: &'static str) -> Result<String, WireError> {
    if value.is_empty() { Err(WireError::Missing(field)) } else { Ok(value) }
}

fn read_subscribed(subscribed: wire::Subscribed) -> Result<Incoming, WireError> {
    let framework = required(subscribed.framework_id.value, "Subscribed.framework_id")?;
    let heartbeat_interval = subscribed
        .heartbeat_interval_seconds
        .filter(|seconds| *seconds > 0.0 && *seconds <= HEARTBEAT_INTERVAL_SECONDS_MAX)
        .map_or(HEARTBEAT_INTERVAL_DEFAULT, Duration::from_secs_f64);
    Ok(Incoming::Subscribed { framework: FrameworkId::new(framework), heartbeat_interval })
}

/// What is absent of each offer of an OFFERS. One by one, because a whole event that is left out would
/// take offers with it that nobody could give back.
fn check_offers(record: &[u8]) -> Vec<Option<RequiredError>> {
    // What cannot be cut into offers here was not decoded before either.
    let all = required::values_of(record, EVENT_OFFERS).unwrap_or_default();
    let each = all.into_iter().flat_map(|offers| required::values_of(offers, OFFERS_OFFERS));
    each.flatten().map(|offer| required::check(OFFER, offer).err()).collect()
}

fn read_offers(offers: Vec<mesos::Offer>, absent: &[Option<RequiredError>]) -> Incoming {
    let agents = offers.iter().filter_map(read_address).collect();
    let mut usable = Vec::with_capacity(offers.len());
    let mut unusable = Vec::new();
    for (number, offer) in offers.into_iter().enumerate() {
        let id = Some(&offer.id.value).filter(|id| !id.is_empty()).cloned().map(OfferId::new);
        let read = match absent.get(number) {
            Some(Some(error)) => Err(WireError::Incomplete(error.clone())),
            _ => read_offer(offer),
        };
        match read {
            Ok(offer) => usable.push(offer),
            Err(error) => unusable.push(UnusableOffer { id, error }),
        }
    }
    Incoming::Offers { usable, unusable, agents }
}

/// Where the agent of an offer is: its IP address, which needs no name service; its name with TLS,
/// since that is what its certificate is for.
fn read_address(offer: &mesos::Offer) -> Option<(AgentId, AgentAddress)> {
    let url = offer.url.as_ref()?;
    let scheme = Scheme::parse(&url.scheme)?;
    let (ip, name) = (url.address.ip.as_deref(), url.address.hostname.as_deref());
    let host = if scheme == Scheme::Https { name.or(ip) } else { ip.or(name) }?;
    let address = AgentAddress::new(scheme, host, u16::try_from(url.address.port).ok()?)?;
    Some((AgentId::new(offer.agent_id.value.clone()), address))
}

fn read_offer(offer: mesos::Offer) -> Result<Offer, WireError> {
    let role = offer.allocation_info.as_ref().and_then(|info| info.role.as_deref());
    Ok(Offer {
        resources: resources::read_resources(&offer.resources, role)?,
        id: OfferId::new(required(offer.id.value, "Offer.id")?),
        agent: AgentId::new(required(offer.agent_id.value, "Offer.agent_id")?),
        hostname: required(offer.hostname, "Offer.hostname")?,
        attributes: offer.attributes.into_iter().filter_map(read_attribute).collect(),
        executors: offer.executor_ids.into_iter().map(|id| ExecutorId::new(id.value)).collect(),
        unavailability: offer.unavailability.map(read_unavailability),
    })
}

fn read_inverse_offer(offer: mesos::InverseOffer) -> Result<InverseOffer, WireError> {
    let agent = offer.agent_id.map(|id| id.value).unwrap_or_default();
    Ok(InverseOffer {
        id: OfferId::new(required(offer.id.value, "InverseOffer.id")?),
        agent: AgentId::new(required(agent, "InverseOffer.agent_id")?),
        unavailability: read_unavailability(offer.unavailability),
    })
}

fn read_unavailability(window: mesos::Unavailability) -> Unavailability {
    let millis = |nanoseconds: i64| nanoseconds / NANOS_PER_MILLI;
    Unavailability {
        start: Timestamp::from_millis(millis(window.start.nanoseconds)),
        // A negative length is none at all.
        duration_ms: window
            .duration
            .map(|length| u64::try_from(millis(length.nanoseconds)).unwrap_or(0)),
    }
}

/// An attribute as Mesos itself prints it; one without a value says nothing and is left out.
fn read_attribute(attribute: mesos::Attribute) -> Option<(String, String)> {
    use mesos::value::Type;
    let text = match attribute.r#type() {
        Type::Scalar => attribute.scalar?.value.to_string(),
        Type::Text => attribute.text?.value,
        Type::Set => format!("{{{}}}", attribute.set?.item.join(", ")),
        Type::Ranges => {
            let ranges = attribute.ranges?.range;
            let parts: Vec<String> =
                ranges.iter().map(|range| format!("{}-{}", range.begin, range.end)).collect();
            format!("[{}]", parts.join(", "))
        }
    };
    Some((attribute.name, text))
}

fn read_failure(failure: wire::Failure) -> Result<Incoming, WireError> {
    let agent = failure.agent_id.map(|id| id.value).unwrap_or_default();
    let executor = failure.executor_id.map(|id| id.value).filter(|id| !id.is_empty());
    let how = match executor {
        Some(_) => describe_wait_status(failure.status),
        None => "the agent was removed".to_owned(),
    };
    let agent = AgentId::new(required(agent, "Failure.agent_id")?);
    let event = Event::Failure { agent, executor: executor.map(ExecutorId::new) };
    Ok(Incoming::Failure { event, how })
}

/// The words for a status of `waitpid`, which is what FAILURE carries.
fn describe_wait_status(status: Option<i32>) -> String {
    const SIGNAL_MASK: i32 = 0x7f;
    match status {
        Some(status) if status >= 0 && status & SIGNAL_MASK == 0 => {
            format!("the executor exited with status {}", (status >> 8) & 0xff)
        }
        Some(status) if status >= 0 => {
            format!("the executor was ended by signal {}", status & SIGNAL_MASK)
        }
        Some(status) => format!("the executor ended, how is unknown (status {status})"),
        None => "the executor ended, how is unknown".to_owned(),
    }
}
