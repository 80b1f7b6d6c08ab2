//! The command line: what is asked for, where the log lines go, what the exit code is.
//!
//! Exit codes: 0 done, 1 failed (the reason is on stderr), 2 the command line itself is wrong.
//! Results go to stdout, all else to stderr.

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::{config, consume, doctor, group, log, produce, serve, sim, topic};

/// A Kafka-compatible log node, and the tools around it.
#[derive(Debug, Parser)]
#[command(name = "odradek", version, propagate_version = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What to log to stderr: error, warn, info, debug, trace, or a filter such as
    /// odradek_shards=debug. Without it RUST_LOG decides, and without that "info" for serve and
    /// "warn" for all else.
    #[arg(long, global = true, value_name = "LEVEL", value_parser = filter)]
    pub log_level: Option<String>,
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  odradek serve config/server.properties
  odradek topic create orders --partitions 6
  odradek produce orders --file orders.txt --key-separator :
  odradek consume orders --from-beginning --exit-at-end
  odradek doctor";

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    Serve(serve::ServeArgs),
    #[command(subcommand)]
    Topic(topic::TopicCommand),
    Produce(produce::ProduceArgs),
    Consume(Box<consume::ConsumeArgs>),
    #[command(subcommand)]
    Group(group::GroupCommand),
    #[command(subcommand)]
    Config(config::ConfigCommand),
    #[command(subcommand)]
    Log(log::LogCommand),
    Doctor(doctor::DoctorArgs),
    Bench(odradek_bench::cli::Args),
    Sim(sim::SimArgs),
    /// Print what makes a shell complete this command line.
    #[command(after_help = "Example:\n  source <(odradek completions bash)")]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// Parses the command line and runs it.
pub fn main() -> ExitCode {
    // Exits with 2 on a wrong command line, with 0 after --help.
    let cli = Cli::parse();
    log_to_stderr(&cli);
    match run(cli.command) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("odradek: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(args) => serve::run(args),
        Command::Topic(command) => topic::run(command),
        Command::Produce(args) => produce::run(args),
        Command::Consume(args) => consume::run(*args),
        Command::Group(command) => group::run(command),
        Command::Config(command) => config::run(command),
        Command::Log(command) => log::run(command),
        Command::Doctor(args) => doctor::run(args),
        Command::Bench(args) => Ok(odradek_bench::cli::run(args)),
        Command::Sim(args) => sim::run(&args),
        Command::Completions { shell } => {
            // Into memory first: the generator panics where its reader has gone.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "odradek", &mut script);
            io::Write::write_all(&mut io::stdout(), &script)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn filter(text: &str) -> Result<String, String> {
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn log_to_stderr(cli: &Cli) {
    let usual = match cli.command {
        Command::Serve(_) => "info",
        // What goes wrong there is meant to.
        Command::Sim(_) => "off",
        _ => "warn",
    };
    let filter = match &cli.log_level {
        Some(level) => EnvFilter::new(level),
        None => EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual)),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .init();
}

/// The reader of our output has seen enough (`odradek consume ... | head`).
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
