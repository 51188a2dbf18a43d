//! Who may do what. Every door (REST, Elastic-Job-Cloud's REST, gRPC, the console) asks the same two
//! questions: [`Auth::admit`], who somebody is, and [`Identity::require`] and its sisters, what they
//! may. Absent: which role a route needs (it says so itself), and headers of answers.
//!
//! Users, tokens and sessions stand below `auth` in the registry. The leader reads them when it takes
//! over and writes them by the same fenced commits as everything else (through the owner's inbox, so
//! that there is one writer); its book is changed when the commit is durable. A scheduler that stands
//! by reads them as they change.
//!
//! **Invariant:** no secret is stored, logged or answered, but the one answer that hands it out.

mod authenticate;
mod book;
mod identity;
mod login;
mod manage;
mod record;
mod secret;
#[cfg(test)]
mod tests;
mod throttle;

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use axum::http::HeaderMap;
use bytes::Bytes;
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};

pub use authenticate::{COOKIE, SECURE_COOKIE, csrf_token};
use book::Book;
pub use identity::{Actor, AppScope, Forbidden, Identity, PREFIXES_MAX, Proof, Role};
pub use login::{LoginError, SESSION_LIFETIME, Session, Vouched};
pub use manage::{NewToken, NewUser, TokenView, UserChange, UserView};
pub use record::{AUTH_NODE, is_name, is_ours};
pub use secret::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, random as new_secret};

use crate::audit_log::Entry;
use crate::registry::{Change, Path};
use crate::turn::{Handle, Unavailable};
use secret::Hash;
use throttle::Throttle;

/// Passwords hashed at a time: each takes 19 MB.
const HASHING_MAX: usize = 2;

/// How a scheduler asks who somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Whoever shows nothing is let in as long as there is no admin: the API listens on loopback.
    Loopback,
    /// Whoever shows nothing is let in: it was told to.
    Insecure,
    /// Nobody is let in who shows nothing.
    #[default]
    Required,
}

/// What a scheduler is told about it.
#[derive(Clone, Default)]
pub struct AuthConfig {
    /// How it asks.
    pub mode: Mode,
    /// A token that is good for everything while this process runs.
    pub admin_token: Option<String>,
    /// Name and password of one operator more, who is not in the registry: Elastic-Job's.
    pub configured: Option<(String, String)>,
}

impl std::fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthConfig").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// Who may do what, for every door. Cheap to clone.
#[derive(Clone)]
pub struct Auth {
    inner: Arc<Inner>,
}

struct Inner {
    mode: Mode,
    admin_token: Option<Hash>,
    configured: Option<Configured>,
    book: RwLock<Book>,
    handle: Handle,
    throttle: Throttle,
    hashing: Semaphore,
    remembered: login::Remembered,
    /// Held from the look at the book to its change.
    changing: Arc<Mutex<()>>,
}

struct Configured {
    hash: Hash,
}

/// Somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// They show nothing.
    #[error(
        "authentication is required: send a token as Authorization: Bearer, or log in \
         (shiftwork: --token-file or SHIFTWORK_TOKEN)"
    )]
    Nobody,
    /// What they show is good for nothing.
    #[error("the token or session is unknown or expired, or name or password are wrong")]
    Wrong,
    /// They tried too often.
    #[error("too many attempts: wait {} s", .0.as_secs() + 1)]
    Wait(Duration),
}

/// Why nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// It is wrong in itself.
    #[error("{field} {message}")]
    Invalid {
        /// Which part.
        field: &'static str,
        /// How.
        message: String,
    },
    /// There is no such user or token.
    #[error("there is no {0}")]
    NotFound(String),
    /// It contradicts what is there.
    #[error("{0}")]
    Conflict(String),
    /// Nobody leads here.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// A defect, or a system without randomness.
    #[error("{0}")]
    Internal(String),
}

impl From<String> for AuthError {
    fn from(problem: String) -> Self {
        Self::Internal(problem)
    }
}

// === impl Auth ===

impl Auth {
    /// With what is configured, and nobody in the book as yet.
    pub fn new(config: AuthConfig, handle: Handle) -> Self {
        let configured = config
            .configured
            .map(|(name, password)| Configured { hash: login::of_both(&name, &password) });
        Self {
            inner: Arc::new(Inner {
                mode: config.mode,
                admin_token: config.admin_token.map(|token| secret::hash(token.as_bytes())),
                configured,
                book: RwLock::default(),
                handle,
                throttle: Throttle::new(),
                hashing: Semaphore::new(HASHING_MAX),
                remembered: login::Remembered::default(),
                changing: Arc::default(),
            }),
        }
    }

    /// Takes what the registry holds in place of everything known so far.
    pub fn load<'a>(&self, nodes: impl Iterator<Item = (&'a Path, &'a Bytes)>) {
        let book = Book::read(nodes);
        *self.inner.book.write().unwrap_or_else(PoisonError::into_inner) = book;
        if self.inner.mode == Mode::Required && !self.has_admin() {
            tracing::warn!(
                "nobody can administer this scheduler: start it with --admin-token-file, or on \
                 127.0.0.1 to make the first user"
            );
        }
    }

    /// Whether somebody can decide who may do what.
    pub fn has_admin(&self) -> bool {
        self.inner.admin_token.is_some() || self.book().has_admin(authenticate::now())
    }

    /// Whether those are let in who show nothing.
    pub fn is_open(&self) -> bool {
        match self.inner.mode {
            Mode::Insecure => true,
            Mode::Loopback => !self.has_admin(),
            Mode::Required => false,
        }
    }

    /// Whether Elastic-Job's users must show the name and password that are configured for them.
    pub(crate) fn has_configured(&self) -> bool {
        self.inner.configured.is_some()
    }

    /// Whether requests that show nothing are taken because they can only come from this machine;
    /// then a browser on it is the way in for strangers, see `api/frame.rs`.
    pub(crate) fn trusts_loopback(&self) -> bool {
        self.inner.mode == Mode::Loopback && self.is_open()
    }

    /// Who a request is from, or that it may not come in. All doors ask this.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn admit(
        &self,
        headers: &HeaderMap,
        from: Option<IpAddr>,
    ) -> Result<Identity, Denied> {
        match self.authenticate(headers, from).await? {
            Some(identity) => Ok(identity),
            None if self.is_open() => Ok(Identity::anybody()),
            None => Err(Denied::Nobody),
        }
    }

    /// Read, and let go before anything is waited for.
    fn book(&self) -> RwLockReadGuard<'_, Book> {
        self.inner.book.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The turn to change the book: nobody else changes it until what is returned is dropped.
    async fn change(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.inner.changing).lock_owned().await
    }

    /// Writes, and takes the change into the book when it is durable, whether or not anybody still
    /// waits for that.
    async fn commit(
        &self,
        turn: OwnedMutexGuard<()>,
        by: Actor,
        changes: Vec<Change>,
        entry: Entry,
        apply: impl FnOnce(&mut Book) + Send + 'static,
    ) -> Result<(), AuthError> {
        let inner = Arc::clone(&self.inner);
        let done = move || {
            apply(&mut inner.book.write().unwrap_or_else(PoisonError::into_inner));
            drop(turn);
        };
        Ok(self.inner.handle.store(by, changes, entry, done).await?)
    }
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").field("mode", &self.inner.mode).finish_non_exhaustive()
    }
}
