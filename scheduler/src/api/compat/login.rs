//! Who may use Elastic-Job-Cloud's REST: the login of 3.x with tokens that are random and expire, and
//! HTTP Basic for 2.x. Without credentials in the configuration everybody may who reaches it, as with
//! the native API. Absent: roles; whoever is let in may do everything.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::Compat;
use super::dialect::{ACCESS_TOKEN, Dialect};

/// How long a token is good for: what Elastic-Job's console grants.
const TOKEN_LIFETIME: Duration = Duration::from_hours(1);
/// Tokens at a time: the oldest gives way, so that logins cannot fill the memory.
const TOKENS_MAX: usize = 1_000;
/// The realm of 2.x.
const REALM: &str = "Basic realm=\"Elastic Job Console Auth\"";

/// Name and password of the one user.
#[derive(Clone)]
pub struct Credentials {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// The hash of a secret: what is compared and kept in its place.
type Hash = [u8; 32];

/// Who may come in, and the tokens given out.
pub(super) struct Logins {
    /// Of name and password together.
    expected: Option<Hash>,
    /// When each token was given out.
    tokens: Mutex<BTreeMap<Hash, Instant>>,
}

// === impl Logins ===

impl Logins {
    /// Lets in whoever knows the credentials; everybody without any.
    pub(super) fn new(credentials: Option<Credentials>) -> Self {
        let expected = credentials.map(|known| of_credentials(&known.username, &known.password));
        Self { expected, tokens: Mutex::default() }
    }

    /// A new token for whoever knows the credentials.
    fn login(&self, username: &str, password: &str, now: Instant) -> Option<String> {
        if self.expected != Some(of_credentials(username, password)) {
            return None;
        }
        // 244 bits of the system's randomness.
        let halves = [uuid::Uuid::new_v4().into_bytes(), uuid::Uuid::new_v4().into_bytes()];
        let token = URL_SAFE_NO_PAD.encode(halves.concat());
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, since| is_good(*since, now));
        if tokens.len() >= TOKENS_MAX {
            let oldest = tokens.iter().min_by_key(|(_, since)| **since).map(|(hash, _)| *hash);
            if let Some(oldest) = oldest {
                tokens.remove(&oldest);
            }
        }
        tokens.insert(of(token.as_bytes()), now);
        Some(token)
    }

    fn knows(&self, token: &[u8], now: Instant) -> bool {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(&of(token)).is_some_and(|since| is_good(*since, now))
    }

    /// Whether a request may pass: by its token, else by HTTP Basic, else only where nobody need
    /// show anything.
    fn admits(&self, headers: &HeaderMap, now: Instant) -> bool {
        if let Some(token) = headers.get(ACCESS_TOKEN) {
            return self.knows(token.as_bytes(), now);
        }
        let Some(expected) = self.expected else { return true };
        basic(headers).is_some_and(|(name, password)| of_credentials(&name, &password) == expected)
    }
}

fn is_good(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) < TOKEN_LIFETIME
}

fn of(secret: &[u8]) -> Hash {
    Sha256::digest(secret).into()
}

/// Hashes are compared and not texts: how long that takes says nothing of the texts.
fn of_credentials(username: &str, password: &str) -> Hash {
    let (name, password) = (of(username.as_bytes()), of(password.as_bytes()));
    of(&[name, password].concat())
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// The frame of all routes: who may pass, and in which dialect.
pub(super) async fn admit(
    State(state): State<Compat>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let shown = Dialect::shown_by(request.method(), path, request.headers());
    let dialect = shown.unwrap_or(state.dialect);
    if path != LOGIN && !state.logins.admits(request.headers(), Instant::now()) {
        return unauthorized(dialect);
    }
    request.extensions_mut().insert(dialect);
    next.run(request).await
}

/// The one path that needs no token.
const LOGIN: &str = "/api/login";

fn unauthorized(dialect: Dialect) -> Response {
    let body = Json(json!({"message": "Unauthorized."}));
    let mut response = (StatusCode::UNAUTHORIZED, body).into_response();
    if dialect == Dialect::V2 {
        let challenge = header::HeaderValue::from_static(REALM);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// What a login says.
#[derive(Deserialize)]
struct Login {
    username: String,
    password: String,
}

/// `POST /api/login`
pub(super) async fn login(State(state): State<Compat>, body: Bytes) -> Response {
    let token = serde_json::from_slice::<Login>(&body)
        .ok()
        .and_then(|login| state.logins.login(&login.username, &login.password, Instant::now()));
    match token {
        Some(token) => Json(json!({"accessToken": token})).into_response(),
        None => unauthorized(Dialect::V3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logins() -> Logins {
        let credentials = Credentials { username: "root".to_owned(), password: "pwd".to_owned() };
        Logins::new(Some(credentials))
    }

    fn with(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn a_token_is_good_until_it_expires() {
        let (logins, now) = (logins(), Instant::now());
        let token = logins.login("root", "pwd", now).unwrap();
        assert_ne!(logins.login("root", "pwd", now), Some(token.clone()));
        let shows = with("accesstoken", &token);
        assert!(logins.admits(&shows, now));
        assert!(logins.admits(&shows, now + Duration::from_mins(59)));
        assert!(!logins.admits(&shows, now + TOKEN_LIFETIME));
        assert!(!logins.admits(&with("accesstoken", "forged"), now));
        // The token of the Java system is name and password in base64.
        let static_token = STANDARD.encode(r#"{"authUsername":"root","authPassword":"pwd"}"#);
        assert!(!logins.admits(&with("accesstoken", &static_token), now));
    }

    #[test]
    fn wrong_credentials_are_of_no_use() {
        let (logins, now) = (logins(), Instant::now());
        for (name, password) in [("root", "x"), ("x", "pwd"), ("rootp", "wd"), ("", "")] {
            assert_eq!(logins.login(name, password, now), None, "{name}:{password}");
        }
        assert!(!logins.admits(&HeaderMap::new(), now));
        assert!(logins.admits(&with("authorization", "Basic cm9vdDpwd2Q="), now));
        assert!(!logins.admits(&with("authorization", "Basic cm9vdDp4"), now));
        assert!(!logins.admits(&with("authorization", "Bearer cm9vdDpwd2Q="), now));
        // Without any configured there is nobody to log in as.
        assert_eq!(Logins::new(None).login("root", "pwd", now), None);
        assert!(Logins::new(None).admits(&HeaderMap::new(), now));
    }

    #[test]
    fn tokens_are_bounded_and_the_oldest_goes() {
        let (logins, now) = (logins(), Instant::now());
        let first = logins.login("root", "pwd", now).unwrap();
        let later = now + Duration::from_secs(1);
        for _ in 0..TOKENS_MAX {
            logins.login("root", "pwd", later).unwrap();
        }
        assert!(!logins.knows(first.as_bytes(), later));
        assert_eq!(logins.tokens.lock().unwrap().len(), TOKENS_MAX);
    }
}
