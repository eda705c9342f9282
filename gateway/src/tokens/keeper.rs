//! Keeps the keys fresh: reads the file of a Secret again, or fetches the document of a login. The old keys count until
//! new ones are there.
//!
//! Decides when to look: at files every 2 s, at addresses every 5 min and earlier when a token names a key that is not
//! known. Anyone can make up such a token, so the pause between two fetches grows while they bring nothing new.

use std::{error::Error, fmt, io, path::PathBuf, sync::Arc, time::Duration};

use http::Uri;
use tokio::time::{sleep, timeout};

use super::{FetchError, Keys, KeysError, Verifier, fetch};

/// Pause between two looks at a file. A mounted Secret takes up to a minute to change anyway.
const FILE: Duration = Duration::from_secs(2);
/// Pause between two fetches while nothing is missing.
const ADDRESS: Duration = Duration::from_secs(300);
/// The same after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(30);
/// Shortest pause between two fetches, and the longest that a token can make of it.
const REST: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(32));
/// A rest that is no longer is worth waiting for, with a token whose key is not known.
const WORTH_WAITING: Duration = Duration::from_secs(2);
/// Largest file in bytes: what a Secret may have of one key here.
const MAX_BYTES: u64 = 64 * 1024;

/// Where keys come from.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// The file of a shared secret; a line break at its end is not part of it.
    Secret(PathBuf),
    /// The file of a JWKS document or of PEM.
    PublicKeys(PathBuf),
    /// The address of a JWKS document.
    Address(Uri),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(path) | Self::PublicKeys(path) => path.display().fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({self})")
    }
}

/// Why there are no new keys.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("failed to read the file")]
    Read(#[from] io::Error),
    #[error("the file is empty, or has more than {MAX_BYTES} bytes")]
    Size,
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Keys(#[from] KeysError),
}

impl Source {
    /// What is there now: a text of keys.
    async fn text(&self) -> Result<Vec<u8>, SourceError> {
        match self {
            Self::Secret(path) | Self::PublicKeys(path) => read(path).await,
            Self::Address(address) => Ok(fetch::get(address).await?.to_vec()),
        }
    }

    /// The keys in such a text.
    pub fn keys(&self, text: &[u8]) -> Result<Keys, KeysError> {
        Ok(match self {
            Self::Secret(_) => Keys::shared(text.strip_suffix(b"\n").unwrap_or(text)),
            Self::PublicKeys(_) => Keys::from_file(text)?,
            Self::Address(_) => Keys::from_jwks(text)?,
        })
    }
}

async fn read(path: &PathBuf) -> Result<Vec<u8>, SourceError> {
    let bytes = tokio::fs::metadata(path).await?.len();
    if bytes == 0 || bytes > MAX_BYTES {
        return Err(SourceError::Size);
    }
    Ok(tokio::fs::read(path).await?)
}

/// Gives `verifier` the keys of `source` as they change. Never ends.
pub async fn keep(verifier: Arc<Verifier>, source: Source) {
    let mut pauses = Pauses::default();
    let mut keeper = Keeper { verifier, source, known: None, failure: None };
    let fetches = matches!(keeper.source, Source::Address(_));
    keeper.verifier.looks(fetches);
    loop {
        let found = keeper.look().await;
        if fetches {
            let early = keeper.pause(pauses.after(found)).await;
            pauses.was_early(early);
        } else {
            sleep(FILE).await;
        }
    }
}

/// What a look at the source found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    New,
    Same,
    Nothing,
}

/// When to fetch again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pause {
    /// Not before.
    rest: Duration,
    /// In any case.
    longest: Duration,
}

/// The pauses between fetches.
#[derive(Debug, Default)]
struct Pauses {
    /// Fetches in a row that a token asked for and that brought nothing new.
    in_vain: u32,
    early: bool,
}

impl Pauses {
    fn after(&mut self, found: Found) -> Pause {
        self.in_vain = if self.early && found != Found::New { self.in_vain.saturating_add(1) } else { 0 };
        let (shortest, longest) = REST;
        Pause {
            rest: shortest.saturating_mul(1 << self.in_vain.min(5)).min(longest),
            longest: if found == Found::Nothing { AFTER_FAILURE.max(longest) } else { ADDRESS },
        }
    }

    /// Whether a token asked for the fetch that comes.
    fn was_early(&mut self, early: bool) {
        self.early = early;
    }
}

struct Keeper {
    verifier: Arc<Verifier>,
    source: Source,
    /// The text that the verifier's keys were read from.
    known: Option<Vec<u8>>,
    /// What the log says already.
    failure: Option<String>,
}

impl Keeper {
    async fn look(&mut self) -> Found {
        match self.fresh().await {
            Ok(found) => {
                if self.failure.take().is_some() {
                    tracing::info!(source = %self.source, "the keys of tokens can be loaded again");
                }
                found
            }
            Err(error) => {
                self.verifier.keep_old();
                let error = in_full(&error);
                if self.failure.as_ref() != Some(&error) {
                    let keys = self.verifier.totals().keys;
                    tracing::warn!(source = %self.source, keys, "failed to load the keys of tokens, the old ones stay: {error}");
                    self.failure = Some(error);
                }
                Found::Nothing
            }
        }
    }

    async fn fresh(&mut self) -> Result<Found, SourceError> {
        let text = self.source.text().await?;
        if self.known.as_ref() == Some(&text) {
            return Ok(Found::Same);
        }
        let keys = self.source.keys(&text)?;
        tracing::info!(source = %self.source, keys = keys.len(), "loaded the keys of tokens");
        self.verifier.replace(keys);
        self.known = Some(text);
        Ok(Found::New)
    }

    /// Waits until the next fetch is due; true if a token asked for it.
    async fn pause(&self, Pause { rest, longest }: Pause) -> bool {
        self.verifier.looks(rest <= WORTH_WAITING);
        sleep(rest).await;
        self.verifier.looks(true);
        timeout(longest.saturating_sub(rest), self.verifier.wanted()).await.is_ok()
    }
}

/// An error and what it comes from, in one line.
fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rests(found: &[(bool, Found)]) -> Vec<u64> {
        let mut pauses = Pauses::default();
        let mut rest = |(early, found): &(bool, Found)| {
            pauses.was_early(*early);
            pauses.after(*found).rest.as_secs()
        };
        found.iter().map(&mut rest).collect()
    }

    #[test]
    fn made_up_keys_cost_the_login_fewer_and_fewer_fetches() {
        let vain = (true, Found::Same);
        assert_eq!(rests(&[vain; 8]), [2, 4, 8, 16, 32, 32, 32, 32]);
        assert_eq!(rests(&[vain, vain, (true, Found::New), vain]), [2, 4, 1, 2], "a rotation is found at once");
        assert_eq!(rests(&[vain, vain, (false, Found::Same)]), [2, 4, 1], "five minutes later");
        assert_eq!(rests(&[(true, Found::Nothing); 3]), [2, 4, 8]);
    }

    #[test]
    fn a_login_that_does_not_answer_is_asked_again_sooner() {
        let mut pauses = Pauses::default();
        assert_eq!(pauses.after(Found::New).longest, ADDRESS);
        assert!(pauses.after(Found::Nothing).longest < ADDRESS);
    }
}
