//! What a hop to another shard and back costs: a message to a thread that sleeps in its ring, and
//! its answer.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a benchmark reads clocks

use std::rc::Rc;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use odradek_engine::bytes::Pool;
use odradek_engine::io::Io;
use odradek_engine::io::ring::{Ring, RingOptions};
use odradek_engine::task::Executor;
use odradek_shards::runtime::Mailboxes;

/// What a shard is, here.
type Shard = std::cell::Cell<u64>;

fn ring() -> Io {
    let pool = Pool::new();
    let ring = Ring::new(RingOptions::default(), &pool).expect("a ring");
    Io::new(Box::new(ring), pool)
}

/// Serves its inbox until it is told to stop.
fn serve(mailboxes: Mailboxes<Shard>, stop: futures_channel::oneshot::Receiver<()>) {
    let executor = Executor::new(ring());
    let spawner = executor.spawner();
    let on = spawner.clone();
    let serving =
        spawner.spawn(async move { mailboxes.serve(1, on, Rc::new(Shard::default())).await });
    executor.run(async move {
        // An error, too, means that nobody asks any more.
        let _ = stop.await;
        serving.cancel().await;
    });
}

fn hops(c: &mut Criterion) {
    let mailboxes = Mailboxes::<Shard>::new(2);
    let (stop, stopped) = futures_channel::oneshot::channel();
    let far = mailboxes.clone();
    let thread = std::thread::spawn(move || serve(far, stopped));
    let io = ring();
    let executor = Executor::new(io.clone());
    c.bench_function("ask another shard, wait for the answer", |b| {
        b.iter_custom(|count| {
            let (mailboxes, io) = (mailboxes.clone(), io.clone());
            executor.run(async move {
                let started = Instant::now();
                for _ in 0..count {
                    let asked = mailboxes.call(&io, 1, |shard| {
                        Box::pin(async move {
                            shard.set(shard.get() + 1);
                            shard.get()
                        })
                    });
                    asked.await.expect("it serves");
                }
                started.elapsed()
            })
        });
    });
    // First: a wake-up would otherwise wait in a ring that nobody enters any more.
    drop(executor);
    drop(stop);
    thread.join().expect("the shard ended well");
}

criterion_group!(benches, hops);
criterion_main!(benches);
