//! Users and tokens: made, listed, changed, removed. Absent: who may do that.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use shiftwork_schedule::Timestamp;

use super::authenticate::now;
use super::identity::{Actor, AppScope, Role};
use super::record::{Place, SessionRecord, TokenRecord, UserRecord, is_name, version};
use super::{Auth, AuthError, secret};
use crate::audit_log::Entry;

/// Users at most: they are in every scheduler's memory.
const USERS_MAX: usize = 10_000;
/// Tokens at most, likewise.
const TOKENS_MAX: usize = 10_000;

/// A user to be made.
#[derive(Debug)]
pub struct NewUser {
    /// The name.
    pub name: String,
    /// The password.
    pub password: String,
    /// What they may do.
    pub role: Role,
    /// Where.
    pub apps: AppScope,
}

/// What is to be different about a user; what is none stays.
#[derive(Debug, Default)]
pub struct UserChange {
    /// The password.
    pub password: Option<String>,
    /// What they may do.
    pub role: Option<Role>,
    /// Where.
    pub apps: Option<AppScope>,
}

/// A token to be made.
#[derive(Debug)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where.
    pub apps: AppScope,
    /// How long it is good; without end, if none.
    pub lifetime: Option<Duration>,
}

/// A user, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserView {
    /// The name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Where; everywhere if empty.
    pub apps: AppScope,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
}

/// A token, for people: everything but itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenView {
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where; everywhere if empty.
    pub apps: AppScope,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// When it ends; never, if none.
    pub expires_at: Option<Timestamp>,
    /// Whether it has ended.
    pub expired: bool,
}

impl From<&UserRecord> for UserView {
    fn from(user: &UserRecord) -> Self {
        Self {
            name: user.name.clone(),
            role: user.role,
            apps: user.apps.clone(),
            created_at: user.created_at,
            created_by: user.created_by.clone(),
        }
    }
}

impl TokenView {
    fn of(token: &TokenRecord, now: Timestamp) -> Self {
        Self {
            name: token.name.clone(),
            role: token.role,
            apps: token.apps.clone(),
            created_at: token.created_at,
            created_by: token.created_by.clone(),
            expires_at: token.expires_at,
            expired: token.expires_at.is_some_and(|end| end <= now),
        }
    }
}

impl Auth {
    /// Users in the order of their names, behind one.
    pub fn users(&self, after: Option<&str>, limit: usize) -> Vec<UserView> {
        let behind = |name: &&UserRecord| after.is_none_or(|after| name.name.as_str() > after);
        self.book().users.values().filter(behind).take(limit).map(UserView::from).collect()
    }

    /// One user.
    pub fn user(&self, name: &str) -> Option<UserView> {
        self.book().users.get(name).map(UserView::from)
    }

    /// Tokens in the order of their names, behind one.
    pub fn tokens(&self, after: Option<&str>, limit: usize) -> Vec<TokenView> {
        let now = now();
        let behind = |token: &&TokenRecord| after.is_none_or(|after| token.name.as_str() > after);
        let book = self.book();
        let tokens = book.tokens.values().filter(behind).take(limit);
        tokens.map(|token| TokenView::of(token, now)).collect()
    }

    /// One token.
    pub fn token(&self, name: &str) -> Option<TokenView> {
        self.book().tokens.get(name).map(|token| TokenView::of(token, now()))
    }

