//! Torture by processes, all through the real executor's process shell: what never ends, forks, hides,
//! floods or dies oddly. Absent: the core and the agent.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use common::{PATIENCE, is_alive, payload, pids, task_info};
use shiftwork_executor::core::{
    Event, Exited, Signal, TaskId, TaskSpec, TaskSpecWork, WorkEnd, WorkId,
};
use shiftwork_executor::process::Processes;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

/// Children belong to the whole test program: two tests at once would reap each other's.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Processes in a sandbox of their own, and what is left to hear of them.
struct Rack {
    processes: Processes,
    children: SignalStream,
    sandbox: tempfile::TempDir,
    ended: BTreeMap<u64, WorkEnd>,
    gone: BTreeSet<u64>,
    _alone: tokio::sync::MutexGuard<'static, ()>,
}

impl Rack {
    async fn new() -> Self {
        let alone = ONE_AT_A_TIME.lock().await;
        let sandbox = tempfile::tempdir().expect("a sandbox");
        let children = signal(SignalKind::child()).expect("SIGCHLD");
        let processes = Processes::new(sandbox.path().to_owned()).expect("a subreaper");
        let (ended, gone) = (BTreeMap::new(), BTreeSet::new());
        Self { processes, children, sandbox, ended, gone, _alone: alone }
    }

    fn start(&mut self, work: u64, line: &str) {
        let spec = TaskSpec::read(&task_info(&task(work).0, &payload(line))).expect("a payload");
        let TaskSpecWork::Script(line) = &spec.work else { panic!("not a script") };
        self.processes.start(WorkId(work), &spec, line, None);
    }

    fn kill_all(&mut self, works: std::ops::RangeInclusive<u64>) {
        for work in works {
            self.processes.signal(WorkId(work), Signal::Kill);
        }
    }

