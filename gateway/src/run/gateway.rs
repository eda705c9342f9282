//! Starts a gateway's parts in order: admin port, stores, fan-out, chat ports, server API, and the tasks beside them.
//!
//! Decides the order and who is given what; what a part does is its own. Called once, by `run`.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    admin as admin_port,
    api::{ApiArguments, ApiParts, ApiPlace},
    bounds::Bounds,
    bus::{self, Stores},
    environment::Environment,
    error::RunError,
    fan_out::FanOut,
    listeners::{self, Listeners},
    manifest::Manifest,
    running::Running,
    secrets::Secrets,
    served::{self, Configured, Means},
    signals::Signals,
    tokens, usage,
};
use crate::{
    bus::{Bus, Health},
    directory::keeper,
    fanout::{
        hub::{Hub, HubSettings},
        moderating::Moderating,
        poster::Poster,
        reactor,
        recent::Recent,
    },
    http::{
        admin::{self, Admin, Ready},
        api::Meter,
        client::Addresses,
        drain::Drain,
        gate::Gate,
        listen::Acceptor,
        metrics::{Metrics, Sources},
        proxies::Proxies,
        routes,
        upgrade::Upgrades,
    },
    moderation::{self, Files, Filters, Moderation},
    protocols::{matching::ExitNotices, onlyone::ProcessStats},
    tokens::Verifier,
};

/// What was asked for.
pub(super) struct Gateway {
    pub(super) manifest: Arc<Manifest>,
    pub(super) bounds: Bounds,
    pub(super) proxies: Proxies,
    pub(super) environment: Environment,
    pub(super) secrets: Secrets,
    /// Names this run of the process.
    pub(super) incarnation: u64,
    /// What messages may say, and the files in which that may change.
    pub(super) filters: Arc<Filters>,
    pub(super) files: Files,
}

/// What clients and other servers come in by.
struct Doors {
    listeners: Listeners,
    api: Option<ApiPlace>,
    acceptor: Acceptor,
}

/// What several ports are given.
struct Shared {
    fan_out: FanOut,
    stores: Stores,
    gate: Gate,
    drain: Drain,
    ready: Ready,
    /// Counts what the server API does.
    meter: Arc<Meter>,
    verifier: Option<Arc<Verifier>>,
}

impl Gateway {
    pub(super) async fn run(
        self,
        listeners: Listeners,
        api: ApiArguments,
        seeds: Vec<String>,
        mut signals: Signals,
    ) -> Result<(), RunError> {
        let api = api.place(&self.manifest.room, listeners.shared.ip(), &self.secrets)?;
        let choice = bus::choose(&self.manifest.room, &self.environment, &self.secrets, seeds, self.incarnation)?;
        let stop = CancellationToken::new();
        let acceptor = Acceptor::public(stop.clone(), self.proxies.clone());
        let mut tasks = JoinSet::new();
        // Probes are answered while Redis is waited for.
        let admin = routes::Admin::new(admin::starting());
        let listener = listeners::bind("admin", "http", listeners.admin)?;
        tasks.spawn(Acceptor::admin(stop.clone()).serve(listener, Arc::new(admin.clone())));
        let stores = tokio::select! {
            stores = choice.open(&self.filters) => stores?,
            () = signals.any() => return Ok(()),
        };
        let running = self.start(stores, Doors { listeners, api, acceptor }, &admin, tasks, stop).await?;
        running.until_ended(|| self.manifest.drain(), signals).await
    }

    async fn start(
        &self,
        stores: Stores,
        Doors { listeners, api, acceptor }: Doors,
        admin: &routes::Admin,
        mut tasks: JoinSet<()>,
        stop: CancellationToken,
    ) -> Result<Running, RunError> {
        let settings = self.reactor_settings();
        let process_stats = Arc::new(ProcessStats::new(settings.threads));
        let key = served::signing_key(&self.secrets, &stores)?;
        let tokens = tokens::prepare(&self.manifest.room, &self.secrets)?;
        let verifier = tokens.as_ref().map(|tokens| Arc::clone(&tokens.verifier));
        let protocols = {
            let (secrets, key, process_stats) = (&self.secrets, &key, &process_stats);
            let means = Means { secrets, key, process_stats, stores: &stores, verifier: &verifier };
            served::protocols(&self.manifest.room, self.bounds, &means)?
        };
        let fan_out = FanOut::start(settings, self.hub_settings(), &protocols, &stores, &mut tasks)?;
        let drain = Drain::new(Arc::clone(&fan_out.reactors));
        let gate = Gate::new(self.bounds.connections as usize);
        let (ready, meter) = (Ready::default(), Arc::default());
        let shared = Shared { fan_out, stores, gate, drain, ready, meter, verifier };

        admin.start(admin::router(Arc::new(self.admin_port(&shared, &acceptor, listeners)?)));
        self.open_chat_ports(listeners, protocols, &shared, &acceptor, &mut tasks).await?;
        self.open_api(api, key, &shared, &acceptor, &mut tasks)?;
        self.keep_up(&shared, &mut tasks);
        if let Some(tokens::Tokens { verifier, source }) = tokens {
            tasks.spawn(crate::tokens::keep(verifier, source));
        }
        let Shared { fan_out, stores, drain, .. } = shared;
        let (FanOut { reactors, hub, .. }, Stores { bus, directory, .. }) = (fan_out, stores);
        tasks.spawn(usage::keep_fresh(process_stats, Arc::clone(&reactors)));
        Ok(Running { reactors, hub, bus, directory, drain, stop, tasks })
    }

