//! Logging in through an identity provider: `OpenID` Connect's authorization code flow with PKCE, by the
//! provider's discovery document. Absent: sessions (`auth/`), and the routes (`api/rest/oidc.rs`).
//!
//! The ID token comes over TLS from the token endpoint itself, so that its issuer is known by the
//! connection (`OpenID` Connect Core 1.0, section 3.1.3.7, rule 6). Its signature is checked all the same:
//! whoever answers in the provider's place (a proxy that ends TLS, a wrong authority) has not its keys.

mod claims;
mod keys;
mod roles;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::auth::{Vouched, new_secret};
use crate::tls::ClientTls;
use keys::Keys;
pub use roles::{GroupRole, GroupRoleError};

/// How long a login may take at the provider.
const LOGIN_MAX: Duration = Duration::from_mins(10);
/// Logins under way at a time: the oldest gives way.
const LOGINS_MAX: usize = 1_000;
/// How long the provider may take to answer us.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long its discovery document is good.
const DISCOVERY_AGE_MAX: Duration = Duration::from_hours(1);
/// The longest answer of a provider that is read, bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// A provider, and who we are to it.
#[derive(Clone)]
pub struct OidcConfig {
    /// Its address, as in the `iss` of its tokens.
    pub issuer: String,
    /// Our name there.
    pub client_id: String,
    /// Our secret there; none for a public client.
    pub client_secret: Option<String>,
    /// Where it sends people back to.
    pub redirect_url: String,
    /// The claim that names a person; `sub` where it is absent.
    pub name_claim: String,
    /// The claim that lists their groups.
    pub groups_claim: String,
    /// What groups may do.
    pub roles: Vec<GroupRole>,
}

impl std::fmt::Debug for OidcConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OidcConfig").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// Why nobody was logged in.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The provider cannot be reached or answers something else.
    #[error("the identity provider cannot be used: {0}")]
    Provider(String),
    /// The login was not begun here, by this browser, or too long ago.
    #[error("this login was not begun here or took too long: begin again")]
    Unknown,
    /// The provider says no.
    #[error("the identity provider refused: {0}")]
    Refused(String),
    /// What it says of the person does not hold.
    #[error("the identity provider's answer does not hold: {0}")]
    Invalid(&'static str),
    /// They are in no group that may do anything.
    #[error("{0} is in no group that may use this scheduler")]
    NoRole(String),
}

/// Logging in through a provider. Cheap to clone.
#[derive(Clone)]
pub struct Oidc {
    inner: Arc<Inner>,
}

struct Inner {
    config: OidcConfig,
    http: reqwest::Client,
    discovered: tokio::sync::Mutex<Option<(Instant, Discovery)>>,
    keys: tokio::sync::Mutex<Keys>,
    /// Logins under way, by what the browser brings back.
    pending: Mutex<BTreeMap<String, Pending>>,
}

struct Pending {
    since: Instant,
    nonce: String,
    verifier: String,
}

/// The part of a discovery document that is used.
#[derive(Debug, Clone, Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
}

/// The part of a token answer that is used.
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

/// The part of a refusal that is told.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// A login that was begun.
#[derive(Debug)]
pub struct Begun {
    /// Where to send the browser.
    pub location: String,
    /// What it must bring back in a cookie.
    pub state: String,
}

