//! What a script is given: its shell line, its argument, its environment. The contract with user
//! code stands here and nowhere else, also for scripts that Mesos' own executor runs. Absent: starting
//! it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use shiftwork_proto::shiftwork::v1::Limits;
use shiftwork_proto::shiftwork::v1::task_payload::Work;
use shiftwork_schedule::Timestamp;

use crate::core::TaskSpec;
use crate::sharding_context;

/// The environment variable that carries the task id. Every process of a task inherits it, which is
/// how those that left its process group are found.
pub const TASK_ID_VARIABLE: &str = "SHIFTWORK_TASK_ID";

/// What is passed on from the executor's own environment. The rest is the agent's business: a token
/// or a library path in it is not for user code.
const INHERITED: [&str; 5] = ["PATH", "HOME", "LANG", "TZ", "USER"];
/// Where programs are found when the executor has no PATH itself.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How many blocks of `ulimit -f` and `-c` a megabyte is (POSIX: 512 bytes each).
const BLOCKS_PER_MB: u64 = 2048;
/// How many units of `ulimit -v` a megabyte is (1,024 bytes each).
const KILOBYTES_PER_MB: u64 = 1024;
/// Goes on as a shell with the arguments given to this one, the first of them its command line.
const AND_GO_ON: &str = "exec /bin/sh -c \"$0\" \"$@\"";
/// `$0` of the shell: what stands before its error messages.
const SHELL_NAME: &str = "shiftwork";

/// A process to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Arguments of `sh`.
    pub arguments: Vec<String>,
    /// The whole environment.
    pub environment: BTreeMap<OsString, OsString>,
}

// === impl Script ===

impl Script {
    /// The script `command_line` of `spec`; `firing` is the moment a daemon's firing stands for. `own` looks up the
    /// executor's own environment, `app` is the environment the app's document asks for.
    pub fn new(
        spec: &TaskSpec,
        command_line: &str,
        firing: Option<Timestamp>,
        sandbox: &Path,
        app: &BTreeMap<String, String>,
        own: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let mut environment = BTreeMap::new();
        let mut set = |name: String, value: OsString| environment.insert(name.into(), value);
        for name in INHERITED {
            own(name).map(|value| set(name.to_owned(), value));
        }
        for (name, value) in app.clone().into_iter().chain(variables(spec, firing)) {
            set(name, value.into());
        }
        set("SHIFTWORK_APP_DIR".to_owned(), sandbox.into());
        set("MESOS_SANDBOX".to_owned(), sandbox.into());
        put_in_front_of_path(&mut environment, sandbox);
        Self { arguments: arguments(spec, command_line, firing), environment }
    }
}

/// The arguments of `sh` for the script `command_line`.
pub fn arguments(spec: &TaskSpec, command_line: &str, firing: Option<Timestamp>) -> Vec<String> {
    let context = sharding_context::json(spec, firing);
    let as_it_is =
        matches!(&spec.payload.work, Some(Work::Script(script)) if script.no_context_argument);
    let line = if as_it_is { command_line.trim().to_owned() } else { shell_line(command_line) };
    let limits = spec.payload.limits.as_ref().and_then(limiting_line);
    let first = std::iter::once("-c".to_owned()).chain(limits);
    first.chain([line, SHELL_NAME.to_owned(), context]).collect()
}

/// A command line for a shell that limits itself and then goes on as the one for the script; `None` when
/// nothing is limited. The script's line is an argument of it, so that no quoting comes between. A
/// limit above the agent's own cannot be set: the script does not run then, and stderr says why.
fn limiting_line(limits: &Limits) -> Option<String> {
    let (blocks, kilobytes) = (BLOCKS_PER_MB, KILOBYTES_PER_MB);
    let options = [
        ("-n", limits.open_files, 1),
        ("-f", limits.file_size_mb, blocks),
        ("-v", limits.virtual_memory_mb, kilobytes),
        ("-t", limits.cpu_time_s, 1),
        ("-c", limits.core_mb, blocks),
    ];
    let set: Vec<String> = options
        .into_iter()
        .filter_map(|(option, value, unit)| Some((option, u64::from(value?) * unit)))
        .map(|(option, value)| format!("ulimit {option} {value} && "))
        .collect();
    (!set.is_empty()).then(|| set.concat() + AND_GO_ON)
}

