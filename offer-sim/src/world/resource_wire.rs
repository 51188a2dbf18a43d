//! Resources and attributes from and to the wire, and from the text of an agent's flags. No
//! arithmetic.

use shiftwork_proto::mesos::v1::{
    Attribute, Resource,
    resource::{AllocationInfo, ReservationInfo, reservation_info},
    value,
};

use super::resources::{Amount, Kind, Reservation, Resources, merged};

/// Largest scalar that is taken, in units: thousandths of it still fit an integer exactly.
const SCALAR_MAX: f64 = 1e15;

/// Why resources or attributes cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourceError {
    /// A scalar that is negative, not a number, or beyond exact arithmetic.
    #[error("{name} is {value}; a scalar must be between 0 and {SCALAR_MAX:e}")]
    Scalar {
        /// Which resource.
        name: String,
        /// What was given.
        value: String,
    },
    /// A range whose end is before its begin, or text that is no range.
    #[error("{name} has the range {range}; write [begin-end, begin-end]")]
    Range {
        /// Which resource.
        name: String,
        /// What was given.
        range: String,
    },
    /// A resource with neither scalar nor ranges, or with something this model does not have.
    #[error("{name} has {what}, which is not simulated; leave it out")]
    Unsupported {
        /// Which resource.
        name: String,
        /// The part that is not simulated.
        what: &'static str,
    },
    /// An item of the text is not `name:value`.
    #[error("'{0}' is not of the form name:value or name(role):value")]
    Item(String),
}

/// Reads a list of resources as offered or asked for.
///
/// # Errors
/// When an amount is invalid or a resource is of a kind that is not simulated (sets, volumes,
/// revocable and shared ones).
pub(super) fn from_wire(list: &[Resource]) -> Result<Resources, ResourceError> {
    let mut resources = Resources::default();
    for resource in list {
        let unsupported = |what| ResourceError::Unsupported { name: resource.name.clone(), what };
        if resource.disk.is_some() {
            return Err(unsupported("a volume or disk source"));
        }
        if resource.revocable.is_some() || resource.shared.is_some() {
            return Err(unsupported("the mark of revocable or shared resources"));
        }
        let amount = match (&resource.scalar, &resource.ranges) {
            (Some(scalar), None) => Amount::Milli(milli(&resource.name, scalar.value)?),
            (None, Some(ranges)) => Amount::Ranges(ranges_from_wire(&resource.name, ranges)?),
            _ => return Err(unsupported("neither a scalar nor ranges")),
        };
        resources.insert(kind_from_wire(resource), amount);
    }
    Ok(resources)
}

fn milli(name: &str, value: f64) -> Result<u64, ResourceError> {
    if (0.0..=SCALAR_MAX).contains(&value) {
        Ok((value * 1000.0).round() as u64)
    } else {
        Err(ResourceError::Scalar { name: name.to_owned(), value: value.to_string() })
    }
}

fn ranges_from_wire(name: &str, ranges: &value::Ranges) -> Result<Vec<(u64, u64)>, ResourceError> {
    let mut list = Vec::with_capacity(ranges.range.len());
    for range in &ranges.range {
        if range.begin > range.end {
            let range = format!("{}-{}", range.begin, range.end);
            return Err(ResourceError::Range { name: name.to_owned(), range });
        }
        list.push((range.begin, range.end));
    }
    Ok(merged(list))
}

fn kind_from_wire(resource: &Resource) -> Kind {
    let reservation = |info: &ReservationInfo| Reservation {
        role: info.role.clone().unwrap_or_default(),
        dynamic: info.r#type() == reservation_info::Type::Dynamic,
        principal: info.principal.clone(),
    };
    let mut reservations: Vec<Reservation> =
        resource.reservations.iter().map(reservation).collect();
    // The form from before reservations could be refined: `role` names it, `reservation` says it
    // was made at run time.
    if reservations.is_empty() && resource.role() != "*" {
        reservations.push(Reservation {
            role: resource.role().to_owned(),
            dynamic: resource.reservation.is_some(),
            principal: resource.reservation.as_ref().and_then(|info| info.principal.clone()),
        });
    }
    let role = resource.allocation_info.as_ref().and_then(|info| info.role.clone());
    Kind { name: resource.name.clone(), reservations, role }
}

