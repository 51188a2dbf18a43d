//! A crash at one chosen boundary of one chosen commit: how the exhaustive test walks through all of
//! them.

/// Where the leader dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boundary {
    /// Nothing of the commit is written.
    BeforeCommit,
    /// It is written; nothing that rests on it has left.
    AfterCommit,
    /// All that rests on it has left.
    AfterEffects,
}

impl Boundary {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::BeforeCommit, Self::AfterCommit, Self::AfterEffects];
}

/// Counts boundaries, and strikes at one.
#[derive(Debug, Default)]
pub(crate) struct CrashPlan {
    /// Where and at which of them, counted from 0.
    at: Option<(Boundary, u64)>,
    passed: [u64; 3],
}

// === impl CrashPlan ===

impl CrashPlan {
    pub(crate) fn new(at: Option<(Boundary, u64)>) -> Self {
        Self { at, passed: [0; 3] }
    }

    /// One boundary is passed; true if the leader is to die there.
    pub(crate) fn strikes(&mut self, boundary: Boundary) -> bool {
        let passed = &mut self.passed[boundary as usize];
        let number = *passed;
        *passed += 1;
        self.at == Some((boundary, number))
    }

    /// How many of a kind were passed.
    pub(crate) fn passed(&self, boundary: Boundary) -> u64 {
        self.passed[boundary as usize]
    }
}
