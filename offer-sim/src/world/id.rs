//! Names of things in the world, and the one source of new names. No randomness: everything is
//! drawn from the seed given at the start.

use std::fmt;

use shiftwork_proto::mesos::v1;

use super::chance::mix;

/// Declares a name as a type of its own, so that one kind cannot be passed for another.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub String);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

/// Declares a name that has a message of its own on the wire; `$rest` fills in its other fields.
macro_rules! wire_name {
    ($(#[$doc:meta])* $name:ident, $wire:ident $(, $rest:ident)*) => {
        name!($(#[$doc])* $name);

        impl From<&v1::$wire> for $name {
            fn from(wire: &v1::$wire) -> Self {
                Self(wire.value.clone())
            }
        }

        impl From<&$name> for v1::$wire {
            fn from(name: &$name) -> Self {
                Self { value: name.0.clone() $(, $rest: None)* }
            }
        }

    };
}

wire_name!(
    /// Names a framework.
    FrameworkId, FrameworkId
);
wire_name!(
    /// Names an agent.
    AgentId, AgentId
);
wire_name!(
    /// Names an offer.
    OfferId, OfferId
);
wire_name!(
    /// Names a task of one framework.
    TaskId, TaskId
);
wire_name!(
    /// Names an executor of one framework on one agent.
    ExecutorId, ExecutorId
);
wire_name!(
    /// Names one run of an executor: a new one each time it is started.
    ContainerId, ContainerId, parent
);
name!(
    /// Names one connection of a scheduler or an executor.
    StreamId
);

/// Draws new names from a seed, the same ones each time.
#[derive(Clone, Debug)]
pub struct Ids {
    state: u64,
    master: String,
    /// Letters of a master's name.
    master_len: usize,
    frameworks: u64,
    agents: u64,
    offers: u64,
}

// === impl Ids ===

impl Ids {
    /// A source that will give the same names for the same seed.
    pub fn new(seed: u64, master_len: usize) -> Self {
        let mut ids = Self {
            state: seed,
            master: String::new(),
            master_len,
            frameworks: 0,
            agents: 0,
            offers: 0,
        };
        ids.change_master();
        ids
    }

    /// The master's own id, a part of every name it gives.
    pub fn master(&self) -> &str {
        &self.master
    }

    /// Names from here on are those of another master, which has given none yet.
    pub(crate) fn change_master(&mut self) {
        self.master = self.uuid_text();
        self.master.truncate(self.master_len);
        (self.frameworks, self.agents, self.offers) = (0, 0, 0);
    }

    pub(crate) fn framework(&mut self) -> FrameworkId {
        let number = next(&mut self.frameworks);
        FrameworkId(format!("{}-{number:04}", self.master))
    }

    pub(crate) fn agent(&mut self) -> AgentId {
        let number = next(&mut self.agents);
        AgentId(format!("{}-S{number}", self.master))
    }

    pub(crate) fn offer(&mut self) -> OfferId {
        let number = next(&mut self.offers);
        OfferId(format!("{}-O{number}", self.master))
    }

    pub(crate) fn stream(&mut self) -> StreamId {
        StreamId(self.uuid_text())
    }

    pub(crate) fn container(&mut self) -> ContainerId {
        ContainerId(self.uuid_text())
    }

    /// The sixteen bytes of a random (version 4) UUID.
    pub(crate) fn uuid(&mut self) -> uuid::Uuid {
        let high = u128::from(self.random());
        let low = u128::from(self.random());
        uuid::Builder::from_random_bytes(((high << 64) | low).to_be_bytes()).into_uuid()
    }

    fn uuid_text(&mut self) -> String {
        self.uuid().to_string()
    }

    /// `SplitMix64`: one addition and three mixing steps, every state reached once.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }
}

/// The counter's value, which is then raised.
fn next(counter: &mut u64) -> u64 {
    let number = *counter;
    *counter += 1;
    number
}
