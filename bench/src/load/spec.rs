//! The load as a value.

use std::str::FromStr;

use odradek_engine::record::Compression;
use serde::{Deserialize, Serialize};

use super::arrivals::Arrivals;
use super::keys::Keys;
use super::sizes::Sizes;

/// For which answer a producer waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum Acks {
    /// None: produce → ack has no latency then.
    #[value(name = "0")]
    #[serde(rename = "0")]
    None,
    /// The leader has it.
    #[value(name = "1")]
    #[serde(rename = "1")]
    Leader,
    /// All that the topic's policy names have it.
    #[value(name = "all")]
    #[serde(rename = "all")]
    All,
}

impl Acks {
    /// As a produce request has it.
    pub fn code(self) -> i16 {
        match self {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        }
    }
}

/// Whether the records are read, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Reading {
    /// While they are produced: end-to-end latencies and the proof of validity.
    Live,
    /// After the window: the proof only, at no cost to the run.
    After,
    /// Not at all: nothing is proven.
    None,
}

/// How messages without a key choose a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Partitioning {
    /// One partition until its batch is sent, as Kafka's clients do (KIP-480, KIP-794).
    Sticky,
    /// One after another.
    RoundRobin,
}

/// A codec of record batches, by its name in `compression.type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Codec(pub Compression);

impl FromStr for Codec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = Compression::ALL.map(Compression::name);
        match Compression::from_name(text) {
            Some(codec) => Ok(Self(codec)),
            None => Err(format!("{text:?} is none of {}", names.join(", "))),
        }
    }
}

