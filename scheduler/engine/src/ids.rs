//! Names and ids as types: parsed once at the edge, never built from loose strings inside.
//!
//! Formats are those of Elastic-Job-Cloud, so that an operator reads the same znodes and task ids.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use shiftwork_schedule::Timestamp;

/// Separates the parts of task, shard and executor ids.
pub const ID_DELIMITER: &str = "@-@";

/// Longest name of an app or a job: what fits the history tables of Elastic-Job-Cloud.
pub const NAME_LEN_MAX: usize = 100;

/// A name or id that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Empty or longer than [`NAME_LEN_MAX`].
    #[error("must have 1 to {NAME_LEN_MAX} characters, has {len}")]
    Length {
        /// Characters found.
        len: usize,
    },
    /// A character outside `[A-Za-z0-9._-]`.
    #[error("may only hold letters, digits, '.', '_' and '-', found {found:?}")]
    Character {
        /// The first offending character.
        found: char,
    },
    /// `.` or `..`, which cannot be a node of the registry.
    #[error("must not be '.' or '..'")]
    Dots,
    /// Not of the form the id has.
    #[error("is not of the form {form}")]
    Form {
        /// The form expected.
        form: &'static str,
    },
}

fn check_name(text: &str) -> Result<(), IdError> {
    let len = text.chars().count();
    if len == 0 || len > NAME_LEN_MAX {
        return Err(IdError::Length { len });
    }
    if let Some(found) =
        text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')))
    {
        return Err(IdError::Character { found });
    }
    if text == "." || text == ".." {
        return Err(IdError::Dots);
    }
    Ok(())
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}

/// An id that Mesos gives: any text is taken as it comes.
macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident) => {
        text_id!($(#[$doc])* $name);

        impl $name {
            /// Takes the id as the master or agent wrote it.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self::new)
            }
        }
    };
}

/// A name a user chose: checked against [`NAME_LEN_MAX`] and the allowed characters.
macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident) => {
        text_id!($(#[$doc])* $name);

        impl $name {
            /// Checks and takes a name.
            ///
            /// # Errors
            /// Says which rule the text breaks.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                check_name(text)?;
                Ok(Self(text.into()))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name_id!(
    /// An app: a deployable package and the resources of its executor.
    AppName
);
name_id!(
    /// A job: a schedule, a shard count and what to run.
    JobName
);
name_id!(
    /// A calendar: days on which jobs do not fire.
    CalendarName
);
opaque_id!(
    /// A Mesos agent.
    AgentId
);
opaque_id!(
    /// A Mesos offer.
    OfferId
);
opaque_id!(
    /// The framework's id at the master.
    FrameworkId
);
opaque_id!(
    /// An executor: `{app}@-@{agentId}`, with `@-@{generation}` behind it from the second on.
    ExecutorId
);
opaque_id!(
    /// One attempt of one shard: `{job}@-@{item}@-@{READY|FAILOVER}@-@{agentId}@-@{uuid}`.
    TaskId
);
text_id!(
    /// A run: `{job}@{logical time}`, with a generation suffix `.n` from the second on.
    RunId
);

// === impl AppName ===

impl AppName {
    /// Stands for no app: a name that none can have.
    pub(crate) fn none() -> Self {
        Self("".into())
    }
}

// === impl ExecutorId ===

impl ExecutorId {
    /// The id of the first executor of `app` on `agent`, which Elastic-Job-Cloud's tools know.
    pub fn of(app: &AppName, agent: &AgentId) -> Self {
        Self::new(format!("{app}{ID_DELIMITER}{agent}"))
    }

    /// The id of an executor of `app` on `agent` that runs beside, or after, those before it:
    /// generations count from 1.
    pub fn of_generation(app: &AppName, agent: &AgentId, generation: u32) -> Self {
        match generation {
            0 | 1 => Self::of(app, agent),
            _ => Self::new(format!("{app}{ID_DELIMITER}{agent}{ID_DELIMITER}{generation}")),
        }
    }

    /// Its generation; 1 where the id names none.
    pub fn generation(&self) -> u32 {
        let third = self.0.split(ID_DELIMITER).nth(2);
        third.and_then(|text| text.parse().ok()).unwrap_or(1)
    }

    /// The app this executor belongs to, if the id is one of ours. Mesos' own executor has the id of
    /// its task, and belongs to none.
    pub fn app(&self) -> Option<AppName> {
        let (app, _) = self.0.split_once(ID_DELIMITER)?;
        if TaskId(Arc::clone(&self.0)).job_and_item().is_some() {
            return None;
        }
        AppName::parse(app).ok()
    }
}

// === impl TaskId ===

/// Which queue a task was launched from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaunchKind {
    /// The first attempt of a shard.
    Ready,
    /// A retry or failover of a shard.
    Failover,
}

impl LaunchKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "READY",
            Self::Failover => "FAILOVER",
        }
    }
}

impl TaskId {
    /// Builds the id of a new attempt.
    pub fn of(
        job: &JobName,
        item: u32,
        kind: LaunchKind,
        agent: &AgentId,
        uuid: uuid::Uuid,
    ) -> Self {
        // Each launch makes one: without the machinery of formats.
        let mut number = [0; uuid::fmt::Hyphenated::LENGTH];
        let unique: &str = uuid.hyphenated().encode_lower(&mut number);
        let item = item.to_string();
        let parts = [job.as_str(), &item, kind.as_str(), agent.as_str(), unique];
        Self::new(parts.join(ID_DELIMITER))
    }

