//! What an ID token says. Pure. Absent: its signature; see the module.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::OidcError;

/// How far the provider's clock may be from ours, seconds.
const CLOCK_SKEW_S: i64 = 60;
/// The longest name that is taken.
const NAME_CHARS_MAX: usize = 100;

/// What a token must say.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    pub(super) now_s: i64,
}

/// The claims of a token.
pub(super) fn read(token: &str) -> Result<Map<String, Value>, OidcError> {
    let invalid = || OidcError::Invalid("the id_token cannot be read");
    let mut parts = token.split('.');
    let (_, claims) = (parts.next(), parts.next().ok_or_else(invalid)?);
    let bytes = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).map_err(|_| invalid())?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(claims)) => Ok(claims),
        _ => Err(invalid()),
    }
}

/// Whether the token is of this provider, for us, of this login, and of now.
pub(super) fn check(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), OidcError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(expected.issuer) {
        return Err(OidcError::Invalid("it is of another issuer"));
    }
    let for_us = match claims.get("aud") {
        Some(Value::String(audience)) => audience == expected.client_id,
        Some(Value::Array(all)) => {
            let ours = all.iter().any(|one| one.as_str() == Some(expected.client_id));
            // Of several audiences, the one it was made for says so.
            ours && (all.len() == 1 || text("azp") == Some(expected.client_id))
        }
        _ => false,
    };
    if !for_us {
        return Err(OidcError::Invalid("it is for somebody else"));
    }
    if text("nonce") != Some(expected.nonce) {
        return Err(OidcError::Invalid("it is of another login"));
    }
    let expires = claims.get("exp").and_then(Value::as_f64).unwrap_or_default();
    if expires + CLOCK_SKEW_S as f64 <= expected.now_s as f64 {
        return Err(OidcError::Invalid("it has expired"));
    }
    Ok(())
}

/// The person's name, for records.
pub(super) fn name(claims: &Map<String, Value>, claim: &str) -> Result<String, OidcError> {
    let named = claims.get(claim).or_else(|| claims.get("sub")).and_then(Value::as_str);
    let name: String = named
        .unwrap_or_default()
        .chars()
        .filter(|c| !c.is_control())
        .take(NAME_CHARS_MAX)
        .collect();
    if name.is_empty() { Err(OidcError::Invalid("it names nobody")) } else { Ok(name) }
}

/// Their groups.
pub(super) fn groups(claims: &Map<String, Value>, claim: &str) -> Vec<String> {
    match claims.get(claim) {
        Some(Value::String(group)) => vec![group.clone()],
        Some(Value::Array(groups)) => {
            groups.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const EXPECTED: Expected<'_> =
        Expected { issuer: "https://id", client_id: "us", nonce: "n", now_s: 1_000 };

    #[test]
    fn a_token_must_be_of_this_login() {
        let good = json!({"iss": "https://id", "aud": "us", "nonce": "n", "exp": 1_500});
        let check = |change: &dyn Fn(&mut Value)| {
            let mut claims = good.clone();
            change(&mut claims);
            check(claims.as_object().unwrap(), &EXPECTED).is_ok()
        };
        assert!(check(&|_| {}));
        assert!(check(&|c| c["aud"] = json!(["us"])));
        assert!(check(&|c| {
            c["aud"] = json!(["us", "x"]);
            c["azp"] = json!("us");
        }));
        assert!(!check(&|c| c["aud"] = json!(["us", "x"])));
        for (claim, wrong) in [
            ("iss", json!("https://evil")),
            ("aud", json!("them")),
            ("aud", json!(null)),
            ("nonce", json!("other")),
            ("exp", json!(900)),
            ("exp", json!("soon")),
        ] {
            assert!(!check(&|c| c[claim] = wrong.clone()), "{claim} {wrong}");
        }
    }

    #[test]
    fn names_and_groups_are_read() {
        let claims = json!({"sub": "s", "email": "a@b\n", "groups": ["x", 1, "y"], "one": "z"});
        let claims = claims.as_object().unwrap();
        assert_eq!(name(claims, "email").unwrap(), "a@b");
        assert_eq!(name(claims, "none").unwrap(), "s");
        assert_eq!(
            (groups(claims, "groups"), groups(claims, "one")),
            (vec!["x".to_owned(), "y".to_owned()], vec!["z".to_owned()],)
        );
        assert!(groups(claims, "none").is_empty());
        for bad in ["", "a", "a.!.c", "a.e30x.c", "a.W10.c"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
