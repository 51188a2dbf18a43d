//! One simulation from its seed to its verdict, and the search for a smaller one that fails as well.

use super::faults::Fault;
use super::options::{Options, Outcome};
use super::setup::Setup;
use super::story::Story;
use super::world::World;

/// Steps told of before a violation: more than there are lines.
const STORY_STEPS: u64 = 400;

/// Runs a simulation. If a rule is broken it is run once more to tell how it came to that.
pub fn simulate(options: &Options) -> Outcome {
    let outcome = run(options, Story::from(u64::MAX));
    match &outcome.violation {
        None => outcome,
        Some(violation) => run(options, Story::from(violation.step.saturating_sub(STORY_STEPS))),
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
    let fails = |options: &Options| run(options, Story::from(u64::MAX)).violation;
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
