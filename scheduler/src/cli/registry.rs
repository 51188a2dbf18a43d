//! `shiftwork registry`: what stands in the registry, read past any scheduler. Absent: writing; and
//! what the nodes mean.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use super::error::CliError;
use super::output::{self, Output};
use super::show;
use super::table::{self, Column};
use crate::registry::{
    self, CONNECT_TIMEOUT_DEFAULT, NAMESPACE_DEFAULT, Path, SESSION_TIMEOUT_DEFAULT, Tree,
    ZooKeeperConfig, ZooKeeperConfigError, ZooKeeperRegistry,
};
use crate::tls::ClientTlsFiles;

/// Where the registry is, for schedulers and for whoever looks into it.
#[derive(Debug, Clone, Args)]
pub struct RegistryArgs {
    /// Registry that several schedulers share, zk://host1:2181,host2:2181/chroot; user:password@ in
    /// front of the hosts is better left to the file or the environment
    #[arg(long, env = "SHIFTWORK_REGISTRY", hide_env_values = true, value_name = "URL")]
    pub registry: Option<String>,
    /// Node of the shared registry below which everything stands
    #[arg(
        long,
        env = "SHIFTWORK_NAMESPACE",
        default_value = NAMESPACE_DEFAULT,
        value_name = "NAME"
    )]
    pub namespace: String,
    /// User and password for the shared registry, user:password; better given by the environment,
    /// which other users of the machine cannot see
    #[arg(long, env = "SHIFTWORK_ZK_AUTH", hide_env_values = true, value_name = "CREDENTIALS")]
    pub zk_auth: Option<String>,
    /// File whose first line is user:password for the shared registry
    #[arg(
        long,
        env = "SHIFTWORK_REGISTRY_CREDENTIALS_FILE",
        conflicts_with = "zk_auth",
        value_name = "FILE"
    )]
    pub registry_credentials_file: Option<PathBuf>,
    /// Authorities to trust for the shared registry, PEM; with it its servers are spoken to over TLS
    #[arg(long, env = "SHIFTWORK_REGISTRY_CA_FILE", value_name = "FILE")]
    pub registry_ca_file: Option<PathBuf>,
    /// Our certificate for the shared registry, PEM
    #[arg(long, env = "SHIFTWORK_REGISTRY_CERT_FILE", value_name = "FILE")]
    pub registry_cert_file: Option<PathBuf>,
    /// Key of our certificate, PEM, unencrypted
    #[arg(long, env = "SHIFTWORK_REGISTRY_KEY_FILE", value_name = "FILE")]
    pub registry_key_file: Option<PathBuf>,
    /// After this many seconds of silence the lead goes to another scheduler
    #[arg(
        long,
        env = "SHIFTWORK_ZK_SESSION_TIMEOUT",
        default_value_t = SESSION_TIMEOUT_DEFAULT.as_secs(),
        value_parser = clap::value_parser!(u64).range(1..=3600),
        value_name = "SECONDS"
    )]
    pub zk_session_timeout: u64,
    /// After this many seconds of silence another server of the shared registry is tried
    #[arg(
        long,
        env = "SHIFTWORK_ZK_CONNECT_TIMEOUT",
        default_value_t = CONNECT_TIMEOUT_DEFAULT.as_secs(),
        value_parser = clap::value_parser!(u64).range(1..=3600),
        value_name = "SECONDS"
    )]
    pub zk_connect_timeout: u64,
}

/// What to look at.
#[derive(Debug, Clone, Subcommand)]
pub enum RegistryCommand {
    /// Lists the children of a node
    Ls(NodeArgs),
    /// Prints the data of a node
    Get(NodeArgs),
}

/// Which node of which registry.
#[derive(Debug, Clone, Args)]
pub struct NodeArgs {
    /// Node, such as config/job/word-count; none for the root
    path: Option<Path>,
    /// Directory of the registry of a scheduler that is stopped
    #[arg(
        long,
        env = "SHIFTWORK_DATA_DIR",
        default_value = "./shiftwork-data",
        value_name = "DIR"
    )]
    data_dir: PathBuf,
    #[command(flatten)]
    shared: RegistryArgs,
}

