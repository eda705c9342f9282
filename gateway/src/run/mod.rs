//! Puts the parts together: reads the ChatRoom, gives each part its settings, starts everything in order, and ends it
//! on a signal.

mod admin;
mod api;
mod bounds;
mod bus;
mod environment;
mod error;
mod fan_out;
mod filters;
mod gateway;
mod listeners;
mod log;
mod manifest;
mod running;
mod secrets;
mod served;
mod signals;
mod tokens;
mod usage;

use std::{fs, process::ExitCode, sync::Arc, time::Duration};

use clap::{CommandFactory, Parser, error::ErrorKind};
use tokio::runtime::{self, Runtime};

use self::{
    api::ApiArguments, bounds::Bounds, environment::Environment, gateway::Gateway, listeners::Listeners,
    manifest::Manifest, secrets::Secrets, signals::Signals,
};
pub use self::{error::RunError, secrets::SecretError};
use crate::{
    args::{Args, Command, Serve},
    probe,
};

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
    // asked to end while it starts would never end.
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
