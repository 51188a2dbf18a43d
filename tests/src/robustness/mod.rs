//! Robustness targets: plain functions that take any bytes, as they may come from a user, an agent, a
//! master or a ZooKeeper node, and panic only if a promise is broken. A property tester runs them
//! with valid inputs that were damaged; any fuzzer can. Absent: where the bytes come from.

mod damage;
mod documents;
mod records;
mod schedules;
mod wire;

pub use damage::{Edit, damaged};

/// Something that reads what comes from outside.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// What it reads.
    pub name: &'static str,
    /// Valid inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Reads any input. It panics only if something is wrong with the code it tries.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "RecordIO", seeds: wire::streams, run: wire::record_io },
    Target { name: "calls as protobuf", seeds: wire::calls, run: wire::call },
    Target { name: "events as protobuf", seeds: wire::events, run: wire::event },
    Target { name: "messages as JSON", seeds: wire::json_messages, run: wire::json_message },
    Target { name: "Shiftwork payloads", seeds: wire::payloads, run: wire::payload },
    Target { name: "app documents", seeds: documents::apps, run: documents::app },
    Target { name: "job documents", seeds: documents::jobs, run: documents::job },
    Target {
        name: "Elastic-Job-Cloud documents",
        seeds: documents::elastic_job_cloud,
        run: documents::as_stored,
    },
    Target { name: "calendar documents", seeds: documents::calendars, run: documents::calendar },
    Target { name: "constraints", seeds: documents::constraints, run: documents::constraint },
    Target { name: "shard parameters", seeds: documents::parameters, run: documents::parameter },
    Target { name: "ids", seeds: documents::ids, run: documents::id },
    Target { name: "cron expressions", seeds: schedules::crons, run: schedules::cron },
    Target { name: "durations", seeds: schedules::durations, run: schedules::duration },
    Target { name: "instants and zones", seeds: schedules::instants, run: schedules::instant },
    Target { name: "node names", seeds: records::paths, run: records::path },
    Target { name: "node data", seeds: records::nodes, run: records::node },
];