    fn admin_port(&self, shared: &Shared, acceptor: &Acceptor, listeners: Listeners) -> Result<Admin, RunError> {
        let Shared { fan_out, stores, gate, drain, ready, meter, verifier } = shared;
        Ok(Admin {
            name: self.environment.name().to_owned(),
            reactors: Arc::clone(&fan_out.reactors),
            hub: fan_out.hub.clone(),
            bus: Arc::clone(&stores.bus),
            gate: gate.clone(),
            drain: drain.clone(),
            ready: ready.clone(),
            metrics: Metrics::new(Sources {
                reactors: Arc::clone(&fan_out.reactors),
                hub: fan_out.hub.clone(),
                bus: Arc::clone(&stores.bus),
                moderation: Arc::clone(&stores.moderation),
                acceptor: acceptor.clone(),
                api: Arc::clone(meter),
                verifier: verifier.clone(),
            }),
            access: admin_port::drain_access(&self.secrets, listeners.admin)?,
            drain_rate: admin_port::drain_rate(&self.manifest),
            redis_password: admin_port::redis_password(&self.manifest, &self.secrets),
        })
    }

    async fn open_chat_ports(
        &self,
        listeners: Listeners,
        protocols: Vec<Configured>,
        shared: &Shared,
        acceptor: &Acceptor,
        tasks: &mut JoinSet<()>,
    ) -> Result<(), RunError> {
        let page = served::page(&self.manifest.room, self.bounds, &protocols, acceptor.refusals())?;
        let (served, own_ports): (Vec<_>, Vec<_>) =
            protocols.into_iter().map(|protocol| (protocol.served, protocol.own_ports)).unzip();
        let route = self.manifest.room.spec.route.as_ref();
        let upgrades = Arc::new(Upgrades {
            served,
            public_url: route.and_then(|route| route.public_url.clone()),
            hosts: route.map(|route| route.hosts.clone()).unwrap_or_default(),
            reactors: Arc::clone(&shared.fan_out.reactors),
            gate: shared.gate.clone(),
            addresses: Addresses::new(self.bounds.address),
            moderation: Arc::clone(&shared.stores.moderation),
            refusals: acceptor.refusals().clone(),
            tasks: TaskTracker::new(),
        });
        let open = listeners.open(&self.environment, page, self.bounds.requests(), &upgrades, own_ports).await?;
        for (site, listener) in open {
            tasks.spawn(acceptor.clone().serve(listener, Arc::new(site)));
        }
        Ok(())
    }

    /// The server API, if it was asked for.
    fn open_api(
        &self,
        place: Option<ApiPlace>,
        key: Arc<[u8]>,
        Shared { fan_out, stores, meter, .. }: &Shared,
        acceptor: &Acceptor,
        tasks: &mut JoinSet<()>,
    ) -> Result<(), RunError> {
        let Some(place) = place else { return Ok(()) };
        let bus = || Arc::clone(&stores.bus);
        let parts = ApiParts {
            poster: poster(stores).trusted(),
            recent: Recent::new(bus()),
            asker: fan_out.asker.clone(),
            moderating: Moderating::new(fan_out.moderator.clone(), bus()),
            key,
            message_bytes: self.bounds.message_bytes,
            meter: Arc::clone(meter),
        };
        place.serve(&self.manifest.room, &self.environment, parts, acceptor, tasks)
    }

    /// The tasks that keep what the parts know up to date.
    fn keep_up(&self, Shared { fan_out, stores, drain, ready, .. }: &Shared, tasks: &mut JoinSet<()>) {
        let Stores { bus, directory, moderation, shared_keys: _ } = stores;
        tasks.spawn(keeper::keep(Arc::clone(directory), ExitNotices::new(poster(stores))));
        tasks.spawn(enforce(Arc::clone(moderation), fan_out.hub.clone()));
        tasks.spawn(moderation::files::keep(Arc::clone(moderation), self.files.clone()));
        tasks.spawn(drain.clone().drive());
        tasks.spawn(become_ready(Arc::clone(bus), ready.clone()));
    }

    fn reactor_settings(&self) -> reactor::ReactorSettings {
        reactor::ReactorSettings {
            slow_consumer: self.bounds.slow_consumer,
            rooms_per_connection: self.bounds.rooms_per_connection,
            ..reactor::ReactorSettings::new(self.incarnation)
        }
    }

    fn hub_settings(&self) -> HubSettings {
        HubSettings {
            rooms: self.bounds.rooms,
            new_rooms_per_minute: self.bounds.new_rooms_per_minute,
            age: self.manifest.room.spec.history.age.as_duration(),
            ..HubSettings::default()
        }
    }
}

fn poster(stores: &Stores) -> Poster {
    Poster::new(Arc::clone(&stores.bus), Arc::clone(&stores.moderation))
}

/// Follows moderation's log, and gives the hub what concerns connections.
async fn enforce(moderation: Arc<Moderation>, hub: Hub) {
    moderation::keeper::keep(moderation, move |news| {
        let hub = hub.clone();
        async move { hub.moderated(news).await }
    })
    .await;
}

/// Ready once the bus has answered; after that only drains make a gateway unready.
async fn become_ready(bus: Arc<dyn Bus>, ready: Ready) {
    /// How soon a gateway notices that its Redis is there.
    const LOOK_AGAIN: Duration = Duration::from_millis(200);
    while bus.health() == Health::Unavailable {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    ready.set();
    tracing::info!("ready");
    std::future::pending().await
}
