//! One statement and the rows it gives, the same for every database. Absent: connections.
//!
//! Texts come from this program; values are bound, never written into the text.

use std::borrow::Cow;

use super::target::Dialect;

/// A value bound to a statement.
#[derive(Debug, Clone)]
pub(super) enum Value<'q> {
    Int(Option<i64>),
    Text(Option<Cow<'q, str>>),
}

/// A statement being built.
#[derive(Debug)]
pub(super) struct Statement<'q> {
    pub(super) dialect: Dialect,
    pub(super) sql: String,
    pub(super) values: Vec<Value<'q>>,
}

/// What kind of value a column of an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Int,
    Text,
}

/// A value of an answer.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    Int(Option<i64>),
    Text(Option<String>),
}

/// A row of an answer, read from left to right.
#[derive(Debug)]
pub(super) struct Row(std::vec::IntoIter<Cell>);

// === impl Value ===

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

impl<'q> From<&'q str> for Value<'q> {
    fn from(value: &'q str) -> Self {
        Self::Text(Some(Cow::Borrowed(value)))
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Self::Text(Some(Cow::Owned(value)))
    }
}

impl<'q> From<&'q String> for Value<'q> {
    fn from(value: &'q String) -> Self {
        Self::Text(Some(Cow::Borrowed(value)))
    }
}

impl<'q> From<Option<&'q str>> for Value<'q> {
    fn from(value: Option<&'q str>) -> Self {
        Self::Text(value.map(Cow::Borrowed))
    }
}

impl<'q> From<&'q Option<String>> for Value<'q> {
    fn from(value: &'q Option<String>) -> Self {
        Self::Text(value.as_deref().map(Cow::Borrowed))
    }
}

// === impl Statement ===

impl<'q> Statement<'q> {
    pub(super) fn new(dialect: Dialect, sql: &str) -> Self {
        Self { dialect, sql: sql.to_owned(), values: Vec::new() }
    }

    /// Adds text.
    pub(super) fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// Adds a value.
    pub(super) fn bind(&mut self, value: impl Into<Value<'q>>) -> &mut Self {
        self.values.push(match value.into() {
            // PostgreSQL takes every character but this one.
            Value::Text(Some(text)) if text.contains('\0') => {
                Value::Text(Some(Cow::Owned(text.replace('\0', "\u{fffd}"))))
            }
            value => value,
        });
        match self.dialect {
            Dialect::Postgres => {
                self.sql.push('$');
                self.sql.push_str(&self.values.len().to_string());
            }
            Dialect::Sqlite | Dialect::MySql => self.sql.push('?'),
        }
        self
    }

    /// Adds `(a, b), (c, d)`, a tuple a row.
    pub(super) fn tuples<R>(
        &mut self,
        rows: impl IntoIterator<Item = R>,
        mut values: impl FnMut(&mut Self, R),
    ) -> &mut Self {
        for (index, row) in rows.into_iter().enumerate() {
            self.push(if index == 0 { "(" } else { ", (" });
            values(self, row);
            self.push(")");
        }
        self
    }

    /// Adds values with commas between them.
    pub(super) fn list<V: Into<Value<'q>>>(
        &mut self,
        values: impl IntoIterator<Item = V>,
    ) -> &mut Self {
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.push(", ");
            }
            self.bind(value);
        }
        self
    }
}

// === impl Row ===

impl Row {
    pub(super) fn new(cells: Vec<Cell>) -> Self {
        Self(cells.into_iter())
    }

    pub(super) fn opt_int(&mut self) -> sqlx::Result<Option<i64>> {
        match self.0.next() {
            Some(Cell::Int(value)) => Ok(value),
            _ => Err(sqlx::Error::ColumnNotFound("a number".to_owned())),
        }
    }

    pub(super) fn int(&mut self) -> sqlx::Result<i64> {
        self.opt_int()?.ok_or_else(|| sqlx::Error::Decode("NULL where a number must be".into()))
    }

    /// A column that only holds counts.
    pub(super) fn count<T: TryFrom<i64>>(&mut self) -> sqlx::Result<T>
    where
        T::Error: std::error::Error + Send + Sync + 'static,
    {
        T::try_from(self.int()?).map_err(|error| sqlx::Error::Decode(error.into()))
    }

    pub(super) fn opt_text(&mut self) -> sqlx::Result<Option<String>> {
        match self.0.next() {
            Some(Cell::Text(value)) => Ok(value),
            _ => Err(sqlx::Error::ColumnNotFound("a text".to_owned())),
        }
    }

    pub(super) fn text(&mut self) -> sqlx::Result<String> {
        self.opt_text()?.ok_or_else(|| sqlx::Error::Decode("NULL where a text must be".into()))
    }
}
