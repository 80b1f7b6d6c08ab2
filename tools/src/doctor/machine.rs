//! Processors, memory, limits.

use std::fs;

use nix::sched::{CpuSet, sched_getaffinity};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::unistd::Pid;
use odradek_shards::config::Settings;

use super::{Finding, State};
use crate::common;

/// Open files: segments and connections.
const FILES_WANTED: u64 = 65_536;
const FILES_LEAST: u64 = 1024;
/// Locked memory: rings of older kernels, registered buffers.
const LOCKED_WANTED: u64 = 64 << 20;
const LOCKED_LEAST: u64 = 8 << 20;

pub(super) fn examine(settings: &Settings, cpus: &[usize]) -> Vec<Finding> {
    let mut findings = vec![
        shards(settings, cpus),
        governor(cpus),
        memory(settings, cpus),
    ];
    findings.push(huge_pages());
    findings.push(limit(
        "open files",
        Resource::RLIMIT_NOFILE,
        FILES_LEAST,
        FILES_WANTED,
        u64::to_string,
    ));
    findings.push(limit(
        "locked memory",
        Resource::RLIMIT_MEMLOCK,
        LOCKED_LEAST,
        LOCKED_WANTED,
        |bytes| common::bytes(*bytes),
    ));
    findings
}

/// The processors that this process may use.
pub(super) fn cpus_allowed() -> Vec<usize> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    (0..CpuSet::count())
        .filter(|&cpu| allowed.is_set(cpu).unwrap_or(false))
        .collect()
}

fn shard_count(settings: &Settings, cpus: &[usize]) -> usize {
    let given = settings
        .shards
        .and_then(|count| usize::try_from(count).ok());
    given.unwrap_or(cpus.len()).max(1)
}

fn shards(settings: &Settings, cpus: &[usize]) -> Finding {
    let shards = shard_count(settings, cpus);
    let found = format!("{} allowed {}", cpus.len(), ranges(cpus));
    if shards > cpus.len() {
        let why = format!("{shards} shards share them, and are not pinned: set shards lower");
        return Finding::new("CPUs", State::Weak, found, why);
    }
    let from = match settings.shards {
        Some(_) => "as shards says",
        None => "one per CPU, since shards is not set",
    };
    Finding::new(
        "CPUs",
        State::Good,
        found,
        format!("{shards} shards, {from}, each pinned to a CPU"),
    )
}

/// `(0-3, 8)`
fn ranges(cpus: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &cpu in cpus {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => runs.push((cpu, cpu)),
        }
    }
    let texts: Vec<String> = runs
        .into_iter()
        .map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        })
        .collect();
    format!("({})", texts.join(", "))
}

fn governor(cpus: &[usize]) -> Finding {
    let mut governors: Vec<String> = cpus
        .iter()
        .filter_map(|cpu| {
            let path = format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
            fs::read_to_string(path).ok()
        })
        .map(|text| text.trim().to_owned())
        .collect();
    governors.sort();
    governors.dedup();
    if governors.is_empty() {
        return Finding::new(
            "CPU governor",
            State::Good,
            "not to be seen, as in virtual machines",
            "the host decides how fast they run",
        );
    }
    let found = governors.join(", ");
    match governors.iter().all(|governor| governor == "performance") {
        true => Finding::new("CPU governor", State::Good, found, "the clock stays high"),
        false => Finding::new(
            "CPU governor",
            State::Weak,
            found,
            "the clock follows the load: measure with \"performance\" \
             (cpupower frequency-set -g performance)",
        ),
    }
}

fn memory(settings: &Settings, cpus: &[usize]) -> Finding {
    let each = settings
        .memory_tail_bytes
        .saturating_add(settings.memory_request_bytes);
    let all = u64::try_from(each).unwrap_or(u64::MAX);
    let all = all.saturating_mul(shard_count(settings, cpus) as u64);
    let about = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = about.lines().find_map(|line| {
        let kilobytes = line
            .strip_prefix("MemAvailable:")?
            .trim()
            .strip_suffix(" kB")?;
        Some(kilobytes.parse::<u64>().ok()? * 1024)
    });
    let Some(available) = available else {
        return Finding::new("memory", State::Weak, "not to be seen", "cannot be judged");
    };
    let found = format!("{} available", common::bytes(available));
    let most = common::bytes(all);
    match all <= available / 2 {
        true => Finding::new(
            "memory",
            State::Good,
            found,
            format!(
                "tails and requests of all shards take {most} at most; page cache has the rest"
            ),
        ),
        false => Finding::new(
            "memory",
            State::Weak,
            found,
            format!(
                "tails and requests of all shards may take {most}: lower memory.tail.bytes, \
                 memory.request.bytes or shards"
            ),
        ),
    }
}

fn huge_pages() -> Finding {
    let text = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    let text = text.unwrap_or_default();
    let chosen = text
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'))
        .map_or("not there", |(chosen, _)| chosen);
    match chosen {
        "always" => Finding::new(
            "huge pages",
            State::Weak,
            "transparent: always",
            "memory may look larger than it is used; \"madvise\" leaves the choice to programs",
        ),
        "madvise" => Finding::new(
            "huge pages",
            State::Good,
            "transparent: madvise",
            "buffers and the keys of a compaction ask for them: fewer faults, fewer pieces of a write",
        ),
        other => Finding::new(
            "huge pages",
            State::Weak,
            format!("transparent: {other}"),
            "writes and compaction take more CPU; write \"madvise\" to \
             /sys/kernel/mm/transparent_hugepage/enabled",
        ),
    }
}

fn limit(
    subject: &'static str,
    resource: Resource,
    least: u64,
    wanted: u64,
    shown: impl Fn(&u64) -> String,
) -> Finding {
    let (soft, hard) = match getrlimit(resource) {
        Ok(limits) => limits,
        Err(error) => return Finding::new(subject, State::Weak, error.desc(), "cannot be judged"),
    };
    let text = |limit| match limit {
        RLIM_INFINITY => "unlimited".to_owned(),
        limit => shown(&limit),
    };
    let found = format!("{}, at most {}", text(soft), text(hard));
    // What the node does at start, tried out on this process; root may exceed the hard limit.
    if soft < wanted {
        let _ = setrlimit(resource, wanted, hard.max(wanted))
            .or_else(|_| setrlimit(resource, wanted.min(hard), hard));
    }
    let reached = getrlimit(resource).map_or(soft, |limits| limits.0);
    let advice = "raise it in /etc/security/limits.conf or the service's unit";
    if reached < least {
        let why = format!("{} are needed at least: {advice}", shown(&least));
        Finding::new(subject, State::Bad, found, why)
    } else if reached < wanted {
        let why = format!("{} would be better: {advice}", shown(&wanted));
        Finding::new(subject, State::Weak, found, why)
    } else if soft < wanted {
        let why = format!("raised to {} at start", shown(&wanted));
        Finding::new(subject, State::Good, found, why)
    } else {
        Finding::new(subject, State::Good, found, "enough")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_cpus_are_shown_as_ranges() {
        assert_eq!(ranges(&[]), "()");
        assert_eq!(ranges(&[3]), "(3)");
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "(0-2, 5, 7-8)");
    }
}
