//! `bench place`: how fast the engine's placement is, how much it places, and how much of the
//! fleet that uses. Beside it stands what no placement could exceed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use shiftwork_engine::resources::{Demand, Kind};

use super::timing::time;
use super::world::{Host, Outcome, Work, fleet, pass};
use super::{synthetic, trace};

/// Runs of which the median is told.
const RUNS: usize = 20;
/// Consecutive tasks of a trace that are placed together in the second reading.
const TRACE_GANG: usize = 8;
/// Sizes at which the growth of the synthetic case is told, in quarters.
const QUARTERS: [usize; 4] = [1, 2, 4, 8];
/// The synthetic case where neither files nor a size are given.
const SIZE_DEFAULT: &str = "1000x10";

/// What to place on what.
#[derive(Debug, Args)]
pub struct PlaceArguments {
    /// Hosts of a trace, comma separated.
    #[arg(long, requires = "tasks")]
    hosts: Option<PathBuf>,
    /// Tasks of a trace, comma separated.
    #[arg(long, requires = "hosts")]
    tasks: Option<PathBuf>,
    /// Generated gangs: how many, and how many shards each, as in 10000x10. The default without
    /// files is 1000x10.
    #[arg(long, value_parser = size, conflicts_with = "hosts")]
    synthetic: Option<(usize, usize)>,
    /// Generated agents; as many as there are gangs if not given.
    #[arg(long, requires = "synthetic")]
    agents: Option<usize>,
    /// Times each case is run; the median counts.
    #[arg(long, default_value_t = RUNS)]
    runs: usize,
    /// JSON instead of lines.
    #[arg(long)]
    json: bool,
}

fn size(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('x').ok_or("must be gangs x shards, as in 10000x10")?;
    let number = |part: &str| match part.trim().parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{part:?} is not a number of at least 1")),
    };
    Ok((number(parts.0)?, number(parts.1)?))
}

/// Runs the cases asked for and prints what they came to.
///
/// # Errors
/// A file cannot be read, or the result is no placement: some host has given more than it has.
pub fn run(arguments: &PlaceArguments) -> Result<()> {
    let cases = match (&arguments.hosts, &arguments.tasks) {
        (Some(hosts), Some(tasks)) => {
            let (hosts, tasks) = (trace::hosts(hosts)?, trace::tasks(tasks)?);
            vec![
                case("trace, each task alone", &hosts, &tasks, 1, arguments.runs)?,
                case("trace, gangs of 8", &hosts, &tasks, TRACE_GANG, arguments.runs)?,
            ]
        }
        _ => synthetic_cases(arguments)?,
    };
    for case in &cases {
        if !arguments.json {
            println!("{}", line(case));
        }
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&cases).context("the result as JSON")?);
    }
    Ok(())
}

fn synthetic_cases(arguments: &PlaceArguments) -> Result<Vec<Value>> {
    let (gangs, shards) = match arguments.synthetic {
        Some(size) => size,
        None => size(SIZE_DEFAULT).map_err(anyhow::Error::msg)?,
    };
    let agents = arguments.agents.unwrap_or(gangs);
    let mut cases = Vec::new();
    for quarters in QUARTERS {
        let (gangs, agents) = ((gangs * quarters / 4).max(1), (agents * quarters / 4).max(1));
        let works = synthetic::gangs(gangs, shards)?;
        let name = format!("{gangs} gangs of {shards} on {agents} agents");
        cases.push(case(&name, &synthetic::hosts(agents), &works, 1, arguments.runs)?);
    }
    Ok(cases)
}

/// Measures one case. `together` consecutive works are placed as one.
fn case(name: &str, hosts: &[Host], works: &[Work], together: usize, runs: usize) -> Result<Value> {
    let groups: Vec<&[Work]> = works.chunks(together).collect();
    let (times, outcome) = time(runs.max(1), || fleet(hosts), |fleet| pass(fleet, &groups));
    let outcome = outcome.context("no run was made")?;
    check(hosts, &outcome)?;
    let used: BTreeSet<&str> = outcome.slots.iter().map(|slot| slot.agent.as_str()).collect();
    let shards: usize = works.iter().map(|work| work.count).sum();
    Ok(json!({
        "case": name,
        "tasks": shards,
        "placed": outcome.slots.len(),
        "upperBound": upper_bound(hosts, works),
        "groupsUnplaced": outcome.unplaced,
        "hosts": hosts.len(),
        "hostsUsed": used.len(),
        "allocated": allocated(hosts, &outcome),
        "secondsMedian": times.median.as_secs_f64(),
        "secondsShortest": times.shortest.as_secs_f64(),
        "cpuSecondsMedian": times.cpu_median.as_secs_f64(),
    }))
}

