//! The protocols of a ChatRoom: where each is reached, and its own settings.
//!
//! Every protocol has a path on the shared port and, if a port is named, one of its own on which any path is its.

use kube::{
    KubeSchema,
    core::{Rule, validate},
};
use schemars::Schema;
use serde::{Deserialize, Serialize};

use super::{
    period::Period,
    strings::{self, SecretSource},
};

/// The protocols to serve.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = keep_apart)]
#[serde(rename_all = "camelCase")]
pub struct Protocols {
    /// Parlor's own protocol, which the page speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native: Option<Native>,
    /// OnlyOne: JSON requests and pushes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onlyone: Option<OnlyOne>,
    /// Message relay: protobuf frames, `POST /msg` and `POST /tk`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<Relay>,
    /// Stranger matching: JSON commands between two people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#match: Option<Match>,
    /// Many people, blocks and contacts, with HTTP endpoints under `/ws/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiperson: Option<Multiperson>,
}

/// Names of the protocols as the manifest has them.
const NAMES: [&str; 5] = ["native", "onlyone", "relay", "match", "multiperson"];

/// Adds the rules that hold between protocols: at least one, and no path, port or host twice. Written out for each
/// pair, so that the message names both fields and the API server can bound the cost.
fn keep_apart(schema: &mut Schema) {
    let named = NAMES.map(|n| format!("has(self.{n})")).join(" || ");
    add(schema, Rule::new(named).message("spec.protocols must name at least one protocol"));
    let ports: Vec<(&str, &str)> = NAMES.iter().map(|n| (*n, "port")).chain([("multiperson", "httpPort")]).collect();
    for_pairs(&NAMES.map(|n| (n, "path")), |a, b| add(schema, differ(a, b)));
    for_pairs(&ports, |a, b| add(schema, differ(a, b)));
    for_pairs(&NAMES.map(|n| (n, "hosts")), |a, b| {
        let rule = format!("!{} || !{} || !{}.exists(h, h in {})", has(a), has(b), field(a), field(b));
        let message = format!("{} and {} must not share a host", named_field(a), named_field(b));
        add(schema, Rule::new(rule).message(message.as_str()));
    });
}

type Field<'a> = (&'a str, &'a str);

fn field((protocol, name): Field<'_>) -> String {
    format!("self.{protocol}.{name}")
}

fn named_field((protocol, name): Field<'_>) -> String {
    format!("spec.protocols.{protocol}.{name}")
}

fn has(f: Field<'_>) -> String {
    format!("(has(self.{}) && has({}))", f.0, field(f))
}

fn differ(a: Field<'_>, b: Field<'_>) -> Rule {
    let message = format!("{} and {} must differ", named_field(a), named_field(b));
    Rule::new(format!("!{} || !{} || {} != {}", has(a), has(b), field(a), field(b))).message(message.as_str())
}

fn for_pairs<'a>(fields: &[Field<'a>], mut each: impl FnMut(Field<'a>, Field<'a>)) {
    for (i, a) in fields.iter().enumerate() {
        fields[i + 1..].iter().for_each(|b| each(*a, *b));
    }
}

fn add(schema: &mut Schema, rule: Rule) {
    validate(schema, rule).expect("a rule is plain strings, which always serialize");
}

/// Parlor's own protocol.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Native {
    /// Path on the shared port.
    #[serde(default = "native_path")]
    #[schemars(schema_with = "strings::path")]
    pub path: String,
    /// A port of its own, on which any path is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "strings::port")]
    pub port: Option<u16>,
    /// Hosts on which every path of the shared port is this protocol's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "strings::hosts")]
    pub hosts: Vec<String>,
    /// Instead of `limits.messageBytes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "strings::message_bytes")]
    pub message_bytes: Option<u32>,
    /// The only rooms there are. Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "strings::rooms")]
    pub rooms: Vec<String>,
}

/// OnlyOne.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OnlyOne {
    /// Path on the shared port.
    #[serde(default = "onlyone_path")]
    #[schemars(schema_with = "strings::path")]
    pub path: String,
    /// A port of its own, on which any path is accepted; its clients expect 9090.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "strings::port")]
    pub port: Option<u16>,
    /// Hosts on which every path of the shared port is this protocol's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "strings::hosts")]
    pub hosts: Vec<String>,
    /// Instead of `limits.messageBytes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "strings::message_bytes")]
    pub message_bytes: Option<u32>,
    /// The rooms there are.
    #[serde(default = "onlyone_rooms")]
    #[schemars(schema_with = "strings::some_rooms")]
    pub rooms: Vec<String>,
    /// The key of 16 bytes that the clients' tokens are encrypted with. Absent: tokens are not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretSource>,
    /// Origins that may connect. Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253)))]
    pub allowed_origins: Vec<String>,
}

/// Message relay.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Relay {
    /// Path on the shared port.
    #[serde(default = "relay_path")]
    #[schemars(schema_with = "strings::path")]
    pub path: String,
    /// A port of its own, on which any path is accepted; its clients expect 8081.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "strings::port")]
    pub port: Option<u16>,
    /// Hosts on which every path of the shared port is this protocol's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "strings::hosts")]
    pub hosts: Vec<String>,
    /// Instead of `limits.messageBytes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "strings::message_bytes")]
    pub message_bytes: Option<u32>,
    /// The only rooms there are. Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "strings::rooms")]
    pub rooms: Vec<String>,
    /// The key that tokens are signed with. Absent: one is made and kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_key: Option<SecretSource>,
    /// Whether `POST /tk` hands out tokens. Absent: as `auth.anonymous` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue_tokens: Option<bool>,
    /// Refuses messages to rooms that the connection is not signed in to.
    #[serde(default)]
    pub require_membership: bool,
}

