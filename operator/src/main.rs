//! `parlor-operator`: takes signals, reads the command line, starts what it names, and turns its end into an exit code.

use std::{path::Path, process::ExitCode};

use clap::Parser;
use parlor_operator::{
    args::{Args, Command},
    exit::CommandError,
    kubectl::{self, KubectlArgs},
    run, signals, simulate,
};

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("parlor-operator: {error}");
            error.code()
        }
    }
}

fn start() -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CommandError::Start)?;
    // Before anything else: the kernel drops the signals of process 1 until it has handlers.
    let told_to_stop = runtime.block_on(async { signals::listen() }).map_err(CommandError::Start)?;
    if std::env::args_os().next().is_some_and(|program| kubectl::is_called(Path::new(&program))) {
        let args = KubectlArgs::parse();
        run::prepare_process(None);
        print!("{}", runtime.block_on(kubectl::run(args))?);
        return Ok(());
    }
    let Args { command, settings } = Args::parse();
    run::prepare_process(settings.log);
    match command.unwrap_or(Command::Run) {
        Command::Run => runtime.block_on(run::run(settings, told_to_stop))?,
        Command::Crd => print!("{}", parlor_crds::schema::crd_yaml()),
        Command::Explain { room } => println!("{}", runtime.block_on(run::explain(settings, room))?),
        Command::Simulate { load, chatroom } => print!("{}", simulate::simulate(&load, &chatroom)?),
    }
    Ok(())
}
