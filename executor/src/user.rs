//! The user a script runs as, when its job names one. Absent: any change of this process' own user.

use std::fs;
use std::io;
use std::path::PathBuf;

use rustix::process::geteuid;

/// Where users stand. Users that only a name service knows are not found; an agent that is to run
/// work as them has them here.
const USERS: &str = "/etc/passwd";

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: PathBuf,
}

/// Why a script cannot run as the user its job names.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UserError {
    #[error("reading {USERS} failed")]
    Read(#[source] io::Error),
    #[error(
        "the job runs as {name:?}, a user {USERS} of this agent does not hold; add the user or leave \
         runAs out"
    )]
    Unknown { name: String },
    #[error(
        "the job runs as {name:?}, but this executor is not root (its uid is {own}); run the agent as \
         root or leave runAs out"
    )]
    NotRoot { name: String, own: u32 },
}

/// The user to change to for `run_as`; `None` when nothing need be changed.
pub(crate) fn find(run_as: &str) -> Result<Option<User>, UserError> {
    if run_as.is_empty() {
        return Ok(None);
    }
    let users = fs::read(USERS).map_err(UserError::Read)?;
    // Names of people in it may be of any encoding.
    choose(run_as, &String::from_utf8_lossy(&users), geteuid().as_raw())
}

fn choose(name: &str, users: &str, own: u32) -> Result<Option<User>, UserError> {
    let user = users.lines().find_map(|line| parse(line).filter(|user| user.name == name));
    match user {
        None => Err(UserError::Unknown { name: name.to_owned() }),
        Some(user) if user.uid == own => Ok(None),
        Some(_) if own != 0 => Err(UserError::NotRoot { name: name.to_owned(), own }),
        Some(user) => Ok(Some(user)),
    }
}

/// Reads `name:password:uid:gid:comment:home:shell`.
fn parse(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let &[name, _, uid, gid, _, home, ..] = fields.as_slice() else {
        return None;
    };
    let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
    Some(User { name: name.to_owned(), uid, gid, home: home.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: &str =
        "root:x:0:0:root:/root:/bin/sh\nbroken\nbatch:x:1001:1002::/home/b:/bin/sh\n";

    #[test]
    fn only_root_becomes_another_and_nobody_needs_to_become_oneself() {
        let batch = User { name: "batch".into(), uid: 1001, gid: 1002, home: "/home/b".into() };
        assert_eq!(choose("batch", SOME, 0).unwrap(), Some(batch));
        assert_eq!(choose("batch", SOME, 1001).unwrap(), None);
        assert_eq!(choose("root", SOME, 0).unwrap(), None);
        let error = choose("batch", SOME, 1000).unwrap_err();
        assert!(matches!(error, UserError::NotRoot { own: 1000, .. }), "{error}");
        let error = choose("nosuch", SOME, 0).unwrap_err();
        assert!(matches!(error, UserError::Unknown { .. }), "{error}");
    }
}
