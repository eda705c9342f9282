//! Why something failed: the action that failed, and the error that stopped it.
//!
//! Decides nothing. Used by the errors of Redis, of the bus and of the directory; an error that they come from is kept as
//! the source.

use std::{borrow::Cow, error::Error, fmt, sync::Arc};

/// Why something failed. Errors are copied to everybody who waits for a request, so the source is shared.
#[derive(Clone, Debug)]
pub enum Cause {
    /// No other error is the reason.
    Alone(Cow<'static, str>),
    /// An action, and the error that stopped it.
    Because { action: Cow<'static, str>, source: Arc<dyn Error + Send + Sync> },
}

impl Cause {
    /// `action` names what failed ("failed to read a page of history"); `source` is why.
    pub fn because(action: impl Into<Cow<'static, str>>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Because { action: action.into(), source: Arc::from(source.into()) }
    }
}

impl From<&'static str> for Cause {
    fn from(text: &'static str) -> Self {
        Self::Alone(text.into())
    }
}

impl From<String> for Cause {
    fn from(text: String) -> Self {
        Self::Alone(text.into())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alone(text) => f.write_str(text),
            Self::Because { action, source } => write!(f, "{action}: {source}"),
        }
    }
}

impl Error for Cause {
    // Derived, it would be the Arc, of which nobody can ask which error it is.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Alone(_) => None,
            Self::Because { source, .. } => Some(&**source),
        }
    }
}

/// Causes are equal if they say the same.
impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Cause {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_names_the_action_and_keeps_its_source() {
        let io = std::io::Error::other("no route");
        let cause = Cause::because("failed to connect", io);
        assert_eq!(cause.to_string(), "failed to connect: no route");
        assert!(cause.source().is_some_and(|source| source.is::<std::io::Error>()));
        assert!(Cause::from("no answer").source().is_none());
    }
}
