//! `odradek bench scenario`

use anyhow::{Result, bail};

use super::surroundings::{Surroundings, interrupt};
use crate::contest::{Contestant, MemoryState, Pinning};
use crate::floor::KnownFloors;
use crate::machine::{Facts, pin};
use crate::peers::{Matrix, run_matrix};
use crate::report::save;
use crate::scenario::{SCENARIOS, chosen};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct ScenarioArgs {
    /// Which, by name or number [default: all]
    names: Vec<String>,
    /// Lists them with their questions, and runs none
    #[arg(long)]
    list: bool,
    /// A server that runs already instead of the own node: host:port[,host:port][@PID[,PID]]; with
    /// the PIDs of its processes its CPU and memory are counted, too
    #[arg(long)]
    brokers: Option<String>,
    #[arg(long, value_enum, default_value = "pinned")]
    pinning: Pinning,
    /// State of the machine's memory before each start
    #[arg(long, value_enum, default_value = "as-found")]
    memory: MemoryState,
    #[command(flatten)]
    surroundings: Surroundings,
}

pub(super) fn run(args: &ScenarioArgs) -> Result<()> {
    if args.list {
        for scenario in SCENARIOS {
            println!(
                "{:2}  {}: {}",
                scenario.number, scenario.name, scenario.question
            );
            if let Some(needs) = scenario.needs {
                println!("    needs {needs}");
            }
        }
        return Ok(());
    }
    let contestant = match &args.brokers {
        Some(address) => Contestant::at(address)?,
        None => args.surroundings.own_node(),
    };
    let surroundings = &args.surroundings;
    let place = surroundings.place(args.pinning, args.memory, None)?;
    // Before the run: a result that cannot be kept is not worth measuring.
    save::Place::new(None, &surroundings.results)?;
    pin(place.driver_core)?;
    let matrix = Matrix {
        title: "Scenarios".to_owned(),
        scenarios: chosen(&args.names)?,
        contestants: vec![contestant],
        places: vec![place],
        rounds: 1,
        course: surroundings.course(),
    };
    let machine = Facts::gather(&surroundings.parent())?;
    let floors = KnownFloors::newest(&surroundings.floors, &machine);
    let mut report = run_matrix(&matrix, machine, None, &interrupt()?)?;
    report.floors = floors;
    println!("{}", report.markdown());
    let path = report.keep(&surroundings.results, "scenarios")?;
    eprintln!("written: {}", path.display());
    match report.complete() {
        true => Ok(()),
        false => bail!("the result is partial: {}", report.problems().join("; ")),
    }
}
