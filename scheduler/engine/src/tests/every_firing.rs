//! For random jobs, updates, triggers, changes of leader and steps of the clock: the runs that are made
//! are those that the schedule, the calendar and the policies define, none more and none fewer; and
//! what got no run is told. The model computes firings by plain arithmetic and knows nothing of
//! timers.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const HOUR_MS: i64 = 60 * 60 * 1000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// The clocks of Berlin go forward at 2027-03-28T01:00:00Z, for the summer.
const SUMMER_MS: i64 = 1_806_195_600_000;
/// They go back at 2027-10-31T01:00:00Z.
const WINTER_MS: i64 = 1_824_944_400_000;

#[derive(Debug, Clone)]
enum When {
    /// Multiples of a period.
    Every { period_ms: i64 },
    /// As many firings from a moment on, which is that long after the start of the test.
    Times { after_ms: i64, period_ms: i64, count: i64 },
    /// A time of the day in Berlin.
    Daily { minute: i64 },
    /// A moment, that long after the start of the test.
    Once { after_ms: i64 },
}

#[derive(Debug, Clone)]
struct Spec {
    when: When,
    /// A window in which the schedule is live, from the start of the test.
    window: Option<(i64, i64)>,
    policy: &'static str,
    max_pending: usize,
    /// The misfire policy's window.
    fresh_ms: Option<i64>,
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
    /// The job has another document from now on.
    Update(usize, Box<Spec>),
    /// Somebody asks for a run, with a parameter of its own or as the document says.
    Trigger(usize, bool),
}

fn whens() -> impl Strategy<Value = When> {
    let period = || prop_oneof![60..600_i64, 3_600..100_000_i64].prop_map(|s| s * 1000);
    prop_oneof![
        4 => period().prop_map(|period_ms| When::Every { period_ms }),
        1 => (1..2 * DAY_MS, period(), 1..20_i64).prop_map(|(after_ms, period_ms, count)| {
            When::Times { after_ms, period_ms, count }
        }),
        // Around the change of the clocks as well as at any time.
        4 => prop_oneof![0..24 * 60_i64, 90..200_i64].prop_map(|minute| When::Daily { minute }),
        1 => (1..4 * DAY_MS).prop_map(|after_ms| When::Once { after_ms }),
    ]
}

