//! Resources there and back.

use shiftwork_engine::resources::{Kind, Milli};
use shiftwork_proto::mesos::v1 as mesos;

use crate::mesos::wire::resources::{port_numbers, read_resources, write_resources};

#[test]
fn everything_of_an_offered_resource_but_its_amount_comes_back() {
    let allocation_info = Some(mesos::resource::AllocationInfo { role: Some("batch".to_owned()) });
    let reservation = mesos::resource::ReservationInfo {
        r#type: Some(2),
        role: Some("batch".to_owned()),
        principal: Some("ops".to_owned()),
        labels: Some(mesos::Labels {
            labels: vec![mesos::Label { key: "k".to_owned(), value: Some("v".to_owned()) }],
        }),
    };
    let cpus = mesos::Resource {
        name: "cpus".to_owned(),
        scalar: Some(mesos::value::Scalar { value: 2.5 }),
        reservations: vec![reservation],
        allocation_info: allocation_info.clone(),
        provider_id: Some(mesos::ResourceProviderId { value: "p".to_owned() }),
        ..mesos::Resource::default()
    };
    let range = vec![
        mesos::value::Range { begin: 31_000, end: 31_001 },
        mesos::value::Range { begin: 32_000, end: 32_000 },
    ];
    let mut ports = mesos::Resource {
        name: "ports".to_owned(),
        ranges: Some(mesos::value::Ranges { range }),
        allocation_info,
        ..mesos::Resource::default()
    };
    ports.set_type(mesos::value::Type::Ranges);
    let list = vec![cpus, ports];
    let resources = read_resources(&list, None).unwrap();
    assert_eq!(write_resources(&resources).unwrap(), list);
    assert_eq!(port_numbers(&resources), [31_000, 31_001, 32_000]);
}

#[test]
fn pieces_nobody_here_uses_are_left_out() {
    let scalar = |name: &str| mesos::Resource {
        name: name.to_owned(),
        scalar: Some(mesos::value::Scalar { value: 8.0 }),
        ..mesos::Resource::default()
    };
    let list = [
        scalar("network_bandwidth"),
        mesos::Resource { revocable: Some(mesos::resource::RevocableInfo {}), ..scalar("cpus") },
        mesos::Resource { shared: Some(mesos::resource::SharedInfo {}), ..scalar("disk") },
        mesos::Resource { disk: Some(mesos::resource::DiskInfo::default()), ..scalar("disk") },
        mesos::Resource { scalar: Some(mesos::value::Scalar { value: 0.0 }), ..scalar("gpus") },
        scalar("mem"),
    ];
    let resources = read_resources(&list, Some("r")).unwrap();
    assert_eq!(resources.total(Kind::Mem), Milli(8000));
    assert_eq!(resources.pieces.len(), 1);
    assert_eq!(&*resources.pieces[0].origin.role, "r");
}

#[test]
fn impossible_resources_are_refused_with_their_name() {
    let scalar = |value| mesos::Resource {
        name: "cpus".to_owned(),
        scalar: Some(mesos::value::Scalar { value }),
        ..mesos::Resource::default()
    };
    let ports = |begin, end| mesos::Resource {
        name: "ports".to_owned(),
        r#type: mesos::value::Type::Ranges as i32,
        ranges: Some(mesos::value::Ranges { range: vec![mesos::value::Range { begin, end }] }),
        ..mesos::Resource::default()
    };
    let bad = [
        scalar(-1.0),
        scalar(f64::NAN),
        scalar(f64::INFINITY),
        mesos::Resource { scalar: None, ..scalar(1.0) },
        mesos::Resource { r#type: 17, ..scalar(1.0) },
        ports(2, 1),
        ports(1, 65_536),
        ports(u64::MAX, u64::MAX),
        mesos::Resource { ranges: None, ..ports(1, 2) },
    ];
    for resource in bad {
        let error = read_resources(&[resource], None).unwrap_err();
        assert!(error.to_string().contains("check --resources"), "{error}");
    }
}
