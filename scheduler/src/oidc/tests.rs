//! Logins against a small provider that checks what a provider must: the code once, the verifier against
//! its challenge, the client's secret.

mod signer;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::*;
use crate::auth::Role;
use signer::{Forgery, Kind, Signer};

/// What the provider knows.
#[derive(Clone, Default)]
struct Provider {
    issuer: String,
    /// What its next token says, beside what it must.
    claims: Arc<Mutex<Value>>,
    /// The challenge and nonce by code.
    codes: Arc<Mutex<HashMap<String, (String, String)>>>,
    /// What it signs with and publishes.
    signer: Arc<Mutex<Signer>>,
    /// How often its keys were asked for.
    keys_asked: Arc<AtomicUsize>,
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
            .route("/keys", get(keys))
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

    /// A whole login of a person who agrees.
    async fn log_in(&self, oidc: &Oidc) -> Result<Vouched, OidcError> {
        let begun = oidc.begin().await.unwrap();
        let (code, state) = self.agree(&begun.location);
        oidc.finish(Some(&state), &state, &code).await
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
        "jwks_uri": format!("{issuer}/keys"),
    }))
}

async fn keys(State(provider): State<Provider>) -> Json<Value> {
    provider.keys_asked.fetch_add(1, Ordering::Relaxed);
    Json(provider.signer.lock().unwrap().published())
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
    let token = provider.signer.lock().unwrap().token(&claims);
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
        (json!({"nonce": "replayed"}), "another login"),
        (json!({"nonce": null}), "another login"),
        (json!({"aud": "another client"}), "somebody else"),
        (json!({"aud": ["shiftwork", "another client"]}), "somebody else"),
        (json!({"azp": "another client"}), "somebody else"),
        (json!({"iss": "http://evil"}), "another issuer"),
        (json!({"exp": 1}), "has expired"),
        (json!({"exp": crate::turn::now().as_millis() / 1000 - 61}), "has expired"),
        (json!({"exp": null}), "does not hold"),
        (json!({"exp": "soon"}), "does not hold"),
        (json!({"nbf": crate::turn::now().as_millis() / 1000 + 600}), "not valid yet"),
        (json!({"groups": []}), "in no group"),
        (json!({"groups": ["marketing"]}), "in no group"),
    ] {
        *provider.claims.lock().unwrap() = claims.clone();
        let refused = provider.log_in(&oidc).await.unwrap_err();
        assert!(refused.to_string().contains(kind), "{claims}: {refused}");
    }
}

#[tokio::test]
async fn what_the_provider_has_not_signed_lets_nobody_in() {
    let provider = Provider::start().await;
    let oidc = provider.oidc(&["sre=viewer"]);
    let forgeries = [
        // Signed by somebody else under the name of the provider's key.
        (Forgery::OtherKey, "signature is not its provider's"),
        (Forgery::ClaimsChanged, "signature is not its provider's"),
        (Forgery::NoSignature, "signature is not its provider's"),
        (Forgery::AlgNone, "not signed in a way"),
        // The published key as if it were a shared secret.
        (Forgery::PublicKeyAsSecret, "not signed with a key"),
        (Forgery::OtherAlgorithm, "does not publish"),
        (Forgery::UnknownKey, "does not publish"),
    ];
    for kind in [Kind::Rsa, Kind::Ec] {
        let honest = Signer::new(kind, "first");
        *provider.signer.lock().unwrap() = honest.clone();
        // Of each kind a scheduler of its own: keys are fetched once.
        let oidc = if kind == Kind::Rsa { oidc.clone() } else { provider.oidc(&["sre=viewer"]) };
        assert!(provider.log_in(&oidc).await.is_ok(), "{kind:?}");
        for (forgery, said) in forgeries {
            let forger = honest.forging(forgery);
            *provider.signer.lock().unwrap() = forger;
            let refused = provider.log_in(&oidc).await.unwrap_err();
            assert!(matches!(refused, OidcError::Invalid(_)), "{kind:?} {forgery:?}: {refused}");
            assert!(refused.to_string().contains(said), "{kind:?} {forgery:?}: {refused}");
        }
        *provider.signer.lock().unwrap() = honest;
        assert!(provider.log_in(&oidc).await.is_ok(), "{kind:?}, afterwards");
    }
}

#[tokio::test]
async fn keys_that_change_are_fetched_again_but_not_at_a_forgers_wish() {
    let provider = Provider::start().await;
    let oidc = provider.oidc(&["sre=viewer"]);
    let asked = || provider.keys_asked.load(Ordering::Relaxed);
    for _ in 0..3 {
        provider.log_in(&oidc).await.unwrap();
    }
    assert_eq!(asked(), 1, "kept");
    let second = Signer::new(Kind::Ec, "second");
    *provider.signer.lock().unwrap() = second.clone();
    provider.log_in(&oidc).await.unwrap();
    assert_eq!(asked(), 2, "another name is another key");
    let forger = second.forging(Forgery::UnknownKey);
    *provider.signer.lock().unwrap() = forger;
    for _ in 0..5 {
        assert!(provider.log_in(&oidc).await.is_err());
    }
    assert_eq!(asked(), 2, "what is made up does not have them fetched each time");
    *provider.signer.lock().unwrap() = second;
    provider.log_in(&oidc).await.unwrap();
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