fn specs() -> impl Strategy<Value = Spec> {
    (
        whens(),
        prop::option::weighted(0.2, (0..DAY_MS, 5 * DAY_MS..20 * DAY_MS)),
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
            |(when, window, policy, max_pending, fresh_s, concurrency, saturdays_off, jitter_s)| {
                let is_endless = matches!(when, When::Every { .. } | When::Daily { .. });
                Spec {
                    when,
                    // A job that would never fire is refused.
                    window: window.filter(|_| is_endless),
                    policy,
                    max_pending: if policy == "all" { max_pending } else { 1 },
                    fresh_ms: fresh_s.map(|s| s * 1000),
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
        1 => (0..3_usize, specs()).prop_map(|(index, spec)| Act::Update(index, Box::new(spec))),
        1 => (0..3_usize, any::<bool>()).prop_map(|(index, own)| Act::Trigger(index, own)),
    ]
}

/// Berlin's local time less UTC.
fn berlin_ms(at: i64) -> i64 {
    if (SUMMER_MS..WINTER_MS).contains(&at) { 2 * HOUR_MS } else { HOUR_MS }
}

/// When it is this time of this day in Berlin: once a day, also where it is so twice or never.
fn in_berlin(local: i64) -> i64 {
    // Summer's answer is the earlier one.
    let readings = [local - 2 * HOUR_MS, local - HOUR_MS];
    let shown = readings.into_iter().find(|at| at + berlin_ms(*at) == local);
    shown.unwrap_or(SUMMER_MS)
}

fn instant(at: i64) -> String {
    Timestamp::from_millis(at).to_string()
}

impl Spec {
    /// Its fields of a document. `start` is when the test began.
    fn document(&self, name: &str, start: i64) -> String {
        let fresh = self.fresh_ms.map_or(String::new(), |ms| format!(r#","window":"{ms}ms""#));
        let (when, period_ms) = match self.when {
            When::Every { period_ms } => {
                let every = format!(r#""every":"{period_ms}ms","startAt":"1970-01-01T00:00:00Z""#);
                (format!(r#""cron":null,{every}"#), period_ms)
            }
            When::Times { after_ms, period_ms, count } => {
                let from = instant(start + after_ms);
                let every = format!(r#""every":"{period_ms}ms","startAt":"{from}""#);
                (format!(r#""cron":null,{every},"count":{count}"#), period_ms)
            }
            When::Daily { minute } => {
                let (hour, minute) = (minute / 60, minute % 60);
                let zone = r#""timeZone":"Europe/Berlin""#;
                (format!(r#""cron":"0 {minute} {hour} * * ?",{zone}"#), DAY_MS)
            }
            When::Once { after_ms } => {
                (format!(r#""cron":null,"at":"{}""#, instant(start + after_ms)), DAY_MS)
            }
        };
        let window = self.window.map_or(String::new(), |(after, before)| {
            let (after, before) = (instant(start + after), instant(start + before));
            format!(r#","startAfter":"{after}","endBefore":"{before}""#)
        });
        let calendars = if self.saturdays_off { r#"["saturdays"]"# } else { "[]" };
        // The jitter must be shorter than the period.
        let jitter_ms = self.jitter_ms.min(period_ms - 1);
        format!(
            r#"{when}{window},"shardingTotalCount":1,"cpuCount":0.1,"jobParameter":"{name}",
            "misfire":{{"policy":"{}","maxPending":{}{fresh}}},"concurrency":{},
            "calendars":{calendars},"jitter":"{jitter_ms}ms""#,
            self.policy, self.max_pending, self.concurrency,
        )
    }

    /// The firings in `(after, until]` of a job whose test began at `start`, Saturdays left out.
    fn firings(&self, start: i64, after: i64, until: i64) -> Vec<i64> {
        let multiples = |origin: i64, period_ms: i64| {
            let first = (after - origin).div_euclid(period_ms) + 1;
            let last = (until - origin).div_euclid(period_ms);
            (first..=last).map(move |k| (k, origin + k * period_ms))
        };
        let all: Vec<i64> = match self.when {
            When::Every { period_ms } => multiples(0, period_ms).map(|(_, at)| at).collect(),
            When::Times { after_ms, period_ms, count } => multiples(start + after_ms, period_ms)
                .filter(|(k, _)| (0..count).contains(k))
                .map(|(_, at)| at)
                .collect(),
            When::Daily { minute } => (after / DAY_MS - 1..=until / DAY_MS + 1)
                .map(|day| in_berlin(day * DAY_MS + minute * 60_000))
                .collect(),
            When::Once { after_ms } => vec![start + after_ms],
        };
        let (opens, closes) = self
            .window
            .map_or((i64::MIN, i64::MAX), |(opens, closes)| (start + opens, start + closes));
        let is_live = |at: &i64| *at > after && *at <= until && *at > opens && *at < closes;
        let mut live: Vec<i64> =
            all.into_iter().filter(|at| is_live(at) && !self.is_left_out(*at)).collect();
        live.dedup();
        live
    }

    /// The calendar's Saturdays are those of UTC.
    fn is_left_out(&self, at: i64) -> bool {
        // The epoch was a Thursday.
        self.saturdays_off && at.div_euclid(DAY_MS).rem_euclid(7) == 2
    }

    /// Those of `due` that get a run at `now`. `standing` are the pending runs that stand for firings.
    fn made(
        &self,
        due: &[i64],
        now: i64,
        (pending, standing): (usize, usize),
        active: usize,
    ) -> Vec<i64> {
        let oldest = self.fresh_ms.map_or(i64::MIN, |window| now - window);
        let fresh: Vec<i64> = due.iter().copied().filter(|at| *at > oldest).collect();
        let latest = fresh.last().copied().into_iter();
        let full = active >= if self.concurrency.contains("allow") { 2 } else { 1 };
        let left_out = active > 0 && self.concurrency.contains("skip");
        match self.policy {
            "all" if left_out => Vec::new(),
            "all" => fresh.into_iter().take(self.max_pending.saturating_sub(pending)).collect(),
            "coalesce" => latest.filter(|_| standing == 0 && !left_out).collect(),
            _ => latest.filter(|at| standing == 0 && !full && now - at <= 5_000).collect(),
        }
    }
}

/// What the model knows beside the queues, which it reads from the engine.
struct Model {
    start: i64,
    /// Triggers so far.
    asked: usize,
    /// Runs with a parameter of their own: they stand for no firing.
    own: BTreeSet<String>,
    specs: Vec<Spec>,
    enabled: Vec<bool>,
    /// Firings of each job up to here have been dealt with.
    until: Vec<i64>,
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
            let until = &mut self.until[index];
            let due = spec.firings(self.start, *until, self.now.max(*until));
            *until = self.now.max(*until);
            let mut waiting = pending(world, index);
            // What is too old to start makes room.
            let oldest = self.now - spec.fresh_ms.unwrap_or(i64::MAX / 2);
            let is_fresh = |run: &RunView| run.logical_time.as_millis() > oldest;
            waiting.retain(|run| run.origin != crate::record::Origin::Schedule || is_fresh(run));
            let is_own = |run: &&RunView| self.own.contains(run.id.as_str());
            let standing = waiting.iter().filter(|run| !is_own(run)).count();
            let job = world.engine.job(&name(&format!("j{index}"))).unwrap();
            let made = if self.enabled[index] || spec.policy != "skip" {
                spec.made(&due, self.now, (waiting.len(), standing), job.running_count)
            } else {
                Vec::new()
            };
            self.missed += (due.len() - made.len()) as u64;
            let ids = made.into_iter().map(|at| {
                RunId::scheduled(&name(&job.name), Timestamp::from_millis(at)).to_string()
            });
            self.made.extend(ids);
        }
    }
}

fn pending(world: &World, index: usize) -> Vec<RunView> {
    let filter = crate::RunFilter {
        job: Some(name(&format!("j{index}"))),
        app: None,
        state: Some(RunState::Pending),
        app_prefixes: Vec::new(),
    };
    world.engine.live_runs(&filter, None, usize::MAX)
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
            for run in pending(world, index) {
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
        Act::Update(index, spec) if index < model.specs.len() => {
            let job = format!("j{index}");
            let document = job_document(&job, &spec.document(&job, model.start));
            let (reply, turn) =
                world.command_turn(Command::UpdateJob { job: name(&job), document });
            // One that will never fire again is refused.
            if reply.is_ok() {
                model.specs[index] = *spec;
                // A leader whose clock is behind that of the one before begins where firings were
                // last written down.
                model.until[index] = world.engine.status().watermark.as_millis();
            }
            turn
        }
        Act::Trigger(index, own) if index < model.specs.len() => {
            model.asked += 1;
            let job_parameter = own.then(|| "own".to_owned());
            let overrides = Overrides { job_parameter, ..Overrides::default() };
            let (job, key) = (name(&format!("j{index}")), Some(format!("k{}", model.asked)));
            let (reply, turn) =
                world.command_turn(Command::Trigger { job, key, overrides, submitter: None });
            // Refused while the job is disabled, and where too many wait.
            if let Ok(Done::RunCreated(run)) = reply {
                model.made.insert(run.to_string());
                if own {
                    model.own.insert(run.to_string());
                }
            }
            turn
        }
        Act::Toggle(_) | Act::Update(..) | Act::Trigger(..) => Turn::default(),
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
        // Any time, and the days before the clocks of Berlin go forward and back.
        start in prop_oneof![
            Just(START_MS),
            SUMMER_MS - 3 * DAY_MS..SUMMER_MS,
            WINTER_MS - 3 * DAY_MS..WINTER_MS,
        ],
        specs in prop::collection::vec(specs(), 1..=3),
        acts in prop::collection::vec(acts(), 1..60),
    ) {
        let mut world = World::with_app();
        world.now = Timestamp::from_millis(start);
        world.turn(Event::Tick);
        let document = br#"{"calendarName":"saturdays","weekdays":["SAT"]}"#.to_vec();
        world.command(Command::CreateCalendar { document }).unwrap();
        for (index, spec) in specs.iter().enumerate() {
            let name = format!("j{index}");
            world.job(&name, &spec.document(&name, start));
        }
        let enabled = vec![true; specs.len()];
        let mut model = Model {
            start,
            asked: 0,
            own: BTreeSet::new(),
            until: vec![start; specs.len()],
            specs,
            enabled,
            now: start,
            made: BTreeSet::new(),
            missed: 0,
        };
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
