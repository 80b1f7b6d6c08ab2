//! How large messages are.

use std::path::PathBuf;
use std::str::FromStr;

use rand::RngExt;
use rand_distr::{Distribution, LogNormal};
use serde::{Deserialize, Serialize};

use super::bytes_of;
use super::random::{Random, random};

/// Bytes of a record's value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Sizes {
    Fixed {
        bytes: usize,
    },
    /// Equally often between both, both included.
    Uniform {
        bytes_min: usize,
        bytes_max: usize,
    },
    /// Many small, few large: the logarithm is normal with this standard deviation.
    LogNormal {
        bytes_median: usize,
        sigma: f64,
        bytes_max: usize,
    },
    /// The lines of a real file, in order and over again, each behind its proof.
    Replay {
        path: PathBuf,
    },
}

impl FromStr for Sizes {
    type Err = String;

    /// `1024`, `100..2000`, `lognormal:MEDIAN:SIGMA:MAX` or `file:PATH`.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("file:") {
            return Ok(Sizes::Replay { path: path.into() });
        }
        if let Some(rest) = text.strip_prefix("lognormal:") {
            let words: Vec<&str> = rest.split(':').collect();
            let &[median, sigma, max] = words.as_slice() else {
                return Err(format!("{text:?} is not lognormal:MEDIAN:SIGMA:MAX"));
            };
            return Ok(Sizes::LogNormal {
                bytes_median: bytes_of(median)?,
                sigma: match sigma.parse() {
                    Ok(sigma) if (0.0..=10.0).contains(&sigma) => sigma,
                    _ => return Err(format!("{text:?}: sigma lies within 0 and 10")),
                },
                bytes_max: bytes_of(max)?,
            });
        }
        if let Some((min, max)) = text.split_once("..") {
            return Ok(Sizes::Uniform {
                bytes_min: bytes_of(min)?,
                bytes_max: bytes_of(max)?,
            });
        }
        Ok(Sizes::Fixed {
            bytes: bytes_of(text)?,
        })
    }
}

impl Sizes {
    /// The least and the greatest that may come; none of a replay, whose file says it.
    pub fn bounds(&self) -> Option<(usize, usize)> {
        match *self {
            Sizes::Fixed { bytes } => Some((bytes, bytes)),
            Sizes::Uniform {
                bytes_min,
                bytes_max,
            } => Some((bytes_min, bytes_max)),
            Sizes::LogNormal { bytes_max, .. } => Some((0, bytes_max)),
            Sizes::Replay { .. } => None,
        }
    }
}

/// Draws sizes for one producer.
pub struct SizeDraw {
    kind: Kind,
    /// No value is smaller.
    bytes_min: usize,
    random: Random,
}

enum Kind {
    Fixed(usize),
    Uniform(usize, usize),
    LogNormal(LogNormal<f64>, usize),
}

impl SizeDraw {
    /// Of values that hold `bytes_min` at least. None of a replay.
    ///
    /// # Panics
    /// On a sigma below 0: loads are checked before they run.
    pub fn new(sizes: &Sizes, bytes_min: usize, producer: usize, seed: u64) -> Option<Self> {
        let kind = match *sizes {
            Sizes::Fixed { bytes } => Kind::Fixed(bytes),
            Sizes::Uniform {
                bytes_min,
                bytes_max,
            } => Kind::Uniform(bytes_min, bytes_max),
            Sizes::LogNormal {
                bytes_median,
                sigma,
                bytes_max,
            } => {
                let mu = (bytes_median.max(1) as f64).ln();
                let drawn = LogNormal::new(mu, sigma).expect("a checked sigma");
                Kind::LogNormal(drawn, bytes_max)
            }
            Sizes::Replay { .. } => return None,
        };
        Some(Self {
            kind,
            bytes_min,
            random: random(seed, producer, 3),
        })
    }

    /// Bytes of the next value.
    #[inline]
    pub fn draw(&mut self) -> usize {
        let bytes = match &self.kind {
            Kind::Fixed(bytes) => *bytes,
            Kind::Uniform(min, max) => self.random.random_range(*min..=*max),
            Kind::LogNormal(drawn, max) => (drawn.sample(&mut self.random) as usize).min(*max),
        };
        bytes.max(self.bytes_min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(text: &str, count: usize) -> Vec<usize> {
        let mut draw = SizeDraw::new(&text.parse().unwrap(), 28, 0, 1).unwrap();
        (0..count).map(|_| draw.draw()).collect()
    }

    #[test]
    fn sizes_are_drawn_within_their_bounds() {
        assert_eq!(drawn("1KiB", 3), [1024; 3]);
        let uniform = drawn("100..200", 10_000);
        assert!(uniform.iter().all(|bytes| (100..=200).contains(bytes)));
        assert!(uniform.contains(&100) && uniform.contains(&200));
        let mut skewed = drawn("lognormal:500:1:4000", 10_001);
        skewed.sort_unstable();
        assert!((450..550).contains(&skewed[5000]), "{}", skewed[5000]);
        assert_eq!(skewed.last(), Some(&4000));
        assert!(skewed[0] >= 28);
    }

    #[test]
    fn ill_sizes_are_refused() {
        for text in ["", "big", "lognormal:5", "lognormal:5:-1:9", "5..x"] {
            assert!(text.parse::<Sizes>().is_err(), "{text}");
        }
    }
}
