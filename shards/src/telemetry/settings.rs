//! The settings of a subscription.

use regex::{Regex, RegexBuilder};

use super::subscriptions::Attribute;
use crate::config::row::{Role, Row, Update};
use crate::config::value::{Check, Kind, Value};
use crate::config::{ConfigError, Given};

/// Which metrics: prefixes of their names, or `*` for all.
pub(super) const METRICS: &str = "metrics";
/// How often.
pub(super) const INTERVAL: &str = "interval.ms";
/// Of which clients.
pub(super) const MATCH: &str = "match";

/// Kafka's default: five minutes.
pub(super) const INTERVAL_MS_DEFAULT: i32 = 300_000;
const INTERVAL_MS_MIN: i32 = 100;
const INTERVAL_MS_MAX: i32 = 3_600_000;
/// Of a compiled pattern: a short one can ask for much.
const PATTERN_BYTES_MAX: usize = 256 << 10;

const fn setting(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    meaning: &'static str,
) -> Row {
    Row {
        name,
        kind,
        default: Some(default),
        check: Check::Any,
        update: Update::ClusterWide,
        internal: false,
        role: Role::Implemented {
            section: "",
            meaning,
        },
    }
}

static ROWS: [Row; 3] = [
    setting(
        INTERVAL,
        Kind::Int,
        "300000",
        "Milliseconds between two pushes of a client.",
    ),
    setting(
        MATCH,
        Kind::List,
        "",
        "Which clients: attribute=pattern, all of which must match; none match all.",
    ),
    setting(
        METRICS,
        Kind::List,
        "",
        "Which metrics: prefixes of their names; * for all.",
    ),
];

/// The settings, by name.
pub fn rows() -> &'static [Row] {
    &ROWS
}

/// The setting of that name.
pub fn row(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

/// Whether a subscription may be set so.
///
/// # Errors
/// Why not, and whether the request makes no sense (false) or a setting is ill (true).
pub fn check(given: &Given) -> Result<(), (bool, String)> {
    read(given).map(drop)
}

/// What a subscription is.
pub(super) struct Read {
    pub interval_ms: i32,
    pub metrics: Vec<String>,
    pub patterns: Vec<(Attribute, Regex)>,
}

pub(super) fn read(given: &Given) -> Result<Read, (bool, String)> {
    if let Some(name) = given.keys().find(|name| row(name).is_none()) {
        return Err((
            false,
            format!("Unknown client metrics configuration: {name}"),
        ));
    }
    let ill = |error: ConfigError| (true, error.to_string());
    let value = |name: &str| -> Result<Option<Value>, (bool, String)> {
        let row = row(name).expect("one of ours");
        given
            .get(name)
            .map(|text| row.parse(text).map_err(ill))
            .transpose()
    };
    let list = |name: &str| -> Result<Vec<String>, (bool, String)> {
        Ok(match value(name)? {
            Some(Value::List(items)) => items,
            _ => Vec::new(),
        })
    };
    let interval_ms = match value(INTERVAL)? {
        Some(Value::Whole(ms)) => ms as i32,
        _ => INTERVAL_MS_DEFAULT,
    };
    if !(INTERVAL_MS_MIN..=INTERVAL_MS_MAX).contains(&interval_ms) {
        let why = format!(
            "Invalid value {interval_ms} for {INTERVAL}, interval must be between \
             {INTERVAL_MS_MIN} and {INTERVAL_MS_MAX} (1 hour)"
        );
        return Err((false, why));
    }
    let patterns = list(MATCH)?
        .iter()
        .map(|text| pattern(text))
        .collect::<Result<_, _>>();
    Ok(Read {
        interval_ms,
        metrics: list(METRICS)?,
        patterns: patterns.map_err(|why| (true, why))?,
    })
}

/// `attribute=pattern`: the whole of the attribute matches.
fn pattern(text: &str) -> Result<(Attribute, Regex), String> {
    let illegal = |why: &str| format!("Illegal client matching pattern: {text}{why}");
    let parts = text.split_once('=');
    let parts = parts.filter(|(_, pattern)| !pattern.is_empty() && !pattern.contains('='));
    let (name, pattern) = parts.ok_or_else(|| illegal(""))?;
    let attribute = Attribute::of_name(name.trim()).ok_or_else(|| {
        illegal(&format!(
            ": it is about one of {}",
            Attribute::names().join(", ")
        ))
    })?;
    let whole = format!("^(?:{})$", pattern.trim());
    let pattern = RegexBuilder::new(&whole)
        .size_limit(PATTERN_BYTES_MAX)
        .build();
    let pattern = pattern.map_err(|error| illegal(&format!(": {error}")))?;
    Ok((attribute, pattern))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(settings: &[(&str, &str)]) -> Given {
        let settings = settings.iter();
        settings
            .map(|(name, text)| ((*name).into(), (*text).into()))
            .collect()
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let fine = [
            (
                METRICS,
                "org.apache.kafka.producer.,org.apache.kafka.consumer.",
            ),
            (INTERVAL, "100"),
            (MATCH, "client_software_name=apache-kafka.*,client_id=a.*"),
        ];
        let read = read(&given(&fine)).map_err(|(_, why)| why).unwrap();
        assert_eq!(
            (read.metrics.len(), read.interval_ms, read.patterns.len()),
            (2, 100, 2)
        );
        assert!(read.patterns[0].1.is_match("apache-kafka-java"));
        assert!(!read.patterns[1].1.is_match("ba"), "the whole of it");
        for (name, text, ill, why) in [
            ("no.such", "1", false, "Unknown client metrics"),
            (INTERVAL, "99", false, "between 100 and 3600000"),
            (INTERVAL, "3600001", false, "between 100 and 3600000"),
            (INTERVAL, "often", true, INTERVAL),
            (
                MATCH,
                "client_id",
                true,
                "Illegal client matching pattern: client_id",
            ),
            (MATCH, "client_id=", true, "Illegal"),
            (MATCH, "client_id=a=b", true, "Illegal"),
            (MATCH, "colour=red", true, "client_software_version"),
            (MATCH, "client_id=(", true, "Illegal"),
            (MATCH, "client_id=(a{1000}){1000}", true, "Illegal"),
        ] {
            let (is_ill, said) = check(&given(&[(name, text)])).unwrap_err();
            assert!(said.contains(why) && ill == is_ill, "{name}={text}: {said}");
        }
    }
}
