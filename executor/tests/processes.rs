//! Real scripts: how they end, what they leave behind, what they write. Absent: the core and the
//! agent; signals are sent by hand.

mod common;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use common::{PATIENCE, is_alive, payload, pids, task_info};
use shiftwork_executor::core::{
    Event, Exited, Signal, TaskId, TaskSpec, TaskSpecWork, WorkEnd, WorkId,
};
use shiftwork_executor::process::Processes;
use shiftwork_proto::shiftwork::v1::task_payload::Work;
use shiftwork_proto::shiftwork::v1::{Limits, Script, TaskPayload};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

/// Children belong to the whole test program: two tests at once would reap each other's.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Processes in a sandbox of their own.
struct Bench {
    processes: Processes,
    children: SignalStream,
    sandbox: tempfile::TempDir,
    _alone: tokio::sync::MutexGuard<'static, ()>,
}

impl Bench {
    async fn new() -> Self {
        let alone = ONE_AT_A_TIME.lock().await;
        let sandbox = tempfile::tempdir().expect("a sandbox");
        let children = signal(SignalKind::child()).expect("SIGCHLD");
        let processes = Processes::new(sandbox.path().to_owned()).expect("a subreaper");
        Self { processes, children, sandbox, _alone: alone }
    }

    fn start(&mut self, work: u64, payload: &TaskPayload) {
        let spec = TaskSpec::read(&task_info(&task(work).0, payload)).expect("a good payload");
        let TaskSpecWork::Script(command_line) = &spec.work else { panic!("not a script") };
        self.processes.start(WorkId(work), &spec, command_line, None);
    }

    fn start_line(&mut self, work: u64, command_line: &str) {
        self.start(work, &payload(command_line));
    }

