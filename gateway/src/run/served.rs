//! From `spec.protocols` to the protocols as they are served.

use std::{collections::HashSet, sync::Arc};

use axum::routing::get;
use parlor_crds::{
    ChatRoom,
    chatroom::{Endpoint, OpenId, Protocols},
    contract,
};

use crate::{
    fanout::{poster::Poster, recent::Recent, session::Policy},
    http::{
        SystemClock,
        origins::Origins,
        refusals::Refusals,
        routes::upgrade_required,
        upgrade::Served,
        web::{self, PageSettings},
    },
    protocols::{
        self, Protocol, matching, multiperson, native,
        onlyone::{self, ProcessStats, TokenKey},
        relay,
    },
    rooms::{Access, Door, ProtocolId, RoomName},
    run::{RunError, bounds::Bounds, bus::Stores, secrets::Secrets},
    tokens::Verifier,
};

/// The room that the page opens where the ChatRoom names none.
const FIRST_ROOM: &str = "lobby";

/// A protocol, where it is found on the shared port, and its own ports.
pub(super) struct Configured {
    pub(super) served: Served,
    pub(super) own_ports: Vec<u16>,
}

/// What protocols are built from, beside the ChatRoom.
pub(super) struct Means<'a> {
    pub(super) secrets: &'a Secrets,
    /// Signs identities.
    pub(super) key: &'a Arc<[u8]>,
    pub(super) process_stats: &'a Arc<ProcessStats>,
    pub(super) stores: &'a Stores,
    pub(super) verifier: &'a Option<Arc<Verifier>>,
}

/// The protocols that the ChatRoom serves.
pub(super) fn protocols(room: &ChatRoom, bounds: Bounds, means: &Means<'_>) -> Result<Vec<Configured>, RunError> {
    let spec = room.spec.served();
    let protocols = build(room, bounds, &spec, means)?;
    let endpoints = spec.endpoints();
    #[cfg(feature = "echo")]
    let endpoints = [endpoints, vec![echo_endpoint()]].concat();
    let configured = endpoints.into_iter().filter_map(|endpoint| {
        let protocol = protocols.iter().find(|protocol| protocol.id().name() == endpoint.protocol)?;
        Some(configure(bounds, &endpoint, Arc::clone(protocol)))
    });
    Ok(configured.collect())
}

/// Parlor's own protocol is for its own pages, unless the ChatRoom says more; the others are as open as their originals,
/// unless it says less. OnlyOne answers a foreign page itself, as its original does.
fn origins(protocol: ProtocolId, allowed: &[String]) -> Origins {
    match protocol {
        ProtocolId::OnlyOne => Origins::Any,
        ProtocolId::Native => Origins::OwnHostAnd(allowed.to_vec()),
        _ if allowed.is_empty() => Origins::Any,
        _ => Origins::Listed(allowed.to_vec()),
    }
}

/// The protocol of the tests: no ChatRoom names it, so it is served wherever it was compiled in.
#[cfg(feature = "echo")]
fn echo_endpoint() -> Endpoint<'static> {
    Endpoint {
        protocol: ProtocolId::Echo.name(),
        path: protocols::echo::PATH,
        port: None,
        http_port: None,
        hosts: &[],
        allowed_origins: &[],
        message_bytes: Some(16 << 20),
        deflate: true,
    }
}

fn configure(bounds: Bounds, endpoint: &Endpoint<'_>, protocol: Arc<dyn Protocol>) -> Configured {
    let policy = Policy {
        message_bytes: endpoint.message_bytes.unwrap_or(bounds.message_bytes) as usize,
        messages_per_second: bounds.messages_per_second,
        over_rate: protocol.over_rate(),
        resumes: protocol.resumes(),
    };
    let protocol_id = protocol.id();
    Configured {
        served: Served {
            protocol,
            path: endpoint.path.to_owned(),
            hosts: endpoint.hosts.to_vec(),
            policy,
            origins: origins(protocol_id, endpoint.allowed_origins),
            deflate: endpoint.deflate,
        },
        own_ports: endpoint.port.into_iter().chain(endpoint.http_port).collect(),
    }
}