/// The variables that are a script's wherever it runs: the job's `env`, its ports, its context.
pub fn variables(spec: &TaskSpec, firing: Option<Timestamp>) -> BTreeMap<String, String> {
    let payload = &spec.payload;
    let mut variables = payload.env.clone();
    for (index, port) in payload.ports.iter().enumerate() {
        variables.insert(format!("PORT{index}"), port.to_string());
    }
    let values: [(&str, &dyn ToString); 11] = [
        ("SHIFTWORK_APP", &payload.app),
        ("SHIFTWORK_JOB", &payload.job),
        ("SHIFTWORK_RUN_ID", &payload.run_id),
        ("SHIFTWORK_LOGICAL_TIME", &sharding_context::logical_time(spec, firing)),
        ("SHIFTWORK_ATTEMPT", &payload.attempt),
        ("SHIFTWORK_ITEM", &payload.item),
        ("SHIFTWORK_SHARDING_TOTAL_COUNT", &payload.sharding_total_count),
        ("SHIFTWORK_SHARDING_PARAMETER", &payload.sharding_parameter),
        ("SHIFTWORK_JOB_PARAMETER", &payload.job_parameter),
        ("SHIFTWORK_CONTEXT", &sharding_context::json(spec, firing)),
        (TASK_ID_VARIABLE, &spec.id),
    ];
    variables.extend(values.map(|(name, value)| (name.to_owned(), value.to_string())));
    variables
}

/// The sandbox holds the app's package: its programs are found by name.
fn put_in_front_of_path(environment: &mut BTreeMap<OsString, OsString>, sandbox: &Path) {
    let before = environment.get(&OsString::from("PATH")).filter(|path| !path.is_empty());
    let mut path = OsString::from(sandbox);
    path.push(":");
    path.push(before.map_or_else(|| OsString::from(PATH_DEFAULT), Clone::clone));
    environment.insert("PATH".into(), path);
}

/// The command line with the positional parameters as last argument of its last command. The JSON
/// itself never passes through the shell's parser.
///
/// Where a line ends in something that takes no argument (`done`, `)`, `;`, `&` ...) it is left as
/// it is: the context is then `$1` inside the line, and in the environment as ever.
fn shell_line(command_line: &str) -> String {
    let line = command_line.trim();
    if takes_argument(line) { format!("{line} \"$@\"") } else { line.to_owned() }
}

/// Whether the last command of `line` is a simple one. Quoting is not looked at: a line whose last
/// word only looks like a keyword loses the argument, never its meaning.
fn takes_argument(line: &str) -> bool {
    let last_word = line.rsplit(|c: char| c.is_whitespace() || c == ';').next().unwrap_or(line);
    if last_word.len() != line.len() && matches!(last_word, "done" | "fi" | "esac" | "}") {
        return false;
    }
    match line.chars().next_back() {
        Some(';' | '&') => false,
        Some(')') => closes_substitution(line),
        _ => true,
    }
}

