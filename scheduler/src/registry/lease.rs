//! The right to act, for as long as it is certain that nobody else has it. Absent: how a registry
//! comes to know that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// A leader's right to act. Commits are fenced anyway; this is for what leaves the process without
/// one, and for a process that was frozen and does not know that it was.
#[derive(Debug, Clone)]
pub struct Lease(Option<Arc<Limited>>);

#[derive(Debug)]
struct Limited {
    begun: Instant,
    /// Milliseconds after `begun`.
    until_ms: AtomicU64,
    lost: CancellationToken,
}

// === impl Lease ===

impl Lease {
    /// Where only one process can ever lead.
    pub fn unlimited() -> Self {
        Self(None)
    }

    /// Ends at `until` unless it is extended before.
    pub(crate) fn until(until: Instant) -> Self {
        let lease = Self(Some(Arc::new(Limited {
            begun: Instant::now(),
            until_ms: AtomicU64::new(0),
            lost: CancellationToken::new(),
        })));
        lease.extend(until);
        lease
    }

    /// Whether this process may act now. It asks the clock, so that a process that wakes after a
    /// long sleep gets the right answer before anybody has told it anything.
    pub fn is_held(&self) -> bool {
        let Some(limited) = &self.0 else { return true };
        let until = Duration::from_millis(limited.until_ms.load(Ordering::Acquire));
        !limited.lost.is_cancelled() && limited.begun.elapsed() < until
    }

    /// Waits until the lease is lost or in doubt; it does not come back.
    pub async fn lost(&self) {
        match &self.0 {
            Some(limited) => limited.lost.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// Moves the end further away, never nearer.
    pub(super) fn extend(&self, until: Instant) {
        if let Some(limited) = &self.0 {
            let until_ms = until.saturating_duration_since(limited.begun).as_millis();
            let until_ms = u64::try_from(until_ms).unwrap_or(u64::MAX);
            limited.until_ms.fetch_max(until_ms, Ordering::AcqRel);
        }
    }

    /// Ends it for good.
    pub(crate) fn end(&self) {
        if let Some(limited) = &self.0 {
            limited.lost.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[test]
    fn it_is_held_until_its_time_or_its_end() {
        let now = Instant::now();
        assert!(Lease::unlimited().is_held());
        assert!(Lease::unlimited().lost().now_or_never().is_none());
        let lease = Lease::until(now);
        assert!(!lease.is_held(), "it was over when it began");
        lease.extend(now + Duration::from_mins(10));
        assert!(lease.is_held());
        lease.extend(now);
        assert!(lease.is_held(), "never nearer");
        lease.clone().end();
        assert!(!lease.is_held());
        assert!(lease.lost().now_or_never().is_some());
        lease.extend(now + Duration::from_mins(20));
        assert!(!lease.is_held(), "it does not come back");
    }
}
