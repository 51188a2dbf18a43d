//! One simulation from its seed to its verdict, and the search for a smaller one that fails as well.

use super::faults::Fault;
use super::options::{Options, Outcome};
use super::setup::Setup;
use super::story::Story;
use super::world::World;

/// Steps told of before a violation, for each line that is wanted: more than have one.
const STEPS_A_LINE: u64 = 4;

/// Runs a simulation. If a rule is broken it is run once more to tell how it came to that.
pub fn simulate(options: &Options) -> Outcome {
    let outcome = run(options, Story::from(u64::MAX, 0));
    match &outcome.violation {
        None => outcome,
        Some(violation) => {
            let lines = options.lines_max as u64;
            let steps = violation.step.saturating_sub(lines.saturating_mul(STEPS_A_LINE));
            run(options, Story::from(steps, options.lines_max))
        }
    }
}

fn run(options: &Options, story: Story) -> Outcome {
    let mut world = World::new(Setup::drawn(options), story);
    let begun = world.env.now();
    let mut goes_on = true;
    while goes_on && world.steps < options.steps {
        goes_on = world.step();
    }
    if goes_on {
        world.settle();
    }
    world.cluster.count(&mut world.env.faults);
    Outcome {
        seed: options.seed,
        steps: world.steps,
        simulated_ms: world.env.now() - begun,
        faults: world.env.faults.counts().collect(),
        tally: world.audit.tally(),
        violation: world.violation(),
        story: world.env.story.lines(),
    }
}

/// Looks for a smaller world in which the same rule is broken: without kinds of faults, with fewer
/// jobs, and no longer than needed.
pub fn shrink(options: &Options) -> Options {
    let fails = |options: &Options| run(options, Story::from(u64::MAX, 0)).violation;
    let mut best = options.clone();
    let Some(first) = fails(&best) else { return best };
    best.steps = best.steps.min(first.step);
    let same = |options: &Options| fails(options).filter(|v| v.invariant == first.invariant);
    for fault in Fault::ALL {
        let mut less = best.clone();
        less.faults.retain(|kind| *kind != fault);
        if let Some(violation) = same(&less) {
            less.steps = less.steps.min(violation.step);
            best = less;
        }
    }
    while best.jobs_max > 1 {
        let mut less = best.clone();
        less.jobs_max -= 1;
        let Some(violation) = same(&less) else { break };
        less.steps = less.steps.min(violation.step);
        best = less;
    }
    best
}
