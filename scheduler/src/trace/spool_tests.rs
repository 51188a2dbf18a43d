//! The spool under restarts, damage, a full disk and a slow reader. Absent: the database.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::segment::RECORD_BYTES_MAX;
use super::*;

/// Segments of a few records.
const SMALL: SpoolLimits = SpoolLimits { segment_bytes_max: 200, total_bytes_max: 1 << 20 };

pub(super) fn event(sequence: u64) -> TraceRecord {
    TraceRecord::Event(EventRow {
        run_id: format!("run-{}", sequence % 7),
        job: "job".to_owned(),
        at_ms: sequence as i64,
        kind: "launched".to_owned(),
        epoch: 1,
        sequence,
        ..EventRow::default()
    })
}

/// The numbers of the events, which must be as they were made.
fn sequences(records: &[TraceRecord]) -> Vec<u64> {
    let number = |record: &TraceRecord| match record {
        TraceRecord::Event(found) => {
            assert_eq!(record, &event(found.sequence));
            found.sequence
        }
        TraceRecord::Run(run) => panic!("{run:?}"),
        _ => panic!("only runs and events are appended here"),
    };
    records.iter().map(number).collect()
}

fn open(directory: &Path) -> (Spool, SpoolReader) {
    Spool::open(directory, SMALL).unwrap()
}

/// Takes everything there is, in batches of three.
fn drain(reader: &SpoolReader) -> Vec<u64> {
    let mut all = Vec::new();
    loop {
        let batch = reader.read(3).unwrap();
        if batch.records.is_empty() {
            return all;
        }
        assert!(batch.records.len() <= 3);
        all.extend(sequences(&batch.records));
        reader.take(&batch).unwrap();
    }
}

fn segments(directory: &TempDir) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    files.sort();
    files
}

#[test]
fn records_come_back_as_they_were() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, reader) = open(directory.path());
    let run = RunRow {
        id: "r".to_owned(),
        reason: Some(String::new()),
        attempt: u32::MAX,
        created_at_ms: -1,
        started_at_ms: Some(0),
        version: u64::MAX,
        json: "{\"größe\":1}".to_owned(),
        ..RunRow::default()
    };
    let records = [TraceRecord::Run(run), event(1), TraceRecord::Run(RunRow::default())];
    spool.append(&records).unwrap();
    spool.append(&[]).unwrap();
    assert_eq!(spool.lag().records, 3);
    let batch = reader.read(10).unwrap();
    assert_eq!(batch.records, records);
    reader.take(&batch).unwrap();
    assert_eq!(spool.lag(), SpoolLag::default());
}

#[test]
fn segments_follow_each_other_and_are_removed_when_taken() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, reader) = open(directory.path());
    for i in 0..100 {
        spool.append(&[event(i)]).unwrap();
    }
    assert!(segments(&directory).len() > 10);
    assert_eq!(drain(&reader), (0..100).collect::<Vec<_>>());
    assert_eq!(segments(&directory).len(), 1);
    spool.append(&[event(100)]).unwrap();
    assert_eq!(drain(&reader), [100]);
}

#[test]
fn a_restart_goes_on_behind_what_was_taken() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, reader) = open(directory.path());
    for i in 0..20 {
        spool.append(&[event(i)]).unwrap();
    }
    let batch = reader.read(2).unwrap();
    reader.take(&batch).unwrap();
    // Read, but not taken: read again.
    assert_eq!(sequences(&reader.read(2).unwrap().records), [2, 3]);
    drop((spool, reader));

    let (spool, reader) = open(directory.path());
    assert_eq!(spool.lag().records, 18);
    spool.append(&[event(20)]).unwrap();
    assert_eq!(drain(&reader), (2..21).collect::<Vec<_>>());
    drop((spool, reader));

    let (spool, reader) = open(directory.path());
    assert_eq!((spool.lag().records, drain(&reader)), (0, Vec::new()));
    assert_eq!(segments(&directory).len(), 0);
    spool.append(&[event(21)]).unwrap();
    drop((spool, reader));
    assert_eq!(drain(&open(directory.path()).1), [21]);
}

