//! Files of moderation that may change while the gateway runs: the list of words and the key of the webhook.
//!
//! Decides when to look again, and that what cannot be read changes nothing: what was read last holds. A file is read as a
//! whole, because a mounted ConfigMap or Secret changes by the swap of a link.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{task::spawn_blocking, time::sleep};

use super::{
    in_force::Moderation,
    words::{LIST_BYTES, Words, WordsError},
};

/// Pause between two looks. A mounted file takes up to a minute to change anyway.
const LOOK: Duration = Duration::from_secs(2);

/// Why a file says nothing.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("failed to read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: {source}", path.display())]
    Words { path: PathBuf, source: WordsError },
}

/// The files that the ChatRoom names.
#[derive(Clone, Debug, Default)]
pub struct Files {
    pub words: Option<PathBuf>,
    pub webhook_key: Option<PathBuf>,
}

/// What is in a file, at most as much as a list of words may have and one byte more.
fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let mut content = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LIST_BYTES as u64 + 1).read_to_end(&mut content));
    read.map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    Ok(content)
}

/// Reads a list of words, for the start.
pub fn words(path: &Path) -> Result<Words, FileError> {
    parsed(path, &read(path)?)
}

fn parsed(path: &Path, list: &[u8]) -> Result<Words, FileError> {
    Words::read(list).map_err(|source| FileError::Words { path: path.to_owned(), source })
}

/// A file and what it said last.
struct Watched<T> {
    path: PathBuf,
    last: Vec<u8>,
    /// What it failed with last, which is said once.
    complained: Option<String>,
    parse: fn(&Path, &[u8]) -> Result<T, FileError>,
}

impl<T> Watched<T> {
    fn new(path: PathBuf, parse: fn(&Path, &[u8]) -> Result<T, FileError>) -> Self {
        let last = read(&path).unwrap_or_default();
        Self { path, last, complained: None, parse }
    }

    /// What it says now, if that is something else than before.
    fn look(&mut self) -> Option<T> {
        let said = read(&self.path).and_then(|content| {
            if content == self.last {
                return Ok(None);
            }
            let parsed = (self.parse)(&self.path, &content)?;
            self.last = content;
            Ok(Some(parsed))
        });
        match said {
            Ok(said) => {
                self.complained = None;
                said
            }
            Err(error) => {
                let error = error.to_string();
                if self.complained.as_ref() != Some(&error) {
                    tracing::warn!(error, "failed to read a file of moderation; what it said before stays in force");
                    self.complained = Some(error);
                }
                None
            }
        }
    }
}

fn key(_: &Path, content: &[u8]) -> Result<Arc<[u8]>, FileError> {
    Ok(content.strip_suffix(b"\n").unwrap_or(content).into())
}

/// Looks at the files until it is dropped.
pub async fn keep(moderation: Arc<Moderation>, files: Files) {
    let words = files.words.map(|path| Watched::new(path, parsed));
    let webhook_key = files.webhook_key.map(|path| Watched::new(path, key));
    let mut watched = Some((words, webhook_key));
    loop {
        sleep(LOOK).await;
        let Some((mut words, mut webhook_key)) = watched.take() else { return };
        let moderation = Arc::clone(&moderation);
        // A long list takes a while to build.
        let look = move || {
            if let Some(words) = words.as_mut().and_then(Watched::look) {
                tracing::info!("the list of words has changed");
                moderation.use_words(words);
            }
            if let Some(key) = webhook_key.as_mut().and_then(Watched::look) {
                tracing::info!("the key of the webhook has changed");
                moderation.use_webhook_key(key);
            }
            (words, webhook_key)
        };
        watched = spawn_blocking(look).await.ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_changes_nothing_and_what_is_new_is_taken() {
        let path = std::env::temp_dir().join(format!("parlor-words-{}", std::process::id()));
        std::fs::write(&path, "one").unwrap();
        let mut watched = Watched::new(path.clone(), parsed);
        assert!(watched.look().is_none(), "nothing is new");
        std::fs::write(&path, b"\xff").unwrap();
        assert!(watched.look().is_none());
        std::fs::write(&path, "two").unwrap();
        assert!(watched.look().is_some_and(|words| words.are_in("two")));
        std::fs::remove_file(&path).unwrap();
        assert!(watched.look().is_none());
        assert!(matches!(words(&path), Err(FileError::Read { .. })));
    }
}
