//! The speaking half of an executor: the agent starts a shell script as its process, and the test
//! speaks for it.

use std::net::SocketAddr;

use bytes::Bytes;
use prost::Message;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use shiftwork_proto::mesos::v1::executor::{Call, Event, call, event};
use shiftwork_proto::mesos::v1::{
    CommandInfo, ExecutorId, ExecutorInfo, FrameworkId, TaskId, TaskState, TaskStatus, task_status,
};

use super::client::{PROTOBUF, Stream};

/// An executor that is subscribed.
pub(crate) struct Executor {
    http: reqwest::Client,
    url: String,
    framework: FrameworkId,
    id: ExecutorId,
    stream: Stream,
}

/// An executor whose process is a shell script.
pub(crate) fn info(id: &str, script: &str) -> ExecutorInfo {
    ExecutorInfo {
        executor_id: ExecutorId { value: id.to_owned() },
        command: Some(CommandInfo { value: Some(script.to_owned()), ..CommandInfo::default() }),
        ..ExecutorInfo::default()
    }
}

/// A report of a task.
pub(crate) fn status(task: &str, state: TaskState, uuid: u8) -> TaskStatus {
    TaskStatus {
        task_id: TaskId { value: task.to_owned() },
        state: state.into(),
        source: Some(task_status::Source::Executor.into()),
        uuid: Some(Bytes::copy_from_slice(&[uuid; 16])),
        ..TaskStatus::default()
    }
}

// === impl Executor ===

impl Executor {
    /// Subscribes; the agent must know the executor.
    pub(crate) async fn subscribe(addr: SocketAddr, framework: &FrameworkId, id: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("http://{addr}/api/v1/executor");
        let id = ExecutorId { value: id.to_owned() };
        let call = Call {
            executor_id: id.clone(),
            framework_id: framework.clone(),
            r#type: Some(call::Type::Subscribe.into()),
            subscribe: Some(call::Subscribe::default()),
            ..Call::default()
        };
        // The call that launched it may still be on its way through the owner.
        let response = loop {
            let response = http
                .post(&url)
                .header(CONTENT_TYPE, PROTOBUF)
                .header(ACCEPT, PROTOBUF)
                .body(call.encode_to_vec())
                .send()
                .await
                .unwrap();
            if response.status() != 400 {
                break response;
            }
        };
        assert_eq!(response.status(), 200);
        let stream = Stream::new(response);
        let mut executor = Self { http, url, framework: framework.clone(), id, stream };
        let subscribed = executor.next().await.unwrap().subscribed.expect("SUBSCRIBED first");
        assert_eq!(subscribed.framework_info.id.as_ref(), Some(framework));
        assert_eq!(subscribed.executor_info.executor_id, executor.id);
        executor
    }

    /// The next event, `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        Some(Event::decode(self.stream.next().await?).unwrap())
    }

    /// The next event must be a launch of this task.
    pub(crate) async fn expect_launch(&mut self, task: &str) {
        let event = self.next().await.unwrap();
        assert_eq!(event.launch.expect("LAUNCH").task.task_id.value, task);
    }

    /// Reports, and waits until the agent has it.
    pub(crate) async fn report(&mut self, status: TaskStatus) {
        let uuid = status.uuid.clone().unwrap();
        let call = Call {
            executor_id: self.id.clone(),
            framework_id: self.framework.clone(),
            r#type: Some(call::Type::Update.into()),
            update: Some(call::Update { status }),
            ..Call::default()
        };
        let response = self
            .http
            .post(&self.url)
            .header(CONTENT_TYPE, PROTOBUF)
            .body(call.encode_to_vec())
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 202, "{}", response.text().await.unwrap());
        let event = self.next().await.unwrap();
        assert_eq!(event.r#type(), event::Type::Acknowledged);
        assert_eq!(event.acknowledged.unwrap().uuid, uuid);
    }
}