impl Oidc {
    /// With a provider; it is asked when somebody logs in first.
    ///
    /// # Errors
    /// An issuer that is no https address; http is taken on this machine alone.
    pub fn new(config: OidcConfig, tls: &ClientTls) -> Result<Self, OidcError> {
        secure(&config.issuer)?;
        let builder = tls
            .apply(reqwest::Client::builder())
            .timeout(REQUEST_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        let http = builder.build().map_err(|error| OidcError::Provider(error.to_string()))?;
        let inner = Inner {
            config,
            http,
            discovered: tokio::sync::Mutex::default(),
            keys: tokio::sync::Mutex::default(),
            pending: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Begins a login.
    ///
    /// # Errors
    /// [`OidcError::Provider`].
    pub async fn begin(&self) -> Result<Begun, OidcError> {
        let discovery = self.discovery().await?;
        let config = &self.inner.config;
        let (state, nonce, verifier) = (new_secret(), new_secret(), new_secret());
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let mut location = secure(&discovery.authorization_endpoint)?;
        location
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("scope", "openid email profile groups")
            .append_pair("client_id", &config.client_id)
            .append_pair("redirect_uri", &config.redirect_url)
            .append_pair("state", &state)
            .append_pair("nonce", &nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        let mut pending = self.inner.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.retain(|_, login| login.since.elapsed() < LOGIN_MAX);
        if pending.len() >= LOGINS_MAX {
            let oldest = pending.iter().min_by_key(|(_, login)| login.since);
            if let Some(oldest) = oldest.map(|(state, _)| state.clone()) {
                pending.remove(&oldest);
            }
        }
        pending.insert(state.clone(), Pending { since: Instant::now(), nonce, verifier });
        Ok(Begun { location: location.to_string(), state })
    }

    /// Ends a login: who came back. `cookie` is the state that the browser kept, `state` the one that the
    /// provider passed on.
    ///
    /// # Errors
    /// [`OidcError`].
    pub async fn finish(
        &self,
        cookie: Option<&str>,
        state: &str,
        code: &str,
    ) -> Result<Vouched, OidcError> {
        if cookie != Some(state) {
            return Err(OidcError::Unknown);
        }
        let pending = {
            let mut pending = self.inner.pending.lock().unwrap_or_else(PoisonError::into_inner);
            // Each is good once.
            pending.remove(state).filter(|login| login.since.elapsed() < LOGIN_MAX)
        };
        let pending = pending.ok_or(OidcError::Unknown)?;
        let discovery = self.discovery().await?;
        let token = self.exchange(&discovery, code, &pending.verifier).await?;
        let config = &self.inner.config;
        let claims = self.verified(&discovery, &token).await?;
        claims::check(&claims, &config.client_id, &pending.nonce)?;
        let name = claims::name(&claims, &config.name_claim)?;
        let groups = claims::groups(&claims, &config.groups_claim);
        roles::of_groups(&config.roles, &groups)
            .map(|(role, apps)| Vouched { name: name.clone(), role, apps })
            .ok_or(OidcError::NoRole(name))
    }

    async fn exchange(
        &self,
        discovery: &Discovery,
        code: &str,
        verifier: &str,
    ) -> Result<String, OidcError> {
        let config = &self.inner.config;
        let mut form = url::form_urlencoded_pairs(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &config.redirect_url),
            ("client_id", &config.client_id),
            ("code_verifier", verifier),
        ]);
        if let Some(secret) = &config.client_secret {
            form.push('&');
            form.push_str(&url::form_urlencoded_pairs(&[("client_secret", secret)]));
        }
        let request = self
            .inner
            .http
            .post(secure(&discovery.token_endpoint)?)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let (is_success, body) = answer(request).await?;
        if !is_success {
            let refusal = serde_json::from_slice::<Refusal>(&body).ok();
            let said = refusal.map_or_else(|| "without a reason".to_owned(), |said| said.error);
            return Err(OidcError::Refused(
                said.chars().filter(|c| !c.is_control()).take(100).collect(),
            ));
        }
        let tokens = serde_json::from_slice::<Tokens>(&body);
        Ok(tokens.map_err(|_| OidcError::Provider("it gave no id_token".to_owned()))?.id_token)
    }

    /// The claims of a token that the provider has signed, for us.
    async fn verified(
        &self,
        discovery: &Discovery,
        token: &str,
    ) -> Result<Map<String, Value>, OidcError> {
        let header = keys::header(token)?;
        let mut keys = self.inner.keys.lock().await;
        if keys.are_old(Instant::now()) {
            self.fetch_keys(discovery, &mut keys).await?;
        }
        // Providers change their keys, and say so by naming another one.
        if keys.find(&header).is_none() && keys.may_ask_again(Instant::now()) {
            self.fetch_keys(discovery, &mut keys).await?;
        }
        let key = keys.find(&header).ok_or(OidcError::Invalid(
            "it is signed with a key that its provider does not publish",
        ))?;
        let client_id = &self.inner.config.client_id;
        let expected = keys::Expected { issuer: &discovery.issuer, client_id };
        keys::verify(token, &header, key, &expected)
    }

    async fn fetch_keys(&self, discovery: &Discovery, keys: &mut Keys) -> Result<(), OidcError> {
        let (is_success, body) = answer(self.inner.http.get(secure(&discovery.jwks_uri)?)).await?;
        if !is_success {
            return Err(OidcError::Provider("its jwks_uri cannot be read".to_owned()));
        }
        keys.take(&body, Instant::now())
    }

    async fn discovery(&self) -> Result<Discovery, OidcError> {
        let mut discovered = self.inner.discovered.lock().await;
        if let Some((since, discovery)) = &*discovered
            && since.elapsed() < DISCOVERY_AGE_MAX
        {
            return Ok(discovery.clone());
        }
        let issuer = &self.inner.config.issuer;
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let (is_success, body) = answer(self.inner.http.get(secure(&address)?)).await?;
        let document = serde_json::from_slice::<Discovery>(&body).ok().filter(|_| is_success);
        let document = document.ok_or_else(|| {
            OidcError::Provider(format!("{address} is no discovery document: check --oidc-issuer"))
        })?;
        if document.issuer != *issuer {
            return Err(OidcError::Provider(format!(
                "it calls itself {:?}: write --oidc-issuer so",
                document.issuer
            )));
        }
        *discovered = Some((Instant::now(), document.clone()));
        Ok(document)
    }
}

impl std::fmt::Debug for Oidc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.config.fmt(f)
    }
}

/// An answer, read to its end if that is near.
async fn answer(request: reqwest::RequestBuilder) -> Result<(bool, Vec<u8>), OidcError> {
    let failed = |error: reqwest::Error| OidcError::Provider(error.without_url().to_string());
    let mut response = request.header("accept", "application/json").send().await.map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(OidcError::Provider("it answers without end".to_owned()));
        }
    }
    Ok((response.status().is_success(), body))
}

/// An address that nobody on the way can read or change.
fn secure(address: &str) -> Result<Url, OidcError> {
    let wrong = || {
        OidcError::Provider(format!(
            "{address:?} must be an https address (http only on 127.0.0.1)"
        ))
    };
    let url = Url::parse(address).map_err(|_| wrong())?;
    let is_here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    if url.scheme() == "https" || (url.scheme() == "http" && is_here) {
        Ok(url)
    } else {
        Err(wrong())
    }
}

/// Forms as browsers send them.
mod url {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    pub(super) fn form_urlencoded_pairs(pairs: &[(&str, &str)]) -> String {
        let pair = |(name, value): &(&str, &str)| {
            format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))
        };
        pairs.iter().map(pair).collect::<Vec<_>>().join("&")
    }
}
