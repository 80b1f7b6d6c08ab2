//! Whether the driver has cores of its own.

use anyhow::{Result, bail, ensure};

use super::Target;
use crate::machine::{allowed_cores, cores_of_process};

/// As [`check_cores`].
pub(super) fn check(target: &Target) -> Result<Vec<String>> {
    let together = (target.share_cores, "--share-cores");
    check_cores(&target.pids, &target.driver_cores, together)
}

/// Looks at who may run where: the server's processes, as far as they are known, and the driver.
/// Returns what makes figures doubtful. `together`: whether they may share, and how to ask for it.
///
/// # Errors
/// When a driver core cannot be had, or server and driver would have to share one and that was not
/// asked for: such figures would be of the two together.
pub(crate) fn check_cores(
    pids: &[u32],
    driver: &[usize],
    together: (bool, &str),
) -> Result<Vec<String>> {
    let allowed = allowed_cores();
    ensure!(!driver.is_empty(), "the driver needs a core");
    for core in driver {
        ensure!(
            allowed.contains(core),
            "driver core {core}: this process may run on {allowed:?} only"
        );
    }
    let servers = if pids.is_empty() {
        // Unknown; where there is but one core, it is shared with whatever else runs here.
        allowed.clone()
    } else {
        let mut cores = Vec::new();
        for pid in pids {
            cores.extend(cores_of_process(*pid)?);
        }
        cores
    };
    judge(&servers, driver, together, !pids.is_empty())
}

fn judge(
    server: &[usize],
    driver: &[usize],
    (share, how): (bool, &str),
    known: bool,
) -> Result<Vec<String>> {
    let shared = server.iter().filter(|core| driver.contains(core)).count();
    let mut caveats = Vec::new();
    if shared == server.len() {
        let what = format!(
            "too few cores: the server may run on {server:?} only, and the driver has {driver:?}"
        );
        if !share {
            bail!("{what}; give each its own, or measure both together with {how}");
        }
        caveats.push(format!("{what}: figures are of both together"));
    } else if shared > 0 && known {
        caveats.push(format!(
            "the server is not kept off the driver's cores: it may run on {server:?}, the driver \
             on {driver:?}"
        ));
    }
    Ok(caveats)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_core_is_refused_or_said() {
        let (apart, together) = ((false, "--both"), (true, "--both"));
        assert!(judge(&[0], &[1], apart, true).unwrap().is_empty());
        assert_eq!(judge(&[0, 1], &[1], apart, true).unwrap().len(), 1);
        let error = judge(&[1], &[1], apart, true).unwrap_err().to_string();
        assert!(
            error.contains("too few cores") && error.contains("--both"),
            "{error}"
        );
        assert_eq!(judge(&[1], &[0, 1], together, true).unwrap().len(), 1);
        assert!(judge(&[0], &[0], apart, false).is_err());
    }
}