    /// Makes a user.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn create_user(&self, new: NewUser, by: Actor) -> Result<UserView, AuthError> {
        check_name(&new.name)?;
        let password_hash = self.hash(new.password).await?;
        let turn = self.change().await;
        {
            let book = self.book();
            if book.users.contains_key(&new.name) {
                return Err(AuthError::Conflict(format!(
                    "user {} exists: change it, or choose another name",
                    new.name
                )));
            }
            bounded(book.users.len(), USERS_MAX, "users")?;
        }
        let record = UserRecord {
            version: version(),
            name: new.name.clone(),
            role: new.role,
            apps: new.apps,
            password_hash,
            created_at: now(),
            created_by: by.to_string(),
        };
        let view = UserView::from(&record);
        let change = Place::User(new.name.clone()).change(Some(&record))?;
        let entry = Entry::new("create", "user", &new.name).after(&view);
        self.commit(turn, by, vec![change], entry, move |book| {
            book.users.insert(new.name, record);
        })
        .await?;
        Ok(view)
    }

    /// Changes a user. A new password ends the sessions that began with the old one.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn update_user(
        &self,
        name: &str,
        wanted: UserChange,
        by: Actor,
    ) -> Result<UserView, AuthError> {
        let password_hash = match wanted.password {
            Some(password) => Some(self.hash(password).await?),
            None => None,
        };
        let turn = self.change().await;
        let old = self.book().users.get(name).cloned();
        let old = old.ok_or_else(|| AuthError::NotFound(format!("user {name}")))?;
        let role = wanted.role.unwrap_or(old.role);
        let stays_admin = role == Role::Admin && wanted.apps.as_ref().unwrap_or(&old.apps).is_all();
        if !stays_admin {
            self.keep_an_admin(Some(name), None)?;
        }
        let before = UserView::from(&old);
        let ended = if password_hash.is_some() { self.sessions_of(name) } else { Vec::new() };
        let changed_password = password_hash.is_some();
        let record = UserRecord {
            role,
            apps: wanted.apps.unwrap_or(old.apps),
            password_hash: password_hash.unwrap_or(old.password_hash),
            ..old
        };
        let view = UserView::from(&record);
        let mut changes = vec![Place::User(name.to_owned()).change(Some(&record))?];
        for session in &ended {
            changes.push(Place::Session(*session).change::<SessionRecord>(None)?);
        }
        let mut after = json!(view);
        if changed_password {
            after["password"] = json!("changed");
        }
        let entry = Entry::new("update", "user", name).before(&before).after(&after);
        let name = name.to_owned();
        self.commit(turn, by, changes, entry, move |book| {
            book.users.insert(name, record);
            for session in &ended {
                book.sessions.remove(session);
            }
        })
        .await?;
        Ok(view)
    }

    /// Removes a user, and ends their sessions.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn delete_user(&self, name: &str, by: Actor) -> Result<(), AuthError> {
        let turn = self.change().await;
        let before = self.user(name).ok_or_else(|| AuthError::NotFound(format!("user {name}")))?;
        self.keep_an_admin(Some(name), None)?;
        let ended = self.sessions_of(name);
        let mut changes = vec![Place::User(name.to_owned()).change::<UserRecord>(None)?];
        for session in &ended {
            changes.push(Place::Session(*session).change::<SessionRecord>(None)?);
        }
        let entry = Entry::new("delete", "user", name).before(&before);
        let name = name.to_owned();
        self.commit(turn, by, changes, entry, move |book| {
            book.users.remove(&name);
            for session in &ended {
                book.sessions.remove(session);
            }
        })
        .await
    }

    /// Without an admin nobody is asked any more on this machine, and nobody gets in from another: that
    /// is not to happen by the way.
    fn keep_an_admin(&self, user: Option<&str>, token: Option<&str>) -> Result<(), AuthError> {
        let now = now();
        let book = self.book();
        let others = book.has_admin_besides(user, token, now) || self.inner.admin_token.is_some();
        if others || !book.has_admin(now) {
            return Ok(());
        }
        let name = user.or(token).unwrap_or_default();
        Err(AuthError::Conflict(format!(
            "{name} is the last admin of all apps: make another one first"
        )))
    }

    fn sessions_of(&self, user: &str) -> Vec<secret::Hash> {
        let book = self.book();
        let theirs = book.sessions.iter().filter(|(_, s)| s.user.as_deref() == Some(user));
        theirs.map(|(hash, _)| *hash).collect()
    }

    /// Makes a token. What is returned beside its view is the token: it is not kept.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn create_token(
        &self,
        new: NewToken,
        by: Actor,
    ) -> Result<(TokenView, String), AuthError> {
        check_name(&new.name)?;
        let turn = self.change().await;
        {
            let book = self.book();
            if book.tokens.contains_key(&new.name) {
                return Err(AuthError::Conflict(format!(
                    "token {} exists: revoke it, or choose another name",
                    new.name
                )));
            }
            bounded(book.tokens.len(), TOKENS_MAX, "tokens")?;
        }
        let secret = secret::random();
        let end = |lifetime: Duration| {
            let millis = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
            now().checked_add(millis).ok_or_else(|| AuthError::Invalid {
                field: "expiresIn",
                message: "ends after the end of time".to_owned(),
            })
        };
        let record = TokenRecord {
            version: version(),
            name: new.name.clone(),
            role: new.role,
            apps: new.apps,
            hash: secret::hex(&secret::hash(secret.as_bytes())),
            created_at: now(),
            created_by: by.to_string(),
            expires_at: new.lifetime.map(end).transpose()?,
        };
        let view = TokenView::of(&record, now());
        let change = Place::Token(new.name.clone()).change(Some(&record))?;
        let entry = Entry::new("create", "token", &new.name).after(&view);
        self.commit(turn, by, vec![change], entry, move |book| book.put_token(new.name, record))
            .await?;
        Ok((view, secret))
    }

    /// Revokes a token: it is good for nothing from now on.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn revoke_token(&self, name: &str, by: Actor) -> Result<(), AuthError> {
        let turn = self.change().await;
        let before =
            self.token(name).ok_or_else(|| AuthError::NotFound(format!("token {name}")))?;
        self.keep_an_admin(None, Some(name))?;
        let change = Place::Token(name.to_owned()).change::<TokenRecord>(None)?;
        let entry = Entry::new("revoke", "token", name).before(&before);
        let name = name.to_owned();
        self.commit(turn, by, vec![change], entry, move |book| book.remove_token(&name)).await
    }

    async fn hash(&self, password: String) -> Result<String, AuthError> {
        let invalid = |message| AuthError::Invalid { field: "password", message };
        secret::check_password(&password).map_err(invalid)?;
        let _permit = self.inner.hashing.acquire().await;
        let hashed = tokio::task::spawn_blocking(move || secret::hash_password(&password)).await;
        hashed.map_err(|error| error.to_string())?.map_err(AuthError::Internal)
    }
}

fn check_name(name: &str) -> Result<(), AuthError> {
    if is_name(name) {
        return Ok(());
    }
    let message = "must be 1 to 100 of letters, digits and . _ - @ +, and not . or ..".to_owned();
    Err(AuthError::Invalid { field: "name", message })
}

fn bounded(len: usize, max: usize, what: &str) -> Result<(), AuthError> {
    if len < max {
        return Ok(());
    }
    Err(AuthError::Conflict(format!("there are {max} {what}, which is the most: remove some")))
}
