//! What the kernel says of this process. Absent: anything on systems without `/proc`, where these
//! metrics stay zero.

use std::fs;

/// Clock ticks in a second as `/proc` counts them: fixed in the kernel's interface to programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// One reading.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Process {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
    pub(super) start_seconds: f64,
    pub(super) open_fds: u64,
    pub(super) max_fds: u64,
}

/// Reads it now; what cannot be read is zero.
pub(super) fn read() -> Process {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (cpu_seconds, started) = times(&text("/proc/self/stat")).unwrap_or_default();
    let boot_seconds = field(&text("/proc/stat"), "btime").unwrap_or_default();
    Process {
        cpu_seconds,
        resident_bytes: field(&text("/proc/self/status"), "VmRSS:").unwrap_or_default() * 1024,
        start_seconds: boot_seconds as f64 + started,
        open_fds: fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64),
        max_fds: field(&text("/proc/self/limits"), "Max open files").unwrap_or_default(),
    }
}

/// CPU time spent, and when the process began after boot, both in seconds.
fn times(stat: &str) -> Option<(f64, f64)> {
    // The second field is the program's name in parentheses, which may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    // Fields 14, 15 and 22 of proc(5), counted from the third.
    Some(((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND, ticks(19)? / TICKS_PER_SECOND))
}

/// The first number behind a name at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_anything_in_it_is_passed_over() {
        let stat = "7 (a) b) c) S 1 1 1 0 -1 0 10 0 0 0 150 50 0 0 20 0 3 0 700 1 2";
        assert_eq!(times(stat), Some((2.0, 7.0)));
        assert_eq!(times("7 (cut"), None);
        assert_eq!(field("VmRSS:\t  12 kB\n", "VmRSS:"), Some(12));
    }

    #[test]
    fn this_process_has_begun_and_uses_memory() {
        let process = read();
        assert!(process.resident_bytes > 1 << 20 && process.open_fds > 2);
        assert!(process.max_fds >= process.open_fds);
        let now = jiff::Timestamp::now().as_second() as f64;
        assert!((now - 86_400.0..=now + 5.0).contains(&process.start_seconds));
    }
}
