//! The policies a job chooses: misfire, concurrency, retry.

use serde_json::Value;

use super::reader::Reader;
use super::{Execution, Strictness};

/// What happens to firings that could not start when they were due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MisfirePolicy {
    /// They are left out.
    Skip,
    /// One run stands for all of them.
    Coalesce,
    /// Each gets its run, within bounds.
    All,
}

/// The misfire rule of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Misfire {
    /// What happens to missed firings.
    pub policy: MisfirePolicy,
    /// Most pending runs at once.
    pub max_pending: u32,
    /// Firings older than this are left out, milliseconds.
    pub window_ms: Option<u64>,
}

/// Pending runs of a job with `misfire: true`: a bound, so that a job that cannot run for days
/// does not fill the registry.
const MAX_PENDING_DEFAULT: u32 = 1000;
/// Most that may be asked for.
const MAX_PENDING_MAX: u32 = 100_000;

/// What happens when a run is due while another of the job is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concurrency {
    /// It waits.
    Forbid,
    /// It is left out.
    Skip,
    /// The running one is cancelled.
    Replace,
    /// It runs beside them.
    Allow {
        /// How many may run at once; more wait.
        max: u32,
    },
}

/// What becomes of a task whose agent the master cannot reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OnUnreachable {
    /// It counts as lost after the scheduler's `--unreachable-timeout`.
    Failover,
    /// It is waited for until the master says what became of it: for work that must not run twice,
    /// and need not run soon.
    Wait,
}

/// Runs of one job that `allow` without a number lets run at once: enough for what is meant to
/// overlap, and not the whole cluster when a job begins to hang.
const ALLOW_MAX_DEFAULT: u32 = 10;
/// Most that may be asked for: each has its own record and tasks.
const ALLOW_MAX_MAX: u32 = 100;

/// Growing delay between attempts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// Before the second attempt, milliseconds.
    pub initial_ms: u64,
    /// Never longer than this, milliseconds.
    pub max_ms: u64,
    /// Factor from one attempt to the next.
    pub multiplier: f64,
    /// Share of the delay that is added at random, 0..1.
    pub jitter: f64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial_ms: 1000, max_ms: 5 * 60 * 1000, multiplier: 2.0, jitter: 0.1 }
    }
}

impl Backoff {
    /// The delay before attempt `n + 1` after `n` attempts that did not end well, milliseconds.
    /// `random` is in 0..1.
    pub fn delay_ms(&self, n: u32, random: f64) -> u64 {
        let exponent = i32::try_from(n.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = self.initial_ms as f64 * self.multiplier.powi(exponent);
        let base = grown.min(self.max_ms as f64);
        (base * (1.0 + self.jitter * random)) as u64
    }
}

/// How often a shard whose work fails is tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Attempts in all, the first included.
    pub max_attempts: u32,
    /// The delay between them.
    pub backoff: Backoff,
    /// Only these exit codes are tried again; empty means all.
    pub exit_codes: Vec<i32>,
    /// These exit codes mean "not now": run again after the back-off, which is no failure and uses
    /// up no attempt.
    pub later_exit_codes: Vec<i32>,
}

/// `EX_TEMPFAIL` of sysexits.h, what programs say when they cannot do their work just now.
const LATER_EXIT_CODE_DEFAULT: i32 = 75;

impl Retry {
    /// One attempt, no more.
    pub fn none() -> Self {
        Self {
            max_attempts: 1,
            backoff: Backoff::default(),
            exit_codes: Vec::new(),
            later_exit_codes: vec![LATER_EXIT_CODE_DEFAULT],
        }
    }
}

/// Most attempts a document may ask for: beyond it, a job wants a schedule and not a retry.
const MAX_ATTEMPTS_MAX: u32 = 1000;

/// The misfire rule. A DAEMON fires in its executor, which knows two: to leave a missed firing out,
/// and to make the latest one right afterwards.
pub(super) fn read_on_unreachable(reader: &mut Reader) -> OnUnreachable {
    const FIELD: &str = "onUnreachable";
    match reader.string(FIELD).as_deref() {
        None | Some("failover") => OnUnreachable::Failover,
        Some("wait") => OnUnreachable::Wait,
        Some(other) => {
            reader.error(FIELD, format!("must be failover or wait, is {other:?}"));
            OnUnreachable::Failover
        }
    }
}

