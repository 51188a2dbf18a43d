//! What is kept with a shard, and told to the history, of how its task or a firing of it ended.
//! Absent: what the end means for the shard.

use crate::event::{Outcome, StatusUpdate, TaskState};
use crate::record::{Shard, Usage};

/// Longest message kept with a shard, bytes: an exit code and the end of stderr.
const MESSAGE_LEN_MAX: usize = 8 * 1024;
/// Longest message kept of a daemon's latest firing, bytes.
const FIRING_LEN_MAX: usize = 1024;
/// All messages of a run together, bytes: its record must fit one registry node.
const MESSAGES_LEN_MAX: usize = 256 * 1024;
/// Longest end of an output kept with a shard, bytes; what an executor sends at most.
const TAIL_LEN_MAX: usize = 4096;
/// The ends of all outputs of a run together, bytes, for the same reason as its messages.
const TAILS_LEN_MAX: usize = 128 * 1024;

// === impl Shard ===

impl Shard {
    /// Notes how the task of this shard, one of `shards` in its run, ended.
    pub(crate) fn note_end(&mut self, update: &StatusUpdate, shards: usize) {
        let shards = shards.max(1);
        let tail_len_max = TAIL_LEN_MAX.min(TAILS_LEN_MAX / 2 / shards);
        self.note_outcome(update.outcome.as_ref(), tail_len_max);
        self.message = end_message(update, MESSAGE_LEN_MAX.min(MESSAGES_LEN_MAX / shards));
    }

    /// Notes how the latest firing of a daemon ended, while the daemon goes on.
    pub(crate) fn note_firing(&mut self, outcome: &Outcome) {
        self.note_outcome(Some(outcome), FIRING_LEN_MAX);
        self.message = failure_of(outcome).map(|text| shorten(text, FIRING_LEN_MAX));
    }

    /// Takes the figures and outputs of `outcome`; none for a task that has not ended.
    pub(crate) fn note_outcome(&mut self, outcome: Option<&Outcome>, tail_len_max: usize) {
        let tail = |text: &String| Some(end_of(text, tail_len_max)).filter(|end| !end.is_empty());
        self.exit_code = outcome.and_then(|outcome| outcome.exit_code);
        self.signal = outcome.and_then(|outcome| outcome.signal);
        self.http_status = outcome.and_then(|outcome| outcome.http_status);
        self.usage = outcome.and_then(|outcome| outcome.usage);
        self.stdout_tail = outcome.and_then(|outcome| tail(&outcome.stdout_tail));
        self.stderr_tail = outcome.and_then(|outcome| tail(&outcome.stderr_tail));
    }
}

/// What the history is told of an update: its message, how a firing that failed did so, what was used.
pub(crate) fn told(update: &StatusUpdate) -> Option<String> {
    let message = update.message.clone().unwrap_or_default();
    let Some(outcome) = &update.outcome else {
        return update.message.clone().map(|text| shorten(text, MESSAGE_LEN_MAX));
    };
    let message = match failure_of(outcome).filter(|_| update.state == TaskState::Running) {
        Some(failure) => format!("{message}: {failure}"),
        None => message,
    };
    let message = shorten(message, MESSAGE_LEN_MAX);
    Some(match outcome.usage.as_ref().map(describe) {
        None => message,
        Some(used) if message.is_empty() => used,
        Some(used) => format!("{message} ({used})"),
    })
}

/// What is kept of the end of a task: its message and the end of its stderr.
fn end_message(update: &StatusUpdate, len_max: usize) -> Option<String> {
    if update.state == TaskState::Finished {
        return None;
    }
    let said = update.message.clone().filter(|text| !text.is_empty());
    Some(shorten(said.unwrap_or_else(|| update.state.name().to_owned()), len_max))
}

/// How a firing failed, if it did.
fn failure_of(outcome: &Outcome) -> Option<String> {
    let how = match (&outcome.failure, outcome.exit_code, outcome.signal) {
        (Some(failure), _, _) => failure.clone(),
        (None, Some(code), _) if code != 0 => format!("exited with code {code}"),
        (None, None, Some(signal)) => format!("ended by signal {signal}"),
        (None, _, _) => return None,
    };
    let tail = outcome.stderr_tail.trim();
    Some(if tail.is_empty() { how } else { format!("{how}: {tail}") })
}

/// As `ran 1234 ms, 120 ms of CPU, 8 MB at most`.
fn describe(usage: &Usage) -> String {
    /// Bytes in what people call a megabyte, as Mesos counts memory.
    const MEGABYTE: u64 = 1024 * 1024;
    let cpu = usage.cpu_time_ms.map(|ms| format!(", {ms} ms of CPU"));
    let peak = usage.memory_peak_bytes;
    let memory = peak.map(|bytes| format!(", {} MB at most", bytes.div_ceil(MEGABYTE)));
    let (cpu, memory) = (cpu.unwrap_or_default(), memory.unwrap_or_default());
    format!("ran {} ms{cpu}{memory}", usage.duration_ms)
}

fn shorten(mut text: String, len_max: usize) -> String {
    if text.len() > len_max {
        text.truncate(text.floor_char_boundary(len_max));
        text.push('…');
    }
    text
}

/// The last bytes of a text, from a whole character on.
fn end_of(text: &str, len_max: usize) -> String {
    let from = text.ceil_char_boundary(text.len().saturating_sub(len_max));
    text.get(from..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_firing_fails_by_what_its_executor_says_else_by_code_or_signal() {
        let outcome = |failure: Option<&str>, exit_code, signal| Outcome {
            failure: failure.map(str::to_owned),
            exit_code,
            signal,
            stderr_tail: "oh no\n".to_owned(),
            ..Outcome::default()
        };
        let failure = |outcome| failure_of(&outcome).unwrap();
        assert_eq!(
            failure(outcome(Some("answered with 500"), None, None)),
            "answered with 500: oh no"
        );
        assert_eq!(failure(outcome(None, Some(3), None)), "exited with code 3: oh no");
        assert_eq!(failure(outcome(None, None, Some(9))), "ended by signal 9: oh no");
        assert_eq!(failure_of(&outcome(None, Some(0), None)), None);
        assert_eq!(failure_of(&outcome(None, None, None)), None, "a job in Rust that returned");
    }

    #[test]
    fn the_end_of_an_output_is_kept_within_its_share() {
        assert_eq!(end_of("abc", 2), "bc");
        assert_eq!(end_of("aü", 1), "", "half a character is none");
        let mut shard = Shard::new(0);
        let outcome = Outcome { stderr_tail: "x".repeat(9_000), ..Outcome::default() };
        shard.note_outcome(Some(&outcome), TAIL_LEN_MAX);
        assert_eq!(shard.stderr_tail.as_deref().map(str::len), Some(TAIL_LEN_MAX));
        assert_eq!(shard.stdout_tail, None);
        shard.note_outcome(None, 0);
        assert_eq!((shard.stderr_tail, shard.usage), (None, None));
    }

    #[test]
    fn what_was_used_is_told_as_far_as_it_was_measured() {
        let usage =
            Usage { duration_ms: 1_200, memory_peak_bytes: Some(7_500_000), cpu_time_ms: None };
        assert_eq!(describe(&usage), "ran 1200 ms, 8 MB at most");
    }
}
