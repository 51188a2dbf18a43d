//! Secret values for jobs: kept encrypted, named in documents, and put into the environment of a task in
//! the one moment it leaves for the master. Absent: who may make them (`auth/`), and the engine, which
//! knows their names alone.
//!
//! A value stands below `auth/secret` in the registry, encrypted with a key that stands in a file of each
//! scheduler and nowhere else (AES-256-GCM, the name bound to it). **Invariant:** nothing but
//! [`Secrets::resolve`] decrypts, and what it gives goes into the call to the master.

mod cipher;
mod record;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use serde::Serialize;
use shiftwork_engine::effect::{Action, Launch};
use shiftwork_schedule::Timestamp;
use tokio::sync::Mutex;

pub use cipher::{KEY_FILE_NAME, Key, KeyFileError};
pub use record::is_ours;
use record::{SecretRecord, path_of};

use crate::audit_log::Entry;
use crate::auth::{Actor, AppScope, AuthError};
use crate::registry::{Change, Path};
use crate::turn::{self, Handle};

/// The longest value, bytes: it travels with each task.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;
/// Secrets at most: they are in every scheduler's memory, encrypted.
const SECRETS_MAX: usize = 10_000;

/// All secrets of a scheduler. Cheap to clone.
#[derive(Clone)]
pub struct Secrets {
    inner: Arc<Inner>,
}

struct Inner {
    /// None where no file was named and none can be made.
    key: Option<Key>,
    book: RwLock<BTreeMap<String, SecretRecord>>,
    handle: Handle,
    changing: Arc<Mutex<()>>,
}

/// A secret, for people: everything but its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretView {
    /// Its name.
    pub name: String,
    /// Prefixes of names of apps whose jobs may use it; all, if empty.
    pub apps: AppScope,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it got its value.
    pub updated_at: Timestamp,
    /// Who gave it that.
    pub updated_by: String,
}

impl From<&SecretRecord> for SecretView {
    fn from(record: &SecretRecord) -> Self {
        Self {
            name: record.name.clone(),
            apps: record.apps.clone(),
            created_at: record.created_at,
            updated_at: record.updated_at,
            updated_by: record.updated_by.clone(),
        }
    }
}

/// A task that cannot have what its job names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("variable {variable} needs the secret {secret}: {problem}")]
pub struct Unresolved {
    /// The variable.
    pub variable: String,
    /// The secret.
    pub secret: String,
    /// Why it cannot be had.
    pub problem: String,
}

// === impl Secrets ===

