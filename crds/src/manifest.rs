//! Reads a ChatRoom from a file and refuses what an API server would refuse, naming the same fields.
//!
//! Called by `parlor-gateway` for the file it is given, and by the operator for objects that an older definition let
//! through. Rules of the schema are checked first; the CEL rules, which assume it, only when it holds.

use kube::core::cel::{ValidationErrors, Validator};
use serde::Deserialize;
use serde_json::Value;

use crate::{chatroom::ChatRoom, check::check, requests, schema::schema, violation::Violation};

/// Largest file that is read, in bytes; an API server refuses objects above some 1.5 MB.
pub const MAX_BYTES: usize = 1 << 20;

/// Why a text is no ChatRoom.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not YAML, or a key twice.
    #[error("not readable as YAML: {0}")]
    Syntax(#[from] serde_yaml::Error),
    #[error("larger than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("holds {0} documents instead of one")]
    Documents(usize),
    #[error("{field}: must be {wanted}, not {found}")]
    Kind { field: &'static str, wanted: &'static str, found: String },
    /// One line each.
    #[error("{}", lines(.0))]
    Invalid(Vec<Violation>),
    /// The schema and the types disagree.
    #[error("the checked document does not fit the types: {0}")]
    Types(#[from] serde_json::Error),
}

fn lines(violations: &[Violation]) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Reads one ChatRoom, with all defaults filled in.
pub fn load(text: &str) -> Result<ChatRoom, ManifestError> {
    let mut value = parse(text)?;
    kind(&value, "apiVersion", "parlor.chat/v1alpha1")?;
    kind(&value, "kind", "ChatRoom")?;
    if !value.pointer("/metadata/name").is_some_and(Value::is_string) {
        let found = "absent or no text".to_owned();
        return Err(ManifestError::Kind { field: "metadata.name", wanted: "a name", found });
    }
    refuse(check(schema(), &mut value, ""))?;
    refuse(rules(&value, None))?;
    Ok(serde_json::from_value(value)?)
}

/// Checks a ChatRoom that was read from elsewhere.
pub fn validate(room: &ChatRoom) -> Result<(), ManifestError> {
    let mut value = serde_json::to_value(room)?;
    refuse(check(schema(), &mut value, ""))?;
    refuse(rules(&value, None))
}

/// Checks what may not change between two versions of a ChatRoom, besides everything else.
pub fn validate_update(room: &ChatRoom, old: &ChatRoom) -> Result<(), ManifestError> {
    let mut value = serde_json::to_value(room)?;
    refuse(check(schema(), &mut value, ""))?;
    refuse(rules(&value, Some(&serde_json::to_value(old)?)))
}

fn parse(text: &str) -> Result<Value, ManifestError> {
    if text.len() > MAX_BYTES {
        return Err(ManifestError::TooLarge);
    }
    // Through YAML's own value, which refuses a key that is there twice.
    let documents = serde_yaml::Deserializer::from_str(text)
        .map(serde_yaml::Value::deserialize)
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .filter(|document| !document.is_null())
        .collect::<Vec<_>>();
    match <[serde_yaml::Value; 1]>::try_from(documents) {
        Ok([document]) => {
            let mut found = Vec::new();
            keys(&document, "", &mut found);
            refuse(found)?;
            Ok(serde_json::to_value(document)?)
        }
        Err(documents) => Err(ManifestError::Documents(documents.len())),
    }
}

/// Finds mappings with keys that YAML has and JSON does not. The parser bounds how deep they nest.
fn keys(value: &serde_yaml::Value, path: &str, found: &mut Vec<Violation>) {
    use serde_yaml::Value::{Bool, Mapping, Number, Sequence, String, Tagged};
    match value {
        Mapping(map) => {
            for (key, value) in map {
                match key {
                    String(name) if path.is_empty() => keys(value, name, found),
                    String(name) => keys(value, &format!("{path}.{name}"), found),
                    Number(_) | Bool(_) => keys(value, path, found),
                    _ => {
                        let path = if path.is_empty() { "the document" } else { path };
                        found.push(Violation { path: path.to_owned(), message: "must have text as keys".to_owned() });
                    }
                }
            }
        }
        Sequence(items) => items.iter().for_each(|item| keys(item, path, found)),
        Tagged(tagged) => keys(&tagged.value, path, found),
        _ => {}
    }
}

fn kind(value: &Value, field: &'static str, wanted: &'static str) -> Result<(), ManifestError> {
    match value.get(field).and_then(Value::as_str) {
        Some(found) if found == wanted => Ok(()),
        found => Err(ManifestError::Kind { field, wanted, found: found.unwrap_or("absent").to_owned() }),
    }
}

fn refuse(violations: Vec<Violation>) -> Result<(), ManifestError> {
    if violations.is_empty() { Ok(()) } else { Err(ManifestError::Invalid(violations)) }
}

fn rules(value: &Value, old: Option<&Value>) -> Vec<Violation> {
    let result: Result<(), ValidationErrors> = Validator::new().validate(schema(), value, old);
    let errors = result.err().map(ValidationErrors::into_vec).unwrap_or_default();
    let of_schema = errors.into_iter().map(|e| Violation { path: e.field_path, message: e.message });
    of_schema.chain(requests::check(value)).collect()
}
