//! The protocols of a ChatRoom: where each is reached, and its own settings.
//!
//! Every protocol has a path on the shared port and, if a port is named, one of its own on which any path is its.

use kube::{
    KubeSchema,
    core::{Rule, validate},
};
use schemars::Schema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    period::Period,
    strings::{self, SecretSource},
};

/// The protocols to serve.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = keep_apart)]
#[serde(rename_all = "camelCase")]
pub struct Protocols {
    /// Parlor's own protocol, which the page uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native: Option<Native>,
    /// Protocol of OnlyOne: JSON requests and pushes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onlyone: Option<OnlyOne>,
    /// Protocol of chat_room: protobuf frames, `POST /msg` and `POST /tk`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<Relay>,
    /// Protocol of vearne/chat: matching of strangers, JSON commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#match: Option<Match>,
    /// Protocol of MutiPersonChat: contacts and blocks, with HTTP endpoints under `/ws/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiperson: Option<Multiperson>,
}

/// Adds the rules that hold between protocols: at least one, and no path, port or host twice. Written out for each
/// pair, so that the message names both fields and the API server can bound the cost.
fn keep_apart(schema: &mut Schema) {
    let properties = schema.get("properties").and_then(Value::as_object);
    let names: Vec<String> = properties.into_iter().flat_map(Map::keys).cloned().collect();
    let of_each = |field| names.iter().map(|name| (name.as_str(), field)).collect::<Vec<_>>();
    let named = names.iter().map(|n| format!("has(self.{n})")).collect::<Vec<_>>().join(" || ");
    add(schema, Rule::new(named).message("spec.protocols must name at least one protocol"));
    for_pairs(&of_each("path"), |a, b| add(schema, differ(a, b)));
    for_pairs(&[of_each("port"), vec![("multiperson", "httpPort")]].concat(), |a, b| add(schema, differ(a, b)));
    for_pairs(&of_each("hosts"), |a, b| {
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

/// A protocol: where it is reached and what it may carry, which all protocols share, then what is its own. A macro,
/// because flattening a struct into another would lose the rules of its schema.
macro_rules! protocol {
    (
        $(#[$about:meta])*
        $name:ident on $path:ident = $path_name:tt
        $(#[$port:meta])* port
        $(#[$origins:meta])* origins
        $($(#[$attribute:meta])* $field:ident: $type:ty = $default:expr,)*
    ) => {
        $(#[$about])*
        #[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// Path on the shared port.
            #[serde(default = $path_name)]
            #[schemars(schema_with = "strings::path")]
            pub path: String,
            $(#[$port])*
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "strings::port")]
            pub port: Option<u16>,
            /// Host names on which every path of the shared port speaks this protocol.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            #[schemars(schema_with = "strings::hosts")]
            pub hosts: Vec<String>,
            $(#[$origins])*
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            #[schemars(length(max = 32), inner(length(min = 1, max = 253)))]
            pub allowed_origins: Vec<String>,
            /// Maximum message payload in bytes for this protocol. Default: `limits.messageBytes`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "strings::message_bytes")]
            pub message_bytes: Option<u32>,
            /// Compresses messages for clients that offer permessage-deflate: less traffic for more CPU.
            // Left out where it is false, so that what gateways are given stays as it was before there was such a field.
            #[serde(default, skip_serializing_if = "std::ops::Not::not")]
            pub deflate: bool,
            $($(#[$attribute])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    path: $path(),
                    port: None,
                    hosts: Vec::new(),
                    allowed_origins: Vec::new(),
                    message_bytes: None,
                    deflate: false,
                    $($field: $default,)*
                }
            }
        }
    };
}

protocol! {
    /// Parlor's own protocol.
    Native on native_path = "native_path"
    /// A port of its own, on which any path is accepted.
    port
    /// Origins whose pages may connect, beside those of the gateway's own host; `*` allows any. Clients that are no
    /// browsers send no Origin, and may connect.
    origins
    /// The rooms that may be used. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "strings::rooms")]
    rooms: Vec<String> = Vec::new(),
}

protocol! {
    /// OnlyOne.
    OnlyOne on onlyone_path = "onlyone_path"
    /// A port of its own, on which any path is accepted; its clients expect 9090.
    port
    /// Origins whose pages may connect. Empty: any. Clients that are no browsers send no Origin, and may connect.
    origins
    /// The rooms that exist.
    #[serde(default = "onlyone_rooms")]
    #[schemars(schema_with = "strings::some_rooms")]
    rooms: Vec<String> = onlyone_rooms(),
    /// Key of 16 bytes that the clients' tokens are encrypted with. Default: tokens are not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<SecretSource> = None,
}

protocol! {
    /// Message relay.
    Relay on relay_path = "relay_path"
    /// A port of its own, on which any path is accepted; its clients expect 8081.
    port
    /// Origins whose pages may connect. Empty: any. Clients that are no browsers send no Origin, and may connect.
    origins
    /// The rooms that may be used. Default: any. Without `issueTokens` other protocols show them only to people who are
    /// known, unless they list them as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "strings::rooms")]
    rooms: Vec<String> = Vec::new(),
    /// Key that tokens are signed with. Default: a generated one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_key: Option<SecretSource> = None,
    /// Whether `POST /tk` issues tokens. Default: the value of `auth.anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issue_tokens: Option<bool> = None,
    /// Refuses messages to rooms that the connection is not signed in to.
    #[serde(default)]
    require_membership: bool = false,
}

protocol! {
    /// Stranger matching.
    Match on match_path = "match_path"
    /// A port of its own, on which any path is accepted; its clients expect 18224.
    port
    /// Origins whose pages may connect. Empty: any. Clients that are no browsers send no Origin, and may connect.
    origins
    /// How long an account and its sessions are kept after a lost connection; at most 1h.
    #[serde(default = "reconnect_grace")]
    #[x_kube(validation = Rule::new("duration(self) <= duration('1h')")
        .message("spec.protocols.match.reconnectGrace must be at most 1h"))]
    reconnect_grace: Period = reconnect_grace(),
}

protocol! {
    /// Many people, blocks and contacts.
    Multiperson on multiperson_path = "multiperson_path"
    /// A port of its own, on which any path is accepted; its clients expect 7000.
    port
    /// Origins whose pages may connect. Empty: any. Clients that are no browsers send no Origin, and may connect.
    origins
    /// A port of its own for the HTTP endpoints; its clients expect 3100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "strings::port")]
    http_port: Option<u16> = None,
    /// The room that clients of the first stage share.
    #[serde(default = "multiperson_room")]
    #[schemars(schema_with = "strings::room")]
    room: String = multiperson_room(),
    /// Whether clients receive a greeting when they connect.
    #[serde(default)]
    welcome: bool = false,
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
    /// Origins whose pages may connect.
    pub allowed_origins: &'a [String],
    /// Its own limit of a message's payload.
    pub message_bytes: Option<u32>,
    /// Whether its messages may be compressed.
    pub deflate: bool,
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
                    allowed_origins: &p.allowed_origins,
                    message_bytes: p.message_bytes,
                    deflate: p.deflate,
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
