//! The schemas of who may do what: users, tokens, sessions, and the audit log.

use super::{Member, flag, instant, list, maybe, object, one_of, text, with_optional};
use serde_json::{Value, json};

/// All of them.
pub(super) fn all() -> Vec<Member> {
    let user = object("Somebody with a password.", vec![("name", text("The name."))])
        .plus(held())
        .plus(made());
    let token = object("A token, without itself.", vec![("name", text("What it is for."))])
        .plus(held())
        .plus(made())
        .plus(vec![
            ("expiresAt", maybe(instant("When it ends; never, if null."))),
            ("expired", flag("Whether it has ended.")),
        ]);
    let created = token.clone().plus(vec![("token", text("The token itself, told this once."))]);
    let session =
        object("Who somebody is.", vec![("name", text("The name."))]).plus(held()).plus(vec![
            ("authenticated", flag("False where nobody is asked.")),
            ("expiresAt", maybe(instant("When the session ends that was begun."))),
            ("csrfToken", maybe(text("X-CSRF-Token of changes, where a cookie has the session."))),
        ]);
    let password = || text("At least 12 characters.");
    let new_user = with_optional(
        "A user to be made.",
        vec![("name", text("The name.")), ("password", password()), ("role", role())],
        vec![("apps", apps())],
    );
    let change = with_optional(
        "What is to be different.",
        Vec::new(),
        vec![("password", password()), ("role", role()), ("apps", apps())],
    );
    let new_token = with_optional(
        "A token to be made.",
        vec![("name", text("What it is for.")), ("role", role())],
        vec![("apps", apps()), ("expiresIn", text("How long it is good, such as 90d."))],
    );
    let login = object(
        "Name and password.",
        vec![("name", text("The name.")), ("password", text("The password."))],
    );
    let secret = object(
        "A secret, without its value.",
        vec![
            ("name", text("Its name.")),
            ("apps", apps()),
            ("createdAt", instant("When it was made.")),
            ("updatedAt", instant("When it got its value.")),
            ("updatedBy", text("Who gave it that.")),
        ],
    );
    let secret_value = with_optional(
        "What a secret is to hold.",
        vec![("value", text("At most 64 KiB; no answer holds it."))],
        vec![("apps", apps())],
    );
    vec![
        ("User", user),
        ("NewUser", new_user),
        ("UserChange", change),
        ("Token", token),
        ("NewToken", new_token),
        ("CreatedToken", created),
        ("Session", session),
        ("Login", login),
        ("Secret", secret),
        ("SecretValue", secret_value),
        ("AuditLogEntry", entry()),
    ]
}

fn entry() -> Value {
    object(
        "A change that somebody asked for.",
        vec![
            ("id", text("Its place in the order of all changes.")),
            ("at", instant("When.")),
            ("actor", maybe(text("Who; null where nobody is asked."))),
            ("role", maybe(text("Their role."))),
            ("door", text("By which door: rest, grpc, elastic-job, scheduler, registry.")),
            ("origin", maybe(text("From which address."))),
            ("action", text("What was done.")),
            ("kind", text("To what kind of thing.")),
            ("name", text("Its name or id.")),
            ("app", maybe(text("Its app, where it has one."))),
            ("before", json!({"description": "What it was; null if it was not, or is not told."})),
            ("after", json!({"description": "What it is; null if it is no more, or is not told."})),
        ],
    )
}

fn role() -> Value {
    one_of(&["viewer", "operator", "admin"], "What they may do.")
}

fn apps() -> Value {
    list(text("A prefix."), "Prefixes of names of apps for which that holds; all, if empty.")
}

fn held() -> Vec<Member> {
    vec![("role", role()), ("apps", apps())]
}

fn made() -> Vec<Member> {
    vec![("createdAt", instant("When it was made.")), ("createdBy", text("Who made it."))]
}

/// Objects made of parts.
trait Plus {
    /// With these members, too, always.
    fn plus(self, members: Vec<Member>) -> Self;
}

impl Plus for Value {
    fn plus(mut self, members: Vec<Member>) -> Self {
        for (name, schema) in members {
            if let Some(required) = self["required"].as_array_mut() {
                required.push(json!(name));
            }
            self["properties"][name] = schema;
        }
        self
    }
}
