//! What groups of an identity provider may do: `GROUP=ROLE`, or `GROUP=ROLE:PREFIX,PREFIX`. Pure.

use std::str::FromStr;

use clap::ValueEnum as _;

use crate::auth::{AppScope, Role};

/// What a group may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRole {
    group: String,
    role: Role,
    apps: AppScope,
}

/// A text that does not say what a group may do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "write GROUP=viewer, GROUP=operator or GROUP=admin, and :PREFIX,PREFIX behind it for some apps"
)]
pub struct GroupRoleError;

impl FromStr for GroupRole {
    type Err = GroupRoleError;

    fn from_str(text: &str) -> Result<Self, GroupRoleError> {
        let (group, rest) = text.rsplit_once('=').ok_or(GroupRoleError)?;
        let (role, prefixes) = match rest.split_once(':') {
            Some((role, prefixes)) => (role, prefixes.split(',').map(ToOwned::to_owned).collect()),
            None => (rest, Vec::new()),
        };
        let role = Role::from_str(role, false).map_err(|_| GroupRoleError)?;
        let apps = AppScope::new(prefixes).map_err(|_| GroupRoleError)?;
        if group.is_empty() {
            return Err(GroupRoleError);
        }
        Ok(Self { group: group.to_owned(), role, apps })
    }
}

/// What somebody may do who is in these groups: the highest role, for all the apps it is given for.
pub(super) fn of_groups(roles: &[GroupRole], groups: &[String]) -> Option<(Role, AppScope)> {
    let theirs = || roles.iter().filter(|role| groups.contains(&role.group));
    let role = theirs().map(|role| role.role).max()?;
    let mut prefixes = Vec::new();
    for held in theirs().filter(|held| held.role == role) {
        if held.apps.is_all() {
            return Some((role, AppScope::ALL));
        }
        prefixes.extend(held.apps.prefixes().iter().cloned());
    }
    Some((role, AppScope::new(prefixes).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_role_counts_with_all_its_apps() {
        let roles: Vec<GroupRole> =
            ["all=viewer", "a=operator:a-", "b=operator:b-,c-", "sre=operator", "root=admin"]
                .map(|text| text.parse().unwrap())
                .into();
        let of = |groups: &[&str]| {
            let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
            let found = of_groups(&roles, &groups);
            found.map(|(role, apps)| format!("{role} {}", apps.prefixes().join(",")))
        };
        assert_eq!(of(&["nobody"]), None);
        assert_eq!(of(&["all"]).unwrap(), "viewer ");
        assert_eq!(of(&["all", "a", "b"]).unwrap(), "operator a-,b-,c-");
        assert_eq!(of(&["a", "sre"]).unwrap(), "operator ");
        assert_eq!(of(&["root", "a"]).unwrap(), "admin ");
        for bad in ["", "a", "=admin", "a=root", "a=viewer:", "a=viewer:x y"] {
            assert!(bad.parse::<GroupRole>().is_err(), "{bad}");
        }
    }
}
