//! Everything that goes wrong: which kinds, how often, and whether at all. Rates come from the seed.
//! What each fault does stands with the part of the world that it hits.

use super::options::ClusterKind;
use crate::random::Random;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The leading process dies, at any point between two effects.
    SchedulerCrash,
    /// A scheduler stands still, maybe longer than its session lives.
    SchedulerPause,
    /// A scheduler's clock jumps ahead.
    ClockForward,
    /// A scheduler's clock jumps back.
    ClockBackward,
    /// The leader's session expires while it lives on.
    SessionExpired,
    /// The registry is away for a while: commits fail and nobody can take over.
    RegistryAway,
    /// A commit is cut off before, within or after its writing; its outcome is not told.
    CommitUnknown,
    /// A commit takes long.
    CommitSlow,
    /// Another master takes over and learns from the agents what runs.
    MasterFailover,
    /// The stream from the master ends.
    StreamCut,
    /// An ACCEPT is refused.
    AcceptRefused,
    /// An ACCEPT does not arrive, and its sender learns that its fate is unknown.
    AcceptUnknown,
    /// An ACCEPT does not arrive, and nobody learns it.
    AcceptLost,
    /// An offer is rescinded, maybe while it is being used.
    OfferRescinded,
    /// An agent's machine restarts: its work is gone, it comes back under another id.
    AgentRestart,
    /// An agent cannot be reached for a while; its work goes on.
    AgentAway,
    /// An operator marks an agent as gone.
    AgentGone,
    /// An executor dies.
    ExecutorExit,
    /// A status update gets lost; the agent sends it again.
    UpdateLost,
    /// A status update arrives twice.
    UpdateDoubled,
    /// A status update arrives late, after those of other tasks.
    UpdateLate,
    /// A kill gets lost between master and agent.
    KillLost,
    /// The master forgets the framework and kills its tasks.
    FrameworkRemoved,
    /// An agent stands still for a while, and messages wait; its work goes on.
    AgentFrozen,
    /// A status update is overtaken by the next one.
    UpdateReordered,
    /// A launch gets lost between master and agent as their connection breaks.
    LaunchLost,
    /// The master refuses calls for a while.
    CallsRefused,
    /// The master's events come one at a time for a while.
    StreamSlow,
}

impl Fault {
    /// All kinds. New ones come last: what a seed draws for the others stays as it was.
    pub const ALL: [Self; 28] = [
        Self::SchedulerCrash,
        Self::SchedulerPause,
        Self::ClockForward,
        Self::ClockBackward,
        Self::SessionExpired,
        Self::RegistryAway,
        Self::CommitUnknown,
        Self::CommitSlow,
        Self::MasterFailover,
        Self::StreamCut,
        Self::AcceptRefused,
        Self::AcceptUnknown,
        Self::AcceptLost,
        Self::OfferRescinded,
        Self::AgentRestart,
        Self::AgentAway,
        Self::AgentGone,
        Self::ExecutorExit,
        Self::UpdateLost,
        Self::UpdateDoubled,
        Self::UpdateLate,
        Self::KillLost,
        Self::FrameworkRemoved,
        Self::AgentFrozen,
        Self::UpdateReordered,
        Self::LaunchLost,
        Self::CallsRefused,
        Self::StreamSlow,
    ];

