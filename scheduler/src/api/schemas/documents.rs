//! The schemas of what users write: app, job and calendar documents, and the bodies of requests.
//! Absent: checks; the engine reads documents, and has the say.

use serde_json::{Value, json};

use super::{Member, flag, instant, integer, list, map_of, one_of, text, with_optional};

/// All of them, by name.
pub(super) fn all() -> Vec<Member> {
    vec![
        ("AppDocument", app()),
        ("JobDocument", job()),
        ("CalendarDocument", calendar()),
        ("Reason", reason()),
        ("Overrides", overrides("What differs from the document for this run.", Vec::new())),
        ("Trigger", trigger()),
        ("Rerun", rerun()),
    ]
}

/// Closed: an unknown member is refused, so that a typing mistake is seen.
fn closed(mut schema: Value) -> Value {
    schema["additionalProperties"] = json!(false);
    schema
}

fn name(about: &str) -> Value {
    json!({
        "type": "string", "pattern": "^[A-Za-z0-9._-]+$", "minLength": 1, "maxLength": 100,
        "description": about,
    })
}

fn duration(about: &str) -> Value {
    json!({"type": "string", "examples": ["90s", "5m"], "description": about})
}

fn amount(min: f64, about: &str) -> Value {
    json!({"type": "number", "minimum": min, "description": about})
}

fn within(min: u32, max: u32, about: &str) -> Value {
    json!({"type": "integer", "minimum": min, "maximum": max, "description": about})
}

fn strings(about: &str) -> Value {
    map_of(json!({"type": "string"}), about)
}

fn texts(about: &str) -> Value {
    list(json!({"type": "string"}), about)
}

fn app() -> Value {
    closed(with_optional(
        "An app: a package and the resources of the executor that runs its jobs.",
        vec![("appName", name("Its name."))],
        vec![
            ("appURL", text("Package that the agent's fetcher puts into the sandbox.")),
            ("uris", texts("Further packages or files for the fetcher.")),
            ("bootstrapScript", text("Command that starts the executor.")),
            ("cpuCount", amount(0.0, "CPUs of the executor itself; 1 unless given.")),
            ("memoryMB", amount(0.0, "Memory of the executor itself; 128 unless given.")),
            ("appCacheEnable", flag("Whether the fetcher may cache the package.")),
            (
                "eventTraceSamplingCount",
                within(0, u32::MAX, "DAEMON: one firing in N is reported; 0 reports each."),
            ),
            ("env", strings("Environment of the executor.")),
            ("labels", strings("For people.")),
            ("idleTimeout", duration("An executor without tasks leaves after this long.")),
            ("description", text("For people.")),
        ],
    ))
}

fn job() -> Value {
    let mut members = what();
    members.extend(when());
    members.extend(how());
    let required = vec![
        ("jobName", name("Its name.")),
        ("appName", name("The app it belongs to.")),
        (
            "jobExecutionType",
            one_of(
                &["TRANSIENT", "DAEMON"],
                "TRANSIENT: the scheduler fires. DAEMON: the shards stay and fire by themselves.",
            ),
        ),
        ("shardingTotalCount", within(1, 1000, "Number of shards.")),
        ("cpuCount", amount(0.001, "CPUs of one shard.")),
        ("memoryMB", amount(1.0, "Memory of one shard.")),
    ];
    // Fields that clients of Elastic-Job-Cloud send, and that have no meaning here, are taken too.
    with_optional("A job: a schedule, shards, and what each runs.", required, members)
}

/// What a shard runs.
fn what() -> Vec<Member> {
    let http = with_optional(
        "The request of an HTTP job.",
        vec![("uri", text("Where to, http:// or https://."))],
        vec![
            ("method", text("GET unless given.")),
            ("headers", strings("Beside the sharding context.")),
            ("body", text("What is sent.")),
            ("connectTimeout", duration("Until a connection stands.")),
            ("readTimeout", duration("Between two pieces of the answer.")),
            ("success", json!({"description": "Good statuses, as 200 or \"200-299\", or a list."})),
        ],
    );
    let limits = with_optional(
        "What each process of a script may use; what is not given, the agent decides.",
        Vec::new(),
        vec![
            ("openFiles", within(1, 1 << 30, "Files open at once.")),
            ("fileSizeMB", within(0, 1 << 30, "Size of a file it writes, megabytes.")),
            ("virtualMemoryMB", within(1, 1 << 30, "Its address space, megabytes.")),
            ("cpuTime", duration("Time on a CPU.")),
            ("coreMB", within(0, 1 << 30, "Size of a core dump, megabytes.")),
        ],
    );
    vec![
        ("jobType", one_of(&["SCRIPT", "HTTP", "SIMPLE", "DATAFLOW"], "What a shard runs.")),
        ("scriptCommandLine", text("SCRIPT: the command line for sh.")),
        ("contextArgument", flag("SCRIPT: append the sharding context to the command line.")),
        ("http", http),
        ("jobClass", text("SIMPLE, DATAFLOW: the name the app's executor registers it under.")),
        ("streamingProcess", flag("DATAFLOW: fetch until there is nothing more.")),
        ("props", strings("Elastic-Job-Cloud's form of the same.")),
        ("shardingItemParameters", text("Parameter by shard, as 0=a,1=b.")),
        ("jobParameter", text("Given to every shard.")),
        ("env", environment()),
        ("runAs", text("The user a script runs as.")),
        ("limits", limits),
        ("description", text("For people.")),
        ("labels", strings("For people.")),
    ]
}

