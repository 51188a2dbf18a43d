//! Users, tokens and sessions over a registry in memory: kept, shared by whoever leads next, gone when
//! revoked; and what a door is told.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::HeaderMap;

use super::*;
use crate::registry::Transaction;
use crate::turn::{self, Inbox};

/// An owner that does nothing but commit what it is told, and remembers it.
async fn owner(mut inbox: Inbox, nodes: Arc<std::sync::Mutex<Vec<(Path, Bytes)>>>) {
    while let Some(input) = inbox.inputs.recv().await {
        if let crate::inbox::Input::Store { changes, done, .. } = input {
            let transaction = Transaction { changes };
            let mut nodes = nodes.lock().unwrap();
            for change in transaction.changes {
                nodes.retain(|(path, _)| *path != change.path);
                nodes.extend(change.value.map(|value| (change.path, Bytes::from(value))));
            }
            drop(nodes);
            done();
        }
    }
}

struct Rig {
    auth: Auth,
    nodes: Arc<std::sync::Mutex<Vec<(Path, Bytes)>>>,
}

impl Rig {
    fn new(config: AuthConfig) -> Self {
        let (handle, inbox) = turn::channel();
        let nodes = Arc::default();
        tokio::spawn(owner(inbox, Arc::clone(&nodes)));
        Self { auth: Auth::new(config, handle), nodes }
    }

    fn required() -> Self {
        Self::new(AuthConfig::default())
    }

    async fn token(&self, name: &str, role: Role, lifetime: Option<Duration>) -> String {
        let new = NewToken { name: name.to_owned(), role, apps: AppScope::ALL, lifetime };
        self.auth.create_token(new, "test".into()).await.unwrap().1
    }

    async fn user(&self, name: &str, password: &str, role: Role) {
        let (name, password) = (name.to_owned(), password.to_owned());
        let new = NewUser { name, password, role, apps: AppScope::ALL };
        self.auth.create_user(new, "test".into()).await.unwrap();
    }

    /// Another scheduler that reads the same registry.
    fn next(&self) -> Auth {
        let next = Auth::new(AuthConfig::default(), turn::channel().0);
        next.load(self.nodes.lock().unwrap().iter().map(|(path, data)| (path, data)));
        next
    }

    fn stored(&self) -> String {
        let nodes = self.nodes.lock().unwrap();
        let text =
            |(path, data): &(Path, Bytes)| format!("{path} {}", String::from_utf8_lossy(data));
        nodes.iter().map(text).collect::<Vec<_>>().join("\n")
    }
}

fn bearer(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    headers
}

const PASSWORD: &str = "a long enough password";

#[tokio::test]
async fn a_token_lives_until_revoked_and_is_not_stored() {
    let rig = Rig::required();
    let token = rig.token("ci", Role::Operator, None).await;
    let who = rig.auth.admit(&bearer(&token), None).await.unwrap();
    assert_eq!((who.name.as_str(), who.role), ("ci", Role::Operator));
    assert!(!rig.stored().contains(&token) && !rig.stored().contains(&token[3..]));
    assert_eq!(rig.next().admit(&bearer(&token), None).await.unwrap(), who, "whoever leads");
    rig.auth.revoke_token("ci", "test".into()).await.unwrap();
    assert_eq!(rig.auth.admit(&bearer(&token), None).await, Err(Denied::Wrong));
    assert_eq!(rig.next().admit(&bearer(&token), None).await, Err(Denied::Wrong));
    assert_eq!(rig.stored(), "");
}

#[tokio::test]
async fn a_name_is_given_once() {
    let rig = Rig::required();
    rig.token("ci", Role::Viewer, Some(Duration::from_mins(1))).await;
    let new = |name: &str| NewToken {
        name: name.to_owned(),
        role: Role::Admin,
        apps: AppScope::ALL,
        lifetime: None,
    };
    let again = rig.auth.create_token(new("ci"), "test".into()).await;
    assert!(matches!(again, Err(AuthError::Conflict(_))));
    for bad in ["", "a/b", "..", "a b", &"x".repeat(101)] {
        let refused = rig.auth.create_token(new(bad), "test".into()).await;
        assert!(matches!(refused, Err(AuthError::Invalid { field: "name", .. })), "{bad}");
    }
    assert_eq!(rig.auth.tokens(None, 10).len(), 1);
    assert!(rig.auth.revoke_token("none", "test".into()).await.is_err());
}

