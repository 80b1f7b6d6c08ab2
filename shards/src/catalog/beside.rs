//! Opening many partitions beside each other, for requests that name many.

use std::rc::Rc;
use std::sync::Arc;

use odradek_engine::limits::PARTITIONS_AT_ONCE;

use super::Holdings;
use super::image::Topic;
use crate::runtime::abreast;

impl Holdings {
    /// Opens those of `wanted` that are this shard's and are not open, so that whoever asks for them
    /// one by one afterwards need not wait for each. What fails is told then.
    pub async fn open_all(self: &Rc<Self>, wanted: impl Iterator<Item = (Arc<Topic>, i32)>) {
        let closed = wanted.filter(|(topic, index)| {
            let entry = topic.entry(*index);
            entry.is_some_and(|entry| entry.shard == self.shard())
                && self.open_now(topic, *index).is_none()
        });
        let closed: Vec<_> = closed.collect();
        if closed.len() < 2 {
            return;
        }
        let holdings = self.clone();
        let opening = closed.into_iter().map(move |(topic, index)| {
            let holdings = holdings.clone();
            async move {
                let _told_later = holdings.hosted(&topic, index).await;
            }
        });
        let spawner = self.ground().spawner.clone();
        abreast(&spawner, PARTITIONS_AT_ONCE, opening).await;
    }
}
