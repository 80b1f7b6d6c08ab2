//! A latency histogram as JSON: its recorded values and their counts, nothing summed away, in the
//! form that all HdrHistogram tools read.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

/// Longer latencies count as this one: 1000 s, in nanoseconds.
pub const LATENCY_MAX_NS: u64 = 1_000_000_000_000;
/// Values are kept to three significant digits.
pub const DIGITS: u8 = 3;

/// Latencies in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latencies {
    pub count: u64,
    pub mean_ns: f64,
    pub max_ns: u64,
    /// Values equal to three significant digits, rising, and how often each came. In JSON:
    /// HdrHistogram's V2 encoding, deflated, in base64.
    #[serde(rename = "hdr_v2_deflate", with = "encoded")]
    pub values: Vec<(u64, u64)>,
}

/// An empty histogram of full precision.
pub fn empty() -> Histogram<u64> {
    of_digits(DIGITS)
}

fn of_digits(digits: u8) -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_NS, digits).expect("sound bounds")
}

/// Values and how often each came, in so many digits.
fn recorded(values: &[(u64, u64)], digits: u8) -> Histogram<u64> {
    let mut histogram = of_digits(digits);
    for &(value, count) in values {
        histogram.saturating_record_n(value, count);
    }
    histogram
}

fn values_of(histogram: &Histogram<u64>) -> Vec<(u64, u64)> {
    let recorded = histogram.iter_recorded();
    recorded
        .map(|step| (step.value_iterated_to(), step.count_at_value()))
        .collect()
}

impl From<&Histogram<u64>> for Latencies {
    fn from(histogram: &Histogram<u64>) -> Self {
        Self {
            count: histogram.len(),
            mean_ns: histogram.mean(),
            max_ns: histogram.max(),
            values: values_of(histogram),
        }
    }
}

mod encoded {
    use serde::de::Error as _;
    use serde::ser::Error as _;

    use super::*;

    pub(super) fn serialize<S: serde::Serializer>(
        values: &[(u64, u64)],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        // In as few digits as tell these values apart.
        let all = [1, 2, DIGITS].map(|digits| recorded(values, digits));
        let same = all.iter().find(|histogram| values_of(histogram) == values);
        let histogram = same.unwrap_or(&all[2]);
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(histogram, &mut bytes)
            .map_err(S::Error::custom)?;
        to.serialize_str(&BASE64.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<(u64, u64)>, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = BASE64.decode(text).map_err(D::Error::custom)?;
        let histogram: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(D::Error::custom)?;
        Ok(values_of(&histogram))
    }
}

impl Latencies {
    /// The same to fewer significant digits, for results of many runs.
    pub fn coarse(&self, digits: u8) -> Self {
        let histogram = recorded(&self.values, digits);
        Self {
            values: values_of(&histogram),
            ..self.clone()
        }
    }

    /// All of them together.
    pub(crate) fn sum<'a>(all: impl IntoIterator<Item = &'a Latencies>) -> Self {
        let mut values = BTreeMap::new();
        let (mut count, mut total_ns, mut max_ns) = (0, 0.0, 0);
        for one in all {
            for (value, times) in &one.values {
                *values.entry(*value).or_insert(0) += times;
            }
            count += one.count;
            total_ns += one.mean_ns * one.count as f64;
            max_ns = max_ns.max(one.max_ns);
        }
        Self {
            count,
            mean_ns: total_ns / (count as f64).max(1.0),
            max_ns,
            values: values.into_iter().collect(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The value that a share of `quantile` (0 to 1) does not exceed, nanoseconds; none where
    /// nothing was recorded.
    pub fn at(&self, quantile: f64) -> Option<u64> {
        let wanted = (quantile.clamp(0.0, 1.0) * self.count as f64)
            .ceil()
            .max(1.0) as u64;
        let mut seen = 0;
        let found = self.values.iter().find(|(_, count)| {
            seen += count;
            seen >= wanted
        });
        Some(found?.0.min(self.max_ns))
    }

    /// The same in milliseconds.
    pub fn ms(&self, quantile: f64) -> Option<f64> {
        Some(self.at(quantile)? as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarse_quantiles_are_near() {
        let mut histogram = empty();
        for value in 1..=100_000u64 {
            histogram.record(value * 1000).unwrap();
        }
        let fine = Latencies::from(&histogram);
        let coarse = fine.coarse(2);
        assert_eq!(coarse.values.iter().map(|(_, n)| n).sum::<u64>(), 100_000);
        for quantile in [0.001, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let (one, other) = (fine.at(quantile).unwrap(), coarse.at(quantile).unwrap());
            assert!(
                one.abs_diff(other) * 100 <= one,
                "{quantile}: {one}, {other}"
            );
        }
        let bytes = |of: &Latencies| serde_json::to_string(of).unwrap().len();
        assert!(bytes(&coarse) < bytes(&fine));
    }

    #[test]
    fn histograms_add_up() {
        let of = |values: &[(u64, u64)], mean_ns, max_ns| Latencies {
            count: values.iter().map(|(_, times)| times).sum(),
            mean_ns,
            max_ns,
            values: values.to_vec(),
        };
        let one = of(&[(1_000_000, 90), (5_000_000, 2)], 1e6, 4_999_000);
        let other = of(&[(1_000_000, 8)], 2e6, 1_000_000);
        let sum = Latencies::sum([&one, &other, &Latencies::default()]);
        assert_eq!((sum.count, sum.max_ns), (100, 4_999_000));
        assert_eq!(sum.values, [(1_000_000, 98), (5_000_000, 2)]);
        assert_eq!(sum.ms(0.98), Some(1.0));
        assert_eq!(sum.ms(0.99), Some(4.999));
        assert_eq!(sum.mean_ns, 1_080_000.0);
        assert_eq!(Latencies::sum([]), Latencies::default());
    }

    #[test]
    fn quantiles_survive_json() {
        let mut histogram = empty();
        for value in 1..=100_000u64 {
            histogram.record(value * 1000).unwrap();
        }
        let text = serde_json::to_string(&Latencies::from(&histogram)).unwrap();
        let kept: Latencies = serde_json::from_str(&text).unwrap();
        assert_eq!(kept.count, 100_000);
        for quantile in [0.001, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0] {
            let wanted = histogram.value_at_quantile(quantile);
            assert_eq!(kept.at(quantile), Some(wanted), "{quantile}");
        }
        assert_eq!(Latencies::default().at(0.5), None);
    }
}
