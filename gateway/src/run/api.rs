//! The server API as a part of the gateway: where it listens, where its tokens are, and what it is given.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use parlor_crds::ChatRoom;
use tokio::task::JoinSet;

use super::{environment::Environment, error::RunError, listeners::bind, secrets::Secrets};
use crate::{
    fanout::{asker::Asker, moderating::Moderating, poster::Poster, recent::Recent},
    http::{
        api::{self, ApiSettings, ApiSite, Meter, Tokens},
        listen::Acceptor,
    },
};

/// Where the tokens are without `spec.api`, in the directory of the Secrets.
const FOLDER: &str = "api";

/// The arguments that concern it.
#[derive(Debug)]
pub(super) struct ApiArguments {
    pub(super) listen: Option<SocketAddr>,
    pub(super) tokens: Option<PathBuf>,
}

/// Where it listens, and who may use it.
#[derive(Debug)]
pub(super) struct ApiPlace {
    address: SocketAddr,
    /// The address was asked for, so it is an error if it is taken.
    asked_for: bool,
    tokens: Tokens,
}

/// What it shares with the rest of the gateway.
pub(super) struct ApiParts {
    pub(super) poster: Poster,
    pub(super) recent: Recent,
    pub(super) asker: Asker,
    pub(super) moderating: Moderating,
    pub(super) key: Arc<[u8]>,
    pub(super) message_bytes: u32,
    pub(super) meter: Arc<Meter>,
}

impl ApiArguments {
    /// Where it is to listen: None where neither the ChatRoom nor the command line asks for it.
    pub(super) fn place(self, room: &ChatRoom, ip: IpAddr, secrets: &Secrets) -> Result<Option<ApiPlace>, RunError> {
        const FIELD: &str = "spec.api.tokensRef";
        let Self { listen, tokens } = self;
        let spec = room.spec.api.as_ref();
        let Some(address) = listen.or_else(|| Some(SocketAddr::new(ip, spec?.port))) else { return Ok(None) };
        let folder = || secrets.folder(FIELD, spec.map_or(FOLDER, |api| &api.tokens_ref.name));
        let tokens = Tokens::read(&tokens.map_or_else(folder, Ok)?)?;
        Ok(Some(ApiPlace { address, asked_for: listen.is_some(), tokens }))
    }
}

impl ApiPlace {
    /// Listens, and reads the tokens again while it does. A port of the ChatRoom that is taken is an error in a pod;
    /// elsewhere a warning, so that two gateways can run on one machine.
    pub(super) fn serve(
        self,
        room: &ChatRoom,
        environment: &Environment,
        parts: ApiParts,
        acceptor: &Acceptor,
        tasks: &mut JoinSet<()>,
    ) -> Result<(), RunError> {
        let Self { address, asked_for, tokens } = self;
        let listener = match bind("api", "http", address) {
            Ok(listener) => listener,
            Err(error) if asked_for || environment.is_pod() => return Err(error),
            Err(error) => {
                tracing::warn!("{error}");
                return Ok(());
            }
        };
        let ApiParts { poster, recent, asker, moderating, key, message_bytes, meter } = parts;
        let router = api::router(ApiSettings {
            tokens: tokens.clone(),
            poster,
            recent,
            asker,
            moderating,
            signing_key: room.spec.served().native.map(|_| key),
            message_bytes: message_bytes as usize,
            meter,
        });
        tasks.spawn(acceptor.for_api().serve(listener, Arc::new(ApiSite::new(router))));
        tasks.spawn(tokens.keep_fresh());
        Ok(())
    }
}
