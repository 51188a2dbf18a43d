//! The methods of `shiftwork.v1.Scheduler`: each takes its request apart and answers what the modules
//! beside it find out.

use shiftwork_engine::JobFilter;
use shiftwork_proto::shiftwork::v1 as wire;
use shiftwork_proto::shiftwork::v1::scheduler_server::Scheduler;
use tonic::{Request, Response, Status};

use super::request::{self, caller, identity};
use super::wire::ToWire as _;
use super::{cluster, documents, logs, past, runs, schedules, watch};
use crate::api::ApiState;
use crate::api::rest::apps::Apps;
use crate::api::rest::calendars::Calendars;
use crate::api::rest::jobs::Jobs;
use crate::api::rest::{executors, status};

/// The service.
pub(super) struct Service {
    state: ApiState,
}

/// What every method answers.
type Answer<T> = Result<Response<T>, Status>;

impl Service {
    /// Answers from this state.
    pub(super) fn new(state: ApiState) -> Self {
        Self { state }
    }
}

#[tonic::async_trait]
impl Scheduler for Service {
    async fn apply(&self, request: Request<wire::ApplyRequest>) -> Answer<wire::ApplyResponse> {
        let by = caller(&request);
        let applied = documents::apply(&self.state, &by, request.into_inner()).await?;
        Ok(Response::new(applied))
    }

    async fn get_app(&self, request: Request<wire::GetAppRequest>) -> Answer<wire::App> {
        let app = documents::get::<Apps>(&self.state, &identity(&request), &request.get_ref().name)
            .await?;
        Ok(Response::new(app.to_wire()))
    }

    async fn list_apps(
        &self,
        request: Request<wire::ListAppsRequest>,
    ) -> Answer<wire::ListAppsResponse> {
        let who = identity(&request);
        let page = request.into_inner().page;
        let page = documents::list::<Apps>(&self.state, &who, (), page).await?;
        let (apps, next_page_token) = request::rows(page);
        Ok(Response::new(wire::ListAppsResponse { apps, next_page_token }))
    }

    async fn delete_app(
        &self,
        request: Request<wire::DeleteAppRequest>,
    ) -> Answer<wire::DeleteResponse> {
        let by = caller(&request);
        let wire::DeleteAppRequest { name, if_match } = request.get_ref();
        documents::delete::<Apps>(&self.state, &by, name, if_match).await?;
        Ok(Response::new(wire::DeleteResponse {}))
    }

    async fn set_app_enabled(
        &self,
        request: Request<wire::SetAppEnabledRequest>,
    ) -> Answer<wire::App> {
        let by = caller(&request);
        let wire::SetAppEnabledRequest { name, enabled, reason } = request.into_inner();
        let app = documents::switch::<Apps>(&self.state, &by, &name, enabled, reason).await?;
        Ok(Response::new(app.to_wire()))
    }

    async fn get_job(&self, request: Request<wire::GetJobRequest>) -> Answer<wire::Job> {
        let job = documents::get::<Jobs>(&self.state, &identity(&request), &request.get_ref().name)
            .await?;
        Ok(Response::new(job.to_wire()))
    }

    async fn list_jobs(
        &self,
        request: Request<wire::ListJobsRequest>,
    ) -> Answer<wire::ListJobsResponse> {
        let who = identity(&request);
        let wire::ListJobsRequest { app, page } = request.into_inner();
        let app = request::filter("app", &app)?;
        let filter = JobFilter { app, ..JobFilter::default() };
        let page = documents::list::<Jobs>(&self.state, &who, filter, page).await?;
        let (jobs, next_page_token) = request::rows(page);
        Ok(Response::new(wire::ListJobsResponse { jobs, next_page_token }))
    }

    async fn delete_job(
        &self,
        request: Request<wire::DeleteJobRequest>,
    ) -> Answer<wire::DeleteResponse> {
        let by = caller(&request);
        let wire::DeleteJobRequest { name, if_match } = request.get_ref();
        documents::delete::<Jobs>(&self.state, &by, name, if_match).await?;
        Ok(Response::new(wire::DeleteResponse {}))
    }

    async fn set_job_enabled(
        &self,
        request: Request<wire::SetJobEnabledRequest>,
    ) -> Answer<wire::Job> {
        let by = caller(&request);
        let wire::SetJobEnabledRequest { name, enabled, reason } = request.into_inner();
        let job = documents::switch::<Jobs>(&self.state, &by, &name, enabled, reason).await?;
        Ok(Response::new(job.to_wire()))
    }