pub(super) fn read_misfire(
    reader: &mut Reader,
    execution: Option<Execution>,
    strictness: Strictness,
) -> Misfire {
    if execution != Some(Execution::Daemon) {
        return read_run_misfire(reader, strictness);
    }
    const FIELD: &str = "misfire";
    let given = reader.take(FIELD);
    let policy = match &given {
        None | Some(Value::Bool(false)) => MisfirePolicy::Skip,
        Some(Value::Bool(true)) => MisfirePolicy::Coalesce,
        Some(other) => {
            reader.put(FIELD, other.clone());
            let misfire = read_run_misfire(reader, strictness);
            let bounded = other.get("maxPending").is_some() || other.get("window").is_some();
            if strictness == Strictness::Request
                && (bounded || misfire.policy == MisfirePolicy::All)
            {
                reader.error(
                    FIELD,
                    "of a DAEMON must be true (the latest missed firing is made right afterwards), \
                     false (it is left out), or an object with the policy coalesce or skip alone",
                );
            }
            misfire.policy
        }
    };
    Misfire { policy, max_pending: 1, window_ms: None }
}

fn read_run_misfire(reader: &mut Reader, strictness: Strictness) -> Misfire {
    let coalesce = Misfire { policy: MisfirePolicy::Coalesce, max_pending: 1, window_ms: None };
    let all =
        Misfire { policy: MisfirePolicy::All, max_pending: MAX_PENDING_DEFAULT, window_ms: None };
    match reader.take("misfire") {
        None | Some(Value::Bool(false)) => coalesce,
        Some(Value::Bool(true)) => all,
        Some(Value::Object(map)) => {
            reader.put("misfire", Value::Object(map));
            reader
                .object("misfire", strictness, |reader| read_misfire_object(reader, strictness))
                .unwrap_or(coalesce)
        }
        Some(_) => {
            reader.error("misfire", "must be true, false or an object with policy");
            coalesce
        }
    }
}

fn read_misfire_object(reader: &mut Reader, strictness: Strictness) -> Misfire {
    let policy = match reader.string("policy").as_deref() {
        Some("skip") => MisfirePolicy::Skip,
        Some("coalesce") | None => MisfirePolicy::Coalesce,
        Some("all") => MisfirePolicy::All,
        Some(other) => {
            reader.error("policy", format!("must be skip, coalesce or all, is {other:?}"));
            MisfirePolicy::Coalesce
        }
    };
    let asked = reader.integer("maxPending", 1, MAX_PENDING_MAX);
    let max_pending = match policy {
        MisfirePolicy::All => asked.unwrap_or(MAX_PENDING_DEFAULT),
        MisfirePolicy::Skip | MisfirePolicy::Coalesce => 1,
    };
    // With a window of nothing it never fires. Documents stored with one stay readable.
    let window_ms = match strictness {
        Strictness::Request => reader.positive_duration("window"),
        Strictness::Stored => reader.duration("window"),
    };
    Misfire { policy, max_pending, window_ms }
}

/// A bare word, or an object with `policy` and, for `allow`, `max`.
pub(super) fn read_concurrency(reader: &mut Reader, strictness: Strictness) -> Concurrency {
    match reader.take("concurrency") {
        None => Concurrency::Forbid,
        Some(Value::Object(map)) => {
            reader.put("concurrency", Value::Object(map));
            reader
                .object("concurrency", strictness, |reader| {
                    let max = reader.integer("max", 1, ALLOW_MAX_MAX);
                    let word = reader.required("policy");
                    word.map(|word| concurrency_of(reader, "policy", &word, max))
                })
                .flatten()
                .unwrap_or(Concurrency::Forbid)
        }
        Some(Value::String(word)) => concurrency_of(reader, "concurrency", &word, None),
        Some(_) => {
            reader.error("concurrency", "must be a word or an object with policy and max");
            Concurrency::Forbid
        }
    }
}

