//! Why a scheduler cannot be talked to, from what the libraries below say: the innermost cause, and
//! whether TLS is the trouble. Absent: the error itself (`error.rs`).

use std::error::Error;
use std::io;

use rustls::{CertificateError, Error as TlsError};

/// The innermost cause says what happened; those around it say only that something did.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

/// An error and its causes, outermost first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause: &&'a (dyn Error + 'static)| {
        let cause: &'a (dyn Error + 'static) = *cause;
        // An error of I/O passes over the one it wraps.
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => cause.source(),
        }
    })
}

/// What is wrong with TLS and how to mend it, if that is the trouble.
pub(super) fn tls(error: &(dyn Error + 'static), encrypted: bool) -> Option<String> {
    if let Some(tls) = causes(error).find_map(|cause| cause.downcast_ref::<TlsError>()) {
        return Some(of_tls(tls));
    }
    // What a server of TLS sends to who does not speak it is no HTTP.
    let is_no_http = innermost(error).contains("invalid HTTP version");
    (!encrypted && is_no_http).then(|| {
        "what answers there does not speak plain HTTP: if it serves TLS, write https:// (and \
         --ca-file for an authority of your own)"
            .to_owned()
    })
}

fn of_tls(error: &TlsError) -> String {
    use CertificateError as Bad;
    match error {
        TlsError::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => {
            "no authority that is trusted here issued its certificate: name the authority's file \
             with --ca-file or SHIFTWORK_CA_FILE"
                .to_owned()
        }
        TlsError::InvalidCertificate(
            wrong @ (Bad::NotValidForName | Bad::NotValidForNameContext { .. }),
        ) => format!(
            "its certificate is for another name ({wrong}): write the address with a name that the \
             certificate holds"
        ),
        TlsError::InvalidCertificate(
            wrong @ (Bad::Expired
            | Bad::ExpiredContext { .. }
            | Bad::NotValidYet
            | Bad::NotValidYetContext { .. }),
        ) => format!("its certificate is not valid now ({wrong}): renew it, or set the clock right"),
        TlsError::InvalidCertificate(wrong) => {
            format!("its certificate cannot be accepted ({wrong}): see --ca-file")
        }
        TlsError::InvalidMessage(_) => {
            "what answers there does not speak TLS: write http:// if it is served in clear, or name \
             the port that serves TLS"
                .to_owned()
        }
        other => format!("TLS cannot be agreed on ({other})"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::path::Path;

    use axum::Router;
    use axum::serve::ListenerExt as _;
    use tokio::net::TcpListener;

    use crate::cli::client::{ApiPath, Client};
    use crate::cli::error::CliError;
    use crate::tls::{ClientTls, ClientTlsFiles};
    use crate::tls_server::{ServerTls, ServerTlsFiles};

    /// A server with a certificate of its own for a name, and its port.
    async fn encrypted(directory: &Path, name: &str) -> u16 {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let files = ServerTlsFiles { cert: directory.join("cert"), key: directory.join("key") };
        std::fs::write(&files.cert, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let listener = ServerTls::load(files).unwrap().accept(listener).tap_io(|_| ());
        let service = Router::new().into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(axum::serve(listener, service).into_future());
        port
    }

    async fn asked(server: &str, authority: Option<&Path>) -> CliError {
        let files = ClientTlsFiles { ca: authority.map(Path::to_owned), ..Default::default() };
        let client = Client::new(server, &ClientTls::load(&files).unwrap()).unwrap();
        client.get(&ApiPath::of(&["status"])).await.unwrap_err()
    }

    #[track_caller]
    fn says(error: &CliError, words: &[&str]) {
        let text = error.to_string();
        assert!(matches!(error, CliError::Tls { .. }), "{error:?}");
        assert!(!error.is_passing() && !text.contains("standalone"), "{text}");
        for word in words {
            assert!(text.contains(word), "{text}: {word}");
        }
    }

    #[tokio::test]
    async fn trouble_with_tls_says_so_and_how_to_mend_it() {
        let directory = tempfile::tempdir().unwrap();
        let authority = directory.path().join("cert");
        let port = encrypted(directory.path(), "localhost").await;
        let server = format!("https://localhost:{port}");
        // Who trusts the authority is let in: there is no such page, which is no trouble with TLS.
        let reached = asked(&server, Some(&authority)).await;
        assert!(matches!(reached, CliError::Foreign { .. }), "{reached:?}");
        says(&asked(&server, None).await, &["--ca-file", "authority", &server]);
        let address = format!("https://127.0.0.1:{port}");
        says(&asked(&address, Some(&authority)).await, &["another name"]);
        // Each at the port of the other.
        says(&asked(&format!("http://localhost:{port}"), None).await, &["write https://"]);
        let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://{}", plain.local_addr().unwrap());
        tokio::spawn(axum::serve(plain, Router::new()).into_future());
        says(&asked(&address, Some(&authority)).await, &["does not speak TLS", "write http://"]);
    }
}
