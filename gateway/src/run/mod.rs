//! Puts the parts together: reads the ChatRoom, gives each part its settings, starts everything in order, and ends it
//! on a signal.

mod bus;
mod error;
mod listeners;
mod place;
mod secrets;
mod served;

use std::{fs, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::{CommandFactory, Parser, error::ErrorKind};
use parlor_crds::{
    ChatRoom,
    chatroom::{Drain as DrainSettings, SlowConsumer},
    contract,
};
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing_subscriber::EnvFilter;

use self::{bus::Stores, listeners::Listeners, place::Place, secrets::Secrets};
pub use self::{error::RunError, secrets::SecretError};
use crate::{
    args::{Args, Command, Serve},
    bus::{Bus, Health},
    directory::{Directory, keeper},
    fanout::{
        hub::{Hub, HubSettings},
        reactor::{self, Reactors},
    },
    http::{
        admin::{self, Admin, DrainAccess, Ready},
        drain::Drain,
        gate::Gate,
        listen::Acceptor,
        metrics::{Metrics, Sources},
        site,
        upgrade::Upgrades,
    },
    probe,
    protocols::{matching::ExitNotices, onlyone::Vitals},
};

/// How long the end may take after the last connection went.
const CLOSING: Duration = Duration::from_secs(2);

/// Parses the command line, does what it says, and turns the end into an exit code.
pub fn main() -> ExitCode {
    let Args { command, serve: arguments } = Args::parse();
    let ended = match (command, arguments) {
        (Some(Command::Probe { url, within }), _) => probe(&url, within),
        (None, Some(arguments)) => serve(arguments),
        (None, None) => Args::command().error(ErrorKind::MissingRequiredArgument, "CHATROOM.yaml is missing").exit(),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("parlor-gateway: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Posts a message to a ChatRoom from outside and says how long it took to come back.
pub fn probe(url: &str, within: Duration) -> Result<(), RunError> {
    let took = probe::probe(url, within)?;
    println!("{url}: a message came back after {took:?}");
    Ok(())
}

/// Runs a gateway until a signal ends it.
pub fn serve(args: Serve) -> Result<(), RunError> {
    let Serve { chatroom: path, listen, admin, redis, secrets } = args;
    let text = fs::read_to_string(&path).map_err(|source| RunError::Unreadable { path: path.clone(), source })?;
    let room = parlor_crds::load(&text).map_err(|source| RunError::Manifest { path: path.clone(), source })?;
    let place = Place::detect();
    log_to_stderr(&place);
    place::use_small_pages();
    place::raise_descriptor_limit(u64::from(room.spec.limits.connections_per_gateway));
    let gateway = Gateway {
        manifest: Arc::new(Manifest { path, room }),
        place,
        secrets: Secrets::new(secrets),
        incarnation: rand::random(),
    };
    runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(RunError::Runtime)?
        .block_on(gateway.run(Listeners { shared: listen, admin }, redis))
}

fn log_to_stderr(place: &Place) {
    // What fred warns of, a lost connection, is an ordinary event here and said by the bus where it matters.
    let filter = EnvFilter::try_from_env("PARLOR_LOG").unwrap_or_else(|_| EnvFilter::new("info,fred=error"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if place.is_pod() { log.json().init() } else { log.without_time().with_target(false).init() }
}

/// What was asked for.
struct Gateway {
    manifest: Arc<Manifest>,
    place: Place,
    secrets: Secrets,
    /// Names this run of the process.
    incarnation: u64,
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

/// The signals that end a gateway.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
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
    async fn run(self, listeners: Listeners, seeds: Vec<String>) -> Result<(), RunError> {
        let mut signals = Signals::listen()?;
        let choice = bus::choose(&self.manifest.room, &self.place, &self.secrets, seeds, self.incarnation)?;
        let stop = CancellationToken::new();
        let acceptor = Acceptor::new(stop.clone());
        let mut tasks = JoinSet::new();
        // Probes are answered while Redis is waited for.
        let admin = site::Admin::new(admin::starting());
        let listener = listeners::bind("admin", "http", listeners.admin)?;
        tasks.spawn(acceptor.clone().serve(listener, Arc::new(admin.clone())));
        let stores = tokio::select! {
            stores = choice.open() => stores?,
            () = signals.any() => return Ok(()),
        };
        let running = self.start(stores, listeners, &admin, acceptor, tasks, stop).await?;
        running.until_ended(|| self.manifest.drain(), signals).await
    }

    async fn start(
        &self,
        stores: Stores,
        listeners: Listeners,
        admin: &site::Admin,
        acceptor: Acceptor,
        mut tasks: JoinSet<()>,
        stop: CancellationToken,
    ) -> Result<Running, RunError> {
        let settings = self.reactor_settings();
        let vitals = Arc::new(Vitals::new(settings.threads));
        let protocols = served::protocols(&self.manifest.room, &self.secrets, &vitals, &stores)?;
        let Stores { bus, directory } = stores;
        let prepared = Reactors::prepare(settings)?;
        let encodings = protocols.iter().flat_map(|protocol| protocol.served.protocol.encodings()).collect();
        let hub =
            Hub::start(Arc::clone(&bus), Arc::clone(&directory), prepared.senders(), encodings, self.hub_settings());
        let queue = hub.clone();
        let reactors = Arc::new(prepared.start(move |message| queue.try_send(message))?);

        let gate = Gate::new(self.manifest.room.spec.limits.connections_per_gateway as usize);
        let drain = Drain::new(Arc::clone(&reactors));
        let ready = Ready::default();
        admin.start(admin::router(Arc::new(Admin {
            name: self.place.name().to_owned(),
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
                acceptor: acceptor.clone(),
            }),
            access: self.drain_access(listeners.admin)?,
            drain_rate: {
                let manifest = Arc::clone(&self.manifest);
                Box::new(move || manifest.drain().rate)
            },
        })));

        let page = served::page(&self.manifest.room, &protocols, acceptor.refusals());
        let (served, own_ports): (Vec<_>, Vec<_>) =
            protocols.into_iter().map(|protocol| (protocol.served, protocol.own_ports)).unzip();
        let upgrades = Arc::new(Upgrades {
            served,
            public_url: self.manifest.room.spec.route.as_ref().and_then(|route| route.public_url.clone()),
            reactors: Arc::clone(&reactors),
            gate,
            refusals: acceptor.refusals().clone(),
            tasks: TaskTracker::new(),
        });
        for (site, listener) in listeners.open(&self.place, page, &upgrades, own_ports).await? {
            tasks.spawn(acceptor.clone().serve(listener, Arc::new(site)));
        }
        tasks.spawn(keeper::keep(Arc::clone(&directory), ExitNotices::new(Arc::clone(&bus))));
        tasks.spawn(drain.clone().drive());
        tasks.spawn(become_ready(Arc::clone(&bus), ready));
        tasks.spawn(sample(vitals, Arc::clone(&reactors)));
        Ok(Running { reactors, hub, bus, directory, drain, stop, tasks })
    }

    fn reactor_settings(&self) -> reactor::Settings {
        let limits = &self.manifest.room.spec.limits;
        reactor::Settings {
            slow_consumer: match limits.slow_consumer {
                SlowConsumer::Disconnect => reactor::SlowConsumer::Disconnect,
                SlowConsumer::SkipToLatest => reactor::SlowConsumer::SkipToLatest,
            },
            rooms_per_connection: limits.rooms_per_connection as usize,
            ..reactor::Settings::new(self.incarnation)
        }
    }

    fn hub_settings(&self) -> HubSettings {
        HubSettings {
            rooms: self.manifest.room.spec.limits.rooms as usize,
            age: self.manifest.room.spec.history.age.as_duration(),
            ..HubSettings::default()
        }
    }

    fn drain_access(&self, admin: SocketAddr) -> Result<DrainAccess, RunError> {
        Ok(match self.secrets.generated(contract::DRAIN_TOKEN)? {
            Some(token) => DrainAccess::Token(token),
            None if admin.ip().is_loopback() => DrainAccess::Loopback,
            None => DrainAccess::Closed,
        })
    }
}

impl Signals {
    fn listen() -> Result<Self, RunError> {
        let listen = |kind| signal(kind).map_err(RunError::Signals);
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
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

/// Keeps the numbers fresh that OnlyOne clients may ask for.
async fn sample(vitals: Arc<Vitals>, reactors: Arc<Reactors>) {
    let mut each_second = tokio::time::interval(Duration::from_secs(1));
    loop {
        each_second.tick().await;
        if let Err(error) = vitals.sample(reactors.connections() as u64) {
            tracing::debug!(%error, "reading /proc/self failed");
        }
    }
}
