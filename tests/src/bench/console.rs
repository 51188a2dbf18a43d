//! `bench console`: how long pages take from the server, and how large they are, with very many jobs. A
//! real process with its own store. Absent: what the browser does with them; no page loads more than its
//! style sheet and scripts.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::machine;
use super::service::{Service, Store, job};
use crate::processes::Client;

/// How many jobs.
#[derive(Debug, Args)]
pub struct ConsoleArguments {
    /// Jobs, none of which fires meanwhile.
    #[arg(long, default_value_t = 100_000)]
    jobs: usize,
    /// How often each page is asked for.
    #[arg(long, default_value_t = 50)]
    requests: usize,
    /// JSON instead of lines.
    #[arg(long)]
    json: bool,
}

/// What registering has left to be done is done by then.
const REST: Duration = Duration::from_secs(20);

/// Name and address of each page.
const PAGES: [(&str, &str); 6] = [
    ("jobs", "/jobs"),
    ("jobsLast", "/jobs?sort=-name"),
    ("jobsByFiring", "/jobs?sort=next"),
    // Found by looking at every name.
    ("jobsSearched", "/jobs?q=99999"),
    ("job", "/jobs/job-7"),
    ("overview", "/"),
];

/// Registers the jobs, asks for the pages, and prints.
///
/// # Errors
/// What could not be started, registered or read.
pub async fn run(arguments: &ConsoleArguments) -> Result<()> {
    let mut service = Service::start(Store::Embedded, &[])?;
    service.add_scheduler(0).await?;
    // Spread over all minutes of a day that is far.
    let cron = |number: usize| format!("0 {} {} 1 1 ?", number % 60, number / 60 % 24);
    let jobs = (0..arguments.jobs)
        .map(|number| job(&format!("job-{number}"), 1, &json!({"cron": cron(number)})));
    service.register(jobs).await?;
    tokio::time::sleep(REST).await;
    let client = service.client()?;
    let mut figures = json!({});
    for (name, address) in PAGES {
        figures[name] = page(client, address, arguments.requests).await?;
    }
    let load = format!(
        "pages of a scheduler with {} jobs, each asked for {} times, one at a time; {} store",
        arguments.jobs,
        arguments.requests,
        Store::Embedded.name()
    );
    machine::tell(arguments.json, &load, &figures);
    Ok(())
}

/// Until the last byte is there, which is more than a browser needs to paint.
async fn page(client: &Client, address: &str, requests: usize) -> Result<Value> {
    let mut times = Vec::with_capacity(requests);
    let mut length = 0;
    for _ in 0..requests.max(1) {
        let begun = Instant::now();
        length = client.text(address).await?.len();
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied();
    Ok(json!({"medianMs": at(0.5), "p99Ms": at(0.99), "KB": length as f64 / 1e3}))
}
