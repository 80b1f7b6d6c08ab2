//! All that a node serves after a start, read from a machine that is there for nothing else.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use odradek_engine::io::sim::SimWorld;

use crate::client::Lost;
use crate::fetch::{Isolation, Whole, fetch, whole};
use crate::life::{PATIENCE, boot, within};
use crate::machine::Machine;
use crate::oracle::{Id, Oracle, Partition};
use crate::plan::{Plan, Rng};
use crate::requests::{GROUP, committed, coordinator};
use crate::site::{Links, Site, is_passing};
use crate::words::Words;

/// Times that something is asked for which is to come.
const TRIES: u32 = 40;
const GROUPS: [&str; 2] = ["group-0", "group-1"];

/// What a node serves after a start.
#[derive(Default)]
pub struct Served {
    /// Why it did not start.
    pub refused: Option<String>,
    pub logs: BTreeMap<Partition, Whole>,
    /// What readers of committed records see of the logs of transactions, and up to where.
    pub decided: BTreeMap<Partition, (Vec<(i64, Id)>, i64)>,
    pub offsets: BTreeMap<&'static str, i64>,
    /// Its warnings.
    pub said: Vec<String>,
}

/// Starts a node, reads all that it serves, and kills it.
pub fn serve(world: &SimWorld, plan: &Rc<Plan>) -> Served {
    let words = Words::listen();
    let machine = Machine::new(world, plan.shards);
    let mut oracle = Oracle::new(plan);
    for partition in plan.partitions(|_| true) {
        oracle.spoil(partition);
    }
    let site = Site::new(
        machine.ios[0].clone(),
        world.clone(),
        plan.clone(),
        Rc::default(),
        Rc::new(RefCell::new(oracle)),
        1,
    );
    let served = Rc::new(RefCell::new(Served::default()));
    let over = Rc::new(Cell::new(false));
    let task = {
        let (served, over) = (served.clone(), over.clone());
        let (ios, spawners) = (machine.ios.clone(), machine.spawners.clone());
        async move {
            match within(&site.io, PATIENCE, boot(&site, &ios, &spawners)).await {
                None => panic!("a node does not come to serve"),
                Some(Err(error)) => served.borrow_mut().refused = Some(error.to_string()),
                Some(Ok(brokers)) => {
                    let mut found = Served::default();
                    let read = read(&site, &mut found).await;
                    read.expect("the connection holds");
                    *served.borrow_mut() = found;
                    // Its tasks go with the machine.
                    std::mem::forget(brokers);
                }
            }
            over.set(true);
        }
    };
    machine.spawners[0].spawn(task).detach();
    machine.run(&over, u64::MAX);
    world.kill_process();
    drop(machine);
    let mut served = served.take();
    served.said = words.said();
    served
}

async fn read(site: &Site, found: &mut Served) -> Result<(), Lost> {
    let mut rng = Rng::new(site.world.seed());
    for partition in site.partitions.iter() {
        for _ in 0..TRIES {
            let mut links = Links::new(site);
            site.look_around(links.to(0).await?).await?;
            let log = whole(site, &mut links, *partition, &mut rng).await;
            links.close().await;
            if let Ok(Some(log)) = log {
                found.logs.insert(*partition, log);
                break;
            }
            site.io.sleep(Duration::from_millis(50)).await;
        }
    }
    let mut links = Links::new(site);
    for partition in site.transactional.iter() {
        if let Some(log) = found.logs.get(partition) {
            let decided = decided(site, &mut links, *partition, log.start, &mut rng).await?;
            found.decided.extend(decided.map(|all| (*partition, all)));
        }
    }
    for group in GROUPS {
        for _ in 0..TRIES {
            let broker = coordinator(links.to(0).await?, GROUP, group).await?;
            if let Some(shard) = broker.ok().and_then(|broker| site.shard_of(broker)) {
                let told = committed(links.to(shard).await?, group, ("plain", 0), false).await?;
                if let Ok(offset) = told {
                    found.offsets.insert(group, offset);
                    break;
                }
            }
            site.io.sleep(Duration::from_millis(50)).await;
        }
    }
    links.close().await;
    Ok(())
}

/// What a reader of committed records sees from `start` on, and where it ends. `None`: an error.
async fn decided(
    site: &Site,
    links: &mut Links,
    partition: Partition,
    start: i64,
    rng: &mut Rng,
) -> Result<Option<(Vec<(i64, Id)>, i64)>, Lost> {
    let (mut all, mut next) = (Vec::new(), start);
    for _ in 0..10_000 {
        let connection = links.leader(partition).await?;
        let from = [(partition, next)];
        let slices = fetch(connection, &[], &from, Isolation::Committed, rng, 0).await?;
        let slice = &slices[0];
        if is_passing(slice.error) {
            site.io.sleep(Duration::from_millis(50)).await;
            continue;
        }
        let before = next;
        all.extend(slice.records.iter().copied());
        next = slice.next;
        if next >= slice.stable || next == before {
            return Ok((slice.error == 0).then_some((all, next)));
        }
    }
    Ok(None)
}
