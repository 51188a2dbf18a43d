//! Who a request is from: by a token, a session, or name and password, in this order. Absent: what they
//! may do.
//!
//! | where | what |
//! | --- | --- |
//! | `Authorization: Bearer` | a token, or a session |
//! | `Authorization: Basic` | name and password of a user |
//! | `accessToken` | a session, as clients of Elastic-Job 3.x show it |
//! | the cookie [`COOKIE`] | a session, as browsers show it |

use std::net::IpAddr;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shiftwork_schedule::Timestamp;

use super::identity::{Identity, Proof};
use super::secret::{self, Hash};
use super::throttle::Wait;
use super::{Auth, Denied};

/// The cookie of a session, where the connection is not known to be safe; with TLS it has
/// [`SECURE_COOKIE`]'s name, which a browser takes only from an HTTPS answer of this very host.
pub const COOKIE: &str = "shiftwork-session";

/// See [`COOKIE`].
pub const SECURE_COOKIE: &str = "__Host-shiftwork-session";

/// The header of Elastic-Job 3.x.
const ACCESS_TOKEN: &str = "accesstoken";

/// What a request shows.
enum Shown {
    Secret(Vec<u8>, Proof),
    Password(String, String),
    /// Something that cannot be read.
    Unreadable,
    Nothing,
}

impl Auth {
    /// Who a request is from. `None` for one that shows nothing.
    ///
    /// # Errors
    /// [`Denied`] where what it shows is good for nothing, or was tried too often.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        from: Option<IpAddr>,
    ) -> Result<Option<Identity>, Denied> {
        match shown(headers) {
            Shown::Nothing => Ok(None),
            Shown::Unreadable => Err(self.wrong(from)),
            Shown::Secret(secret, proof) => {
                let hash = secret::hash(&secret);
                self.identify(&hash, proof, now()).map(Some).ok_or_else(|| self.wrong(from))
            }
            Shown::Password(name, password) => {
                self.by_password(&name, &password, from).await.map(Some)
            }
        }
    }

    fn identify(&self, hash: &Hash, proof: Proof, now: Timestamp) -> Option<Identity> {
        if proof == Proof::Cookie {
            return self.book().by_session(hash, proof, now);
        }
        // Hashes are compared and not texts: how long that takes says nothing of the texts.
        if self.inner.admin_token == Some(*hash) {
            let name = "admin-token-file".to_owned();
            return Some(Identity { name, proof: Proof::AdminTokenFile, ..Identity::anybody() });
        }
        self.book().identify(hash, now)
    }

    /// What somebody is told who shows something wrong: to wait, if that was tried too often.
    fn wrong(&self, from: Option<IpAddr>) -> Denied {
        match self.inner.throttle.address(from) {
            Ok(()) => Denied::Wrong,
            Err(Wait(wait)) => Denied::Wait(wait),
        }
    }
}

/// A secret that only pages of ours know of a session: what a browser adds to requests by itself does
/// not hold it. None without a cookie.
pub fn csrf_token(headers: &HeaderMap) -> Option<String> {
    let session = cookie(headers)?;
    Some(secret::hex(&secret::hash(format!("csrf {session}").as_bytes())))
}

/// The session a request shows, if any, as its hash.
pub(super) fn session_of(headers: &HeaderMap) -> Option<Hash> {
    match shown(headers) {
        Shown::Secret(secret, _) => Some(secret::hash(&secret)),
        _ => None,
    }
}

fn shown(headers: &HeaderMap) -> Shown {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        return authorization(value.as_bytes());
    }
    if let Some(value) = headers.get(ACCESS_TOKEN) {
        return Shown::Secret(value.as_bytes().to_vec(), Proof::Session);
    }
    match cookie(headers) {
        Some(session) => Shown::Secret(session.as_bytes().to_vec(), Proof::Cookie),
        None => Shown::Nothing,
    }
}

fn authorization(value: &[u8]) -> Shown {
    let read = || {
        let (scheme, rest) = std::str::from_utf8(value).ok()?.split_once(' ')?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Shown::Secret(rest.as_bytes().to_vec(), Proof::Session));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        let (name, password) = decoded.split_once(':')?;
        Some(Shown::Password(name.to_owned(), password.to_owned()))
    };
    read().unwrap_or(Shown::Unreadable)
}

/// The session's cookie among those that are sent.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let pairs = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let ours = |(name, value)| matches!(name, COOKIE | SECURE_COOKIE).then_some(value);
    pairs.into_iter().find_map(ours)
}

pub(super) fn now() -> Timestamp {
    crate::turn::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn what_is_shown_is_found() {
        let secret = |headers: HeaderMap| match shown(&headers) {
            Shown::Secret(secret, proof) => Some((String::from_utf8(secret).unwrap(), proof)),
            _ => None,
        };
        let token = |proof| Some(("sw_x".to_owned(), proof));
        assert_eq!(secret(with("authorization", "Bearer sw_x")), token(Proof::Session));
        assert_eq!(secret(with("authorization", "bearer  sw_x ")), token(Proof::Session));
        assert_eq!(secret(with("accesstoken", "sw_x")), token(Proof::Session));
        let cookies = "a=b; shiftwork-session=sw_x; c=d";
        assert_eq!(secret(with("cookie", cookies)), token(Proof::Cookie));
        let cookies = "__Host-shiftwork-session=sw_x";
        assert_eq!(secret(with("cookie", cookies)), token(Proof::Cookie));
        assert!(matches!(shown(&with("cookie", "other=x; bad")), Shown::Nothing));
        assert!(matches!(shown(&HeaderMap::new()), Shown::Nothing));
        let basic = with("authorization", "Basic cm9vdDpwdzpk");
        let Shown::Password(name, password) = shown(&basic) else { panic!("no password") };
        assert_eq!((name.as_str(), password.as_str()), ("root", "pw:d"));
        for bad in ["Basic !", "Basic cm9vdA==", "Bearer", "Digest x", "Basic /w==", ""] {
            assert!(matches!(shown(&with("authorization", bad)), Shown::Unreadable), "{bad}");
        }
    }
}
