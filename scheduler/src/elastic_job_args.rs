//! The command-line arguments of Elastic-Job-Cloud's REST. Absent: what they mean (`api/compat`).

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use crate::api::{Credentials, Dialect, ElasticJobConfig};

/// How Elastic-Job-Cloud's REST is served.
#[derive(Debug, Clone, Args)]
// The prefix is that of the flags.
#[allow(clippy::struct_field_names)]
pub struct ElasticJobArgs {
    /// Elastic-Job-Cloud's generation for clients that do not show theirs
    #[arg(
        long,
        env = "SHIFTWORK_ELASTIC_JOB_DIALECT",
        default_value = "2",
        value_name = "GENERATION"
    )]
    elastic_job_dialect: Dialect,
    /// Name that clients of Elastic-Job-Cloud's REST must show (default: anybody may use it)
    #[arg(
        long,
        env = "SHIFTWORK_ELASTIC_JOB_USERNAME",
        requires = "elastic_job_password_file",
        value_name = "NAME"
    )]
    elastic_job_username: Option<String>,
    /// File that holds the password for that name
    #[arg(
        long,
        env = "SHIFTWORK_ELASTIC_JOB_PASSWORD_FILE",
        requires = "elastic_job_username",
        value_name = "FILE"
    )]
    elastic_job_password_file: Option<PathBuf>,
}

impl ElasticJobArgs {
    /// Reads the password and puts all together.
    ///
    /// # Errors
    /// When the file cannot be read or holds no password.
    pub fn config(&self) -> anyhow::Result<ElasticJobConfig> {
        let credentials = match (&self.elastic_job_username, &self.elastic_job_password_file) {
            (Some(username), Some(file)) => {
                Some(Credentials { username: username.clone(), password: password_in(file)? })
            }
            _ => None,
        };
        Ok(ElasticJobConfig { dialect: self.elastic_job_dialect, credentials })
    }
}

/// The text of a file without the line's end that editors add.
fn password_in(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the password file {}", file.display()))?;
    let password = text.trim_end_matches(['\r', '\n']);
    anyhow::ensure!(!password.is_empty(), "the password file {} is empty", file.display());
    Ok(password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_line_of_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        std::fs::write(&file, "p w d \n").unwrap();
        assert_eq!(password_in(&file).unwrap(), "p w d ");
        std::fs::write(&file, "\n").unwrap();
        assert!(password_in(&file).unwrap_err().to_string().contains("is empty"));
        assert!(password_in(&directory.path().join("none")).is_err());
    }
}
