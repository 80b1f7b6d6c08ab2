//! Which shard a new partition goes to. Pure.

use super::image::Image;

/// How many partitions each shard has, those being placed included.
pub struct Load(Vec<usize>);

impl Load {
    /// As an image has it.
    pub fn of(image: &Image, shards: u32) -> Self {
        let mut load = vec![0usize; shards as usize];
        for entry in image.topics().flat_map(|topic| &topic.partitions) {
            if let Some(load) = load.get_mut(entry.shard as usize) {
                *load += 1;
            }
        }
        Load(load)
    }

    /// How many shards there are.
    pub fn shards(&self) -> u32 {
        self.0.len() as u32
    }

    /// Shards for `count` new partitions: each to the shard that then has the fewest, the highest
    /// number first among equals, so that shard 0, which has the controller's work, comes last.
    pub fn spread(&mut self, count: usize) -> Vec<u32> {
        (0..count)
            .map(|_| {
                let shard = (0..self.0.len())
                    .rev()
                    .min_by_key(|shard| self.0[*shard])
                    .expect("at least one shard");
                self.0[shard] += 1;
                shard as u32
            })
            .collect()
    }

    /// Shards for partitions that were placed by hand; `None`: anywhere, as by [`spread`](Self::spread).
    pub fn place(&mut self, shards: impl IntoIterator<Item = Option<u32>>) -> Vec<u32> {
        let place = |shard| match shard {
            Some(shard) => {
                if let Some(load) = self.0.get_mut(shard as usize) {
                    *load += 1;
                }
                shard
            }
            None => self.spread(1)[0],
        };
        shards.into_iter().map(place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_spread_evenly() {
        let mut load = Load::of(&Image::default(), 4);
        let mut shards = load.spread(8);
        assert_eq!(shards[..4], [3, 2, 1, 0]);
        shards.sort_unstable();
        assert_eq!(shards, [0, 0, 1, 1, 2, 2, 3, 3]);
        // What was placed by hand counts.
        assert_eq!(load.place([Some(3), Some(3), None, Some(2)]), [3, 3, 2, 2]);
        assert_eq!(load.spread(3), [1, 0, 1]);
    }
}
