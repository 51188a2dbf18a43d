//! What befalls schedulers and their registry: crashes, pauses, clocks, sessions.

use super::env::{Happening, Process};
use super::faults::Fault;
use super::world::World;

/// How long a session outlives the last sign of its process.
const SESSION_MS: i64 = 6_000;

impl World {
    /// One fault that comes by itself.
    pub(super) fn suffer(&mut self, fault: Fault) {
        let hit = match fault {
            Fault::SchedulerCrash => self.hit_leader(Self::crash),
            Fault::SchedulerPause => self.hit_leader(Self::pause),
            Fault::SessionExpired => match self.holder {
                Some(process) => {
                    self.lose_session(process);
                    true
                }
                None => false,
            },
            Fault::ClockForward => self.step_clock(1_000, 600_000),
            Fault::ClockBackward => self.step_clock(-120_000, -1_000),
            Fault::RegistryAway => {
                self.registry.away = true;
                let after = self.env.random.between(100, 30_000);
                self.env.calendar.after(after, Happening::RegistryBack);
                true
            }
            other => self.cluster.suffer(other, &mut self.env),
        };
        if hit {
            self.env.faults.note(fault);
            self.env.tell("fault", || format!("{fault:?}"));
        }
    }

    fn hit_leader(&mut self, how: impl FnOnce(&mut Self, usize)) -> bool {
        match self.holder {
            Some(process) => how(self, process.instance),
            None => return false,
        }
        true
    }

    /// The process dies: its memory is gone, what it had handed to others is not.
    pub(super) fn crash(&mut self, instance: usize) {
        let Some(found) = self.instances.get(instance) else { return };
        let process = Process { instance, life: found.life };
        self.env.tell("scheduler", || format!("{process} dies"));
        let stream = self.tenure(process).and_then(|tenure| tenure.stream);
        if let Some(stream) = stream {
            let after = self.env.random.between(0, 50);
            self.env.calendar.after(after, Happening::StreamClosed(stream));
        }
        let Some(found) = self.instances.get_mut(instance) else { return };
        found.tenure = None;
        found.up = false;
        found.life += 1;
        found.paused_until = None;
        self.env.calendar.after(SESSION_MS, Happening::SessionEnds(process));
        let after = self.env.random.between(500, 20_000);
        self.env.calendar.after(after, Happening::Start(instance));
    }

    pub(super) fn crash_leader(&mut self) {
        if let Some(process) = self.holder {
            self.crash(process.instance);
        }
    }

    fn pause(&mut self, instance: usize) {
        let now = self.env.now();
        let pause = self.env.random.waiting_ms(SESSION_MS as f64);
        let Some(found) = self.instances.get_mut(instance) else { return };
        // One that stands still already goes on when both pauses are over.
        found.paused_until = found.paused_until.max(Some(now + pause));
        let process = Process { instance, life: found.life };
        self.env.tell("scheduler", || format!("{process} stands still for {pause} ms"));
        self.env.calendar.after(SESSION_MS, Happening::SessionEnds(process));
    }

    /// The session ends if its process died or stands still.
    pub(super) fn session_ends(&mut self, process: Process) {
        let alive =
            self.instances.get(process.instance).is_some_and(|found| found.life == process.life)
                && self.stands_still(process).is_none();
        if self.holder == Some(process) && !alive {
            self.lose_session(process);
        }
    }

    /// The lock is free; who held it learns that some time after others may.
    fn lose_session(&mut self, process: Process) {
        self.holder = None;
        self.env.calendar.after(1, Happening::Elect);
        let after = self.env.random.between(0, SESSION_MS);
        self.env.calendar.after(after, Happening::Deposed(process));
    }

    pub(super) fn deposed(&mut self, process: Process) {
        if let Some(until) = self.stands_still(process) {
            self.env.calendar.at(until, Happening::Deposed(process));
        } else if self.tenure(process).is_some() {
            self.env.tell("scheduler", || format!("{process} learns that it leads no more"));
            self.end_tenure(process);
        }
    }

    pub(super) fn start(&mut self, instance: usize) {
        if let Some(found) = self.instances.get_mut(instance) {
            found.up = true;
        }
        self.env.calendar.after(10, Happening::Elect);
    }

    fn step_clock(&mut self, least: i64, most: i64) -> bool {
        /// A clock is looked at this often at least, so that a step of it is noticed.
        const NOTICED_MS: i64 = 1_000;
        let by = self.env.random.between(least, most);
        let count = self.instances.len() as u64;
        let number = self.env.random.below(count) as usize;
        let Some(found) = self.instances.get_mut(number) else { return false };
        // Clocks do not run away for ever.
        found.clock_off = if found.clock_off.abs() > 900_000 { 0 } else { found.clock_off + by };
        let process = Process { instance: number, life: found.life };
        if let Some(tenure) = found.tenure.as_deref_mut() {
            tenure.wake += 1;
            let wake = Happening::Wake { process, number: tenure.wake };
            self.env.calendar.after(NOTICED_MS, wake);
        }
        true
    }
}
