//! Where the masters are: a list of addresses, or a node in ZooKeeper; read from what an operator
//! writes. Absent: asking ZooKeeper (`detect.rs`), and choosing among the masters of a list.

use std::fmt;

use reqwest::Url;

use super::config::ConfigError;

/// Where a master takes calls and subscriptions.
const SCHEDULER_PATH: &str = "/api/v1/scheduler";

/// The port of a Mesos master unless told otherwise.
const MASTER_PORT_DEFAULT: u16 = 5050;

/// Begins the address of masters that are found through ZooKeeper.
const ZOOKEEPER_SCHEME: &str = "zk://";

/// What is shown in place of a password.
const HIDDEN: &str = "***";

/// Where the masters are.
#[derive(Debug, Clone)]
pub(super) enum MasterSource {
    /// The scheduler API of each; one that does not lead tells who does.
    List(Vec<Url>),
    /// They register themselves below a node; the first of them leads.
    ZooKeeper(ZooKeeperMasters),
}

/// The node below which masters register themselves.
#[derive(Clone)]
pub(super) struct ZooKeeperMasters {
    /// `host:port`, separated by commas.
    pub hosts: String,
    /// Absolute path of the node.
    pub path: String,
    /// `user:password` for the scheme `digest`.
    pub auth: Option<String>,
    /// Whether the masters speak TLS; their nodes do not say.
    pub tls: bool,
}

// === impl MasterSource ===

impl MasterSource {
    /// Reads the addresses: `host:port`, `http://host:port` or `https://host:port` each, or one
    /// `zk://user:password@host1:2181,host2:2181/path` for all. `tls` says what masters speak whose
    /// address does not say it.
    pub(super) fn parse(addresses: &[String], tls: bool) -> Result<Self, ConfigError> {
        match addresses {
            [] => Err(ConfigError::NoMaster),
            [one] if one.starts_with(ZOOKEEPER_SCHEME) => {
                ZooKeeperMasters::parse(one, tls).map(Self::ZooKeeper)
            }
            list => {
                let urls = list.iter().map(|address| master_url(address, tls));
                urls.collect::<Result<_, _>>().map(Self::List)
            }
        }
    }
}

// === impl ZooKeeperMasters ===

impl ZooKeeperMasters {
    fn parse(address: &str, tls: bool) -> Result<Self, ConfigError> {
        let wrong = |problem| ConfigError::BadZooKeeper { address: redacted(address), problem };
        let rest = address.strip_prefix(ZOOKEEPER_SCHEME).unwrap_or(address);
        // A password may hold a slash or an at sign; host names hold neither.
        let (auth, rest) = match rest.rsplit_once('@') {
            Some((auth, rest)) => (Some(auth), rest),
            None => (None, rest),
        };
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        if hosts.is_empty() || hosts.split(',').any(str::is_empty) {
            return Err(wrong("names no host, or an empty one"));
        }
        if hosts.chars().any(char::is_whitespace) {
            return Err(wrong("holds white space"));
        }
        let path = path.trim_end_matches('/');
        if path.is_empty() || path.split('/').any(str::is_empty) {
            return Err(wrong("names no node below which the masters are"));
        }
        let well_formed = |auth: &str| {
            auth.split_once(':').is_some_and(|(user, word)| !user.is_empty() && !word.is_empty())
        };
        if !auth.is_none_or(well_formed) {
            return Err(wrong("has credentials that are not user:password"));
        }
        Ok(Self {
            hosts: hosts.to_owned(),
            path: format!("/{path}"),
            auth: auth.map(str::to_owned),
            tls,
        })
    }
}

/// Without the password.
impl fmt::Debug for ZooKeeperMasters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ZOOKEEPER_SCHEME}{}{}", self.hosts, self.path)
    }
}

/// An address as it may be shown: without what stands before the host.
pub(super) fn redacted(address: &str) -> String {
    match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{HIDDEN}@{rest}"),
        (None, Some((_, rest))) => format!("{HIDDEN}@{rest}"),
        (_, None) => address.to_owned(),
    }
}

