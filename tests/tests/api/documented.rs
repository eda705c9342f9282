//! The commands in `docs/api.md` answer what is written there, and every route answers as `/openapi.json` says.

use std::{fs, path::Path, process::Command};

use parlor_tests::{client::http::Request, table::Variables};
use serde_json::Value;

use crate::{TOKEN, get, memory, post};

/// A command, and the lines that it prints.
struct Example {
    line: usize,
    command: String,
    answers: Vec<String>,
}

/// The commands in blocks marked `console`, in groups: the names of values hold within a block.
fn examples(markdown: &str) -> Vec<Vec<Example>> {
    let mut blocks: Vec<Vec<Example>> = Vec::new();
    let mut inside = false;
    for (at, line) in markdown.lines().enumerate() {
        match (inside, line, blocks.last_mut()) {
            (false, "```console", _) => {
                inside = true;
                blocks.push(Vec::new());
            }
            (true, "```", _) => inside = false,
            (true, line, Some(block)) => match (line.strip_prefix("$ "), block.last_mut()) {
                (Some(command), _) => {
                    block.push(Example { line: at + 1, command: command.to_owned(), answers: Vec::new() })
                }
                (None, Some(example)) => example.answers.push(line.to_owned()),
                (None, None) => panic!("line {}: an answer before a command", at + 1),
            },
            _ => {}
        }
    }
    blocks
}

#[tokio::test]
async fn every_command_in_the_reference_of_the_api_answers_as_written() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api.md");
    let blocks = examples(&fs::read_to_string(path).unwrap());
    assert!(blocks.len() >= 6, "the reference has examples");
    let api = memory().await;
    for block in blocks {
        let mut known = Variables::default();
        for Example { line, command, answers } in block {
            let mut shell = Command::new("bash");
            shell.args(["-c", &command]).env("API", format!("http://{}", api.address));
            shell.env("AUTH", format!("Authorization: Bearer {TOKEN}")).env("JSON", "Content-Type: application/json");
            let output = tokio::task::spawn_blocking(move || shell.output()).await.unwrap().unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            let (said, wanted) = (said.lines().collect::<Vec<_>>(), answers);
            assert_eq!(said.len(), wanted.len(), "docs/api.md:{line}: {said:?}");
            for (said, wanted) in said.iter().zip(&wanted) {
                let (found, pattern) = (serde_json::from_str(said).unwrap(), serde_json::from_str(wanted).unwrap());
                assert!(known.matches(&pattern, &found), "docs/api.md:{line}\n  wanted: {wanted}\n  said:   {said}");
            }
        }
    }
}

/// A request that each route answers with 200, by method and path.
fn requests() -> Vec<(&'static str, &'static str, Request)> {
    vec![
        ("post", "/v1/rooms/{room}/messages", post("/v1/rooms/lobby/messages", r#"{"body":{"text":"hi"}}"#)),
        ("get", "/v1/rooms/{room}/messages", get("/v1/rooms/lobby/messages")),
        ("post", "/v1/messages", {
            let line = post("/v1/messages", r#"{"room":"lobby","body":{"text":"hi"}}"#);
            Request { headers: vec![("Content-Type".into(), "application/x-ndjson".into())], ..line }
        }),
        ("get", "/v1/rooms", get("/v1/rooms")),
        ("get", "/v1/rooms/{room}/members", get("/v1/rooms/lobby/members")),
        ("post", "/v1/rooms/{room}/moderation", {
            post("/v1/rooms/lobby/moderation", r#"{"action":"mute","person":"u2","seconds":600}"#)
        }),
        ("get", "/v1/moderation/log", get("/v1/moderation/log")),
        ("post", "/v1/tokens", post("/v1/tokens", r#"{"id":"u1","name":"ada"}"#)),
    ]
}

/// Resolves `$ref`.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference}")),
        None => schema,
    }
}

/// Whether `value` is what `schema` says, as far as its types and required fields.
fn fits(document: &Value, schema: &Value, value: &Value) -> bool {
    let schema = resolved(document, schema);
    let types = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    };
    let kinds: Vec<&str> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let known = schema["properties"].as_object();
    let fields = value.as_object().into_iter().flatten();
    kinds.into_iter().any(types)
        && required.into_iter().all(|name| value.get(name).is_some())
        && fields.into_iter().all(|(name, value)| {
            known.is_none_or(|known| known.get(name).is_some_and(|schema| fits(document, schema, value)))
        })
        && value.as_array().into_iter().flatten().all(|item| fits(document, &schema["items"], item))
}

#[tokio::test]
async fn every_route_is_documented_and_answers_as_the_document_says() {
    let api = memory().await;
    let answer = api.send(get("/openapi.json")).await;
    assert_eq!(answer.status, 200, "the document takes no token");
    let document: Value = serde_json::from_str(&answer.body).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let documented: Vec<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| (method.clone(), path.clone())))
        .collect();
    let tried = requests();
    assert_eq!(documented.len(), tried.len(), "{documented:?}");
    for (method, path, request) in tried {
        let route = &document["paths"][path][method];
        assert!(route["summary"].is_string(), "{method} {path} says nothing about itself");
        let media = if path == "/v1/messages" { "application/x-ndjson" } else { "application/json" };
        let answered = api.send(request.clone().bearer(TOKEN)).await;
        assert_eq!(answered.status, 200, "{method} {path}: {answered:?}");
        let schema = &route["responses"]["200"]["content"][media]["schema"];
        let value = serde_json::from_str(answered.body.lines().next().unwrap()).unwrap();
        assert!(fits(&document, schema, &value), "{method} {path}: {value} is not {schema}");
        let refused = api.send(request).await;
        let schema = &route["responses"][refused.status.to_string()]["content"]["application/json"]["schema"];
        let value = serde_json::from_str(&refused.body).unwrap();
        assert!(refused.status == 401 && fits(&document, schema, &value), "{method} {path}: {value} is not {schema}");
    }
}
