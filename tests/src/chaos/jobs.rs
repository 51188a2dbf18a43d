//! The jobs that fire meanwhile. The last thing each shard does is one line in a file that all share.

use anyhow::{Result, bail};
use serde_json::{Value, json};
use shiftwork_schedule::Timestamp;

use super::cluster::Cluster;

/// The file with the lines.
pub(super) const DONE: &str = "done";
/// A change is asked for so often before it is given up.
const ASKED_MAX: usize = 300;

/// A job, as the audit must know it.
pub(super) struct Planned {
    pub(super) name: &'static str,
    pub(super) shards: u32,
    /// Between two firings, seconds.
    pub(super) every_s: i64,
    script: &'static str,
    extra: fn() -> Value,
}

/// All jobs: what each has that the others have not stands in its name.
pub(super) const PLANNED: [Planned; 4] = [
    Planned { name: "single", shards: 1, every_s: 1, script: "sleep 0.2", extra: || json!({}) },
    Planned {
        name: "gang",
        shards: 3,
        every_s: 3,
        script: "sleep 0.5",
        extra: || json!({"concurrency": {"policy": "allow", "max": 3}}),
    },
    Planned {
        name: "retried",
        shards: 1,
        every_s: 2,
        // Fails at its first attempt.
        script: "test \"$SHIFTWORK_ATTEMPT\" -gt 1 || exit 3",
        extra: || json!({"retry": {"maxAttempts": 100, "backoff": {"initial": "200ms", "max": "1s"}}}),
    },
    Planned {
        name: "overlapping",
        shards: 2,
        every_s: 2,
        script: "sleep 2.5",
        extra: || json!({"concurrency": {"policy": "allow", "max": 4}, "ports": 1}),
    },
];

/// Writes what was done, when, and by which attempt, in one piece.
const LAST_WORDS: &str =
    r#"; echo "$SHIFTWORK_RUN_ID $SHIFTWORK_ITEM $SHIFTWORK_ATTEMPT $(date +%s%3N)" >> "$DONE";"#;

fn document(planned: &Planned, cluster: &Cluster) -> Value {
    let mut job = json!({
        "jobName": planned.name, "appName": "app", "jobType": "SCRIPT",
        "jobExecutionType": "TRANSIENT",
        "cron": format!("*/{} * * * * ?", planned.every_s),
        "scriptCommandLine": format!("{}{LAST_WORDS}", planned.script),
        "misfire": true, "failover": true, "retry": {"maxAttempts": 100},
        "shardingTotalCount": planned.shards, "cpuCount": 0.1, "memoryMB": 16,
        "env": {"DONE": cluster.done()},
    });
    if let (Some(fields), Value::Object(extra)) = (job.as_object_mut(), (planned.extra)()) {
        fields.extend(extra);
    }
    job
}

pub(super) async fn register(cluster: &Cluster) -> Result<()> {
    let app = json!({"appName": "app", "cpuCount": 0.1, "memoryMB": 32});
    ask(cluster, reqwest::Method::POST, "/api/v1/apps", &app).await?;
    for planned in &PLANNED {
        let job = document(planned, cluster);
        ask(cluster, reqwest::Method::POST, "/api/v1/jobs", &job).await?;
    }
    Ok(())
}

/// Lets no job fire any more; what has been due until then still runs. Gives for each job, in the
/// order of [`PLANNED`], the time until which it fired at least.
pub(super) async fn stop(cluster: &Cluster) -> Result<Vec<Timestamp>> {
    let mut stopped = Vec::new();
    for planned in &PLANNED {
        let mut job = document(planned, cluster);
        if let Some(cron) = job.get_mut("cron") {
            *cron = json!("0 0 0 1 1 ?");
        }
        // Until then it fires; an answer that got lost may have been of a change that was made.
        stopped.push(shiftwork_scheduler::turn::now());
        ask(cluster, reqwest::Method::PUT, &format!("/api/v1/jobs/{}", planned.name), &job).await?;
    }
    Ok(stopped)
}

/// Asks until it is done: leaders change, and a scheduler that stands by may not know the leader yet.
/// What was done by a request whose answer got lost is refused as there already.
async fn ask(cluster: &Cluster, method: reqwest::Method, path: &str, body: &Value) -> Result<()> {
    let mut last = String::new();
    for _ in 0..ASKED_MAX {
        match cluster.client().call(method.clone(), path, Some(body)).await {
            Ok((200 | 201 | 409, _)) => return Ok(()),
            Ok((status, answer)) => last = format!("{status}: {answer}"),
            Err(error) => last = error.to_string(),
        }
        tokio::time::sleep(super::POLL).await;
    }
    bail!("{path} is not taken: {last}");
}