const CHILDREN: [Column; 3] = [
    Column { title: "NODE", cell: |row| row.text("/node") },
    Column { title: "BYTES", cell: |row| row.text("/bytes") },
    Column { title: "BELOW", cell: |row| row.text("/below") },
];

// === impl RegistryArgs ===

impl RegistryArgs {
    /// The shared registry, if one is named.
    ///
    /// # Errors
    /// What is wrong with its address, its credentials or its files.
    pub fn config(&self) -> Result<Option<ZooKeeperConfig>, ZooKeeperConfigError> {
        let Some(address) = &self.registry else {
            if self.namespace != NAMESPACE_DEFAULT {
                return Err(ZooKeeperConfigError::NamespaceAlone(self.namespace.clone()));
            }
            return Ok(None);
        };
        let auth = match &self.registry_credentials_file {
            Some(path) => Some(ZooKeeperConfig::read_auth(path)?),
            None => self.zk_auth.clone(),
        };
        let files = ClientTlsFiles {
            ca: self.registry_ca_file.clone(),
            cert: self.registry_cert_file.clone(),
            key: self.registry_key_file.clone(),
        };
        let config = ZooKeeperConfig::new(address, &self.namespace, auth)?;
        let mut config = config.with_tls(&files)?;
        config.session_timeout = Duration::from_secs(self.zk_session_timeout);
        config.connect_timeout = Duration::from_secs(self.zk_connect_timeout);
        Ok(Some(config))
    }
}

/// Carries a command out.
pub(super) async fn run(out: Output, command: RegistryCommand) -> Result<(), CliError> {
    match command {
        RegistryCommand::Ls(args) => {
            let tree = read(&args).await?;
            if tree.is_empty() {
                output::progress(&format!(
                    "nothing stands here: is the namespace {} right? No scheduler has led under it yet",
                    args.shared.namespace
                ));
            }
            list(out, &tree, args.path.as_ref())
        }
        RegistryCommand::Get(args) => {
            let Some(path) = &args.path else {
                return Err(CliError::Usage("name the node whose data is wanted".to_owned()));
            };
            get(out, &read(&args).await?, path)
        }
    }
}

async fn read(args: &NodeArgs) -> Result<Tree, CliError> {
    let shared = args.shared.config().map_err(|error| CliError::Usage(chain(&error)))?;
    match shared {
        Some(config) => ZooKeeperRegistry::read(&config).await.map_err(failed),
        None => registry::read_offline(&args.data_dir).map_err(failed),
    }
}

fn list(out: Output, tree: &Tree, parent: Option<&Path>) -> Result<(), CliError> {
    if let Some(parent) = parent
        && registry::get(tree, parent).is_none()
    {
        return Err(absent(parent));
    }
    let rows: Vec<_> = registry::children(tree, parent)
        .into_iter()
        .map(|child| {
            let node = output::plain(child.path.as_str());
            json!({"node": node, "bytes": child.data_bytes, "below": child.below})
        })
        .collect();
    match out {
        Output::Table => output::print(&table::render(&CHILDREN, &rows, show::now())),
        Output::Json | Output::Yaml => {
            output::print_json(out, &serde_json::Value::from(rows).to_string())
        }
    }
}

fn get(out: Output, tree: &Tree, path: &Path) -> Result<(), CliError> {
    let data = registry::get(tree, path).ok_or_else(|| absent(path))?;
    let text = String::from_utf8_lossy(data);
    match out {
        Output::Table => output::print(&output::plain(&text)),
        Output::Json | Output::Yaml => {
            let node = json!({"node": path.as_str(), "data": text});
            output::print_json(out, &node.to_string())
        }
    }
}

fn absent(path: &Path) -> CliError {
    CliError::Registry(format!("there is no node {path}: `shiftwork registry ls` shows which are"))
}

fn failed(error: impl std::error::Error) -> CliError {
    CliError::Registry(chain(&error))
}

/// An error with its causes, as one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