/// Which newer forms the reader of resources understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WireForm {
    /// Knows `allocation_info` (a `MULTI_ROLE` framework).
    pub(super) allocation_info: bool,
    /// Knows the list `reservations` (a `RESERVATION_REFINEMENT` framework).
    pub(super) reservations: bool,
}

/// The newest forms.
pub(super) const NEWEST: WireForm = WireForm { allocation_info: true, reservations: true };

/// Writes resources for a reader that understands `form`.
pub(super) fn to_wire(resources: &Resources, form: WireForm) -> Vec<Resource> {
    resources.iter().map(|(kind, amount)| resource_to_wire(kind, amount, form)).collect()
}

fn resource_to_wire(kind: &Kind, amount: &Amount, form: WireForm) -> Resource {
    let mut resource = Resource { name: kind.name.clone(), ..Resource::default() };
    match amount {
        Amount::Milli(milli) => {
            resource.set_type(value::Type::Scalar);
            resource.scalar = Some(value::Scalar { value: *milli as f64 / 1000.0 });
        }
        Amount::Ranges(ranges) => {
            let range = |&(begin, end): &(u64, u64)| value::Range { begin, end };
            resource.set_type(value::Type::Ranges);
            resource.ranges = Some(value::Ranges { range: ranges.iter().map(range).collect() });
        }
    }
    if form.allocation_info && kind.role.is_some() {
        resource.allocation_info = Some(AllocationInfo { role: kind.role.clone() });
    }
    if form.reservations {
        resource.reservations = kind.reservations.iter().map(reservation_to_wire).collect();
    } else if let Some(reservation) = kind.reservations.last() {
        resource.role = Some(reservation.role.clone());
        resource.reservation = reservation.dynamic.then(|| ReservationInfo {
            principal: reservation.principal.clone(),
            ..ReservationInfo::default()
        });
    }
    resource
}

fn reservation_to_wire(reservation: &Reservation) -> ReservationInfo {
    let kind = if reservation.dynamic {
        reservation_info::Type::Dynamic
    } else {
        reservation_info::Type::Static
    };
    ReservationInfo {
        r#type: Some(kind.into()),
        role: Some(reservation.role.clone()),
        principal: reservation.principal.clone(),
        labels: None,
    }
}

/// Reads the text of an agent's resources: `cpus:4;mem:1024;cpus(batch):2;ports:[31000-32000]`.
///
/// # Errors
/// Naming the item that is not understood.
pub fn parse_resources(text: &str) -> Result<Resources, ResourceError> {
    let mut resources = Resources::default();
    for item in items(text) {
        let (head, value) = split_item(item)?;
        let (name, role) = match head.split_once('(') {
            Some((name, rest)) => match rest.strip_suffix(')') {
                Some(role) => (name.trim(), role.trim()),
                None => return Err(ResourceError::Item(item.to_owned())),
            },
            None => (head, "*"),
        };
        let reservation = Reservation { role: role.to_owned(), dynamic: false, principal: None };
        let reservations = if role == "*" { Vec::new() } else { vec![reservation] };
        let amount = if value.starts_with('[') {
            Amount::Ranges(parse_ranges(name, value)?)
        } else {
            let not_a_number =
                || ResourceError::Scalar { name: name.to_owned(), value: value.to_owned() };
            Amount::Milli(milli(name, value.parse().map_err(|_| not_a_number())?)?)
        };
        resources.insert(Kind { name: name.to_owned(), reservations, role: None }, amount);
    }
    Ok(resources)
}

