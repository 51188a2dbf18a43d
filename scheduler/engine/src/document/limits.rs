//! What each process of a script may use, by `limits`. Absent: what a shard is placed with; that is
//! `cpuCount` and its like.

use super::Strictness;
use super::reader::Reader;
use super::work::Work;

const FIELD: &str = "limits";

/// The most files a process may have open on any Linux (`fs.nr_open`).
const OPEN_FILES_MAX: u32 = 1 << 30;

/// The most megabytes of anything: a pebibyte.
const MEGABYTES_MAX: u32 = 1 << 30;

/// The limits of each process of a script; `None` leaves the one of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Open files.
    pub open_files: Option<u32>,
    /// Size of a file it writes, megabytes.
    pub file_size_mb: Option<u32>,
    /// Its address space, megabytes.
    pub virtual_memory_mb: Option<u32>,
    /// Time on a CPU, seconds.
    pub cpu_time_s: Option<u32>,
    /// Size of a core dump, megabytes.
    pub core_mb: Option<u32>,
}

/// Reads `limits`; only scripts are processes of their own.
pub(super) fn read_limits(
    reader: &mut Reader,
    work: Option<&Work>,
    strictness: Strictness,
) -> Option<Limits> {
    let limits = reader.object(FIELD, strictness, |inner| Limits {
        open_files: inner.integer("openFiles", 1, OPEN_FILES_MAX),
        file_size_mb: inner.integer("fileSizeMB", 0, MEGABYTES_MAX),
        virtual_memory_mb: inner.integer("virtualMemoryMB", 1, MEGABYTES_MAX),
        cpu_time_s: read_cpu_time(inner),
        core_mb: inner.integer("coreMB", 0, MEGABYTES_MAX),
    })?;
    if work.is_some_and(|work| !matches!(work, Work::Script { .. })) {
        reader.error(FIELD, "is for scripts only: other work runs within the app's executor");
    }
    Some(limits)
}

/// The kernel counts whole seconds; a part of one is rounded up.
fn read_cpu_time(reader: &mut Reader) -> Option<u32> {
    let seconds = reader.positive_duration("cpuTime")?.div_ceil(1000);
    u32::try_from(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(limits: &str) -> Result<Option<Limits>, Vec<String>> {
        let mut reader = Reader::parse(format!(r#"{{"limits":{limits}}}"#).as_bytes()).unwrap();
        let script = Work::Script { command_line: "true".to_owned() };
        let read = read_limits(&mut reader, Some(&script), Strictness::Request);
        let fields = |errors: Vec<crate::document::FieldError>| {
            errors.into_iter().map(|error| error.field).collect::<Vec<_>>()
        };
        reader.finish(Strictness::Request, Some(read)).map_err(fields)
    }

    #[test]
    fn each_limit_is_read_in_its_unit_and_none_need_be_given() {
        let all = r#"{"openFiles":64,"fileSizeMB":"100","virtualMemoryMB":512,"cpuTime":"1500ms",
            "coreMB":0}"#;
        let expected = Limits {
            open_files: Some(64),
            file_size_mb: Some(100),
            virtual_memory_mb: Some(512),
            cpu_time_s: Some(2),
            core_mb: Some(0),
        };
        assert_eq!(read(all), Ok(Some(expected)));
        assert_eq!(read("{}"), Ok(Some(Limits::default())));
        assert_eq!(read("null"), Ok(None));
    }

    #[test]
    fn what_limits_nothing_or_is_no_limit_is_refused_by_name() {
        for (limits, field) in [
            (r#"{"openFiles":0}"#, "limits.openFiles"),
            (r#"{"openFiles":1.5}"#, "limits.openFiles"),
            (r#"{"cpuTime":"0s"}"#, "limits.cpuTime"),
            (r#"{"fileSizeMB":-1}"#, "limits.fileSizeMB"),
            (r#"{"processes":9}"#, "limits.processes"),
            ("64", "limits"),
        ] {
            assert_eq!(read(limits), Err(vec![field.to_owned()]), "{limits}");
        }
    }
}
