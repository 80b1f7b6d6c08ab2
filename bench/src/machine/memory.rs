//! Resident memory of a process.

use anyhow::{Context, Result};

/// Resident memory, bytes.
#[derive(Clone, Copy)]
pub(crate) struct Resident {
    pub(crate) now: u64,
    /// The highest since the process started, or since [`reset_peak`].
    pub(crate) peak: u64,
}

/// Source: proc_pid_status(5), `VmRSS` and `VmHWM`.
pub(crate) fn resident(pid: u32) -> Result<Resident> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("process {pid} has ended"))?;
    let bytes = |name: &str| -> Result<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kib.with_context(|| format!("no {name} of process {pid}"))? * 1024)
    };
    Ok(Resident {
        now: bytes("VmRSS:")?,
        peak: bytes("VmHWM:")?,
    })
}

/// Lets the peak start again from now (proc_pid_clear_refs(5), value 5). False where that is not
/// allowed: the peak then counts from the process's start.
pub(crate) fn reset_peak(pid: u32) -> bool {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").is_ok()
}

/// Bytes of the kernel's slab caches (inodes, dentries and the like), the whole machine's.
///
/// Source: proc_meminfo(5), `Slab`.
pub(crate) fn slab() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").context("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Slab:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.context("no Slab in /proc/meminfo")? * 1024)
}

/// Bytes that TCP holds for data in flight, the whole machine's.
///
/// Source: proc_net(5), `sockstat`, `mem` in pages.
pub(crate) fn socket_buffers() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/net/sockstat").context("/proc/net/sockstat")?;
    let line = text.lines().find_map(|line| line.strip_prefix("TCP:"));
    let mut words = line.unwrap_or_default().split_whitespace();
    words.find(|word| *word == "mem").context("no TCP mem")?;
    let pages: u64 = words.next().context("no TCP mem")?.parse()?;
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?;
    Ok(pages * page.context("no page size")? as u64)
}

/// Files that a process has open.
pub(crate) fn descriptors(pid: u32) -> Result<u64> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"));
    Ok(open
        .with_context(|| format!("files of process {pid}"))?
        .count() as u64)
}
