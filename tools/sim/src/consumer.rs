//! Consumers: they follow all logs at their ends, and look back now and then.

use crate::client::Lost;
use crate::fetch::{Isolation, OUT_OF_RANGE, Slice, fetch};
use crate::oracle::Partition;
use crate::plan::Rng;
use crate::requests::earliest_and_latest;
use crate::site::{Links, Site, is_passing};

/// Consumes until the life ends.
pub async fn consume(site: Site, number: u32, mut rng: Rng) {
    let who = format!("consumer {number}");
    while !site.closing.get() {
        if site.script.wants("consume") {
            site.at_work(&who, Some("a connection's worth of fetches".into()));
            let mut links = Links::new(&site);
            let _ = follow(&site, &mut rng, &mut links).await;
            links.close().await;
            site.at_work(&who, None);
        }
        site.pause(&mut rng, 20_000).await;
    }
}

async fn follow(site: &Site, rng: &mut Rng, links: &mut Links) -> Result<(), Lost> {
    let mut all: Vec<(Partition, i64)> = Vec::new();
    for partition in site.partitions.iter() {
        let oracle = site.oracle.borrow();
        all.push((*partition, oracle.known(*partition).1));
    }
    for _ in 0..rng.range(1, 60) {
        if site.closing.get() {
            return Ok(());
        }
        let leader = site.leader(rng.pick(&site.partitions));
        let mut from = all.clone();
        from.retain(|(partition, _)| site.leader(*partition) == leader);
        let wait_ms = rng.pick(&[0, 1, 100]);
        let known: Vec<(i64, i64)> = {
            let oracle = site.oracle.borrow();
            let each = from.iter();
            each.map(|(partition, _)| oracle.known(*partition))
                .collect()
        };
        let connection = links.to(leader).await?;
        let isolation = Isolation::Uncommitted;
        let slices = fetch(connection, &site.compacted, &from, isolation, rng, wait_ms).await?;
        for ((slice, known), (partition, next)) in slices.iter().zip(known).zip(&mut from) {
            if slice.error == OUT_OF_RANGE {
                let known = site.oracle.borrow().known(*partition);
                let Ok(told) = earliest_and_latest(connection, *partition).await? else {
                    return Ok(());
                };
                let mut oracle = site.oracle.borrow_mut();
                oracle.bounds(*partition, known, told);
                let spoiled = oracle.is_spoiled(*partition);
                assert!(
                    *next < told.0 || spoiled,
                    "{partition:?}: {next} is in {told:?}"
                );
                *next = told.0;
            } else if !take(site, slice, known, *partition, next) {
                return links.look_around(rng).await;
            } else if rng.one_in(20) {
                let (start, end) = (slice.start, slice.high_watermark);
                *next = rng.range(start as u64, end as u64) as i64;
            }
        }
        for (partition, next) in from {
            let place = all.iter_mut().find(|(other, _)| *other == partition);
            place.expect("one of all").1 = next;
        }
        site.pause(rng, 10_000).await;
    }
    Ok(())
}

/// Takes in what was fetched; false if there was an error.
fn take(
    site: &Site,
    slice: &Slice,
    known: (i64, i64),
    partition: Partition,
    next: &mut i64,
) -> bool {
    let mut oracle = site.oracle.borrow_mut();
    let spoiled = oracle.is_spoiled(partition);
    if slice.error != 0 {
        assert!(
            is_passing(slice.error) || spoiled,
            "fetch from {partition:?} at {next}: error {}",
            slice.error
        );
        oracle.refused(partition, slice.error);
        return false;
    }
    oracle.bounds(partition, known, (slice.start, slice.high_watermark));
    let gaps = site.compacts(partition);
    for (offset, id) in &slice.records {
        let right = offset == next || gaps && *offset > *next;
        assert!(right, "{partition:?}: {offset} where {next} was due");
        oracle.seen(partition, *offset, *id, site.io.now());
        *next = *offset + 1;
    }
    *next = slice.next.max(*next);
    match &slice.damage {
        Some(_) if spoiled => {
            oracle.detected("by a client");
            *next = slice.high_watermark;
        }
        Some(damage) => oracle.met(partition, damage),
        None => {}
    }
    true
}
