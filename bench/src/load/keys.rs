//! Keys of messages.

use std::str::FromStr;

use rand::RngExt;
use rand_distr::{Distribution, Zipf};
use serde::{Deserialize, Serialize};

use super::random::{Random, random};

/// Bytes of a key: its number.
pub const KEY_BYTES: usize = 8;

/// Which keys messages have.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Keys {
    None,
    /// `count` keys, equally often.
    Uniform {
        count: u64,
    },
    /// `count` keys, the k-th in proportion to 1 / k^exponent.
    Zipf {
        count: u64,
        exponent: f64,
    },
}

impl FromStr for Keys {
    type Err = String;

    /// `none`, `uniform:COUNT`, `zipf:COUNT` (exponent 0.99) or `zipf:COUNT:EXPONENT`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split(':');
        let kind = words.next().unwrap_or_default();
        let count = |word: Option<&str>| -> Result<u64, String> {
            let word = word.ok_or_else(|| format!("{text:?}: how many keys? As in {kind}:1M"))?;
            Ok(super::rate_of(word)? as u64)
        };
        let keys = match kind {
            "none" => Keys::None,
            "uniform" => Keys::Uniform {
                count: count(words.next())?,
            },
            "zipf" => Keys::Zipf {
                count: count(words.next())?,
                exponent: match words.next() {
                    None => 0.99,
                    Some(word) => match word.parse() {
                        Ok(exponent) if (0.0..=10.0).contains(&exponent) => exponent,
                        _ => return Err(format!("{text:?}: an exponent lies within 0 and 10")),
                    },
                },
            },
            _ => {
                return Err(format!(
                    "{text:?} is none of none, uniform:COUNT, zipf:COUNT[:EXPONENT]"
                ));
            }
        };
        match words.next() {
            None => Ok(keys),
            Some(word) => Err(format!("{text:?}: {word:?} is too much")),
        }
    }
}

/// Draws keys for one producer.
pub struct KeyDraw {
    kind: Kind,
    random: Random,
}

enum Kind {
    None,
    Uniform(u64),
    Zipf(Zipf<f64>),
}

impl KeyDraw {
    /// # Panics
    /// On an exponent below 0: loads are checked before they run.
    pub fn new(keys: Keys, producer: usize, seed: u64) -> Self {
        let kind = match keys {
            Keys::None => Kind::None,
            Keys::Uniform { count } => Kind::Uniform(count.max(1)),
            Keys::Zipf { count, exponent } => {
                Kind::Zipf(Zipf::new(count.max(1) as f64, exponent).expect("a checked exponent"))
            }
        };
        Self {
            kind,
            random: random(seed, producer, 2),
        }
    }

    /// The next message's key.
    #[inline]
    pub fn draw(&mut self) -> Option<[u8; KEY_BYTES]> {
        let number = match &self.kind {
            Kind::None => return None,
            Kind::Uniform(count) => self.random.random_range(0..*count),
            Kind::Zipf(zipf) => zipf.sample(&mut self.random) as u64 - 1,
        };
        Some(number.to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(keys: &str, count: usize) -> Vec<u64> {
        let mut draw = KeyDraw::new(keys.parse().unwrap(), 0, 3);
        (0..count)
            .map(|_| u64::from_be_bytes(draw.draw().unwrap()))
            .collect()
    }

    #[test]
    fn uniform_keys_are_equally_often() {
        let drawn = numbers("uniform:10", 100_000);
        for key in 0..10 {
            let times = drawn.iter().filter(|one| **one == key).count();
            assert!((9_500..10_500).contains(&times), "{key}: {times}");
        }
    }

    #[test]
    fn zipf_keys_fall_off_as_they_should() {
        let drawn = numbers("zipf:1000:1.0", 200_000);
        assert!(drawn.iter().all(|key| *key < 1000));
        let times = |key| drawn.iter().filter(|one| **one == key).count() as f64;
        // The harmonic number of 1000 is 7.485.
        assert!((times(0) / 200_000.0 * 7.485 - 1.0).abs() < 0.03);
        assert!((times(0) / times(9) - 10.0).abs() < 1.0);
    }

    #[test]
    fn ill_keys_are_refused() {
        for text in ["", "uniform", "uniform:0", "zipf:5:x", "zipf:5:1:2", "hot"] {
            assert!(text.parse::<Keys>().is_err(), "{text}");
        }
        assert_eq!("none".parse(), Ok(Keys::None));
        assert_eq!("uniform:2k".parse(), Ok(Keys::Uniform { count: 2000 }));
    }
}
