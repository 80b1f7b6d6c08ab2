//! From values to places along an axis, and where its marks stand.

use super::short;

/// How values lie along an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Axis {
    /// From 0 to this.
    Linear { most: f64 },
    /// From the first to the second, both above 0.
    Log { least: f64, most: f64 },
    /// Shares from 0 to this one below 1, so that each further nine takes the same room.
    Nines { most: f64 },
}

impl Axis {
    /// From 0 to a round number above all values.
    pub(crate) fn linear(values: impl Iterator<Item = f64>) -> Self {
        let most = values.fold(0.0, f64::max);
        let step = step(most);
        Axis::Linear {
            most: (most / step).ceil().max(1.0) * step,
        }
    }

    /// From 0 to just this, which need not be round.
    pub(crate) fn span(most: f64) -> Self {
        Axis::Linear {
            most: if most > 0.0 { most } else { 1.0 },
        }
    }

    /// From a power of ten to a power of ten around all values above 0.
    pub(crate) fn log(values: impl Iterator<Item = f64>) -> Self {
        let (mut least, mut most) = (f64::MAX, f64::MIN_POSITIVE);
        for value in values.filter(|value| *value > 0.0) {
            least = least.min(value);
            most = most.max(value);
        }
        if least > most {
            (least, most) = (0.1, 1.0);
        }
        let least = 10f64.powf(least.log10().floor());
        let most = 10f64.powf(most.log10().ceil()).max(least * 10.0);
        Axis::Log { least, most }
    }

    /// Where a value lies, 0 to 1.
    pub(crate) fn place(self, value: f64) -> f64 {
        let nines = |share: f64| -(1.0 - share).max(1e-12).log10();
        let place = match self {
            Axis::Linear { most } => value / most,
            Axis::Log { least, most } => {
                (value.max(least) / least).log10() / (most / least).log10()
            }
            Axis::Nines { most } => nines(value) / nines(most),
        };
        place.clamp(0.0, 1.0)
    }

    /// Values that are marked, and their names.
    pub(super) fn marks(self) -> Vec<(f64, String)> {
        match self {
            Axis::Linear { most } => {
                let step = step(most);
                let count = (most / step + 1e-6).floor() as usize;
                (0..=count)
                    .map(|at| (at as f64 * step, short(at as f64 * step)))
                    .collect()
            }
            Axis::Log { least, most } => {
                let decades = (most / least).log10().round() as i32;
                (0..=decades)
                    .map(|at| least * 10f64.powi(at))
                    .map(|value| (value, short(value)))
                    .collect()
            }
            Axis::Nines { most } => {
                let named = [
                    (0.0, "0"),
                    (0.5, "50"),
                    (0.9, "90"),
                    (0.99, "99"),
                    (0.999, "99.9"),
                    (0.9999, "99.99"),
                    (0.99999, "99.999"),
                    (0.999999, "99.9999"),
                ];
                named
                    .into_iter()
                    .filter(|(share, _)| *share <= most + 1e-9)
                    .map(|(share, name)| (share, name.to_owned()))
                    .collect()
            }
        }
    }
}

/// A round step that divides up to `most` into four to ten.
fn step(most: f64) -> f64 {
    if most <= 0.0 || !most.is_finite() {
        return 1.0;
    }
    let rough = most / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    let step = steps.iter().find(|step| rough <= **step * power * 1.0001);
    step.unwrap_or(&10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_marks() {
        let axis = Axis::linear([3.0, 47_000.0].into_iter());
        assert_eq!(axis, Axis::Linear { most: 50_000.0 });
        assert_eq!(axis.marks().len(), 6);
        let axis = Axis::log([0.3, 0.0, 42.0].into_iter());
        let marks: Vec<String> = axis.marks().into_iter().map(|mark| mark.1).collect();
        assert_eq!(marks, ["0.1", "1", "10", "100"]);
        for empty in [
            Axis::linear(std::iter::empty()),
            Axis::log(std::iter::empty()),
        ] {
            assert!(empty.marks().len() > 1 && empty.place(0.5).is_finite());
        }
    }

    #[test]
    fn each_nine_takes_the_same_room() {
        let axis = Axis::Nines { most: 0.9999 };
        for (share, place) in [(0.0, 0.0), (0.9, 0.25), (0.99, 0.5), (0.9999, 1.0)] {
            assert!((axis.place(share) - place).abs() < 1e-9, "{share}");
        }
        assert_eq!(axis.place(1.0), 1.0);
    }
}
