//! Logins against a small provider that checks what a provider must: the code once, the verifier against
//! its challenge, the client's secret.

use std::collections::HashMap;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::*;
use crate::auth::Role;

/// What the provider knows.
#[derive(Clone, Default)]
struct Provider {
    issuer: String,
    /// What its next token says, beside what it must.
    claims: Arc<Mutex<Value>>,
    /// The challenge and nonce by code.
    codes: Arc<Mutex<HashMap<String, (String, String)>>>,
}

impl Provider {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let provider = Self { issuer, ..Self::default() };
        *provider.claims.lock().unwrap() = json!({"email": "alice@example.org", "groups": ["sre"]});
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/token", post(token))
            .with_state(provider.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        provider
    }

    /// What a person does who agrees: the code and the state that come back.
    fn agree(&self, location: &str) -> (String, String) {
        let location = Url::parse(location).unwrap();
        let pairs: HashMap<String, String> = location.query_pairs().into_owned().collect();
        assert_eq!(pairs["response_type"], "code");
        assert_eq!(pairs["code_challenge_method"], "S256");
        assert_eq!(pairs["redirect_uri"], "http://here/api/v1/session/oidc/callback");
        assert!(pairs["scope"].contains("openid"));
        let code = crate::auth::new_secret();
        let both = (pairs["code_challenge"].clone(), pairs["nonce"].clone());
        self.codes.lock().unwrap().insert(code.clone(), both);
        (code, pairs["state"].clone())
    }

    fn oidc(&self, roles: &[&str]) -> Oidc {
        let config = OidcConfig {
            issuer: self.issuer.clone(),
            client_id: "shiftwork".to_owned(),
            client_secret: Some("the client's secret".to_owned()),
            redirect_url: "http://here/api/v1/session/oidc/callback".to_owned(),
            name_claim: "email".to_owned(),
            groups_claim: "groups".to_owned(),
            roles: roles.iter().map(|role| role.parse().unwrap()).collect(),
        };
        Oidc::new(config, &ClientTls::default()).unwrap()
    }
}

async fn discovery(State(provider): State<Provider>) -> Json<Value> {
    let issuer = &provider.issuer;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize?tenant=x"),
        "token_endpoint": format!("{issuer}/token"),
    }))
}

async fn token(State(provider): State<Provider>, body: String) -> (StatusCode, Json<Value>) {
    // A form is written as a query is.
    let uri = format!("/?{body}").parse().unwrap();
    let Query(form) = Query::<HashMap<String, String>>::try_from_uri(&uri).unwrap();
    let refused = |error: &str| (StatusCode::BAD_REQUEST, Json(json!({"error": error})));
    if form["client_secret"] != "the client's secret" || form["client_id"] != "shiftwork" {
        return refused("invalid_client");
    }
    let known = provider.codes.lock().unwrap().remove(&form["code"]);
    let Some((challenge, nonce)) = known else { return refused("invalid_grant") };
    let shown = URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes()));
    if shown != challenge {
        return refused("invalid_grant");
    }
    let mut claims = json!({
        "iss": provider.issuer, "aud": "shiftwork", "sub": "1", "nonce": nonce,
        "exp": crate::turn::now().as_millis() / 1000 + 60,
    });
    for (name, value) in provider.claims.lock().unwrap().as_object().unwrap() {
        claims[name] = value.clone();
    }
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let token = format!("{}.{}.sig", encode(&json!({"alg": "RS256"})), encode(&claims));
    (StatusCode::OK, Json(json!({"id_token": token, "access_token": "x"})))
}

#[tokio::test]
async fn a_person_is_who_the_provider_says_with_the_role_of_their_groups() {
    let provider = Provider::start().await;
    let oidc = provider.oidc(&["sre=operator:a-", "root=admin"]);
    let begun = oidc.begin().await.unwrap();
    let (code, state) = provider.agree(&begun.location);
    assert_eq!(state, begun.state);
    let person = oidc.finish(Some(&begun.state), &state, &code).await.unwrap();
    assert_eq!((person.name.as_str(), person.role), ("alice@example.org", Role::Operator));
    assert!(person.apps.covers("a-x") && !person.apps.covers("b"));
    // Code and state are good once.
    let again = oidc.finish(Some(&begun.state), &state, &code).await;
    assert!(matches!(again, Err(OidcError::Unknown)), "{again:?}");
}

#[tokio::test]
async fn what_was_not_begun_here_by_this_browser_is_refused() {
    let provider = Provider::start().await;
    let oidc = provider.oidc(&["sre=viewer"]);
    let begun = oidc.begin().await.unwrap();
    let (code, state) = provider.agree(&begun.location);
    for (cookie, state) in [
        (None, state.as_str()),
        (Some("another"), state.as_str()),
        (Some("made up"), "made up"),
        (Some(""), ""),
    ] {
        let refused = oidc.finish(cookie, state, &code).await;
        assert!(matches!(refused, Err(OidcError::Unknown)), "{cookie:?}: {refused:?}");
    }
    // Another login's code: its verifier is another.
    let other = oidc.begin().await.unwrap();
    let refused = oidc.finish(Some(&other.state), &other.state, &code).await;
    assert!(matches!(refused, Err(OidcError::Refused(_))), "{refused:?}");
}

#[tokio::test]
async fn a_token_that_does_not_hold_lets_nobody_in() {
    let provider = Provider::start().await;
    let oidc = provider.oidc(&["sre=viewer"]);
    for (claims, kind) in [
        (json!({"nonce": "replayed"}), "does not hold"),
        (json!({"aud": "another client"}), "does not hold"),
        (json!({"iss": "http://evil"}), "does not hold"),
        (json!({"exp": 1}), "does not hold"),
        (json!({"groups": []}), "in no group"),
        (json!({"groups": ["marketing"]}), "in no group"),
    ] {
        *provider.claims.lock().unwrap() = claims.clone();
        let begun = oidc.begin().await.unwrap();
        let (code, state) = provider.agree(&begun.location);
        let refused = oidc.finish(Some(&state), &state, &code).await.unwrap_err();
        assert!(refused.to_string().contains(kind), "{claims}: {refused}");
    }
}

#[tokio::test]
async fn a_provider_that_is_none_is_named() {
    let provider = Provider::start().await;
    let with = |issuer: &str| {
        let config = OidcConfig {
            issuer: issuer.to_owned(),
            ..provider.oidc(&["a=viewer"]).inner.config.clone()
        };
        Oidc::new(config, &ClientTls::default())
    };
    for bad in ["http://id.example", "ftp://127.0.0.1", "nowhere", ""] {
        assert!(with(bad).is_err(), "{bad}");
    }
    // It calls itself otherwise, as a provider under a wrong address does.
    let slash = with(&format!("{}/", provider.issuer)).unwrap().begin().await.unwrap_err();
    assert!(slash.to_string().contains("calls itself"), "{slash}");
    let away = with("http://127.0.0.1:1").unwrap().begin().await.unwrap_err();
    assert!(matches!(away, OidcError::Provider(_)), "{away}");
}
