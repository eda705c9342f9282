//! One thing that is wrong with a document, as `check` and `manifest` report it.

use std::fmt;

/// One thing that is wrong, with the path of the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// As the API server writes it: `spec.route.hosts[0]`. Empty where a rule concerns several fields; the message names
    /// them.
    pub path: String,
    /// What must be different.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.path, self.message)
    }
}
