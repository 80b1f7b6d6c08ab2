//! The `odradek` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    odradek_tools::cli::main()
}