impl Secrets {
    /// With the key they are encrypted with; without one, none can be made or used.
    pub fn new(key: Option<Key>, handle: Handle) -> Self {
        let inner = Inner { key, book: RwLock::default(), handle, changing: Arc::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Takes what the registry holds in place of everything known so far.
    pub fn load<'a>(&self, nodes: impl Iterator<Item = (&'a Path, &'a Bytes)>) {
        let mut book = BTreeMap::new();
        for (path, data) in nodes {
            let Some(name) = record::name_of(path) else { continue };
            match serde_json::from_slice::<SecretRecord>(data) {
                Ok(record) => drop(book.insert(name.to_owned(), record)),
                Err(error) => tracing::error!(%path, %error, "a secret cannot be read"),
            }
        }
        *self.inner.book.write().unwrap_or_else(PoisonError::into_inner) = book;
    }

    /// Secrets in the order of their names, behind one.
    pub fn list(&self, after: Option<&str>, limit: usize) -> Vec<SecretView> {
        let behind = |it: &&SecretRecord| after.is_none_or(|after| it.name.as_str() > after);
        self.book().values().filter(behind).take(limit).map(SecretView::from).collect()
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<SecretView> {
        self.book().get(name).map(SecretView::from)
    }

    /// Makes a secret, or gives it another value; whether it was not there before. Tasks that are
    /// launched from now on get it.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn put(
        &self,
        name: &str,
        value: &str,
        apps: Option<AppScope>,
        by: Actor,
    ) -> Result<(SecretView, bool), AuthError> {
        let invalid =
            |field, message: &str| AuthError::Invalid { field, message: message.to_owned() };
        if !crate::auth::is_name(name) {
            return Err(invalid("name", "must be 1 to 100 of letters, digits and . _ - @ +"));
        }
        if value.len() > VALUE_BYTES_MAX || value.contains('\0') {
            return Err(invalid("value", "must be at most 64 KiB without NUL"));
        }
        let Some(key) = &self.inner.key else {
            return Err(AuthError::Conflict(
                "this scheduler has no key for secrets: start all schedulers with \
                 --secret-key-file and the same file"
                    .to_owned(),
            ));
        };
        let turn = Arc::clone(&self.inner.changing).lock_owned().await;
        let old = self.book().get(name).cloned();
        if old.is_none() && self.book().len() >= SECRETS_MAX {
            return Err(AuthError::Conflict(format!("there are {SECRETS_MAX} secrets already")));
        }
        let now = turn::now();
        let record = SecretRecord {
            version: record::VERSION,
            name: name.to_owned(),
            apps: apps.or_else(|| old.as_ref().map(|old| old.apps.clone())).unwrap_or_default(),
            sealed: key.seal(name, value).map_err(AuthError::Internal)?,
            created_at: old.as_ref().map_or(now, |old| old.created_at),
            updated_at: now,
            updated_by: by.to_string(),
        };
        let view = SecretView::from(&record);
        let data = serde_json::to_vec(&record).map_err(|error| error.to_string())?;
        let change = Change { path: path_of(name)?, value: Some(data) };
        let mut entry = Entry::new(if old.is_some() { "update" } else { "create" }, "secret", name);
        if let Some(old) = &old {
            entry = entry.before(&SecretView::from(old));
        }
        let entry = entry.after(&view);
        let inner = Arc::clone(&self.inner);
        let done = move || {
            let mut book = inner.book.write().unwrap_or_else(PoisonError::into_inner);
            book.insert(record.name.clone(), record);
            drop(turn);
        };
        self.inner.handle.store(by, vec![change], entry, done).await?;
        Ok((view, old.is_none()))
    }

    /// Removes a secret. Tasks that need it cannot be launched any more.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn delete(&self, name: &str, by: Actor) -> Result<(), AuthError> {
        let turn = Arc::clone(&self.inner.changing).lock_owned().await;
        let before = self.get(name).ok_or_else(|| AuthError::NotFound(format!("secret {name}")))?;
        let change = Change::delete(path_of(name)?);
        let entry = Entry::new("delete", "secret", name).before(&before);
        let (inner, name) = (Arc::clone(&self.inner), name.to_owned());
        let done = move || {
            inner.book.write().unwrap_or_else(PoisonError::into_inner).remove(&name);
            drop(turn);
        };
        Ok(self.inner.handle.store(by, vec![change], entry, done).await?)
    }

    /// Why jobs of an app cannot use a secret, if they cannot.
    pub fn problem(&self, secret: &str, app: &str) -> Option<String> {
        match self.book().get(secret) {
            None => Some(format!("does not exist: make it with `shiftwork secret set {secret}`")),
            Some(record) if !record.apps.covers(app) => {
                Some(format!("is not for jobs of the app {app}"))
            }
            Some(_) => None,
        }
    }

    /// Puts the values into the launches of an action that is about to leave. Launches that cannot have
    /// theirs are taken out and returned with the reason.
    pub fn resolve(&self, action: &mut Action) -> Vec<(Launch, Unresolved)> {
        let Action::Accept { launches, .. } = action else { return Vec::new() };
        let mut left_out = Vec::new();
        let mut kept = Vec::with_capacity(launches.len());
        for mut launch in std::mem::take(launches) {
            match self.fill(&mut launch) {
                Ok(()) => kept.push(launch),
                Err(unresolved) => left_out.push((launch, unresolved)),
            }
        }
        *launches = kept;
        left_out
    }

    fn fill(&self, launch: &mut Launch) -> Result<(), Unresolved> {
        let job = Arc::clone(&launch.job);
        for (variable, secret) in &job.secret_env {
            let failed = |problem: String| Unresolved {
                variable: variable.clone(),
                secret: secret.clone(),
                problem,
            };
            if let Some(problem) = self.problem(secret, launch.executor.app.name.as_str()) {
                return Err(failed(problem));
            }
            let sealed = self.book().get(secret).map(|record| record.sealed.clone());
            let opened = match (&self.inner.key, sealed) {
                (Some(key), Some(sealed)) => key.open(secret, &sealed),
                _ => Err("this scheduler has no key for secrets: --secret-key-file".to_owned()),
            };
            launch.env.insert(variable.clone(), opened.map_err(failed)?);
        }
        Ok(())
    }

    fn book(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, SecretRecord>> {
        self.inner.book.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}
