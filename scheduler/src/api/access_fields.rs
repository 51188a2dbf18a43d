//! Reads the bodies that are about users, tokens and logins, field by field. Absent: the rules that
//! names and passwords obey (`auth/`).

use std::time::Duration;

use serde_json::Value;
use shiftwork_engine::document::FieldError;
use shiftwork_schedule::parse_duration;

use super::fields::{Fields, error};
use super::problem::Problem;
use crate::auth::{AppScope, NewToken, NewUser, Role, UserChange};

/// The longest lifetime that is taken: ten years.
const LIFETIME_MS_MAX: u64 = 10 * 365 * 24 * 3600 * 1000;

/// A user to be made.
///
/// # Errors
/// By field.
pub(super) fn new_user(body: Value) -> Result<NewUser, Problem> {
    let mut fields = Fields::of(body)?;
    let name = fields.required("name");
    let password = fields.required("password");
    let role = role(&mut fields);
    let apps = apps(&mut fields);
    let user = NewUser {
        name,
        password,
        role: required_role(role, &mut fields),
        apps: apps.unwrap_or_default(),
    };
    fields.finish().map(|()| user)
}

/// What is to be different about a user.
///
/// # Errors
/// By field.
pub(super) fn user_change(body: Value) -> Result<UserChange, Problem> {
    let mut fields = Fields::of(body)?;
    let change = UserChange {
        password: fields.string("password"),
        role: role(&mut fields),
        apps: apps(&mut fields),
    };
    fields.finish().map(|()| change)
}

/// A token to be made.
///
/// # Errors
/// By field.
pub(super) fn new_token(body: Value) -> Result<NewToken, Problem> {
    let mut fields = Fields::of(body)?;
    let name = fields.required("name");
    let role = role(&mut fields);
    let apps = apps(&mut fields).unwrap_or_default();
    let role = required_role(role, &mut fields);
    let lifetime = match fields.string("expiresIn").map(|text| parse_duration(&text)) {
        None => None,
        Some(Ok(millis)) if (1..=LIFETIME_MS_MAX).contains(&millis) => {
            Some(Duration::from_millis(millis))
        }
        Some(_) => {
            let message = "must be a duration up to 3650d, such as 90d: leave it out for no end";
            fields.wrong(error("expiresIn", message));
            None
        }
    };
    fields.finish().map(|()| NewToken { name, role, apps, lifetime })
}

/// The value of a secret, and whose jobs may use it.
///
/// # Errors
/// By field.
pub(super) fn secret(body: Value) -> Result<(String, Option<AppScope>), Problem> {
    let mut fields = Fields::of(body)?;
    let both = (fields.required("value"), apps(&mut fields));
    fields.finish().map(|()| both)
}

/// Name and password.
///
/// # Errors
/// By field.
pub(super) fn login(body: Value) -> Result<(String, String), Problem> {
    let mut fields = Fields::of(body)?;
    let both = (fields.required("name"), fields.required("password"));
    fields.finish().map(|()| both)
}

fn role(fields: &mut Fields) -> Option<Role> {
    let text = fields.string("role")?;
    let role = serde_json::from_value(Value::String(text)).ok();
    if role.is_none() {
        fields.wrong(error("role", "must be viewer, operator or admin"));
    }
    role
}

fn required_role(role: Option<Role>, fields: &mut Fields) -> Role {
    role.unwrap_or_else(|| {
        if !fields.is_wrong("role") {
            fields.wrong(error("role", "is required: viewer, operator or admin"));
        }
        Role::Viewer
    })
}

fn apps(fields: &mut Fields) -> Option<AppScope> {
    let value = fields.take("apps")?;
    let read = serde_json::from_value::<Vec<String>>(value)
        .map_err(|_| "must be a list of prefixes of names of apps".to_owned())
        .and_then(AppScope::new);
    match read {
        Ok(scope) => Some(scope),
        Err(message) => {
            fields.wrong(FieldError { field: "apps".to_owned(), message });
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wrong<T: std::fmt::Debug>(read: Result<T, Problem>) -> Vec<String> {
        let problem = serde_json::to_value(read.unwrap_err()).unwrap();
        let errors = problem["errors"].as_array().unwrap();
        errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(wrong(new_user(json!({"role": "root"}))), ["name", "password", "role"]);
        assert_eq!(wrong(new_user(json!({"name": "a", "password": "b"}))), ["role"]);
        let apps = json!({"name": "a", "role": "viewer", "apps": ["a b"]});
        assert_eq!(wrong(new_token(apps)), ["apps"]);
        for end in ["0s", "11y", "4000d", "soon"] {
            let token = json!({"name": "a", "role": "viewer", "expiresIn": end});
            assert_eq!(wrong(new_token(token)), ["expiresIn"], "{end}");
        }
        assert_eq!(wrong(user_change(json!({"name": "b"}))), ["name"]);
        assert_eq!(wrong(login(json!({"name": 1, "password": ""}))), ["name", "name", "password"]);
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let token = new_token(json!({"name": "ci", "role": "operator"})).unwrap();
        assert!(token.apps.is_all() && token.lifetime.is_none());
        let token = json!({"name": "ci", "role": "operator", "apps": ["a-"], "expiresIn": "90d"});
        let token = new_token(token).unwrap();
        assert_eq!(token.lifetime, Some(Duration::from_hours(90 * 24)));
        assert!(token.apps.covers("a-x") && !token.apps.covers("b"));
    }
}
