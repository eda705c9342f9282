//! Secrets as files, `<name>/<key>` under one directory: what a mounted Kubernetes Secret looks like.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parlor_crds::chatroom::{ConfigMapKey, SecretKey};

/// Largest secret that is read, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// The directory, when one was given.
#[derive(Clone, Debug)]
pub(super) struct Secrets(Option<PathBuf>);

/// Why a secret cannot be had. Never holds the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("{field}: {name}/{key} needs --secrets DIR")]
    NoDirectory { field: &'static str, name: String, key: String },
    #[error("{field}: the Secret {name} needs --secrets DIR")]
    NoDirectoryOf { field: &'static str, name: String },
    #[error("{field}: failed to read the secret {}: {source}", path.display())]
    Read { field: &'static str, path: PathBuf, source: io::Error },
    #[error("{field}: the secret {} has {bytes} bytes; at most {MAX_BYTES}, and more than none", path.display())]
    Size { field: &'static str, path: PathBuf, bytes: u64 },
}

impl Secrets {
    /// Secrets under `directory`.
    pub(super) fn new(directory: Option<PathBuf>) -> Self {
        Self(directory)
    }

    /// The secret that `field` of the manifest refers to.
    pub(super) fn get(&self, field: &'static str, reference: &SecretKey) -> Result<Arc<[u8]>, SecretError> {
        read(field, &self.path(field, reference)?)
    }

    /// Where the secret is that `field` of the manifest refers to.
    pub(super) fn path(&self, field: &'static str, reference: &SecretKey) -> Result<PathBuf, SecretError> {
        let SecretKey { name, key } = reference;
        self.file(field, name, key)
    }

    /// Where the part of a ConfigMap is that `field` of the manifest refers to: beside the secrets.
    pub(super) fn config_map(&self, field: &'static str, reference: &ConfigMapKey) -> Result<PathBuf, SecretError> {
        let ConfigMapKey { name, key } = reference;
        self.file(field, name, key)
    }

    fn file(&self, field: &'static str, name: &str, key: &str) -> Result<PathBuf, SecretError> {
        match &self.0 {
            None => Err(SecretError::NoDirectory { field, name: name.to_owned(), key: key.to_owned() }),
            Some(directory) => Ok(directory.join(name).join(key)),
        }
    }

    /// Where the whole Secret `name` is that `field` of the manifest refers to.
    pub(super) fn folder(&self, field: &'static str, name: &str) -> Result<PathBuf, SecretError> {
        match &self.0 {
            None => Err(SecretError::NoDirectoryOf { field, name: name.to_owned() }),
            Some(directory) => Ok(directory.join(name)),
        }
    }

    /// Where a secret is that the operator generates.
    pub(super) fn generated_path(&self, path: &'static str) -> Option<PathBuf> {
        Some(self.0.as_ref()?.join(path))
    }

    /// A secret that the operator generates, by its path under the directory; None where nobody made one.
    pub(super) fn generated(&self, path: &'static str) -> Result<Option<Arc<[u8]>>, SecretError> {
        let Some(directory) = &self.0 else { return Ok(None) };
        match read(path, &directory.join(path)) {
            Err(SecretError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            found => found.map(Some),
        }
    }
}

fn read(field: &'static str, path: &Path) -> Result<Arc<[u8]>, SecretError> {
    let failed = |source| SecretError::Read { field, path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > MAX_BYTES {
        return Err(SecretError::Size { field, path: path.to_owned(), bytes });
    }
    let content = std::fs::read(path).map_err(failed)?;
    // Editors and `echo` end files with a line break that nobody means.
    let secret = content.strip_suffix(b"\n").unwrap_or(&content);
    if secret.is_empty() {
        return Err(SecretError::Size { field, path: path.to_owned(), bytes: 0 });
    }
    Ok(secret.into())
}