    /// The kinds that a cluster knows.
    pub fn of(cluster: ClusterKind) -> Vec<Self> {
        let real = |kind: &Self| {
            use Fault::{AgentFrozen, CallsRefused, LaunchLost, StreamSlow, UpdateReordered};
            matches!(kind, AgentFrozen | UpdateReordered | LaunchLost | CallsRefused | StreamSlow)
        };
        let known = |kind: &Self| cluster == ClusterKind::OfferSim || !real(kind);
        Self::ALL.into_iter().filter(known).collect()
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| format!("{kind:?}") == name)
    }

    /// The mean time between two of them where they come by themselves, in milliseconds; `None`
    /// for those that hit a message on its way.
    fn mean_ms(self) -> Option<f64> {
        let minutes = match self {
            Self::SchedulerCrash | Self::StreamCut | Self::ExecutorExit | Self::OfferRescinded => 4,
            Self::SchedulerPause | Self::AgentAway | Self::AgentFrozen => 6,
            Self::SessionExpired
            | Self::AgentRestart
            | Self::MasterFailover
            | Self::CallsRefused => 10,
            Self::RegistryAway | Self::ClockForward | Self::ClockBackward | Self::StreamSlow => 20,
            Self::AgentGone => 30,
            Self::FrameworkRemoved => 120,
            _ => return None,
        };
        Some(f64::from(minutes) * 60_000.0)
    }

    /// The share of messages hit, where it is messages.
    fn share(self) -> f64 {
        match self {
            Self::CommitUnknown => 0.002,
            Self::CommitSlow | Self::AcceptRefused | Self::AcceptUnknown => 0.02,
            Self::AcceptLost | Self::LaunchLost => 0.01,
            _ => 0.05,
        }
    }
}

/// The rates of one world and the count of what happened.
#[derive(Debug)]
pub(crate) struct Faults {
    /// In multiples of the usual rate; 0 turns a kind off.
    factors: [f64; Fault::ALL.len()],
    counts: [u64; Fault::ALL.len()],
    /// False once the world is to calm down.
    pub(crate) active: bool,
}

impl Faults {
    /// Rates from the seed, of the kinds allowed. One kind in three does not happen at all.
    pub(crate) fn new(random: &mut Random, allowed: &[Fault]) -> Self {
        let mut factors = [0.0; Fault::ALL.len()];
        for (kind, factor) in Fault::ALL.iter().zip(&mut factors) {
            let drawn = *random.pick(&[0.0, 0.0, 0.2, 0.5, 1.0, 3.0]);
            if allowed.contains(kind) {
                *factor = drawn;
            }
        }
        Self { factors, counts: [0; Fault::ALL.len()], active: true }
    }

    /// Whether this kind hits the message at hand.
    pub(crate) fn strikes(&mut self, kind: Fault, random: &mut Random) -> bool {
        let probability = kind.share() * self.factors[kind as usize];
        let strikes = random.chance(probability) && self.active;
        if strikes {
            self.note(kind);
        }
        strikes
    }

    /// Whether the process dies just before it releases one more effect.
    pub(crate) fn crashes_between_effects(&mut self, random: &mut Random) -> bool {
        /// For each effect, at the usual rate of crashes.
        const PROBABILITY: f64 = 0.000_5;
        let strikes = random.chance(PROBABILITY * self.factors[Fault::SchedulerCrash as usize]);
        if strikes && self.active {
            self.note(Fault::SchedulerCrash);
        }
        strikes && self.active
    }

    /// When one that comes by itself comes next.
    pub(crate) fn next_in(&self, kind: Fault, random: &mut Random) -> Option<i64> {
        let factor = self.factors[kind as usize];
        let mean = kind.mean_ms()?;
        (factor > 0.0).then(|| random.waiting_ms(mean / factor))
    }

    /// The share of messages that this kind hits in this world.
    pub(crate) fn share_of(&self, kind: Fault) -> f64 {
        (kind.share() * self.factors[kind as usize]).min(1.0)
    }

    /// Takes over the count of a kind that was counted where it struck.
    pub(crate) fn set(&mut self, kind: Fault, count: u64) {
        self.counts[kind as usize] = count;
    }

    /// Counts one.
    pub(crate) fn note(&mut self, kind: Fault) {
        self.counts[kind as usize] += 1;
    }

    /// How many of each kind there were.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (Fault, u64)> {
        Fault::ALL.into_iter().zip(self.counts).filter(|(_, count)| *count > 0)
    }
}
