//! Commits alone: one after the other, and as many as are allowed on their way. Absent: an engine.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;
use shiftwork_scheduler::registry::{Change, Epoch, Path, Registry, Transaction};

use super::{Tell, lead, requests, rounded};
use crate::processes::ZooKeeper;

/// Commits on their way at once, as the owner of an engine has them.
const IN_FLIGHT: usize = 8;

/// Changes of one commit: a turn with some launches.
const CHANGES: usize = 16;

/// Bytes of a record of a run.
const RECORD_LEN: usize = 700;

/// Distinct nodes written.
const NODES: usize = 10_000;

pub(super) async fn measure(
    server: &ZooKeeper,
    address: &str,
    time: Duration,
    tell: Tell<'_>,
) -> Result<()> {
    let (mut registry, tenure) = lead(address).await?;
    for (name, in_flight) in [("lone", 1), ("pipelined", IN_FLIGHT)] {
        let (before, begun) = (requests(server)?, Instant::now());
        let commits = commit(&mut *registry, tenure.epoch, in_flight, time).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let round_trips = requests(server)?.saturating_sub(before).max(1);
        let per_second = commits as f64 / seconds;
        tell(&format!("{name} commits per second"), json!(per_second.round()));
        tell(
            &format!("{name} operations per second"),
            json!((per_second * CHANGES as f64).round()),
        );
        tell(
            &format!("{name} operations per round trip"),
            json!(rounded((commits * CHANGES) as f64 / round_trips as f64)),
        );
    }
    registry.close().await;
    Ok(())
}

/// Commits for a time; gives how many.
async fn commit(
    registry: &mut dyn Registry,
    epoch: Epoch,
    in_flight: usize,
    time: Duration,
) -> Result<usize> {
    let begun = Instant::now();
    let (mut done, mut next, mut waiting) = (0, 0, VecDeque::new());
    while begun.elapsed() < time || !waiting.is_empty() {
        if begun.elapsed() < time && waiting.len() < in_flight {
            let mut changes = Vec::with_capacity(CHANGES);
            for _ in 0..CHANGES {
                next = (next + 1) % NODES;
                let path = Path::new(format!("state/running/job-{next:05}"))?;
                changes.push(Change::set(path, vec![b'x'; RECORD_LEN]));
            }
            waiting.push_back(registry.commit(epoch, vec![Transaction::new(changes)]));
        } else if let Some(first) = waiting.pop_front() {
            first.await?;
            done += 1;
        }
    }
    Ok(done)
}
