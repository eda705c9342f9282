//! Puts the parts together: reads the ChatRoom, gives each part its settings, starts everything in order, and ends it
//! on a signal.

mod api;
mod bounds;
mod bus;
mod environment;
mod error;
mod filters;
mod listeners;
mod log;
mod secrets;
mod served;
mod signals;
mod tokens;
mod usage;

use std::{fs, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::{CommandFactory, Parser, error::ErrorKind};
use parlor_crds::{ChatRoom, chatroom::Drain as DrainSettings, contract};
use tokio::{
    runtime::{self, Runtime},
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    api::{ApiArguments, ApiParts, ApiPlace},
    bounds::Bounds,
    bus::Stores,
    environment::Environment,
    listeners::Listeners,
    secrets::Secrets,
    served::Means,
    signals::Signals,
};
pub use self::{error::RunError, log::LogFormat, secrets::SecretError};
use crate::{
    args::{Args, Command, Serve},
    bus::{Bus, Health},
    directory::{Directory, keeper},
    fanout::{
        asker::Desk,
        hub::{Hub, HubSettings},
        moderating::Moderating,
        poster::Poster,
        reactor::{self, Reactors},
        recent::Recent,
    },
    http::{
        admin::{self, Admin, DrainAccess, Ready},
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
    moderation::{self, Files, Filters, Moderator},
    probe,
    protocols::{matching::ExitNotices, onlyone::ProcessStats},
};

/// How long the end may take after the last connection went.
const CLOSING: Duration = Duration::from_secs(2);

/// Parses the command line, does what it says, and turns the end into an exit code.
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("parlor-gateway: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run() -> Result<(), RunError> {
    // Before everything else: a first process of a container gets no signal that it has no handler for, so one that is
    // told to end while it starts would never end.
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().map_err(RunError::Runtime)?;
    let signals = runtime.block_on(async { Signals::listen() })?;
    let Args { command, serve: arguments } = Args::parse();
    match (command, arguments) {
        (Some(Command::Probe { url, within }), _) => probe(&url, within),
        (None, Some(arguments)) => serve(arguments, &runtime, signals),
        (None, None) => Args::command().error(ErrorKind::MissingRequiredArgument, "CHATROOM.yaml is missing").exit(),
    }
}

/// Posts a message to a ChatRoom from outside and says how long it took to come back.
fn probe(url: &str, within: Duration) -> Result<(), RunError> {
    let took = probe::probe(url, within)?;
    println!("{url}: a message came back after {took:?}");
    Ok(())
}

/// Runs a gateway until a signal ends it.
fn serve(arguments: Serve, runtime: &Runtime, signals: Signals) -> Result<(), RunError> {
    let Serve { chatroom: path, listen, admin, api, api_tokens, redis, secrets, log } = arguments;
    let text = fs::read_to_string(&path).map_err(|source| RunError::Unreadable { path: path.clone(), source })?;
    let room = parlor_crds::load(&text).map_err(|source| RunError::Manifest { path: path.clone(), source })?;
    let environment = Environment::detect();
    log::to_stderr(log, &environment);
    let (bounds, proxies) = Bounds::of(&room.spec.limits);
    environment::use_small_pages();
    environment::raise_descriptor_limit(u64::from(bounds.connections));
    let secrets = Secrets::new(secrets);
    let (filters, files) = filters::choose(&room, &secrets)?;
    let gateway = Gateway {
        manifest: Arc::new(Manifest { path, room }),
        bounds,
        proxies,
        environment,
        secrets,
        incarnation: rand::random(),
        filters,
        files,
    };
    runtime.block_on(gateway.run(
        Listeners { shared: listen, admin },
        ApiArguments { listen: api, tokens: api_tokens },
        redis,
        signals,
    ))
}

/// What was asked for.
struct Gateway {
    manifest: Arc<Manifest>,
    bounds: Bounds,
    proxies: Proxies,
    environment: Environment,
    secrets: Secrets,
    /// Names this run of the process.
    incarnation: u64,
    /// What messages may say, and the files in which that may change.
    filters: Arc<Filters>,
    files: Files,
}

/// The manifest: as it was at the start, and for how to drain, as it is now. Changing that restarts no gateway.
struct Manifest {
    path: PathBuf,
    room: ChatRoom,
}

impl Manifest {
    fn drain(&self) -> DrainSettings {
        let now = fs::read_to_string(&self.path).ok().and_then(|text| parlor_crds::load(&text).ok());
        now.unwrap_or_else(|| self.room.clone()).spec.drain
    }
}

/// What clients and other servers come in by.
struct Doors {
    listeners: Listeners,
    api: Option<ApiPlace>,
}

/// What runs.
struct Running {
    reactors: Arc<Reactors>,
    hub: Hub,
    bus: Arc<dyn Bus>,
    directory: Arc<dyn Directory>,
    drain: Drain,
    stop: CancellationToken,
    /// Every task is owned here: one that ends before the stop ends the process.
    tasks: JoinSet<()>,
}

impl Gateway {
    async fn run(
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
        let running = self.start(stores, Doors { listeners, api }, &admin, acceptor, tasks, stop).await?;
        running.until_ended(|| self.manifest.drain(), signals).await
    }

    async fn start(
        &self,
        stores: Stores,
        Doors { listeners, api }: Doors,
        admin: &routes::Admin,
        acceptor: Acceptor,
        mut tasks: JoinSet<()>,
        stop: CancellationToken,
    ) -> Result<Running, RunError> {
        let settings = self.reactor_settings();
        let process_stats = Arc::new(ProcessStats::new(settings.threads));
        let key = served::signing_key(&self.secrets, &stores)?;
        let tokens = tokens::prepare(&self.manifest.room, &self.secrets)?;
        let verifier = tokens.as_ref().map(|tokens| Arc::clone(&tokens.verifier));
        let means = Means {
            secrets: &self.secrets,
            key: &key,
            process_stats: &process_stats,
            stores: &stores,
            verifier: &verifier,
        };
        let protocols = served::protocols(&self.manifest.room, self.bounds, &means)?;
        let Stores { bus, directory, moderation, shared_keys: _ } = stores;
        let prepared = Reactors::prepare(settings, Arc::clone(&moderation))?;
        let encodings = protocols.iter().flat_map(|protocol| protocol.served.protocol.encodings()).collect();
        let mut answered = prepared.senders();
        let (place, desk) = Desk::prepare(&answered);
        answered.push(place);
        let moderator = Moderator::new(Arc::clone(&moderation));
        let hub = Hub::start(
            Arc::clone(&bus),
            Arc::clone(&directory),
            moderator.clone(),
            answered,
            encodings,
            self.hub_settings(),
        );
        let (asker, answers) = desk.open(hub.clone());
        tasks.spawn(answers);
        let queue = hub.clone();
        let reactors = Arc::new(prepared.start(move |message| queue.try_send(message))?);

        let gate = Gate::new(self.bounds.connections as usize);
        let addresses = Addresses::new(self.bounds.address);
        let drain = Drain::new(Arc::clone(&reactors));
        let ready = Ready::default();
        let meter = Arc::new(Meter::default());
        admin.start(admin::router(Arc::new(Admin {
            name: self.environment.name().to_owned(),
            reactors: Arc::clone(&reactors),
            hub: hub.clone(),
            bus: Arc::clone(&bus),
            gate: gate.clone(),
            drain: drain.clone(),
            ready: ready.clone(),
            metrics: Metrics::new(Sources {
                reactors: Arc::clone(&reactors),
                hub: hub.clone(),
                bus: Arc::clone(&bus),
                moderation: Arc::clone(&moderation),
                acceptor: acceptor.clone(),
                api: Arc::clone(&meter),
                verifier,
            }),
            access: self.drain_access(listeners.admin)?,
            drain_rate: {
                let manifest = Arc::clone(&self.manifest);
                Box::new(move || manifest.drain().rate)
            },
            redis_password: {
                let (secrets, managed) = (self.secrets.clone(), self.manifest.room.spec.redis.managed.is_some());
                // Chosen by a person, the password of an external Redis could be guessed from its fingerprint.
                let read = move || secrets.generated(contract::REDIS_PASSWORD).ok().flatten().filter(|_| managed);
                Box::new(move || read().map(|password| contract::fingerprint(&password)))
            },
        })));

        let page = served::page(&self.manifest.room, self.bounds, &protocols, acceptor.refusals());
        let (served, own_ports): (Vec<_>, Vec<_>) =
            protocols.into_iter().map(|protocol| (protocol.served, protocol.own_ports)).unzip();
        let route = self.manifest.room.spec.route.as_ref();
        let upgrades = Arc::new(Upgrades {
            served,
            public_url: route.and_then(|route| route.public_url.clone()),
            hosts: route.map(|route| route.hosts.clone()).unwrap_or_default(),
            reactors: Arc::clone(&reactors),
            gate,
            addresses: addresses.clone(),
            moderation: Arc::clone(&moderation),
            refusals: acceptor.refusals().clone(),
            tasks: TaskTracker::new(),
        });
        for (site, listener) in
            listeners.open(&self.environment, page, self.bounds.requests(), &upgrades, own_ports).await?
        {
            tasks.spawn(acceptor.clone().serve(listener, Arc::new(site)));
        }
        let poster = Poster::new(Arc::clone(&bus), Arc::clone(&moderation));
        if let Some(place) = api {
            let (poster, recent) = (poster.clone().trusted(), Recent::new(Arc::clone(&bus)));
            let moderating = Moderating::new(moderator, Arc::clone(&bus));
            let message_bytes = self.bounds.message_bytes;
            let with = ApiParts { poster, recent, asker, moderating, key, message_bytes, meter };
            place.serve(&self.manifest.room, &self.environment, with, &acceptor, &mut tasks)?;
        }
        tasks.spawn(keeper::keep(Arc::clone(&directory), ExitNotices::new(poster)));
        let concerned = hub.clone();
        tasks.spawn(moderation::keeper::keep(Arc::clone(&moderation), move |news| {
            let concerned = concerned.clone();
            async move { concerned.moderated(news).await }
        }));
        tasks.spawn(moderation::files::keep(moderation, self.files.clone()));
        tasks.spawn(drain.clone().drive());
        tasks.spawn(become_ready(Arc::clone(&bus), ready));
        if let Some(tokens::Tokens { verifier, source }) = tokens {
            tasks.spawn(crate::tokens::keep(verifier, source));
        }
        tasks.spawn(usage::keep_fresh(process_stats, Arc::clone(&reactors)));
        Ok(Running { reactors, hub, bus, directory, drain, stop, tasks })
    }

    fn reactor_settings(&self) -> reactor::Settings {
        reactor::Settings {
            slow_consumer: self.bounds.slow_consumer,
            rooms_per_connection: self.bounds.rooms_per_connection,
            ..reactor::Settings::new(self.incarnation)
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

    fn drain_access(&self, admin: SocketAddr) -> Result<DrainAccess, RunError> {
        Ok(match self.secrets.generated(contract::DRAIN_TOKEN)? {
            Some(_) => {
                let secrets = self.secrets.clone();
                DrainAccess::Token(Arc::new(move || {
                    let read = secrets.generated(contract::DRAIN_TOKEN);
                    read.inspect_err(|error| tracing::warn!(%error, "a drain is refused")).ok().flatten()
                }))
            }
            None if admin.ip().is_loopback() => DrainAccess::Loopback,
            None => DrainAccess::Closed,
        })
    }
}

impl Running {
    /// Serves until a signal. SIGTERM drains first; SIGINT, then or at once, ends without asking anyone to leave.
    async fn until_ended(mut self, settings: impl Fn() -> DrainSettings, mut signals: Signals) -> Result<(), RunError> {
        tokio::select! {
            _ = signals.terminate.recv() => {
                tracing::info!("SIGTERM: draining, then ending");
                let settings = settings();
                self.drain.start_last(settings.rate);
                let drain = self.drain.clone();
                tokio::select! {
                    () = drain.emptied(settings.deadline.as_duration()) => {}
                    _ = signals.interrupt.recv() => {}
                    error = self.failed() => return Err(error),
                }
            }
            _ = signals.interrupt.recv() => tracing::info!("SIGINT: ending"),
            error = self.failed() => return Err(error),
        }
        self.close().await;
        Ok(())
    }

    /// Waits for what must not happen while the gateway serves.
    async fn failed(&mut self) -> RunError {
        tokio::select! {
            () = self.reactors.ended() => RunError::ReactorEnded,
            () = self.hub.failed() => RunError::ActorEnded,
            ended = self.tasks.join_next() => RunError::TaskEnded(ended.and_then(Result::err)),
        }
    }

    async fn close(self) {
        let Self { reactors, hub, bus, directory, drain: _, stop, tasks: _ } = self;
        stop.cancel();
        // Joins threads: off the runtime's workers, which the hub still needs.
        if tokio::task::spawn_blocking(move || reactors.shutdown()).await.is_err() {
            tracing::error!("closing the reactors failed");
        }
        hub.stop(CLOSING).await;
        directory.close(CLOSING).await;
        bus.close(CLOSING).await;
    }
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
