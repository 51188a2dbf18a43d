//! `shiftwork user` and `shiftwork token`: who may do what; `shiftwork whoami`; and `shiftwork
//! audit-log`: who changed what.

use std::io::{BufRead as _, IsTerminal as _, Read as _};

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};
use shiftwork_schedule::{Timestamp, parse_duration};

use super::client::{ApiPath, Client, Payload};
use super::error::CliError;
use super::output::{self, Output};
use super::show;
use super::table::{self, Column, Row};
use crate::auth::Role;

/// What to do with users.
#[derive(Debug, Clone, Subcommand)]
pub enum UserCommand {
    /// List all users
    List,
    /// Make a user; the password is read from standard input
    Add {
        /// The name
        name: String,
        #[command(flatten)]
        held: Held,
        /// What they may do
        #[arg(long, value_enum)]
        role: Role,
    },
    /// Change what a user may do
    Set {
        /// The name
        name: String,
        #[command(flatten)]
        held: Held,
        /// What they may do
        #[arg(long, value_enum)]
        role: Option<Role>,
        /// For all apps again
        #[arg(long, conflicts_with = "apps")]
        all_apps: bool,
    },
    /// Change a user's password, read from standard input; their sessions end
    Password {
        /// The name
        name: String,
    },
    /// Remove a user and end their sessions
    Delete {
        /// The name
        name: String,
    },
}

/// For what a role holds.
#[derive(Debug, Clone, Args)]
pub struct Held {
    /// Only for apps whose names begin with this; may be given several times
    #[arg(long = "app", value_name = "PREFIX")]
    apps: Vec<String>,
}

/// What to do with tokens.
#[derive(Debug, Clone, Subcommand)]
pub enum TokenCommand {
    /// List all tokens, without themselves
    List,
    /// Make a token and print it: it is not shown again
    Create {
        /// What it is for
        name: String,
        #[command(flatten)]
        held: Held,
        /// What it may do
        #[arg(long, value_enum)]
        role: Role,
        /// How long it is good, such as 90d (default: without end)
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        expires_in: Option<String>,
    },
    /// Revoke a token, at once
    Revoke {
        /// What it is for
        name: String,
    },
}

/// What to do with secrets.
#[derive(Debug, Clone, Subcommand)]
pub enum SecretCommand {
    /// List all secrets, without values
    List,
    /// Make a secret or give it another value, read from standard input to its end
    Set {
        /// Its name
        name: String,
        #[command(flatten)]
        held: Held,
    },
    /// Remove a secret
    Delete {
        /// Its name
        name: String,
    },
}

/// Which changes to show.
#[derive(Debug, Clone, Args)]
pub struct AuditLogArgs {
    /// Only what this user or token did
    #[arg(long)]
    actor: Option<String>,
    /// Only this action, such as create, update, delete, trigger
    #[arg(long)]
    action: Option<String>,
    /// Only to this kind of thing, such as job, app, user
    #[arg(long)]
    kind: Option<String>,
    /// Only to what has this name
    #[arg(long)]
    name: Option<String>,
    /// Only of this app
    #[arg(long)]
    app: Option<String>,
    /// Only since so long ago, such as 24h, or since a moment (RFC 3339)
    #[arg(long, value_name = "DURATION|MOMENT", value_parser = since)]
    since: Option<Timestamp>,
    /// Most entries, newest first
    #[arg(
        short = 'n',
        long,
        default_value_t = 100,
        value_name = "COUNT",
        value_parser = super::at_least_one()
    )]
    limit: usize,
}

const USERS: [Column; 4] = [
    Column { title: "NAME", cell: |row| row.text("/name") },
    Column { title: "ROLE", cell: |row| row.text("/role") },
    Column { title: "APPS", cell: apps },
    Column { title: "CREATED BY", cell: |row| row.text("/createdBy") },
];