impl Serialize for Codec {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for Codec {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

/// What a run asks of a server. All times in seconds, but for those that name their unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    pub topic: String,
    /// Of the topic, if it is created.
    pub partitions: i32,
    /// Of the topic, if it is created: configs by name.
    pub topic_configs: Vec<(String, String)>,
    pub arrivals: Arrivals,
    pub producers: usize,
    /// Share the partitions among them, in each set.
    pub consumers: usize,
    /// Sets of consumers; each set reads everything.
    pub consumer_sets: usize,
    pub reading: Reading,
    pub keys: Keys,
    pub partitioning: Partitioning,
    pub sizes: Sizes,
    /// Share of a value's bytes that no codec makes smaller.
    pub random_share: f64,
    pub compression: Codec,
    /// Of a batch, header included (`batch.size`). A larger record has a batch of its own.
    pub batch_bytes: usize,
    /// How long a batch waits for more, milliseconds (`linger.ms`).
    pub linger_ms: f64,
    /// Of a produce request's batches together (`max.request.size`).
    pub request_bytes: usize,
    pub acks: Acks,
    /// Requests unanswered, per connection (`max.in.flight.requests.per.connection`).
    pub in_flight: usize,
    /// Batches carry a producer's id and sequence, as Kafka's clients do unless told otherwise.
    pub idempotent: bool,
    /// Messages made and not yet answered, bytes per producer (`buffer.memory`): an open loop that
    /// falls behind by more holds its messages back, their intended times stand.
    pub buffer_bytes: usize,
    /// Of a fetch, and of each partition in it.
    pub fetch_bytes: i32,
    pub fetch_wait_ms: i32,
    pub fetch_min_bytes: i32,
    pub warmup_s: f64,
    pub window_s: f64,
    /// Of the live figures and the plots over time.
    pub interval_s: f64,
    /// At most, after the window, for answers and for reading the rest.
    pub drain_s: f64,
    pub seed: u64,
}

impl Default for Load {
    /// One producer, one consumer, one partition; 1 KiB at 10,000 a second, Kafka's defaults.
    fn default() -> Self {
        Self {
            topic: "bench".to_owned(),
            partitions: 1,
            topic_configs: Vec::new(),
            arrivals: Arrivals::Constant { rate: 10_000.0 },
            producers: 1,
            consumers: 1,
            consumer_sets: 1,
            reading: Reading::Live,
            keys: Keys::None,
            partitioning: Partitioning::Sticky,
            sizes: Sizes::Fixed { bytes: 1024 },
            random_share: 0.5,
            compression: Codec::default(),
            batch_bytes: 16 << 10,
            linger_ms: 5.0,
            request_bytes: 1 << 20,
            acks: Acks::All,
            in_flight: 5,
            idempotent: false,
            buffer_bytes: 32 << 20,
            fetch_bytes: 1 << 20,
            fetch_wait_ms: 500,
            fetch_min_bytes: 1,
            warmup_s: 5.0,
            window_s: 30.0,
            interval_s: 1.0,
            drain_s: 30.0,
            seed: 1,
        }
    }
}

impl Load {
    /// Refuses what cannot be run, by name. `proof_bytes` are those that each value begins with.
    ///
    /// # Errors
    /// What is wrong, its value, and what would be right.
    pub fn check(&self, proof_bytes: usize) -> Result<(), String> {
        let within = |name: &str, value: f64, least: f64, most: f64| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(format!("{name} {value}: it lies within {least} and {most}"))
            }
        };
        within("partitions", f64::from(self.partitions), 1.0, 100_000.0)?;
        within("producers", self.producers as f64, 1.0, 10_000.0)?;
        within("in flight", self.in_flight as f64, 1.0, 10_000.0)?;
        within("batch bytes", self.batch_bytes as f64, 256.0, 64e6)?;
        within("request bytes", self.request_bytes as f64, 256.0, 64e6)?;
        within("linger ms", self.linger_ms, 0.0, 60_000.0)?;
        within("random share", self.random_share, 0.0, 1.0)?;
        within("fetch bytes", f64::from(self.fetch_bytes), 1024.0, 1e9)?;
        within("fetch wait ms", f64::from(self.fetch_wait_ms), 0.0, 60e3)?;
        within("window seconds", self.window_s, 0.01, 86_400.0)?;
        within("warm-up seconds", self.warmup_s, 0.0, 86_400.0)?;
        within("interval seconds", self.interval_s, 0.01, 3600.0)?;
        within("drain seconds", self.drain_s, 0.01, 3600.0)?;
        if let Some(rate) = self.arrivals.rate() {
            within("rate", rate, 0.001, 1e9)?;
        }
        if self.reading != Reading::None {
            within("consumers", self.consumers as f64, 1.0, 10_000.0)?;
            within("consumer sets", self.consumer_sets as f64, 1.0, 1000.0)?;
            if self.consumers > self.partitions as usize {
                return Err(format!(
                    "{} consumers share {} partitions: at most one each",
                    self.consumers, self.partitions
                ));
            }
        }
        if self.idempotent && (self.acks != Acks::All || self.in_flight > 5) {
            return Err(format!(
                "idempotent producers need acks all and at most 5 in flight, not {:?} and {}",
                self.acks, self.in_flight
            ));
        }
        if self.buffer_bytes < self.batch_bytes {
            return Err(format!(
                "a buffer of {} bytes does not hold a batch of {}",
                self.buffer_bytes, self.batch_bytes
            ));
        }
        match self.sizes {
            Sizes::Fixed { bytes } if bytes < proof_bytes => Err(format!(
                "values of {bytes} bytes cannot hold their proof (producer, sequence, time, \
                 checksum): {proof_bytes} at least"
            )),
            Sizes::Uniform {
                bytes_min,
                bytes_max,
            } if bytes_min < proof_bytes || bytes_max < bytes_min => Err(format!(
                "sizes {bytes_min}..{bytes_max}: from {proof_bytes} (the proof in each value), rising"
            )),
            Sizes::LogNormal { bytes_max, .. } if bytes_max < proof_bytes => Err(format!(
                "values of at most {bytes_max} bytes cannot hold their proof of {proof_bytes}"
            )),
            _ => Ok(()),
        }
    }

    /// Are there consumers?
    pub fn reads(&self) -> bool {
        self.reading != Reading::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_are_kept_as_json() {
        let load = Load {
            keys: "zipf:1M".parse().unwrap(),
            sizes: "lognormal:600:1.2:64KiB".parse().unwrap(),
            compression: "zstd".parse().unwrap(),
            topic_configs: vec![("retention.ms".to_owned(), "1000".to_owned())],
            ..Load::default()
        };
        let text = serde_json::to_string(&load).unwrap();
        assert_eq!(serde_json::from_str::<Load>(&text).unwrap(), load);
    }

    #[test]
    fn what_cannot_run_is_refused_by_name() {
        let default = Load::default();
        default.check(28).unwrap();
        let ill = [
            (
                "proof",
                Load {
                    sizes: "10".parse().unwrap(),
                    ..default.clone()
                },
            ),
            (
                "consumers",
                Load {
                    consumers: 2,
                    ..default.clone()
                },
            ),
            (
                "idempotent",
                Load {
                    idempotent: true,
                    in_flight: 6,
                    ..default.clone()
                },
            ),
            (
                "buffer",
                Load {
                    buffer_bytes: 1,
                    ..default.clone()
                },
            ),
            (
                "partitions",
                Load {
                    partitions: 0,
                    ..default.clone()
                },
            ),
            (
                "window",
                Load {
                    window_s: f64::NAN,
                    ..default.clone()
                },
            ),
            (
                "rate",
                Load {
                    arrivals: Arrivals::Constant { rate: 0.0 },
                    ..default.clone()
                },
            ),
            (
                "rising",
                Load {
                    sizes: "200..100".parse().unwrap(),
                    ..default
                },
            ),
        ];
        for (word, load) in ill {
            let error = load.check(28).unwrap_err();
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}
