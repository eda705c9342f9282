//! The named tokens that may use the API: one file each in a directory, as a mounted Secret has them.
//!
//! Decides which file is a token, and whose token a request carries. Files are read again while the gateway runs, so a
//! token is added, changed and revoked without a restart. Keeps digests only, never a token.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::{task::spawn_blocking, time::sleep};

/// How often the files are read again.
const EVERY: Duration = Duration::from_secs(1);
/// Tokens that are read, the first by name; each request is compared with all of them.
const TOKENS: usize = 100;
/// A token in bytes: long enough that nobody guesses it, and short enough for a header.
const BYTES: std::ops::RangeInclusive<u64> = 16..=4096;
/// Longest name of a token, which is the name of who posts with it.
const NAME_BYTES: usize = 64;

/// Why the tokens cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the server API's tokens in {}: {source}", directory.display())]
pub struct TokensError {
    directory: PathBuf,
    source: io::Error,
}

/// Who may use the API. Clones share the tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    directory: Arc<Path>,
    known: Arc<RwLock<Vec<Named>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    name: Arc<str>,
    digest: [u8; 32],
}

/// Why a file is no token. Never holds what is in it.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("its name has other characters than letters, digits, '-', '_' and '.', or more than {NAME_BYTES}")]
    Name,
    #[error("it has {0} bytes; a token has {least} to {most}", least = BYTES.start(), most = BYTES.end())]
    Length(u64),
    #[error("{0}")]
    Unreadable(#[from] io::Error),
}

impl Tokens {
    /// Those in `directory`.
    pub fn read(directory: &Path) -> Result<Self, TokensError> {
        let known = tokens(directory).map_err(|source| TokensError { directory: directory.to_owned(), source })?;
        tracing::info!(tokens = known.len(), "the server API's tokens were read");
        Ok(Self { directory: directory.into(), known: Arc::new(RwLock::new(known)) })
    }

    /// The name of the token that was given. Takes the same time for every token of a length, known or not.
    pub(super) fn name(&self, given: &[u8]) -> Option<Arc<str>> {
        let digest = digest(given);
        let known = self.known.read();
        // Every one is compared, also after one that fits.
        let fits = known.iter().filter(|named| bool::from(named.digest.ct_eq(&digest))).collect::<Vec<_>>();
        fits.first().map(|named| Arc::clone(&named.name))
    }

    /// Reads the files again every second, for ever. While they cannot be read, what was read last counts.
    pub async fn keep_fresh(self) {
        loop {
            sleep(EVERY).await;
            let directory = Arc::clone(&self.directory);
            match spawn_blocking(move || tokens(&directory)).await {
                Ok(Ok(tokens)) => self.replace(tokens),
                Ok(Err(error)) => tracing::warn!(%error, "failed to read the server API's tokens again"),
                Err(error) => tracing::warn!(%error, "reading the server API's tokens ended"),
            }
        }
    }

    fn replace(&self, tokens: Vec<Named>) {
        let mut known = self.known.write();
        if *known != tokens {
            tracing::info!(tokens = tokens.len(), "the server API's tokens have changed");
            *known = tokens;
        }
    }
}

/// What is in the directory, ordered by name. A file that is no token is skipped with a warning: it must not keep the
/// others, and the gateway, from working.
fn tokens(directory: &Path) -> io::Result<Vec<Named>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        // What a Secret is mounted through begins with two dots.
        if let Ok(name) = entry?.file_name().into_string()
            && !name.starts_with('.')
        {
            names.push(name);
        }
    }
    names.sort();
    let mut tokens = Vec::new();
    for name in names {
        match token(directory, &name) {
            Ok(_) if tokens.len() == TOKENS => tracing::warn!(name, "more than {TOKENS} tokens: this one is ignored"),
            Ok(token) => tokens.push(token),
            Err(reason) => tracing::warn!(name, %reason, "a file among the server API's tokens is no token"),
        }
    }
    Ok(tokens)
}

fn token(directory: &Path, name: &str) -> Result<Named, Unfit> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.len() > NAME_BYTES || !name.chars().all(fits) {
        return Err(Unfit::Name);
    }
    let path = directory.join(name);
    let bytes = fs::metadata(&path)?.len();
    if bytes > *BYTES.end() {
        return Err(Unfit::Length(bytes));
    }
    let content = fs::read(&path)?;
    // Editors and `echo` end files with a line break that nobody means.
    let token = content.strip_suffix(b"\n").unwrap_or(&content);
    match token.len() as u64 {
        length if BYTES.contains(&length) => Ok(Named { name: name.into(), digest: digest(token) }),
        length => Err(Unfit::Length(length)),
    }
}

fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("parlor-tokens-{:x}", rand::random::<u64>()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn put(&self, name: &str, content: &str) {
            fs::write(self.0.join(name), content).unwrap();
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_token_is_known_by_the_name_of_its_file() {
        let folder = Folder::new();
        folder.put("billing", "0123456789abcdef\n");
        folder.put("shop", "fedcba9876543210");
        let tokens = Tokens::read(&folder.0).unwrap();
        assert_eq!(tokens.name(b"0123456789abcdef").as_deref(), Some("billing"));
        assert_eq!(tokens.name(b"fedcba9876543210").as_deref(), Some("shop"));
        for wrong in ["", "0123456789abcde", "0123456789abcdef\n", "0123456789abcdeF"] {
            assert_eq!(tokens.name(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_token_is_skipped() {
        let folder = Folder::new();
        folder.put("short", "0123456789abcde");
        folder.put("long", &"x".repeat(5000));
        folder.put("a name", "0123456789abcdef");
        folder.put("..data", "0123456789abcdef");
        folder.put("good", "0123456789abcdef");
        fs::create_dir(folder.0.join("folder")).unwrap();
        let names: Vec<_> = tokens(&folder.0).unwrap().into_iter().map(|named| named.name.to_string()).collect();
        assert_eq!(names, ["good"]);
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = Tokens::read(Path::new("/nowhere/at/all")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/at/all"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_change_with_their_files() {
        let folder = Folder::new();
        folder.put("billing", "0123456789abcdef");
        let tokens = Tokens::read(&folder.0).unwrap();
        let task = tokio::spawn(tokens.clone().keep_fresh());
        folder.put("billing", "another token, new");
        while tokens.name(b"another token, new").is_none() {
            sleep(EVERY).await;
        }
        assert_eq!(tokens.name(b"0123456789abcdef"), None, "a token that was changed is revoked");
        task.abort();
    }
}
