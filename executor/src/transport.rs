//! How the agent is reached: plain TCP, TLS, or the agent's domain socket, as Mesos' environment says.
//! Absent: the calls themselves.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::{fs, io};

use reqwest::{Certificate, ClientBuilder, Identity};

use crate::config::ConfigError;

/// The longest path of a domain socket, in bytes; the kernel's `sun_path`, its last NUL counted.
const SOCKET_PATH_LEN_MAX: usize = 107;
/// Where the agent's executor API is, whatever the agent's libprocess id.
const API_PATH: &str = "/api/v1/executor";

/// The way to the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// HTTP over TCP.
    Plain,
    /// HTTPS over TCP (`LIBPROCESS_SSL_ENABLED`).
    Tls(TlsFiles),
    /// HTTP over the agent's domain socket (`MESOS_DOMAIN_SOCKET`), for executors without a network of
    /// their own.
    Socket {
        /// Where the socket is.
        path: PathBuf,
        /// The agent's libprocess id (`MESOS_SLAVE_PID` before the `@`): over its socket an agent
        /// answers below that alone.
        agent_process: Option<String>,
    },
}

/// What libprocess' environment says of TLS; the names are those of the variables, less
/// `LIBPROCESS_SSL_`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsFiles {
    /// `CA_FILE`: certificates the agent's must be signed by, PEM.
    pub ca_file: Option<PathBuf>,
    /// `CA_DIR`: a directory of such files.
    pub ca_dir: Option<PathBuf>,
    /// `CERT_FILE` and `KEY_FILE`: what this executor shows an agent that asks, PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Whether the agent's certificate is checked: `VERIFY_SERVER_CERT`, in older releases
    /// `VERIFY_CERT`; without either, when there is something to check it by.
    pub verify: bool,
    /// `VERIFY_IPADD`: whether it must name the agent's address where that is an IP address.
    pub verify_ip: bool,
}

/// Why the way to the agent cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    #[error("reading {path}, which {variable} names, failed")]
    File {
        variable: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path}, which {variable} names, holds no PEM that can be used")]
    Pem {
        variable: &'static str,
        path: PathBuf,
        #[source]
        source: reqwest::Error,
    },
    #[error(
        "the agent's certificate is to be checked, but there is nothing to check it by; set \
         LIBPROCESS_SSL_CA_FILE or LIBPROCESS_SSL_CA_DIR for the agent's executors"
    )]
    NoCa,
}

// === impl Transport ===

impl Transport {
    /// Reads the variables through `get`, which gives none that are empty.
    pub(crate) fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let flag = |name: &'static str| match get(name).as_deref() {
            None => Ok(None),
            Some("1" | "true") => Ok(Some(true)),
            Some("0" | "false") => Ok(Some(false)),
            Some(other) => Err(ConfigError::Invalid {
                name,
                value: other.to_owned(),
                expected: "true or false",
            }),
        };
        if let Some(path) = get("MESOS_DOMAIN_SOCKET") {
            if !path.starts_with('/') || path.len() > SOCKET_PATH_LEN_MAX {
                return Err(ConfigError::Invalid {
                    name: "MESOS_DOMAIN_SOCKET",
                    value: path,
                    expected: "an absolute path of at most 107 bytes",
                });
            }
            let agent_process = get("MESOS_SLAVE_PID").as_deref().and_then(process_id);
            return Ok(Self::Socket { path: path.into(), agent_process });
        }
        if flag("LIBPROCESS_SSL_ENABLED")? != Some(true) {
            return Ok(Self::Plain);
        }
        let file = |name: &str| get(name).map(PathBuf::from);
        let (ca_file, ca_dir) = (file("LIBPROCESS_SSL_CA_FILE"), file("LIBPROCESS_SSL_CA_DIR"));
        let asked = match flag("LIBPROCESS_SSL_VERIFY_SERVER_CERT")? {
            None => flag("LIBPROCESS_SSL_VERIFY_CERT")?,
            asked => asked,
        };
        let identity = file("LIBPROCESS_SSL_CERT_FILE").zip(file("LIBPROCESS_SSL_KEY_FILE"));
        Ok(Self::Tls(TlsFiles {
            verify: asked.unwrap_or_else(|| ca_file.is_some() || ca_dir.is_some()),
            ca_file,
            ca_dir,
            identity,
            verify_ip: flag("LIBPROCESS_SSL_VERIFY_IPADD")?.unwrap_or(false),
        }))
    }

    /// Where calls go, for an agent at `endpoint`.
    pub(crate) fn url(&self, endpoint: &str) -> String {
        match self {
            Self::Plain => format!("http://{endpoint}{API_PATH}"),
            Self::Tls(_) => format!("https://{endpoint}{API_PATH}"),
            Self::Socket { agent_process: Some(process), .. } => {
                format!("http://localhost/{process}{API_PATH}")
            }
            Self::Socket { agent_process: None, .. } => format!("http://localhost{API_PATH}"),
        }
    }

    /// A client that goes this way to an agent at `endpoint`.
    pub(crate) fn set_up(
        &self,
        client: ClientBuilder,
        endpoint: &str,
    ) -> Result<ClientBuilder, TransportError> {
        match self {
            // No roots: those of the system take a megabyte that nothing here asks for.
            Self::Plain => Ok(client.tls_certs_only([])),
            Self::Socket { path, .. } => Ok(client.tls_certs_only([]).unix_socket(path.clone())),
            Self::Tls(files) => files.set_up(client, endpoint),
        }
    }
}

