//! Every robustness target, run on valid inputs that were damaged in ways drawn by a property tester,
//! and on bytes that never were valid. More cases by `PROPTEST_CASES`.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use shiftwork_tests::robustness::{Edit, TARGETS, Target, damaged};

/// Damaged inputs of each target in every test run.
const CASES_DEFAULT: u32 = 200;
/// For so many damaged inputs there is one of bytes that never were valid: they are refused early.
const DAMAGED_TO_ANY: u32 = 4;

fn config(share: u32) -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = cases.unwrap_or(CASES_DEFAULT);
    let cases = (cases / share).max(1);
    Config { cases, failure_persistence: None, ..Config::default() }
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let bytes = prop_oneof![
        vec(any::<u8>(), 1..6),
        // What often means something.
        prop::sample::select(vec![
            "\"",
            "\\u0000",
            "{",
            "[",
            ",",
            "-",
            "9999999999999999999",
            "1e999",
            "null",
            "é",
            "0",
            "\n",
            "@",
            "@-@",
            "/",
            " ",
            "*",
            "?",
            "L",
            "W",
            "#",
            "(",
            ".",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    let edit = prop_oneof![
        (any::<u16>(), 0_u8..8).prop_map(|(at, bit)| Edit::Flip { at, bit }),
        (any::<u16>(), any::<u8>()).prop_map(|(at, byte)| Edit::Put { at, byte }),
        (any::<u16>(), bytes).prop_map(|(at, bytes)| Edit::Insert { at, bytes }),
        any::<u16>().prop_map(|at| Edit::Truncate { at }),
        (any::<u16>(), any::<u16>()).prop_map(|(from, to)| Edit::Remove { from, to }),
        (any::<u16>(), any::<u8>(), any::<u16>()).prop_map(|(at, other, from)| Edit::Splice {
            at,
            other,
            from
        }),
        (any::<u16>(), any::<u16>(), any::<u8>()).prop_map(|(from, to, times)| Edit::Repeat {
            from,
            to,
            times
        }),
    ];
    vec(edit, 0..4)
}

fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).expect("a target of that name")
}

fn check(name: &str) {
    let target = target(name);
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty(), "nothing to damage");
    for seed in &seeds {
        (target.run)(seed);
    }
    let run = |input: &[u8]| {
        (target.run)(input);
        Ok(())
    };
    let inputs = (any::<prop::sample::Index>(), edits());
    let outcome = TestRunner::new(config(1))
        .run(&inputs, |(which, edits)| run(&damaged(&seeds, which.index(seeds.len()), &edits)));
    outcome.unwrap_or_else(|failure| panic!("{name}: {failure}"));
    let outcome =
        TestRunner::new(config(DAMAGED_TO_ANY)).run(&vec(any::<u8>(), 0..200), |bytes| run(&bytes));
    outcome.unwrap_or_else(|failure| panic!("{name}, of any bytes: {failure}"));
}

macro_rules! targets {
    ($($test:ident: $name:literal,)*) => {
        $(#[test] fn $test() { check($name); })*

        #[test]
        fn every_target_is_run() {
            let run = [$($name),*];
            for target in TARGETS {
                assert!(run.contains(&target.name), "{} is not run", target.name);
            }
        }
    };
}

targets! {
    record_io: "RecordIO",
    calls: "calls as protobuf",
    events: "events as protobuf",
    json_messages: "messages as JSON",
    payloads: "Shiftwork payloads",
    app_documents: "app documents",
    job_documents: "job documents",
    elastic_job_cloud_documents: "Elastic-Job-Cloud documents",
    calendar_documents: "calendar documents",
    constraints: "constraints",
    shard_parameters: "shard parameters",
    ids: "ids",
    cron_expressions: "cron expressions",
    durations: "durations",
    instants_and_zones: "instants and zones",
    node_names: "node names",
    node_data: "node data",
}
