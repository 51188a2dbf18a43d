//! From the end of the old leader's session to the first launch of the next, which is a process of its
//! own that stands by; and the memory it then has for each job. Absent: the master's answer to the
//! subscription, which is one more round trip.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use shiftwork_engine::ids::{AppName, JobName};
use shiftwork_engine::record::{Key, WatermarkRecord, Write};
use shiftwork_engine::{Effects, Engine, Settings};
use shiftwork_scheduler::registry::{Transaction, documents, keys};

use super::launches::{APP, Counts, job, serve};
use super::{Tell, change, lead, now};
use crate::bench::owner::Owner;
use crate::bench::timers::resident_bytes;

/// Documents stored by one transaction.
const DOCUMENTS: usize = 500;

/// How long ago the last firing was dealt with: a firing is due as soon as somebody leads.
const AWAY_MS: i64 = 5_000;

/// Distinct schedules of the jobs that wait, one for each minute of a day.
const SCHEDULES: usize = 24 * 60;

/// Between two looks for the first launch.
const LOOK: Duration = Duration::from_millis(1);

/// What the next leader says when it stands by; the rest of what it says is JSON.
const STANDING_BY: &str = "standing by";

pub(super) async fn measure(address: &str, jobs: usize, tell: Tell<'_>) -> Result<()> {
    let (mut registry, tenure) = lead(address).await?;
    let mut writes =
        vec![Write { key: Key::App(AppName::parse("app")?), value: Some(APP.to_vec()) }, {
            let watermark = now().plus_millis(-AWAY_MS);
            let record = WatermarkRecord { version: 1, watermark, tzdb: None };
            Write { key: Key::Watermark, value: Some(serde_json::to_vec(&record)?) }
        }];
    for i in 0..jobs {
        let name = format!("job-{i:06}");
        let minute = i % SCHEDULES;
        let cron = match i {
            0 => "* * * * * ?".to_owned(),
            _ => format!("30 {} {} 1 1 ?", minute % 60, minute / 60),
        };
        let value = Some(job(&name, &cron));
        writes.push(Write { key: Key::Job(JobName::parse(&name)?), value });
    }
    let changes = writes.into_iter().map(change).collect::<Result<Vec<_>>>()?;
    for part in changes.chunks(DOCUMENTS) {
        registry.commit(tenure.epoch, vec![Transaction::new(part.to_vec())]).await?;
    }

    let mut next = Command::new(std::env::current_exe()?)
        .args(["registry", "--standby", address])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(next.stdout.take().context("its stdout is piped")?).lines();
    let first = lines.next().context("the next leader said nothing")??;
    ensure!(first == STANDING_BY, "the next leader said {first:?}");
    // Its candidate is on its way to the server; it is there long before this one has gone.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ended = now();
    registry.close().await;
    let line = lines.next().context("the next leader ended")??;
    ensure!(next.wait()?.success(), "the next leader failed");
    let said: Value = serde_json::from_str(&line)?;
    let at = |name: &str| said[name].as_i64().context("a figure");
    let since = |name: &str| at(name).map(|at| at - ended.as_millis());
    tell(&format!("take-over of {jobs} jobs, loaded after ms"), json!(since("loaded")?));
    tell(&format!("take-over of {jobs} jobs, restored after ms"), json!(since("restored")?));
    tell(&format!("take-over of {jobs} jobs, first launch after ms"), json!(since("launched")?));
    let jobs_i64 = i64::try_from(jobs.max(1))?;
    tell(&format!("memory of each of {jobs} jobs, bytes"), json!(at("bytes")? / jobs_i64));
    Ok(())
}

/// The process that takes over: says when it had loaded, restored and launched.
pub(super) async fn stand_by(address: &str) -> Result<()> {
    let before = resident_bytes()?;
    println!("{STANDING_BY}");
    let (registry, tenure) = lead(address).await?;
    let loaded = now();
    let mut records = Vec::new();
    for (path, data) in &tenure.nodes {
        if let keys::Place::Record(key) = keys::place_of(path)
            && !documents::says_nothing(&key, data)
        {
            let data = documents::readable(&key, data).into_owned();
            records.push((key, data));
        }
    }
    let mut fx = Effects::default();
    let engine = Engine::restore(Settings::default(), 1, now(), records, &mut fx);
    let restored = now();
    let directory = tempfile::tempdir()?;
    let (owner, master) = Owner::start(engine, fx, registry, &tenure, directory.path())?;
    drop(tenure);
    let counts = Arc::<Counts>::default();
    let serving = tokio::spawn(serve(master, Arc::clone(&counts)));
    while counts.launched.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(LOOK).await;
    }
    let launched = now();
    let bytes = resident_bytes()?.saturating_sub(before);
    let millis = shiftwork_schedule::Timestamp::as_millis;
    println!(
        "{}",
        json!({"loaded": millis(loaded), "restored": millis(restored),
            "launched": millis(launched), "bytes": bytes})
    );
    owner.end().await?;
    serving.abort();
    Ok(())
}
