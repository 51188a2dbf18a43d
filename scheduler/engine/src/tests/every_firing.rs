//! For random jobs, changes of leader and steps of the clock: the runs that are made are those that
//! the schedule, the calendar and the policies define, none more and none fewer; and what got no
//! run is told. The model computes firings by plain arithmetic and knows nothing of timers.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

#[derive(Debug, Clone)]
struct Spec {
    period_ms: i64,
    policy: &'static str,
    max_pending: usize,
    window_ms: Option<i64>,
    concurrency: &'static str,
    saturdays_off: bool,
    jitter_ms: i64,
}

#[derive(Debug, Clone)]
enum Act {
    Wait(i64),
    ClockBack(i64),
    /// Nobody leads for so long, then another one does.
    Restart(i64),
    CancelPending(usize),
    Offer,
    Finish(usize),
    Toggle(usize),
}

fn specs() -> impl Strategy<Value = Spec> {
    (
        prop_oneof![60..600_i64, 3_600..100_000_i64],
        prop_oneof![Just("skip"), Just("coalesce"), Just("all")],
        1..20_usize,
        prop::option::of(prop_oneof![1..600_i64, 3_600..200_000_i64]),
        prop_oneof![
            Just(r#""forbid""#),
            Just(r#""skip""#),
            Just(r#""replace""#),
            Just(r#"{"policy":"allow","max":2}"#)
        ],
        any::<bool>(),
        0..60_i64,
    )
        .prop_map(
            |(period_s, policy, max_pending, window_s, concurrency, saturdays_off, jitter_s)| {
                Spec {
                    period_ms: period_s * 1000,
                    policy,
                    max_pending: if policy == "all" { max_pending } else { 1 },
                    window_ms: window_s.map(|s| s * 1000),
                    concurrency,
                    saturdays_off,
                    jitter_ms: jitter_s * 1000,
                }
            },
        )
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..4_000_i64).prop_map(Act::Wait),
        4 => (1_000..2_000_000_i64).prop_map(Act::Wait),
        2 => (1_000_000..2 * DAY_MS).prop_map(Act::Wait),
        1 => (1..DAY_MS).prop_map(Act::ClockBack),
        1 => Just(Act::Restart(0)),
        2 => (0..40_000_i64).prop_map(Act::Restart),
        2 => (0..2 * DAY_MS).prop_map(Act::Restart),
        2 => (0..3_usize).prop_map(Act::CancelPending),
        2 => Just(Act::Offer),
        2 => (0..3_usize).prop_map(Act::Finish),
        1 => (0..3_usize).prop_map(Act::Toggle),
    ]
}

impl Spec {
    fn document(&self, name: &str) -> String {
        let window = self.window_ms.map_or(String::new(), |ms| format!(r#","window":"{ms}ms""#));
        let calendars = if self.saturdays_off { r#"["saturdays"]"# } else { "[]" };
        // The jitter must be shorter than the period.
        let jitter_ms = self.jitter_ms.min(self.period_ms - 1);
        format!(
            r#""cron":null,"every":"{}ms","startAt":"1970-01-01T00:00:00Z","shardingTotalCount":1,"cpuCount":0.1,"jobParameter":"{name}",
            "misfire":{{"policy":"{}","maxPending":{}{window}}},"concurrency":{},
            "calendars":{calendars},"jitter":"{jitter_ms}ms""#,
            self.period_ms, self.policy, self.max_pending, self.concurrency,
        )
    }

    /// The firings in `(after, until]`: multiples of the period, Saturdays (UTC) left out.
    fn firings(&self, after: i64, until: i64) -> Vec<i64> {
        let first = after.div_euclid(self.period_ms) + 1;
        let last = until.div_euclid(self.period_ms);
        // The epoch was a Thursday.
        let saturday = |at: &i64| self.saturdays_off && at.div_euclid(DAY_MS).rem_euclid(7) == 2;
        (first..=last).map(|k| k * self.period_ms).filter(|at| !saturday(at)).collect()
    }

    /// Those of `due` that get a run at `now`.
    fn made(&self, due: &[i64], now: i64, pending: usize, active: usize) -> Vec<i64> {
        let oldest = self.window_ms.map_or(i64::MIN, |window| now - window);
        let fresh: Vec<i64> = due.iter().copied().filter(|at| *at > oldest).collect();
        let latest = fresh.last().copied().into_iter();
        let full = active >= if self.concurrency.contains("allow") { 2 } else { 1 };
        let left_out = active > 0 && self.concurrency.contains("skip");
        match self.policy {
            "all" if left_out => Vec::new(),
            "all" => fresh.into_iter().take(self.max_pending.saturating_sub(pending)).collect(),
            "coalesce" => latest.filter(|_| pending == 0 && !left_out).collect(),
            _ => latest.filter(|at| pending == 0 && !full && now - at <= 5_000).collect(),
        }
    }
}

/// What the model knows beside the queues, which it reads from the engine.
struct Model {
    specs: Vec<Spec>,
    enabled: Vec<bool>,
    /// Firings up to here have been dealt with.
    until: i64,
    /// The engine's time, which never goes back while one leads.
    now: i64,
    made: BTreeSet<String>,
    missed: u64,
}

impl Model {
    /// The clock of the world has moved, or a leader has begun: firings that are due get their
    /// runs. The engine is asked before it sees that.
    fn on_time(&mut self, world: &World, new_leader: bool) {
        let clock = world.now.as_millis();
        self.now = if new_leader { clock } else { self.now.max(clock) };
        for (index, spec) in self.specs.iter().enumerate() {
            let due = spec.firings(self.until, self.now.max(self.until));
            let job = world.engine.job(&name(&format!("j{index}"))).unwrap();
            let made = if self.enabled[index] {
                spec.made(&due, self.now, job.pending, job.running_count)
            } else {
                Vec::new()
            };
            self.missed += (due.len() - made.len()) as u64;
            let ids = made.into_iter().map(|at| {
                RunId::scheduled(&name(&job.name), Timestamp::from_millis(at)).to_string()
            });
            self.made.extend(ids);
        }
        self.until = self.until.max(self.now);
    }
}

fn missed(turn: &Turn) -> u64 {
    turn.traces
        .iter()
        .map(|trace| if let Trace::Missed { count, .. } = trace { *count } else { 0 })
        .sum()
}

/// Every task answers at once: it runs, or has ended if it was killed.
fn answer(world: &mut World) {
    for row in world.engine.running(None, usize::MAX) {
        let killing = row.state == crate::view::ShardState::Killing;
        let state = if killing { TaskState::Killed } else { TaskState::Running };
        world.status(&row.task_id, state);
    }
}

fn act(world: &mut World, model: &mut Model, act: Act) -> Turn {
    match act {
        Act::Wait(millis) => {
            world.now = world.now.plus_millis(millis);
            model.on_time(world, false);
            world.turn(Event::Tick)
        }
        Act::ClockBack(millis) => {
            world.now = world.now.plus_millis(-millis);
            world.turn(Event::Tick)
        }
        Act::Restart(millis) => {
            world.now = world.now.plus_millis(millis);
            model.on_time(world, true);
            let mut turn = world.restart();
            turn.traces.extend(world.subscribe().traces);
            turn
        }
        Act::CancelPending(index) => {
            let filter = crate::RunFilter {
                job: Some(name(&format!("j{index}"))),
                app: None,
                state: Some(RunState::Pending),
            };
            for run in world.engine.live_runs(&filter, None, usize::MAX) {
                world.command(Command::CancelRun { run: run.id }).unwrap();
            }
            Turn::default()
        }
        Act::Offer => world.offer("a1", 2.0),
        Act::Finish(index) => {
            for task in world.tasks(&format!("j{index}")) {
                world.exit(&task, 0);
            }
            Turn::default()
        }
        Act::Toggle(index) if index < model.specs.len() => {
            model.enabled[index] = !model.enabled[index];
            let (job, enabled) = (name(&format!("j{index}")), model.enabled[index]);
            world.command_turn(Command::SetJobEnabled { job, enabled, reason: None }).1
        }
        Act::Toggle(_) => Turn::default(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn the_runs_are_those_that_schedule_and_policies_define(
        specs in prop::collection::vec(specs(), 1..=3),
        acts in prop::collection::vec(acts(), 1..60),
    ) {
        let mut world = World::with_app();
        let document = br#"{"calendarName":"saturdays","weekdays":["SAT"]}"#.to_vec();
        world.command(Command::CreateCalendar { document }).unwrap();
        for (index, spec) in specs.iter().enumerate() {
            let name = format!("j{index}");
            world.job(&name, &spec.document(&name));
        }
        let enabled = vec![true; specs.len()];
        let made = BTreeSet::new();
        let mut model =
            Model { specs, enabled, until: START_MS, now: START_MS, made, missed: 0 };
        let mut told = 0;
        for step in acts {
            let shown = format!("{step:?}");
            told += missed(&act(&mut world, &mut model, step));
            answer(&mut world);
            let made: BTreeSet<String> = world.history.keys().map(ToString::to_string).collect();
            prop_assert_eq!(&made, &model.made, "after {}", shown);
            prop_assert_eq!(told, model.missed, "after {}", shown);
            world.assert_durable();
        }
    }
}