    async fn why_job(&self, request: Request<wire::WhyJobRequest>) -> Answer<wire::WhyJobResponse> {
        let why = cluster::why(&self.state, &identity(&request), &request.get_ref().name).await?;
        Ok(Response::new(why))
    }

    async fn next_firings(
        &self,
        request: Request<wire::NextFiringsRequest>,
    ) -> Answer<wire::FiringsResponse> {
        let who = identity(&request);
        Ok(Response::new(schedules::next(&self.state, &who, request.into_inner()).await?))
    }

    async fn preview_schedule(
        &self,
        request: Request<wire::PreviewScheduleRequest>,
    ) -> Answer<wire::FiringsResponse> {
        Ok(Response::new(schedules::preview(&self.state, request.into_inner())?))
    }

    async fn get_calendar(
        &self,
        request: Request<wire::GetCalendarRequest>,
    ) -> Answer<wire::Calendar> {
        let calendar =
            documents::get::<Calendars>(&self.state, &identity(&request), &request.get_ref().name)
                .await?;
        Ok(Response::new(calendar.to_wire()))
    }

    async fn list_calendars(
        &self,
        request: Request<wire::ListCalendarsRequest>,
    ) -> Answer<wire::ListCalendarsResponse> {
        let who = identity(&request);
        let page = request.into_inner().page;
        let page = documents::list::<Calendars>(&self.state, &who, (), page).await?;
        let (calendars, next_page_token) = request::rows(page);
        Ok(Response::new(wire::ListCalendarsResponse { calendars, next_page_token }))
    }

    async fn delete_calendar(
        &self,
        request: Request<wire::DeleteCalendarRequest>,
    ) -> Answer<wire::DeleteResponse> {
        let by = caller(&request);
        let wire::DeleteCalendarRequest { name, if_match } = request.get_ref();
        documents::delete::<Calendars>(&self.state, &by, name, if_match).await?;
        Ok(Response::new(wire::DeleteResponse {}))
    }

    async fn trigger(&self, request: Request<wire::TriggerRequest>) -> Answer<wire::RunMade> {
        let by = caller(&request);
        Ok(Response::new(runs::trigger(&self.state, by, request.into_inner()).await?))
    }

    async fn rerun(&self, request: Request<wire::RerunRequest>) -> Answer<wire::RunMade> {
        let by = caller(&request);
        Ok(Response::new(runs::rerun(&self.state, by, request.into_inner()).await?))
    }

    async fn cancel_run(
        &self,
        request: Request<wire::CancelRunRequest>,
    ) -> Answer<wire::CancelRunResponse> {
        let by = caller(&request);
        runs::cancel(&self.state, by, &request.get_ref().run).await?;
        Ok(Response::new(wire::CancelRunResponse {}))
    }

    async fn get_run(&self, request: Request<wire::GetRunRequest>) -> Answer<wire::Run> {
        Ok(Response::new(
            runs::get(&self.state, &identity(&request), &request.get_ref().run).await?,
        ))
    }

    async fn list_runs(
        &self,
        request: Request<wire::ListRunsRequest>,
    ) -> Answer<wire::ListRunsResponse> {
        let who = identity(&request);
        Ok(Response::new(runs::list(&self.state, &who, request.into_inner()).await?))
    }

    async fn list_run_events(
        &self,
        request: Request<wire::ListRunEventsRequest>,
    ) -> Answer<wire::ListRunEventsResponse> {
        let who = identity(&request);
        Ok(Response::new(runs::events(&self.state, &who, request.into_inner()).await?))
    }

    async fn get_task(&self, request: Request<wire::GetTaskRequest>) -> Answer<wire::Task> {
        let task = runs::task(&self.state, &identity(&request), &request.get_ref().task).await?;
        Ok(Response::new(task.to_wire()))
    }

    async fn list_tasks(
        &self,
        request: Request<wire::ListTasksRequest>,
    ) -> Answer<wire::ListTasksResponse> {
        let who = identity(&request);
        Ok(Response::new(runs::tasks(&self.state, &who, request.into_inner()).await?))
    }