#[test]
fn a_tail_torn_at_any_byte_is_passed_over() {
    let whole = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(whole.path(), SpoolLimits::default()).unwrap();
    spool.append(&[event(0), event(1)]).unwrap();
    let [file] = segments(&whole).try_into().unwrap();
    let before_last = fs::metadata(&file).unwrap().len() as usize;
    spool.append(&[event(2)]).unwrap();
    let bytes = fs::read(&file).unwrap();
    for length in 0..bytes.len() {
        let torn = tempfile::tempdir().unwrap();
        fs::write(torn.path().join(file.file_name().unwrap()), &bytes[..length]).unwrap();
        let (spool, reader) = open(torn.path());
        spool.append(&[event(9)]).unwrap();
        let read = drain(&reader);
        if length >= before_last {
            assert_eq!(read, [0, 1, 9], "cut at {length}");
        } else {
            assert!([vec![0, 9], vec![9]].contains(&read), "cut at {length}: {read:?}");
        }
    }
}

#[test]
fn damage_in_use_costs_the_rest_of_its_segment_only() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, reader) = open(directory.path());
    for i in 0..50 {
        spool.append(&[event(i)]).unwrap();
    }
    let files = segments(&directory);
    let mut bytes = fs::read(&files[1]).unwrap();
    let name = bytes.windows(3).position(|name| name == b"job").unwrap();
    bytes[name] ^= 1;
    fs::write(&files[1], bytes).unwrap();
    fs::remove_file(&files[3]).unwrap();

    let read = drain(&reader);
    assert!(read.is_sorted() && read.last() == Some(&49));
    let lag = spool.lag();
    assert_eq!((lag.records, read.len() as u64 + lag.dropped_records), (0, 50));
    assert!((4..15).contains(&lag.dropped_records), "{lag:?}");
}

#[test]
fn a_full_spool_drops_the_oldest_and_counts_them() {
    let directory = tempfile::tempdir().unwrap();
    let limits = SpoolLimits { segment_bytes_max: 200, total_bytes_max: 1000 };
    let (spool, reader) = Spool::open(directory.path(), limits).unwrap();
    spool.append(&[event(0), event(1), event(2)]).unwrap();
    let early = reader.read(2).unwrap();
    for i in 3..200 {
        spool.append(&[event(i)]).unwrap();
        let size: u64 = segments(&directory).iter().map(|f| fs::metadata(f).unwrap().len()).sum();
        // Never too much, and no more is dropped than one segment at a time.
        assert!(size <= limits.total_bytes_max && (i < 60 || size > 650), "{size} at {i}");
    }
    // The batch read before its segment was dropped is not to move the cursor back.
    reader.take(&early).unwrap();
    let lag = spool.lag();
    let kept = drain(&reader);
    assert_eq!(lag.records, kept.len() as u64);
    assert_eq!(lag.dropped_records + lag.records, 200);
    assert_eq!(kept, (200 - lag.records..200).collect::<Vec<_>>());
    assert!(lag.bytes <= limits.total_bytes_max, "{lag:?}");
}

#[test]
fn a_failed_append_is_counted_and_later_ones_work() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("spool");
    let (spool, reader) = open(&directory);
    spool.append(&[event(0)]).unwrap();
    assert_eq!(drain(&reader), [0]);
    drop((spool, reader));
    let (spool, reader) = open(&directory);
    fs::remove_dir_all(&directory).unwrap();
    spool.append(&[event(1), event(2)]).unwrap_err();
    assert_eq!(spool.lag().dropped_records, 2);
    fs::create_dir(&directory).unwrap();
    spool.append(&[event(3)]).unwrap();
    assert_eq!(drain(&reader), [3]);
}

