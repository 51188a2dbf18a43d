//! What befalls the cluster: agents that go away, come back or do not, executors that die, masters
//! that change, a framework that is forgotten.

use shiftwork_engine::Event;
use shiftwork_engine::event::{StatusReason, TaskState};
use shiftwork_engine::ids::{AgentId, TaskId};

use super::master::{MasterTask, Slave, Standing, is_terminal};
use super::{MasterMessage, Model, ModelHappening};
use crate::sim::cluster::REREGISTER_MS;
use crate::sim::env::{Env, Happening};
use crate::sim::faults::Fault;

impl Model {
    /// One fault that comes by itself; false if there is nothing it could hit.
    pub(super) fn befall(&mut self, fault: Fault, env: &mut Env) -> bool {
        match fault {
            Fault::StreamCut => self.cut_stream(env),
            Fault::OfferRescinded => {
                let offers: Vec<_> = self.master.offers.keys().cloned().collect();
                if offers.is_empty() {
                    return false;
                }
                let offer = self.random.pick(&offers).clone();
                self.rescind(&offer, env);
                true
            }
            Fault::ExecutorExit => self.kill_executor(env),
            Fault::MasterFailover => self.master_fails(env),
            Fault::FrameworkRemoved => self.remove_framework(env),
            Fault::AgentAway | Fault::AgentRestart | Fault::AgentGone => {
                let up: Vec<(usize, AgentId)> = self
                    .machines
                    .iter()
                    .enumerate()
                    .filter_map(|(number, machine)| Some((number, machine.agent.clone()?)))
                    .filter(|(_, id)| self.agents.get(id).is_some_and(|agent| agent.linked))
                    .collect();
                if up.is_empty() {
                    return false;
                }
                let (number, id) = self.random.pick(&up).clone();
                match fault {
                    Fault::AgentAway => self.lose_link(&id, env),
                    Fault::AgentRestart => self.restart(number, &id, env),
                    _ => self.mark_gone(number, &id, env),
                }
                true
            }
            _ => false,
        }
    }

    fn cut_stream(&mut self, env: &mut Env) -> bool {
        let cut = self.master.stream.is_some();
        self.drop_stream(env);
        cut
    }

    fn kill_executor(&mut self, env: &mut Env) -> bool {
        let all: Vec<_> = self
            .agents
            .iter()
            .flat_map(|(id, agent)| agent.executors.keys().map(|e| (id.clone(), e.clone())))
            .collect();
        if all.is_empty() {
            return false;
        }
        let (id, executor) = self.random.pick(&all).clone();
        self.end_executor(&id, &executor, env);
        true
    }

    // --- agents ---

