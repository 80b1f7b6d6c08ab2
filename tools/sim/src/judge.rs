//! Reading all logs whole, at the start of a life and at the end of the last, and holding them
//! against what was promised.

use std::rc::Rc;
use std::time::Duration;

use odradek_engine::log::file_stem;
use odradek_shards::api::throttle::Mutations;
use odradek_shards::api::topics::{self, NewTopic};
use odradek_shards::broker::Broker;
use odradek_shards::catalog::Hosted;

use crate::admin::Admin;
use crate::client::Lost;
use crate::committed::judge_committed;
use crate::fetch::{Whole, whole};
use crate::life::Cast;
use crate::oracle::Partition;
use crate::plan::{Rng, TRANSACTORS};
use crate::requests::metadata;
use crate::site::{Links, Site};
use crate::transactor::{begin, id_of, look_at_offset};

/// Times that something is asked for which is to come.
const TRIES: u32 = 2_000;

/// Makes sure of the topics and reads every log whole, before anybody writes.
pub async fn judge(site: &Site, cast: &Cast, brokers: &[Rc<Broker>], rng: &mut Rng) {
    prepare(site, cast, brokers, rng)
        .await
        .expect("the connection holds");
    for partition in site.partitions.iter() {
        let whole = patiently(site, *partition, rng).await;
        let hosted = hosted(brokers, *partition);
        let snapshot = hosted
            .as_ref()
            .map_or(0, |it| it.partition.with_log(|log| log.replayed_from()).0);
        let mut oracle = site.oracle.borrow_mut();
        oracle.recovered(*partition, &whole, snapshot);
    }
    nothing_behind(site, brokers).await;
    let mut links = Links::new(site);
    let read = judge_committed(site, &mut links, rng).await;
    read.expect("the connection holds");
    links.close().await;
}

/// All is calm, and nobody writes: every log can be read, and holds what was promised.
pub async fn judge_at_rest(site: &Site, brokers: &[Rc<Broker>], rng: &mut Rng) {
    let mut links = Links::new(site);
    let _ = links.look_around(rng).await;
    for partition in site.partitions.iter() {
        let read = whole(site, &mut links, *partition, rng).await;
        let spoiled = site.oracle.borrow().is_spoiled(*partition);
        match read.expect("the connection holds") {
            Some(whole) if !spoiled => site.oracle.borrow().stands(*partition, &whole),
            // Its disk had failed: it is offline until the next start.
            Some(_) | None => {}
        }
    }
    links.close().await;
    judge_transactions(site, brokers, rng).await;
}

/// Every producer of transactions comes once more, which ends what it has left open: no transaction
/// is open then, and of each all is there, or nothing.
async fn judge_transactions(site: &Site, brokers: &[Rc<Broker>], rng: &mut Rng) {
    let mut links = Links::new(site);
    for number in TRANSACTORS {
        let (mut begun, mut told) = (false, false);
        for _ in 0..TRIES {
            if !begun {
                let asked = begin(site, number, &mut links, rng).await;
                begun = asked.expect("the connection holds").is_some();
            }
            if begun {
                let asked = look_at_offset(site, number, &mut links, rng).await;
                told = asked.expect("the connection holds");
            }
            if told || has_failed(brokers) {
                break;
            }
            site.io.sleep(Duration::from_millis(20)).await;
        }
        assert!(
            told || has_failed(brokers),
            "{} does not come to begin, or its group's offset is not told: {begun}",
            id_of(number)
        );
    }
    let all = judge_committed(site, &mut links, rng).await;
    let promised = site.oracle.borrow().promises_transactions();
    for seen in all.expect("the connection holds") {
        assert!(
            !seen.is_unstable() || has_failed(brokers) || !promised,
            "a transaction is open, and nobody is there to end it: {}",
            seen.describe()
        );
    }
    links.close().await;
}

/// Whether storage has failed somewhere: until the next start not everything goes on.
pub fn has_failed(brokers: &[Rc<Broker>]) -> bool {
    let poisoned = |hosted: Rc<Hosted>| hosted.partition.poisoned().is_some();
    let mut holdings = brokers.iter().map(|broker| &broker.holdings);
    holdings.any(|all| !all.failed().is_empty() || all.open_partitions().into_iter().any(poisoned))
}

