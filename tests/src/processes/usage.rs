//! What a process uses, as the kernel says. Absent: its children.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Bytes of a page of memory; that of every machine this runs on.
const PAGE_LEN: u64 = 4096;
/// Clock ticks of `/proc` in a second; 100 on every Linux this runs on.
const TICKS_PER_SECOND: u64 = 100;
/// Where the fields of `/proc/PID/stat` that count ticks stand behind the name: user and system.
const TICK_FIELDS: [usize; 2] = [11, 12];

/// CPU time and memory at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// User and system time since the start.
    pub(crate) cpu: Duration,
    /// Resident bytes.
    pub(crate) resident: u64,
}

// === impl Usage ===

impl Usage {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name may hold anything; it ends with the last parenthesis.
        let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let mut ticks = 0;
        for place in TICK_FIELDS {
            ticks += fields.get(place).context("too few fields in stat")?.parse::<u64>()?;
        }
        let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
        let pages = statm.split_whitespace().nth(1).context("no resident size")?;
        Ok(Self {
            cpu: Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND),
            resident: pages.parse::<u64>()? * PAGE_LEN,
        })
    }
}
