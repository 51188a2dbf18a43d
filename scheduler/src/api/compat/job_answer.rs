//! Jobs as both generations of Elastic-Job-Cloud answer them. Absent: the way from their documents to
//! ours (`job_document.rs`).

use serde::Serialize;
use serde_json::{Map, Value};
use shiftwork_engine::view::JobView;

use super::dialect::Dialect;
use super::job_document::{accumulates, boolean, number, object, text};

/// What 2.x answers as the class of a script.
const SCRIPT_CLASS: &str = "com.dangdang.ddframe.job.api.script.ScriptJob";
/// The handlers 2.x answers where a document names none.
const HANDLERS: [(&str, &str); 2] = [
    (
        "job_exception_handler",
        "com.dangdang.ddframe.job.executor.handler.impl.DefaultJobExceptionHandler",
    ),
    (
        "executor_service_handler",
        "com.dangdang.ddframe.job.executor.handler.impl.DefaultExecutorServiceHandler",
    ),
];

/// A job as 2.x answers it, in its order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct JobV2 {
    job_name: String,
    job_class: String,
    job_type: String,
    cron: String,
    sharding_total_count: i64,
    sharding_item_parameters: String,
    job_parameter: String,
    failover: bool,
    misfire: bool,
    description: String,
    job_properties: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    streaming_process: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_command_line: Option<String>,
    app_name: String,
    cpu_count: f64,
    #[serde(rename = "memoryMB")]
    memory_mb: f64,
    job_execution_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    bean_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_context: Option<String>,
}

/// A job as 3.x answers it, in its order, nulls and all.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct JobV3 {
    app_name: String,
    cpu_count: f64,
    #[serde(rename = "memoryMB")]
    memory_mb: f64,
    job_execution_type: String,
    job_name: String,
    cron: Option<String>,
    sharding_total_count: i64,
    sharding_item_parameters: Option<String>,
    job_parameter: Option<String>,
    monitor_execution: bool,
    failover: bool,
    misfire: bool,
    max_time_diff_seconds: i64,
    reconcile_interval_minutes: i64,
    job_sharding_strategy_type: Option<String>,
    job_executor_service_handler_type: Option<String>,
    job_error_handler_type: Option<String>,
    description: Option<String>,
    props: Value,
    disabled: bool,
    overwrite: bool,
}

/// A job in the words of a dialect.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum JobAnswer {
    /// 2.x.
    #[allow(private_interfaces)]
    V2(Box<JobV2>),
    /// 3.x.
    #[allow(private_interfaces)]
    V3(Box<JobV3>),
}

impl JobAnswer {
    /// The job of a view.
    pub(super) fn of(view: &JobView, dialect: Dialect) -> Self {
        let document = object(view.document.get());
        match dialect {
            Dialect::V2 => Self::V2(Box::new(v2(&view.name, &document))),
            Dialect::V3 => Self::V3(Box::new(v3(&view.name, &document))),
        }
    }
}

fn present(document: &Map<String, Value>, name: &str) -> Option<String> {
    document.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn count(document: &Map<String, Value>, name: &str) -> i64 {
    number(document, name).unwrap_or_default() as i64
}

fn prop(document: &Map<String, Value>, name: &str) -> Option<String> {
    Some(document.get("props")?.get(name)?.as_str()?.to_owned())
}

fn v2(name: &str, document: &Map<String, Value>) -> JobV2 {
    let job_type = present(document, "jobType").unwrap_or_else(|| "SCRIPT".to_owned());
    let is_script = job_type == "SCRIPT";
    let mut properties =
        document.get("jobProperties").and_then(Value::as_object).cloned().unwrap_or_default();
    for (key, handler) in HANDLERS {
        properties.entry(key).or_insert_with(|| Value::from(handler));
    }
    let streams = || {
        boolean(document, "streamingProcess", false)
            || prop(document, "streaming.process").as_deref() == Some("true")
    };
    JobV2 {
        job_name: name.to_owned(),
        job_class: if is_script { SCRIPT_CLASS.to_owned() } else { text(document, "jobClass") },
        cron: text(document, "cron"),
        sharding_total_count: count(document, "shardingTotalCount"),
        sharding_item_parameters: text(document, "shardingItemParameters"),
        job_parameter: text(document, "jobParameter"),
        failover: boolean(document, "failover", false),
        misfire: accumulates(document),
        description: text(document, "description"),
        job_properties: Value::Object(properties),
        streaming_process: (job_type == "DATAFLOW").then(streams),
        script_command_line: is_script.then(|| {
            present(document, "scriptCommandLine")
                .or_else(|| prop(document, "script.command.line"))
                .unwrap_or_default()
        }),
        job_type,
        app_name: text(document, "appName"),
        cpu_count: number(document, "cpuCount").unwrap_or_default(),
        memory_mb: number(document, "memoryMB").unwrap_or_default(),
        job_execution_type: text(document, "jobExecutionType"),
        bean_name: present(document, "beanName"),
        application_context: present(document, "applicationContext"),
    }
}

fn v3(name: &str, document: &Map<String, Value>) -> JobV3 {
    let mut props = document.get("props").and_then(Value::as_object).cloned().unwrap_or_default();
    if let Some(line) = present(document, "scriptCommandLine") {
        props.entry("script.command.line").or_insert(Value::from(line));
    }
    JobV3 {
        app_name: text(document, "appName"),
        cpu_count: number(document, "cpuCount").unwrap_or_default(),
        memory_mb: number(document, "memoryMB").unwrap_or_default(),
        job_execution_type: text(document, "jobExecutionType"),
        job_name: name.to_owned(),
        cron: present(document, "cron"),
        sharding_total_count: count(document, "shardingTotalCount"),
        sharding_item_parameters: present(document, "shardingItemParameters"),
        job_parameter: present(document, "jobParameter"),
        monitor_execution: boolean(document, "monitorExecution", false),
        failover: boolean(document, "failover", false),
        misfire: accumulates(document),
        max_time_diff_seconds: count(document, "maxTimeDiffSeconds"),
        reconcile_interval_minutes: count(document, "reconcileIntervalMinutes"),
        job_sharding_strategy_type: present(document, "jobShardingStrategyType"),
        job_executor_service_handler_type: present(document, "jobExecutorServiceHandlerType"),
        job_error_handler_type: present(document, "jobErrorHandlerType"),
        description: present(document, "description"),
        props: Value::Object(props),
        disabled: boolean(document, "disabled", false),
        overwrite: boolean(document, "overwrite", false),
    }
}