async fn prepare(
    site: &Site,
    cast: &Cast,
    brokers: &[Rc<Broker>],
    rng: &mut Rng,
) -> Result<(), Lost> {
    let mut links = Links::new(site);
    for topic in &site.plan.topics {
        if !topic.config.is_empty() && brokers[0].image().topic(topic.name).is_none() {
            let new = NewTopic {
                name: topic.name.to_owned(),
                partitions: topic.partitions as usize,
                shards: None,
                config: topic.config.clone(),
            };
            let mut allowed = Mutations::default();
            let made = topics::create(&brokers[0], vec![new], false, &mut allowed).await;
            let made = made.into_iter().next().expect("an answer");
            if made.is_err() && brokers.iter().any(|broker| broker.stopping()) {
                std::future::pending::<()>().await;
            }
            made.expect("a new topic");
        }
        let told = metadata(links.to(0).await?, topic.name, true).await?;
        if told.partitions.is_empty() && brokers.iter().any(|broker| broker.stopping()) {
            // It was asked to stop before it had made them: nothing is judged in this life.
            std::future::pending::<()>().await;
        }
        assert_eq!(
            told.partitions.len(),
            topic.partitions as usize,
            "{}",
            topic.name
        );
        for one in told.partitions {
            let mut oracle = site.oracle.borrow_mut();
            oracle.epoch((topic.name, one.index), one.epoch);
        }
    }
    let (topic, setting) = Admin::setting();
    let image = brokers[0].image();
    let config = &image.topic(topic).expect("just made sure").config;
    let shown = config.get(setting).and_then(|value| value.parse().ok());
    cast.admin.borrow_mut().shown(shown);
    links.look_around(rng).await?;
    links.close().await;
    Ok(())
}

/// Reads a log, again and again where it cannot be read yet.
async fn patiently(site: &Site, partition: Partition, rng: &mut Rng) -> Whole {
    for _ in 0..TRIES {
        let mut links = Links::new(site);
        let read = whole(site, &mut links, partition, rng).await;
        if let Ok(Some(whole)) = read {
            links.close().await;
            return whole;
        }
        let _ = links.look_around(rng).await;
        links.close().await;
        site.io.sleep(Duration::from_millis(50)).await;
    }
    panic!("{partition:?} cannot be read after a start");
}

/// A partition, wherever it is open.
fn hosted(brokers: &[Rc<Broker>], partition: Partition) -> Option<Rc<Hosted>> {
    let mut found = None;
    for broker in brokers {
        for hosted in broker.holdings.open_partitions() {
            let name = hosted.partition.name();
            if (&*name.topic, name.index) == partition && !hosted.partition.left() {
                found = Some(hosted);
            }
        }
    }
    found
}

/// Past the end of a segment there is nothing that a later recovery could take for a batch.
async fn nothing_behind(site: &Site, brokers: &[Rc<Broker>]) {
    let direct = brokers[0].settings.log_write_strategy.aligned();
    for partition in site.partitions.iter() {
        let Some(hosted) = hosted(brokers, *partition) else {
            continue;
        };
        for left in (0..TRIES).rev() {
            let Some(wrong) = behind(site, *partition, &hosted, direct) else {
                break;
            };
            // Compaction exchanges a file first, and what is known of it then.
            let exchanged = site.compacts(*partition) && left > 0;
            let spoiled = site.oracle.borrow().is_spoiled(*partition);
            assert!(exchanged || spoiled, "{wrong}");
            if spoiled {
                break;
            }
            site.io.sleep(Duration::from_millis(1)).await;
        }
    }
}

/// What lies behind a segment of a partition, in words. What only page cache shows there does no harm
/// where the log is written and recovered past it: the next write to the page takes it out.
fn behind(site: &Site, partition: Partition, hosted: &Hosted, direct: bool) -> Option<String> {
    let (topic, index) = partition;
    let directory = format!("/data/{topic}-{index}");
    let files = site.world.files_below(&directory, direct);
    hosted.partition.with_log(|log| {
        log.segments().find_map(|segment| {
            let stem = file_stem(segment.base);
            let path = format!("{directory}/{stem}.log");
            let rest = files.get(&path)?.get(segment.size as usize..)?;
            let end = segment.size;
            (!rest.iter().all(|byte| *byte == 0))
                .then(|| format!("{path} holds something behind its end at {end}"))
        })
    })
}
