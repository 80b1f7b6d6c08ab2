//! Opening the partitions of one request beside each other.
//!
//! Making a partition waits for the disk several times. A request that names thousands of new ones
//! would wait for one after the other, many seconds; beside each other they share the file system's
//! journal commits.
//!
//! Absent on purpose: answers. Who needs a partition asks for it ([`Broker::hosted`]) and waits
//! there until it is open, whoever opens it.

use std::cell::Cell;
use std::rc::Rc;

use odradek_wire::Uuid;

use super::Broker;

/// Of one request, at a time.
const AT_ONCE_MAX: usize = 64;

/// Begins to open what is not open yet, in order. What cannot be opened is told to whoever asks for
/// it; the tasks end by themselves, also when the request is given up.
pub(super) fn open_ahead(broker: &Rc<Broker>, wanted: impl Iterator<Item = (Uuid, i32)>) {
    let image = broker.image();
    let closed: Vec<(Uuid, i32)> = wanted
        .filter(|(id, index)| {
            let topic = image.topic_by_id(*id);
            topic.is_some_and(|topic| broker.open_now(topic, *index).is_none())
        })
        .collect();
    if closed.len() < 2 {
        return;
    }
    let closed: Rc<[(Uuid, i32)]> = closed.into();
    let next = Rc::new(Cell::new(0));
    for _ in 0..AT_ONCE_MAX.min(closed.len()) {
        let (broker, image) = (broker.clone(), image.clone());
        let (closed, next) = (closed.clone(), next.clone());
        let spawner = broker.spawner.clone();
        let open = async move {
            while let Some((id, index)) = closed.get(next.get()).copied() {
                next.set(next.get() + 1);
                if let Some(topic) = image.topic_by_id(id) {
                    let _ = broker.hosted(topic, index).await;
                }
            }
        };
        spawner.spawn(open).detach();
    }
}
