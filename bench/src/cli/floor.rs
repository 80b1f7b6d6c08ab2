//! `odradek bench floor`

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;

use super::load::{Cores, SMALL_CONNECTIONS, SMALL_IN_FLIGHT, SMALL_RECORD_BYTES, Timing};
use crate::drive::{Batch, Frames};
use crate::floor::{Kind, Run};
use crate::machine::pin;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct FloorArgs {
    /// Which floors [default: all]
    #[arg(value_enum)]
    kinds: Vec<Kind>,
    /// Where files are written: the file system to be measured [default: the system's temporary
    /// directory]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Bytes of an echoed frame's record value
    #[arg(long, default_value_t = SMALL_RECORD_BYTES)]
    record_size: usize,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    cores: Cores,
    /// Also write the result here as JSON
    #[arg(long)]
    save: Option<PathBuf>,
}

pub(super) fn run(args: &FloorArgs) -> Result<()> {
    let parent = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let dir = tempfile::tempdir_in(&parent)?;
    pin(args.cores.driver_core)?;
    let frames = echo_frames(args.record_size)?;
    let run = Run {
        plan: args.timing.plan(SMALL_CONNECTIONS, SMALL_IN_FLIGHT),
        server_core: args.cores.server_core,
        driver_core: args.cores.driver_core,
        dir: dir.path(),
    };
    let all = Kind::value_variants();
    let kinds = if args.kinds.is_empty() {
        all
    } else {
        &args.kinds
    };
    let mut runs = Vec::new();
    for kind in kinds {
        eprintln!("{} ...", kind.name());
        runs.push(crate::floor::run(*kind, &run, &frames)?);
    }
    let echo = format!(
        "echo: {SMALL_CONNECTIONS} connections, {SMALL_IN_FLIGHT} in flight each; a request has {} bytes, a reply {}",
        frames.request_bytes, frames.reply_bytes
    );
    super::report(&runs, dir.path(), args.save.as_deref(), &[echo])
}

/// The frames that a one-record produce would send.
pub(crate) fn echo_frames(record_bytes: usize) -> Result<Frames> {
    const PRODUCE_VERSION: i16 = 12;
    let batch = Batch::build(record_bytes, 0, crate::drive::now_ms())?;
    Ok(Frames::new("bench", &[0], &batch, 1, PRODUCE_VERSION)?.for_echo())
}