// === impl TlsFiles ===

impl TlsFiles {
    fn set_up(
        &self,
        client: ClientBuilder,
        endpoint: &str,
    ) -> Result<ClientBuilder, TransportError> {
        let mut roots = Vec::new();
        if let Some(path) = &self.ca_file {
            roots.extend(read_roots("LIBPROCESS_SSL_CA_FILE", path)?);
        }
        if let Some(dir) = &self.ca_dir {
            roots.extend(read_roots_in("LIBPROCESS_SSL_CA_DIR", dir)?);
        }
        if self.verify && roots.is_empty() {
            return Err(TransportError::NoCa);
        }
        let mut client = client.tls_certs_only(roots);
        if !self.verify {
            tracing::warn!("the agent's certificate is not checked, as its environment says");
            client = client.tls_danger_accept_invalid_certs(true);
        } else if is_ip(endpoint) && !self.verify_ip {
            // As libprocess: certificates name hosts, and executors are told an address.
            client = client.tls_danger_accept_invalid_hostnames(true);
        }
        let Some((certificate, key)) = &self.identity else {
            return Ok(client);
        };
        let mut pem = read("LIBPROCESS_SSL_CERT_FILE", certificate)?;
        pem.push(b'\n');
        pem.extend(read("LIBPROCESS_SSL_KEY_FILE", key)?);
        let identity = Identity::from_pem(&pem).map_err(|source| TransportError::Pem {
            variable: "LIBPROCESS_SSL_CERT_FILE",
            path: certificate.clone(),
            source,
        })?;
        Ok(client.identity(identity))
    }
}

fn read(variable: &'static str, path: &Path) -> Result<Vec<u8>, TransportError> {
    let path = path.to_owned();
    fs::read(&path).map_err(|source| TransportError::File { variable, path, source })
}

fn read_roots(variable: &'static str, path: &Path) -> Result<Vec<Certificate>, TransportError> {
    let path = path.to_owned();
    Certificate::from_pem_bundle(&read(variable, &path)?).map_err(|source| TransportError::Pem {
        variable,
        path,
        source,
    })
}

/// The certificates of all files in a directory; what is none is passed over, as OpenSSL does.
fn read_roots_in(variable: &'static str, dir: &Path) -> Result<Vec<Certificate>, TransportError> {
    let entries = fs::read_dir(dir).map_err(|source| TransportError::File {
        variable,
        path: dir.to_owned(),
        source,
    })?;
    let files = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file());
    Ok(files.filter_map(|path| read_roots(variable, &path).ok()).flatten().collect())
}

