//! Which shard and which log directory a new partition goes to. Pure.

use odradek_wire::Uuid;

use super::image::Image;
use crate::runtime::LogDirs;

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

/// How many partitions each log directory has that has not failed; nothing where there is one.
///
/// Source: Kafka `LogManager.nextLogDirs`.
pub struct Fill(Vec<(usize, Uuid)>);

impl Fill {
    /// As an image has it.
    pub fn of(image: &Image, dirs: &LogDirs) -> Self {
        if !dirs.several() {
            return Fill(Vec::new());
        }
        let online = dirs.online().filter_map(|number| dirs.id(number));
        let mut fill = Fill(online.map(|id| (0, id)).collect());
        for entry in image.topics().flat_map(|topic| &topic.partitions) {
            fill.add(entry.directory);
        }
        fill
    }

    /// One more partition is there.
    pub fn add(&mut self, directory: Uuid) {
        if let Some((count, _)) = self.0.iter_mut().find(|(_, id)| *id == directory) {
            *count += 1;
        }
    }

    /// The directory of one more partition: that which has the fewest, the first among equals.
    pub fn place(&mut self) -> Uuid {
        let least = self.0.iter().min_by_key(|(count, _)| *count);
        let id = least.map_or(Uuid::ZERO, |(_, id)| *id);
        self.add(id);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_fill_evenly() {
        let one = LogDirs::new(&["/a".into()], "/a".as_ref());
        assert_eq!(Fill::of(&Image::default(), &one).place(), Uuid::ZERO);
        let dirs = LogDirs::new(&["/a", "/b", "/c"].map(Into::into), "/a".as_ref());
        let id = |byte| Uuid([byte; 16]);
        for number in dirs.all() {
            dirs.identify(number, id(number as u8 + 1));
        }
        let mut fill = Fill::of(&Image::default(), &dirs);
        fill.add(id(1));
        let next: Vec<Uuid> = (0..4).map(|_| fill.place()).collect();
        assert_eq!(next, [2, 3, 1, 2].map(id));
        dirs.fail(1, "it burns");
        let mut left = Fill::of(&Image::default(), &dirs);
        let next: Vec<Uuid> = (0..3).map(|_| left.place()).collect();
        assert_eq!(next, [1, 3, 1].map(id));
    }

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
