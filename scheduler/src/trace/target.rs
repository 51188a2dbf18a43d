//! Which database holds the history, as `--history` names it. Absent: connecting to it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;

/// The databases that are spoken, which differ in details of SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
    /// MySQL and MariaDB.
    MySql,
}

/// Where the history is.
#[derive(Debug, Clone)]
pub enum HistoryTarget {
    /// A file of this scheduler alone.
    Sqlite(PathBuf),
    /// A PostgreSQL server, shared by all schedulers that name it.
    Postgres(Box<PgConnectOptions>),
    /// A MySQL or MariaDB server, shared likewise.
    MySql(Box<MySqlConnectOptions>),
}

/// A text that names no database.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Another kind of database, or no URL at all.
    #[error(
        "{0:?} names no history database: say sqlite:FILE, postgres://user:password@host/database \
         or mysql://user:password@host/database"
    )]
    Unknown(String),
    /// The URL cannot be understood. It is not repeated, since it may hold a password.
    #[error("the URL of the history database cannot be understood")]
    Url(#[source] sqlx::Error),
}

// === impl HistoryTarget ===

impl HistoryTarget {
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
            Self::MySql(_) => Dialect::MySql,
        }
    }
}

impl FromStr for HistoryTarget {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let unknown = || {
            // Whatever stands before an @ may be a password.
            let shown = text.rsplit_once('@').map_or(text, |(_, host)| host);
            TargetError::Unknown(shown.to_owned())
        };
        let (scheme, rest) = text.split_once(':').ok_or_else(unknown)?;
        match scheme {
            "sqlite" => {
                let file = rest.strip_prefix("//").unwrap_or(rest);
                if file.is_empty() { Err(unknown()) } else { Ok(Self::Sqlite(file.into())) }
            }
            "postgres" | "postgresql" => {
                Ok(Self::Postgres(Box::new(text.parse().map_err(TargetError::Url)?)))
            }
            "mysql" | "mariadb" => {
                let url = format!("mysql:{rest}");
                Ok(Self::MySql(Box::new(url.parse().map_err(TargetError::Url)?)))
            }
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for HistoryTarget {
    /// Never with a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => write!(f, "{}", file.display()),
            Self::Postgres(options) => {
                let database = options.get_database().unwrap_or_default();
                write!(f, "postgres://{}:{}/{database}", options.get_host(), options.get_port())
            }
            Self::MySql(options) => {
                let database = options.get_database().unwrap_or_default();
                write!(f, "mysql://{}:{}/{database}", options.get_host(), options.get_port())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_databases_and_never_show_passwords() {
        let shown = |text: &str| text.parse::<HistoryTarget>().map(|target| target.to_string());
        assert_eq!(shown("sqlite:/var/h.db").unwrap(), "/var/h.db");
        assert_eq!(shown("sqlite:///var/h.db").unwrap(), "/var/h.db");
        assert_eq!(shown("postgres://u:secret@db:5433/sw").unwrap(), "postgres://db:5433/sw");
        assert_eq!(shown("mysql://u:secret@db:3307/sw").unwrap(), "mysql://db:3307/sw");
        assert_eq!(shown("mariadb://u:secret@db/sw").unwrap(), "mysql://db:3306/sw");
        for bad in
            ["", "sqlite:", "oracle://u:secret@db/sw", "history.db", "postgres://u:secret@db:x"]
        {
            let error = shown(bad).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
