//! The command line of `offer-sim`: what it may say, and the settings that it means. Nothing is
//! started here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use offer_sim::world::{Distribution, Workload};
use offer_sim::{
    Config, ElectionConfig, LocalAgentConfig, MasterAddress, Scenario, SimulatedAgentsConfig,
    ZooKeeperAddress,
};

/// Shown for `--scenario`: the shortest scenario there is, to begin with.
const SCENARIO_HELP: &str = "Faults with their times, as JSON: {\"steps\": [{\"at_ms\": 5000, \
     \"fault\": {\"cut_off\": {\"agents\": [\"rack:r3\"]}}}]}. The faults are those of the admin API";

/// A Mesos master to test against, with agents that are this machine or simulated.
#[derive(Debug, Parser)]
#[command(name = "offer-sim", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    master: MasterOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs agents apart from their master: they outlive it, and register with the next one.
    Agent(AgentProcessOptions),
}

#[derive(Debug, Args)]
struct MasterOptions {
    #[command(flatten)]
    common: CommonOptions,
    /// Register in ZooKeeper like a Mesos master, and lead only when elected:
    /// zk://host1:2181,host2:2181/mesos. Agents are then started apart, with `offer-sim agent`.
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["local", "agents"])]
    zk: Option<ZooKeeperAddress>,
    /// How long a master may be silent before ZooKeeper elects another.
    #[arg(long, value_name = "SECONDS", requires = "zk")]
    zk_session_timeout: Option<u64>,
    /// The host name that clients are sent to when this master leads.
    #[arg(long, value_name = "NAME", requires = "zk")]
    advertise_hostname: Option<String>,
    /// Rescind offers not answered for this long.
    #[arg(long, value_name = "SECONDS")]
    offer_timeout: Option<u64>,
    /// Ping agents again when they have not answered for this long.
    #[arg(long, value_name = "SECONDS", default_value_t = 15.0)]
    agent_ping_timeout: f64,
    /// Give agents up, as unreachable, after this many pings without an answer.
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    max_agent_ping_timeouts: u64,
    /// How long the agents of a former master may take to register again.
    #[arg(long, value_name = "SECONDS", default_value_t = 600.0)]
    agent_reregister_timeout: f64,
}

#[derive(Debug, Args)]
struct AgentProcessOptions {
    /// Where the master is: zk://host1:2181,host2:2181/mesos or host:5050.
    #[arg(long, value_name = "ADDRESS")]
    master: MasterAddress,
    #[command(flatten)]
    common: CommonOptions,
}

