//! Which cores server and driver have: one each, or one that was named for both.

use anyhow::{Result, ensure};

use crate::machine::{allowed_core, allowed_cores, pin};
use crate::open::check_cores;

/// Where server and driver run.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Cores {
    /// Core of the server (where this command starts it) [default: the first allowed one]
    #[arg(long)]
    server_core: Option<usize>,
    /// Core of the driver [default: the second allowed one]
    #[arg(long)]
    driver_core: Option<usize>,
}

/// Cores that can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) server: usize,
    pub(crate) driver: usize,
}

impl Cores {
    /// Those that were named, and else the first ones. They may be the same.
    ///
    /// # Errors
    /// When this process may not run on one of them.
    pub(crate) fn allowed(&self) -> Result<Chosen> {
        let all = allowed_cores();
        let server = self.server_core.unwrap_or(allowed_core(0));
        let driver = self.driver_core.unwrap_or(allowed_core(1));
        for (name, core) in [("--server-core", server), ("--driver-core", driver)] {
            ensure!(
                all.contains(&core),
                "{name} {core}: this process may run on {all:?} only"
            );
        }
        Ok(Chosen { server, driver })
    }

    /// The same, but one each: a core is shared only if it was named for both.
    ///
    /// # Errors
    /// When there are too few, too.
    pub(crate) fn choose(&self) -> Result<Chosen> {
        let chosen = self.allowed()?;
        let asked_for = self.server_core.is_some() && self.driver_core.is_some();
        let core = chosen.server;
        ensure!(
            asked_for || chosen.shared().is_none(),
            "{}; give each its own, or measure both together with --server-core {core} \
             --driver-core {core}",
            chosen.too_few()
        );
        Ok(chosen)
    }
}

impl Chosen {
    /// Why figures would be doubtful.
    pub(crate) fn too_few(&self) -> String {
        format!(
            "too few cores: server and driver would share core {} (allowed: {:?}), and figures \
             would be of both together",
            self.server,
            allowed_cores()
        )
    }

    /// To be said with every figure, where it is so.
    pub(crate) fn shared(&self) -> Option<String> {
        let core = self.server;
        (core == self.driver)
            .then(|| format!("driver and server share core {core}: figures are of both together"))
    }
}

/// Where the driver of a server runs that runs already.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct DriverCore {
    /// Core of the driver [default: the second allowed one]
    #[arg(long)]
    driver_core: Option<usize>,
}

impl DriverCore {
    /// Pins the driver. Returns what makes figures doubtful.
    ///
    /// # Errors
    /// When the server (`pid`, where it is known) would have no core but the driver's, unless that
    /// one was named.
    pub(crate) fn pin(&self, pid: Option<u32>) -> Result<Vec<String>> {
        let core = self.driver_core.unwrap_or(allowed_core(1));
        let how = format!("--driver-core {core}");
        let pids: Vec<u32> = pid.into_iter().collect();
        let doubts = check_cores(&pids, &[core], (self.driver_core.is_some(), &how))?;
        pin(core)?;
        Ok(doubts)
    }
}
