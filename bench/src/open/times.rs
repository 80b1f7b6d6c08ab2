//! Intended times of a batch's messages, in order.

/// Runs of equal times take one entry: a closed loop makes many messages at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times {
    runs: Vec<(u64, u64)>,
    count: u64,
}

impl Times {
    #[inline]
    pub(crate) fn push(&mut self, time: u64) {
        self.count += 1;
        match self.runs.last_mut() {
            Some((last, count)) if *last == time => *count += 1,
            _ => self.runs.push((time, 1)),
        }
    }

    /// How many messages.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Each time, and how many messages have it.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (u64, u64)> {
        self.runs.iter().copied()
    }

    /// None left; the memory stays.
    pub(crate) fn clear(&mut self) {
        self.runs.clear();
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_times_are_counted() {
        let mut times = Times::default();
        for time in [5, 5, 6, 5] {
            times.push(time);
        }
        assert_eq!(times.runs().collect::<Vec<_>>(), [(5, 2), (6, 1), (5, 1)]);
        assert_eq!(times.count(), 4);
        times.clear();
        assert_eq!((times.count(), times.runs().count()), (0, 0));
    }
}
