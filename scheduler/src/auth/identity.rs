//! Who somebody is and what they may do: a name, a role, and the apps it holds for. Absent: how they
//! prove it (`authenticate.rs`).

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What somebody may do; each role may do what those before it may.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Registers, changes and removes apps, jobs and calendars, and decides about their runs.
    Operator,
    /// Decides who may do what, and reads who did what.
    Admin,
}

impl Role {
    /// Its name, as documents and the API write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The apps a role holds for: those whose names begin with one of these prefixes; all, if there is
/// none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AppScope(Vec<String>);

/// Prefixes of one scope at most: each costs a comparison per row of a list.
pub const PREFIXES_MAX: usize = 100;

impl AppScope {
    /// All apps.
    pub const ALL: Self = Self(Vec::new());

    /// Those whose names begin with one of these; all, if there is none.
    ///
    /// # Errors
    /// Names what is no prefix of an app's name.
    pub fn new(prefixes: Vec<String>) -> Result<Self, String> {
        if prefixes.len() > PREFIXES_MAX {
            return Err(format!("must be at most {PREFIXES_MAX} prefixes"));
        }
        for prefix in &prefixes {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            if prefix.is_empty() || prefix.len() > 100 || !prefix.bytes().all(plain) {
                return Err(format!("{prefix:?} cannot begin the name of an app"));
            }
        }
        Ok(Self(prefixes))
    }

    /// Whether it is all apps.
    pub fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an app is among them.
    pub fn covers(&self, app: &str) -> bool {
        self.is_all() || self.0.iter().any(|prefix| app.starts_with(prefix.as_str()))
    }

    /// The prefixes; none for all apps.
    pub fn prefixes(&self) -> &[String] {
        &self.0
    }
}

/// How somebody proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Not at all: the API listens on loopback and nobody has set authentication up, or it was told
    /// to ask nobody.
    None,
    /// The token of the file that the scheduler was started with.
    AdminTokenFile,
    /// A token.
    Token,
    /// Name and password with the request.
    Password,
    /// A session, shown in a header.
    Session,
    /// A session, shown in a cookie: browsers send it without being asked.
    Cookie,
}

/// Somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Their name, or that of their token.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Where.
    pub apps: AppScope,
    /// How they proved it.
    pub proof: Proof,
}

impl Identity {
    /// Whoever reaches a scheduler that asks nobody: may do everything.
    pub fn anybody() -> Self {
        Self {
            name: "anybody".to_owned(),
            role: Role::Admin,
            apps: AppScope::ALL,
            proof: Proof::None,
        }
    }

    /// Whoever was not asked although they should have been: may change nothing.
    pub(crate) fn nobody() -> Self {
        let apps = AppScope(vec!["\0".to_owned()]);
        Self { name: "nobody".to_owned(), role: Role::Viewer, apps, proof: Proof::None }
    }

    /// Why they may not do what takes a role, if they may not.
    ///
    /// # Errors
    /// [`Forbidden`], with the role they would need.
    pub fn require(&self, role: Role) -> Result<(), Forbidden> {
        if self.role >= role {
            return Ok(());
        }
        Err(Forbidden(format!("{} is {} and this takes the role {role}", self.name, self.role)))
    }

    /// The same for an app.
    ///
    /// # Errors
    /// [`Forbidden`], naming the app.
    pub fn require_app(&self, app: &str) -> Result<(), Forbidden> {
        if self.apps.covers(app) {
            return Ok(());
        }
        let prefixes = self.apps.prefixes().join(", ");
        Err(Forbidden(format!("{} may use apps {prefixes}… and {app} is none of them", self.name)))
    }

    /// The same for what is not of one app.
    ///
    /// # Errors
    /// [`Forbidden`].
    pub fn require_all_apps(&self) -> Result<(), Forbidden> {
        if self.apps.is_all() {
            return Ok(());
        }
        let prefixes = self.apps.prefixes().join(", ");
        Err(Forbidden(format!(
            "{} may use apps {prefixes}… and this is not of one app: it takes a role for all apps",
            self.name
        )))
    }
}

/// Somebody is known and may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Forbidden(pub String);

/// Somebody who asks for a change, and from where: what the records say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Who.
    pub identity: Identity,
    /// By which door: `rest`, `grpc`, `elastic-job`.
    pub door: &'static str,
    /// From which address.
    pub from: Option<IpAddr>,
}

impl Actor {
    /// The scheduler itself, under the name of what in it asks.
    pub fn itself(name: impl Into<String>) -> Self {
        Self {
            identity: Identity { name: name.into(), ..Identity::anybody() },
            door: "scheduler",
            from: None,
        }
    }
}

impl From<&str> for Actor {
    fn from(name: &str) -> Self {
        Self::itself(name)
    }
}

impl From<String> for Actor {
    fn from(name: String) -> Self {
        Self::itself(name)
    }
}

/// `alice (rest 10.0.0.1)`; where nobody is asked, only the way; of the scheduler itself, only the
/// name.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.identity.name;
        match (self.identity.proof, self.from) {
            (Proof::None, Some(from)) => write!(f, "{} {from}", self.door),
            (Proof::None, None) if self.door == "scheduler" => f.write_str(name),
            (Proof::None, None) => f.write_str(self.door),
            (_, Some(from)) => write!(f, "{name} ({} {from})", self.door),
            (_, None) => write!(f, "{name} ({})", self.door),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(prefixes: &[&str]) -> Identity {
        let apps = AppScope::new(prefixes.iter().map(ToString::to_string).collect()).unwrap();
        Identity { name: "o".to_owned(), role: Role::Operator, apps, proof: Proof::Token }
    }

    #[test]
    fn a_role_may_do_what_those_below_it_may() {
        let identity = operator(&[]);
        assert!(identity.require(Role::Viewer).is_ok() && identity.require(Role::Operator).is_ok());
        assert!(identity.require(Role::Admin).unwrap_err().to_string().contains("role admin"));
    }

    #[test]
    fn a_scope_is_of_prefixes() {
        let identity = operator(&["team-a-", "shared"]);
        for app in ["team-a-", "team-a-x", "shared", "shared2"] {
            assert!(identity.require_app(app).is_ok(), "{app}");
        }
        for app in ["team-a", "team-b-x", "", "x-shared"] {
            assert!(identity.require_app(app).is_err(), "{app}");
        }
        assert!(identity.require_all_apps().is_err());
        assert!(operator(&[]).require_all_apps().is_ok());
        assert!(operator(&[]).require_app("x").is_ok());
        for bad in ["", "a b", "a/b", "ä"] {
            assert!(AppScope::new(vec![bad.to_owned()]).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_actor_is_written_as_people_look_for_it() {
        let from = Some(IpAddr::from([10, 0, 0, 1]));
        let known = Actor { identity: operator(&[]), door: "rest", from };
        assert_eq!(known.to_string(), "o (rest 10.0.0.1)");
        let open = Actor { identity: Identity::anybody(), door: "rest", from };
        assert_eq!(open.to_string(), "rest 10.0.0.1");
        assert_eq!(Actor::itself("demo").to_string(), "demo");
    }
}