    /// The next events, and those before them.
    async fn until(&mut self, enough: impl Fn(&[Event]) -> bool) -> Vec<Event> {
        let mut all = Vec::new();
        let all_come = async {
            loop {
                self.processes.settle();
                all.extend(self.processes.take_events());
                if enough(&all) {
                    return;
                }
                let sweep = self.processes.sweep_after().unwrap_or(PATIENCE);
                tokio::select! {
                    _ = self.children.recv() => self.processes.on_child_ended(),
                    () = tokio::time::sleep(sweep) => self.processes.sweep(),
                }
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, all_come).await;
        assert!(in_time.is_ok(), "only {all:?}");
        all
    }

    /// Runs a script to its own end and clears it away, as the core would.
    async fn run(&mut self, work: u64, command_line: &str) -> WorkEnd {
        self.start_line(work, command_line);
        let end = self.ended(work).await;
        self.processes.signal(WorkId(work), Signal::Kill);
        self.gone(work).await;
        end
    }

    async fn ended(&mut self, work: u64) -> WorkEnd {
        let is_end =
            |event: &Event| matches!(event, Event::LeaderEnded { work: w, .. } if w.0 == work);
        let events = self.until(|events| events.iter().any(is_end)).await;
        let end = events.into_iter().find_map(|event| match event {
            Event::LeaderEnded { end, .. } => Some(end),
            _ => None,
        });
        end.expect("an end")
    }

    async fn gone(&mut self, work: u64) {
        let gone = |event: &Event| matches!(event, Event::Gone { work: w, .. } if w.0 == work);
        if !self.processes.is_running(WorkId(work)) {
            return;
        }
        self.until(|events| events.iter().any(gone)).await;
    }

    fn file(&self, work: u64, name: &str) -> PathBuf {
        self.sandbox.path().join("tasks").join(task(work).0).join(name)
    }

    fn read(&self, work: u64, name: &str) -> Vec<u8> {
        std::fs::read(self.file(work, name)).expect("an output file")
    }
}

fn task(work: u64) -> TaskId {
    TaskId(format!("job@-@0@-@READY@-@S0@-@{work}"))
}

#[tokio::test]
async fn exit_codes_and_signals_are_told_apart() {
    let mut bench = Bench::new().await;
    assert_eq!(bench.run(1, "true").await.exited, Exited::Code(0));
    assert_eq!(bench.run(2, "exit 3").await.exited, Exited::Code(3));
    assert_eq!(bench.run(3, "kill -9 $$;").await.exited, Exited::Signal(9));
    assert_eq!(bench.run(4, "./no-such-program").await.exited, Exited::Code(127));
}

#[tokio::test]
async fn what_is_written_is_found_in_the_tasks_own_directory() {
    let mut bench = Bench::new().await;
    let end = bench.run(1, "pwd; echo oh no >&2; echo").await;
    let context = String::from_utf8(bench.read(1, "stdout")).expect("text");
    let (directory, argument) = context.split_once('\n').expect("two lines");
    assert!(directory.ends_with(&format!("/tasks/{}", task(1))), "{directory}");
    let context: serde_json::Value = serde_json::from_str(argument).expect("JSON, unmangled");
    assert_eq!(context["taskId"], task(1).0);
    assert_eq!(context["logicalTime"], "2026-11-20T02:00:00Z");
    assert_eq!(bench.read(1, "stderr"), b"oh no\n");
    assert_eq!(end.stderr_tail, "oh no\n");
}

#[tokio::test]
async fn the_context_reaches_the_last_command_whole_whatever_it_holds() {
    let mut bench = Bench::new().await;
    let nasty = "it's $(touch pwned) `x` \"q\" \\ ; & \n ünï";
    let mut payload = payload("cd / && printf '%s|%s' first");
    payload.sharding_parameter = nasty.into();
    bench.start(1, &payload);
    bench.ended(1).await;
    bench.gone(1).await;
    let out = String::from_utf8(bench.read(1, "stdout")).expect("text");
    let json = out.strip_prefix("first|").expect("the argument after its own");
    let context: serde_json::Value = serde_json::from_str(json).expect("JSON, unmangled");
    assert_eq!(context["shardingParameter"], nasty);
    assert!(!bench.file(1, "pwned").exists());
}

#[tokio::test]
async fn the_environment_is_clean_and_the_apps_programs_are_found() {
    let mut bench = Bench::new().await;
    let program = bench.sandbox.path().join("app-tool");
    std::fs::write(&program, "#!/bin/sh\nenv\n").expect("a program");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, executable).expect("executable");
    let mut payload = payload("app-tool");
    payload.env.insert("COLOUR".into(), "blue".into());
    bench.start(1, &payload);
    bench.ended(1).await;
    bench.gone(1).await;
    let out = String::from_utf8(bench.read(1, "stdout")).expect("text");
    let allowed = ["PATH", "HOME", "LANG", "TZ", "USER", "COLOUR", "MESOS_SANDBOX", "PWD", "_"];
    for name in out.lines().filter_map(|line| Some(line.split_once('=')?.0)) {
        // The shell adds some of its own: PWD, OLDPWD, SHLVL.
        let by_shell = matches!(name, "OLDPWD" | "SHLVL");
        let known = allowed.contains(&name) || name.starts_with("SHIFTWORK_") || by_shell;
        assert!(known, "{name} in {out}");
    }
    assert!(out.contains("COLOUR=blue\n"), "{out}");
}

#[tokio::test]
async fn binary_output_and_its_last_bytes_are_kept() {
    let mut bench = Bench::new().await;
    let line = r"head -c 100000 /dev/zero >&2; printf '\377\000\376' >&2; exit 1;";
    let end = bench.run(1, line).await;
    assert_eq!(end.stderr_tail.len(), 4_096);
    assert!(end.stderr_tail.ends_with(b"\0\0\xff\0\xfe"), "{:?}", end.stderr_tail);
    assert_eq!(bench.read(1, "stderr").len(), 100_003);
}

#[tokio::test]
async fn of_endless_output_the_newest_is_kept_and_the_script_goes_on() {
    let mut bench = Bench::new().await;
    let end = bench.run(1, "head -c 30000000 /dev/zero; echo end; echo done >&2;").await;
    assert_eq!((end.exited, end.stderr_tail), (Exited::Code(0), Bytes::from("done\n")));
    let out = bench.read(1, "stdout");
    assert!(out.ends_with(b"\0end\n"));
    assert!(out.len() + bench.read(1, "stdout.1").len() <= 10_485_760, "{}", out.len());
}

