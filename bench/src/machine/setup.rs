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

/// The block device below a mount: kind, scheduler, size. Empty where there is none of its own.
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
    let turns = match read("queue/rotational").as_str() {
        "0" => "does not turn",
        _ => "turns",
    };
    let sectors: f64 = read("size").parse().unwrap_or(0.0);
    format!(
        "{name} {}, {turns}, scheduler {}, {:.0} GiB, write cache {}",
        read("device/model"),
        read("queue/scheduler"),
        sectors * 512.0 / (1u64 << 30) as f64,
        read("queue/write_cache"),
    )
}