#[derive(Debug, Args)]
struct CommonOptions {
    /// Address that master and agents listen on; port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:5050", value_name = "IP:PORT")]
    listen: SocketAddr,
    /// Offer this machine through a local agent, which runs real processes.
    #[arg(long)]
    local: bool,
    /// Directory for sandboxes and the local agent's memory.
    #[arg(long, default_value = "offer-sim-work", value_name = "DIR")]
    work_dir: PathBuf,
    /// What the local agent offers, like cpus:4;mem:1024;ports:[31000-32000]; the machine's own for
    /// what is not named.
    #[arg(long, requires = "local", value_name = "LIST")]
    resources: Option<String>,
    /// Attributes of agents, like rack:a;zone:b. With --agents, rack:r{0..40} is r0 for the first,
    /// r1 for the next, and after r39 r0 again.
    #[arg(long, value_name = "LIST")]
    attributes: Option<String>,
    /// The name the local agent gives its host.
    #[arg(long, requires = "local", default_value = "localhost", value_name = "NAME")]
    hostname: String,
    /// Directory to put in front of the executors' PATH; may be given again.
    #[arg(long, requires = "local", value_name = "DIR")]
    extra_path: Vec<PathBuf>,
    /// Simulate this many agents, named agent-0, agent-1 and so on.
    #[arg(long, value_name = "NUMBER")]
    agents: Option<u32>,
    /// What each simulated agent has.
    #[arg(
        long,
        requires = "agents",
        value_name = "LIST",
        default_value = "cpus:16;mem:65536;disk:262144;ports:[31000-32000]"
    )]
    agent_resources: String,
    /// How long simulated tasks run: 30s, uniform:1s..5s, exponential:30s (the mean) or forever.
    #[arg(long, requires = "agents", value_name = "TIME", default_value = "10s")]
    task_duration: Distribution,
    /// From a simulated executor's start to its subscription.
    #[arg(long, requires = "agents", value_name = "TIME", default_value = "100ms")]
    start_delay: Distribution,
    /// The part of simulated tasks that fail, 0 to 1.
    #[arg(long, requires = "agents", value_name = "RATE", default_value_t = 0.0)]
    failure_rate: f64,
    /// After how long simulated executors crash.
    #[arg(long, requires = "agents", value_name = "TIME", default_value = "forever")]
    executor_lifetime: Distribution,
    /// Simulated tasks with this in their name or id run until they are killed; may be given again.
    #[arg(long, requires = "agents", value_name = "TEXT")]
    run_forever: Vec<String>,
    /// Decides all names and all chance: the same seed, the same story.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Serve the admin API (gRPC, with reflection) here: faults on demand.
    #[arg(long, value_name = "IP:PORT")]
    admin: Option<SocketAddr>,
    #[arg(long, value_name = "FILE", help = SCENARIO_HELP)]
    scenario: Option<PathBuf>,
}

// === impl Options ===

impl Options {
    /// The settings that the command line means.
    ///
    /// # Errors
    /// When a number is out of its range or the scenario cannot be read.
    pub(crate) fn into_config(self) -> anyhow::Result<Config> {
        match self.command {
            Some(Command::Agent(options)) => {
                let master = Some(options.master);
                Ok(Config { master, ..options.common.into_config()? })
            }
            None => self.master.into_config(),
        }
    }
}

impl MasterOptions {
    fn into_config(self) -> anyhow::Result<Config> {
        let election = self.zk.map(|zookeeper| ElectionConfig {
            zookeeper,
            session_timeout: self.zk_session_timeout.map(Duration::from_secs),
            hostname: self.advertise_hostname,
        });
        Ok(Config {
            election,
            offer_timeout: self.offer_timeout.map(Duration::from_secs),
            agent_ping_timeout: Duration::try_from_secs_f64(self.agent_ping_timeout)?,
            max_agent_ping_timeouts: self.max_agent_ping_timeouts,
            agent_reregister_timeout: Duration::try_from_secs_f64(self.agent_reregister_timeout)?,
            ..self.common.into_config()?
        })
    }
}

impl CommonOptions {
    fn into_config(self) -> anyhow::Result<Config> {
        anyhow::ensure!(
            (0.0..=1.0).contains(&self.failure_rate),
            "--failure-rate is {}; give a number from 0 to 1",
            self.failure_rate
        );
        let agent = LocalAgentConfig {
            hostname: self.hostname,
            resources: self.resources,
            attributes: self.attributes.clone(),
            extra_path: self.extra_path,
        };
        let workload = Workload {
            start_delay: self.start_delay,
            task_duration: self.task_duration,
            failure_rate: self.failure_rate,
            executor_lifetime: self.executor_lifetime,
            run_forever: self.run_forever,
        };
        let simulated = self.agents.map(|count| SimulatedAgentsConfig {
            count,
            resources: self.agent_resources,
            attributes: self.attributes.unwrap_or_default(),
            workload,
            ..SimulatedAgentsConfig::default()
        });
        let scenario = self.scenario.as_deref().map(Scenario::read).transpose()?;
        Ok(Config {
            listen: self.listen,
            work_dir: self.work_dir,
            agent: self.local.then_some(agent),
            simulated,
            admin: self.admin,
            scenario: scenario.unwrap_or_default(),
            seed: self.seed,
            ..Config::default()
        })
    }
}
