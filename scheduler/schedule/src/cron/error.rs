//! What can be wrong with a cron expression, where, and what to write instead. No parsing.

use std::fmt;

use super::field::FieldSpec;

/// A part of a cron expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CronField {
    /// First field.
    Seconds,
    /// Second field.
    Minutes,
    /// Third field.
    Hours,
    /// Fourth field.
    DayOfMonth,
    /// Fifth field.
    Month,
    /// Sixth field.
    DayOfWeek,
    /// Seventh field, optional.
    Year,
    /// The expression as a whole.
    Expression,
}

/// Why an expression is refused: the field, the place and the problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}, character {position}: {problem}")]
pub struct CronError {
    /// The field that is wrong.
    pub field: CronField,
    /// Where: characters from the start of the expression, 0 = the first.
    pub position: usize,
    /// What is wrong and how to mend it.
    pub problem: CronProblem,
}

/// What is wrong with a cron expression and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronProblem {
    /// Nothing but white space.
    #[error("the expression is empty; write six fields, as in 0 0 2 * * ? for 02:00 every day")]
    Empty,
    /// Beyond `EXPRESSION_LEN_MAX`.
    #[error("the expression has {found} characters; at most {max} are read")]
    TooLong {
        /// Its length.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// Fewer than six fields.
    #[error(
        "{found} field(s) found, six are needed: seconds minutes hours day-of-month month \
         day-of-week, and a year if you like; a five-field Unix line lacks the seconds: put 0 in \
         front and make one of the two day fields ?"
    )]
    TooFewFields {
        /// How many there are.
        found: usize,
    },
    /// More than seven fields.
    #[error("{found} fields found, at most seven are read; remove what follows the year")]
    TooManyFields {
        /// How many there are.
        found: usize,
    },
    /// `@daily`.
    #[error("{found} is not Quartz; write the six fields, as in 0 0 0 * * ? for every midnight")]
    Macro {
        /// What was found.
        found: String,
    },
    /// Two commas in a row, or one at an end.
    #[error("a list has an empty place; remove the comma too many")]
    EmptyItem,
    /// A character that means nothing here.
    #[error("{found:?} is not expected here; allowed are {allowed}")]
    UnexpectedCharacter {
        /// The character.
        found: char,
        /// What may stand in this field.
        allowed: &'static str,
    },
    /// The text breaks off.
    #[error("{wanted} is missing after {after:?}")]
    Missing {
        /// What should follow.
        wanted: &'static str,
        /// After which character.
        after: char,
    },
    /// A number out of range.
    #[error("{found} is out of range; write {min} to {max}")]
    OutOfRange {
        /// The number, as written.
        found: String,
        /// Smallest allowed.
        min: u32,
        /// Largest allowed.
        max: u32,
    },
    /// Letters that are no name.
    #[error("{found:?} is not a name of this field; write {allowed}")]
    UnknownName {
        /// What was found.
        found: String,
        /// What may stand in this field.
        allowed: &'static str,
    },
    /// `MON-6` or `2-FRI`.
    #[error("a range is of two numbers or of two names; write both ends the same way")]
    MixedRange,
    /// `MON-FRI/2`, where Quartz drops the step without a word.
    #[error("a step cannot follow a name; write the days or months as numbers, as in 2-6/2")]
    StepAfterName,
    /// `0/0`.
    #[error("a step of 0 leads nowhere; write 1 or more, or leave the step out")]
    ZeroStep,
    /// A step beyond the field.
    #[error("step {found} is larger than this field; write {max} at most")]
    StepTooLarge {
        /// The step, as written.
        found: String,
        /// Largest allowed.
        max: u32,
    },
    /// `2030-2026`.
    #[error("years do not wrap; write the earlier year first")]
    YearRangeBackward,
    /// `?` in a field other than the two of days.
    #[error("? is for day-of-month and day-of-week; write * for every value")]
    QuestionElsewhere,
    /// `?` in both fields of days.
    #[error("? cannot stand in both day fields; write * in one of them for every day")]
    QuestionTwice,
    /// `?` in neither field of days.
    #[error(
        "day-of-month and day-of-week cannot both be given; write ? in the one that is not to \
         choose the days"
    )]
    QuestionMissing,
    /// `?`, `L`, `W` or `#` with something beside it.
    #[error("{found} must stand alone in its field, without a list, range or step")]
    MustStandAlone {
        /// What must.
        found: &'static str,
    },
}

// === impl CronField ===

impl CronField {
    /// Its name: `seconds`, `minutes`, `hours`, `day-of-month`, `month`, `day-of-week`, `year` or
    /// `expression`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Minutes => "minutes",
            Self::Hours => "hours",
            Self::DayOfMonth => "day-of-month",
            Self::Month => "month",
            Self::DayOfWeek => "day-of-week",
            Self::Year => "year",
            Self::Expression => "expression",
        }
    }
}

impl fmt::Display for CronField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl CronError ===

impl CronError {
    /// What is wrong and how to mend it, without field and position.
    pub fn message(&self) -> String {
        self.problem.to_string()
    }

    pub(super) fn whole(position: usize, problem: CronProblem) -> Self {
        Self { field: CronField::Expression, position, problem }
    }

    pub(super) fn at(spec: &FieldSpec, position: usize, problem: CronProblem) -> Self {
        Self { field: spec.field, position, problem }
    }
}
