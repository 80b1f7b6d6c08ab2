//! `max.connections.per.ip.overrides`: hosts and numbers.
//!
//! Source: Kafka `Csv.parseCsvMap`, `KafkaConfig.maxConnectionsPerIpOverrides`, `Utils.validHostPattern`.

use std::collections::BTreeMap;

use super::ConfigError;

const NAME: &str = "max.connections.per.ip.overrides";

/// Reads `host:count,host2:count`. Of a host that is named twice the last counts, a number below
/// zero is zero.
///
/// # Errors
/// The first item that is not like that.
pub(super) fn read(text: &str) -> Result<BTreeMap<String, usize>, ConfigError> {
    let items = text.trim().trim_end_matches([',', ' ', '\t']);
    if items.is_empty() {
        return Ok(BTreeMap::new());
    }
    items.split(',').map(str::trim).map(item).collect()
}

fn item(item: &str) -> Result<(String, usize), ConfigError> {
    let split = item.rsplit_once(':').and_then(|(host, count)| {
        let count: i32 = count.trim().parse().ok()?;
        Some((host.trim(), count))
    });
    let named = |c: char| c.is_ascii_alphanumeric() || "-%._:".contains(c);
    match split {
        Some((host, count)) if !host.is_empty() && host.chars().all(named) => {
            Ok((host.to_owned(), count.max(0).unsigned_abs() as usize))
        }
        _ => {
            let reason = "expected host:count, separated by commas, the host an address or a name";
            Err(ConfigError::invalid(NAME, item, reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_addresses_and_names() {
        let text = "127.0.0.1:5, ::1 : 6 ,example.org:-7,10.0.0.1:1,10.0.0.1:2,";
        let read = read(text).expect("as Kafka reads it");
        let read: Vec<_> = read
            .iter()
            .map(|(host, count)| (host.as_str(), *count))
            .collect();
        let expected = [
            ("10.0.0.1", 2),
            ("127.0.0.1", 5),
            ("::1", 6),
            ("example.org", 0),
        ];
        assert_eq!(read, expected);
        assert!(super::read("  ").is_ok_and(|none| none.is_empty()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, item) in [
            ("127.0.0.1", "=127.0.0.1:"),
            ("a:1,b:many", "=b:many:"),
            ("a:1,,b:2", "=:"),
            (":3", "=:3:"),
            ("[::1]:3", "=[::1]:3:"),
            ("a b:3", "=a b:3:"),
            ("a:2147483648", "=a:2147483648:"),
        ] {
            let why = read(text).expect_err(text).to_string();
            assert!(why.contains(item) && why.contains("host:count"), "{why}");
        }
    }
}
