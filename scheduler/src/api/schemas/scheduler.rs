//! The schemas of agents, queues and the scheduler as a whole.

use serde_json::{Value, json};

use super::{
    Member, count, flag, instant, list, map_of, maybe, object, one_of, text, the, with_optional,
};
use crate::api::rest::SHARD_STATES;

/// Agents, and what is on them.
pub(super) fn cluster() -> Vec<Member> {
    let resources = || map_of(json!({"type": "number"}), "By kind: cpus, mem, disk, gpus, ports.");
    let agent = with_optional(
        "An agent as seen through the offers held.",
        vec![
            ("id", text("Its id.")),
            ("hostname", text("Its host name.")),
            ("attributes", map_of(json!({"type": "string"}), "Its attributes.")),
            ("offered", resources()),
            ("executors", list(json!({"type": "string"}), "Executors of this framework on it.")),
            ("tasks", count("Tasks of this framework on it.")),
        ],
        vec![("unavailableFrom", instant("When it goes away for maintenance, if it does."))],
    );
    let offer = object(
        "An offer that is held.",
        vec![
            ("id", text("Its id.")),
            ("agent", text("Of which agent.")),
            ("hostname", text("The agent's host name.")),
            ("resources", resources()),
            ("since", instant("When it came.")),
        ],
    );
    let states = ["LAUNCHING", "RUNNING", "RETIRING", "LOST"];
    let executor = object(
        "An executor: one process per version of an app and agent.",
        vec![
            ("id", text("Its id.")),
            ("app", text("Its app.")),
            ("agent", text("Its agent.")),
            ("state", one_of(&states, "Whether it is there.")),
            ("tasks", count("Tasks launched in it and not ended.")),
            ("resources", maybe(resources())),
        ],
    );
    vec![("Agent", agent), ("Offer", offer), ("Executor", executor)]
}

/// Queues, and the scheduler as a whole.
pub(super) fn overall() -> Vec<Member> {
    let ready = object(
        "A job in the ready queue.",
        vec![
            ("job", text("The job.")),
            ("times", count("Number of its pending runs.")),
            ("next", text("The run that comes next.")),
            ("reason", maybe(text("Why it waits."))),
        ],
    );
    let failover = object(
        "A shard that waits to be launched again.",
        vec![
            ("run", text("The run.")),
            ("item", count("The shard.")),
            ("originalTaskId", maybe(text("The task that failed or was lost."))),
            ("due", instant("When it may be launched again.")),
            ("reason", maybe(text("Why it waits."))),
        ],
    );
    let running = object(
        "A live task.",
        vec![
            ("taskId", text("The task.")),
            ("run", text("Its run.")),
            ("item", count("Its shard.")),
            ("state", one_of(&SHARD_STATES, "Its state.")),
            ("agent", text("Its agent.")),
            ("since", instant("Since when it is in that state.")),
            ("idle", maybe(flag("For a DAEMON: true between firings."))),
        ],
    );
    let leader = object(
        "The scheduler that decides.",
        vec![
            ("id", text("The process, unique among all that may lead.")),
            ("addresses", list(json!({"type": "string"}), "Where its API answers.")),
            ("since", instant("When it took the lead.")),
            ("isSelf", flag("Whether the scheduler that was asked is the leader.")),
        ],
    );
    let health = object("How it is.", vec![("status", text("alive or ready."))]);
    let counts = object(
        "What became of tasks within one interval.",
        vec![
            ("from", instant("When it began.")),
            ("started", count("Tasks whose work began.")),
            ("succeeded", count("Tasks that ended and did their work.")),
            ("failed", count("Tasks that ended and did not.")),
        ],
    );
    let statistics = object(
        "Counts over time.",
        vec![
            ("since", instant("From when.")),
            ("until", instant("Until when.")),
            ("intervalMs", count("How long an interval is, milliseconds.")),
            ("tasks", list(counts, "By interval; those in which nothing happened are left out.")),
        ],
    );
    vec![
        ("Statistics", statistics),
        ("Ready", ready),
        ("Failover", failover),
        ("Running", running),
        ("Status", status()),
        ("Audit", audit()),
        ("Finding", finding()),
        ("Leader", leader),
        ("Health", health),
    ]
}

fn audit() -> Value {
    object(
        "What was due against what ran.",
        vec![
            ("since", instant("Firings after this were judged: from when on all is known.")),
            ("until", instant("Firings up to this were judged.")),
            ("due", count("Firings that were due.")),
            ("fired", count("Of these, those that got their run.")),
            ("leftOut", count("Of these, those that a rule of their job left out.")),
            ("jobsUnknown", count("Jobs whose documents are not all in the history.")),
            ("historyIncomplete", flag("Whether the history lost records: nothing is sure then.")),
            ("findingsTotal", count("How many things should not be.")),
            ("findings", list(the("Finding"), "The first of them.")),
        ],
    )
}

fn finding() -> Value {
    let kinds = ["MISSED", "WRONGLY_LEFT_OUT", "UNEXPECTED", "DOUBLED", "FORGOTTEN"];
    object(
        "A firing that was not dealt with as its schedule and rules say.",
        vec![
            ("kind", one_of(&kinds, "What is wrong.")),
            ("job", text("Whose firing.")),
            ("firing", instant("The moment the schedule named.")),
            ("run", text("The run it is about, or should have been.")),
            ("detail", text("More, for people.")),
        ],
    )
}

fn status() -> Value {
    object(
        "The scheduler as a whole.",
        vec![
            ("connected", flag("Whether the master's stream is open.")),
            ("frameworkId", maybe(text("The framework id, once known."))),
            ("watermark", instant("Up to when every firing has been enqueued.")),
            ("apps", count("Registered apps.")),
            ("jobs", count("Registered jobs.")),
            ("pendingRuns", count("Runs that wait.")),
            ("activeRuns", count("Runs being launched or running.")),
            ("firings", the("FiringCounts")),
            (
                "tzdb",
                text("The IANA time zone database by which jobs fire: its source and release."),
            ),
            ("tasks", count("Tasks launched and not ended.")),
            ("offers", count("Offers held.")),
            ("problems", list(json!({"type": "string"}), "What is wrong with what is stored.")),
        ],
    )
}
