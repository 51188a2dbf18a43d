//! Where masters are, as a user writes it. Connects to nothing.

use std::fmt;
use std::str::FromStr;

/// The scheme of an address in ZooKeeper.
const SCHEME: &str = "zk://";

/// A ZooKeeper ensemble and the node below which masters register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZooKeeperAddress {
    /// `host:port`, separated by commas.
    pub(crate) hosts: String,
    /// Absolute, and not the root.
    pub(crate) path: String,
}

/// Where agents find their master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MasterAddress {
    /// The one that leads, by ZooKeeper.
    ZooKeeper(ZooKeeperAddress),
    /// Always here, as `host:port`.
    Fixed(String),
}

/// Why a text is no address of masters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no address of masters; write zk://host1:2181,host2:2181/mesos or host:5050")]
pub struct AddressError(String);

impl FromStr for ZooKeeperAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || AddressError(text.to_owned());
        let (hosts, path) =
            text.strip_prefix(SCHEME).and_then(|rest| rest.split_once('/')).ok_or_else(error)?;
        let path = path.trim_end_matches('/');
        if hosts.is_empty() || path.is_empty() || path.split('/').any(str::is_empty) {
            return Err(error());
        }
        Ok(Self { hosts: hosts.to_owned(), path: format!("/{path}") })
    }
}

impl FromStr for MasterAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with(SCHEME) {
            return text.parse().map(Self::ZooKeeper);
        }
        let has_port = |(host, port): (&str, &str)| !host.is_empty() && port.parse::<u16>().is_ok();
        if text.rsplit_once(':').is_some_and(has_port) {
            Ok(Self::Fixed(text.to_owned()))
        } else {
            Err(AddressError(text.to_owned()))
        }
    }
}

impl fmt::Display for ZooKeeperAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}{}", self.hosts, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_or_refused() {
        let zookeeper: ZooKeeperAddress = "zk://a:1,b:2/x/mesos/".parse().unwrap();
        assert_eq!((zookeeper.hosts.as_str(), zookeeper.path.as_str()), ("a:1,b:2", "/x/mesos"));
        assert_eq!("h:5050".parse(), Ok(MasterAddress::Fixed("h:5050".to_owned())));
        for text in ["zk://a:1", "zk:///mesos", "zk://a:1//", "a:1/mesos", "h", ":5050", ""] {
            assert!(text.parse::<MasterAddress>().is_err(), "{text}");
        }
    }
}
