//! Where gRPC is served, as an operator says it. Absent: what is served there (`api/grpc`).

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::str::FromStr;

use anyhow::Context as _;
use clap::Args;
use tokio::net::TcpListener;

/// The port of gRPC unless another is given.
pub const PORT: u16 = 8898;

/// Where gRPC is served.
#[derive(Debug, Clone, Default, Args)]
pub struct GrpcArgs {
    /// Address to serve gRPC on, or none [default: that of --http with port 8898, or with a free one
    /// if that is taken]
    #[arg(long, env = "SHIFTWORK_GRPC", value_name = "ADDR")]
    pub grpc: Option<GrpcListen>,
}

/// An address given for gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrpcListen {
    /// There, or the scheduler does not start.
    At(SocketAddr),
    /// gRPC is not served.
    Nowhere,
}

impl FromStr for GrpcListen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::Nowhere);
        }
        let wrong = || "must be an address with a port, as 127.0.0.1:8898, or none".to_owned();
        text.parse().map(Self::At).map_err(|_| wrong())
    }
}

/// Begins to listen for gRPC; `None` if it is not served.
///
/// # Errors
/// When the address that was given cannot be had.
pub async fn bind(
    given: Option<GrpcListen>,
    http: SocketAddr,
) -> anyhow::Result<Option<TcpListener>> {
    let cannot = |address: SocketAddr| {
        format!("cannot serve gRPC on {address}: choose another address with --grpc, or none")
    };
    match given {
        Some(GrpcListen::Nowhere) => Ok(None),
        Some(GrpcListen::At(address)) => {
            TcpListener::bind(address).await.map(Some).with_context(|| cannot(address))
        }
        None => {
            let usual = SocketAddr::new(http.ip(), PORT);
            match TcpListener::bind(usual).await {
                Ok(listener) => Ok(Some(listener)),
                // A second scheduler on one machine is none the worse for it; it says where it is.
                Err(error) if error.kind() == ErrorKind::AddrInUse => {
                    let free = SocketAddr::new(http.ip(), 0);
                    let listener = TcpListener::bind(free).await.with_context(|| cannot(usual))?;
                    let address = listener.local_addr()?;
                    tracing::warn!(%usual, %address, "the usual port of gRPC is taken");
                    Ok(Some(listener))
                }
                Err(error) => Err(error).with_context(|| cannot(usual)),
            }
        }
    }
}

/// Reads an address to send clients to.
///
/// # Errors
/// It is none; what it should look like.
pub fn base_url(text: &str) -> Result<String, String> {
    let url: reqwest::Url =
        text.parse().map_err(|error| format!("{error}: write for example http://host:8899"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("must be an http:// or https:// address, such as http://host:8899".to_owned());
    }
    Ok(text.to_owned())
}

/// Where others reach gRPC: the host at which they reach REST.
pub fn advertised(http: &str, grpc: SocketAddr) -> String {
    let host = reqwest::Url::parse(http).ok().and_then(|url| Some(url.host_str()?.to_owned()));
    match host {
        Some(host) => format!("grpc://{host}:{}", grpc.port()),
        None => format!("grpc://{grpc}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_or_none() {
        assert_eq!("none".parse(), Ok(GrpcListen::Nowhere));
        let at = GrpcListen::At(([127, 0, 0, 1], 7).into());
        assert_eq!("127.0.0.1:7".parse(), Ok(at));
        for bad in ["", "localhost:1", "127.0.0.1", "8898"] {
            assert!(bad.parse::<GrpcListen>().unwrap_err().contains("none"), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_taken_address_is_an_error_only_if_it_was_asked_for() {
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let taken = TcpListener::bind(local).await.unwrap().local_addr().unwrap();
        let listener = bind(Some(GrpcListen::At(taken)), local).await.unwrap().unwrap();
        let again = bind(Some(GrpcListen::At(taken)), local).await.unwrap_err();
        assert!(again.to_string().contains("--grpc"), "{again}");
        drop(listener);
        assert!(bind(Some(GrpcListen::Nowhere), local).await.unwrap().is_none());
        // Whether or not somebody has the usual port.
        let (one, other) = (bind(None, local).await.unwrap(), bind(None, local).await.unwrap());
        assert_ne!(one.unwrap().local_addr().unwrap(), other.unwrap().local_addr().unwrap());
    }

    #[test]
    fn grpc_is_where_rest_is() {
        let grpc = SocketAddr::from(([0, 0, 0, 0], 8898));
        assert_eq!(advertised("http://a.example:80", grpc), "grpc://a.example:8898");
        assert_eq!(advertised("https://[::1]:8899/x", grpc), "grpc://[::1]:8898");
        assert_eq!(advertised("a.example", grpc), "grpc://0.0.0.0:8898");
    }

    #[test]
    fn clients_are_sent_to_addresses_only() {
        assert_eq!(base_url("http://a.example:80").unwrap(), "http://a.example:80");
        for bad in ["nonsense", "a.example:8899", "ftp://a", "http://"] {
            assert!(base_url(bad).is_err(), "{bad}");
        }
    }
}
