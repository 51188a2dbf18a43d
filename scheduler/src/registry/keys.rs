//! Where each record stands in the tree: Elastic-Job-Cloud's layout, so that an operator finds
//! everything with any ZooKeeper client. Absent: what the records hold.

use shiftwork_engine::ids::{AppName, CalendarName, JobName, RunId, parse_shard_name, shard_name};
use shiftwork_engine::record::{Key, Write};

use super::{Change, Path, PathError};

/// The parents of all records: there from the beginning where people write and look with other programs.
pub(super) const PARENTS: [&str; 8] = [
    "config/app",
    "config/job",
    "config/calendar",
    "state/ready",
    "state/running",
    "state/failover",
    "state/disable/app",
    "state/disable/job",
];

/// The path of a record.
///
/// # Errors
///
/// [`PathError`] when the id behind the key is longer than a path may be.
pub fn path_of(key: &Key) -> Result<Path, PathError> {
    Path::new(match key {
        Key::App(app) => format!("config/app/{app}"),
        Key::Job(job) => format!("config/job/{job}"),
        Key::Calendar(calendar) => format!("config/calendar/{calendar}"),
        Key::ReadyCount(job) => format!("state/ready/{job}"),
        Key::Ready(job, run) => format!("state/ready/{job}/{run}"),
        Key::Failover(job, item) => format!("state/failover/{job}/{}", shard_name(job, *item)),
        Key::Running(job) => format!("state/running/{job}"),
        Key::RunningShard(job, item) => format!("state/running/{job}/{}", shard_name(job, *item)),
        // A run's id holds an '@' and a job's name never does: neither is taken for the other.
        Key::ParallelRunning(run) => format!("state/running/{run}"),
        Key::ParallelShard(run, item) => {
            format!("state/running/{run}/{}", shard_name(&run.job(), *item))
        }
        Key::ParallelFailover(run, item) => {
            format!("state/failover/{run}/{}", shard_name(&run.job(), *item))
        }
        Key::DisabledApp(app) => format!("state/disable/app/{app}"),
        Key::DisabledJob(job) => format!("state/disable/job/{job}"),
        Key::Watermark => "state/watermark".to_owned(),
        Key::FrameworkId => "ha/framework_id".to_owned(),
    })
}

/// What a path holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A record of the engine.
    Record(Key),
    /// A part of the layout without a record: a parent, or what belongs to the election.
    Structure,
    /// A record of who may do what.
    Auth,
    /// Nothing this program knows.
    Unknown,
}

/// The record that stands at a path.
pub fn place_of(path: &Path) -> Place {
    let segments: Vec<&str> = path.as_str().split('/').collect();
    let key = match segments[..] {
        ["config", "app", app] => AppName::parse(app).ok().map(Key::App),
        ["config", "job", job] => JobName::parse(job).ok().map(Key::Job),
        ["config", "calendar", name] => CalendarName::parse(name).ok().map(Key::Calendar),
        ["state", "ready", job] => JobName::parse(job).ok().map(Key::ReadyCount),
        ["state", "ready", job, run] => ready(job, run),
        ["state", "failover", job, shard] => match parallel_shard(job, shard) {
            Some((run, item)) => Some(Key::ParallelFailover(run, item)),
            None => shard_of(job, shard).map(|(job, item)| Key::Failover(job, item)),
        },
        ["state", "running", name] => match RunId::parse(name) {
            Ok(run) => Some(Key::ParallelRunning(run)),
            Err(_) => JobName::parse(name).ok().map(Key::Running),
        },
        ["state", "running", job, shard] => match parallel_shard(job, shard) {
            Some((run, item)) => Some(Key::ParallelShard(run, item)),
            None => shard_of(job, shard).map(|(job, item)| Key::RunningShard(job, item)),
        },
        ["state", "disable", "app", app] => AppName::parse(app).ok().map(Key::DisabledApp),
        ["state", "disable", "job", job] => JobName::parse(job).ok().map(Key::DisabledJob),
        ["state", "watermark"] => Some(Key::Watermark),
        ["ha", "framework_id"] => Some(Key::FrameworkId),
        ["ha", "leader"]
        | ["ha", "election", ..]
        | ["config" | "state" | "ha"]
        | ["config", "app" | "job" | "calendar"]
        | ["state", "ready" | "failover" | "running" | "disable"]
        | ["state", "failover", _]
        | ["state", "disable", "app" | "job"] => return Place::Structure,
        _ if crate::auth::is_ours(path) || crate::secrets::is_ours(path) => return Place::Auth,
        _ => None,
    };
    key.map_or(Place::Unknown, Place::Record)
}