#[test]
fn a_record_too_large_is_left_out_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, reader) = open(directory.path());
    let json = |bytes| TraceRecord::Run(RunRow { json: "x".repeat(bytes), ..RunRow::default() });
    spool.append(&[event(0), json(RECORD_BYTES_MAX), event(1)]).unwrap();
    assert_eq!(drain(&reader), [0, 1]);
    assert_eq!(spool.lag().dropped_records, 1);
    // The largest that fits is read alone or with others, but whole.
    let records = [event(2), json(RECORD_BYTES_MAX - 20), event(3)];
    spool.append(&records).unwrap();
    let mut read = Vec::new();
    while spool.lag().records > 0 {
        let batch = reader.read(1000).unwrap();
        reader.take(&batch).unwrap();
        read.extend(batch.records);
    }
    assert!(read == records, "{} records", read.len());
}

#[test]
fn without_its_cursor_everything_is_read_again() {
    for damage in ["", "x y\n", "1 9\n", "999999999999999999999 0\n"] {
        let directory = tempfile::tempdir().unwrap();
        let (spool, reader) = open(directory.path());
        spool.append(&[event(0), event(1)]).unwrap();
        reader.take(&reader.read(1).unwrap()).unwrap();
        fs::write(directory.path().join("cursor"), damage).unwrap();
        drop((spool, reader));
        assert_eq!(drain(&open(directory.path()).1), [0, 1], "{damage:?}");
    }
}

#[test]
fn what_a_newer_version_wrote_is_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, reader) = open(directory.path());
    spool.append(&[event(0)]).unwrap();
    drop((spool, reader));
    let [file] = segments(&directory).try_into().unwrap();
    // A frame with field 15, which is no record this version knows.
    let payload = [0x7a, 1, b'x'];
    let mut frame = 3_u32.to_le_bytes().to_vec();
    frame.extend(crc32fast::hash(&payload).to_le_bytes());
    frame.extend(payload);
    let mut segment = OpenOptions::new().append(true).open(file).unwrap();
    std::io::Write::write_all(&mut segment, &frame).unwrap();
    let (spool, reader) = open(directory.path());
    spool.append(&[event(1)]).unwrap();
    assert_eq!(drain(&reader), [0, 1]);
    assert_eq!(spool.lag(), SpoolLag { dropped_records: 1, ..SpoolLag::default() });
}

#[derive(Debug, Clone)]
enum Action {
    Append(u64),
    Take(usize),
    Restart,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        4 => (0_u64..6).prop_map(Action::Append),
        4 => (1_usize..9).prop_map(Action::Take),
        1 => Just(Action::Restart),
    ];
    prop::collection::vec(action, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the order of appends, takes and restarts: a queue.
    #[test]
    fn behaves_as_a_queue(actions in actions()) {
        let directory = tempfile::tempdir().unwrap();
        let (mut spool, mut reader) = open(directory.path());
        let mut model = VecDeque::new();
        let mut next = 0;
        for action in actions {
            match action {
                Action::Append(count) => {
                    let records: Vec<_> = (next..next + count).map(event).collect();
                    spool.append(&records).unwrap();
                    model.extend(next..next + count);
                    next += count;
                }
                Action::Take(count) => {
                    let batch = reader.read(count).unwrap();
                    // A batch ends with its segment, but is never empty while records wait.
                    prop_assert_eq!(batch.records.is_empty(), model.is_empty());
                    let expected: Vec<_> = model.drain(..batch.records.len()).collect();
                    prop_assert_eq!(sequences(&batch.records), expected);
                    reader.take(&batch).unwrap();
                }
                Action::Restart => {
                    drop((spool, reader));
                    (spool, reader) = open(directory.path());
                }
            }
            prop_assert_eq!(spool.lag().records, model.len() as u64);
        }
        prop_assert_eq!(drain(&reader), model.into_iter().collect::<Vec<_>>());
    }
}
