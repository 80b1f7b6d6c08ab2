//! Many pieces of work, so many of them at a time.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;

use odradek_engine::task::Spawner;

use super::Gate;

/// Does all of `work`, at most `at_once` (from 1) of it at a time, begun in its order. What was
/// begun goes on if nobody waits for it any more.
pub async fn abreast<W>(spawner: &Spawner, at_once: usize, work: W)
where
    W: ExactSizeIterator + 'static,
    W::Item: Future<Output = ()>,
{
    let workers = at_once.min(work.len());
    if workers == 0 {
        return;
    }
    let work = Rc::new(RefCell::new(work));
    let (left, over) = (Rc::new(Cell::new(workers)), Gate::new());
    for _ in 0..workers {
        let (work, left, over) = (work.clone(), left.clone(), over.clone());
        let worker = async move {
            loop {
                let next = work.borrow_mut().next();
                let Some(next) = next else { break };
                next.await;
            }
            left.set(left.get() - 1);
            if left.get() == 0 {
                over.open();
            }
        };
        spawner.spawn(worker).detach();
    }
    over.passed().await;
}
