//! What an ID token says of a person, and that it was made for this login. Pure. Absent: who signed it,
//! for whom and for how long (`keys.rs`).

use serde_json::{Map, Value};

use super::OidcError;

/// The longest name that is taken.
const NAME_CHARS_MAX: usize = 100;

/// Whether a token that is the provider's, for us and good now is of this login and made for us alone.
pub(super) fn check(
    claims: &Map<String, Value>,
    client_id: &str,
    nonce: &str,
) -> Result<(), OidcError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    // Of several audiences, the one it was made for says so; where it is said, it is us.
    let several = claims.get("aud").and_then(Value::as_array).is_some_and(|all| all.len() > 1);
    let made_for = claims.get("azp").is_some() || several;
    if made_for && text("azp") != Some(client_id) {
        return Err(OidcError::Invalid("it is for somebody else"));
    }
    if text("nonce") != Some(nonce) {
        return Err(OidcError::Invalid("it is of another login"));
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

    #[test]
    fn a_token_must_be_of_this_login_and_for_us() {
        let holds = |claims: Value| check(claims.as_object().unwrap(), "us", "n").is_ok();
        assert!(holds(json!({"aud": "us", "nonce": "n"})));
        assert!(holds(json!({"aud": ["us"], "nonce": "n"})));
        assert!(holds(json!({"aud": ["us", "x"], "azp": "us", "nonce": "n"})));
        for claims in [
            json!({"aud": "us"}),
            json!({"aud": "us", "nonce": "other"}),
            json!({"aud": "us", "nonce": ["n"]}),
            json!({"aud": ["us", "x"], "nonce": "n"}),
            json!({"aud": ["us", "x"], "azp": "x", "nonce": "n"}),
            json!({"aud": "us", "azp": "x", "nonce": "n"}),
        ] {
            assert!(!holds(claims.clone()), "{claims}");
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
    }
}
