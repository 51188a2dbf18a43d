//! What a simulation is given and what it gives.

use super::defects::Defect;
use super::faults::Fault;

/// Most jobs of a world, unless told otherwise.
const JOBS_MAX: u64 = 12;

/// What one reads to understand a violation.
pub(crate) const LINES_MAX: usize = 100;

/// Which cluster the schedulers work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterKind {
    /// The core of offer-sim, behind the translation to and from Mesos that the real driver uses.
    OfferSim,
    /// A model of a cluster, written apart from it: faster, and a second opinion.
    Model,
}

/// One simulation.
#[derive(Debug, Clone)]
pub struct Options {
    /// Everything follows from it.
    pub seed: u64,
    /// Which cluster it is about.
    pub cluster: ClusterKind,
    /// Things that happen before the world calms down.
    pub steps: u64,
    /// Kinds of faults that may occur.
    pub faults: Vec<Fault>,
    /// Most jobs there may be.
    pub jobs_max: u64,
    /// What is wrong on purpose.
    pub defect: Option<Defect>,
    /// Lines that are told of how a rule came to be broken.
    pub lines_max: usize,
}

/// A rule that was broken.
#[derive(Debug, Clone)]
pub struct Violation {
    /// The invariant.
    pub invariant: &'static str,
    /// What was seen, in words.
    pub what: String,
    /// In which step.
    pub step: u64,
}

/// What a simulation came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The seed it ran with.
    pub seed: u64,
    /// Things that happened.
    pub steps: u64,
    /// Time that passed in the world, milliseconds.
    pub simulated_ms: i64,
    /// How many faults of each kind there were.
    pub faults: Vec<(Fault, u64)>,
    /// What was done: runs made, shards launched, and the like.
    pub tally: Vec<(&'static str, u64)>,
    /// The first broken rule, if one was.
    pub violation: Option<Violation>,
    /// The last lines before it.
    pub story: Vec<String>,
}

// === impl ClusterKind ===

impl ClusterKind {
    /// As the command line and the list of seeds name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::OfferSim => "offer-sim",
            Self::Model => "model",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::OfferSim, Self::Model].into_iter().find(|kind| kind.name() == name)
    }
}

// === impl Options ===

impl Options {
    /// A world with all faults that its cluster knows.
    pub fn new(cluster: ClusterKind, seed: u64, steps: u64) -> Self {
        Self {
            seed,
            cluster,
            steps,
            faults: Fault::of(cluster),
            jobs_max: JOBS_MAX,
            defect: None,
            lines_max: LINES_MAX,
        }
    }

    /// What `simulate` must be told to play this world again.
    pub fn arguments(&self) -> String {
        let Self { seed, cluster, steps, faults, jobs_max, defect, .. } = self;
        let mut text = format!("--cluster {} --seed {seed} --steps {steps}", cluster.name());
        if *faults != Fault::of(*cluster) {
            let names: Vec<String> = faults.iter().map(|fault| format!("{fault:?}")).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(",") };
            text = format!("{text} --faults {names}");
        }
        if *jobs_max != JOBS_MAX {
            text = format!("{text} --jobs {jobs_max}");
        }
        match defect {
            Some(defect) => format!("{text} --defect {defect:?}"),
            None => text,
        }
    }

    /// The same world where nothing goes wrong.
    #[must_use]
    pub fn calm(mut self) -> Self {
        self.faults.clear();
        self
    }

    /// The same world with something wrong on purpose.
    #[must_use]
    pub fn with(mut self, defect: Defect) -> Self {
        self.defect = Some(defect);
        self
    }
}
