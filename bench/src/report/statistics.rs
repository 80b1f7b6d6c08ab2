//! Differences and noise.
//!
//! Figures of runs vary by shares, not by amounts, so all is done on logarithms: what comes out are
//! ratios. Intervals are Student's: with a handful of runs a bootstrap claims too much.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// How much greater B is than A, as a ratio, and between what it lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ratio {
    pub(crate) ratio: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Ratio {
    /// The interval excludes equality.
    pub(super) fn differs(&self) -> bool {
        self.least > 1.0 || self.most < 1.0
    }

    fn of(log_difference: f64, error: f64, freedom: f64, confidence: f64) -> Option<Self> {
        let student = StudentsT::new(0.0, 1.0, freedom).ok()?;
        let reach = student.inverse_cdf(0.5 + confidence / 2.0) * error;
        Some(Self {
            ratio: log_difference.exp(),
            least: (log_difference - reach).exp(),
            most: (log_difference + reach).exp(),
        })
    }
}

/// Of runs that alternated, by pairs: what drifts over both drops out. None with fewer than two
/// pairs, or where a figure is not above 0.
pub(crate) fn paired(a: &[f64], b: &[f64], confidence: f64) -> Option<Ratio> {
    if a.len() != b.len() || a.len() < 2 || !positive(a, b) {
        return None;
    }
    let logs: Vec<f64> = a.iter().zip(b).map(|(a, b)| (b / a).ln()).collect();
    let (mean, variance) = moments(&logs);
    let count = logs.len() as f64;
    Ratio::of(mean, (variance / count).sqrt(), count - 1.0, confidence)
}

/// Of independent runs (Welch). None with fewer than two of each, or where a figure is not above 0.
pub(super) fn independent(a: &[f64], b: &[f64], confidence: f64) -> Option<Ratio> {
    if a.len() < 2 || b.len() < 2 || !positive(a, b) {
        return None;
    }
    let logs = |values: &[f64]| values.iter().map(|value| value.ln()).collect::<Vec<f64>>();
    let ((mean_a, variance_a), (mean_b, variance_b)) = (moments(&logs(a)), moments(&logs(b)));
    let (count_a, count_b) = (a.len() as f64, b.len() as f64);
    let (part_a, part_b) = (variance_a / count_a, variance_b / count_b);
    let both = part_a + part_b;
    // Welch and Satterthwaite; without any spread the least that is possible.
    let freedom =
        both * both / (part_a * part_a / (count_a - 1.0) + part_b * part_b / (count_b - 1.0));
    let freedom = match freedom.is_finite() {
        true => freedom,
        false => count_a.min(count_b) - 1.0,
    };
    Ratio::of(mean_b - mean_a, both.sqrt(), freedom, confidence)
}

fn positive(a: &[f64], b: &[f64]) -> bool {
    a.iter()
        .chain(b)
        .all(|value| *value > 0.0 && value.is_finite())
}

/// Mean and sample variance.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|value| (value - mean).powi(2));
    (mean, squares.sum::<f64>() / (count - 1.0))
}

/// The middle; the mean of both middles where there are two. None without values.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        count if count % 2 == 1 => Some(sorted[half]),
        _ => Some((sorted[half - 1] + sorted[half]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_students() {
        // Log ratios 0.1, 0.2, 0.3: mean 0.2, standard error 0.05774, t(2, 97.5 %) = 4.3027.
        let a = [1.0; 3];
        let b = [0.1f64.exp(), 0.2f64.exp(), 0.3f64.exp()];
        let ratio = paired(&a, &b, 0.95).unwrap();
        assert!((ratio.ratio.ln() - 0.2).abs() < 1e-9);
        assert!(
            (ratio.least.ln() - (0.2 - 4.3027 * 0.057735)).abs() < 1e-4,
            "{ratio:?}"
        );
        assert!(!ratio.differs());
        assert!(paired(&a, &b, 0.5).unwrap().differs());
    }

    #[test]
    fn drift_drops_out_of_pairs_only() {
        let a = [100.0, 130.0, 170.0, 220.0];
        let b: Vec<f64> = a
            .iter()
            .zip([1.05, 1.06, 1.05, 1.04])
            .map(|(a, by)| a * by)
            .collect();
        assert!(paired(&a, &b, 0.95).unwrap().differs());
        assert!(!independent(&a, &b, 0.95).unwrap().differs());
    }

    #[test]
    fn the_same_is_noise_and_twice_is_not() {
        let a = [10.0, 10.4, 9.8, 10.1, 9.9];
        let b = [10.2, 9.9, 10.0, 10.3, 9.7];
        assert!(!independent(&a, &b, 0.95).unwrap().differs());
        let twice: Vec<f64> = b.iter().map(|value| 2.0 * value).collect();
        let ratio = independent(&a, &twice, 0.95).unwrap();
        assert!(ratio.differs() && (ratio.ratio - 2.0).abs() < 0.05);
    }

    #[test]
    fn too_little_says_nothing() {
        assert_eq!(independent(&[1.0], &[2.0, 2.0], 0.95), None);
        assert_eq!(paired(&[1.0, 0.0], &[2.0, 2.0], 0.95), None);
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }
}
