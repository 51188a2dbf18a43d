//! Constraints of a job on the agents of its shards, as Marathon defines them: read, checked and
//! written out again. Whether an agent meets one while shards are placed is decided in placement.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::reader::Reader;
use crate::resources::Milli;

/// Most constraints of one job: each is evaluated for every agent looked at.
const CONSTRAINTS_MAX: usize = 16;
/// Longest attribute name, value or pattern, bytes: they are repeated in every reason.
const TEXT_LEN_MAX: usize = 256;
/// Largest compiled pattern, bytes: `(a{1000}){1000}` is refused instead of filling the memory.
/// Matching itself takes time linear in the attribute whatever the pattern.
const PATTERN_SIZE_MAX: usize = 256 * 1024;

/// The attribute that stands for the agent's host name.
const HOSTNAME: &str = "@hostname";

/// One row of the field `constraints`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Constraint {
    /// The attribute of the agent: `@hostname` is its host name, `@zone` and `@region` are
    /// attributes of these names.
    pub attribute: Arc<str>,
    /// What is asked of it.
    pub rule: Rule,
}

/// What a constraint asks of an attribute. An agent without the attribute meets `UNLIKE` only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// All shards on one value: the one named, or any.
    Cluster(Option<Arc<str>>),
    /// Shards evenly over the values used, and over at least this many of them. Without a number
    /// nothing makes the first shards look for a second value: this is Marathon's rule.
    GroupBy(u32),
    /// Each shard on a value of its own.
    Unique,
    /// The whole value matches.
    Like(Pattern),
    /// The whole value does not match.
    Unlike(Pattern),
    /// At most this many shards on one value.
    MaxPer(u32),
    /// The value is this one; numbers are compared as numbers, to the thousandth.
    Is(Arc<str>),
}

/// A regular expression with its text; anchored at both ends, as Java's `matches` is.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: Arc<str>,
    regex: Regex,
}

/// A pattern that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Not a regular expression, or one with look-around or back references.
    #[error("is not a regular expression this version understands: {0}")]
    Syntax(String),
    /// Compiled it is larger than `PATTERN_SIZE_MAX`.
    #[error("is a pattern too large to compile: use smaller repetitions")]
    Large,
}

// === impl Pattern ===

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with its text, in words.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let regex = RegexBuilder::new(&format!("^(?:{text})$"))
            .size_limit(PATTERN_SIZE_MAX)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => PatternError::Large,
                // The last line says what; those before it draw the pattern.
                error => PatternError::Syntax(last_line(&error.to_string())),
            })?;
        // Closing a group that is not its own would undo the anchors: on its own it is no pattern.
        regex_syntax_alone(text)?;
        Ok(Self { text: text.into(), regex })
    }

    /// True if the whole value matches.
    pub fn matches(&self, value: &str) -> bool {
        self.regex.is_match(value)
    }
}

fn regex_syntax_alone(text: &str) -> Result<(), PatternError> {
    match RegexBuilder::new(text).size_limit(PATTERN_SIZE_MAX).build() {
        Ok(_) => Ok(()),
        Err(error) => Err(PatternError::Syntax(last_line(&error.to_string()))),
    }
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned()
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl PartialOrd for Pattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pattern {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

// === impl Constraint ===

impl Constraint {
    /// True if an agent with this value of the attribute can meet the constraint at all, whatever
    /// runs where.
    pub fn admits(&self, value: Option<&str>) -> bool {
        let Some(value) = value else {
            return matches!(self.rule, Rule::Unlike(_));
        };
        match &self.rule {
            Rule::Cluster(Some(wanted)) => **wanted == *value,
            Rule::Is(wanted) => same(wanted, value),
            Rule::Like(pattern) => pattern.matches(value),
            Rule::Unlike(pattern) => !pattern.matches(value),
            Rule::Cluster(None) | Rule::GroupBy(_) | Rule::Unique | Rule::MaxPer(_) => true,
        }
    }

    /// The attribute's value on an agent.
    pub fn value_of<'a>(
        &self,
        hostname: &'a str,
        attributes: &'a [(String, String)],
    ) -> Option<&'a str> {
        // Marathon's older name for it is taken, too.
        if matches!(&*self.attribute, HOSTNAME | "hostname") {
            return Some(hostname);
        }
        let found = attributes.iter().find(|(name, _)| **name == *self.attribute);
        found.map(|(_, value)| value.as_str())
    }
}

fn same(wanted: &str, value: &str) -> bool {
    let number = |text: &str| text.trim().parse().ok().and_then(Milli::from_f64);
    wanted == value
        || matches!((number(wanted), number(value)), (Some(wanted), Some(value)) if wanted == value)
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.attribute)?;
        match &self.rule {
            Rule::Cluster(None) => f.write_str("CLUSTER"),
            Rule::Cluster(Some(value)) => write!(f, "CLUSTER {value}"),
            Rule::GroupBy(0) => f.write_str("GROUP_BY"),
            Rule::GroupBy(groups) => write!(f, "GROUP_BY {groups}"),
            Rule::Unique => f.write_str("UNIQUE"),
            Rule::Like(pattern) => write!(f, "LIKE {}", pattern.text),
            Rule::Unlike(pattern) => write!(f, "UNLIKE {}", pattern.text),
            Rule::MaxPer(most) => write!(f, "MAX_PER {most}"),
            Rule::Is(value) => write!(f, "IS {value}"),
        }
    }
}

