//! Names and passwords, and the sessions they begin. Absent: the header or cookie they come in.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{LazyLock, PoisonError};
use std::time::{Duration, Instant};

use shiftwork_schedule::Timestamp;

use super::authenticate::now;
use super::identity::{Actor, AppScope, Identity, Proof, Role};
use super::record::{Place, SessionRecord, version};
use super::secret::{self, Hash};
use super::throttle::Wait;
use super::{Auth, AuthError, Denied};
use crate::audit_log::Entry;
use crate::registry::Change;

/// How long a session of a browser lasts: a working day.
pub const SESSION_LIFETIME: Duration = Duration::from_hours(12);
/// Sessions at a time: the oldest gives way, so that logins fill neither memory nor registry.
const SESSIONS_MAX: usize = 2_000;
/// How long a password that was right is known without hashing it again: clients of HTTP Basic show
/// it with every request.
const REMEMBERED_FOR: Duration = Duration::from_mins(5);
/// Passwords remembered at a time.
const REMEMBERED_MAX: usize = 1_000;
/// What an unknown user's password is compared with, so that an answer takes as long as for a known
/// one.
static NOBODY: LazyLock<String> =
    LazyLock::new(|| secret::hash_password("nobody has this password").unwrap_or_default());

/// Hashes of passwords that were right, together with the hash they were compared with.
pub(super) type Remembered = std::sync::Mutex<BTreeMap<Hash, Instant>>;

/// A session that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// What to show from now on. Nobody else knows it.
    pub secret: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whose it is.
    pub identity: Identity,
}

/// A person for whom another vouches: an identity provider, or the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// Their name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Where.
    pub apps: AppScope,
}

impl Auth {
    /// Who has this name and password.
    ///
    /// # Errors
    /// [`Denied`]; the same for a name that nobody has and a password that is wrong.
    pub async fn by_password(
        &self,
        name: &str,
        password: &str,
        from: Option<IpAddr>,
    ) -> Result<Identity, Denied> {
        if let Some(configured) = &self.inner.configured
            && configured.hash == of_both(name, password)
        {
            return Ok(Identity {
                name: name.to_owned(),
                role: Role::Operator,
                apps: AppScope::ALL,
                proof: Proof::Password,
            });
        }
        let found = self.book().users.get(name).cloned();
        let compared = found.as_ref().map_or_else(|| NOBODY.clone(), |u| u.password_hash.clone());
        let key = of_both(&compared, password);
        if !self.remembers(&key) {
            let counted = self.inner.throttle.address(from);
            counted
                .and_then(|()| self.inner.throttle.user(name))
                .map_err(|Wait(w)| Denied::Wait(w))?;
            self.compare(password.to_owned(), compared).await?;
            if found.is_some() {
                self.remember(key);
            }
        }
        let user = found.ok_or(Denied::Wrong)?;
        Ok(Identity { name: user.name, role: user.role, apps: user.apps, proof: Proof::Password })
    }

    /// Begins a session for whoever has this name and password.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn login(
        &self,
        name: &str,
        password: &str,
        lifetime: Duration,
        door: &'static str,
        from: Option<IpAddr>,
    ) -> Result<Session, LoginError> {
        let identity = self.by_password(name, password, from).await?;
        let user = self.book().users.contains_key(name).then(|| name.to_owned());
        let by = Actor { identity: identity.clone(), door, from };
        let vouched = Vouched { name: identity.name, role: identity.role, apps: identity.apps };
        Ok(self.begin(user, vouched, lifetime, by).await?)
    }

    /// Begins a session for a person for whom somebody else vouches.
    ///
    /// # Errors
    /// [`AuthError`] when it cannot be stored.
    pub async fn vouch(
        &self,
        person: Vouched,
        lifetime: Duration,
        by: Actor,
    ) -> Result<Session, AuthError> {
        self.begin(None, person, lifetime, by).await
    }

    async fn begin(
        &self,
        user: Option<String>,
        Vouched { name, role, apps }: Vouched,
        lifetime: Duration,
        by: Actor,
    ) -> Result<Session, AuthError> {
        let secret = secret::random();
        let hash = secret::hash(secret.as_bytes());
        let lifetime_ms = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        let expires_at = now().saturating_add(lifetime_ms);
        let record = SessionRecord {
            version: version(),
            name: name.clone(),
            user,
            role,
            apps: apps.clone(),
            created_at: now(),
            expires_at,
        };
        let turn = self.change().await;
        let gone = self.book().superfluous(SESSIONS_MAX - 1, now());
        let mut changes: Vec<Change> = Vec::with_capacity(gone.len() + 1);
        for hash in &gone {
            changes.push(Place::Session(*hash).change::<SessionRecord>(None)?);
        }
        changes.push(Place::Session(hash).change(Some(&record))?);
        let entry = Entry::new("login", "session", &name);
        self.commit(turn, by, changes, entry, move |book| {
            for hash in &gone {
                book.sessions.remove(hash);
            }
            book.sessions.insert(hash, record);
        })
        .await?;
        let identity = Identity { name, role, apps, proof: Proof::Session };
        Ok(Session { secret, expires_at, identity })
    }

    /// Ends the session that a request shows, if it shows one.
    ///
    /// # Errors
    /// [`AuthError`] when it cannot be stored.
    pub async fn logout(
        &self,
        headers: &axum::http::HeaderMap,
        by: Actor,
    ) -> Result<(), AuthError> {
        let Some(hash) = super::authenticate::session_of(headers) else { return Ok(()) };
        let turn = self.change().await;
        let Some(name) = self.book().sessions.get(&hash).map(|session| session.name.clone()) else {
            return Ok(());
        };
        let change = Place::Session(hash).change::<SessionRecord>(None)?;
        let entry = Entry::new("logout", "session", &name);
        self.commit(turn, by, vec![change], entry, move |book| drop(book.sessions.remove(&hash)))
            .await
    }

    /// Compares a password, off the runtime's threads and a few at a time: each takes 19 MB.
    async fn compare(&self, password: String, hashed: String) -> Result<(), Denied> {
        let Ok(_permit) = self.inner.hashing.acquire().await else { return Err(Denied::Wrong) };
        let compared =
            tokio::task::spawn_blocking(move || secret::verify_password(&password, &hashed)).await;
        if compared.unwrap_or(false) { Ok(()) } else { Err(Denied::Wrong) }
    }

    fn remembers(&self, key: &Hash) -> bool {
        let remembered = self.inner.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.get(key).is_some_and(|since| since.elapsed() < REMEMBERED_FOR)
    }

    fn remember(&self, key: Hash) {
        let mut remembered = self.inner.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.retain(|_, since| since.elapsed() < REMEMBERED_FOR);
        }
        if remembered.len() < REMEMBERED_MAX {
            remembered.insert(key, Instant::now());
        }
    }
}

/// Why a login did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Name or password are wrong, or were tried too often.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The session could not be stored.
    #[error(transparent)]
    Auth(#[from] AuthError),
}

/// The hash of two texts, of which neither can be taken for a part of the other.
pub(super) fn of_both(one: &str, other: &str) -> Hash {
    secret::hash(&[secret::hash(one.as_bytes()), secret::hash(other.as_bytes())].concat())
}
