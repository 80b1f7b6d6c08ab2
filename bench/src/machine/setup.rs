//! How the machine is set up: what moves figures without being seen in them.

use std::path::Path;

/// The clock behind `clock_gettime`; anything but a counter of the CPU's makes each look at it a
/// system call.
pub(super) fn clock_source() -> String {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.trim().to_owned()
}

/// What the kernel does against the CPU's vulnerabilities: `name: state`, those that cost.
pub(super) fn mitigations() -> Vec<String> {
    let dir = "/sys/devices/system/cpu/vulnerabilities";
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut active: Vec<String> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let state = std::fs::read_to_string(entry.path()).ok()?;
            let state = state.trim().strip_prefix("Mitigation:")?.trim().to_owned();
            Some(format!("{}: {state}", entry.file_name().to_string_lossy()))
        })
        .collect();
    active.sort();
    active
}

/// The block device below a mount: kind, scheduler, size, cache. Empty where there is none of its own.
pub(super) fn disk(device: &str) -> String {
    let Some(name) = Path::new(device).file_name().and_then(|name| name.to_str()) else {
        return String::new();
    };
    // A partition's queue is its disk's.
    let whole = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let found = [name, whole, whole.trim_end_matches('p')]
        .into_iter()
        .find(|name| Path::new(&format!("/sys/block/{name}/queue")).exists());
    let Some(name) = found else {
        return String::new();
    };
    let read = |what: &str| {
        let text = std::fs::read_to_string(format!("/sys/block/{name}/{what}"));
        text.unwrap_or_default().trim().to_owned()
    };
    let driver = std::fs::read_link(format!("/sys/block/{name}/device/driver"));
    let driver = driver.ok().and_then(|path| {
        let driver = path.file_name()?.to_str()?;
        Some(driver.to_owned())
    });
    let sectors: f64 = read("size").parse().unwrap_or(0.0);
    let of = Disk {
        model: read("device/model"),
        driver: driver.unwrap_or_default(),
        rotational: read("queue/rotational"),
        scheduler: read("queue/scheduler"),
        gib: sectors * 512.0 / (1u64 << 30) as f64,
        write_cache: read("queue/write_cache"),
    };
    of.line(name)
}

/// As the kernel tells it; empty where it does not.
#[derive(Default)]
struct Disk {
    model: String,
    driver: String,
    rotational: String,
    scheduler: String,
    gib: f64,
    write_cache: String,
}

impl Disk {
    /// Only what is known. A virtual disk says nothing true of what lies below it.
    fn line(&self, name: &str) -> String {
        let rotational = match self.rotational.as_str() {
            "0" => "reported as not rotational",
            "1" => "reported as rotational",
            _ => "",
        };
        let kind = match self.model.is_empty() {
            true => self.driver.as_str(),
            false => self.model.as_str(),
        };
        let known = |parts: &[&str]| {
            let parts = parts.iter().filter(|part| !part.is_empty());
            parts.copied().collect::<Vec<_>>().join(", ")
        };
        let named = match known(&[kind, rotational]) {
            none if none.is_empty() => name.to_owned(),
            what => format!("{name} ({what})"),
        };
        let told = |what: &str, value: &str| match value.is_empty() {
            true => String::new(),
            false => format!("{what} {value}"),
        };
        known(&[
            &named,
            &told("scheduler", &self.scheduler),
            &format!("{:.0} GiB", self.gib),
            &told("write cache", &self.write_cache),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_told_without_what_is_not_known() {
        let virtual_disk = Disk {
            driver: "virtio_blk".to_owned(),
            rotational: "1".to_owned(),
            scheduler: "none [mq-deadline]".to_owned(),
            gib: 256.0,
            write_cache: "write back".to_owned(),
            ..Disk::default()
        };
        assert_eq!(
            virtual_disk.line("vda"),
            "vda (virtio_blk, reported as rotational), scheduler none [mq-deadline], 256 GiB, \
             write cache write back"
        );
        let drive = Disk {
            model: "A Model".to_owned(),
            driver: "nvme".to_owned(),
            rotational: "0".to_owned(),
            gib: 100.0,
            ..Disk::default()
        };
        let told = "nvme0n1 (A Model, reported as not rotational), 100 GiB";
        assert_eq!(drive.line("nvme0n1"), told);
        assert_eq!(Disk::default().line("loop0"), "loop0, 0 GiB");
    }
}