    fn lose_link(&mut self, id: &AgentId, env: &mut Env) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        agent.linked = false;
        agent.outage += 1;
        let outage = agent.outage;
        env.tell(id.as_str(), || "cannot be reached");
        env.cluster(self.habits.health_ms, ModelHappening::HealthTimeout(id.clone(), outage));
        let after = self.random.waiting_ms(1.2 * self.habits.health_ms as f64);
        env.cluster(after, ModelHappening::LinkBack(id.clone(), outage));
    }

    pub(super) fn link_back(&mut self, id: &AgentId, outage: u64, env: &mut Env) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        if agent.linked || agent.outage != outage {
            return;
        }
        agent.linked = true;
        env.tell(id.as_str(), || "can be reached again");
        self.send_master(id, super::AgentMessage::Register, env);
    }

    /// The machine restarts: all work is gone, and its agent will be another.
    fn restart(&mut self, number: usize, id: &AgentId, env: &mut Env) {
        env.tell(id.as_str(), || "restarts, under another id");
        self.end_all(id, env);
        self.agents.remove(id);
        // A machine that boots longer is only a longer outage.
        const OUTAGE: u64 = u64::MAX;
        env.cluster(self.habits.health_ms, ModelHappening::HealthTimeout(id.clone(), OUTAGE));
        self.replace(number, env);
    }

    fn replace(&mut self, number: usize, env: &mut Env) {
        if let Some(machine) = self.machines.get_mut(number) {
            machine.agent = None;
        }
        env.cluster(self.random.between(5_000, 60_000), ModelHappening::Boots(number));
    }

    fn mark_gone(&mut self, number: usize, id: &AgentId, env: &mut Env) {
        if self.master.away {
            return;
        }
        env.tell("master", || format!("{id} is marked as gone"));
        let state = (TaskState::GoneByOperator, Standing::Gone);
        self.give_up(id, state, env);
        self.send_agent(id, MasterMessage::ShutdownFramework, env);
        self.replace(number, env);
    }

    pub(super) fn health_timeout(&mut self, id: &AgentId, outage: u64, env: &mut Env) {
        let back = self.agents.get(id).is_some_and(|a| a.linked || a.outage != outage);
        let standing = self.master.slaves.get(id).map(|slave| slave.standing);
        if back || self.master.away || standing != Some(Standing::Registered) {
            return;
        }
        env.tell("master", || format!("{id} is unreachable"));
        self.give_up(id, (TaskState::Unreachable, Standing::Unreachable), env);
    }

    /// The master gives an agent up: its tasks are in that state, its offers void.
    fn give_up(&mut self, id: &AgentId, to: (TaskState, Standing), env: &mut Env) {
        let (state, standing) = to;
        let Some(slave) = self.master.slaves.get_mut(id) else { return };
        slave.standing = standing;
        slave.executors.clear();
        let tasks = std::mem::take(&mut slave.tasks);
        self.rescind_agent(id, env);
        for (task, found) in tasks {
            if !is_terminal(found.state) {
                self.tell_state(task, Some(id.clone()), state, StatusReason::AgentLost, env);
            }
        }
        self.tell(Event::Failure { agent: id.clone(), executor: None }, env);
    }

    /// An agent registers, for the first time or again.
    pub(super) fn register(&mut self, id: &AgentId, env: &mut Env) {
        let Some(agent) = self.agents.get(id) else { return };
        let standing = self.master.slaves.get(id).map(|slave| slave.standing);
        if standing == Some(Standing::Gone) {
            self.send_agent(id, MasterMessage::ShutdownFramework, env);
            return;
        }
        let mut slave = Slave::registered(agent);
        let old = self.master.slaves.remove(id);
        let mut missing = Vec::new();
        if let Some(old) = old {
            slave.exits = old.exits;
            for (executor, known) in &old.executors {
                if agent.executors.contains_key(executor) {
                    slave.executors.insert(executor.clone(), known.clone());
                } else {
                    slave.exits.insert(executor.clone(), env.now());
                }
            }
            for (task, known) in old.tasks {
                if is_terminal(known.state) || agent.tasks.contains_key(&task) {
                    continue;
                }
                // Its launch may still be under way; so may its executor.
                if let Some(executor) = old.executors.get(&known.executor) {
                    slave.executors.insert(known.executor.clone(), executor.clone());
                }
                missing.push(task.clone());
                slave.tasks.insert(task, known);
            }
        }
        for (executor, found) in &agent.executors {
            let known = slave.executors.entry(executor.clone());
            known.or_insert_with(|| found.info.clone());
        }
        for (task, found) in &agent.tasks {
            let known = MasterTask {
                state: found.latest,
                told: found.updates.front().map(|update| (update.state, update.uuid)),
                amounts: found.amounts,
                executor: found.executor.clone(),
            };
            slave.tasks.insert(task.clone(), known);
        }
        self.master.slaves.insert(id.clone(), slave);
        env.tell("master", || format!("{id} registers"));
        if standing == Some(Standing::Unreachable) {
            self.tell_all_states(id, env);
        }
        if !missing.is_empty() {
            self.send_agent(id, MasterMessage::Missing(missing), env);
        }
        self.resend_all(id, env);
    }

    fn tell_all_states(&mut self, id: &AgentId, env: &mut Env) {
        let Some(slave) = self.master.slaves.get(id) else { return };
        let live: Vec<(TaskId, TaskState)> = slave
            .tasks
            .iter()
            .filter(|(_, task)| !is_terminal(task.state))
            .map(|(id, task)| (id.clone(), task.state))
            .collect();
        for (task, state) in live {
            self.tell_state(task, Some(id.clone()), state, StatusReason::Other, env);
        }
    }

    // --- masters ---

    fn master_fails(&mut self, env: &mut Env) -> bool {
        if self.master.away {
            return false;
        }
        env.tell("master", || "fails");
        self.drop_stream(env);
        self.master.away = true;
        self.master.generation += 1;
        for slave in self.master.slaves.values_mut() {
            slave.tasks.clear();
            slave.executors.clear();
            if slave.standing == Standing::Registered {
                slave.standing = Standing::Recovering;
            }
        }
        let after = self.random.between(500, 30_000);
        env.cluster(after, ModelHappening::MasterBack);
        true
    }

    pub(super) fn master_back(&mut self, env: &mut Env) {
        env.tell("master", || "another one leads");
        self.master.away = false;
        let generation = self.master.generation;
        let agents: Vec<AgentId> = self.agents.keys().cloned().collect();
        for id in agents {
            let Some(agent) = self.agents.get_mut(&id).filter(|agent| agent.linked) else {
                continue;
            };
            // Until it finds the new master it is as if its link were cut.
            agent.linked = false;
            agent.outage += 1;
            let outage = agent.outage;
            let after = self.random.between(10, 20_000);
            env.cluster(after, ModelHappening::LinkBack(id, outage));
        }
        env.cluster(REREGISTER_MS, ModelHappening::ReregisterTimeout(generation));
    }

    pub(super) fn reregister_timeout(&mut self, generation: u64, env: &mut Env) {
        if self.master.generation != generation {
            return;
        }
        for (id, slave) in &mut self.master.slaves {
            if slave.standing == Standing::Recovering {
                slave.standing = Standing::Unreachable;
                env.story.tell(env.calendar.now, "master", || format!("{id} did not register"));
            }
        }
    }

    /// The framework is removed, as after a teardown or too long an absence.
    fn remove_framework(&mut self, env: &mut Env) -> bool {
        let (Some(stream), Some(framework)) =
            (self.master.stream.take(), self.master.framework.take())
        else {
            return false;
        };
        env.tell("master", || format!("removes framework {framework}"));
        self.master.burnt.insert(framework);
        self.master.offers.clear();
        let agents: Vec<AgentId> = self.agents.keys().cloned().collect();
        for id in agents {
            // Simpler than real ones, where an agent out of reach ends its work on its return.
            self.end_all(&id, env);
        }
        for slave in self.master.slaves.values_mut() {
            slave.tasks.clear();
            slave.executors.clear();
        }
        let event = Box::new(Event::FrameworkRemoved);
        let to = Happening::ToScheduler { to: stream.process, stream: Some(stream.id), event };
        env.calendar.at(stream.last_at.max(env.now() + 1), to);
        true
    }
}