/// Whether the parenthesis that ends `line` was opened by `$(`.
fn closes_substitution(line: &str) -> bool {
    let mut depth = 0_usize;
    for (at, c) in line.char_indices().rev() {
        match c {
            ')' => depth += 1,
            '(' if depth <= 1 => return line.get(..at).is_some_and(|before| before.ends_with('$')),
            '(' => depth -= 1,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use shiftwork_proto::mesos::v1::TaskInfo;
    use shiftwork_proto::shiftwork::v1 as wire;

    use super::*;
    use crate::core::testing::{payload, task_info};

    fn spec(change: impl FnOnce(&mut shiftwork_proto::shiftwork::v1::TaskPayload)) -> TaskSpec {
        let mut payload = payload("./run.sh --fast");
        change(&mut payload);
        let info: TaskInfo = task_info("j@-@0@-@READY@-@S0@-@u", &payload);
        TaskSpec::read(&info).expect("a good payload")
    }

    fn script(spec: &TaskSpec, firing: Option<Timestamp>) -> Script {
        let app = BTreeMap::from([("TIER".to_owned(), "gold".to_owned())]);
        Script::new(spec, "./run.sh --fast", firing, Path::new("/sandbox"), &app, |name| match name
        {
            "PATH" => Some("/bin".into()),
            "LANG" => Some("C.UTF-8".into()),
            "LIBPROCESS_IP" => Some("127.0.0.1".into()),
            _ => None,
        })
    }

    #[test]
    fn the_whole_contract() {
        let spec = spec(|payload| {
            payload.env.insert("COLOUR".into(), "blue".into());
            payload.env.insert("SHIFTWORK_RUN_ID".into(), "forged".into());
            payload.ports = vec![31_000, 31_005];
            payload.sharding_parameter = "it's \"a\" $(b)".into();
        });
        let script = script(&spec, None);
        let context = "{\"jobName\":\"j\",\"taskId\":\"j@-@0@-@READY@-@S0@-@u\",\
             \"shardingTotalCount\":2,\"jobParameter\":\"p\",\"shardingItem\":1,\
             \"shardingParameter\":\"it's \\\"a\\\" $(b)\",\"runId\":\"j@20261120T020000Z\",\
             \"logicalTime\":\"2026-11-20T02:00:00Z\",\"attempt\":1,\"appName\":\"a\"}";
        assert_eq!(script.arguments, ["-c", "./run.sh --fast \"$@\"", "shiftwork", context]);
        let expected = [
            ("COLOUR", "blue"),
            ("LANG", "C.UTF-8"),
            ("MESOS_SANDBOX", "/sandbox"),
            ("PATH", "/sandbox:/bin"),
            ("PORT0", "31000"),
            ("PORT1", "31005"),
            ("SHIFTWORK_APP", "a"),
            ("SHIFTWORK_APP_DIR", "/sandbox"),
            ("SHIFTWORK_ATTEMPT", "1"),
            ("SHIFTWORK_CONTEXT", context),
            ("SHIFTWORK_ITEM", "1"),
            ("SHIFTWORK_JOB", "j"),
            ("SHIFTWORK_JOB_PARAMETER", "p"),
            ("SHIFTWORK_LOGICAL_TIME", "2026-11-20T02:00:00Z"),
            ("SHIFTWORK_RUN_ID", "j@20261120T020000Z"),
            ("SHIFTWORK_SHARDING_PARAMETER", "it's \"a\" $(b)"),
            ("SHIFTWORK_SHARDING_TOTAL_COUNT", "2"),
            ("SHIFTWORK_TASK_ID", "j@-@0@-@READY@-@S0@-@u"),
            ("TIER", "gold"),
        ];
        let expected = expected.map(|(name, value)| (name.into(), value.into()));
        assert_eq!(script.environment, BTreeMap::<OsString, OsString>::from(expected));
    }

    #[test]
    fn a_firing_has_its_own_logical_time_and_the_run_its_id() {
        let firing = Timestamp::from_millis(1_795_140_060_000);
        let script = script(&spec(|_| {}), Some(firing));
        let value = |name: &str| script.environment.get(&OsString::from(name)).cloned();
        assert_eq!(value("SHIFTWORK_LOGICAL_TIME"), Some("2026-11-20T02:01:00Z".into()));
        assert_eq!(value("SHIFTWORK_RUN_ID"), Some("j@20261120T020000Z".into()));
    }

    #[test]
    fn a_line_that_wants_no_argument_is_left_as_it_is() {
        let spec = spec(|payload| {
            let command_line = "sleep 5".into();
            payload.work =
                Some(Work::Script(wire::Script { command_line, no_context_argument: true }));
        });
        let [_, line, _, context] = &arguments(&spec, "sleep 5", None)[..] else { panic!() };
        assert_eq!(line, "sleep 5");
        assert!(context.starts_with('{'), "it is $1 within the line all the same");
    }

    #[test]
    fn limits_are_set_by_a_shell_before_that_of_the_script() {
        let limits = |limits| {
            let spec = spec(|payload| payload.limits = Some(limits));
            arguments(&spec, "./run.sh --fast", None)
        };
        let some = wire::Limits {
            open_files: Some(64),
            file_size_mb: Some(2),
            virtual_memory_mb: Some(3),
            cpu_time_s: Some(4),
            core_mb: Some(0),
        };
        let [option, line, script, name, context] = &limits(some)[..] else { panic!() };
        assert_eq!(option, "-c");
        let expected = "ulimit -n 64 && ulimit -f 4096 && ulimit -v 3072 && ulimit -t 4 && \
            ulimit -c 0 && exec /bin/sh -c \"$0\" \"$@\"";
        assert_eq!(line, expected);
        assert_eq!((script.as_str(), name.as_str()), ("./run.sh --fast \"$@\"", "shiftwork"));
        assert!(context.starts_with('{'));
        let none = limits(wire::Limits::default());
        assert_eq!(none[..2], ["-c", "./run.sh --fast \"$@\""]);
    }

    #[test]
    fn the_argument_goes_to_the_last_simple_command() {
        for line in [
            "./run.sh",
            "cd x && ./run.sh",
            "echo ${X}",
            "echo $(date)",
            "a | b $(c (d))",
            "fi",
            "echo done.",
            "a; b",
        ] {
            assert_eq!(shell_line(line), format!("{line} \"$@\""));
        }
        for line in [
            "(cd x; ./run.sh)",
            "for i in 1 2; do echo $i; done",
            "if true; then a; fi",
            "{ a; b; }",
            "a;",
            "a &",
            "case $1 in *) a;; esac",
        ] {
            assert_eq!(shell_line(line), line);
        }
        assert_eq!(shell_line("  ./run.sh \n"), "./run.sh \"$@\"");
    }
}