fn parse_ranges(name: &str, text: &str) -> Result<Vec<(u64, u64)>, ResourceError> {
    let error = || ResourceError::Range { name: name.to_owned(), range: text.to_owned() };
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let mut ranges = Vec::new();
    for range in inner.ok_or_else(error)?.split(',') {
        let (begin, end) = range.split_once('-').ok_or_else(error)?;
        let begin = begin.trim().parse().map_err(|_| error())?;
        let end = end.trim().parse().map_err(|_| error())?;
        if begin > end {
            return Err(error());
        }
        ranges.push((begin, end));
    }
    Ok(merged(ranges))
}

/// Reads the text of an agent's attributes: `rack:r1;level:3;zones:[1-4]`.
///
/// # Errors
/// Naming the item that is not understood.
pub fn parse_attributes(text: &str) -> Result<Vec<Attribute>, ResourceError> {
    items(text).map(parse_attribute).collect()
}

fn parse_attribute(item: &str) -> Result<Attribute, ResourceError> {
    let (name, text) = split_item(item)?;
    let mut attribute = Attribute { name: name.to_owned(), ..Attribute::default() };
    if text.starts_with('[') {
        let range = |(begin, end)| value::Range { begin, end };
        let ranges = parse_ranges(name, text)?.into_iter().map(range).collect();
        attribute.set_type(value::Type::Ranges);
        attribute.ranges = Some(value::Ranges { range: ranges });
    } else if let Some(value) = text.parse::<f64>().ok().filter(|value| value.is_finite()) {
        attribute.set_type(value::Type::Scalar);
        attribute.scalar = Some(value::Scalar { value });
    } else {
        attribute.set_type(value::Type::Text);
        attribute.text = Some(value::Text { value: text.to_owned() });
    }
    Ok(attribute)
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split([';', '\n']).map(str::trim).filter(|item| !item.is_empty())
}

fn split_item(item: &str) -> Result<(&str, &str), ResourceError> {
    match item.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() && !value.trim().is_empty() => {
            Ok((name.trim(), value.trim()))
        }
        _ => Err(ResourceError::Item(item.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_resources_and_come_back_from_the_wire() {
        let text = "cpus:4; mem:4096;ports:[31000-31009, 31010-31020];cpus(batch):0.5";
        let resources = parse_resources(text).unwrap();
        assert_eq!(
            resources.to_string(),
            "cpus:4; cpus(reservations: [(STATIC,batch)]):0.5; mem:4096; ports:[31000-31020]"
        );
        let wire = to_wire(&resources, NEWEST);
        assert_eq!(from_wire(&wire).unwrap(), resources);
        let old = WireForm { allocation_info: false, reservations: false };
        let old = to_wire(&resources, old);
        assert_eq!(old[1].role.as_deref(), Some("batch"));
        assert_eq!(from_wire(&old).unwrap(), resources);
    }

    #[test]
    fn nonsense_is_named() {
        for (text, needle) in [
            ("cpus", "'cpus'"),
            ("cpus:x", "cpus is x"),
            ("cpus:-1", "cpus is -1"),
            ("mem:nan", "mem is NaN"),
            ("ports:[5-4]", "[5-4]"),
            ("ports:[5]", "[5]"),
            ("cpus(a:1", "'cpus(a:1'"),
        ] {
            let error = parse_resources(text).unwrap_err().to_string();
            assert!(error.contains(needle), "{text}: {error}");
        }
    }

    #[test]
    fn attributes_have_the_type_their_text_looks_like() {
        let attributes = parse_attributes("rack:r1;level:3;slots:[1-2]").unwrap();
        let types: Vec<_> = attributes.iter().map(Attribute::r#type).collect();
        assert_eq!(types, [value::Type::Text, value::Type::Scalar, value::Type::Ranges]);
        assert!(parse_attributes("rack:").is_err());
    }
}
