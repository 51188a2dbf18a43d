//! Runs simulations from the command line: seeds, events, faults, speed, and a verdict.

use std::collections::BTreeMap;
use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use shiftwork_tests::sim::{
    ClusterKind, Defect, Fault, Options, Outcome, Violation, shrink, simulate,
};

/// As the scheduler has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    /// Which faults occur: `all`, `none`, or their names with commas between.
    #[arg(long, default_value = "all")]
    faults: String,
    /// Most jobs there may be.
    #[arg(long)]
    jobs: Option<u64>,
    /// Something that is wrong on purpose, to see it found.
    #[arg(long, value_parser = defect)]
    defect: Option<Defect>,
    /// Lines that are told before a broken rule.
    #[arg(long)]
    lines: Option<usize>,
    /// Tell only the world as it was, and do not look for a smaller one that fails as well.
    #[arg(long)]
    no_shrink: bool,
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

fn defect(name: &str) -> Result<Defect, String> {
    let known = || Defect::ALL.map(|defect| format!("{defect:?}")).join(", ");
    Defect::named(name).ok_or_else(|| format!("must be one of {}", known()))
}

fn faults(text: &str, cluster: ClusterKind) -> Result<Vec<Fault>, String> {
    let known = Fault::of(cluster);
    let named = |name: &str| {
        let found = Fault::named(name).filter(|fault| known.contains(fault));
        let names = || known.iter().map(|fault| format!("{fault:?}")).collect::<Vec<_>>();
        found.ok_or_else(|| format!("{name:?} is no fault; there are {}", names().join(", ")))
    };
    match text {
        "all" => Ok(known),
        "none" => Ok(Vec::new()),
        names => names.split(',').map(named).collect(),
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let faults = match faults(&arguments.faults, arguments.cluster) {
        Ok(faults) => faults,
        Err(problem) => {
            eprintln!("--faults: {problem}");
            return ExitCode::from(2);
        }
    };
    let seeds = arguments.seed.map_or_else(|| arguments.seeds.clone(), |seed| seed..seed + 1);
    let begun = Instant::now();
    let mut totals = Totals::default();
    for seed in seeds {
        let mut options = Options::new(arguments.cluster, seed, arguments.steps);
        options.faults.clone_from(&faults);
        options.jobs_max = arguments.jobs.unwrap_or(options.jobs_max);
        options.defect = arguments.defect;
        options.lines_max = arguments.lines.unwrap_or(options.lines_max);
        let outcome = simulate(&options);
        totals.add(&outcome);
        if outcome.violation.is_some() && !arguments.keep_going {
            tell(&options, &outcome);
            if !arguments.no_shrink {
                let smaller = shrink(&options);
                println!("a smaller world in which the same happens:\n");
                tell(&smaller, &simulate(&smaller));
            }
            break;
        }
    }
    totals.print(begun.elapsed().as_secs_f64());
    if totals.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The last lines before a rule was broken, the rule, and how to see it again.
fn tell(options: &Options, outcome: &Outcome) {
    for line in &outcome.story {
        println!("{line}");
    }
    if let Some(Violation { invariant, what, step }) = &outcome.violation {
        println!("\nseed {}, step {step}: {invariant}: {what}", options.seed);
    }
    println!("again: simulate {}\n", options.arguments());
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