const TOKENS: [Column; 5] = [
    Column { title: "NAME", cell: |row| row.text("/name") },
    Column { title: "ROLE", cell: |row| row.text("/role") },
    Column { title: "APPS", cell: apps },
    Column { title: "EXPIRES", cell: |row| row.text("/expiresAt") },
    Column { title: "CREATED BY", cell: |row| row.text("/createdBy") },
];

const SECRETS: [Column; 4] = [
    Column { title: "NAME", cell: |row| row.text("/name") },
    Column { title: "APPS", cell: apps },
    Column { title: "SET", cell: |row| row.text("/updatedAt") },
    Column { title: "BY", cell: |row| row.text("/updatedBy") },
];

const ENTRIES: [Column; 7] = [
    Column { title: "AT", cell: |row| row.text("/at") },
    Column { title: "ACTOR", cell: |row| row.text("/actor") },
    Column { title: "FROM", cell: |row| row.text("/origin") },
    Column { title: "DOOR", cell: |row| row.text("/door") },
    Column { title: "ACTION", cell: |row| row.text("/action") },
    Column { title: "KIND", cell: |row| row.text("/kind") },
    Column { title: "NAME", cell: |row| row.text("/name") },
];

fn apps(row: &Row<'_>) -> String {
    let prefixes = row.value.pointer("/apps").and_then(Value::as_array);
    let prefixes: Vec<&str> = prefixes.into_iter().flatten().filter_map(Value::as_str).collect();
    if prefixes.is_empty() { "all".to_owned() } else { prefixes.join(",") }
}

