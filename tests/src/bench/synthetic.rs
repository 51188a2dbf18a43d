//! A generator for when no trace is at hand: mixed agents, three apps, gangs of many shapes, a
//! quarter of them with constraints. The same size gives the same world.

use std::sync::Arc;

use anyhow::Result;
use shiftwork_engine::document::{Constraint, Placement};
use shiftwork_engine::ids::AppName;
use shiftwork_engine::resources::{Demand, Milli};

use super::world::{Host, Work, app, constraints};
use crate::random::Random;

/// Zones the agents stand in.
const ZONES: u64 = 3;
/// Agents of one rack.
const RACK: usize = 40;

/// Agents: mostly middling, some large, some small, one in ten with GPUs.
pub(super) fn hosts(count: usize) -> Vec<Host> {
    let mut random = Random::new(1);
    (0..count)
        .map(|index| {
            let (cpus, mem, gpus) = *random.pick(&[
                (16, 64, 0),
                (16, 64, 0),
                (16, 128, 0),
                (32, 128, 0),
                (32, 128, 0),
                (32, 256, 0),
                (48, 192, 0),
                (64, 256, 0),
                (8, 32, 0),
                (64, 512, 8),
            ]);
            let rack = format!("r{:04}", index / RACK);
            let zone = format!("z{}", random.below(ZONES));
            let disk = if random.chance(0.5) { "ssd" } else { "hdd" };
            let attributes = [("rack", rack), ("@zone", zone), ("disk", disk.to_owned())];
            Host {
                name: format!("agent-{index:06}"),
                resources: demand(cpus * 1000, mem * 1024, gpus * 1000),
                attributes: attributes.map(|(name, value)| (name.to_owned(), value)).into(),
            }
        })
        .collect()
}

/// Gangs of so many equal shards; a quarter with one of the usual constraints.
///
/// # Errors
/// The engine refuses a constraint of the list: a defect.
pub(super) fn gangs(count: usize, shards: usize) -> Result<Vec<Work>> {
    let mut random = Random::new(2);
    let apps = [app("etl")?, app("report")?, app("train")?];
    let rules = [
        constraints(r#"[["@hostname","UNIQUE"]]"#)?,
        constraints(r#"[["@zone","GROUP_BY","3"]]"#)?,
        constraints(r#"[["disk","LIKE","ssd"]]"#)?,
        constraints(r#"[["disk","UNLIKE","hdd"],["@hostname","MAX_PER","2"]]"#)?,
        constraints(r#"[["rack","CLUSTER"]]"#)?,
        constraints(r#"[["@zone","IS","z1"]]"#)?,
    ];
    let free: Arc<[Constraint]> = Arc::default();
    Ok((0..count).map(|_| gang(&mut random, &apps, &rules, &free, shards)).collect())
}

fn gang(
    random: &mut Random,
    apps: &[AppName],
    rules: &[Arc<[Constraint]>],
    free: &Arc<[Constraint]>,
    shards: usize,
) -> Work {
    let constrained = random.chance(0.25);
    let constraints = if constrained { random.pick(rules) } else { free };
    // About what the agents have: most gangs fit, the last ones do not.
    let cpus = *random.pick(&[500, 1000, 1000, 2000, 2000, 4000, 4000, 8000]);
    let mem = *random.pick(&[512, 1024, 2048, 4096, 8192, 16_384]);
    let gpus = if random.chance(0.02) { 1000 } else { 0 };
    let placement = if random.chance(0.1) { Placement::Spread } else { Placement::BinPack };
    Work {
        app: random.pick(apps).clone(),
        executor: demand(100, 64, 0),
        shard: demand(cpus, mem, gpus),
        count: shards,
        placement,
        constraints: Arc::clone(constraints),
    }
}

/// cpus and GPUs in thousandths, memory in MB.
fn demand(cpus: i64, mem: i64, gpus: i64) -> Demand {
    Demand { cpus: Milli(cpus), mem: Milli(mem * 1000), gpus: Milli(gpus), ..Demand::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_size_gives_the_same_world_and_a_quarter_is_constrained() {
        let works = gangs(1000, 10).unwrap();
        let again = gangs(1000, 10).unwrap();
        let shapes = |works: &[Work]| works.iter().map(|work| work.shard).collect::<Vec<_>>();
        assert_eq!(shapes(&works), shapes(&again));
        let constrained = works.iter().filter(|work| !work.constraints.is_empty()).count();
        assert!((200..300).contains(&constrained), "{constrained}");
        assert_eq!(hosts(50).len(), 50);
    }
}