    async fn kill_task(
        &self,
        request: Request<wire::KillTaskRequest>,
    ) -> Answer<wire::KillTaskResponse> {
        let by = caller(&request);
        runs::kill(&self.state, by, &request.get_ref().task).await?;
        Ok(Response::new(wire::KillTaskResponse {}))
    }

    async fn read_logs(&self, request: Request<wire::ReadLogsRequest>) -> Answer<wire::Log> {
        let who = identity(&request);
        Ok(Response::new(logs::read(&self.state, &who, request.into_inner()).await?))
    }

    type FollowLogsStream = logs::Parts;

    async fn follow_logs(
        &self,
        request: Request<wire::FollowLogsRequest>,
    ) -> Answer<Self::FollowLogsStream> {
        let who = identity(&request);
        Ok(Response::new(logs::follow(&self.state, &who, request.into_inner()).await?))
    }

    async fn list_ready(
        &self,
        request: Request<wire::ListReadyRequest>,
    ) -> Answer<wire::ListReadyResponse> {
        let who = identity(&request);
        Ok(Response::new(cluster::ready(&self.state, &who, request.into_inner()).await?))
    }

    async fn list_failover(
        &self,
        request: Request<wire::ListFailoverRequest>,
    ) -> Answer<wire::ListFailoverResponse> {
        let who = identity(&request);
        Ok(Response::new(cluster::failover(&self.state, &who, request.into_inner()).await?))
    }

    async fn list_running(
        &self,
        request: Request<wire::ListRunningRequest>,
    ) -> Answer<wire::ListRunningResponse> {
        let who = identity(&request);
        Ok(Response::new(cluster::running(&self.state, &who, request.into_inner()).await?))
    }

    async fn list_agents(
        &self,
        request: Request<wire::ListAgentsRequest>,
    ) -> Answer<wire::ListAgentsResponse> {
        Ok(Response::new(cluster::agents(&self.state, request.into_inner()).await?))
    }

    async fn get_agent(&self, request: Request<wire::GetAgentRequest>) -> Answer<wire::Agent> {
        let agent = executors::agent(&self.state, request.into_inner().agent).await?;
        Ok(Response::new(agent.to_wire()))
    }

    async fn list_offers(
        &self,
        request: Request<wire::ListOffersRequest>,
    ) -> Answer<wire::ListOffersResponse> {
        Ok(Response::new(cluster::offers(&self.state, request.into_inner()).await?))
    }

    async fn list_executors(
        &self,
        request: Request<wire::ListExecutorsRequest>,
    ) -> Answer<wire::ListExecutorsResponse> {
        let who = identity(&request);
        Ok(Response::new(cluster::executors(&self.state, &who, request.into_inner()).await?))
    }

    async fn get_statistics(
        &self,
        request: Request<wire::GetStatisticsRequest>,
    ) -> Answer<wire::Statistics> {
        Ok(Response::new(past::statistics(&self.state, request.into_inner()).await?))
    }

    async fn audit(&self, request: Request<wire::AuditRequest>) -> Answer<wire::AuditResponse> {
        Ok(Response::new(past::audit(&self.state, request.into_inner()).await?))
    }

    async fn list_audit_log(
        &self,
        request: Request<wire::ListAuditLogRequest>,
    ) -> Answer<wire::ListAuditLogResponse> {
        Ok(Response::new(past::audit_log(&self.state, request.into_inner()).await?))
    }

    async fn get_status(&self, _: Request<wire::GetStatusRequest>) -> Answer<wire::Status> {
        Ok(Response::new(status::status(&self.state).await?.to_wire()))
    }

    async fn get_leader(&self, _: Request<wire::GetLeaderRequest>) -> Answer<wire::Leader> {
        Ok(Response::new(cluster::who_leads(&self.state)?))
    }

    async fn reconcile(
        &self,
        request: Request<wire::ReconcileRequest>,
    ) -> Answer<wire::ReconcileResponse> {
        cluster::reconcile(&self.state, caller(&request)).await?;
        Ok(Response::new(wire::ReconcileResponse {}))
    }

    type WatchStream = watch::Messages;

    async fn watch(&self, request: Request<wire::WatchRequest>) -> Answer<Self::WatchStream> {
        let who = identity(&request);
        Ok(Response::new(watch::begin(&self.state, &who, request.into_inner()).await?))
    }
}
