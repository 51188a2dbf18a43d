//! Starvation: small work that never ends against gangs, in virtual time on a small cluster.

use super::*;

/// What every agent has: four shards of one cpu and an executor.
const CPUS: f64 = 4.2;
const AGENTS: usize = 8;

/// Agents that offer what is free, and tasks that take their time.
struct Cluster {
    world: World,
    agents: BTreeMap<AgentId, AgentState>,
    /// Where each task runs and when it ends.
    tasks: BTreeMap<TaskId, (AgentId, Timestamp)>,
    /// Lengths of small tasks, taken in turn, seconds.
    lengths: Vec<i64>,
    launched: usize,
    /// When each job was first launched.
    first: BTreeMap<String, Timestamp>,
}

#[derive(Default)]
struct AgentState {
    used: i64,
    executor: bool,
    offered: f64,
    quiet_until: Option<Timestamp>,
}

impl Cluster {
    /// Sixty small jobs of about ten seconds, each due every ten: twice what there is room for.
    fn new() -> Self {
        let mut world = World::with_app();
        for job in 0..60 {
            world.job(&format!("small-{job:02}"), r#""shardingTotalCount":1"#);
        }
        let agents =
            (0..AGENTS).map(|index| (AgentId::new(format!("a{index}")), AgentState::default()));
        Self {
            world,
            agents: agents.collect(),
            tasks: BTreeMap::new(),
            lengths: vec![5, 14, 9, 7, 12, 10, 6],
            launched: 0,
            first: BTreeMap::new(),
        }
    }

    fn gang(&mut self, name: &str, shards: u32) {
        self.world.job(name, &format!(r#""cron":null,"shardingTotalCount":{shards}"#));
        self.world.command(trigger(name, None)).unwrap();
    }

    /// One second: tasks end, agents offer, the engine decides.
    fn second(&mut self) {
        let turn = self.world.wait(1000);
        self.carry_out(turn);
        let now = self.world.now;
        let ended: Vec<TaskId> = self
            .tasks
            .iter()
            .filter(|(_, (_, end))| *end <= now)
            .map(|(id, _)| id.clone())
            .collect();
        for task in ended {
            if let Some((agent, _)) = self.tasks.remove(&task) {
                self.agents.get_mut(&agent).unwrap().used -= 1;
            }
            let turn = self.world.exit(&task, 0);
            self.carry_out(turn);
        }
        let mut offers = Vec::new();
        for (agent, state) in &mut self.agents {
            let quiet = state.quiet_until.is_some_and(|until| until > now);
            let executor = if state.executor { 0.1 } else { 0.0 };
            let free = CPUS - state.used as f64 - executor - state.offered;
            if !quiet && free > 0.05 {
                state.offered += free;
                let id = format!("app@-@{agent}");
                let executors: Vec<&str> =
                    state.executor.then_some(id.as_str()).into_iter().collect();
                offers.push(self.world.make_offer(agent.as_str(), free, 10_000.0, &executors));
            }
        }
        if !offers.is_empty() {
            let turn = self.world.turn(Event::Offers(offers));
            self.carry_out(turn);
        }
    }

    fn carry_out(&mut self, turn: Turn) {
        let now = self.world.now;
        for action in turn.actions {
            match action {
                Action::Accept { agent, launches, .. } => {
                    let state = self.agents.get_mut(&agent).unwrap();
                    state.offered = 0.0;
                    state.executor = true;
                    state.used += launches.len() as i64;
                    assert!(state.used <= 4, "over-committed");
                    for launch in launches {
                        let job = launch.job.name.to_string();
                        self.first.entry(job).or_insert(now);
                        let length = self.lengths[self.launched % self.lengths.len()];
                        self.launched += 1;
                        let end = now.plus_millis(length * 1000);
                        self.tasks.insert(launch.task.clone(), (agent.clone(), end));
                        let turn = self.world.status(&launch.task, TaskState::Running);
                        self.carry_out(turn);
                    }
                }
                Action::Decline { offers, refuse_ms } => {
                    for (agent, state) in &mut self.agents {
                        let held = self.world.engine.fleet.leases.contains_key(agent);
                        if state.offered > 0.0 && !held {
                            state.offered = 0.0;
                            state.quiet_until = Some(now.plus_millis(refuse_ms as i64));
                        }
                    }
                    assert!(!offers.is_empty());
                }
                Action::Revive => {
                    self.agents.values_mut().for_each(|state| state.quiet_until = None);
                }
                _ => {}
            }
        }
    }

    fn utilisation(&self) -> f64 {
        self.tasks.len() as f64 / (AGENTS * 4) as f64
    }

    /// Lets so many seconds pass, or until a job has been launched; gives the seconds and the mean
    /// utilisation meanwhile.
    fn until(&mut self, job: &str, seconds: usize) -> (usize, f64) {
        let mut sum = 0.0;
        for second in 1..=seconds {
            self.second();
            if self.first.contains_key(job) {
                return (second, sum / second.max(1) as f64);
            }
            sum += self.utilisation();
        }
        (seconds, sum / seconds as f64)
    }

    fn keeps(&self) -> usize {
        self.agents.keys().filter(|agent| self.world.engine.holds.keeps(agent)).count()
    }

    fn reason(&self, job: &str) -> String {
        let rows = self.world.engine.ready(None, usize::MAX);
        let row = rows.into_iter().find(|row| row.job.as_str() == job).unwrap();
        row.reason.unwrap()
    }
}

#[test]
fn a_gang_that_needs_half_the_fleet_runs_though_small_work_never_ends() {
    let mut cluster = Cluster::new();
    cluster.until("none", 60);
    cluster.gang("gang", 16);
    let (seconds, utilisation) = cluster.until("gang", 600);
    assert!((30..90).contains(&seconds), "{seconds} s");
    assert!(utilisation > 0.8, "{utilisation}");
    cluster.until("none", 2);
    assert_eq!(cluster.keeps(), 0, "the hold ends with the start");
    let (_, after) = cluster.until("none", 60);
    assert!(after > 0.9, "{after}");
}

#[test]
fn without_a_hold_it_would_starve() {
    let mut cluster = Cluster::new();
    cluster.world.engine.settings.reserve_after_ms = u64::MAX;
    cluster.until("none", 60);
    cluster.gang("gang", 16);
    let (seconds, _) = cluster.until("gang", 600);
    assert_eq!(seconds, 600);
}

#[test]
fn two_gangs_that_need_most_of_the_fleet_run_one_after_the_other() {
    let mut cluster = Cluster::new();
    cluster.until("none", 60);
    cluster.gang("first", 20);
    cluster.until("none", 5);
    cluster.gang("second", 20);
    let (first, _) = cluster.until("first", 300);
    assert!(first < 120, "{first} s");
    let (second, _) = cluster.until("second", 300);
    assert!(second < 120, "{second} s");
}

#[test]
fn a_gang_larger_than_the_fleet_is_told_so_and_holds_nothing() {
    let mut cluster = Cluster::new();
    cluster.until("none", 60);
    cluster.gang("huge", 33);
    cluster.second();
    assert_eq!(
        cluster.reason("huge"),
        "needs 33 shards at once, more than all agents seen offer together: \
         8 empty agents hold 32"
    );
    let (_, utilisation) = cluster.until("huge", 120);
    assert_eq!(cluster.keeps(), 0);
    assert!(utilisation > 0.9, "{utilisation}");
}

#[test]
fn a_hold_that_comes_to_nothing_ends_at_its_deadline() {
    let mut cluster = Cluster::new();
    cluster.lengths = vec![3600];
    cluster.until("none", 30);
    cluster.gang("gang", 16);
    cluster.until("gang", 60);
    assert_eq!(cluster.keeps(), 4, "half the fleet is kept back");
    cluster.until("gang", 300);
    assert_eq!(cluster.keeps(), 0);
    cluster.until("gang", 200);
    assert_eq!(cluster.keeps(), 0, "not again at once");
    cluster.until("gang", 160);
    assert_eq!(cluster.keeps(), 4);
}