/// When it fires.
fn when() -> Vec<Member> {
    vec![
        ("cron", text("Quartz expression, seconds first.")),
        ("every", duration("Fixed rate.")),
        ("at", instant("One instant.")),
        ("delay", duration("That long after registration.")),
        ("startAt", instant("With every: where its grid begins.")),
        ("count", within(1, u32::MAX, "With every: how often.")),
        ("timeZone", text("IANA name; UTC unless the scheduler says otherwise.")),
        ("calendars", texts("Names of calendars whose days are no firings.")),
        ("jitter", duration("Spreads the starts of jobs that are due together.")),
        ("startAfter", instant("The schedule is live only after this.")),
        ("endBefore", instant("The schedule is live only before this.")),
    ]
}

/// By which rules it runs.
fn how() -> Vec<Member> {
    let any = |about: &str| json!({"description": about});
    vec![
        ("diskMB", amount(0.0, "Disk of one shard.")),
        ("gpuCount", amount(0.0, "GPUs of one shard.")),
        ("ports", within(0, 1000, "Number of ports of one shard.")),
        (
            "misfire",
            any("Firings that could not start: false, true, or {policy, maxPending, window}."),
        ),
        (
            "concurrency",
            any("A run due while one is active: forbid, skip, replace, or {policy: allow, max}."),
        ),
        ("priority", within(0, 100, "Higher first; 50 unless given.")),
        ("retry", any("{maxAttempts, backoff: {initial, max, multiplier, jitter}, exitCodes}.")),
        ("failover", flag("Run a shard again that was lost with agent, executor or task.")),
        ("timeout", duration("Running longer ends the run.")),
        ("queueTimeout", duration("Waiting longer ends the run.")),
        ("killGracePeriod", duration("From SIGTERM to SIGKILL; 5s unless given.")),
        ("constraints", any("Rows of [attribute, operator, value] over agent attributes.")),
        (
            "executor",
            one_of(&["app", "command"], "command: a TRANSIENT script in Mesos' own executor."),
        ),
        ("placement", one_of(&["binpack", "spread"], "Where shards are put.")),
        ("uris", texts("With executor command: files that the agent's fetcher brings.")),
        (
            "container",
            json!({
                "type": "object",
                "description": "With executor command: what the Mesos containerizer runs a task in.",
                "properties": {"image": {"type": "string"}},
                "required": ["image"],
                "additionalProperties": false,
            }),
        ),
        (
            "onUnreachable",
            one_of(&["failover", "wait"], "What becomes of a shard whose agent cannot be reached."),
        ),
    ]
}

fn calendar() -> Value {
    let date = |about: &str| json!({"type": "string", "format": "date", "description": about});
    let range = closed(super::object(
        "From one day to another, both included.",
        vec![("from", date("The first day.")), ("to", date("The last day."))],
    ));
    closed(with_optional(
        "Days on which the jobs that name it do not fire.",
        vec![("calendarName", name("Its name."))],
        vec![
            ("timeZone", text("Whose days; UTC unless the scheduler says otherwise.")),
            ("weekdays", texts("As SAT; at least one day of the week must be left.")),
            ("dates", list(date("As 2026-12-25."), "Single days.")),
            ("ranges", list(range, "Several days.")),
            ("description", text("For people.")),
        ],
    ))
}

fn reason() -> Value {
    closed(with_optional(
        "Why, for people.",
        Vec::new(),
        vec![(
            "reason",
            json!({"type": ["string", "null"], "maxLength": 1000, "description": "In words."}),
        )],
    ))
}

fn trigger() -> Value {
    let mut submitter = text("For whom the run is made; for whoever asks unless given.");
    submitter["minLength"] = json!(1);
    submitter["maxLength"] = json!(shiftwork_engine::command::SUBMITTER_LEN_MAX);
    overrides("What differs for this run, and for whom it is made.", vec![("submitter", submitter)])
}

fn overrides(about: &str, more: Vec<Member>) -> Value {
    let mut members = more;
    members.extend(override_members());
    closed(with_optional(about, Vec::new(), members))
}

fn override_members() -> Vec<Member> {
    vec![
        ("jobParameter", text("In place of the job parameter.")),
        ("env", strings("Added to the environment.")),
        (
            "items",
            json!({
                "type": "array", "items": integer("A shard."), "minItems": 1,
                "uniqueItems": true, "description": "Only these shards run.",
            }),
        ),
        (
            "shardingItemParameters",
            json!({
                "type": ["object", "string"], "additionalProperties": {"type": "string"},
                "description": "In place of the parameters of these shards.",
            }),
        ),
    ]
}

fn rerun() -> Value {
    closed(with_optional(
        "Which shards.",
        Vec::new(),
        vec![("failedOnly", flag("Only those that did not succeed."))],
    ))
}

/// Variables, of which some may be secrets.
fn environment() -> Value {
    let secret = json!({
        "type": "object",
        "description": "The value of a secret, by its name.",
        "required": ["secret"],
        "additionalProperties": false,
        "properties": {"secret": {"type": "string", "pattern": "^[A-Za-z0-9._@+-]{1,100}$"}},
    });
    json!({
        "type": "object",
        "description": "Environment of the work: a text, or the name of a secret.",
        "additionalProperties": {"oneOf": [{"type": "string"}, secret]},
    })
}
