//! Who leads: candidates as ephemeral sequential nodes, each watching the one before it, so that a
//! change wakes one process and not all. Absent: the epoch; being first is not yet leading.

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::watch;
use zookeeper_client::{Client, CreateMode, Error, OneshotWatcher};

use super::tree::LeaderRecord;
use super::zookeeper_config::ZooKeeperConfig;
use super::{LEADER_PATH, LeaderInfo};

/// The parent of the candidates, from the namespace.
pub(super) const ELECTION_NODE: &str = "/ha/election";

/// Digits of the number the server appends to a candidate's name.
const SEQUENCE_DIGITS: usize = 10;

/// What this process is at the moment, for whoever serves users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Not yet known: what is asked waits.
    Starting,
    /// Another process leads, or none.
    Standby {
        /// Who leads, as far as it is known.
        leader: Option<LeaderInfo>,
    },
    /// Nobody leads as far as is known, and something keeps this process from it.
    Hindered {
        /// What that is, with the way out.
        why: Arc<str>,
    },
    /// This process decides.
    Leading,
}

/// One process in the elections of one session.
pub(super) struct Candidate<'a> {
    pub(super) client: &'a Client,
    pub(super) config: &'a ZooKeeperConfig,
    /// Begins the names of its nodes; unique among all processes.
    pub(super) id: &'a str,
    /// The process as `ha/leader` names it: one that stands by behind itself would send its clients
    /// round in circles.
    pub(super) process: &'a str,
    pub(super) standing: &'a watch::Sender<Standing>,
}

// === impl Candidate ===

impl Candidate<'_> {
    /// Waits until this process is the first candidate; tells meanwhile who leads.
    pub(super) async fn win(&self) -> Result<(), Error> {
        loop {
            let names = self.names().await?;
            let Some(own) = names.iter().position(|name| self.is_own(name)) else {
                // Looked for first: one whose making was answered by a broken connection is ours.
                let options = self.config.options(CreateMode::EphemeralSequential);
                let prefix = format!("{ELECTION_NODE}/{}-", self.id);
                self.client.create(&prefix, b"", &options).await?;
                continue;
            };
            let Some(before) = own.checked_sub(1).and_then(|before| names.get(before)) else {
                return Ok(());
            };
            let before = format!("{ELECTION_NODE}/{before}");
            let (stat, watcher) = self.client.check_and_watch_stat(&before).await?;
            if stat.is_some() {
                self.stand_by(watcher).await?;
            }
        }
    }

    /// Withdraws, so that the next may lead.
    pub(super) async fn resign(&self) -> Result<(), Error> {
        for name in self.names().await?.iter().filter(|name| self.is_own(name)) {
            match self.client.delete(&format!("{ELECTION_NODE}/{name}"), None).await {
                Ok(()) | Err(Error::NoNode) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn is_own(&self, name: &str) -> bool {
        name.strip_prefix(self.id).is_some_and(|rest| rest.starts_with('-'))
    }

    /// The candidates in their order.
    async fn names(&self) -> Result<Vec<String>, Error> {
        let mut names: Vec<_> = self
            .client
            .list_children(ELECTION_NODE)
            .await?
            .into_iter()
            .filter_map(|name| Some((sequence_of(&name)?, name)))
            .collect();
        names.sort_unstable();
        Ok(names.into_iter().map(|(_, name)| name).collect())
    }

    /// Until the candidate before this one has gone, or the session has.
    async fn stand_by(&self, before: OneshotWatcher) -> Result<(), Error> {
        let mut gone = pin!(before.changed());
        loop {
            let leader_changed = self.tell_leader().await?;
            tokio::select! {
                _ = &mut gone => return Ok(()),
                _ = leader_changed.changed() => {}
            }
        }
    }

    async fn tell_leader(&self) -> Result<OneshotWatcher, Error> {
        let path = format!("/{LEADER_PATH}");
        let (leader, watcher) = match self.client.get_and_watch_data(&path).await {
            Ok((data, _, watcher)) => (LeaderRecord::parse(&data).ok(), watcher),
            Err(Error::NoNode) => (None, self.client.check_and_watch_stat(&path).await?.1),
            Err(error) => return Err(error),
        };
        let leader =
            leader.map(LeaderRecord::into_leader).filter(|leader| leader.id != self.process);
        tracing::info!(leader = leader.as_ref().map(|leader| leader.id.as_str()), "standing by");
        self.standing.send_replace(Standing::Standby { leader });
        Ok(watcher)
    }
}

/// The number at the end of a candidate's name; `None` for what is no candidate.
fn sequence_of(name: &str) -> Option<u64> {
    let (_, digits) = name.rsplit_once('-')?;
    let is_number = digits.len() >= SEQUENCE_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_ordered_by_number_and_garbage_is_none() {
        assert_eq!(sequence_of("a-b-0000000012"), Some(12));
        assert_eq!(sequence_of("z-2147483648000"), Some(2_147_483_648_000));
        for garbage in ["", "a", "a-", "a-12", "a-00000000x2", "0000000012"] {
            assert_eq!(sequence_of(garbage), None, "{garbage}");
        }
    }
}
