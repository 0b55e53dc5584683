//! The token that operators show: made at the first start, kept in `DATA/admin-token`, for its owner's eyes only.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq as _;

/// Its file in DATA.
const FILE: &str = "admin-token";

/// Lengths that a token may have. The host makes 64 hex digits; an operator may have put another one there.
const LENGTHS: std::ops::RangeInclusive<usize> = 32..=256;

/// The token that operators show.
pub struct AdminToken(String);

/// Why there is no token to compare with.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read or written.
    #[error("cannot use the admin token {}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Others than its owner may use the file.
    #[error("{} has mode {mode:04o}, which lets others use the token: chmod 600 it", path.display())]
    Mode {
        /// Which one.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file holds no token.
    #[error("{} holds no token of 32 to 256 characters; without the file a new one is made", path.display())]
    Content {
        /// Which one.
        path: PathBuf,
    },
}

impl AdminToken {
    /// Reads the token of a data folder, and makes it when there is none.
    ///
    /// # Errors
    /// When the file cannot be used, is open to others, or holds no token.
    pub fn load_or_create(data: &Path) -> Result<Self, TokenError> {
        let path = data.join(FILE);
        let failed = |source| TokenError::File { path: path.clone(), source };
        let file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                create(data, &path).and_then(|()| File::open(&path))
            }
            opened => opened,
        };
        let file = file.map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & !0o600 != 0 {
            return Err(TokenError::Mode { path, mode });
        }
        let mut text = String::new();
        // One more than the longest, and a line's end: a longer file is no token.
        file.take(*LENGTHS.end() as u64 + 2).read_to_string(&mut text).map_err(failed)?;
        let token = text.trim();
        if !LENGTHS.contains(&token.len()) || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Content { path });
        }
        Ok(Self(token.to_owned()))
    }

    /// Compares in a time that tells nothing of where two tokens differ.
    pub(super) fn matches(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

/// Makes a token file that only its owner can read, complete or not at all.
fn create(folder: &Path, path: &Path) -> std::io::Result<()> {
    let draft = folder.join(format!("{FILE}.new"));
    // What a crash left may have any mode; a mode is given only to a file that is new.
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    writeln!(file, "{}", hex::encode(rand::random::<[u8; 32]>()))?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, text: &str, mode: u32) {
        let path = folder.join(FILE);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("the mode is set");
    }

    fn error_of(folder: &Path) -> String {
        AdminToken::load_or_create(folder).err().expect("an error").to_string()
    }

    #[test]
    fn the_first_start_makes_a_token_for_its_owner_and_later_ones_keep_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = AdminToken::load_or_create(folder.path()).expect("a new token");
        let again = AdminToken::load_or_create(folder.path()).expect("the same token");
        assert!(first.matches(&again.0));
        assert!(first.0.len() == 64 && first.0.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let mode = std::fs::metadata(folder.path().join(FILE)).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = tempfile::tempdir().expect("a folder");
        let other = AdminToken::load_or_create(other.path()).expect("a token of its own");
        assert!(!first.matches(&other.0));
    }

    #[test]
    fn a_token_that_others_could_read_stops_the_start() {
        let folder = tempfile::tempdir().expect("a folder");
        for mode in [0o640, 0o604, 0o660, 0o700] {
            write(folder.path(), &"a".repeat(64), mode);
            let error = error_of(folder.path());
            assert!(error.contains("admin-token") && error.contains(&format!("{mode:04o}")), "{error}");
        }
        write(folder.path(), &"a".repeat(64), 0o400);
        assert!(AdminToken::load_or_create(folder.path()).is_ok());
    }

    #[test]
    fn a_file_that_holds_no_token_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        for text in ["", "short", &"a ".repeat(40), &"a".repeat(300)] {
            write(folder.path(), text, 0o600);
            let error = error_of(folder.path());
            assert!(error.contains("admin-token") && error.contains("no token"), "{error}");
        }
    }

    #[test]
    fn only_the_whole_token_matches() {
        let token = AdminToken("0123456789abcdef0123456789abcdef".to_owned());
        assert!(token.matches("0123456789abcdef0123456789abcdef"));
        for bad in ["", "0123456789abcdef", "0123456789abcdef0123456789abcdeF", "0123456789abcdef0123456789abcdef0"] {
            assert!(!token.matches(bad), "{bad:?} was accepted");
        }
    }

    #[test]
    fn what_a_crash_left_does_not_widen_the_mode() {
        let folder = tempfile::tempdir().expect("a folder");
        let draft = folder.path().join("admin-token.new");
        std::fs::write(&draft, "half").expect("written");
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o666)).expect("the mode is set");
        assert!(AdminToken::load_or_create(folder.path()).is_ok());
        assert!(!draft.exists());
    }
}
