//! Partitions that were written to of late, found by the topic's name or id without a search.
//!
//! A table of one entry per place: what falls on an occupied place takes it. Entries are forgotten
//! whenever the image or a partition changes.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use odradek_wire::Uuid;

use super::hosted::Hosted;
use super::image::Topic;

const PLACES: usize = 256;

/// How a request names a topic.
#[derive(Clone, Copy, Debug)]
pub enum TopicKey<'a> {
    Name(&'a str),
    Id(Uuid),
}

/// An open partition that clients may write to.
pub struct Target {
    pub topic: Arc<Topic>,
    pub index: i32,
    pub hosted: Rc<Hosted>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Targets(RefCell<Vec<Option<Rc<Target>>>>);

impl Targets {
    pub(super) fn get(&self, topic: TopicKey<'_>, index: i32) -> Option<Rc<Target>> {
        let places = self.0.borrow();
        let target = places.get(place(topic, index))?.as_ref()?;
        let same = target.index == index
            && match topic {
                TopicKey::Name(name) => *target.topic.name == *name,
                TopicKey::Id(id) => target.topic.id == id,
            };
        same.then(|| target.clone())
    }

    pub(super) fn put(&self, topic: TopicKey<'_>, target: Rc<Target>) {
        let mut places = self.0.borrow_mut();
        places.resize_with(PLACES, || None);
        let place = place(topic, target.index);
        places[place] = Some(target);
    }

    pub(super) fn forget(&self) {
        self.0.borrow_mut().clear();
    }
}

fn place(topic: TopicKey<'_>, index: i32) -> usize {
    let topic = match topic {
        TopicKey::Name(name) => {
            let last = name.as_bytes().last().copied().unwrap_or_default();
            name.len().wrapping_mul(31) + usize::from(last)
        }
        TopicKey::Id(id) => usize::from(id.0[15]),
    };
    topic.wrapping_mul(17).wrapping_add(index as usize) % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_one_topic_do_not_meet() {
        let key = TopicKey::Name("orders");
        let mut places: Vec<_> = (0..256).map(|index| place(key, index)).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), PLACES);
    }
}