fn build(
    room: &ChatRoom,
    bounds: Bounds,
    spec: &Protocols,
    Means { secrets, key, process_stats, stores, verifier }: &Means<'_>,
) -> Result<Vec<Arc<dyn Protocol>>, RunError> {
    let Protocols { native, onlyone, relay, r#match, multiperson } = spec;
    let access = Arc::new(doors(room, spec));
    let mut settings = protocols::ProtocolSettings::default();
    if let Some(native) = native {
        settings.native = Some(native::NativeSettings {
            key: Arc::clone(key),
            anonymous: room.spec.auth.anonymous,
            verifier: (*verifier).clone(),
            access: Arc::clone(&access),
            message_bytes: native.message_bytes.unwrap_or(bounds.message_bytes),
        });
    }
    if let Some(onlyone) = onlyone {
        let token = onlyone.token.as_ref().map(|token| secrets.get("spec.protocols.onlyone.token", &token.secret_ref));
        let public_url = room.spec.route.as_ref().and_then(|route| route.public_url.clone());
        settings.onlyone = Some(onlyone::OnlyOneSettings {
            rooms: rooms(&onlyone.rooms).collect(),
            access: Arc::clone(&access),
            token_key: token.transpose()?.map(|key| TokenKey::try_from(&*key)).transpose()?,
            allowed_origins: onlyone.allowed_origins.clone(),
            public_url: public_url.unwrap_or_default(),
            process_stats: Arc::clone(process_stats),
        });
    }
    if let Some(relay) = relay {
        let key = match &relay.token_key {
            Some(source) => secrets.get("spec.protocols.relay.tokenKey", &source.secret_ref)?,
            None => generated(contract::RELAY_TOKEN_KEY, secrets, stores)?,
        };
        settings.relay = Some(relay::RelaySettings {
            key,
            issue_tokens: room.spec.relay_issues_tokens(relay),
            access: Arc::clone(&access),
            message_bytes: relay.message_bytes.unwrap_or(bounds.message_bytes) as usize,
            poster: Poster::new(Arc::clone(&stores.bus), Arc::clone(&stores.moderation)),
            rate: bounds.requests(),
            new_rooms: bounds.new_rooms(),
            clock: Arc::new(SystemClock),
        });
    }
    if let Some(r#match) = r#match {
        settings.matching =
            Some(matching::MatchSettings { key: Arc::clone(key), grace: r#match.reconnect_grace.as_duration() });
    }
    if let Some(multiperson) = multiperson {
        const FIELD: &str = "spec.protocols.multiperson.room";
        let room = RoomName::new(&multiperson.room).map_err(|source| RunError::Room { field: FIELD, source })?;
        settings.multiperson = Some(multiperson::MultiPersonSettings {
            room,
            access,
            welcome: multiperson.welcome,
            directory: Arc::clone(&stores.directory),
            poster: Poster::new(Arc::clone(&stores.bus), Arc::clone(&stores.moderation)),
            recent: Recent::new(Arc::clone(&stores.bus)),
        });
    }
    #[cfg(feature = "echo")]
    {
        settings.echo = Some(protocols::echo::EchoSettings);
    }
    Ok(protocols::registry(settings))
}

/// What signs identities.
pub(super) fn signing_key(secrets: &Secrets, stores: &Stores) -> Result<Arc<[u8]>, RunError> {
    generated(contract::SIGNING_KEY, secrets, stores)
}

/// A key that the operator generates; without one it is shared through Redis, or made up.
fn generated(name: &'static str, secrets: &Secrets, stores: &Stores) -> Result<Arc<[u8]>, RunError> {
    let given = secrets.generated(name)?;
    Ok(given.or_else(|| stores.shared_keys.get(name).cloned()).unwrap_or_else(made_up_key))
}

/// Who may use which room, protocol by protocol.
fn doors(room: &ChatRoom, Protocols { native, onlyone, relay, r#match: _, multiperson: _ }: &Protocols) -> Access {
    let anonymous = room.spec.auth.anonymous;
    let native = native.as_ref().map(|native| Door {
        rooms: allowed(&native.rooms),
        asks: !anonymous,
        guards: !anonymous,
        members_write: true,
    });
    // Its token says that a program is genuine, not who somebody is: it guards nothing.
    let onlyone = onlyone.as_ref().map(|onlyone| Door {
        rooms: Some(rooms(&onlyone.rooms).collect()),
        asks: onlyone.token.is_some(),
        ..Door::default()
    });
    let relay = relay.as_ref().map(|relay| Door {
        rooms: allowed(&relay.rooms),
        asks: true,
        guards: !room.spec.relay_issues_tokens(relay),
        members_write: relay.require_membership,
    });
    let doors = [(ProtocolId::Native, native), (ProtocolId::OnlyOne, onlyone), (ProtocolId::Relay, relay)];
    Access::new(doors.into_iter().filter_map(|(protocol, door)| Some((protocol, door?))))
}

/// On a laptop a key lives as long as the process; earlier identities and tokens are refused then.
fn made_up_key() -> Arc<[u8]> {
    rand::random::<[u8; 32]>().into()
}

/// An allow-list; None: any room.
fn allowed(names: &[String]) -> Option<HashSet<RoomName>> {
    (!names.is_empty()).then(|| rooms(names).collect())
}

/// Names that the schema has checked but for the length in bytes, where a longer one names no room that can be.
fn rooms(names: &[String]) -> impl Iterator<Item = RoomName> {
    names.iter().filter_map(|name| RoomName::new(name).ok())
}

/// What the shared port answers besides upgrades: the protocols' HTTP endpoints, and the page when there is a protocol
/// for it to speak.
pub(super) fn page(
    room: &ChatRoom,
    bounds: Bounds,
    protocols: &[Configured],
    refusals: &Refusals,
) -> Result<axum::Router, RunError> {
    let served = room.spec.served();
    let with_native = served.native.is_some();
    let router = protocols.iter().fold(axum::Router::new(), |router, configured| {
        let Served { protocol, path, .. } = &configured.served;
        router.merge(refusals.watch(protocol.id(), protocol.routes())).route(path, get(upgrade_required))
    });
    let native = served.native.unwrap_or_default();
    let page = room.spec.page.clone().unwrap_or_default();
    let shared = served.onlyone.map(|onlyone| onlyone.rooms).unwrap_or_default();
    let rooms = if native.rooms.is_empty() { shared } else { native.rooms };
    Ok(router.merge(web::routes(&PageSettings {
        title: room.metadata.name.clone().unwrap_or_default(),
        native: with_native.then_some(native.path),
        room: rooms.first().cloned().unwrap_or_else(|| FIRST_ROOM.to_owned()),
        rooms,
        message_bytes: native.message_bytes.unwrap_or(bounds.message_bytes),
        protocols: protocols.iter().map(|one| (one.served.protocol.id(), one.served.path.clone())).collect(),
        anonymous: room.spec.auth.anonymous,
        login: page.login_url,
        openid: page.openid.map(|OpenId { issuer, client_id, scopes }| web::OpenId { issuer, client_id, scopes }),
        console: page.console,
        media: page.media_hosts,
    })?))
}