/// The URL of the scheduler API of a master given as `host:port` or `host`, with or without a scheme.
fn master_url(address: &str, tls: bool) -> Result<Url, ConfigError> {
    let bad = || ConfigError::BadMaster { address: redacted(address) };
    let (scheme, authority) = match address.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
        Some(_) => return Err(bad()),
        None => (if tls { "https" } else { "http" }, address),
    };
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    scheduler_url(scheme, authority).ok_or_else(bad)
}

/// The URL of the scheduler API at `host:port` or `host`; `None` for what is no such thing.
pub(super) fn scheduler_url(scheme: &str, authority: &str) -> Option<Url> {
    // What could end the authority of a URL cannot be part of it.
    if authority.is_empty() || authority.contains(['/', '\\', '?', '#', '@']) {
        return None;
    }
    let mut url = Url::parse(&format!("{scheme}://{authority}{SCHEDULER_PATH}")).ok()?;
    // The parser drops the scheme's own port: whoever writes it means it.
    let own_port = [":80", ":443"].iter().any(|port| authority.ends_with(port));
    if url.port().is_none() && !own_port {
        url.set_port(Some(MASTER_PORT_DEFAULT)).ok()?;
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(address: &str) -> Result<MasterSource, ConfigError> {
        MasterSource::parse(&[address.to_owned()], false)
    }

    #[test]
    fn masters_are_host_and_port() {
        let url = |text: &str, tls| master_url(text, tls).map(String::from);
        assert_eq!(url("m1:6050", false).unwrap(), "http://m1:6050/api/v1/scheduler");
        assert_eq!(url("m1", false).unwrap(), "http://m1:5050/api/v1/scheduler");
        assert_eq!(url("m1", true).unwrap(), "https://m1:5050/api/v1/scheduler");
        assert_eq!(url("https://m1:6050/", false).unwrap(), "https://m1:6050/api/v1/scheduler");
        assert_eq!(url("http://m1", true).unwrap(), "http://m1:5050/api/v1/scheduler");
        assert_eq!(url("m1:80", false).unwrap(), "http://m1/api/v1/scheduler");
        assert_eq!(url("m1:443", true).unwrap(), "https://m1/api/v1/scheduler");
        assert_eq!(url("[::1]:5050", false).unwrap(), "http://[::1]:5050/api/v1/scheduler");
        for bad in ["", "ftp://m1:5050", "u@m1", "m1:x", "m1:70000", "a b", "m1/x", "http://"] {
            let error = url(bad, false).unwrap_err().to_string();
            assert!(error.contains("host:port"), "{bad}: {error}");
        }
    }

    #[test]
    fn masters_in_zookeeper_are_hosts_and_a_node() {
        let parts = |text: &str| match parse(text) {
            Ok(MasterSource::ZooKeeper(masters)) => (masters.hosts, masters.path, masters.auth),
            other => panic!("{text}: {other:?}"),
        };
        let of = |hosts: &str, path: &str, auth: Option<&str>| {
            (hosts.to_owned(), path.to_owned(), auth.map(str::to_owned))
        };
        assert_eq!(parts("zk://a:1,b:2/mesos"), of("a:1,b:2", "/mesos", None));
        assert_eq!(parts("zk://a/x/mesos/"), of("a", "/x/mesos", None));
        assert_eq!(parts("zk://u:p/@w@a:1/mesos"), of("a:1", "/mesos", Some("u:p/@w")));
        for bad in ["zk://", "zk:///mesos", "zk://a", "zk://a/", "zk://a,,b/m", "zk://a/m//n"] {
            assert!(matches!(parse(bad), Err(ConfigError::BadZooKeeper { .. })), "{bad}");
        }
        let several = ["m1:5050".to_owned(), "zk://a/mesos".to_owned()];
        assert!(MasterSource::parse(&several, false).is_err(), "one zk:// stands for all");
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        for address in ["zk://user:secret@", "zk://user:secret@a", "zk://secret@a/m"] {
            let error = parse(address).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        let shown = format!("{:?}", parse("zk://user:secret@a/mesos").unwrap());
        assert_eq!(shown, "ZooKeeper(zk://a/mesos)");
        let error = parse("user:secret@m1:5050").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
