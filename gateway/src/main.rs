//! Parses the command line, runs the gateway, and turns its end into an exit code.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, error::ErrorKind};
use parlor_gateway::{
    args::{Args, Command},
    run,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Args { command, serve } = Args::parse();
    let ended = match (command, serve) {
        (Some(Command::Probe { url, within }), _) => run::probe(&url, within),
        (None, Some(serve)) => run::serve(serve),
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
