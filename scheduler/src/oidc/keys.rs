//! The keys that a provider signs with, and whether it signed a token. Keys are fetched when they are
//! needed, again when they are old, and when a token names one that is not among them: providers change
//! them. Absent: what the claims say of the person (`claims.rs`).

use std::time::{Duration, Instant};

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::OidcError;

/// How long keys are good.
const KEYS_AGE_MAX: Duration = Duration::from_hours(1);
/// How often at most a token with an unknown key has them fetched: anybody can make such tokens up.
const REFETCH_EVERY: Duration = Duration::from_secs(30);
/// Keys of one provider that are looked at.
const KEYS_MAX: usize = 100;
/// How far the provider's clock may be from ours, seconds.
const CLOCK_SKEW_S: u64 = 60;

/// What a provider signs with: a key that it publishes. Whoever knew a public key could sign with it
/// as a shared secret.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Who a token must be from and for.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
}

/// The keys of a provider, as far as they were fetched.
#[derive(Debug, Default)]
pub(super) struct Keys {
    known: Vec<Jwk>,
    fetched_at: Option<Instant>,
    /// When a token had them fetched that named an unknown one.
    asked_for_at: Option<Instant>,
}

/// A key set as a provider publishes it. Each key is read for itself: one of a kind that is not known
/// here is no reason to refuse the others.
#[derive(Deserialize)]
struct Published {
    keys: Vec<Value>,
}

impl Keys {
    /// Whether they are to be fetched before anything is verified.
    pub(super) fn are_old(&self, now: Instant) -> bool {
        self.fetched_at.is_none_or(|at| now.duration_since(at) >= KEYS_AGE_MAX)
    }

    /// Whether they may be fetched for a key that is not among them; notes that they are.
    pub(super) fn may_ask_again(&mut self, now: Instant) -> bool {
        let may = self.asked_for_at.is_none_or(|at| now.duration_since(at) >= REFETCH_EVERY);
        if may {
            self.asked_for_at = Some(now);
        }
        may
    }

    /// Takes what the provider published.
    ///
    /// # Errors
    /// [`OidcError::Provider`] for what is no key set.
    pub(super) fn take(&mut self, body: &[u8], now: Instant) -> Result<(), OidcError> {
        let published: Published = serde_json::from_slice(body)
            .map_err(|_| OidcError::Provider("its jwks_uri holds no key set".to_owned()))?;
        let keys = published.keys.into_iter().take(KEYS_MAX);
        self.known = keys.filter_map(|key| serde_json::from_value(key).ok()).collect();
        self.fetched_at = Some(now);
        Ok(())
    }

    /// The key that a token names, if it is among them.
    pub(super) fn find(&self, header: &Header) -> Option<&Jwk> {
        let mut fitting = self.known.iter().filter(|key| fits(key, header.alg));
        match &header.kid {
            Some(name) => fitting.find(|key| key.common.key_id.as_ref() == Some(name)),
            // A token need not name the only one.
            None => fitting.next().filter(|_| fitting.next().is_none()),
        }
    }
}

/// Whether a key may have signed by an algorithm.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let common = &key.common;
    let signs = common.public_key_use.as_ref().is_none_or(|its| *its == PublicKeyUse::Signature);
    let of_it = common.key_algorithm.is_none_or(|its| its.to_string() == format!("{algorithm:?}"));
    let family = DecodingKey::from_jwk(key).is_ok_and(|key| key.family() == algorithm.family());
    signs && of_it && family
}

/// The head of a token, which names its key.
///
/// # Errors
/// [`OidcError::Invalid`] for what is no token, or none that a provider's key has signed.
pub(super) fn header(token: &str) -> Result<Header, OidcError> {
    let header = jsonwebtoken::decode_header(token)
        .map_err(|_| OidcError::Invalid("it is not signed in a way that is known here"))?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(OidcError::Invalid("it is not signed with a key that its provider publishes"));
    }
    Ok(header)
}

/// The claims of a token that a key has signed, for us and good now.
///
/// # Errors
/// [`OidcError::Invalid`].
pub(super) fn verify(
    token: &str,
    header: &Header,
    key: &Jwk,
    expected: &Expected<'_>,
) -> Result<Map<String, Value>, OidcError> {
    let key = DecodingKey::from_jwk(key).map_err(|error| invalid(&error))?;
    let mut rules = Validation::new(header.alg);
    rules.set_issuer(&[expected.issuer]);
    rules.set_audience(&[expected.client_id]);
    rules.set_required_spec_claims(&["iss", "aud", "exp"]);
    rules.validate_nbf = true;
    rules.leeway = CLOCK_SKEW_S;
    let read = jsonwebtoken::decode::<Map<String, Value>>(token, &key, &rules);
    read.map(|read| read.claims).map_err(|error| invalid(&error))
}

fn invalid(error: &Error) -> OidcError {
    OidcError::Invalid(match error.kind() {
        ErrorKind::InvalidSignature => "its signature is not its provider's",
        ErrorKind::InvalidIssuer => "it is of another issuer",
        ErrorKind::InvalidAudience => "it is for somebody else",
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it is not valid yet",
        ErrorKind::MissingRequiredClaim(_) => "it leaves out iss, aud or exp",
        _ => "the id_token cannot be read",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rsa(kid: &str, change: &Value) -> Value {
        let mut key = json!({"kty": "RSA", "kid": kid, "n": "AQAB", "e": "AQAB"});
        key.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        key
    }

    fn keys(list: &[Value]) -> Keys {
        let mut keys = Keys::default();
        let body = json!({"keys": list}).to_string();
        keys.take(body.as_bytes(), Instant::now()).unwrap();
        keys
    }

    fn named(kid: Option<&str>, algorithm: Algorithm) -> Header {
        Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) }
    }

    #[test]
    fn a_key_is_found_by_name_use_and_algorithm() {
        let none = json!({});
        let list = [
            json!({"kty": "unheard of", "kid": "x"}),
            rsa("a", &none),
            rsa("enc", &json!({"use": "enc"})),
            rsa("b", &json!({"alg": "RS512", "use": "sig"})),
        ];
        let keys = keys(&list);
        let found = |kid, algorithm| keys.find(&named(kid, algorithm)).is_some();
        assert!(found(Some("a"), Algorithm::RS256) && found(Some("b"), Algorithm::RS512));
        assert!(!found(Some("a"), Algorithm::ES256), "of another family");
        assert!(!found(Some("b"), Algorithm::RS256), "for another algorithm");
        assert!(!found(Some("enc"), Algorithm::RS256), "not for signatures");
        assert!(!found(Some("c"), Algorithm::RS256));
        // Without a name only where there is one.
        assert!(found(None, Algorithm::RS256), "b is for RS512");
        assert!(!found(None, Algorithm::RS512));
    }

    #[test]
    fn keys_are_fetched_when_old_and_not_at_everybodys_wish() {
        let (now, mut keys) = (Instant::now(), Keys::default());
        assert!(keys.are_old(now));
        keys.take(br#"{"keys":[]}"#, now).unwrap();
        assert!(!keys.are_old(now) && keys.are_old(now + KEYS_AGE_MAX));
        assert!(keys.may_ask_again(now) && !keys.may_ask_again(now));
        assert!(!keys.may_ask_again(now + REFETCH_EVERY / 2));
        assert!(keys.may_ask_again(now + REFETCH_EVERY));
        assert!(keys.take(b"[]", now).is_err());
    }
}
