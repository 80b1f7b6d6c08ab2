//! Arguments that say where and in what surroundings contestants run.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Result, ensure};

use super::cores::Cores;
use crate::contest::{Contestant, Jars, MemoryState, Pinning, Place};
use crate::machine::allowed_cores;
use crate::scenario::Course;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Surroundings {
    /// To see that everything works: tiny durations and sizes, figures that mean nothing
    #[arg(long)]
    pub(crate) quick: bool,
    /// Durations are multiplied with this
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Where data is written: the file system to be measured, with some 30 GiB free [default: the
    /// system's temporary directory]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Where results are written, named by date and commit
    #[arg(long, default_value = "bench/results")]
    pub(crate) results: PathBuf,
    /// Where results of `odradek bench floor` are: the newest of this CPU is drawn into the plots
    #[arg(long, default_value = "bench/results", value_name = "DIR")]
    pub(crate) floors: PathBuf,
    /// Shards of the own node
    #[arg(long, default_value_t = 1)]
    shards: usize,
    /// Settings of the own node: name=value
    #[arg(long = "set")]
    settings: Vec<String>,
    /// Seconds to wait at most, before each start, for the machine to become quiet [default: 30;
    /// 0 with --quick]
    #[arg(long)]
    quiet_seconds: Option<f64>,
    #[command(flatten)]
    cores: Cores,
}

impl Surroundings {
    pub(crate) fn own_node(&self) -> Contestant {
        Contestant::Odradek {
            shards: self.shards,
            settings: self.settings.clone(),
        }
    }

    pub(crate) fn course(&self) -> Course {
        Course {
            quick: self.quick,
            scale: self.scale,
        }
    }

    /// Of all durations.
    pub(crate) fn scale(&self) -> f64 {
        self.scale
    }

    pub(crate) fn parent(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(std::env::temp_dir)
    }

    /// # Errors
    /// When server and driver would have to share their only core, or durations are no numbers.
    pub(crate) fn place(
        &self,
        pinning: Pinning,
        memory: MemoryState,
        jars: Option<Jars>,
    ) -> Result<Place> {
        let cores = self.cores.allowed()?;
        ensure!(
            cores.shared().is_none() || self.quick,
            "{}",
            cores.too_few()
        );
        ensure!(
            self.scale > 0.0 && self.scale.is_finite(),
            "--scale {}: above 0",
            self.scale
        );
        Ok(Place {
            parent: self.parent(),
            pinning,
            all_cores: allowed_cores(),
            server_core: cores.server,
            driver_core: cores.driver,
            memory,
            quiet_seconds: self
                .quiet_seconds
                .unwrap_or(if self.quick { 0.0 } else { 30.0 }),
            jars,
        })
    }
}

/// Raised by Ctrl-C and SIGTERM; a second one ends the process.
pub(crate) fn interrupt() -> Result<Arc<AtomicBool>> {
    let raised = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, raised.clone())?;
        signal_hook::flag::register(signal, raised.clone())?;
    }
    Ok(raised)
}
