//! Which calls of an executor an agent answers at all. No change of anything.

use shiftwork_proto::mesos::v1::{TaskState, executor as api, task_status};

use super::super::id::{ExecutorId, FrameworkId};
use super::super::master::Rejection;
use super::Agent;
use super::executor::Phase;

// === impl Agent ===

impl Agent {
    /// Checks a call in the order in which an agent does: shape, framework, executor, connection.
    pub(in super::super) fn admit(&self, call: &api::Call) -> Result<(), Rejection> {
        use api::call::Type;
        let invalid = |text: &str| {
            Rejection::bad_request(format!("Failed to validate executor::Call: {text}"))
        };
        match call.r#type() {
            Type::Unknown => return Err(invalid("Expecting 'type' to be present")),
            Type::Subscribe if call.subscribe.is_none() => {
                return Err(invalid("Expecting 'subscribe' to be present"));
            }
            Type::Update => check_update(call).map_err(|text| invalid(&text))?,
            Type::Message if call.message.is_none() => {
                return Err(invalid("Expecting 'message' to be present"));
            }
            _ => {}
        }
        let framework = FrameworkId::from(&call.framework_id);
        if !self.executors.keys().any(|(of, _)| *of == framework) {
            return Err(Rejection::bad_request("Framework cannot be found"));
        }
        let key = (framework, ExecutorId::from(&call.executor_id));
        let Some(executor) = self.executors.get(&key) else {
            return Err(Rejection::bad_request("Executor cannot be found"));
        };
        if matches!(executor.phase, Phase::Starting { .. }) && call.r#type() != Type::Subscribe {
            return Err(Rejection::forbidden("Executor is not subscribed"));
        }
        Ok(())
    }
}

/// An update must be the executor's own, have a uuid, and not say that the task is yet to be sent.
fn check_update(call: &api::Call) -> Result<(), String> {
    let Some(update) = &call.update else {
        return Err("Expecting 'update' to be present".to_owned());
    };
    let status = &update.status;
    if status.uuid().is_empty() {
        return Err("Expecting 'uuid' to be present".to_owned());
    }
    if status.source() != task_status::Source::Executor {
        return Err(format!(
            "Received Call from executor {} of framework {} with invalid source, expecting \
             'source' to be SOURCE_EXECUTOR",
            call.executor_id.value, call.framework_id.value
        ));
    }
    if status.state() == TaskState::TaskStaging {
        return Err("TASK_STAGING is not a state an executor may report".to_owned());
    }
    Ok(())
}
