//! Who may use the API, on the command line and in the environment. Absent: what it means (`auth/`).

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use crate::auth::{self, AuthConfig, Mode};
use crate::tls_server::{ServerTls, ServerTlsFiles};

/// The shortest token that is taken from a file: as much as 128 random bits in base64.
const ADMIN_TOKEN_LEN_MIN: usize = 22;

/// Who may use the API.
#[derive(Debug, Clone, Args)]
pub struct AuthArgs {
    /// Serve beyond this machine without asking anybody who they are, although anybody may then run
    /// commands on the cluster
    #[arg(long, env = "SHIFTWORK_INSECURE")]
    insecure: bool,
    /// Ask everybody who they are, also on 127.0.0.1: for a proxy there that serves others
    #[arg(long, env = "SHIFTWORK_REQUIRE_AUTHENTICATION", conflicts_with = "insecure")]
    require_authentication: bool,
    /// File with a token that may do everything, to make the first users with; made, with a new token
    /// in it, if it is not there
    #[arg(long, env = "SHIFTWORK_ADMIN_TOKEN_FILE", value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
    /// Certificate to serve with, its chain behind it, PEM; taken up again when it changes
    #[arg(long, env = "SHIFTWORK_TLS_CERT_FILE", requires = "tls_key_file", value_name = "FILE")]
    tls_cert_file: Option<PathBuf>,
    /// Key of that certificate, PEM, unencrypted
    #[arg(long, env = "SHIFTWORK_TLS_KEY_FILE", requires = "tls_cert_file", value_name = "FILE")]
    tls_key_file: Option<PathBuf>,
    /// Requests that one address may send a second, and twice as many at once; 0 for any number. This
    /// machine's own are not counted
    #[arg(
        long,
        env = "SHIFTWORK_MAX_REQUESTS_PER_SECOND",
        default_value_t = 5000,
        value_name = "COUNT"
    )]
    max_requests_per_second: u32,
    /// File with the key that secrets are encrypted with, the same for all schedulers of a shared registry
    /// (default: secret-key in the data directory, made there, where the registry is not shared)
    #[arg(long, env = "SHIFTWORK_SECRET_KEY_FILE", value_name = "FILE")]
    secret_key_file: Option<PathBuf>,
}

impl AuthArgs {
    /// What these addresses are served with. Makes the token's file if it is not there.
    ///
    /// # Errors
    /// A file that cannot be read or made, or that holds no token.
    pub fn config(&self, addresses: &[SocketAddr]) -> anyhow::Result<AuthConfig> {
        let admin_token = self.admin_token_file.as_deref().map(admin_token).transpose()?;
        Ok(AuthConfig { mode: self.mode(addresses), admin_token, configured: None })
    }

    /// The certificate that is served with, if any.
    ///
    /// # Errors
    /// Files that cannot be read, or that hold something else.
    pub fn tls(&self) -> anyhow::Result<Option<ServerTls>> {
        match (&self.tls_cert_file, &self.tls_key_file) {
            (Some(cert), Some(key)) => {
                let files = ServerTlsFiles { cert: cert.clone(), key: key.clone() };
                Ok(Some(ServerTls::load(files)?))
            }
            _ => Ok(None),
        }
    }

    /// The file of the key for secrets, if one is named.
    pub fn secret_key_file(&self) -> Option<PathBuf> {
        self.secret_key_file.clone()
    }

    /// How many requests an address may send a second; 0 for any number.
    pub fn requests_per_second_max(&self) -> u32 {
        self.max_requests_per_second
    }

    /// Mesos' API, as standalone serves it, asks nobody who they are: whoever reaches it runs commands
    /// on this machine.
    ///
    /// # Errors
    /// It would be reached from other machines, and nobody said that it may.
    pub fn check_mesos(&self, mesos: SocketAddr) -> anyhow::Result<()> {
        anyhow::ensure!(
            mesos.ip().is_loopback() || self.insecure,
            "--mesos {mesos} would let anybody who reaches it run commands on this machine: leave it \
             on 127.0.0.1, or say --insecure"
        );
        Ok(())
    }

