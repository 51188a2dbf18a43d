//! From the text of an expression to the values of its fields: Quartz 2.3.2's dialect less what
//! Quartz takes by accident. No dates are computed here.

use super::day_fields::{day_of_month_rule, day_of_week_rule};
use super::days::DayRule;
use super::error::{CronError, CronProblem};
use super::field::{DAY_OF_WEEK, FieldSpec, HOURS, MINUTES, MONTH, SECONDS, Values, YEAR, Years};
use super::item::Cursor;

/// Longest expression, in characters: one that lists every value of every field has some 1,200.
pub const EXPRESSION_LEN_MAX: usize = 4_096;

/// Fields of an expression with a year.
const FIELDS_MAX: usize = 7;

/// The values of the fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) seconds: Values,
    pub(super) minutes: Values,
    pub(super) hours: Values,
    pub(super) days: DayRule,
    pub(super) months: Values,
    pub(super) years: Years,
}

/// The text of one field and its position in the expression.
pub(super) struct Token<'a> {
    pub(super) chars: &'a [char],
    pub(super) start: usize,
}

/// Reads an expression.
pub(super) fn parse(expression: &str) -> Result<Fields, CronError> {
    let length = expression.chars().count();
    if length > EXPRESSION_LEN_MAX {
        let problem = CronProblem::TooLong { found: length, max: EXPRESSION_LEN_MAX };
        return Err(CronError::whole(EXPRESSION_LEN_MAX, problem));
    }
    let chars: Vec<char> = expression.chars().collect();
    let tokens = tokens(&chars);
    let [seconds, minutes, hours, day_of_month, month, day_of_week, year @ ..] = tokens.as_slice()
    else {
        return Err(too_few_fields(&tokens, length));
    };
    if let Some(extra) = tokens.get(FIELDS_MAX) {
        let problem = CronProblem::TooManyFields { found: tokens.len() };
        return Err(CronError::whole(extra.start, problem));
    }
    let seconds = values(&SECONDS, seconds)?;
    let minutes = values(&MINUTES, minutes)?;
    let hours = values(&HOURS, hours)?;
    let by_date = day_of_month_rule(day_of_month)?;
    let months = values(&MONTH, month)?;
    let by_weekday = day_of_week_rule(day_of_week)?;
    let days = match (by_date, by_weekday) {
        (Some(rule), None) | (None, Some(rule)) => rule,
        (None, None) => return Err(both_days(day_of_week, CronProblem::QuestionTwice)),
        (Some(_), Some(_)) => return Err(both_days(day_of_week, CronProblem::QuestionMissing)),
    };
    let years = years(year.first())?;
    Ok(Fields { seconds, minutes, hours, days, months, years })
}

fn both_days(day_of_week: &Token<'_>, problem: CronProblem) -> CronError {
    CronError::at(&DAY_OF_WEEK, day_of_week.start, problem)
}

/// Splits as Quartz does, at blanks and tabs. Line ends count only around the whole, where YAML
/// blocks leave them.
fn tokens(chars: &[char]) -> Vec<Token<'_>> {
    let blank = |c: &&char| c.is_ascii_whitespace();
    let mut tokens = Vec::new();
    let mut start = chars.iter().take_while(blank).count();
    let end = chars.len() - chars.iter().rev().take_while(blank).count();
    let trimmed = chars.get(start..end).unwrap_or_default();
    for chars in trimmed.split(|c| matches!(c, ' ' | '\t')) {
        if !chars.is_empty() {
            tokens.push(Token { chars, start });
        }
        start += chars.len() + 1;
    }
    tokens
}

fn too_few_fields(tokens: &[Token<'_>], length: usize) -> CronError {
    match tokens.first() {
        None => CronError::whole(0, CronProblem::Empty),
        Some(first) if first.chars.first() == Some(&'@') => {
            let found = first.chars.iter().collect();
            CronError::whole(first.start, CronProblem::Macro { found })
        }
        Some(_) => CronError::whole(length, CronProblem::TooFewFields { found: tokens.len() }),
    }
}

/// The places of a list, each with its position.
pub(super) fn items<'a>(
    spec: &'a FieldSpec,
    token: &'a Token<'_>,
) -> impl Iterator<Item = Result<Cursor<'a>, CronError>> {
    let mut start = token.start;
    token.chars.split(|c| *c == ',').map(move |chars| {
        let position = start;
        start += chars.len() + 1;
        if chars.is_empty() {
            return Err(CronError::at(spec, position, CronProblem::EmptyItem));
        }
        Ok(Cursor::new(spec, chars, position))
    })
}

/// A field of plain values.
fn values(spec: &FieldSpec, token: &Token<'_>) -> Result<Values, CronError> {
    let mut values = Values::default();
    each_value(spec, token, |value| values.insert(value))?;
    Ok(values)
}

/// The last field; every year when it is left out.
fn years(token: Option<&Token<'_>>) -> Result<Years, CronError> {
    let mut years = Years::default();
    let every = Token { chars: &['*'], start: 0 };
    each_value(&YEAR, token.unwrap_or(&every), |year| {
        years.insert(i64::from(year));
    })?;
    Ok(years)
}

fn each_value(
    spec: &FieldSpec,
    token: &Token<'_>,
    mut insert: impl FnMut(u32),
) -> Result<(), CronError> {
    for item in items(spec, token) {
        let mut item = item?;
        if item.peek() == Some('?') {
            return item.fail(item.position(), CronProblem::QuestionElsewhere);
        }
        let span = item.span()?;
        item.end()?;
        span.values(spec).for_each(&mut insert);
    }
    Ok(())
}