/// The id in `slave(1)@127.0.0.1:5051`, if a URL can hold it as it is.
fn process_id(pid: &str) -> Option<String> {
    let (id, _) = pid.split_once('@')?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '(' | ')' | '_' | '-' | '.');
    (!id.is_empty() && id.chars().all(is_plain)).then(|| id.to_owned())
}

fn is_ip(endpoint: &str) -> bool {
    let host = endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport(variables: &[(&str, &str)]) -> Result<Transport, ConfigError> {
        Transport::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn tls(variables: &[(&str, &str)]) -> TlsFiles {
        let all = [&[("LIBPROCESS_SSL_ENABLED", "true")], variables].concat();
        let Ok(Transport::Tls(files)) = transport(&all) else { panic!("no TLS") };
        files
    }

    #[test]
    fn a_certificate_is_checked_when_asked_or_when_there_is_a_ca() {
        assert!(!tls(&[]).verify, "as libprocess: checking is asked for");
        assert!(tls(&[("LIBPROCESS_SSL_CA_FILE", "/ca.pem")]).verify);
        assert!(tls(&[("LIBPROCESS_SSL_CA_DIR", "/ca")]).verify);
        assert!(tls(&[("LIBPROCESS_SSL_VERIFY_CERT", "1")]).verify);
        let both =
            [("LIBPROCESS_SSL_VERIFY_CERT", "1"), ("LIBPROCESS_SSL_VERIFY_SERVER_CERT", "0")];
        assert!(!tls(&both).verify, "the newer name counts");
        assert_eq!(transport(&[("LIBPROCESS_SSL_ENABLED", "0")]), Ok(Transport::Plain));
        let refused = transport(&[("LIBPROCESS_SSL_ENABLED", "perhaps")]).unwrap_err();
        assert!(refused.to_string().contains("LIBPROCESS_SSL_ENABLED"), "{refused}");
    }

    #[test]
    fn what_is_asked_and_cannot_be_done_is_refused_by_variable() {
        let set_up = |files: TlsFiles| {
            let set_up = Transport::Tls(files).set_up(reqwest::Client::builder(), "127.0.0.1:5051");
            set_up.unwrap_err().to_string()
        };
        let asked = set_up(TlsFiles { verify: true, ..TlsFiles::default() });
        assert!(asked.contains("LIBPROCESS_SSL_CA_FILE"), "{asked}");
        let absent = set_up(tls(&[("LIBPROCESS_SSL_CA_FILE", "/absent/ca.pem")]));
        assert!(absent.contains("/absent/ca.pem"), "{absent}");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        std::fs::write(&path, "no PEM").unwrap();
        let identity = Some((path.clone(), path));
        let text = set_up(TlsFiles { identity, ..TlsFiles::default() });
        assert!(text.contains("LIBPROCESS_SSL_CERT_FILE"), "{text}");
    }

    #[test]
    fn a_domain_socket_goes_before_everything_and_is_asked_below_the_agents_id() {
        let socket = ("MESOS_DOMAIN_SOCKET", "/run/mesos/agent.sock");
        let variables =
            [socket, ("LIBPROCESS_SSL_ENABLED", "true"), ("MESOS_SLAVE_PID", "slave(1)@h:5051")];
        let way = transport(&variables).unwrap();
        assert_eq!(way.url("h:5051"), "http://localhost/slave(1)/api/v1/executor");
        assert_eq!(transport(&[socket]).unwrap().url("h:5051"), "http://localhost/api/v1/executor");
        for bad in ["relative", &format!("/{}", "x".repeat(107))] {
            assert!(transport(&[("MESOS_DOMAIN_SOCKET", bad)]).is_err(), "{bad}");
        }
        assert_eq!(process_id("slave(1)/../x@h:1"), None);
    }

    #[test]
    fn addresses_are_told_from_names() {
        assert!(is_ip("127.0.0.1:5051") && is_ip("[::1]:5051") && !is_ip("agent-1.example:5051"));
    }
}
