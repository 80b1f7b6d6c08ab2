//! The kernel and its rings.

use odradek_engine::bytes::Pool;
use odradek_engine::io::ring::{Ring, RingOptions};
use odradek_engine::io::{Driver, DriverChoice, DriverKind};
use odradek_shards::config::Settings;

use super::{Finding, State};

/// Each with what it brought.
const NEWER: [((u32, u32), &str); 3] = [
    (
        (6, 0),
        "one issuer per ring and deferred task run (6.0, 6.1)",
    ),
    ((6, 1), "deferred task run (6.1)"),
    ((6, 5), "cachestat, to ask what is in page cache (6.5)"),
];

pub(super) fn examine(settings: &Settings) -> Vec<Finding> {
    vec![
        kernel(),
        ring(settings.io_driver),
        driver(settings.io_driver),
    ]
}

fn kernel() -> Finding {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let found = format!("Linux {release}");
    match version(release) {
        None => Finding::new("kernel", State::Weak, found, "its version cannot be read"),
        Some(version) if version < (5, 19) => Finding::new(
            "kernel",
            State::Weak,
            found,
            "5.19 or newer is needed for io_uring with provided buffers",
        ),
        Some(version) => match NEWER.iter().find(|(since, _)| version < *since) {
            Some((_, what)) => {
                let missing = format!("works, without {what}");
                Finding::new("kernel", State::Weak, found, missing)
            }
            None => Finding::new("kernel", State::Good, found, "has all that is made use of"),
        },
    }
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn ring(choice: DriverChoice) -> Finding {
    match Ring::new(RingOptions::default(), &Pool::new()) {
        Ok(ring) => {
            let got = ring.describe();
            let got = got.trim_start_matches("io_uring: ");
            let all = got.contains("deferred") && !got.contains("no provided buffers");
            let (state, consequence) = match all {
                true => (State::Good, "a shard can drive its I/O with such a ring"),
                false => (State::Weak, "works, at a higher cost per request"),
            };
            Finding::new("io_uring", state, got, consequence)
        }
        Err(error) => {
            let disabled = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
            let disabled = disabled.map_or("not there".to_owned(), |text| text.trim().to_owned());
            let state = match choice {
                DriverChoice::Ring => State::Bad,
                DriverChoice::Auto | DriverChoice::Poll => State::Weak,
            };
            Finding::new(
                "io_uring",
                state,
                format!("kernel.io_uring_disabled is {disabled}"),
                error.to_string(),
            )
        }
    }
}

/// What `io.driver` comes to here.
fn driver(choice: DriverChoice) -> Finding {
    let wanted = format!("io.driver={}", choice.name());
    let chosen = match choice.decide() {
        Ok(chosen) => chosen,
        Err(error) => return Finding::new("I/O driver", State::Bad, wanted, error.to_string()),
    };
    if let Err(error) = chosen.kind.open(&Pool::new()) {
        return Finding::new("I/O driver", State::Bad, wanted, error.to_string());
    }
    let (state, consequence) = match (chosen.kind, chosen.fallback) {
        (DriverKind::Ring, _) => (State::Good, "each shard will use io_uring".to_owned()),
        (DriverKind::Poll, None) => (
            State::Weak,
            "each shard will use epoll and threads, as asked, at a higher cost per request"
                .to_owned(),
        ),
        (DriverKind::Poll, Some(why)) => (State::Weak, why),
    };
    Finding::new("I/O driver", state, wanted, consequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_releases_of_all_kinds() {
        assert_eq!(version("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(version("5.19.0"), Some((5, 19)));
        assert_eq!(version("6.1-rc3"), Some((6, 1)));
        assert_eq!(version(""), None);
        assert_eq!(version("new"), None);
    }
}