#[tokio::test]
async fn a_session_begins_with_a_password_and_ends_with_it() {
    let rig = Rig::required();
    rig.user("alice", PASSWORD, Role::Admin).await;
    let login =
        |password: &'static str| rig.auth.login("alice", password, SESSION_LIFETIME, "rest", None);
    let session = login(PASSWORD).await.unwrap();
    assert!(matches!(login("another password").await, Err(LoginError::Denied(Denied::Wrong))));
    let who = rig.auth.admit(&bearer(&session.secret), None).await.unwrap();
    assert_eq!((who.name.as_str(), who.role, who.proof), ("alice", Role::Admin, Proof::Session));
    assert_eq!(rig.next().admit(&bearer(&session.secret), None).await.unwrap(), who);
    for secret in [PASSWORD, session.secret.as_str()] {
        assert!(!rig.stored().contains(secret));
    }
    // Logged out.
    rig.auth.logout(&bearer(&session.secret), "test".into()).await.unwrap();
    assert!(rig.auth.admit(&bearer(&session.secret), None).await.is_err());
    // Another password ends what began with the old one.
    let session = login(PASSWORD).await.unwrap();
    let change =
        UserChange { password: Some("quite another one".to_owned()), ..UserChange::default() };
    rig.auth.update_user("alice", change, "test".into()).await.unwrap();
    assert!(rig.auth.admit(&bearer(&session.secret), None).await.is_err());
    assert!(login(PASSWORD).await.is_err());
    let session = login("quite another one").await.unwrap();
    rig.user("bob", PASSWORD, Role::Admin).await;
    rig.auth.delete_user("alice", "test".into()).await.unwrap();
    assert!(rig.auth.admit(&bearer(&session.secret), None).await.is_err());
    assert!(!rig.stored().contains("alice"));
}

#[tokio::test]
async fn the_last_admin_stays_one() {
    let rig = Rig::required();
    rig.user("alice", PASSWORD, Role::Admin).await;
    rig.token("ci", Role::Admin, None).await;
    rig.auth.revoke_token("ci", "test".into()).await.unwrap();
    let to = |role| UserChange { role: Some(role), ..UserChange::default() };
    let refused = [
        rig.auth.update_user("alice", to(Role::Viewer), "test".into()).await.map(drop),
        rig.auth.delete_user("alice", "test".into()).await,
    ];
    for refused in refused {
        assert!(matches!(refused, Err(AuthError::Conflict(_))), "{refused:?}");
    }
    rig.auth.update_user("alice", to(Role::Admin), "test".into()).await.unwrap();
    rig.user("bob", PASSWORD, Role::Admin).await;
    rig.auth.update_user("alice", to(Role::Viewer), "test".into()).await.unwrap();
    rig.user("eve", PASSWORD, Role::Operator).await;
    rig.auth.delete_user("eve", "test".into()).await.unwrap();
}

#[tokio::test]
async fn guessing_is_slowed_and_a_good_token_is_not() {
    let rig = Rig::required();
    let token = rig.token("ci", Role::Viewer, None).await;
    let from = Some(IpAddr::from([192, 0, 2, 1]));
    let mut waits = 0;
    for guess in 0..30 {
        let denied = rig.auth.admit(&bearer(&format!("sw_{guess}")), from).await.unwrap_err();
        waits += i32::from(matches!(denied, Denied::Wait(_)));
    }
    assert!(waits >= 19, "{waits}");
    assert!(rig.auth.admit(&bearer(&token), from).await.is_ok());
    let guessed = rig.auth.by_password("nobody", "x", from).await;
    assert!(matches!(guessed, Err(Denied::Wait(_))));
}

#[tokio::test]
async fn who_shows_nothing_is_let_in_where_nobody_can_be_asked() {
    let nothing = HeaderMap::new();
    let with = |mode| Rig::new(AuthConfig { mode, ..AuthConfig::default() });
    let rig = with(Mode::Loopback);
    assert_eq!(rig.auth.admit(&nothing, None).await.unwrap().proof, Proof::None);
    rig.token("ci", Role::Operator, None).await;
    assert!(rig.auth.admit(&nothing, None).await.is_ok(), "nobody else could make an admin");
    rig.token("root", Role::Admin, None).await;
    assert_eq!(rig.auth.admit(&nothing, None).await, Err(Denied::Nobody));
    assert!(with(Mode::Insecure).auth.admit(&nothing, None).await.is_ok());
    assert_eq!(with(Mode::Required).auth.admit(&nothing, None).await, Err(Denied::Nobody));
    // Something wrong is wrong, also where nothing would do.
    assert_eq!(with(Mode::Insecure).auth.admit(&bearer("x"), None).await, Err(Denied::Wrong));
}

#[tokio::test]
async fn what_is_configured_is_good_without_any_record() {
    let rig = Rig::new(AuthConfig {
        mode: Mode::Required,
        admin_token: Some("the token of the file".to_owned()),
        configured: Some(("root".to_owned(), "pwd".to_owned())),
    });
    let admin = rig.auth.admit(&bearer("the token of the file"), None).await.unwrap();
    assert_eq!((admin.role, admin.proof), (Role::Admin, Proof::AdminTokenFile));
    let operator = rig.auth.by_password("root", "pwd", None).await.unwrap();
    assert_eq!(operator.role, Role::Operator);
    assert!(rig.auth.by_password("root", "pwdx", None).await.is_err());
    let session =
        rig.auth.login("root", "pwd", SESSION_LIFETIME, "elastic-job", None).await.unwrap();
    assert_eq!(rig.auth.admit(&bearer(&session.secret), None).await.unwrap().role, Role::Operator);
}
