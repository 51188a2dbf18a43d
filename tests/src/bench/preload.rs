//! A registry that holds many jobs before any scheduler starts: a hundred thousand requests would take
//! longer than what is measured. Absent: anything but documents.

use anyhow::{Context as _, Result};
use serde_json::Value;
use shiftwork_engine::ids::{AppName, JobName};
use shiftwork_engine::record::{Key, Write};
use shiftwork_scheduler::registry::{Epoch, LeaderInfo, Registry, Transaction, keys};

/// Documents stored by one transaction.
const DOCUMENTS: usize = 500;

/// Stores an app and jobs as their own scheduler would have, and lets go of the lead.
pub(super) async fn preload(
    mut registry: Box<dyn Registry>,
    app: &Value,
    jobs: impl Iterator<Item = Value>,
) -> Result<()> {
    let leader = LeaderInfo {
        id: format!("bench-{}", std::process::id()),
        addresses: Vec::new(),
        since: jiff::Timestamp::now(),
    };
    let epoch = registry.take_over(leader).await?.epoch;
    let key = Key::App(AppName::parse(name(app, "appName")?)?);
    let mut writes = vec![Write { key, value: Some(app.to_string().into_bytes()) }];
    for job in jobs {
        let key = Key::Job(JobName::parse(name(&job, "jobName")?)?);
        writes.push(Write { key, value: Some(job.to_string().into_bytes()) });
        if writes.len() >= DOCUMENTS {
            store(&mut *registry, epoch, std::mem::take(&mut writes)).await?;
        }
    }
    store(&mut *registry, epoch, writes).await?;
    registry.close().await;
    Ok(())
}

async fn store(registry: &mut dyn Registry, epoch: Epoch, writes: Vec<Write>) -> Result<()> {
    let changes = writes.into_iter().map(|write| keys::change_of(write).context("a place"));
    let transaction = Transaction::new(changes.collect::<Result<_>>()?);
    Ok(registry.commit(epoch, vec![transaction]).await?)
}

fn name<'a>(document: &'a Value, field: &str) -> Result<&'a str> {
    document.get(field).and_then(Value::as_str).context("a document without its name")
}