fn duration(text: &str) -> Result<String, String> {
    parse_duration(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    let back = parse_duration(text);
    back.map(|millis| show::now().saturating_sub(millis))
        .map_err(|_| "must be a duration, such as 24h, or a moment (RFC 3339)".to_owned())
}

/// Carries out a command about users.
pub(super) async fn user(
    client: &Client,
    out: Output,
    command: UserCommand,
) -> Result<(), CliError> {
    let path = |name: &str| ApiPath::of(&["users", name]);
    match command {
        UserCommand::List => show::list(client, out, &ApiPath::of(&["users"]), None, &USERS).await,
        UserCommand::Add { name, held, role } => {
            let password = new_password()?;
            let body = json!({
                "name": name, "password": password, "role": role, "apps": held.apps,
            });
            let payload = Payload::json(body.to_string());
            let answer = client.change(Method::POST, &ApiPath::of(&["users"]), payload).await?;
            show::done(out, &answer.text, &format!("user {name} is {role}"))
        }
        UserCommand::Set { name, held, role, all_apps } => {
            let mut body = json!({});
            if let Some(role) = role {
                body["role"] = json!(role);
            }
            if all_apps || !held.apps.is_empty() {
                body["apps"] = json!(held.apps);
            }
            let payload = Payload::json(body.to_string());
            let answer = client.change(Method::PUT, &path(&name), payload).await?;
            show::done(out, &answer.text, &format!("user {name} changed"))
        }
        UserCommand::Password { name } => {
            let body = json!({"password": new_password()?});
            let payload = Payload::json(body.to_string());
            let answer = client.change(Method::PUT, &path(&name), payload).await?;
            show::done(out, &answer.text, &format!("user {name} has another password"))
        }
        UserCommand::Delete { name } => {
            let answer = client.change(Method::DELETE, &path(&name), Payload::default()).await?;
            show::done(out, &answer.text, &format!("user {name} deleted"))
        }
    }
}

/// Carries out a command about tokens.
pub(super) async fn token(
    client: &Client,
    out: Output,
    command: TokenCommand,
) -> Result<(), CliError> {
    match command {
        TokenCommand::List => {
            show::list(client, out, &ApiPath::of(&["tokens"]), None, &TOKENS).await
        }
        TokenCommand::Create { name, held, role, expires_in } => {
            let mut body = json!({"name": name, "role": role, "apps": held.apps});
            if let Some(end) = expires_in {
                body["expiresIn"] = json!(end);
            }
            let payload = Payload::json(body.to_string());
            let answer = client.change(Method::POST, &ApiPath::of(&["tokens"]), payload).await?;
            // The token and nothing else, so that it can go straight into a file.
            show::resource(client, out, &answer.text, |value| {
                value["token"].as_str().unwrap_or_default().to_owned()
            })
        }
        TokenCommand::Revoke { name } => {
            let path = ApiPath::of(&["tokens", &name]);
            let answer = client.change(Method::DELETE, &path, Payload::default()).await?;
            show::done(out, &answer.text, &format!("token {name} revoked"))
        }
    }
}

/// Carries out a command about secrets.
pub(super) async fn secret(
    client: &Client,
    out: Output,
    command: SecretCommand,
) -> Result<(), CliError> {
    let path = |name: &str| ApiPath::of(&["secrets", name]);
    match command {
        SecretCommand::List => {
            show::list(client, out, &ApiPath::of(&["secrets"]), None, &SECRETS).await
        }
        SecretCommand::Set { name, held } => {
            let mut value = String::new();
            let read = std::io::stdin().lock().read_to_string(&mut value);
            read.map_err(|source| CliError::File { path: "standard input".to_owned(), source })?;
            // One line end is an editor's or echo's, and not the value's.
            let value = value.strip_suffix('\n').unwrap_or(&value);
            let mut body = json!({"value": value});
            if !held.apps.is_empty() {
                body["apps"] = json!(held.apps);
            }
            let payload = Payload::json(body.to_string());
            let answer = client.change(Method::PUT, &path(&name), payload).await?;
            show::done(out, &answer.text, &format!("secret {name} set"))
        }
        SecretCommand::Delete { name } => {
            let answer = client.change(Method::DELETE, &path(&name), Payload::default()).await?;
            show::done(out, &answer.text, &format!("secret {name} deleted"))
        }
    }
}

/// Shows who the scheduler takes us for.
pub(super) async fn whoami(client: &Client, out: Output) -> Result<(), CliError> {
    let answer = client.get(&ApiPath::of(&["session"])).await?;
    show::resource(client, out, answer.get(), |value| {
        let row = Row { value, now: show::now() };
        let pairs =
            [("name", row.text("/name")), ("role", row.text("/role")), ("apps", apps(&row))];
        table::render_pairs(&pairs)
    })
}

/// Shows who changed what.
pub(super) async fn audit_log(
    client: &Client,
    out: Output,
    args: &AuditLogArgs,
) -> Result<(), CliError> {
    let since = args.since.map(|since| since.to_string());
    let path = ApiPath::of(&["audit-log"])
        .with("actor", args.actor.as_deref())
        .with("action", args.action.as_deref())
        .with("kind", args.kind.as_deref())
        .with("name", args.name.as_deref())
        .with("app", args.app.as_deref())
        .with("since", since.as_deref());
    show::list(client, out, &path, Some(args.limit), &ENTRIES).await
}

/// A password from standard input: its first line. Never an argument, which others can see.
fn new_password() -> Result<String, CliError> {
    let input = std::io::stdin();
    if input.is_terminal() {
        output::progress("password (at least 12 characters; it is shown as you type):");
    }
    let mut line = String::new();
    let read = input.lock().read_line(&mut line);
    read.map_err(|source| CliError::File { path: "standard input".to_owned(), source })?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        let text = "a password is needed: send it on standard input, as in `shiftwork user add …\
                    < password-file`";
        return Err(CliError::Usage(text.to_owned()));
    }
    Ok(password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_shown_in_words() {
        let shown = |value: &Value| apps(&Row { value, now: Timestamp::from_millis(0) });
        assert_eq!(shown(&json!({"apps": []})), "all");
        assert_eq!(shown(&json!({"apps": ["a-", "b-"]})), "a-,b-");
    }

    #[test]
    fn since_is_a_moment_or_a_while_ago() {
        assert!(since("2026-11-20T00:00:00Z").is_ok() && since("24h").is_ok());
        assert!(since("yesterday").is_err());
    }
}
