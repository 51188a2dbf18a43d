//! The Mesos cluster on the command line and in the environment: where its masters are and who we are to
//! them. Absent: what the driver does with it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use shiftwork_schedule::parse_duration;

use crate::mesos::{Credentials, DriverConfig};
use crate::tls::{ClientTls, ClientTlsFiles};

/// The longest failover timeout: a year, beyond which nobody comes back.
const FAILOVER_TIMEOUT_MS_MAX: u64 = 365 * 24 * 3600 * 1000;

/// Where the masters are and who we are to them.
#[derive(Debug, Clone, Args)]
pub struct MesosArgs {
    /// Mesos masters: host:port or https://host:port, separated by commas, or all of them as
    /// zk://host1:2181,host2:2181/mesos. Credentials for `ZooKeeper`, zk://user:password@…, are better
    /// given by the environment, which other users of the machine cannot see
    #[arg(long, env = "SHIFTWORK_MESOS", hide_env_values = true, value_name = "MASTERS")]
    mesos: String,
    /// Mesos role whose resources are used
    #[arg(long, env = "SHIFTWORK_ROLE", default_value = "*", value_name = "ROLE")]
    role: String,
    /// How long the master keeps the tasks while no scheduler is subscribed
    #[arg(
        long,
        env = "SHIFTWORK_FAILOVER_TIMEOUT",
        default_value = "7d",
        value_name = "DURATION",
        value_parser = failover_timeout
    )]
    failover_timeout: Duration,
    /// Take offers of agents with GPUs, which the master keeps for frameworks that say so
    #[arg(long, env = "SHIFTWORK_GPUS")]
    gpus: bool,
    /// The user tasks run as (default: the one this process runs as)
    #[arg(long, env = "SHIFTWORK_MESOS_USER", value_name = "USER")]
    mesos_user: Option<String>,
    /// The principal that authenticates to masters and agents; with --mesos-secret-file
    #[arg(
        long,
        env = "SHIFTWORK_MESOS_PRINCIPAL",
        requires = "mesos_secret_file",
        value_name = "NAME"
    )]
    mesos_principal: Option<String>,
    /// File with the secret of the principal, one line
    #[arg(
        long,
        env = "SHIFTWORK_MESOS_SECRET_FILE",
        requires = "mesos_principal",
        value_name = "FILE"
    )]
    mesos_secret_file: Option<PathBuf>,
    /// Speak TLS to masters whose address does not say so; meant by each of the files below, too
    #[arg(long, env = "SHIFTWORK_MESOS_TLS")]
    mesos_tls: bool,
    /// Authorities to trust for masters and agents, PEM (default: those of the system)
    #[arg(long, env = "SHIFTWORK_MESOS_CA_FILE", value_name = "FILE")]
    mesos_ca_file: Option<PathBuf>,
    /// Our certificate for masters and agents, PEM
    #[arg(
        long,
        env = "SHIFTWORK_MESOS_CERT_FILE",
        requires = "mesos_key_file",
        value_name = "FILE"
    )]
    mesos_cert_file: Option<PathBuf>,
    /// Key of our certificate, PEM, unencrypted
    #[arg(
        long,
        env = "SHIFTWORK_MESOS_KEY_FILE",
        requires = "mesos_cert_file",
        value_name = "FILE"
    )]
    mesos_key_file: Option<PathBuf>,
}

fn failover_timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text).map_err(|error| error.to_string())? {
        // The master removes a framework without one, and kills its tasks, as soon as a stream breaks.
        0 => {
            Err("must be longer than nothing: a broken connection would kill all tasks".to_owned())
        }
        millis if millis > FAILOVER_TIMEOUT_MS_MAX => Err("must be at most 365d".to_owned()),
        millis => Ok(Duration::from_millis(millis)),
    }
}

// === impl MesosArgs ===

impl MesosArgs {
    /// As the driver takes it, with the files read.
    ///
    /// # Errors
    /// What cannot be used, with the option to mend.
    pub fn config(self) -> anyhow::Result<DriverConfig> {
        // The commas of a zk:// address stand between servers, not between masters.
        let masters = if self.mesos.starts_with("zk://") {
            vec![self.mesos]
        } else {
            self.mesos.split(',').map(|master| master.trim().to_owned()).collect()
        };
        let credentials = match (&self.mesos_principal, &self.mesos_secret_file) {
            (Some(principal), Some(path)) => Some(
                Credentials::load(principal, path)
                    .context("--mesos-principal and --mesos-secret-file")?,
            ),
            _ => None,
        };
        let files = ClientTlsFiles {
            ca: self.mesos_ca_file,
            cert: self.mesos_cert_file,
            key: self.mesos_key_file,
        };
        let config = DriverConfig {
            masters_tls: self.mesos_tls || files.ca.is_some() || files.cert.is_some(),
            tls: ClientTls::load(&files)
                .context("--mesos-ca-file, --mesos-cert-file and --mesos-key-file")?,
            credentials,
            failover_timeout: self.failover_timeout,
            gpus: self.gpus,
            user: self.mesos_user,
            role: self.role,
            ..DriverConfig::new(masters)
        };
        config.check().context("--mesos and --role")?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::mesos::FAILOVER_TIMEOUT_DEFAULT;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        mesos: MesosArgs,
    }

    fn parse(args: &[&str]) -> Result<DriverConfig, String> {
        let line = Line::try_parse_from([&["x"], args].concat()).map_err(|e| e.to_string())?;
        line.mesos.config().map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_list_is_cut_at_commas_and_an_address_in_zookeeper_is_not() {
        let plain = parse(&["--mesos", "m1:5050, m2:5050"]).unwrap();
        assert_eq!(plain.masters, ["m1:5050", "m2:5050"]);
        assert_eq!(plain.failover_timeout, FAILOVER_TIMEOUT_DEFAULT);
        assert!(!plain.masters_tls && !plain.gpus && plain.credentials.is_none());
        let one = parse(&["--mesos", "zk://u:p@a:1,b:2/mesos", "--gpus"]).unwrap();
        assert_eq!(one.masters, ["zk://u:p@a:1,b:2/mesos"]);
        assert!(one.gpus);
        assert!(!format!("{one:?}").contains("u:p"), "{one:?}");
    }

    #[test]
    fn mistakes_name_the_option() {
        for (option, args) in [
            ("--mesos", &["--mesos", "zk://a"][..]),
            ("--role", &["--mesos", "m", "--role", ""]),
            ("--role", &["--mesos", "m", "--role", "a b"]),
            ("--role", &["--mesos", "m", "--role", "/x"]),
            ("--failover-timeout", &["--mesos", "m", "--failover-timeout", "0s"]),
            ("--failover-timeout", &["--mesos", "m", "--failover-timeout", "9999d"]),
            ("--mesos-secret-file", &["--mesos", "m", "--mesos-principal", "p"]),
            ("--mesos-key-file", &["--mesos", "m", "--mesos-cert-file", "/none"]),
            ("--mesos-ca-file", &["--mesos", "m", "--mesos-ca-file", "/none"]),
        ] {
            let error = parse(args).unwrap_err();
            assert!(error.contains(option), "{args:?}: {error}");
        }
    }
}
