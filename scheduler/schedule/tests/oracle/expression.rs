//! Random expressions: their text together with what it means, the latter by jiff's calendar.

use std::collections::BTreeSet;

use jiff::civil::{Date, Weekday, date};
use proptest::prelude::*;

/// A plain field: its text and the values it means.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) text: String,
    values: BTreeSet<i64>,
    /// Whether the text wraps a range, which croner does not know.
    pub(crate) wraps: bool,
}

/// The two day fields and which days they mean.
#[derive(Debug, Clone)]
pub(crate) enum Days {
    OfMonth(Field),
    OfWeek(Field),
    Last { before: i64 },
    LastWeekday { before: i64 },
    NearestWeekday { day: i64 },
    LastOfWeekday { weekday: i64 },
    NthOfWeekday { weekday: i64, nth: i64 },
}

/// An expression.
#[derive(Debug, Clone)]
pub(crate) struct Expression {
    pub(crate) seconds: Field,
    pub(crate) minutes: Field,
    pub(crate) hours: Field,
    pub(crate) days: Days,
    pub(crate) months: Field,
}

const MONTHS: &str = "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC";
const WEEKDAYS: &str = "SUNMONTUEWEDTHUFRISAT";

// === impl Field ===

impl Field {
    pub(crate) fn of(value: i64) -> Self {
        Self { text: value.to_string(), values: BTreeSet::from([value]), wraps: false }
    }

    pub(crate) fn every(min: i64, max: i64) -> Self {
        Self { text: "*".to_owned(), values: (min..=max).collect(), wraps: false }
    }

    fn has(&self, value: i64) -> bool {
        self.values.contains(&value)
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    fn join(fields: Vec<Self>) -> Self {
        Self {
            text: fields.iter().map(|field| field.text.as_str()).collect::<Vec<_>>().join(","),
            wraps: fields.iter().any(|field| field.wraps),
            values: fields.into_iter().flat_map(|field| field.values).collect(),
        }
    }
}

/// Walks from `first` to `last`, over the end if need be, taking each `step`-th value.
fn walk(min: i64, max: i64, first: i64, last: i64, step: i64) -> BTreeSet<i64> {
    let mut values = BTreeSet::new();
    let mut value = first;
    for distance in 0.. {
        if distance % step == 0 {
            values.insert(value);
        }
        if value == last {
            break;
        }
        value = if value == max { min } else { value + 1 };
    }
    values
}

/// One place of a list.
fn place(min: i64, max: i64, names: &'static str) -> BoxedStrategy<Field> {
    let step_max = if min == 0 { max } else { max - min + 1 };
    let field = |text, values, wraps| Field { text, values, wraps };
    let named = move |value: i64| match names.get((value - min) as usize * 3..) {
        Some(rest) if !names.is_empty() => rest[..3].to_owned(),
        _ => value.to_string(),
    };
    prop_oneof![
        3 => (min..=max, any::<bool>()).prop_map(move |(value, name)| Field {
            text: if name { named(value) } else { value.to_string() },
            ..Field::of(value)
        }),
        2 => (1..=step_max).prop_map(move |step| {
            field(format!("*/{step}"), walk(min, max, min, max, step), false)
        }),
        2 => (min..=max, 1..=step_max).prop_map(move |(first, step)| {
            field(format!("{first}/{step}"), walk(min, max, first, max, step), false)
        }),
        2 => (min..=max, min..=max, any::<bool>()).prop_map(move |(first, last, name)| {
            let text = if name {
                format!("{}-{}", named(first), named(last))
            } else {
                format!("{first}-{last}")
            };
            field(text, walk(min, max, first, last, 1), last < first)
        }),
        2 => (min..=max, min..=max, 1_i64..8).prop_map(move |(first, last, step)| {
            let text = format!("{first}-{last}/{step}");
            field(text, walk(min, max, first, last, step), last < first)
        }),
    ]
    .boxed()
}

/// A whole field; `often` is a value to be met more often than chance would.
pub(crate) fn field(
    min: i64,
    max: i64,
    names: &'static str,
    often: i64,
) -> impl Strategy<Value = Field> {
    prop_oneof![
        3 => Just(Field::every(min, max)),
        2 => Just(Field::of(often)),
        4 => prop::collection::vec(place(min, max, names), 1..4).prop_map(Field::join),
    ]
}

pub(crate) fn months() -> impl Strategy<Value = Field> {
    field(1, 12, MONTHS, 3)
}

pub(crate) fn days() -> impl Strategy<Value = Days> {
    prop_oneof![
        3 => field(1, 31, "", 28).prop_map(Days::OfMonth),
        3 => field(1, 7, WEEKDAYS, 1).prop_map(Days::OfWeek),
        1 => Just(Days::OfWeek(Field { text: "L".to_owned(), ..Field::of(7) })),
        1 => (0_i64..=30).prop_map(|before| Days::Last { before }),
        1 => (0_i64..=30).prop_map(|before| Days::LastWeekday { before }),
        1 => (1_i64..=31).prop_map(|day| Days::NearestWeekday { day }),
        1 => (1_i64..=7).prop_map(|weekday| Days::LastOfWeekday { weekday }),
        1 => (1_i64..=7, 1_i64..=5).prop_map(|(weekday, nth)| Days::NthOfWeekday { weekday, nth }),
    ]
}

// === impl Days ===

impl Days {
    /// The day-of-month and day-of-week fields.
    fn texts(&self) -> (String, String) {
        let of_month = |text: String| (text, "?".to_owned());
        let of_week = |text: String| ("?".to_owned(), text);
        match self {
            Self::OfMonth(field) => of_month(field.text.clone()),
            Self::OfWeek(field) => of_week(field.text.clone()),
            Self::Last { before: 0 } => of_month("L".to_owned()),
            Self::Last { before } => of_month(format!("L-{before}")),
            Self::LastWeekday { before: 0 } => of_month("LW".to_owned()),
            Self::LastWeekday { before } => of_month(format!("L-{before}W")),
            Self::NearestWeekday { day } => of_month(format!("{day}W")),
            Self::LastOfWeekday { weekday } => of_week(format!("{weekday}L")),
            Self::NthOfWeekday { weekday, nth } => of_week(format!("{weekday}#{nth}")),
        }
    }

