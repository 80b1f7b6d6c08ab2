//! `odradek bench peers`

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use super::surroundings::{Surroundings, interrupt};
use crate::contest::{Contestant, Jars, MemoryState, Pinning};
use crate::floor::KnownFloors;
use crate::machine::{Facts, pin};
use crate::peers::{Matrix, Report, Work, run_matrix};
use crate::report::save;
use crate::scenario::chosen;

/// Which surroundings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Pinnings {
    /// One core for the server
    Pinned,
    /// All cores
    Unpinned,
    /// One after the other: a claim needs both
    Both,
}

#[derive(Debug, Clone, clap::Args)]
pub(super) struct PeersArgs {
    /// Which, by name or number; or all
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "core,linkedin,fixed-rates,durable-acks"
    )]
    scenarios: Vec<String>,
    /// Runs of each contestant
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[arg(long, value_enum, default_value = "both")]
    pinning: Pinnings,
    /// State of the machine's memory before each start [default: seasoned; as-found with --quick]
    #[arg(long, value_enum)]
    memory: Option<MemoryState>,
    /// Heaps of Apache Kafka's JVM: a contestant each
    #[arg(long, value_delimiter = ',', default_value = "1g")]
    heap: Vec<String>,
    /// Settings of Apache Kafka: name=value
    #[arg(long = "kafka-set")]
    kafka_settings: Vec<String>,
    /// Where Apache Kafka's jars are [default: where tools/compat/setup puts them]
    #[arg(long)]
    kafka_jars: Option<PathBuf>,
    /// Without Apache Kafka
    #[arg(long)]
    no_kafka: bool,
    /// A server that runs already: host:port[,host:port][@PID[,PID]]; with the PIDs of its
    /// processes its CPU and memory are counted, too
    #[arg(long)]
    address: Vec<String>,
    /// Where finished parts are kept until all is: a run that was stopped goes on when it is asked
    /// for again [default: below --results]
    #[arg(long)]
    work: Option<PathBuf>,
    /// Shows a kept result (JSON) and runs nothing
    #[arg(long, value_name = "FILE")]
    show: Option<PathBuf>,
    #[command(flatten)]
    surroundings: Surroundings,
}

/// Of a full run, bytes that a contestant may have on disk at a time.
const FREE_GIB_MIN: f64 = 30.0;
/// And at any scale, while it is warmed up.
const WARM_UP_GIB: f64 = 10.0;

pub(super) fn run(args: &PeersArgs) -> Result<()> {
    if let Some(kept) = &args.show {
        println!("{}", Report::read(kept)?.markdown());
        return Ok(());
    }
    let surroundings = &args.surroundings;
    ensure!(args.rounds > 0, "--rounds 0: at least 1");
    let jars = match args.no_kafka {
        true => None,
        false => Some(Jars::find(args.kafka_jars.as_deref())?),
    };
    let matrix = Matrix {
        title: "Odradek and its peers".to_owned(),
        scenarios: chosen(&args.scenarios)?,
        contestants: contestants(args, jars.as_ref())?,
        places: places(args, jars.as_ref())?,
        rounds: args.rounds,
        course: surroundings.course(),
    };
    let place = matrix.places.first().context("surroundings")?;
    let machine = Facts::gather(&place.parent)?;
    let free = machine.file_system.free_gib;
    let needed = (FREE_GIB_MIN * surroundings.scale()).max(WARM_UP_GIB);
    ensure!(
        surroundings.quick || free >= needed,
        "{} has {free} GiB free; a run at this --scale needs some {needed:.0} GiB at a time: --dir \
         elsewhere, or a smaller --scale",
        place.parent.display(),
    );
    // Before the run: a result that cannot be kept is not worth measuring.
    save::Place::new(None, &surroundings.results)?;
    let work = match &args.work {
        Some(work) => work.clone(),
        None => surroundings.results.join("peers-unfinished"),
    };
    let work = Work::open(&work, &matrix, &machine)?;
    pin(place.driver_core)?;
    let floors = KnownFloors::newest(&surroundings.floors, &machine);
    let mut report = run_matrix(&matrix, machine, Some(&work), &interrupt()?)?;
    report.floors = floors;
    println!("{}", report.markdown());
    let path = report.keep(&surroundings.results, "peers")?;
    eprintln!("written: {}", path.display());
    match report.complete() {
        true => work.remove(),
        false => bail!(
            "the result is partial: {}. What was finished is kept: the same command goes on there",
            report.problems().join("; ")
        ),
    }
}

fn contestants(args: &PeersArgs, jars: Option<&Jars>) -> Result<Vec<Contestant>> {
    let mut all = vec![args.surroundings.own_node()];
    if let Some(jars) = jars {
        for heap in &args.heap {
            ensure!(
                heap.trim_end_matches(['m', 'M', 'g', 'G'])
                    .parse::<u32>()
                    .is_ok_and(|n| n > 0),
                "--heap {heap}: as in 1g or 512m"
            );
            all.push(Contestant::Kafka {
                heap: heap.clone(),
                version: jars.version.clone(),
                settings: args.kafka_settings.clone(),
            });
        }
    }
    for address in &args.address {
        all.push(Contestant::at(address)?);
    }
    for (at, one) in all.iter().enumerate() {
        let label = one.label();
        let twice = all[..at].iter().any(|earlier| earlier.label() == label);
        ensure!(!twice, "{label} is named twice");
    }
    ensure!(
        all.len() > 1,
        "nobody to compare with: without --no-kafka, or with --address"
    );
    Ok(all)
}

fn places(args: &PeersArgs, jars: Option<&Jars>) -> Result<Vec<crate::contest::Place>> {
    let pinnings: &[Pinning] = match args.pinning {
        Pinnings::Pinned => &[Pinning::Pinned],
        Pinnings::Unpinned => &[Pinning::Unpinned],
        Pinnings::Both => &[Pinning::Pinned, Pinning::Unpinned],
    };
    let memory = args.memory.unwrap_or(match args.surroundings.quick {
        true => MemoryState::AsFound,
        false => MemoryState::Seasoned,
    });
    let one = |pinning: &Pinning| args.surroundings.place(*pinning, memory, jars.cloned());
    pinnings.iter().map(one).collect()
}
