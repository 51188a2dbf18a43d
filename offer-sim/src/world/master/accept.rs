//! ACCEPT: offers turned into tasks, what is left given back. What makes a task invalid is in
//! `validate`.

use std::collections::BTreeSet;

use shiftwork_proto::mesos::v1::{TaskInfo, TaskState, TaskStatus, scheduler, task_status};

use super::super::Turn;
use super::super::id::{AgentId, ExecutorId, FrameworkId, OfferId, TaskId};
use super::super::mail::{RunTask, ToAgent};
use super::super::resources::Resources;
use super::super::status::Cause;
use super::offers::{Offer, launched_tasks};
use super::updates::update;
use super::validate::{Launch, Offered};
use super::{Master, RunningExecutor, Task};

// === impl Master ===

impl Master {
    pub(super) fn on_accept(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &FrameworkId,
        call: scheduler::call::Accept,
    ) {
        let ids: Vec<OfferId> = call.offer_ids.iter().map(OfferId::from).collect();
        let tasks = launched_tasks(call.operations);
        match self.check_offers(framework, &ids) {
            Err(error) => {
                self.give_back_offers(turn, framework, &ids);
                for task in &tasks {
                    self.refuse_offers(turn, framework, task, &error);
                }
            }
            Ok((agent, role)) => {
                let mut offered = Offered { agent, role, rest: Resources::default() };
                for id in &ids {
                    if let Some(offer) = self.offers.remove(id) {
                        offered.rest.add(&offer.resources);
                    }
                }
                for task in tasks {
                    self.accept_task(turn, framework, &mut offered, task);
                }
                let refused = (offered.role.as_str(), &offered.agent, &offered.rest);
                let refuse_seconds = call.filters.and_then(|filters| filters.refuse_seconds);
                self.allocator.refuse(turn, framework, refused, refuse_seconds);
                self.give_back(turn, &offered.agent, &offered.rest);
            }
        }
    }

    /// All offers must be there, once each, be this framework's, and be of one agent and role.
    fn check_offers(
        &self,
        framework: &FrameworkId,
        ids: &[OfferId],
    ) -> Result<(AgentId, String), String> {
        let mut seen = BTreeSet::new();
        let mut first: Option<(&OfferId, &Offer)> = None;
        for id in ids {
            if !seen.insert(id) {
                return Err(format!("Duplicate offer {id} in offer list"));
            }
            let offer = self.offers.get(id);
            let Some(offer) = offer.filter(|offer| offer.framework == *framework) else {
                return Err(format!("Offer {id} is no longer valid"));
            };
            let Some((first_id, first_offer)) = first else {
                first = Some((id, offer));
                continue;
            };
            if offer.agent != first_offer.agent {
                return Err(format!(
                    "Aggregated offers must belong to one single agent. Offer {id} uses agent {} \
                     and offer {first_id} uses agent {}",
                    offer.agent, first_offer.agent
                ));
            }
            if offer.role != first_offer.role {
                return Err(format!(
                    "Aggregated offers must be allocated to the same role. Offer {id} uses role \
                     {} but another is using role {}",
                    offer.role, first_offer.role
                ));
            }
        }
        let (_, offer) = first.ok_or_else(|| "No offers specified".to_owned())?;
        Ok((offer.agent.clone(), offer.role.clone()))
    }

    /// Offers named in an invalid ACCEPT are used up; what was in them is free again.
    fn give_back_offers(&mut self, turn: &mut Turn<'_>, framework: &FrameworkId, ids: &[OfferId]) {
        for id in ids {
            if self.offers.get(id).is_some_and(|offer| offer.framework == *framework)
                && let Some(offer) = self.offers.remove(id)
            {
                self.give_back(turn, &offer.agent, &offer.resources);
            }
        }
    }

    fn refuse_offers(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &FrameworkId,
        task: &TaskInfo,
        error: &str,
    ) {
        let Some(registered) = self.frameworks.get(framework) else { return };
        let state = registered.lost_as(TaskState::TaskDropped);
        let message = format!("Task launched with invalid offers: {error}");
        let cause = Cause::master(task_status::Reason::InvalidOffers, message);
        self.tell_unlaunched(turn, framework, task, state, cause);
    }

    /// Tells the end of a task that never began. It carries no uuid: nobody keeps it.
    fn tell_unlaunched(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &FrameworkId,
        task: &TaskInfo,
        state: TaskState,
        cause: Cause,
    ) {
        let agent = AgentId::from(&task.agent_id);
        let seconds = turn.timestamp_seconds();
        let status: TaskStatus =
            cause.status(&TaskId::from(&task.task_id), Some(&agent), state, seconds);
        self.tell(turn, framework, update(status));
    }

    fn accept_task(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &FrameworkId,
        offered: &mut Offered,
        task: TaskInfo,
    ) {
        match self.validate(framework, offered, &task) {
            Ok(launch) => self.launch(turn, framework, offered, task, launch),
            Err(message) => {
                let cause = Cause::master(task_status::Reason::TaskInvalid, message);
                self.tell_unlaunched(turn, framework, &task, TaskState::TaskError, cause);
            }
        }
    }

    fn launch(
        &mut self,
        turn: &mut Turn<'_>,
        id: &FrameworkId,
        offered: &mut Offered,
        mut task: TaskInfo,
        launch: Launch,
    ) {
        let Some(framework) = self.frameworks.get(id) else { return };
        let Some(agent) = self.agents.get_mut(&offered.agent) else { return };
        offered.rest.subtract(&launch.task_resources);
        let executor_id = launch.executor.as_ref().map(|info| ExecutorId::from(&info.executor_id));
        let executor_resources = launch.new_executor.clone().unwrap_or_default();
        let launch_executor = launch.new_executor.is_some() || launch.executor.is_none();
        if let (Some(resources), Some(info), Some(executor_id)) =
            (launch.new_executor, &launch.executor, &executor_id)
        {
            offered.rest.subtract(&resources);
            let executor = RunningExecutor { info: info.clone(), resources };
            agent.executors.insert((id.clone(), executor_id.clone()), executor);
        }
        task.executor.clone_from(&launch.executor);
        let record = Task {
            agent: offered.agent.clone(),
            executor: executor_id,
            resources: launch.task_resources.clone(),
            state: TaskState::TaskStaging,
            sent: None,
            container: None,
            recovered: false,
            unreachable_since_ms: None,
        };
        self.tasks.insert((id.clone(), TaskId::from(&task.task_id)), record);
        let run = RunTask {
            framework: framework.info.clone(),
            task,
            executor: launch.executor,
            resources: launch.task_resources,
            executor_resources,
            launch_executor,
        };
        turn.send_agent(&offered.agent, ToAgent::RunTask(Box::new(run)));
    }
}