    pub(crate) fn has(&self, date: Date) -> bool {
        let number = |date: Date| i64::from(date.weekday().to_sunday_one_offset());
        match self {
            Self::OfMonth(field) => field.has(date.day().into()),
            Self::OfWeek(field) => field.has(number(date)),
            Self::Last { before } => {
                i64::from(date.last_of_month().day()) - before == i64::from(date.day())
            }
            Self::LastWeekday { before } => {
                let day = i64::from(date.last_of_month().day()) - before;
                day > 0 && nearest_weekday(date, day) == Some(date)
            }
            Self::NearestWeekday { day } => nearest_weekday(date, *day) == Some(date),
            Self::LastOfWeekday { weekday } => {
                number(date) == *weekday && date.day() + 7 > date.last_of_month().day()
            }
            Self::NthOfWeekday { weekday, nth } => {
                number(date) == *weekday && (i64::from(date.day()) + 6) / 7 == *nth
            }
        }
    }
}

/// The weekday of `month`'s month with the least distance to its `day`-th; of a day that only the
/// next month has, counted on into it, Saturday's Friday alone can be in this month.
fn nearest_weekday(month: Date, day: i64) -> Option<Date> {
    let target = month.first_of_month().checked_add(jiff::Span::new().days(day - 1)).ok()?;
    let works = |date: &Date| !matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday);
    let within = |date: &Date| date.first_of_month() == month.first_of_month();
    let around = [0, -1, 1, -2, 2]
        .into_iter()
        .filter_map(|days| target.checked_add(jiff::Span::new().days(days)).ok());
    if within(&target) {
        around.into_iter().find(|date| works(date) && within(date))
    } else {
        around.into_iter().find(works).filter(within)
    }
}

// === impl Expression ===

impl Expression {
    pub(crate) fn text(&self) -> String {
        let (of_month, of_week) = self.days.texts();
        let Self { seconds, minutes, hours, months, .. } = self;
        let (seconds, minutes, hours) = (&seconds.text, &minutes.text, &hours.text);
        format!("{seconds} {minutes} {hours} {of_month} {} {of_week}", months.text)
    }

    /// Whether a wall clock that shows this fits; seconds since 1970-01-01 00:00.
    pub(crate) fn has(&self, local_s: i64) -> bool {
        let (day, second) = (local_s.div_euclid(86_400), local_s.rem_euclid(86_400));
        self.seconds.has(second % 60)
            && self.minutes.has(second / 60 % 60)
            && self.hours.has(second / 3_600)
            && self.has_date(date(1970, 1, 1) + jiff::Span::new().days(day))
    }

    pub(crate) fn has_date(&self, date: Date) -> bool {
        self.months.has(date.month().into()) && self.days.has(date)
    }

    /// Whether croner's dialect has it: no wrapped ranges, no `L-n`, and no `W` at days that not
    /// every month has, where croner does without Quartz's look into the next month.
    pub(crate) fn is_croners(&self) -> bool {
        let days = match &self.days {
            Days::OfMonth(field) | Days::OfWeek(field) => !field.wraps,
            Days::Last { before } | Days::LastWeekday { before } => *before == 0,
            Days::NearestWeekday { day } => *day <= 28,
            Days::LastOfWeekday { .. } | Days::NthOfWeekday { .. } => true,
        };
        let fields = [&self.seconds, &self.minutes, &self.hours, &self.months];
        days && fields.iter().all(|field| !field.wraps)
    }
}