    fn mode(&self, addresses: &[SocketAddr]) -> Mode {
        let loopback = addresses.iter().all(|address| address.ip().is_loopback());
        match (self.insecure, self.require_authentication) {
            (true, _) if !loopback => Mode::Insecure,
            (_, false) if loopback => Mode::Loopback,
            _ => Mode::Required,
        }
    }

    /// Looks at the token's file, if there is one, and makes none.
    ///
    /// # Errors
    /// As [`AuthArgs::config`].
    pub fn check(&self) -> anyhow::Result<()> {
        match &self.admin_token_file {
            Some(file) if file.exists() => admin_token(file).map(drop),
            _ => Ok(()),
        }
    }

    /// What is to be said about it at the start, if anything.
    pub fn notice(&self, addresses: &[SocketAddr]) -> Option<String> {
        (self.mode(addresses) == Mode::Insecure).then(|| {
            let open: Vec<String> = addresses
                .iter()
                .filter(|address| !address.ip().is_loopback())
                .map(ToString::to_string)
                .collect();
            format!(
                "INSECURE: anybody who reaches {} may run commands on the cluster (--insecure)",
                open.join(", ")
            )
        })
    }
}

/// The token in a file, which is made if it is not there.
fn admin_token(file: &Path) -> anyhow::Result<String> {
    let named = || format!("the admin token file {}", file.display());
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let token = auth::new_secret();
            let mut made = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(file)
                .with_context(|| format!("cannot make {}", named()))?;
            writeln!(made, "{token}").with_context(|| format!("cannot write {}", named()))?;
            made.sync_all().with_context(|| format!("cannot write {}", named()))?;
            return Ok(token);
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", named())),
    };
    let token = text.trim();
    anyhow::ensure!(
        token.len() >= ADMIN_TOKEN_LEN_MIN && token.bytes().all(|byte| byte.is_ascii_graphic()),
        "{} must hold a token of at least {ADMIN_TOKEN_LEN_MIN} characters without spaces, such as \
         `openssl rand -base64 32` makes: remove the file to have one made",
        named()
    );
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        auth: AuthArgs,
    }

    fn mode(options: &[&str], addresses: &[&str]) -> Mode {
        let line = Line::try_parse_from([&["x"], options].concat()).unwrap();
        let addresses: Vec<SocketAddr> = addresses.iter().map(|it| it.parse().unwrap()).collect();
        assert_eq!(
            line.auth.notice(&addresses).is_some(),
            line.auth.mode(&addresses) == Mode::Insecure
        );
        line.auth.mode(&addresses)
    }

    #[test]
    fn commands_from_other_machines_are_only_taken_when_that_was_said() {
        let check = |options: &[&str], mesos: &str| {
            let line = Line::try_parse_from([&["x"], options].concat()).unwrap();
            line.auth.check_mesos(mesos.parse().unwrap()).is_ok()
        };
        assert!(check(&[], "127.0.0.1:5050") && check(&[], "[::1]:5050"));
        assert!(!check(&[], "0.0.0.0:5050") && !check(&["--require-authentication"], "[::]:5050"));
        assert!(check(&["--insecure"], "0.0.0.0:5050"));
    }

    #[test]
    fn what_others_reach_asks_unless_told_otherwise() {
        let (here, there) = ("127.0.0.1:1", "10.0.0.1:1");
        assert_eq!(mode(&[], &[here, "[::1]:2"]), Mode::Loopback);
        assert_eq!(mode(&[], &[here, there]), Mode::Required);
        assert_eq!(mode(&[], &["0.0.0.0:1"]), Mode::Required);
        assert_eq!(mode(&["--insecure"], &[there]), Mode::Insecure);
        assert_eq!(mode(&["--insecure"], &[here]), Mode::Loopback);
        assert_eq!(mode(&["--require-authentication"], &[here]), Mode::Required);
    }

    #[test]
    fn a_token_is_made_once_and_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        let token = admin_token(&file).unwrap();
        assert_eq!(admin_token(&file).unwrap(), token);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, "short").unwrap();
        assert!(admin_token(&file).unwrap_err().to_string().contains("at least"));
        assert!(admin_token(&directory.path().join("no/such")).is_err());
    }
}
