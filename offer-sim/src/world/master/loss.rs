//! Agents that are lost: disconnected, unreachable, marked gone, or not back after the master
//! failed over. What comes back is in `register`.

use shiftwork_proto::mesos::v1::framework_info::capability;
use shiftwork_proto::mesos::v1::{TaskState, TaskStatus, scheduler, task_status};

use super::super::event::AgentSpec;
use super::super::id::{AgentId, FrameworkId, OfferId, TaskId};
use super::super::mail::ToAgent;
use super::super::status::Cause;
use super::super::timers::Timer;
use super::super::{Effect, Turn};
use super::reconcile::time_info;
use super::updates::update;
use super::{Master, Task};

// === impl Master ===

impl Master {
    pub(in super::super) fn has_agent(&self, agent: &AgentId) -> bool {
        self.agents.contains_key(agent)
    }

    pub(in super::super) fn specs(&self) -> impl Iterator<Item = &AgentSpec> {
        self.agents.values().map(|agent| &agent.spec)
    }

    /// How an agent fares, for people.
    pub(in super::super) fn agent_state(&self, agent: &AgentId) -> &'static str {
        if self.gone.contains(agent) {
            "GONE"
        } else if self.unreachable.contains_key(agent) {
            "UNREACHABLE"
        } else if self.expected.contains(agent) {
            "RECOVERED"
        } else {
            match self.agents.get(agent) {
                Some(registered) if registered.is_active => "ACTIVE",
                Some(_) => "DISCONNECTED",
                None => "UNREGISTERED",
            }
        }
    }

    /// An agent's connection broke: it is offered no more, and may come back as it was.
    pub(in super::super) fn on_agent_disconnected(&mut self, turn: &mut Turn<'_>, id: &AgentId) {
        if let Some(agent) = self.agents.get_mut(id) {
            agent.is_active = false;
            self.rescind_offers_on(turn, id);
        }
    }

    /// An agent's health checks failed: its tasks are unreachable, and whoever knows nothing of
    /// partitions is told that they are lost.
    pub(in super::super) fn on_agent_unreachable(&mut self, turn: &mut Turn<'_>, id: &AgentId) {
        if self.agents.remove(id).is_none() && !self.expected.remove(id) {
            return;
        }
        self.unreachable.insert(id.clone(), turn.now_ms);
        for key in self.tasks_on(id) {
            let status = self.lost(
                turn,
                &key,
                TaskState::TaskUnreachable,
                Cause::master(task_status::Reason::AgentRemoved, "health check timed out"),
            );
            let Some(status) = status else { continue };
            let unreachable_time = Some(time_info(turn.now_ms));
            self.tell(turn, &key.0, update(TaskStatus { unreachable_time, ..status }));
            let aware = self.frameworks.get(&key.0);
            if aware.is_none_or(|it| it.can(capability::Type::PartitionAware)) {
                // What it holds counts again if its agent comes back.
                if let Some(task) = self.tasks.get_mut(&key) {
                    task.unreachable_since_ms = Some(turn.now_ms);
                }
            } else {
                self.tasks.remove(&key);
            }
        }
        self.rescind_offers_on(turn, id);
        self.tell_agent_lost(turn, id);
    }

    /// An operator says that an agent will never be back.
    pub(in super::super) fn on_agent_marked_gone(&mut self, turn: &mut Turn<'_>, id: &AgentId) {
        if !self.gone.insert(id.clone()) {
            return;
        }
        self.unreachable.remove(id);
        self.expected.remove(id);
        for key in self.tasks_on(id) {
            let reason = task_status::Reason::AgentRemovedByOperator;
            let cause = Cause::master(reason, "Agent has been marked gone");
            if let Some(status) = self.lost(turn, &key, TaskState::TaskGoneByOperator, cause) {
                self.tell(turn, &key.0, update(status));
            }
            self.tasks.remove(&key);
        }
        self.agents.remove(id);
        self.rescind_offers_on(turn, id);
        self.tell_agent_lost(turn, id);
        turn.send_agent(id, ToAgent::Shutdown);
    }

    /// The status of a task whose agent is lost. Also one that is known to have ended is told of, as
    /// long as its framework did not acknowledge that: the update of its end may be lost for good.
    fn lost(
        &self,
        turn: &Turn<'_>,
        key: &(FrameworkId, TaskId),
        state: TaskState,
        cause: Cause,
    ) -> Option<TaskStatus> {
        let task = self.tasks.get(key)?;
        let state = self.frameworks.get(&key.0)?.lost_as(state);
        Some(cause.status(&key.1, Some(&task.agent), state, turn.timestamp_seconds()))
    }

    fn tasks_on(&self, agent: &AgentId) -> Vec<(FrameworkId, TaskId)> {
        let here = |(_, task): &(&(FrameworkId, TaskId), &Task)| task.agent == *agent;
        self.tasks.iter().filter(here).map(|(key, _)| key.clone()).collect()
    }

    /// Every framework hears of an agent that is lost.
    fn tell_agent_lost(&self, turn: &mut Turn<'_>, agent: &AgentId) {
        for framework in self.frameworks.keys() {
            let failure = scheduler::event::Failure {
                agent_id: Some(agent.into()),
                ..scheduler::event::Failure::default()
            };
            let event = scheduler::Event {
                r#type: Some(scheduler::event::Type::Failure.into()),
                failure: Some(failure),
                ..scheduler::Event::default()
            };
            self.tell(turn, framework, event);
        }
    }

    /// Takes back the offers of an agent; what was in them is free again if it is registered.
    pub(in super::super) fn rescind_offers_on(&mut self, turn: &mut Turn<'_>, agent: &AgentId) {
        let here = self.offers.iter().filter(|(_, offer)| offer.agent == *agent);
        let ids: Vec<OfferId> = here.map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.rescind(turn, &id);
        }
    }

    pub(in super::super) fn rescind_all_offers(&mut self, turn: &mut Turn<'_>) {
        let ids: Vec<OfferId> = self.offers.keys().cloned().collect();
        for id in ids {
            self.rescind(turn, &id);
        }
    }

    /// Takes over from a master that died: all streams end, and of all it knew only what it had
    /// stored is left, which is the agents' names, those that are gone, and the maintenance.
    pub(in super::super) fn fail_over(&mut self, turn: &mut Turn<'_>) {
        for framework in self.frameworks.values() {
            if let Some(stream) = framework.stream() {
                turn.effects.push(Effect::CloseScheduler { stream: stream.clone() });
            }
        }
        let former = std::mem::take(self);
        self.expected = former.expected;
        self.expected.extend(former.agents.into_keys());
        self.unreachable = former.unreachable;
        self.gone = former.gone;
        self.maintenance.keep_schedule(former.maintenance);
        turn.ids.change_master();
        let timeout_ms = turn.config.agent_reregister_timeout_ms;
        self.reregister_by_ms = turn.now_ms.saturating_add(timeout_ms);
        turn.timers.set(self.reregister_by_ms, Timer::ReregisterTimeout);
        turn.effects.push(Effect::DropAgents);
    }

    /// Takes over from a master of another process, of whose agents nothing is known.
    pub(in super::super) fn on_elected(&mut self, turn: &mut Turn<'_>) {
        let timeout_ms = turn.config.agent_reregister_timeout_ms;
        self.expects_strangers_until_ms = turn.now_ms.saturating_add(timeout_ms);
    }

    /// Agents that a former master knew had their time; those that did not come are unreachable.
    pub(in super::super) fn on_reregister_timeout(&mut self, turn: &mut Turn<'_>) {
        if self.reregister_by_ms > turn.now_ms {
            return;
        }
        for agent in self.expected.clone() {
            self.on_agent_unreachable(turn, &agent);
        }
    }
}
