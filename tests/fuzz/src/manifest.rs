//! A ChatRoom as somebody wrote it.

use parlor_crds::{ManifestError, load as read, validate};

/// What is accepted stays accepted when it is written down; what is refused is refused by the name of a field.
pub(crate) fn load(data: &[u8]) {
    match read(&String::from_utf8_lossy(data)) {
        Ok(room) => {
            validate(&room).unwrap_or_else(|error| panic!("accepted, then refused: {error}"));
            let written = serde_json::to_string(&room).expect("a ChatRoom is JSON");
            let again = read(&written).unwrap_or_else(|error| panic!("{error}: {written}"));
            assert_eq!(serde_json::to_string(&again).ok(), Some(written));
        }
        Err(ManifestError::Invalid(violations)) => {
            assert!(!violations.is_empty());
            for violation in violations {
                // Rules about the whole name their fields themselves.
                let named = !violation.path.is_empty() || violation.message.starts_with("metadata.name ");
                assert!(named && !violation.message.is_empty(), "no field: {violation:?}");
            }
        }
        // The schema is made from the types: what it lets pass must fit them.
        Err(ManifestError::Types(error)) => panic!("checked, but not of the types: {error}"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
