//! What can go wrong with a command, as one line with the way out. Absent: printing it.

use std::io;
use std::process::ExitCode;

use serde::Deserialize;

/// Why a command did not do what it says.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// Nobody listens, or nobody answers.
    #[error(
        "no scheduler answers at {server} ({cause}): start one with `shiftwork standalone`, or \
         name another with --server or SHIFTWORK_SERVER"
    )]
    Unreachable {
        /// The address.
        server: String,
        /// The innermost cause.
        cause: String,
    },
    /// Somebody listens, and both do not come to terms about TLS.
    #[error("{server} cannot be talked to: {problem}")]
    Tls {
        /// The address.
        server: String,
        /// What is wrong and how to mend it.
        problem: String,
    },
    /// The address cannot be one.
    #[error(
        "the server address {server:?} cannot be used: {problem}; write for example {}",
        super::SERVER_DEFAULT
    )]
    Address {
        /// As given.
        server: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The scheduler refused.
    #[error("{text}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Detail and fields of the problem document.
        text: String,
    },
    /// An answer that no Shiftwork scheduler gives.
    #[error(
        "{server} gave an answer that is not Shiftwork's ({problem}): does another server listen there?"
    )]
    Foreign {
        /// The address.
        server: String,
        /// What was unexpected.
        problem: String,
    },
    /// A file that cannot be read.
    #[error("cannot read {path} ({source}): check the path, or give - for standard input")]
    File {
        /// As given.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file that cannot be written.
    #[error("cannot write {path} ({source}): name a directory that can be written to")]
    Write {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file that does not hold what is asked for.
    #[error("{path}: {problem}")]
    Document {
        /// As given.
        path: String,
        /// What is wrong and how to mend it.
        problem: String,
    },
    /// One of several documents was refused.
    #[error("{what}: {source}")]
    Of {
        /// Which.
        what: String,
        /// Why.
        source: Box<CliError>,
    },
    /// An argument that is wrong in itself.
    #[error("{0}")]
    Usage(String),
    /// The registry cannot be read, or does not hold what is asked for.
    #[error("{0}")]
    Registry(String),
    /// Nobody reads the output any more.
    #[error("the output was closed")]
    ClosedOutput,
    /// The output cannot be written.
    #[error("cannot write the output ({0}): is the disk full?")]
    Output(io::Error),
}

impl CliError {
    /// 2 for what the caller wrote wrongly, else 1.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) | Self::Address { .. } => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }

    /// True if the scheduler refused this one thing: another may be taken.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status != 401) && !self.is_passing()
    }

    /// True if the scheduler refused for who asked.
    pub(super) fn is_forbidden(&self) -> bool {
        matches!(self, Self::Refused { status: 401 | 403, .. })
    }

    /// True if the scheduler says there is no such thing.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// True if the same request may succeed in a moment: an election, a restart.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Refused { status: 503, .. })
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::ClosedOutput
        } else {
            Self::Output(error)
        }
    }
}

/// The members of a problem document that people need.
#[derive(Debug, Deserialize)]
struct Problem {
    detail: String,
    #[serde(default)]
    errors: Vec<FieldError>,
}

#[derive(Debug, Deserialize)]
struct FieldError {
    field: String,
    message: String,
}

/// Reads a refusal. `None` if the body is no problem document.
pub(super) fn refused(status: u16, body: &[u8]) -> Option<CliError> {
    let problem: Problem = serde_json::from_slice(body).ok()?;
    let mut text = problem.detail;
    for FieldError { field, message } in problem.errors {
        // A single parameter's detail already says it.
        if !text.contains(&message) {
            text = format!("{text}; {field}: {message}");
        }
    }
    Some(CliError::Refused { status, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_becomes_one_line() {
        let body = br#"{"type":"x","title":"Invalid document","status":422,"detail":"the job is wrong",
            "errors":[{"field":"cron","message":"is empty"},{"field":"cpuCount","message":"is required"}]}"#;
        let error = refused(422, body).unwrap();
        assert_eq!(error.to_string(), "the job is wrong; cron: is empty; cpuCount: is required");
        let body =
            br#"{"detail":"limit must be 1","errors":[{"field":"limit","message":"must be 1"}]}"#;
        assert_eq!(refused(400, body).unwrap().to_string(), "limit must be 1");
        assert!(refused(404, b"<html>").is_none());
        assert!(refused(404, b"{}").is_none());
    }

    #[test]
    fn what_is_refused_to_all_is_no_refusal_of_one() {
        let with = |status| CliError::Refused { status, text: String::new() };
        for status in [403, 404, 409, 412, 422] {
            assert!(with(status).is_refusal(), "{status}");
        }
        for status in [401, 503] {
            assert!(!with(status).is_refusal(), "{status}");
        }
        let (server, problem) = (String::new(), String::new());
        assert!(!CliError::Tls { server, problem }.is_refusal());
    }

    #[test]
    fn a_closed_pipe_is_told_from_a_full_disk() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(matches!(CliError::from(closed), CliError::ClosedOutput));
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(matches!(CliError::from(full), CliError::Output(_)));
    }
}
