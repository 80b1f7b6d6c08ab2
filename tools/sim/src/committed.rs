//! Readers of committed records: what they are shown of transactions is whole, and nothing else.

use crate::client::Lost;
use crate::fetch::{Isolation, Slice, fetch};
use crate::oracle::{Id, Partition};
use crate::plan::Rng;
use crate::site::{Links, Site, is_passing};

/// Reads until the life ends.
pub async fn read_committed(site: Site, mut rng: Rng) {
    let who = "reader of committed records";
    while !site.closing.get() {
        if site.script.wants("read committed") {
            site.at_work(who, Some("a connection's worth of fetches".into()));
            let mut links = Links::new(&site);
            let _ = follow(&site, &mut rng, &mut links).await;
            links.close().await;
            site.at_work(who, None);
        }
        site.pause(&mut rng, 20_000).await;
    }
}

async fn follow(site: &Site, rng: &mut Rng, links: &mut Links) -> Result<(), Lost> {
    for _ in 0..rng.range(1, 20) {
        let partition = rng.pick(&site.transactional);
        let (start, stable) = {
            let oracle = site.oracle.borrow();
            (oracle.known(partition).0, oracle.ledger.stable(partition))
        };
        let mut next = match rng.one_in(4) {
            true => start,
            false => rng.range(start as u64, stable.max(start) as u64) as i64,
        };
        for _ in 0..rng.range(1, 10) {
            let wait_ms = rng.pick(&[0, 1, 20]);
            let Some(slice) = read_on(site, links, partition, next, rng, wait_ms).await? else {
                return links.look_around(rng).await;
            };
            if slice.next == next || site.closing.get() {
                break;
            }
            next = slice.next;
        }
        if site.closing.get() {
            return Ok(());
        }
        site.pause(rng, 8_000).await;
    }
    Ok(())
}

/// One fetch, judged. `None`: it cannot be read now.
async fn read_on(
    site: &Site,
    links: &mut Links,
    partition: Partition,
    next: i64,
    rng: &mut Rng,
    wait_ms: i32,
) -> Result<Option<Slice>, Lost> {
    let asked = site.oracle.borrow().ledger.stable(partition);
    let connection = links.leader(partition).await?;
    let from = [(partition, next)];
    let (gaps, isolation) = (&site.compacted, Isolation::Committed);
    let slices = fetch(connection, gaps, &from, isolation, rng, wait_ms).await?;
    let slice = slices.into_iter().next().expect("a partition's answer");
    let mut oracle = site.oracle.borrow_mut();
    let promised = oracle.promises_transactions();
    if slice.error != 0 {
        let may = is_passing(slice.error) || !promised;
        assert!(may, "{partition:?} at {next}: error {}", slice.error);
        oracle.refused(partition, slice.error);
        return Ok(None);
    }
    assert!(
        slice.stable <= slice.high_watermark,
        "{partition:?} is stable up to {}, visible up to {}",
        slice.stable,
        slice.high_watermark
    );
    if let Some(damage) = &slice.damage {
        panic!("{damage}");
    }
    if promised {
        oracle.ledger.stands(partition, asked, slice.stable);
        let (ledger, records) = (&mut oracle.ledger, &slice.records);
        ledger.is_read(partition, next, slice.next, records);
        for (offset, id) in records {
            oracle.seen(partition, *offset, *id, site.io.now());
        }
    }
    Ok(Some(slice))
}

/// What readers of committed records see of a log.
pub struct Seen {
    partition: Partition,
    start: i64,
    end: i64,
    high_watermark: i64,
    records: Vec<(i64, Id)>,
}

impl Seen {
    /// Whether a transaction is open.
    pub fn is_unstable(&self) -> bool {
        self.end != self.high_watermark
    }

    pub fn describe(&self) -> String {
        let (partition, end, visible) = (self.partition, self.end, self.high_watermark);
        format!("{partition:?} is stable up to {end}, visible up to {visible}")
    }
}

/// Reads a log from its start as far as it is decided. `None`: it cannot be read now.
async fn whole(
    site: &Site,
    links: &mut Links,
    partition: Partition,
    rng: &mut Rng,
) -> Result<Option<Seen>, Lost> {
    let start = site.oracle.borrow().known(partition).0;
    let mut seen = Seen {
        partition,
        start,
        end: start,
        high_watermark: start,
        records: Vec::new(),
    };
    loop {
        let Some(slice) = read_on(site, links, partition, seen.end, rng, 0).await? else {
            return Ok(None);
        };
        let before = seen.end;
        seen.records.extend(slice.records);
        (seen.end, seen.high_watermark) = (slice.next, slice.high_watermark);
        if seen.end >= slice.stable {
            return Ok(Some(seen));
        }
        assert!(
            seen.end > before,
            "{partition:?}: nothing committed comes at {before}, stable up to {}",
            slice.stable
        );
    }
}

/// Reads all logs of transactions: of each transaction all is there, or nothing. Gives those that can
/// be read now.
pub async fn judge_committed(
    site: &Site,
    links: &mut Links,
    rng: &mut Rng,
) -> Result<Vec<Seen>, Lost> {
    let mut all = Vec::new();
    for partition in site.transactional.iter() {
        all.extend(whole(site, links, *partition, rng).await?);
    }
    // Reading one may have told what another must show.
    let oracle = site.oracle.borrow();
    if oracle.promises_transactions() {
        for seen in &all {
            let (ledger, records) = (&oracle.ledger, &seen.records);
            ledger.is_whole(seen.partition, seen.start, seen.end, records);
        }
    }
    Ok(all)
}
