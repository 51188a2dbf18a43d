//! Mesos resources <-> pieces with their origins, exactly: what was offered can be repeated to the
//! byte with another amount. Absent: pieces nobody here uses (revocable, shared, volumes, unknown
//! names).

use std::sync::Arc;

use prost::Message as _;
use shiftwork_engine::resources::{Kind, Milli, Origin, Piece, PortPiece, Resources};
use shiftwork_proto::mesos::v1 as mesos;
use shiftwork_proto::mesos::v1::value::{self, Type};

use super::WireError;

const PORTS: &str = "ports";

/// The role of resources that nobody reserved.
const ROLE_ANY: &str = "*";

/// Reads the resources of an offer whose own allocation is to `role`.
///
/// # Errors
/// When a resource we use has no amount or an impossible one.
pub(super) fn read_resources(
    list: &[mesos::Resource],
    role: Option<&str>,
) -> Result<Resources, WireError> {
    let mut resources = Resources::default();
    let mut origins = Origins { role: role.unwrap_or(ROLE_ANY), seen: Vec::new() };
    for resource in list.iter().filter(|resource| is_plain(resource)) {
        if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == resource.name) {
            let amount = read_amount(resource)?;
            if amount > Milli::ZERO {
                resources.add(Piece { kind, amount, origin: origins.of(resource) });
            }
        } else if resource.name == PORTS {
            for range in read_ranges(resource)? {
                let (begin, end) = read_range(range)?;
                resources.ports.push(PortPiece { begin, end, origin: origins.of(resource) });
            }
        }
    }
    Ok(resources)
}

/// Writes pieces as resources: pieces of one kind and origin become one, in the order in which the
/// first of them stands, so that equal input gives equal bytes.
///
/// # Errors
/// When an origin was not made by [`read_resources`].
pub(super) fn write_resources(resources: &Resources) -> Result<Vec<mesos::Resource>, WireError> {
    let mut sums: Vec<(Kind, &Arc<Origin>, Milli)> = Vec::new();
    for Piece { kind, amount, origin } in &resources.pieces {
        match sums.iter_mut().find(|(k, o, _)| k == kind && *o == origin) {
            Some((_, _, sum)) => sum.0 += amount.0,
            None => sums.push((*kind, origin, *amount)),
        }
    }
    let mut list = Vec::with_capacity(sums.len() + 1);
    for (kind, origin, amount) in sums {
        let mut resource = read_origin(kind.name(), origin)?;
        resource.set_type(Type::Scalar);
        resource.scalar = Some(value::Scalar { value: amount.as_f64() });
        list.push(resource);
    }
    write_ports(&resources.ports, &mut list)?;
    Ok(list)
}

/// Every port of the pieces, in order.
pub(super) fn port_numbers(resources: &Resources) -> Vec<u32> {
    resources.ports.iter().flat_map(|piece| piece.begin..=piece.end).collect()
}

fn write_ports(pieces: &[PortPiece], list: &mut Vec<mesos::Resource>) -> Result<(), WireError> {
    let mut groups: Vec<(&Arc<Origin>, Vec<value::Range>)> = Vec::new();
    for PortPiece { begin, end, origin } in pieces {
        let range = value::Range { begin: u64::from(*begin), end: u64::from(*end) };
        match groups.iter_mut().find(|(o, _)| *o == origin) {
            Some((_, ranges)) => ranges.push(range),
            None => groups.push((origin, vec![range])),
        }
    }
    for (origin, range) in groups {
        let mut resource = read_origin(PORTS, origin)?;
        resource.set_type(Type::Ranges);
        resource.ranges = Some(value::Ranges { range });
        list.push(resource);
    }
    Ok(())
}

/// Whether a task can simply be launched on it: not taken back at will, not shared, no volume.
fn is_plain(resource: &mesos::Resource) -> bool {
    resource.revocable.is_none() && resource.shared.is_none() && resource.disk.is_none()
}

fn read_amount(resource: &mesos::Resource) -> Result<Milli, WireError> {
    let name = || resource.name.clone();
    let scalar = resource
        .scalar
        .filter(|_| resource.r#type == Type::Scalar as i32)
        .ok_or_else(|| WireError::ResourceType { name: name(), expected: "SCALAR" })?;
    Milli::from_f64(scalar.value)
        .ok_or_else(|| WireError::Amount { name: name(), value: scalar.value })
}

fn read_ranges(resource: &mesos::Resource) -> Result<&[value::Range], WireError> {
    let ranges =
        resource.ranges.as_ref().filter(|_| resource.r#type == Type::Ranges as i32).ok_or_else(
            || WireError::ResourceType { name: resource.name.clone(), expected: "RANGES" },
        )?;
    Ok(&ranges.range)
}

fn read_range(range: &value::Range) -> Result<(u32, u32), WireError> {
    let error = || WireError::PortRange { begin: range.begin, end: range.end };
    let begin = u16::try_from(range.begin).map_err(|_| error())?;
    let end = u16::try_from(range.end).map_err(|_| error())?;
    if begin > end { Err(error()) } else { Ok((begin.into(), end.into())) }
}

/// A resource with the origin's role and reservations, still without an amount.
fn read_origin(name: &'static str, origin: &Origin) -> Result<mesos::Resource, WireError> {
    let mut resource = mesos::Resource::decode(&*origin.wire)
        .map_err(|source| WireError::Origin { name, source })?;
    name.clone_into(&mut resource.name);
    Ok(resource)
}

/// The few distinct origins of one offer, so that its pieces share them.
struct Origins<'a> {
    role: &'a str,
    seen: Vec<Arc<Origin>>,
}

// === impl Origins ===

impl Origins<'_> {
    fn of(&mut self, resource: &mesos::Resource) -> Arc<Origin> {
        let allocated = resource.allocation_info.as_ref().and_then(|info| info.role.as_deref());
        let rest = mesos::Resource {
            name: String::new(),
            r#type: 0,
            scalar: None,
            ranges: None,
            set: None,
            ..resource.clone()
        };
        let origin = Origin {
            role: allocated.unwrap_or(self.role).into(),
            reserved: is_reserved(resource),
            wire: rest.encode_to_vec().into(),
        };
        if let Some(seen) = self.seen.iter().find(|seen| ***seen == origin) {
            return Arc::clone(seen);
        }
        let origin = Arc::new(origin);
        self.seen.push(Arc::clone(&origin));
        origin
    }
}

/// In all three ways Mesos has had to say so: a stack of reservations, one reservation, a role.
fn is_reserved(resource: &mesos::Resource) -> bool {
    !resource.reservations.is_empty()
        || resource.reservation.is_some()
        || resource.role.as_deref().is_some_and(|role| role != ROLE_ANY)
}
