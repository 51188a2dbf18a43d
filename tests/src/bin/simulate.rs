//! Runs simulations from the command line: seeds, events, faults, speed, and a verdict.

use std::collections::BTreeMap;
use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use shiftwork_tests::sim::{ClusterKind, Options, Outcome, Violation, shrink, simulate};

/// Simulates clusters, schedulers and faults; a broken rule is told with its story.
#[derive(Debug, Parser)]
struct Arguments {
    /// Seeds to run, `first..end`.
    #[arg(long, default_value = "0..100", value_parser = seeds)]
    seeds: Range<u64>,
    /// One seed instead.
    #[arg(long)]
    seed: Option<u64>,
    /// Things that happen in each world before it calms down.
    #[arg(long, default_value_t = 100_000)]
    steps: u64,
    /// The cluster: the core of offer-sim behind the real wire, or a model of one.
    #[arg(long, default_value = "offer-sim", value_parser = cluster)]
    cluster: ClusterKind,
    /// Which faults occur.
    #[arg(long, default_value = "all", value_parser = ["none", "all"])]
    faults: String,
    /// Look for a smaller world that fails as well.
    #[arg(long)]
    shrink: bool,
    /// Go on after a broken rule and tell all of them at the end.
    #[arg(long)]
    keep_going: bool,
}

fn cluster(name: &str) -> Result<ClusterKind, String> {
    ClusterKind::named(name).ok_or_else(|| "must be offer-sim or model".to_owned())
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let bounds = text.split_once("..").ok_or("must be first..end, as in 0..1000")?;
    let number = |part: &str| part.parse().map_err(|_| format!("{part:?} is not a number"));
    Ok(number(bounds.0)?..number(bounds.1)?)
}

/// Sums over all seeds.
#[derive(Default)]
struct Totals {
    seeds: u64,
    events: u64,
    simulated_ms: i64,
    counts: BTreeMap<String, u64>,
    broken: Vec<(u64, Violation)>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seeds = arguments.seed.map_or_else(|| arguments.seeds.clone(), |seed| seed..seed + 1);
    let begun = Instant::now();
    let mut totals = Totals::default();
    for seed in seeds {
        let mut options = Options::new(arguments.cluster, seed, arguments.steps);
        if arguments.faults == "none" {
            options = options.calm();
        }
        let mut outcome = simulate(&options);
        if outcome.violation.is_some() && arguments.shrink {
            let smaller = shrink(&options);
            outcome = simulate(&smaller);
            println!("smaller: {smaller:?}");
        }
        let broken = outcome.violation.is_some();
        totals.add(&outcome);
        if broken && !arguments.keep_going {
            tell(&outcome);
            break;
        }
    }
    totals.print(begun.elapsed().as_secs_f64());
    if totals.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(outcome: &Outcome) {
    for line in &outcome.story {
        println!("{line}");
    }
    println!();
}

// === impl Totals ===

impl Totals {
    fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.events += outcome.steps;
        self.simulated_ms += outcome.simulated_ms;
        for (fault, count) in &outcome.faults {
            *self.counts.entry(format!("fault {fault:?}")).or_default() += count;
        }
        for (what, count) in &outcome.tally {
            *self.counts.entry((*what).to_owned()).or_default() += count;
        }
        if let Some(violation) = &outcome.violation {
            self.broken.push((outcome.seed, violation.clone()));
        }
    }

    fn print(&self, seconds: f64) {
        for (what, count) in &self.counts {
            println!("{what:<24} {count:>12}");
        }
        println!("{:<24} {:>12}", "seeds", self.seeds);
        println!("{:<24} {:>12}", "events", self.events);
        println!("{:<24} {:>12}", "simulated hours", self.simulated_ms / 3_600_000);
        println!("{:<24} {:>12.0}", "events/s", self.events as f64 / seconds);
        for (seed, Violation { invariant, what, step }) in &self.broken {
            println!("BROKEN seed {seed}, step {step}: {invariant}: {what}");
        }
        if self.broken.is_empty() {
            println!("verdict: no rule was broken");
        }
    }
}
