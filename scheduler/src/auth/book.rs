//! All users, tokens and sessions, as this scheduler knows them. Pure. Absent: reading and writing the
//! registry.

use std::collections::BTreeMap;

use bytes::Bytes;
use shiftwork_schedule::Timestamp;

use super::identity::{AppScope, Identity, Proof, Role};
use super::record::{Place, SessionRecord, TokenRecord, UserRecord};
use super::secret::{Hash, unhex};
use crate::registry::Path;

/// All of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Book {
    pub(super) users: BTreeMap<String, UserRecord>,
    pub(super) tokens: BTreeMap<String, TokenRecord>,
    pub(super) sessions: BTreeMap<Hash, SessionRecord>,
    /// The names of tokens by their hashes.
    by_hash: BTreeMap<Hash, String>,
}

impl Book {
    /// Reads them among the nodes of a registry. One that cannot be read lets nobody in.
    pub(super) fn read<'a>(nodes: impl Iterator<Item = (&'a Path, &'a Bytes)>) -> Self {
        let mut book = Self::default();
        for (path, data) in nodes {
            if let Some(place) = Place::of(path)
                && let Err(error) = book.read_one(place, data)
            {
                tracing::error!(%path, %error, "lets nobody in: what is stored cannot be read");
            }
        }
        book
    }

    fn read_one(&mut self, place: Place, data: &[u8]) -> serde_json::Result<()> {
        match place {
            Place::User(name) => {
                self.users.insert(name, serde_json::from_slice(data)?);
            }
            Place::Token(name) => self.put_token(name, serde_json::from_slice(data)?),
            Place::Session(hash) => {
                self.sessions.insert(hash, serde_json::from_slice(data)?);
            }
        }
        Ok(())
    }

    pub(super) fn put_token(&mut self, name: String, token: TokenRecord) {
        self.remove_token(&name);
        if let Some(hash) = unhex(&token.hash) {
            self.by_hash.insert(hash, name.clone());
        }
        self.tokens.insert(name, token);
    }

    pub(super) fn remove_token(&mut self, name: &str) {
        if let Some(old) = self.tokens.remove(name).and_then(|token| unhex(&token.hash)) {
            self.by_hash.remove(&old);
        }
    }

    /// Whose token or session has this hash, unless its time is over.
    pub(super) fn identify(&self, hash: &Hash, now: Timestamp) -> Option<Identity> {
        self.by_token(hash, now).or_else(|| self.by_session(hash, Proof::Session, now))
    }

    fn by_token(&self, hash: &Hash, now: Timestamp) -> Option<Identity> {
        let token = self.tokens.get(self.by_hash.get(hash)?)?;
        if token.expires_at.is_some_and(|end| end <= now) {
            return None;
        }
        Some(Identity {
            name: token.name.clone(),
            role: token.role,
            apps: token.apps.clone(),
            proof: Proof::Token,
        })
    }

    /// Whose session has this hash. A user's session is good for what the user may do now, and for
    /// nothing when there is no such user any more.
    pub(super) fn by_session(&self, hash: &Hash, proof: Proof, now: Timestamp) -> Option<Identity> {
        let session = self.sessions.get(hash).filter(|session| session.expires_at > now)?;
        let (role, apps) = match &session.user {
            Some(user) => {
                let user = self.users.get(user)?;
                (user.role, user.apps.clone())
            }
            None => (session.role, session.apps.clone()),
        };
        Some(Identity { name: session.name.clone(), role, apps, proof })
    }

    /// Whether somebody can decide who may do what.
    pub(super) fn has_admin(&self, now: Timestamp) -> bool {
        self.has_admin_besides(None, None, now)
    }

    /// The same without a user, or without a token.
    pub(super) fn has_admin_besides(
        &self,
        user: Option<&str>,
        token: Option<&str>,
        now: Timestamp,
    ) -> bool {
        let is_admin = |role: Role, apps: &AppScope| role == Role::Admin && apps.is_all();
        let mut users = self.users.iter().filter(|(name, _)| user != Some(name.as_str()));
        let mut tokens = self.tokens.iter().filter(|(name, _)| token != Some(name.as_str()));
        users.any(|(_, user)| is_admin(user.role, &user.apps))
            || tokens.any(|(_, token)| {
                let lives = token.expires_at.is_none_or(|end| end > now);
                lives && is_admin(token.role, &token.apps)
            })
    }

    /// The sessions whose time is over, and the oldest of those that are too many.
    pub(super) fn superfluous(&self, sessions_max: usize, now: Timestamp) -> Vec<Hash> {
        let over = |session: &SessionRecord| session.expires_at <= now;
        let (mut gone, mut live) = (Vec::new(), Vec::new());
        for (hash, session) in &self.sessions {
            if over(session) {
                gone.push(*hash);
            } else {
                live.push((session.created_at, *hash));
            }
        }
        let excess = live.len().saturating_sub(sessions_max);
        live.sort_unstable();
        gone.extend(live.into_iter().take(excess).map(|(_, hash)| hash));
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::secret;

    const T: Timestamp = Timestamp::from_millis(1_000_000);

    fn token(name: &str, role: Role, expires_at: Option<Timestamp>) -> TokenRecord {
        TokenRecord {
            version: 1,
            name: name.to_owned(),
            role,
            apps: AppScope::ALL,
            hash: secret::hex(&secret::hash(name.as_bytes())),
            created_at: T,
            created_by: "x".to_owned(),
            expires_at,
        }
    }

    #[test]
    fn a_token_is_good_until_its_end_or_its_removal() {
        let mut book = Book::default();
        book.put_token("ci".to_owned(), token("ci", Role::Admin, Some(T.plus_millis(5))));
        let hash = secret::hash(b"ci");
        assert_eq!(book.identify(&hash, T).unwrap().name, "ci");
        assert!(book.has_admin(T) && !book.has_admin(T.plus_millis(5)));
        assert!(book.identify(&hash, T.plus_millis(5)).is_none());
        assert!(book.identify(&secret::hash(b"forged"), T).is_none());
        // Another token under the same name: the former is good for nothing.
        let other = TokenRecord { hash: secret::hex(&[3; 32]), ..token("ci", Role::Viewer, None) };
        book.put_token("ci".to_owned(), other);
        assert!(book.identify(&hash, T).is_none());
        assert_eq!(book.identify(&[3; 32], T).unwrap().role, Role::Viewer);
        book.remove_token("ci");
        assert!(book.identify(&[3; 32], T).is_none());
    }

    #[test]
    fn a_session_follows_its_user() {
        let mut book = Book::default();
        let session = SessionRecord {
            version: 1,
            name: "alice".to_owned(),
            user: Some("alice".to_owned()),
            role: Role::Admin,
            apps: AppScope::ALL,
            created_at: T,
            expires_at: T.plus_millis(10),
        };
        book.sessions.insert([1; 32], session);
        assert!(book.identify(&[1; 32], T).is_none(), "there is no such user");
        let user = UserRecord {
            version: 1,
            name: "alice".to_owned(),
            role: Role::Viewer,
            apps: AppScope::ALL,
            password_hash: String::new(),
            created_at: T,
            created_by: "x".to_owned(),
        };
        book.users.insert("alice".to_owned(), user);
        assert_eq!(book.identify(&[1; 32], T).unwrap().role, Role::Viewer, "as of now");
        assert!(book.identify(&[1; 32], T.plus_millis(10)).is_none());
        assert_eq!(book.superfluous(10, T.plus_millis(10)), [[1; 32]]);
        assert!(book.superfluous(1, T).is_empty());
        assert_eq!(book.superfluous(0, T), [[1; 32]]);
    }

    #[test]
    fn what_cannot_be_read_lets_nobody_in() {
        let path = Path::new("auth/token/ci").unwrap();
        let good = serde_json::to_vec(&token("ci", Role::Viewer, None)).unwrap();
        for (data, found) in [(good, true), (b"{}".to_vec(), false), (vec![0xff], false)] {
            let data = Bytes::from(data);
            let book = Book::read([(&path, &data)].into_iter());
            assert_eq!(book.identify(&secret::hash(b"ci"), T).is_some(), found);
        }
    }
}