    /// Hears on until so many works are gone.
    async fn until_gone(&mut self, count: usize) {
        let all = async {
            while self.gone.len() < count {
                self.processes.settle();
                for event in self.processes.take_events() {
                    match event {
                        Event::LeaderEnded { work, end, .. } => {
                            self.ended.insert(work.0, end);
                            // What the core does: nothing may stay behind.
                            self.processes.signal(work, Signal::Kill);
                        }
                        Event::Gone { work, .. } => {
                            self.gone.insert(work.0);
                        }
                        Event::StartFailed { reason, .. } => panic!("{reason}"),
                        _ => {}
                    }
                }
                if self.gone.len() >= count {
                    break;
                }
                let sweep = self.processes.sweep_after().unwrap_or(PATIENCE);
                tokio::select! {
                    _ = self.children.recv() => self.processes.on_child_ended(),
                    () = tokio::time::sleep(sweep) => self.processes.sweep(),
                }
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, all).await;
        assert!(in_time.is_ok(), "only {} of {count} are gone", self.gone.len());
    }

    fn file(&self, work: u64, name: &str) -> PathBuf {
        self.sandbox.path().join("tasks").join(task(work).0).join(name)
    }

    async fn pids(&self, work: u64, count: usize) -> Vec<i32> {
        pids(&self.file(work, "pids"), count).await
    }
}

fn task(work: u64) -> TaskId {
    TaskId(format!("job@-@0@-@READY@-@S0@-@{work}"))
}

/// Waits until a process is this one's child: all that stood between them has ended.
async fn orphaned(pid: i32) {
    let own = std::process::id().to_string();
    let parent = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(") ").map(|(_, fields)| fields.to_owned());
        fields.and_then(|fields| fields.split(' ').nth(1).map(str::to_owned))
    };
    let begun = std::time::Instant::now();
    while parent().as_deref() != Some(&own) {
        assert!(begun.elapsed() < PATIENCE, "{pid} has another parent than {own}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn fifty_scripts_that_ignore_sigterm_are_all_ended() {
    let mut rack = Rack::new().await;
    let mut all = Vec::new();
    for work in 1..=50 {
        rack.start(work, "trap '' TERM HUP INT; echo $$ >pids; while :; do sleep 1000; done;");
    }
    for work in 1..=50 {
        all.extend(rack.pids(work, 1).await);
        rack.processes.signal(WorkId(work), Signal::Terminate);
    }
    rack.processes.settle();
    assert!(all.iter().all(|pid| is_alive(*pid)));
    rack.kill_all(1..=50);
    rack.until_gone(50).await;
    assert!(!all.iter().any(|pid| is_alive(*pid)));
    assert!(rack.ended.values().all(|end| end.exited == Exited::Signal(9)));
}

#[tokio::test]
async fn a_hundred_children_and_their_doubly_forked_siblings_go_with_the_script() {
    let mut rack = Rack::new().await;
    let line = "for i in $(seq 100); do sleep 1000 & echo $! >>pids; done; \
                for i in $(seq 10); do setsid sh -c \
                '(sh -c \"echo \\$\\$ >>pids; exec sleep 1000\" &)' & done; wait; sleep 1000;";
    rack.start(1, line);
    let pids = rack.pids(1, 110).await;
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    rack.kill_all(1..=1);
    rack.until_gone(1).await;
    let left: Vec<&i32> = pids.iter().filter(|pid| is_alive(**pid)).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn what_hides_from_every_mark_goes_with_the_last_script_it_can_be_of() {
    let mut rack = Rack::new().await;
    // A new session, no environment, another directory, and no parent left to tell.
    let hide = "cd / && setsid env -i /bin/sh -c '/bin/sleep 1000 & /bin/echo $!' >$0/pids & wait;";
    let script = |end: &str| format!("set -- \"$PWD\"; {} {end}", hide.replace("$0", "\"$1\""));
    rack.start(1, &script("exit 5;"));
    let hidden = rack.pids(1, 1).await;
    rack.until_gone(1).await;
    assert!(!is_alive(hidden[0]), "alone, it goes with its script");

    rack.start(2, "sleep 1000;");
    rack.start(3, &script("exit 6;"));
    let hidden = rack.pids(3, 1).await;
    // Not looked at before its parent is gone, which would tell whose it is.
    orphaned(hidden[0]).await;
    rack.until_gone(2).await;
    assert_eq!(rack.ended[&3].exited, Exited::Code(6));
    assert!(is_alive(hidden[0]), "it may be the other's, which is not touched");
    rack.kill_all(2..=2);
    rack.until_gone(3).await;
    assert!(!is_alive(hidden[0]), "it is nobody else's");
}

#[tokio::test]
async fn a_script_that_forks_all_the_while_is_outrun() {
    let mut rack = Rack::new().await;
    let line = "trap '' TERM; echo $$ >pids; while :; do (sleep 1000 &) ; sleep 0.005; done;";
    rack.start(1, line);
    rack.pids(1, 1).await;
    rack.kill_all(1..=1);
    rack.until_gone(1).await;
}

#[tokio::test]
async fn a_hundred_megabytes_of_noise_are_bounded_and_hold_nobody_up() {
    let mut rack = Rack::new().await;
    rack.start(1, "head -c 100000000 /dev/urandom; head -c 1000000 /dev/urandom >&2; exit 7;");
    rack.start(2, "exec >&- 2>&-; exit 8;");
    rack.until_gone(2).await;
    assert_eq!(rack.ended[&1].exited, Exited::Code(7));
    assert_eq!(rack.ended[&1].stderr_tail.len(), 4_096);
    assert_eq!(rack.ended[&2].exited, Exited::Code(8));
    let len = |name: &str| std::fs::metadata(rack.file(1, name)).expect("a file").len();
    assert!(len("stdout") + len("stdout.1") <= 10 * 1024 * 1024);
    assert_eq!(len("stderr"), 1_000_000);
}

#[tokio::test]
async fn every_signal_that_ends_a_process_is_told_by_its_number() {
    let mut rack = Rack::new().await;
    // All that end a process by default; the stopping and the ignored ones do not.
    let numbers =
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 24, 25, 26, 27, 29, 30, 31];
    for number in numbers {
        rack.start(number, &format!("ulimit -c 0; kill -{number} $$; sleep 1000;"));
    }
    rack.until_gone(numbers.len()).await;
    for number in numbers {
        let exited = &rack.ended[&number].exited;
        assert_eq!(*exited, Exited::Signal(i32::try_from(number).expect("small")));
    }
}
