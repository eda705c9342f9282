//! `parlor-operator`: reads the command line and starts what it names.

use clap::Parser;
use parlor_operator::args::{Args, Command};
use parlor_operator::run;

fn main() -> anyhow::Result<()> {
    let Args { command, settings } = Args::parse();
    run::prepare_process();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match command.unwrap_or(Command::Run) {
        Command::Run => runtime.block_on(run::run(settings))?,
        Command::Crd => print!("{}", parlor_crds::schema::crd_yaml()),
        Command::Explain { room } => println!("{}", runtime.block_on(run::explain(settings, room))?),
    }
    Ok(())
}
