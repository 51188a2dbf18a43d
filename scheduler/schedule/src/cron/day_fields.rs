//! The two day fields, with their `?`, `L`, `W` and `#`. Which days a rule means is told in `days`.

use super::days::DayRule;
use super::error::{CronError, CronProblem};
use super::field::{DAY_OF_MONTH, DAY_OF_WEEK, Values};
use super::item::{Cursor, Span};
use super::parse::{Token, items};

/// The rule of the day-of-month field; `None` for `?`.
pub(super) fn day_of_month_rule(token: &Token<'_>) -> Result<Option<DayRule>, CronError> {
    let mut days = Values::default();
    for item in items(&DAY_OF_MONTH, token) {
        let mut item = item?;
        let begin = item.position();
        if item.eat('?') {
            stand_alone(&item, token, begin, "?")?;
            return Ok(None);
        }
        if item.eat('L') {
            let rule = last_day_rule(&mut item)?;
            stand_alone(&item, token, begin, "L")?;
            return Ok(Some(rule));
        }
        let span = item.span()?;
        if item.peek() == Some('W') {
            must_be_single(&item, token, span, "a day with W")?;
            item.eat('W');
            return item.end().map(|()| Some(DayRule::NearestWeekday { day: span.first }));
        }
        item.end()?;
        span.values(&DAY_OF_MONTH).for_each(|day| days.insert(day));
    }
    Ok(Some(DayRule::DaysOfMonth(days)))
}

/// What follows the `L` of a day of the month: nothing, `W`, `-3` or `-3W`.
fn last_day_rule(item: &mut Cursor<'_>) -> Result<DayRule, CronError> {
    /// Quartz's limit: further back there is no day even in a long month.
    const OFFSET_MAX: u32 = 30;
    let days_before = if item.eat('-') { item.number(0, OFFSET_MAX)? } else { 0 };
    Ok(if item.eat('W') {
        DayRule::LastWeekday { days_before }
    } else {
        DayRule::LastDay { days_before }
    })
}

/// The rule of the day-of-week field; `None` for `?`.
pub(super) fn day_of_week_rule(token: &Token<'_>) -> Result<Option<DayRule>, CronError> {
    let mut weekdays = Values::default();
    for item in items(&DAY_OF_WEEK, token) {
        let mut item = item?;
        let begin = item.position();
        if item.eat('?') {
            stand_alone(&item, token, begin, "?")?;
            return Ok(None);
        }
        if item.eat('L') {
            // Alone it is the last day of the week.
            stand_alone(&item, token, begin, "L")?;
            weekdays.insert(DAY_OF_WEEK.max);
            continue;
        }
        let span = item.span()?;
        if matches!(item.peek(), Some('L' | '#')) {
            return weekday_of_month_rule(item, token, span).map(Some);
        }
        item.end()?;
        span.values(&DAY_OF_WEEK).for_each(|weekday| weekdays.insert(weekday));
    }
    Ok(Some(DayRule::Weekdays(weekdays)))
}

/// `6L` or `6#3`, read up to the sign.
fn weekday_of_month_rule(
    mut item: Cursor<'_>,
    token: &Token<'_>,
    span: Span,
) -> Result<DayRule, CronError> {
    /// No weekday comes oftener in a month.
    const NTH_MAX: u32 = 5;
    must_be_single(&item, token, span, "a weekday with L or #")?;
    let weekday = span.first;
    let rule = if item.eat('L') {
        DayRule::LastOfWeekday { weekday }
    } else {
        item.eat('#');
        DayRule::NthOfWeekday { weekday, nth: item.number(1, NTH_MAX)? }
    };
    item.end().map(|()| rule)
}

/// Refuses a sign that follows a range or step, or stands in a list.
fn must_be_single(
    item: &Cursor<'_>,
    token: &Token<'_>,
    span: Span,
    found: &'static str,
) -> Result<(), CronError> {
    if span.single && !token.chars.contains(&',') {
        return Ok(());
    }
    item.fail(item.position(), CronProblem::MustStandAlone { found })
}

/// Refuses anything beside an item that must be alone in its field.
fn stand_alone(
    item: &Cursor<'_>,
    token: &Token<'_>,
    begin: usize,
    found: &'static str,
) -> Result<(), CronError> {
    if token.chars.contains(&',') {
        return item.fail(begin, CronProblem::MustStandAlone { found });
    }
    item.end()
}