/// No host gave more than it has: a fast wrong answer is no answer.
fn check(hosts: &[Host], outcome: &Outcome) -> Result<()> {
    let mut left: std::collections::BTreeMap<&str, Demand> =
        hosts.iter().map(|host| (host.name.as_str(), host.resources)).collect();
    for slot in &outcome.slots {
        let host = left.get_mut(slot.agent.as_str()).context("a slot on a host that is none")?;
        for taken in [Some(&slot.resources), slot.executor.as_ref()].into_iter().flatten() {
            let taken = Demand::of_resources(taken);
            if Kind::ALL.into_iter().any(|kind| taken.of(kind) > host.of(kind)) {
                bail!("{} gave more than it has", slot.agent);
            }
            *host = host.minus(&taken);
        }
    }
    Ok(())
}

/// Share of each resource that is in use afterwards.
fn allocated(hosts: &[Host], outcome: &Outcome) -> Value {
    let parts = outcome
        .slots
        .iter()
        .flat_map(|slot| [Some(&slot.resources), slot.executor.as_ref()].into_iter().flatten());
    let used = parts.fold(Demand::default(), |sum, part| sum.plus(&Demand::of_resources(part)));
    let all = total(hosts);
    let share = |kind| match all.of(kind).0 {
        0 => Value::Null,
        all => json!((used.of(kind).0 as f64 / all as f64 * 10_000.0).round() / 10_000.0),
    };
    json!({ "cpus": share(Kind::Cpus), "mem": share(Kind::Mem), "gpus": share(Kind::Gpus) })
}

fn total(hosts: &[Host]) -> Demand {
    hosts.iter().fold(Demand::default(), |sum, host| sum.plus(&host.resources))
}

/// As many tasks as fit if all hosts were one and only one resource counted, the smallest tasks
/// first: no placement places more, and mostly none can place as many.
fn upper_bound(hosts: &[Host], works: &[Work]) -> usize {
    let all = total(hosts);
    let fits = |kind: Kind| {
        let mut demands: Vec<i64> = works
            .iter()
            .flat_map(|work| std::iter::repeat_n(work.shard.of(kind).0, work.count))
            .collect();
        demands.sort_unstable();
        let mut left = all.of(kind).0;
        demands
            .into_iter()
            .take_while(|demand| {
                left -= demand;
                left >= 0
            })
            .count()
    };
    Kind::ALL.into_iter().map(fits).min().unwrap_or(0)
}

fn line(case: &Value) -> String {
    let number = |name: &str| case.get(name).map(Value::to_string).unwrap_or_default();
    let millis = |name: &str| case.get(name).and_then(Value::as_f64).unwrap_or_default() * 1000.0;
    format!(
        "{}: {} of {} placed (at most {}), {} of {} hosts used, allocated {}, {:.3} ms \
         (shortest {:.3} ms, median of CPU time {:.3} ms)",
        case.get("case").and_then(Value::as_str).unwrap_or_default(),
        number("placed"),
        number("tasks"),
        number("upperBound"),
        number("hostsUsed"),
        number("hosts"),
        number("allocated"),
        millis("secondsMedian"),
        millis("secondsShortest"),
        millis("cpuSecondsMedian"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_case_is_placed_within_its_bound() {
        let works = synthetic::gangs(40, 5).unwrap();
        let case = case("small", &synthetic::hosts(40), &works, 1, 1).unwrap();
        let (placed, bound) =
            (case["placed"].as_u64().unwrap(), case["upperBound"].as_u64().unwrap());
        assert!(placed > 150 && placed <= bound, "{case}");
        assert!(case["allocated"]["cpus"].as_f64().unwrap() > 0.1, "{case}");
    }

    #[test]
    fn sizes_are_read_or_refused() {
        assert_eq!(size("10000x10"), Ok((10_000, 10)));
        assert!(size("10000").is_err() && size("0x3").is_err() && size("ax3").is_err());
    }
}
