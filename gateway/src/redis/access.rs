//! How servers want to be spoken to: user, password, TLS.
//!
//! Decides what a new connection presents. Files are read again whenever a connection is opened: a Secret that is mounted
//! changes in place when a password is rotated. Never keeps or logs a password from a file.

use std::{
    error::Error,
    fmt, fs,
    path::{Path, PathBuf},
};

use fred::types::config::{TlsConfig, TlsConnector};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::fault::Fault;
use crate::{authorities::system_roots, rooms::Cause};

/// The password of the Redis user.
#[derive(Clone)]
pub enum Password {
    /// The password itself.
    Given(String),
    /// The file that holds it; a line break at its end is not part of it.
    File(PathBuf),
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(_) => f.write_str("Given(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

impl Password {
    fn read(&self) -> Result<String, Fault> {
        match self {
            Self::Given(password) => Ok(password.clone()),
            Self::File(path) => {
                let unread = |error| {
                    Fault::Gone(Cause::because(format!("failed to read the password in {}", path.display()), error))
                };
                let text = fs::read_to_string(path).map_err(unread)?;
                Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
            }
        }
    }
}

/// How servers prove who they are.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// PEM file of the authorities to trust; absent: those of the system, or the public ones where it has none.
    pub roots: Option<PathBuf>,
    /// The name that every server goes by; absent: each by the host that it is dialled at.
    pub name: Option<String>,
}

/// What every connection presents.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Password>,
    pub(crate) tls: Option<Tls>,
}

/// What one connection presents.
pub(crate) struct Presented {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) tls: Option<TlsConfig>,
}

impl Access {
    /// Reads the files as they are now.
    pub(crate) fn present(&self) -> Result<Presented, Fault> {
        let Self { username, password, tls } = self;
        Ok(Presented {
            username: username.clone(),
            password: password.as_ref().map(Password::read).transpose()?,
            tls: tls.as_ref().map(Tls::config).transpose()?,
        })
    }
}

impl Tls {
    fn config(&self) -> Result<TlsConfig, Fault> {
        // An error says that the process has a provider already, which will do.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let roots = match &self.roots {
            None => system_roots().clone(),
            Some(path) => {
                let unread = |error| {
                    Fault::Gone(Cause::because(format!("failed to read the TLS roots in {}", path.display()), error))
                };
                authorities(path).map_err(unread)?
            }
        };
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(TlsConnector::from(config).into())
    }
}

/// The authorities in a PEM file.
fn authorities(path: &Path) -> Result<RootCertStore, Box<dyn Error + Send + Sync>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path)? {
        roots.add(certificate?)?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_read_again_each_time_and_never_shown() {
        let path = std::env::temp_dir().join(format!("parlor-password-{}", std::process::id()));
        let access = Access { password: Some(Password::File(path.clone())), ..Access::default() };
        for password in ["first", "second"] {
            fs::write(&path, format!("{password}\n")).unwrap();
            assert_eq!(access.present().unwrap().password.as_deref(), Some(password));
        }
        fs::remove_file(&path).unwrap();
        assert!(access.present().is_err());
        assert!(!format!("{:?}", Password::Given("secret".into())).contains("secret"));
    }
}
