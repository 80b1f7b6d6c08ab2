//! `odradek bench`: the commands.

mod closed;
mod compare;
mod consume;
mod cores;
mod floor;
mod load;
mod open;
mod options;
mod page;
mod peers;
mod produce;
mod readme;
mod scenario;
mod surroundings;

use std::process::ExitCode;

use clap::Subcommand;

pub(crate) use cores::{Chosen, Cores};
pub(crate) use floor::echo_frames;
pub(crate) use load::{SMALL_CONNECTIONS, SMALL_IN_FLIGHT, SMALL_RECORD_BYTES, Timing};
pub(crate) use surroundings::interrupt;

use crate::floor::ServerArgs;
use crate::machine::raise_limits;
use crate::matrix::MatrixArgs;
use crate::record::RecordArgs;

/// Measures this node, or any Kafka-protocol server, beside the floor of this machine.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// The cheapest loops that move the same bytes on this machine
    Floor(Box<floor::FloorArgs>),
    /// Loads a server at its own pace (open loop), or searches the highest rate that holds a bound
    Load(Box<open::LoadArgs>),
    /// Tells differences between two sets of results, or two servers loaded in turn, from noise
    Compare(Box<compare::CompareArgs>),
    /// Saturates a server with produce requests (closed loop)
    Produce(Box<produce::ProduceArgs>),
    /// Saturates a server with fetch requests (closed loop)
    Consume(Box<consume::ConsumeArgs>),
    /// Measures `odradek serve` beside the floors and writes a dated result
    Record(Box<RecordArgs>),
    /// Makes the README's table and plot from the newest results
    Readme(readme::ReadmeArgs),
    /// The own node and Apache Kafka, or any other server, in turn: the same scenarios, the same
    /// driver, ratios
    Peers(Box<peers::PeersArgs>),
    /// Asks named questions of the own node, or of any server: one scenario each
    Scenario(Box<scenario::ScenarioArgs>),
    /// Measures every write and read strategy of the node on several file systems: two tables
    Matrix(Box<MatrixArgs>),
    /// Makes the pages of kept results again
    Page(page::PageArgs),
    #[command(hide = true)]
    FloorServer(ServerArgs),
}

/// Runs the command; messages go to standard error, results to standard output.
pub fn run(args: Args) -> ExitCode {
    raise_limits();
    let done = match args.command {
        Command::Floor(args) => floor::run(&args),
        Command::Load(args) => open::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Produce(args) => produce::run(&args),
        Command::Consume(args) => consume::run(&args),
        Command::Record(args) => crate::record::run(&args),
        Command::Readme(args) => readme::run(&args),
        Command::Peers(args) => peers::run(&args),
        Command::Scenario(args) => scenario::run(&args),
        Command::Matrix(args) => crate::matrix::run(&args),
        Command::Page(args) => page::run(&args),
        Command::FloorServer(args) => crate::floor::serve(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("odradek bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What must be read before any figure.
pub(crate) fn warnings(problems: &[String], cores: Chosen) -> Vec<String> {
    let partial =
        (!problems.is_empty()).then(|| format!("PARTIAL RESULT: {}", problems.join("; ")));
    partial.into_iter().chain(cores.shared()).collect()
}

pub(crate) const BUSY: &str = "the machine was busy with something else, its figure means nothing";

pub(crate) const LEGEND: &str = "\
process: CPU of the server's process. machine: CPU of all cores less the idle baseline and less
the driver's process (what the kernel does in the driver's own calls counts as the driver's).
GB: 10^9 bytes of record batches or payload. Latencies: of a saturated closed loop.";
