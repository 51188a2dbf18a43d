//! Secrets people and programs show: made, and kept as what they are compared with. Absent: whose they
//! are.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// What is kept and compared in place of a random secret.
pub(super) type Hash = [u8; 32];

/// What a token begins with, so that one that leaked is recognised by scanners.
pub(super) const TOKEN_PREFIX: &str = "sw_";

/// A password is at least this long (NIST SP 800-63B: no rules about its characters).
pub const PASSWORD_CHARS_MIN: usize = 12;

/// And at most this: hashing is not free.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// A new random secret: 244 bits of the system's randomness.
pub fn random() -> String {
    let halves = [uuid::Uuid::new_v4().into_bytes(), uuid::Uuid::new_v4().into_bytes()];
    format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(halves.concat()))
}

/// The hash of a random secret. One round is enough for what nobody can guess.
pub(super) fn hash(secret: &[u8]) -> Hash {
    Sha256::digest(secret).into()
}

/// Lower-case hexadecimal, as it stands in records and names of nodes.
pub(super) fn hex(hash: &Hash) -> String {
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        use std::fmt::Write as _;
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads it back; none for anything else.
pub(super) fn unhex(text: &str) -> Option<Hash> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(*pair.first()?).to_digit(16)?;
        let low = char::from(*pair.get(1)?).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(hash)
}

/// Why a password is not taken, if it is not.
///
/// # Errors
/// The rule it breaks.
pub(super) fn check_password(password: &str) -> Result<(), String> {
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return Err(format!("must have at least {PASSWORD_CHARS_MIN} characters"));
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(format!("must have at most {PASSWORD_BYTES_MAX} bytes"));
    }
    Ok(())
}

/// Hashes a password with argon2id. Takes tens of milliseconds and 19 MB: not for the runtime's
/// threads.
///
/// # Errors
/// In words; only where the system gives no randomness.
pub(super) fn hash_password(password: &str) -> Result<String, String> {
    let hashed = Argon2::default().hash_password(password.as_bytes());
    hashed.map(|hash| hash.to_string()).map_err(|error| format!("cannot hash a password: {error}"))
}

/// Compares a password with its hash; takes as long as hashing it.
pub(super) fn verify_password(password: &str, hashed: &str) -> bool {
    PasswordHash::new(hashed)
        .is_ok_and(|hashed| Argon2::default().verify_password(password.as_bytes(), &hashed).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_secrets_differ_and_are_long() {
        let (one, other) = (random(), random());
        assert_ne!(one, other);
        assert!(one.starts_with(TOKEN_PREFIX) && one.len() == TOKEN_PREFIX.len() + 43, "{one}");
    }

    #[test]
    fn hashes_survive_being_text() {
        let one = hash(b"secret");
        assert_eq!(unhex(&hex(&one)), Some(one));
        for bad in ["", "ab", &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_password_is_known_by_its_hash_alone() {
        let hashed = hash_password("correct horse battery").unwrap();
        assert!(hashed.starts_with("$argon2id$") && !hashed.contains("horse"), "{hashed}");
        assert_ne!(hash_password("correct horse battery").unwrap(), hashed, "salted");
        assert!(verify_password("correct horse battery", &hashed));
        assert!(!verify_password("correct horse batterx", &hashed));
        assert!(!verify_password("correct horse battery", "no hash"));
        assert!(check_password("short").is_err());
        assert!(check_password(&"x".repeat(PASSWORD_BYTES_MAX + 1)).is_err());
        assert!(check_password("twelve chars").is_ok());
    }
}