fn ready(job: &str, run: &str) -> Option<Key> {
    let job = JobName::parse(job).ok()?;
    let run = RunId::parse(run).ok().filter(|run| run.job() == job)?;
    Some(Key::Ready(job, run))
}

fn shard_of(job: &str, shard: &str) -> Option<(JobName, u32)> {
    parse_shard_name(shard).filter(|(name, _)| name.as_str() == job)
}

fn parallel_shard(run: &str, shard: &str) -> Option<(RunId, u32)> {
    let run = RunId::parse(run).ok()?;
    let (_, item) = shard_of(run.job().as_str(), shard)?;
    Some((run, item))
}

/// The change of the tree that a write of the engine is.
///
/// # Errors
///
/// As [`path_of`].
pub fn change_of(write: Write) -> Result<Change, PathError> {
    Ok(Change { path: path_of(&write.key)?, value: write.value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_found_where_it_was_put() {
        let app = AppName::parse("a.b").unwrap();
        let job = JobName::parse("word-count").unwrap();
        let run = RunId::parse("word-count@20261120T020000Z").unwrap();
        for (key, path) in [
            (Key::App(app.clone()), "config/app/a.b"),
            (Key::Job(job.clone()), "config/job/word-count"),
            (Key::Calendar(CalendarName::parse("holidays").unwrap()), "config/calendar/holidays"),
            (Key::ReadyCount(job.clone()), "state/ready/word-count"),
            (
                Key::Ready(job.clone(), run.clone()),
                "state/ready/word-count/word-count@20261120T020000Z",
            ),
            (Key::Failover(job.clone(), 2), "state/failover/word-count/word-count@-@2"),
            (Key::Running(job.clone()), "state/running/word-count"),
            (Key::RunningShard(job.clone(), 0), "state/running/word-count/word-count@-@0"),
            (Key::ParallelRunning(run.clone()), "state/running/word-count@20261120T020000Z"),
            (
                Key::ParallelShard(run.clone(), 1),
                "state/running/word-count@20261120T020000Z/word-count@-@1",
            ),
            (
                Key::ParallelFailover(run.clone(), 1),
                "state/failover/word-count@20261120T020000Z/word-count@-@1",
            ),
            (Key::DisabledApp(app), "state/disable/app/a.b"),
            (Key::DisabledJob(job), "state/disable/job/word-count"),
            (Key::Watermark, "state/watermark"),
            (Key::FrameworkId, "ha/framework_id"),
        ] {
            let found = path_of(&key).unwrap();
            assert_eq!(found.as_str(), path);
            assert_eq!(place_of(&found), Place::Record(key));
        }
    }

    #[test]
    fn what_is_no_record_is_told_apart() {
        for (path, place) in [
            ("ha/leader", Place::Structure),
            ("state/failover/word-count", Place::Structure),
            ("config", Place::Structure),
            ("auth/token/ci", Place::Auth),
            ("auth/token/a b", Place::Unknown),
            ("config/job/a b", Place::Unknown),
            ("state/ready/foo/bar@20261120T020000Z", Place::Unknown),
            ("state/running/foo/bar@-@0", Place::Unknown),
            ("state/running/foo@x/bar@-@0", Place::Unknown),
            ("something/else", Place::Unknown),
        ] {
            assert_eq!(place_of(&Path::new(path).unwrap()), place, "{path}");
        }
    }
}