/// Reads the field `constraints`; what is wrong is said of `constraints[row]`.
pub(super) fn read_constraints(reader: &mut Reader) -> Arc<[Constraint]> {
    const FIELD: &str = "constraints";
    let rows = match reader.take(FIELD) {
        None => return Arc::default(),
        Some(Value::Array(rows)) => rows,
        Some(_) => {
            reader.error(FIELD, r#"must be a list of rows like ["rack", "LIKE", "a.*"]"#);
            return Arc::default();
        }
    };
    if rows.len() > CONSTRAINTS_MAX {
        reader.error(FIELD, format!("has {} rows, the limit is {CONSTRAINTS_MAX}", rows.len()));
        return Arc::default();
    }
    let mut constraints = Vec::with_capacity(rows.len());
    for (row, value) in rows.iter().enumerate() {
        match read_row(value) {
            Ok(constraint) => constraints.push(constraint),
            Err(message) => reader.error(&format!("{FIELD}[{row}]"), message),
        }
    }
    constraints.into()
}

fn read_row(row: &Value) -> Result<Constraint, String> {
    let texts: Option<Vec<String>> =
        row.as_array().and_then(|parts| parts.iter().map(text_of).collect());
    let (attribute, operator, value) = match texts.as_deref() {
        Some([attribute, operator]) => (attribute, operator, None),
        Some([attribute, operator, value]) => (attribute, operator, Some(value.as_str())),
        _ => return Err("must be [attribute, operator] or [attribute, operator, value]".to_owned()),
    };
    if attribute.trim().is_empty() {
        return Err("names no attribute: give one, or @hostname".to_owned());
    }
    if [Some(attribute.as_str()), value].into_iter().flatten().any(|t| t.len() > TEXT_LEN_MAX) {
        return Err(format!("has an attribute or value longer than {TEXT_LEN_MAX} bytes"));
    }
    let rule = read_rule(operator, value)?;
    Ok(Constraint { attribute: attribute.as_str().into(), rule })
}

fn read_rule(operator: &str, value: Option<&str>) -> Result<Rule, String> {
    let required =
        || value.ok_or_else(|| format!("{operator} needs a value: give it as third element"));
    let pattern =
        || Pattern::parse(required()?).map_err(|error| format!("{operator}: the value {error}"));
    match operator {
        "CLUSTER" => {
            Ok(Rule::Cluster(value.filter(|value| !value.is_empty()).map(std::convert::Into::into)))
        }
        "GROUP_BY" => Ok(Rule::GroupBy(value.map_or(Ok(0), |value| count(operator, value))?)),
        "UNIQUE" if value.is_none_or(str::is_empty) => Ok(Rule::Unique),
        "UNIQUE" => Err("UNIQUE takes no value: leave it out, or use MAX_PER".to_owned()),
        "LIKE" => Ok(Rule::Like(pattern()?)),
        "UNLIKE" => Ok(Rule::Unlike(pattern()?)),
        "MAX_PER" => Ok(Rule::MaxPer(count(operator, required()?)?)),
        "IS" => Ok(Rule::Is(required()?.into())),
        other => Err(format!(
            "the operator must be CLUSTER, GROUP_BY, UNIQUE, LIKE, UNLIKE, MAX_PER or IS, is \
             {other:?}"
        )),
    }
}

fn count(operator: &str, value: &str) -> Result<u32, String> {
    match value.trim().parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(format!("{operator} needs a whole number of at least 1, has {value:?}")),
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str) -> Result<Constraint, String> {
        read_row(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn every_operator_is_read_and_written_out_again() {
        for (text, shown) in [
            (r#"["rack","CLUSTER"]"#, "rack CLUSTER"),
            (r#"["rack","CLUSTER","a1"]"#, "rack CLUSTER a1"),
            (r#"["@zone","GROUP_BY"]"#, "@zone GROUP_BY"),
            (r#"["@zone","GROUP_BY",3]"#, "@zone GROUP_BY 3"),
            (r#"["@hostname","UNIQUE"]"#, "@hostname UNIQUE"),
            (r#"["rack","LIKE","a.*"]"#, "rack LIKE a.*"),
            (r#"["rack","UNLIKE","a|b"]"#, "rack UNLIKE a|b"),
            (r#"["rack","MAX_PER","2"]"#, "rack MAX_PER 2"),
            (r#"["cores","IS","4"]"#, "cores IS 4"),
        ] {
            assert_eq!(row(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (text, part) in [
            (r#""rack""#, "must be [attribute"),
            (r#"["rack"]"#, "must be [attribute"),
            (r#"["","UNIQUE"]"#, "names no attribute"),
            (r#"["rack","LIKE"]"#, "LIKE needs a value"),
            (r#"["rack","LIKE","("]"#, "unclosed group"),
            (r#"["rack","LIKE","a)(?:b"]"#, "unopened group"),
            (r#"["rack","LIKE","(a{999}){999}"]"#, "too large"),
            (r#"["rack","UNIQUE","x"]"#, "takes no value"),
            (r#"["rack","MAX_PER","0"]"#, "at least 1"),
            (r#"["rack","GROUP_BY","many"]"#, "at least 1"),
            (r#"["rack","NEAR","x"]"#, "the operator must be"),
        ] {
            let error = row(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn patterns_match_whole_values_and_numbers_are_numbers() {
        let admits = |text: &str, value| row(text).unwrap().admits(value);
        assert!(admits(r#"["rack","LIKE","a|b"]"#, Some("b")));
        assert!(!admits(r#"["rack","LIKE","a|b"]"#, Some("ab")));
        assert!(!admits(r#"["rack","LIKE",".*"]"#, None));
        assert!(admits(r#"["rack","UNLIKE",".*"]"#, None));
        assert!(admits(r#"["cores","IS","4"]"#, Some("4.0")));
        assert!(!admits(r#"["cores","IS","4"]"#, Some("5")));
        assert!(!admits(r#"["rack","CLUSTER","a"]"#, Some("b")));
    }
}
