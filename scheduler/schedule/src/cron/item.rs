//! One place of a list in a field: `*`, a value, a range, each with a step. Knows nothing of `?`,
//! `L`, `W` and `#`, which `parse` handles.

use super::error::{CronError, CronProblem};
use super::field::FieldSpec;

/// Reads the characters of one item from left to right.
pub(super) struct Cursor<'a> {
    pub(super) spec: &'a FieldSpec,
    chars: &'a [char],
    /// Position of `chars` in the expression.
    start: usize,
    next: usize,
}

/// The values an item chooses: `first`, `first + step`, … up to `last`. A `last` below `first`
/// wraps over the end of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) step: u32,
    /// Written as one value, without range or step.
    pub(super) single: bool,
}

/// A value and whether it was written as a name.
#[derive(Debug, Clone, Copy)]
struct Value {
    value: u32,
    named: bool,
}

// === impl Cursor ===

impl<'a> Cursor<'a> {
    pub(super) fn new(spec: &'a FieldSpec, chars: &'a [char], start: usize) -> Self {
        Self { spec, chars, start, next: 0 }
    }

    /// The next character in upper case: names and letters are read in either case.
    pub(super) fn peek(&self) -> Option<char> {
        self.chars.get(self.next).map(char::to_ascii_uppercase)
    }

    /// Steps over `wanted` if it is next.
    pub(super) fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.next += usize::from(found);
        found
    }

    /// Position of the next character in the expression.
    pub(super) fn position(&self) -> usize {
        self.start + self.next
    }

    pub(super) fn fail<T>(&self, position: usize, problem: CronProblem) -> Result<T, CronError> {
        Err(CronError::at(self.spec, position, problem))
    }

    /// Digits, as written; empty when there are none.
    pub(super) fn digits(&mut self) -> String {
        self.take_while(|c| c.is_ascii_digit())
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), CronError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.unexpected(),
        }
    }

    /// Refuses the next character, or the end if there is none.
    pub(super) fn unexpected<T>(&self) -> Result<T, CronError> {
        let problem = match self.chars.get(self.next) {
            Some(found) => {
                CronProblem::UnexpectedCharacter { found: *found, allowed: self.spec.allowed }
            }
            None => match self.chars.last() {
                Some(after) => CronProblem::Missing { wanted: "a value", after: *after },
                None => CronProblem::EmptyItem,
            },
        };
        self.fail(self.position(), problem)
    }

    /// A number or a name.
    fn value(&mut self) -> Result<Value, CronError> {
        match self.peek() {
            Some(c) if c.is_ascii_uppercase() && !self.spec.names.is_empty() => self.name(),
            _ => {
                let (min, max) = self.spec.written_range();
                self.number(min, max).map(|value| Value { value, named: false })
            }
        }
    }

    /// A number within limits.
    pub(super) fn number(&mut self, min: u32, max: u32) -> Result<u32, CronError> {
        let position = self.position();
        let found = self.digits();
        if found.is_empty() {
            return self.unexpected();
        }
        match found.parse().ok().filter(|value| (min..=max).contains(value)) {
            Some(value) => Ok(value),
            None => self.fail(position, CronProblem::OutOfRange { found, min, max }),
        }
    }

    /// A name; only as many letters as names have, for `L` may follow.
    fn name(&mut self) -> Result<Value, CronError> {
        let position = self.position();
        let rest: String =
            self.chars.iter().skip(self.next).map(char::to_ascii_uppercase).collect();
        for (value, name) in (self.spec.min..).zip(self.spec.names) {
            if rest.starts_with(name) {
                self.next += name.len();
                return Ok(Value { value, named: true });
            }
        }
        let found = self.take_while(char::is_alphanumeric);
        self.fail(position, CronProblem::UnknownName { found, allowed: self.spec.allowed })
    }

    /// `*`, `*/5`, `/5`, `7`, `7/5`, `7-9`, `7-9/2`, `MON-FRI`.
    pub(super) fn span(&mut self) -> Result<Span, CronError> {
        let FieldSpec { min, max, step_max, .. } = *self.spec;
        if self.eat('*') || self.peek() == Some('/') {
            let step = self.step(step_max)?.unwrap_or(1);
            return Ok(Span { first: min, last: max, step, single: false });
        }
        let first = self.value()?;
        if self.eat('-') {
            return self.range_from(first);
        }
        if first.named && self.peek() == Some('/') {
            return self.fail(self.position(), CronProblem::StepAfterName);
        }
        let first = first.value;
        Ok(match self.step(step_max)? {
            // A year may be written that lies beyond the last that counts.
            Some(step) => Span { first, last: max.max(first), step, single: false },
            None => Span { first, last: first, step: 1, single: true },
        })
    }

    fn range_from(&mut self, first: Value) -> Result<Span, CronError> {
        let position = self.position();
        let last = self.value()?;
        if first.named != last.named {
            return self.fail(position, CronProblem::MixedRange);
        }
        if self.spec.is_year() && last.value < first.value {
            return self.fail(position, CronProblem::YearRangeBackward);
        }
        if last.named && self.peek() == Some('/') {
            return self.fail(self.position(), CronProblem::StepAfterName);
        }
        // Quartz lets any step follow a range; beyond its end the first value alone is left.
        let step = self.step(u32::MAX)?.unwrap_or(1);
        Ok(Span { first: first.value, last: last.value, step, single: false })
    }

    /// `/n`, or `None` when no slash is next.
    fn step(&mut self, max: u32) -> Result<Option<u32>, CronError> {
        if !self.eat('/') {
            return Ok(None);
        }
        let position = self.position();
        let found = self.digits();
        if found.is_empty() {
            return match self.peek() {
                Some(_) => self.unexpected(),
                None => self.fail(position, CronProblem::Missing { wanted: "a step", after: '/' }),
            };
        }
        match found.parse() {
            Ok(0) => self.fail(position, CronProblem::ZeroStep),
            Ok(step) if step <= max => Ok(Some(step)),
            _ => self.fail(position, CronProblem::StepTooLarge { found, max }),
        }
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let taken: String =
            self.chars.iter().skip(self.next).copied().take_while(|c| belongs(*c)).collect();
        self.next += taken.chars().count();
        taken
    }
}

// === impl Span ===

impl Span {
    /// The values, wrapped into the field.
    pub(super) fn values(self, spec: &FieldSpec) -> impl Iterator<Item = u32> {
        let length = spec.max - spec.min + 1;
        let min = spec.min;
        let last = if self.last < self.first { self.last + length } else { self.last };
        let wraps = last > self.last;
        (self.first..=last)
            .step_by(self.step as usize)
            .map(move |value| if wraps { (value - min) % length + min } else { value })
    }
}