/// Stranger matching.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Match {
    /// Path on the shared port.
    #[serde(default = "match_path")]
    #[schemars(schema_with = "strings::path")]
    pub path: String,
    /// A port of its own, on which any path is accepted; its clients expect 18224.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "strings::port")]
    pub port: Option<u16>,
    /// Hosts on which every path of the shared port is this protocol's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "strings::hosts")]
    pub hosts: Vec<String>,
    /// Instead of `limits.messageBytes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "strings::message_bytes")]
    pub message_bytes: Option<u32>,
    /// How long an account waits for its client to come back; at most 1h.
    #[serde(default = "reconnect_grace")]
    #[x_kube(validation = Rule::new("duration(self) <= duration('1h')")
        .message("spec.protocols.match.reconnectGrace must be at most 1h"))]
    pub reconnect_grace: Period,
}

/// Many people, blocks and contacts.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Multiperson {
    /// Path on the shared port.
    #[serde(default = "multiperson_path")]
    #[schemars(schema_with = "strings::path")]
    pub path: String,
    /// A port of its own, on which any path is accepted; its clients expect 7000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "strings::port")]
    pub port: Option<u16>,
    /// A port of its own for the HTTP endpoints; its clients expect 3100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "strings::port")]
    pub http_port: Option<u16>,
    /// Hosts on which every path of the shared port is this protocol's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "strings::hosts")]
    pub hosts: Vec<String>,
    /// Instead of `limits.messageBytes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "strings::message_bytes")]
    pub message_bytes: Option<u32>,
    /// The room that clients of the first generation share.
    #[serde(default = "multiperson_room")]
    #[schemars(schema_with = "strings::room")]
    pub room: String,
    /// Greets people who join the first block.
    #[serde(default)]
    pub welcome: bool,
}

fn native_path() -> String {
    "/chat".into()
}

fn onlyone_path() -> String {
    "/onlyone".into()
}

fn onlyone_rooms() -> Vec<String> {
    vec!["onlyOne".into()]
}

fn relay_path() -> String {
    "/room".into()
}

fn match_path() -> String {
    "/ws".into()
}

fn reconnect_grace() -> Period {
    Period::from_secs(30)
}

fn multiperson_path() -> String {
    "/multiperson".into()
}

fn multiperson_room() -> String {
    "0".into()
}

impl Default for Native {
    fn default() -> Self {
        Self { path: native_path(), port: None, hosts: Vec::new(), message_bytes: None, rooms: Vec::new() }
    }
}

impl Default for OnlyOne {
    fn default() -> Self {
        Self {
            path: onlyone_path(),
            port: None,
            hosts: Vec::new(),
            message_bytes: None,
            rooms: onlyone_rooms(),
            token: None,
            allowed_origins: Vec::new(),
        }
    }
}

impl Default for Relay {
    fn default() -> Self {
        Self {
            path: relay_path(),
            port: None,
            hosts: Vec::new(),
            message_bytes: None,
            rooms: Vec::new(),
            token_key: None,
            issue_tokens: None,
            require_membership: false,
        }
    }
}

impl Default for Match {
    fn default() -> Self {
        Self {
            path: match_path(),
            port: None,
            hosts: Vec::new(),
            message_bytes: None,
            reconnect_grace: reconnect_grace(),
        }
    }
}

impl Default for Multiperson {
    fn default() -> Self {
        Self {
            path: multiperson_path(),
            port: None,
            http_port: None,
            hosts: Vec::new(),
            message_bytes: None,
            room: multiperson_room(),
            welcome: false,
        }
    }
}

/// Where a protocol is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint<'a> {
    /// `native`, `onlyone`, `relay`, `match` or `multiperson`.
    pub protocol: &'static str,
    /// On the shared port.
    pub path: &'a str,
    /// Its own port for WebSockets.
    pub port: Option<u16>,
    /// Its own port for HTTP endpoints, where that is another one.
    pub http_port: Option<u16>,
    /// Hosts that are wholly its.
    pub hosts: &'a [String],
    /// Its own limit of a message's payload.
    pub message_bytes: Option<u32>,
}

impl Protocols {
    /// All protocols on their paths, without ports of their own.
    pub fn all() -> Self {
        Self {
            native: Some(Native::default()),
            onlyone: Some(OnlyOne::default()),
            relay: Some(Relay::default()),
            r#match: Some(Match::default()),
            multiperson: Some(Multiperson::default()),
        }
    }

    /// Where each protocol that is served is reached.
    pub fn endpoints(&self) -> Vec<Endpoint<'_>> {
        let Self { native, onlyone, relay, r#match, multiperson } = self;
        macro_rules! endpoint {
            ($name:literal, $p:expr, $http:expr) => {
                $p.as_ref().map(|p| Endpoint {
                    protocol: $name,
                    path: &p.path,
                    port: p.port,
                    http_port: $http,
                    hosts: &p.hosts,
                    message_bytes: p.message_bytes,
                })
            };
        }
        [
            endpoint!("native", native, None),
            endpoint!("onlyone", onlyone, None),
            endpoint!("relay", relay, None),
            endpoint!("match", r#match, None),
            endpoint!("multiperson", multiperson, multiperson.as_ref().and_then(|m| m.http_port)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
