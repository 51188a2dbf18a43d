//! Secrets over an owner that stores what it is told: kept encrypted, shared, given to whom they are for.

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::auth::AppScope;
use crate::turn::{self, Inbox};

type Nodes = Arc<std::sync::Mutex<Vec<(Path, Bytes)>>>;

async fn owner(mut inbox: Inbox, nodes: Nodes) {
    while let Some(input) = inbox.inputs.recv().await {
        if let crate::inbox::Input::Store { changes, done, .. } = input {
            let mut nodes = nodes.lock().unwrap();
            for change in changes {
                nodes.retain(|(path, _)| *path != change.path);
                nodes.extend(change.value.map(|value| (change.path, Bytes::from(value))));
            }
            drop(nodes);
            done();
        }
    }
}

#[tokio::test]
async fn a_secret_is_kept_encrypted_and_is_for_some_apps() {
    let directory = tempfile::tempdir().unwrap();
    let key = Key::of_file(&directory.path().join("key"), true).unwrap();
    let (handle, inbox) = turn::channel();
    let nodes = Nodes::default();
    tokio::spawn(owner(inbox, Arc::clone(&nodes)));
    let secrets = Secrets::new(Some(key.clone()), handle);
    let scope = AppScope::new(vec!["a-".to_owned()]).unwrap();
    let (view, new) = secrets.put("db", "s3cret", Some(scope), "test".into()).await.unwrap();
    assert!(new && view.name == "db");
    let stored = || format!("{:?}", nodes.lock().unwrap());
    assert!(!stored().contains("s3cret"), "{}", stored());
    assert_eq!(secrets.problem("db", "a-x"), None);
    assert!(secrets.problem("db", "b").unwrap().contains("not for jobs of the app b"));
    assert!(secrets.problem("none", "b").unwrap().contains("does not exist"));
    // Another value; whom it is for stays.
    let (view, new) = secrets.put("db", "another", None, "test".into()).await.unwrap();
    assert!(!new && view.apps.covers("a-x") && !view.apps.covers("b"));
    // Whoever leads next has the same.
    let next = Secrets::new(Some(key), turn::channel().0);
    next.load(nodes.lock().unwrap().iter().map(|(path, data)| (path, data)));
    assert_eq!(next.list(None, 10), secrets.list(None, 10));
    secrets.delete("db", "test".into()).await.unwrap();
    assert!(nodes.lock().unwrap().is_empty() && secrets.get("db").is_none());
    assert!(secrets.delete("db", "test".into()).await.is_err());
    for (name, value) in [("a/b", "x"), ("ok", "a\0b"), ("ok", &"x".repeat(VALUE_BYTES_MAX + 1))] {
        assert!(secrets.put(name, value, None, "test".into()).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn without_a_key_nothing_is_kept() {
    let secrets = Secrets::new(None, turn::channel().0);
    let refused = secrets.put("db", "s3cret", None, "test".into()).await.unwrap_err();
    assert!(refused.to_string().contains("--secret-key-file"), "{refused}");
}