#[tokio::test]
async fn a_script_that_closes_its_outputs_or_reads_its_input_is_no_trouble() {
    let mut bench = Bench::new().await;
    let end = bench.run(1, "exec >&- 2>&- <&-; sleep 0.1; exit 4;").await;
    assert_eq!(end.exited, Exited::Code(4));
    let end = bench.run(2, "read line; exit 5;").await;
    assert_eq!(end.exited, Exited::Code(5));
}

#[tokio::test]
async fn a_script_that_ignores_sigterm_is_killed_with_its_children() {
    let mut bench = Bench::new().await;
    let line = "trap '' TERM; sleep 1000 & echo $! >pids; echo $$ >>pids; wait;";
    bench.start_line(1, line);
    let pids = pids(&bench.file(1, "pids"), 2).await;
    bench.processes.signal(WorkId(1), Signal::Terminate);
    bench.processes.settle();
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    bench.processes.signal(WorkId(1), Signal::Kill);
    bench.gone(1).await;
    assert!(!pids.iter().any(|pid| is_alive(*pid)));
}

#[tokio::test]
async fn a_task_is_not_gone_while_a_background_child_runs() {
    let mut bench = Bench::new().await;
    bench.start_line(1, "trap '' TERM; (sleep 1000) & echo $! >pids; trap - TERM; wait;");
    let pids = pids(&bench.file(1, "pids"), 1).await;
    bench.processes.signal(WorkId(1), Signal::Terminate);
    assert_eq!(bench.ended(1).await.exited, Exited::Signal(15));
    bench.processes.sweep();
    assert!(bench.processes.is_running(WorkId(1)));
    let seldom = bench.processes.sweep_after().expect("something to look for");
    assert!(seldom > Duration::from_millis(50), "{seldom:?}");
    bench.processes.signal(WorkId(1), Signal::Kill);
    bench.gone(1).await;
    assert!(!is_alive(pids[0]));
}

/// A double fork with setsid: not in the group, not a child of the script, its outputs its own.
const ESCAPE: &str = "setsid sh -c 'sleep 1000 & echo $! >pids; echo $$ >>pids; wait' \
                      >/dev/null 2>&1 </dev/null &";

#[tokio::test]
async fn children_that_escaped_are_found_and_ended() {
    let mut bench = Bench::new().await;
    let end = bench.run_escaping(1).await;
    assert_eq!(end.exited, Exited::Code(0));
}

impl Bench {
    async fn run_escaping(&mut self, work: u64) -> WorkEnd {
        self.start_line(work, &format!("{ESCAPE} sleep 0.2; exit 0;"));
        let pids = pids(&self.file(work, "pids"), 2).await;
        let end = self.ended(work).await;
        assert!(pids.iter().all(|pid| is_alive(*pid)));
        self.processes.signal(WorkId(work), Signal::Kill);
        self.gone(work).await;
        assert!(!pids.iter().any(|pid| is_alive(*pid)));
        end
    }
}

#[tokio::test]
async fn what_escapes_from_one_task_is_not_taken_for_another() {
    let mut bench = Bench::new().await;
    let other = format!("{ESCAPE} wait;");
    bench.start_line(1, &other);
    let others = pids(&bench.file(1, "pids"), 2).await;
    bench.run_escaping(2).await;
    assert!(others.iter().all(|pid| is_alive(*pid)));
    assert!(bench.processes.is_running(WorkId(1)));
    bench.processes.end_all().await;
    assert!(!others.iter().any(|pid| is_alive(*pid)));
}

