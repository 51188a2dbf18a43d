//! Day by day through several years, and croner as a second opinion; in UTC, so without DST.

use jiff::civil::date;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use shiftwork_schedule::{Cron, Timestamp, Zone};

use super::expression::{Expression, Field, days, field, months};

/// Years looked at: two leap years, and all weekdays of the first of March.
const YEARS: std::ops::Range<i16> = 2026..2034;

/// Firings compared with croner.
const COMPARED: usize = 8;

/// Expressions that fire at most once a day.
fn daily() -> impl Strategy<Value = Expression> {
    (0_i64..60, 0_i64..60, 0_i64..24, days(), months()).prop_map(
        |(second, minute, hour, days, months)| Expression {
            seconds: Field::of(second),
            minutes: Field::of(minute),
            hours: Field::of(hour),
            days,
            months,
        },
    )
}

fn any_expression() -> impl Strategy<Value = Expression> {
    let time = (field(0, 59, "", 0), field(0, 59, "", 0), field(0, 23, "", 0));
    (time, days(), months()).prop_map(|((seconds, minutes, hours), days, months)| Expression {
        seconds,
        minutes,
        hours,
        days,
        months,
    })
}

fn firings(text: &str, after: Timestamp) -> impl Iterator<Item = Timestamp> {
    let cron = Cron::parse(text).expect(text);
    let first = cron.next_after(&Zone::utc(), after);
    std::iter::successors(first, move |at| cron.next_after(&Zone::utc(), *at))
}

fn timestamp(at: jiff::civil::DateTime) -> Timestamp {
    let at = at.to_zoned(TimeZone::UTC).expect("UTC has no gaps");
    Timestamp::from_millis(at.timestamp().as_millisecond())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn days_are_those_of_the_calendar(expression in daily()) {
        let text = expression.text();
        let (first, end) = (date(YEARS.start, 1, 1), date(YEARS.end, 1, 1));
        let time = jiff::civil::time(0, 0, 0, 0);
        let expected: Vec<_> = first
            .series(jiff::Span::new().days(1))
            .take_while(|day| *day < end)
            .filter(|day| expression.has_date(*day))
            .collect();
        let ours: Vec<_> = firings(&text, timestamp(first.to_datetime(time)).plus_millis(-1))
            .take_while(|at| *at < timestamp(end.to_datetime(time)))
            .map(|at| {
                assert!(expression.has(at.as_millis() / 1_000), "{text} fires at {at}");
                let at = jiff::Timestamp::from_millisecond(at.as_millis()).expect("in range");
                TimeZone::UTC.to_datetime(at).date()
            })
            .collect();
        prop_assert_eq!(ours, expected, "{}", text);
    }

    #[test]
    fn croner_agrees_where_it_has_the_dialect(
        expression in any_expression().prop_filter("not croner's", Expression::is_croners)
    ) {
        let text = expression.text();
        let croner = croner::parser::CronParser::builder()
            .seconds(croner::parser::Seconds::Required)
            .alternative_weekdays(true)
            .sloppy_ranges(true)
            .build()
            .parse(&text)
            .expect(&text);
        let from = timestamp(date(2026, 11, 20).at(9, 0, 0, 0));
        let start = jiff::Timestamp::from_millisecond(from.as_millis()).expect("in range");
        let theirs: Vec<_> = croner
            .iter_after(start.to_zoned(TimeZone::UTC))
            .take(COMPARED)
            .map(|at| Timestamp::from_millis(at.timestamp().as_millisecond()))
            .collect();
        let ours: Vec<_> = firings(&text, from).take(theirs.len()).collect();
        prop_assert_eq!(ours, theirs, "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[0-9*/?,#LWA-Z -]{0,30}|\\PC{0,40}") {
        if let Ok(cron) = Cron::parse(&text) {
            prop_assert!(cron.next_after(&Zone::utc(), Timestamp::MAX).is_none());
        }
    }

    /// Texts that are nearly right, by changing one character of one that is.
    #[test]
    fn nearly_right_texts_are_read_or_refused(
        expression in any_expression(),
        at in 0_usize..40,
        put in "[0-9*/?,#LWa-z -]|\\PC",
    ) {
        let mut chars: Vec<char> = expression.text().chars().collect();
        let at = at % chars.len();
        chars.splice(at..=at, put.chars());
        let text: String = chars.into_iter().collect();
        match Cron::parse(&text) {
            Ok(cron) => {
                let start = Timestamp::from_millis(0);
                prop_assert!(cron.next_after(&Zone::utc(), start).is_none_or(|at| at > start));
            }
            Err(error) => prop_assert!(error.position <= text.chars().count(), "{}", error),
        }
    }
}
