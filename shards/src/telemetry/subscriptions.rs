//! What is asked of which client.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use odradek_wire::Uuid;
use regex::Regex;

use super::clients::Asked;
use super::settings::{INTERVAL_MS_DEFAULT, read};
use crate::config::Given;

/// Stands for all metrics.
const ALL: &str = "*";

/// Who a client is, as subscriptions can tell (`ClientMetricsInstanceMetadata`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    pub client_id: String,
    pub software_name: String,
    pub software_version: String,
    /// Without the port.
    pub source_address: String,
    pub source_port: String,
}

/// What a subscription can ask after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attribute {
    InstanceId,
    ClientId,
    SoftwareName,
    SoftwareVersion,
    SourceAddress,
    SourcePort,
}

const ATTRIBUTES: [(&str, Attribute); 6] = [
    ("client_instance_id", Attribute::InstanceId),
    ("client_id", Attribute::ClientId),
    ("client_software_name", Attribute::SoftwareName),
    ("client_software_version", Attribute::SoftwareVersion),
    ("client_source_address", Attribute::SourceAddress),
    ("client_source_port", Attribute::SourcePort),
];

impl Attribute {
    pub(super) fn of_name(name: &str) -> Option<Self> {
        let mut all = ATTRIBUTES.iter();
        all.find(|(known, _)| *known == name).map(|(_, one)| *one)
    }

    pub(super) fn names() -> [&'static str; 6] {
        ATTRIBUTES.map(|(name, _)| name)
    }
}

struct Subscription {
    interval_ms: i32,
    metrics: Vec<String>,
    patterns: Vec<(Attribute, Regex)>,
}

impl Subscription {
    fn matches(&self, id: Uuid, client: &Client) -> bool {
        self.patterns
            .iter()
            .all(|(attribute, pattern)| match attribute {
                Attribute::InstanceId => pattern.is_match(&id.to_string()),
                Attribute::ClientId => pattern.is_match(&client.client_id),
                Attribute::SoftwareName => pattern.is_match(&client.software_name),
                Attribute::SoftwareVersion => pattern.is_match(&client.software_version),
                Attribute::SourceAddress => pattern.is_match(&client.source_address),
                Attribute::SourcePort => pattern.is_match(&client.source_port),
            })
    }
}

/// All that are set.
#[derive(Default)]
pub struct Subscriptions(Vec<Subscription>);

impl Subscriptions {
    /// As they stand in the metadata. One that cannot be read is left out, with a warning: it was
    /// checked when it was set.
    pub fn new(set: &BTreeMap<String, Given>) -> Self {
        let all = set.iter().filter_map(|(name, given)| match read(given) {
            Ok(one) => Some(Subscription {
                interval_ms: one.interval_ms,
                metrics: one.metrics,
                patterns: one.patterns,
            }),
            Err((_, why)) => {
                tracing::warn!("the client metrics subscription {name} is not used: {why}");
                None
            }
        });
        Self(all.collect())
    }

    /// What is asked of a client: of all that match it, the metrics together and the shortest
    /// interval.
    pub(super) fn asked(&self, id: Uuid, client: &Client) -> Asked {
        let mut metrics = BTreeSet::new();
        let mut interval_ms = INTERVAL_MS_DEFAULT;
        for one in self.0.iter().filter(|one| one.matches(id, client)) {
            interval_ms = interval_ms.min(one.interval_ms);
            metrics.extend(one.metrics.iter().cloned());
        }
        if metrics.contains(ALL) {
            metrics = BTreeSet::from([ALL.to_owned()]);
        }
        let metrics: Arc<[String]> = metrics.into_iter().collect();
        // Another id whenever something else is asked, the same from every shard.
        let mut sum = crc32c::crc32c(&id.0);
        sum = crc32c::crc32c_append(sum, &interval_ms.to_be_bytes());
        for metric in metrics.iter() {
            sum = crc32c::crc32c_append(sum, &(metric.len() as u64).to_be_bytes());
            sum = crc32c::crc32c_append(sum, metric.as_bytes());
        }
        Asked {
            subscription_id: sum as i32,
            metrics,
            interval_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(all: &[(&str, &[(&str, &str)])]) -> Subscriptions {
        let all = all.iter().map(|(name, given)| {
            let given = given.iter();
            let given = given.map(|(name, text)| ((*name).into(), (*text).into()));
            ((*name).to_owned(), given.collect())
        });
        Subscriptions::new(&all.collect())
    }

    #[test]
    fn who_matches_several_is_asked_for_all_of_them_at_the_shortest_interval() {
        let all = set(&[
            ("a", &[("metrics", "x.,y."), ("interval.ms", "2000")]),
            (
                "b",
                &[
                    ("metrics", "y.,z."),
                    ("interval.ms", "1000"),
                    ("match", "client_id=one"),
                ],
            ),
            (
                "c",
                &[
                    ("metrics", "*"),
                    ("match", "client_id=two,client_source_port=9.*"),
                ],
            ),
            ("ill", &[("interval.ms", "1")]),
        ]);
        let client = |client_id: &str, source_port: &str| Client {
            client_id: client_id.to_owned(),
            source_port: source_port.to_owned(),
            ..Client::default()
        };
        let id = Uuid([7; 16]);
        let asked = |client| {
            let asked = all.asked(id, &client);
            (asked.metrics.join(" "), asked.interval_ms)
        };
        assert_eq!(asked(client("other", "90")), ("x. y.".to_owned(), 2000));
        assert_eq!(asked(client("one", "90")), ("x. y. z.".to_owned(), 1000));
        assert_eq!(asked(client("two", "80")), ("x. y.".to_owned(), 2000));
        assert_eq!(asked(client("two", "90")), ("*".to_owned(), 2000));
        let ids = [
            all.asked(id, &client("one", "")).subscription_id,
            all.asked(id, &client("two", "")).subscription_id,
            all.asked(Uuid([8; 16]), &client("one", "")).subscription_id,
        ];
        assert!(ids[0] != ids[1] && ids[0] != ids[2]);
        assert_eq!(ids[0], all.asked(id, &client("one", "1")).subscription_id);
    }
}
