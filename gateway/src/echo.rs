//! The gateway with the `echo` protocol compiled in, for tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    parlor_gateway::run::main()
}
