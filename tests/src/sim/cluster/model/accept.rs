//! ACCEPT as a master takes it: offers it knows, of one agent, and not more than they hold. What a
//! correct scheduler never sends is told to the auditor as well.

use shiftwork_engine::effect::Launch;
use shiftwork_engine::event::{StatusReason, TaskState};
use shiftwork_engine::ids::{AgentId, OfferId};

use super::master::{MasterExecutor, MasterTask, OfferOut, Slave, Standing};
use super::{Amounts, MasterMessage, Model};
use crate::sim::env::{Env, Fact};

/// What becomes of one launch.
enum Verdict {
    Runs,
    Refused,
}

impl Model {
    pub(super) fn accept(
        &mut self,
        agent: &AgentId,
        offers: &[OfferId],
        launches: Vec<Launch>,
        env: &mut Env,
    ) {
        let outs: Vec<Option<OfferOut>> =
            offers.iter().map(|offer| self.master.offers.remove(offer)).collect();
        let known = !outs.is_empty() && outs.iter().all(Option::is_some);
        let outs: Vec<OfferOut> = outs.into_iter().flatten().collect();
        let newest = outs.iter().max_by_key(|out| out.since);
        let repeats = self.describe(agent, &launches, newest);
        if outs.iter().any(|out| out.agent != *agent) {
            let text = format!("ACCEPT for {agent} uses offers of other agents: {offers:?}");
            env.facts.push(Fact::Improper(text));
        }
        let registered = self
            .master
            .slaves
            .get(agent)
            .is_some_and(|slave| slave.standing == Standing::Registered);
        if !known || !registered {
            for launch in launches {
                let (state, reason) = (TaskState::Dropped, StatusReason::Other);
                self.tell_state(launch.task, Some(agent.clone()), state, reason, env);
            }
            return;
        }
        let mut free = Amounts::default();
        for out in &outs {
            free += out.amounts;
        }
        let since = outs.iter().map(|out| out.since).max().unwrap_or_default();
        for launch in &launches {
            for resources in [&launch.resources, &launch.executor.resources] {
                if !self.origins.are_of(resources) {
                    let text = format!("{}: {resources:?} were never offered", launch.task);
                    env.facts.push(Fact::Improper(text));
                }
            }
        }
        let (offered, mut refused) = (free, false);
        for launch in launches {
            let Some(slave) = self.master.slaves.get_mut(agent) else { return };
            match admit(slave, &launch, since, &mut free, env) {
                Verdict::Runs => {
                    self.send_agent(agent, MasterMessage::Run(Box::new(launch)), env);
                }
                Verdict::Refused => {
                    refused = true;
                    let (state, reason) = (TaskState::Error, StatusReason::Other);
                    self.tell_state(launch.task, Some(agent.clone()), state, reason, env);
                }
            }
        }
        let mut used = offered;
        used -= free;
        let spared = free.spared(&used);
        if !refused && !repeats && !spared.is_empty() {
            let text = format!("on {agent} reserved {spared:?} are spared and unreserved are used");
            env.facts.push(Fact::Improper(text));
        }
    }
}

impl Model {
    /// Notes how executors are described. True if one is described as it was before that does not run,
    /// or that the newest of the offers does not name, or of whose end a task has told since: whoever
    /// launched it cannot know whether it is there, and pays for it again as if it were not.
    pub(super) fn describe(
        &mut self,
        agent: &AgentId,
        launches: &[Launch],
        newest: Option<&OfferOut>,
    ) -> bool {
        let mut repeats = false;
        for Launch { executor, .. } in launches {
            let key = (agent.clone(), executor.id.clone());
            let lost_at = self.told_lost.get(&key).copied().unwrap_or(i64::MIN);
            let slave = self.master.slaves.get(agent);
            let runs = slave.is_some_and(|slave| slave.executors.contains_key(&executor.id));
            let is_known = newest.is_some_and(|offer| {
                offer.since > lost_at && offer.executors.contains(&executor.id)
            });
            let before = self.described.insert(key, executor.resources.clone());
            repeats |= !(runs && is_known) && before.as_ref() == Some(&executor.resources);
        }
        repeats
    }
}

/// Charges the task and, once, its executor; or refuses.
fn admit(
    slave: &mut Slave,
    launch: &Launch,
    since: i64,
    free: &mut Amounts,
    env: &mut Env,
) -> Verdict {
    let executor = &launch.executor;
    let mut needs = Amounts::of(&launch.resources);
    let running = slave.executors.get(&executor.id);
    if let Some(running) = running {
        let same = running.app.get() == executor.app.source.get()
            && Amounts::of(&running.resources) == Amounts::of(&executor.resources);
        if !same {
            let text = format!("{}: executor {} runs as another", launch.task, executor.id);
            env.facts.push(Fact::Improper(text));
            return Verdict::Refused;
        }
    } else {
        needs += Amounts::of(&executor.resources);
    }
    if slave.tasks.contains_key(&launch.task) {
        env.facts.push(Fact::Improper(format!("task {} was launched twice", launch.task)));
        return Verdict::Refused;
    }
    if Amounts::of(&launch.resources).port_count() != launch.resources.port_count() {
        let text = format!("{}: a port is given twice, or is none of ours", launch.task);
        env.facts.push(Fact::Improper(text));
        return Verdict::Refused;
    }
    if !free.covers(&needs) {
        // The offer still named an executor that has ended meanwhile: nobody could know that it must
        // be paid for again, nor that less is left for what comes after it.
        let ended_since = slave.exits.values().any(|at| *at >= since);
        if !ended_since {
            let text = format!("{}: over-commit, needs {needs:?}, left {free:?}", launch.task);
            env.facts.push(Fact::Improper(text));
        }
        return Verdict::Refused;
    }
    *free -= needs;
    slave.executors.entry(executor.id.clone()).or_insert_with(|| MasterExecutor {
        app: executor.app.source.clone(),
        resources: executor.resources.clone(),
    });
    let task = MasterTask {
        state: TaskState::Staging,
        told: None,
        amounts: Amounts::of(&launch.resources),
        executor: executor.id.clone(),
    };
    slave.tasks.insert(launch.task.clone(), task);
    Verdict::Runs
}