#[tokio::test]
async fn a_start_that_fails_says_where_and_why() {
    let mut bench = Bench::new().await;
    std::fs::write(bench.sandbox.path().join("tasks"), "in the way").expect("a file");
    bench.start_line(1, "true");
    let events = bench.processes.take_events();
    let [Event::StartFailed { reason, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(reason.contains("directory") && reason.contains("/tasks/"), "{reason}");
    let mut payload = payload("true");
    payload.job_parameter = "x".repeat(1_000_000);
    std::fs::remove_file(bench.sandbox.path().join("tasks")).expect("removed");
    bench.start(2, &payload);
    let events = bench.processes.take_events();
    let [Event::StartFailed { reason, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(reason.contains("/bin/sh") && reason.contains("too long"), "{reason}");
}

#[tokio::test]
async fn what_a_script_used_is_counted() {
    let mut bench = Bench::new().await;
    // Some 40 MB in one variable of the shell, and a loop that takes some time.
    let line = "x=$(head -c 20000000 /dev/zero | tr '\\0' x); i=0; \
                while [ $i -lt 100000 ]; do i=$((i + 1)); done;";
    bench.start_line(1, line);
    let gone = |event: &Event| match event {
        Event::Gone { usage, .. } => Some(*usage),
        _ => None,
    };
    let events = bench.until(|events| events.iter().any(|event| gone(event).is_some())).await;
    let usage = events.iter().find_map(gone).expect("an end");
    assert!(usage.memory_peak_bytes > 20_000_000, "{usage:?}");
    assert!((10..30_000).contains(&usage.cpu_time_ms), "{usage:?}");
}

#[tokio::test]
async fn a_script_runs_as_the_user_its_job_names_if_root_may_do_so() {
    let mut bench = Bench::new().await;
    let traversable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(bench.sandbox.path(), traversable).expect("permissions");
    let mut payload = payload("id -un; id -G; echo $USER; touch made;");
    let is_root = rustix::process::geteuid().is_root();
    payload.run_as = if is_root { "nobody" } else { "root" }.into();
    bench.start(1, &payload);
    if is_root {
        assert_eq!(bench.ended(1).await.exited, Exited::Code(0));
        bench.gone(1).await;
        let text = String::from_utf8(bench.read(1, "stdout")).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        let [user, groups, variable] = lines[..] else { panic!("{text}") };
        assert_eq!((user, variable), ("nobody", "nobody"));
        assert!(!groups.split(' ').any(|group| group == "0"), "{groups}");
    } else {
        let events = bench.processes.take_events();
        let [Event::StartFailed { reason, .. }] = &events[..] else { panic!("{events:?}") };
        assert!(reason.contains("not root"), "{reason}");
    }
    payload.run_as = "no-such-user".into();
    bench.start(2, &payload);
    let events = bench.processes.take_events();
    let [Event::StartFailed { reason, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(reason.contains("no-such-user") && reason.contains("runAs"), "{reason}");
}

#[tokio::test]
async fn a_script_is_limited_as_its_job_says_and_gets_its_context_all_the_same() {
    let mut bench = Bench::new().await;
    let mut payload = payload("ulimit -n; ulimit -t; test \"$1\" = \"$SHIFTWORK_CONTEXT\" && true");
    payload.limits = Some(Limits {
        open_files: Some(50),
        file_size_mb: Some(1),
        cpu_time_s: Some(100),
        ..Limits::default()
    });
    bench.start(1, &payload);
    assert_eq!(bench.ended(1).await.exited, Exited::Code(0));
    assert_eq!(bench.read(1, "stdout"), b"50\n100\n");

    payload.work = Some(Work::Script(Script {
        command_line: "head -c 2000000 /dev/zero > big;".into(),
        ..Script::default()
    }));
    bench.start(2, &payload);
    let end = bench.ended(2).await;
    assert!(matches!(end.exited, Exited::Code(153)), "128 and SIGXFSZ: {end:?}");
    assert_eq!(bench.read(2, "big").len(), 1024 * 1024);
}

#[tokio::test]
async fn two_hundred_scripts_at_once() {
    let mut bench = Bench::new().await;
    for work in 1..=200 {
        bench.start_line(work, "sleep 0.3; exit 0;");
    }
    let gone = |events: &[Event]| {
        events.iter().filter(|event| matches!(event, Event::Gone { .. })).count()
    };
    let events = bench.until(|events| gone(events) == 200).await;
    let ends = events.iter().filter(
        |event| matches!(event, Event::LeaderEnded { end, .. } if end.exited == Exited::Code(0)),
    );
    assert_eq!(ends.count(), 200);
}