    /// The job and shard the id names, if it is one of ours.
    pub fn job_and_item(&self) -> Option<(JobName, u32)> {
        let mut parts = self.0.split(ID_DELIMITER);
        let job = JobName::parse(parts.next()?).ok()?;
        let item = parts.next()?.parse().ok()?;
        (parts.count() == 3).then_some((job, item))
    }
}

// === impl RunId ===

impl RunId {
    /// The run of `job` for the moment its schedule named.
    pub fn scheduled(job: &JobName, logical_time: Timestamp) -> Self {
        let (job, moment) = (job.as_str(), logical_time.compact());
        let mut text = String::with_capacity(job.len() + 1 + moment.len());
        text.push_str(job);
        text.push('@');
        text.push_str(&moment);
        Self(text.into())
    }

    /// The run of `job` that a caller asked for under a key (or a generated id).
    ///
    /// # Errors
    /// The key becomes part of a node's name and follows the rules of names.
    pub fn triggered(job: &JobName, key: &str) -> Result<Self, IdError> {
        check_name(key)?;
        // Such a run would be taken for the one the schedule makes.
        let moment = key.split_once("Z.").map_or(key, |(moment, _)| moment);
        let moment = moment.trim_end_matches('Z');
        if Timestamp::parse_compact(&format!("{moment}Z")).is_ok() {
            return Err(IdError::Form { form: "a key that does not look like a logical time" });
        }
        Ok(Self(format!("{job}@{key}").into()))
    }

    /// The same run made once more.
    #[must_use]
    pub fn generation(&self, generation: u32) -> Self {
        if generation <= 1 { self.clone() } else { Self(format!("{self}.{generation}").into()) }
    }

    /// The first generation of a run that is known to be this generation of it. The suffix alone
    /// does not say so: a caller's key may end the same way.
    #[must_use]
    pub fn first_generation(&self, generation: u32) -> Self {
        let suffix = format!(".{generation}");
        let first = self.0.strip_suffix(&suffix).filter(|_| generation > 1);
        first.map_or_else(|| self.clone(), |first| Self(first.into()))
    }

    /// Parses a run id read from outside.
    ///
    /// # Errors
    /// When it is not `{job}@{…}`.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        const FORM: IdError = IdError::Form { form: "{job}@{logical time}" };
        let (job, rest) = text.split_once('@').ok_or(FORM)?;
        check_name(job)?;
        check_name(rest).map_err(|_| FORM)?;
        Ok(Self(text.into()))
    }

    /// The job of the run.
    pub fn job(&self) -> JobName {
        let job = self.0.split_once('@').map_or("", |(job, _)| job);
        JobName(job.into())
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// The name of a shard in the registry: `{job}@-@{item}` ("meta info").
pub fn shard_name(job: &JobName, item: u32) -> String {
    format!("{job}{ID_DELIMITER}{item}")
}

/// Reads a shard's item out of its name.
pub fn parse_shard_name(text: &str) -> Option<(JobName, u32)> {
    let (job, item) = text.split_once(ID_DELIMITER)?;
    Some((JobName::parse(job).ok()?, item.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule() {
        assert!(JobName::parse("word-count_1.x").is_ok());
        for bad in ["", ".", "..", "a/b", "a@-@b", "a b", "ü"] {
            assert!(JobName::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(JobName::parse(&"x".repeat(101)), Err(IdError::Length { len: 101 }));
    }

    #[test]
    fn task_ids_carry_job_and_item() {
        let job = JobName::parse("foo").unwrap();
        let agent = AgentId::new("8f3c-S0");
        let id = TaskId::of(&job, 3, LaunchKind::Failover, &agent, uuid::Uuid::nil());
        assert_eq!(
            id.as_str(),
            "foo@-@3@-@FAILOVER@-@8f3c-S0@-@00000000-0000-0000-0000-000000000000"
        );
        assert_eq!(id.job_and_item(), Some((job, 3)));
        assert_eq!(TaskId::new("foo@-@3").job_and_item(), None);
    }

    #[test]
    fn executors_after_the_first_carry_their_generation() {
        let (app, agent) = (AppName::parse("etl").unwrap(), AgentId::new("8f3c-S0"));
        let ids = [1, 2, 10].map(|number| ExecutorId::of_generation(&app, &agent, number));
        assert_eq!(ids[0].as_str(), "etl@-@8f3c-S0");
        assert_eq!(ids[1].as_str(), "etl@-@8f3c-S0@-@2");
        assert_eq!(ids.each_ref().map(ExecutorId::generation), [1, 2, 10]);
        assert!(ids.iter().all(|id| id.app() == Some(app.clone())));
    }

    #[test]
    fn run_ids_name_job_and_moment() {
        let job = JobName::parse("foo").unwrap();
        let id = RunId::scheduled(&job, Timestamp::from_millis(1_795_140_000_000));
        assert_eq!(id.as_str(), "foo@20261120T020000Z");
        assert_eq!(id.job(), job);
        assert_eq!(RunId::parse(id.as_str()).as_ref(), Ok(&id));
        assert_eq!(id.generation(2).as_str(), "foo@20261120T020000Z.2");
        assert_eq!(id.generation(12).first_generation(12), id);
        assert_eq!(id.first_generation(1), id);
        assert!(RunId::triggered(&job, "a/b").is_err());
    }
}
