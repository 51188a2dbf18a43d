//! What is stored of a secret, and where. The value stands there encrypted.

use serde::{Deserialize, Serialize};
use shiftwork_schedule::Timestamp;

use super::cipher::Sealed;
use crate::auth::{AUTH_NODE, AppScope, is_name};
use crate::registry::Path;

/// The version of these records that this program writes.
pub(super) const VERSION: u32 = 1;

/// A secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SecretRecord {
    /// See [`VERSION`].
    pub(super) version: u32,
    /// Its name.
    pub(super) name: String,
    /// Whose jobs may use it; everybody's if empty.
    #[serde(default)]
    pub(super) apps: AppScope,
    /// Its value, encrypted.
    #[serde(flatten)]
    pub(super) sealed: Sealed,
    /// When it was made.
    pub(super) created_at: Timestamp,
    /// When it got its value.
    pub(super) updated_at: Timestamp,
    /// Who gave it that.
    pub(super) updated_by: String,
}

/// Where one stands.
pub(super) fn path_of(name: &str) -> Result<Path, String> {
    Path::new(format!("{AUTH_NODE}/secret/{name}")).map_err(|error| error.to_string())
}

/// Which one stands at a path.
pub(super) fn name_of(path: &Path) -> Option<&str> {
    let rest = path.as_str().strip_prefix(AUTH_NODE)?;
    rest.strip_prefix("/secret/").filter(|name| is_name(name))
}

/// Whether a path belongs to these records.
pub fn is_ours(path: &Path) -> bool {
    path.as_str() == "auth/secret" || name_of(path).is_some()
}
