//! What is stored of users, tokens and sessions, and where: below `auth` in the registry, so that all
//! schedulers share them. No secret stands there, only hashes.

use serde::{Deserialize, Serialize};
use shiftwork_schedule::Timestamp;

use super::identity::{AppScope, Role};
use super::secret::{Hash, hex, unhex};
use crate::registry::{Change, Path, PathError};

/// The version of these records that this program writes.
const VERSION: u32 = 1;

/// Below it stands all of them.
pub const AUTH_NODE: &str = "auth";

/// Somebody with a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserRecord {
    /// See [`VERSION`].
    #[serde(default = "version")]
    pub version: u32,
    /// The name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Where; everywhere if empty.
    #[serde(default)]
    pub apps: AppScope,
    /// The argon2id hash of the password, in PHC form.
    pub password_hash: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
}

/// A token for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenRecord {
    /// See [`VERSION`].
    #[serde(default = "version")]
    pub version: u32,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where; everywhere if empty.
    #[serde(default)]
    pub apps: AppScope,
    /// The SHA-256 of the token, hexadecimal.
    pub hash: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// When it ends; never, if absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_at: Option<Timestamp>,
}

/// Somebody who has logged in. The name of its node is the hash of what they show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionRecord {
    /// See [`VERSION`].
    #[serde(default = "version")]
    pub version: u32,
    /// Who.
    pub name: String,
    /// The user it is of; without, it was another that vouched for them, and role and apps are here.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user: Option<String>,
    /// What they may do, where no user says.
    pub role: Role,
    /// Where, likewise.
    #[serde(default)]
    pub apps: AppScope,
    /// When they logged in.
    pub created_at: Timestamp,
    /// When they must again.
    pub expires_at: Timestamp,
}

pub(super) fn version() -> u32 {
    VERSION
}

/// Where one stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    User(String),
    Token(String),
    Session(Hash),
}

impl Place {
    /// The record at a path, if there can be one.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let segments: Vec<&str> = path.as_str().split('/').collect();
        match segments[..] {
            [AUTH_NODE, "user", name] if is_name(name) => Some(Self::User(name.to_owned())),
            [AUTH_NODE, "token", name] if is_name(name) => Some(Self::Token(name.to_owned())),
            [AUTH_NODE, "session", hash] => unhex(hash).map(Self::Session),
            _ => None,
        }
    }

    fn path(&self) -> Result<Path, PathError> {
        Path::new(match self {
            Self::User(name) => format!("{AUTH_NODE}/user/{name}"),
            Self::Token(name) => format!("{AUTH_NODE}/token/{name}"),
            Self::Session(hash) => format!("{AUTH_NODE}/session/{}", hex(hash)),
        })
    }

    /// The change that puts a record there, or removes it.
    pub(super) fn change<T: Serialize>(&self, record: Option<&T>) -> Result<Change, String> {
        let path = self.path().map_err(|error| error.to_string())?;
        let value =
            record.map(serde_json::to_vec).transpose().map_err(|error| error.to_string())?;
        Ok(Change { path, value })
    }
}

/// Whether a path belongs to these records.
pub fn is_ours(path: &Path) -> bool {
    let path = path.as_str();
    matches!(path, "auth" | "auth/user" | "auth/token" | "auth/session")
        || Path::new(path).is_ok_and(|path| Place::of(&path).is_some())
}

/// Names of users and tokens: they are names of nodes, and stand in logs.
pub fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@+".contains(&byte);
    (1..=100).contains(&name.len()) && name.bytes().all(plain) && !matches!(name, "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_found_again() {
        for place in [
            Place::User("alice@example.org".to_owned()),
            Place::Token("ci".to_owned()),
            Place::Session([7; 32]),
        ] {
            let path = place.path().unwrap();
            assert_eq!(Place::of(&path), Some(place));
            assert!(is_ours(&path));
        }
        for foreign in ["auth/user/a b", "auth/session/x", "auth/other/x", "config/user/x"] {
            assert!(!is_ours(&Path::new(foreign).unwrap()), "{foreign}");
        }
        assert!(is_ours(&Path::new("auth").unwrap()));
    }
}
