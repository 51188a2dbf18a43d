//! The figures that matter, a row each: how it is measured, and what it should come to. Absent:
//! measuring, and making a table of it.

/// A row of the table.
#[derive(Debug)]
pub(super) struct Row {
    /// The subcommand and its options.
    pub(super) arguments: &'static [&'static str],
    /// Further options for a quick look.
    pub(super) quick: &'static [&'static str],
    /// What it should come to.
    pub(super) goals: &'static [Goal],
}

/// One of a row's figures.
#[derive(Debug)]
pub(super) struct Goal {
    /// Where it stands among the figures, as a JSON pointer.
    pub(super) figure: &'static str,
    /// What it is, with its unit, behind the number.
    pub(super) unit: &'static str,
    /// What it should be.
    pub(super) bound: Bound,
}

/// What a figure should be, on two cores.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bound {
    AtLeast(f64),
    Below(f64),
    /// It is only told.
    None,
}

// === impl Row ===

impl Row {
    /// The row that was measured with this command, quick or not.
    pub(super) fn of(command: &[String]) -> Option<&'static Self> {
        let begins = |row: &&Row| {
            let quick = row.arguments.iter().chain(row.quick);
            let is = |all: Vec<&&str>| all.iter().map(|word| **word).eq(command.iter());
            is(row.arguments.iter().collect()) || is(quick.collect())
        };
        ROWS.iter().find(begins)
    }
}

// === impl Bound ===

impl Bound {
    /// How far a figure misses it, as a share of it; nothing if it does not.
    pub(super) fn missed_by(self, figure: f64) -> Option<f64> {
        match self {
            Self::AtLeast(least) => (figure < least).then(|| (least - figure) / least),
            Self::Below(most) => (figure >= most).then(|| (figure - most) / most),
            Self::None => None,
        }
    }
}

const fn goal(figure: &'static str, unit: &'static str, bound: Bound) -> Goal {
    Goal { figure, unit, bound }
}

const LAUNCHED: &str = "/tasksFinishedPerSecond";
const TASKS: &str = "tasks/s";

const BURST: [Goal; 2] = [
    goal("/dueToAcceptSeconds/longest", "s to the last ACCEPT", Bound::Below(10.0)),
    goal("/dueToRecordedP99Seconds", "s p99 to recorded", Bound::Below(1.0)),
];

/// All of them, in the order of the table.
pub(super) const ROWS: &[Row] = &[
    Row {
        arguments: &["launch"],
        quick: &["--seconds", "10"],
        goals: &[goal(LAUNCHED, TASKS, Bound::AtLeast(10_000.0))],
    },
    Row {
        arguments: &["launch", "--registry", "embedded"],
        quick: &["--seconds", "10"],
        goals: &[goal(LAUNCHED, TASKS, Bound::AtLeast(10_000.0))],
    },
    Row {
        arguments: &["launch", "--in-process", "--due-per-second", "40000"],
        quick: &["--seconds", "10"],
        goals: &[goal(LAUNCHED, TASKS, Bound::AtLeast(30_000.0))],
    },
    Row {
        arguments: &[
            "launch",
            "--in-process",
            "--registry",
            "embedded",
            "--due-per-second",
            "60000",
        ],
        quick: &["--seconds", "10"],
        goals: &[goal(LAUNCHED, TASKS, Bound::AtLeast(50_000.0))],
    },
    Row {
        arguments: &["latency"],
        quick: &["--idle", "100000", "--seconds", "20"],
        goals: &[
            goal("/dueToAcceptMs/p50", "ms p50", Bound::Below(10.0)),
            goal("/dueToAcceptMs/p99", "ms p99", Bound::Below(100.0)),
        ],
    },
    Row { arguments: &["burst"], quick: &["--jobs", "10000"], goals: &BURST },
    Row {
        arguments: &["burst", "--registry", "embedded"],
        quick: &["--jobs", "10000"],
        goals: &BURST,
    },
    Row {
        arguments: &["recover"],
        quick: &["--jobs", "1000", "--tasks", "500"],
        goals: &[goal(
            "/sessionEndToFirstLaunchSeconds",
            "s from the session's end to a launch",
            Bound::Below(3.0),
        )],
    },
    Row {
        arguments: &["idle"],
        quick: &["--jobs", "10000", "--seconds", "20"],
        goals: &[
            goal("/cpuPercentOfACore", "% of a core", Bound::Below(1.0)),
            goal("/residentMB", "MB", Bound::Below(400.0)),
        ],
    },
    Row {
        arguments: &["engine"],
        quick: &["--seconds", "20"],
        goals: &[
            goal("/eventsPerSecond", "events/s", Bound::AtLeast(1_000_000.0)),
            goal("/allocationsPerEvent", "allocations an event", Bound::None),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_known_by_its_command() {
        for row in ROWS {
            for quick in [&[][..], row.quick] {
                let words = row.arguments.iter().chain(quick);
                let command: Vec<String> = words.map(|word| (*word).to_owned()).collect();
                let found = Row::of(&command).unwrap();
                assert_eq!(found.arguments, row.arguments);
            }
        }
        assert!(Row::of(&["launch".to_owned(), "--other".to_owned()]).is_none());
    }

    #[test]
    fn a_target_is_missed_by_a_share_of_itself() {
        assert_eq!(Bound::AtLeast(100.0).missed_by(100.0), None);
        assert_eq!(Bound::AtLeast(100.0).missed_by(75.0), Some(0.25));
        assert_eq!(Bound::Below(10.0).missed_by(9.9), None);
        assert_eq!(Bound::Below(10.0).missed_by(15.0), Some(0.5));
        assert_eq!(Bound::None.missed_by(1.0), None);
    }
}