fn concurrency_of(reader: &mut Reader, field: &str, word: &str, max: Option<u32>) -> Concurrency {
    let concurrency = match word {
        "forbid" => Concurrency::Forbid,
        "skip" => Concurrency::Skip,
        "replace" => Concurrency::Replace,
        "allow" => Concurrency::Allow { max: max.unwrap_or(ALLOW_MAX_DEFAULT) },
        other => {
            let message = format!("must be forbid, skip, replace or allow, is {other:?}");
            reader.error(field, message);
            Concurrency::Forbid
        }
    };
    if max.is_some() && !matches!(concurrency, Concurrency::Allow { .. }) {
        reader.error("max", "has a meaning only with allow: leave it out");
    }
    concurrency
}

/// A firing of a DAEMON that fails is not made again: the next one comes by its schedule.
pub(super) fn refuse_daemon_retry(
    reader: &mut Reader,
    execution: Option<Execution>,
    strictness: Strictness,
) {
    if execution == Some(Execution::Daemon)
        && strictness == Strictness::Request
        && reader.take("retry").is_some()
    {
        reader.error(
            "retry",
            "has no effect on a DAEMON: a firing that fails is followed by the next",
        );
    }
}

pub(super) fn read_retry(reader: &mut Reader, failover: bool, strictness: Strictness) -> Retry {
    let default = Retry { max_attempts: if failover { 3 } else { 1 }, ..Retry::none() };
    reader
        .object("retry", strictness, |reader| {
            let max_attempts =
                reader.integer("maxAttempts", 1, MAX_ATTEMPTS_MAX).unwrap_or(default.max_attempts);
            let backoff = reader.object("backoff", strictness, read_backoff).unwrap_or_default();
            let exit_codes = read_exit_codes(reader, "exitCodes").unwrap_or_default();
            let later_exit_codes = read_exit_codes(reader, "laterExitCodes")
                .unwrap_or_else(|| vec![LATER_EXIT_CODE_DEFAULT]);
            if later_exit_codes.contains(&0) {
                reader.error("laterExitCodes", "must not hold 0: it says that the work succeeded");
            }
            Retry { max_attempts, backoff, exit_codes, later_exit_codes }
        })
        .unwrap_or(default)
}

fn read_backoff(reader: &mut Reader) -> Backoff {
    let default = Backoff::default();
    let initial_ms = reader.duration("initial").unwrap_or(default.initial_ms);
    let max_ms = reader.duration("max").unwrap_or_else(|| default.max_ms.max(initial_ms));
    let multiplier = reader.number("multiplier").unwrap_or(default.multiplier);
    let jitter = reader.number("jitter").unwrap_or(default.jitter);
    if max_ms < initial_ms {
        reader.error("max", "must not be shorter than initial");
    }
    if !(1.0..=100.0).contains(&multiplier) {
        reader.error("multiplier", format!("must be from 1 to 100, is {multiplier}"));
    }
    if !(0.0..=1.0).contains(&jitter) {
        reader.error("jitter", format!("must be from 0 to 1, is {jitter}"));
    }
    Backoff { initial_ms, max_ms, multiplier, jitter }
}

fn read_exit_codes(reader: &mut Reader, name: &str) -> Option<Vec<i32>> {
    let codes = serde_json::from_value(reader.take(name)?).ok();
    if codes.is_none() {
        reader.error(name, "must be a list of whole numbers");
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_grows_to_its_limit() {
        let backoff = Backoff { jitter: 0.0, ..Backoff::default() };
        assert_eq!(backoff.delay_ms(1, 0.5), 1000);
        assert_eq!(backoff.delay_ms(3, 0.5), 4000);
        assert_eq!(backoff.delay_ms(u32::MAX, 0.5), 300_000);
        let jittered = Backoff { jitter: 0.1, ..Backoff::default() };
        assert_eq!(jittered.delay_ms(1, 0.5), 1050);
    }
}
