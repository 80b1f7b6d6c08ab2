//! Which shard a new partition goes to. Pure.

use super::image::Image;

/// Shards for `count` new partitions: each to the shard that then has the fewest, the highest
/// number first among equals, so that shard 0, which has the controller's work, comes last.
pub fn spread(image: &Image, shards: u32, count: usize) -> Vec<u32> {
    let mut load = vec![0usize; shards as usize];
    for entry in image.topics().flat_map(|topic| &topic.partitions) {
        if let Some(load) = load.get_mut(entry.shard as usize) {
            *load += 1;
        }
    }
    (0..count)
        .map(|_| {
            let shard = (0..shards)
                .rev()
                .min_by_key(|shard| load[*shard as usize])
                .expect("at least one shard");
            load[shard as usize] += 1;
            shard
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_spread_evenly() {
        let mut shards = spread(&Image::default(), 4, 8);
        assert_eq!(shards[..4], [3, 2, 1, 0]);
        shards.sort_unstable();
        assert_eq!(shards, [0, 0, 1, 1, 2, 2, 3, 3]);
    }
}
