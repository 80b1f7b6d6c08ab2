//! What was promised to clients, and whether the log still keeps it.
//!
//! A record that was acknowledged, or that a consumer saw, stands at its offset for good. Only a
//! power cut may take one away, and only one that was not durable: acknowledged below `acks=all`
//! (or under a policy without durability) within the lag, or in an earlier process that was
//! killed. What is lost is a suffix of the log.
//!
//! A disk that fails writes or flushes may lose what was not durable: in a life in which it did so
//! to a partition, or in which a partition was refused, only what is durable is promised there.
//!
//! A partition some of whose bytes at rest were changed is *spoiled*: it may end where they are, and
//! parts of it may not be readable. What is read is right all the same, recovery takes nothing away
//! that lies before, and nothing ends in silence: a reader is told at which offset, or the node's log
//! says so with partition and offset when it recovers.
//!
//! An idempotent producer that sends a stored batch again is told its offset, for the last five
//! batches. A restart makes the node forget some of them, exactly as it does Apache Kafka (4.3.1):
//! there `ProducerStateEntry` remembers `NUM_BATCHES_TO_RETAIN` = 5 batches, a snapshot
//! (`ProducerStateManager.writeSnapshot`) holds the last one of each producer alone, and what the
//! log holds from the snapshot's offset on is replayed into the five. So a batch that lies below
//! the snapshot, and is not its producer's last one there, is refused when it is sent again:
//! `ProducerAppendInfo.checkSequence` finds no duplicate and answers OUT_OF_ORDER_SEQUENCE_NUMBER.
//! Any other stored batch is recognised. An orderly stop makes the node forget none, where Kafka
//! forgets as after a kill, if its state file is left alone and no segment was taken away.
//!
//! In a compacted log offsets may be missing, as far as [`crate::keyed`] allows. What is promised of
//! transactions is the [ledger](crate::ledger)'s.

use std::collections::BTreeMap;

use odradek_shards::partition::Standing;

use crate::fetch::Whole;
use crate::harm::Harm;
use crate::keyed::{Latest, Tombstones};
use crate::keys::{HOLE, MARKER, is_marker};
use crate::ledger::Ledger;
use crate::plan::{End, Plan};
use crate::reports;

/// Who wrote a record: producer, and its number there.
pub type Id = (u32, u64);
pub type Partition = (&'static str, i32);
/// How a partition stood at the end of a life, if it was open, and whether its storage had failed.
pub type Stood = (Partition, Option<Standing>, bool);

/// Beyond the configured lag a flush takes its time, and so does the flusher's look.
const LAG_SLACK_NS: u64 = 700_000_000;

#[derive(Clone, Copy, Debug)]
struct Promise {
    id: Id,
    /// Survives a power cut.
    safe: bool,
    at: u64,
    life: usize,
    may_go: bool,
}

#[derive(Default)]
struct Log {
    promised: BTreeMap<i64, Promise>,
    high_watermark: i64,
    high_watermark_may_fall: bool,
    start: i64,
    /// Segments that retention lets go of are gone for good only once that is durable, as in
    /// Kafka: a log that was cut off meanwhile may begin earlier again.
    start_may_fall: bool,
    expires: bool,
    compacts: bool,
    /// Those that may be gone, if tombstones go soon here.
    tombstones: Option<Tombstones>,
    epoch: i32,
    /// Where the log ends at least, by the node's own marks.
    floor: i64,
    floor_durable: i64,
    /// DeleteRecords was answered: it begins here at least.
    deleted: i64,
    /// Refused in this life.
    troubled: bool,
    /// What a reader met in this life that is no batch.
    met: Option<String>,
    spoiled: bool,
    /// Batches that are not what was written, as far as they are still there.
    harms: Vec<Harm>,
    /// The log at the start of this life: its first offset, its records, and the offset of the
    /// snapshot that the producers' state was rebuilt from.
    found: (i64, Vec<Id>, i64),
}

/// See the module.
pub struct Oracle {
    durable: bool,
    lag_ns: u64,
    logs: BTreeMap<Partition, Log>,
    pub life: usize,
    /// A power cut may have taken acknowledged records away.
    pub lossy: bool,
    /// In this life the disk was slow or failing, so that nothing is known of the lag.
    pub rough: bool,
    /// Partitions move, and each move begins a leader epoch.
    moves: bool,
    /// Somebody meddles with the state file.
    meddled: bool,
    /// What was changed on the disk, by its kind.
    pub damages: BTreeMap<&'static str, u64>,
    /// Damage that was noticed, by whom.
    pub detections: BTreeMap<&'static str, u64>,
    /// Whether the next start may be a clean one, and whether it may be another.
    clean: (bool, bool),
    pub ledger: Ledger,
    pub acknowledged: u64,
    pub read: u64,
    /// Offsets that compaction had emptied when a life began.
    pub emptied: u64,
    /// Those of them that held records of transactions.
    pub emptied_of_transactions: u64,
}

impl Oracle {
    pub fn new(plan: &Plan) -> Oracle {
        let mut logs = BTreeMap::new();
        for topic in &plan.topics {
            for index in 0..topic.partitions {
                let log = Log {
                    expires: topic.expires,
                    compacts: topic.compacts,
                    tombstones: topic.tombstones_go.then(Tombstones::default),
                    epoch: -1,
                    ..Log::default()
                };
                logs.insert((topic.name, index), log);
            }
        }
        let mut ledger = Ledger::default();
        for partition in plan.partitions(|topic| topic.compacts && topic.transactional) {
            ledger.compacts(partition);
        }
        Oracle {
            durable: plan.durable,
            lag_ns: plan.lag_ms * 1_000_000,
            logs,
            life: 0,
            lossy: false,
            rough: false,
            moves: plan.shards > 1,
            meddled: plan.meddling,
            damages: BTreeMap::new(),
            detections: BTreeMap::new(),
            clean: (true, true),
            ledger,
            acknowledged: 0,
            read: 0,
            emptied: 0,
            emptied_of_transactions: 0,
        }
    }

    fn log(&mut self, partition: Partition) -> &mut Log {
        self.logs.get_mut(&partition).expect("a planned partition")
    }

    fn promise(&mut self, partition: Partition, offset: i64, id: Id, safe: bool, at: u64) {
        let life = self.life;
        let log = self.log(partition);
        log.may_be_cut(partition, offset, id);
        let fresh = Promise {
            id,
            safe,
            at,
            life,
            may_go: false,
        };
        let known = log.promised.entry(offset).or_insert(fresh);
        assert_eq!(
            known.id, id,
            "life {life}: {partition:?} offset {offset} held {:?} and now holds {id:?}",
            known.id
        );
        known.safe |= safe;
    }

    /// The planned partition of this name, if it is one.
    pub fn partition(&self, topic: &str, index: i32) -> Option<Partition> {
        let mut known = self.logs.keys();
        known.find(|known| **known == (topic, index)).copied()
    }

    /// A log as it was read while nobody wrote: all that was promised stands in it.
    pub fn stands(&self, partition: Partition, whole: &Whole) {
        let log = &self.logs[&partition];
        if log.troubled {
            return;
        }
        let end = whole.start + whole.ids.len() as i64;
        let latest = Latest::of(&whole.ids, |id| self.ledger.may_count(id));
        for (offset, one) in log.promised.range(whole.start..) {
            let id = whole.ids.get((offset - whole.start) as usize);
            // Under acks=1 it may not be shown yet.
            let hidden = *offset >= end && !one.safe;
            let emptied = id == Some(&HOLE) && log.may_be_emptied(&latest, &self.ledger, one.id);
            assert!(
                hidden || emptied || id == Some(&one.id),
                "life {}: {partition:?} offset {offset} holds {id:?}, not {:?}",
                self.life,
                one.id
            );
        }
    }

    /// A partition was not served.
    pub fn refused(&mut self, partition: Partition, error: i16) {
        if error == crate::site::STORAGE {
            self.log(partition).troubled = true;
        }
    }

    /// Bytes of a partition at rest were changed: so, and, if they were its log's, these batches.
    pub fn spoil(&mut self, partition: Partition, what: &'static str, harm: Option<Harm>) {
        *self.damages.entry(what).or_default() += 1;
        let log = self.log(partition);
        log.spoiled = true;
        log.harms.extend(harm);
    }

    /// What is known of a partition's bytes that are not what was written.
    pub fn harms(&mut self, partition: Partition) -> &mut [Harm] {
        &mut self.log(partition).harms
    }

    /// Whether some of a partition's bytes are not what was written.
    pub fn is_spoiled(&self, partition: Partition) -> bool {
        self.logs.get(&partition).is_some_and(|log| log.spoiled)
    }

    /// Damage was noticed.
    pub fn detected(&mut self, by: &'static str) {
        *self.detections.entry(by).or_default() += 1;
    }

    /// A reader noticed what is no batch, in a partition that nobody has damaged: a flush that failed
    /// may have taken from page cache what was read, and the node says so.
    pub fn met(&mut self, partition: Partition, what: &str) {
        self.log(partition).met = Some(what.to_owned());
    }

    /// DeleteRecords was answered with this log start offset.
    pub fn deleted(&mut self, partition: Partition, start: i64) {
        let log = self.log(partition);
        log.deleted = log.deleted.max(start);
    }

    /// A batch is sent.
    pub fn sent(&mut self, partition: Partition, ids: &[Id]) {
        if let Some(tombstones) = &mut self.log(partition).tombstones {
            tombstones.sent(ids);
        }
    }

    /// A batch was acknowledged.
    pub fn acknowledged(
        &mut self,
        partition: Partition,
        base: i64,
        ids: &[Id],
        acks: i16,
        now: u64,
    ) {
        let safe = acks == -1 && self.durable;
        for (offset, id) in (base..).zip(ids) {
            self.promise(partition, offset, *id, safe, now);
        }
        self.acknowledged += ids.len() as u64;
    }

    /// A consumer saw a record.
    pub fn seen(&mut self, partition: Partition, offset: i64, id: Id, now: u64) {
        self.promise(partition, offset, id, self.durable, now);
        self.read += 1;
    }

    /// Whether transactions are whole now: not when acknowledged records may be lost.
    pub fn promises_transactions(&self) -> bool {
        self.ledger.holds() && (self.durable || !self.rough)
    }

    /// What is known of a log's start and high watermark.
    pub fn known(&self, partition: Partition) -> (i64, i64) {
        let log = &self.logs[&partition];
        (log.start, log.high_watermark)
    }

    /// A response carried the log's bounds; `asked` was known when the request was sent.
    pub fn bounds(&mut self, partition: Partition, asked: (i64, i64), told: (i64, i64)) {
        let life = self.life;
        let log = self.log(partition);
        assert!(
            told.0 >= asked.0 && told.1 >= asked.1 || log.spoiled,
            "life {life}: {partition:?}: log start and high watermark were {asked:?} and fell \
             to {told:?}"
        );
        assert!(
            told.0 <= told.1 && (log.expires || told.0 == 0) || log.spoiled,
            "life {life}: {partition:?} is said to be {told:?}"
        );
        log.start = log.start.max(told.0);
        log.high_watermark = log.high_watermark.max(told.1);
    }

    /// A life has ended so, with the partitions that were open standing so, `true` with those whose
    /// storage had failed. `asked`: it may have been stopping.
    pub fn ended(&mut self, end: End, now: u64, started: bool, asked: bool, standings: &[Stood]) {
        for (partition, standing, poisoned) in standings {
            let log = self.log(*partition);
            log.troubled |= poisoned;
            let Some(standing) = standing else {
                continue;
            };
            let stopped = end.is_stop() && !log.troubled;
            let (written, durable) = match stopped {
                true => (standing.next.0, standing.next.0),
                false => (standing.written.0, standing.durable.0),
            };
            log.floor = log.floor.max(written);
            log.floor_durable = log.floor_durable.max(durable);
            if stopped {
                log.promised.values_mut().for_each(|one| one.safe = true);
            }
        }
        // What could not be closed is recovered, under a new epoch.
        let unclosed = standings.iter().any(|(.., poisoned)| *poisoned);
        let (life, lag, rough) = (self.life, self.lag_ns + LAG_SLACK_NS, self.rough);
        let mut troubled = false;
        for log in self.logs.values_mut() {
            if let Some(what) = log.met.take() {
                // It may have been killed before it came to know.
                let unsaid = rough && !end.is_stop();
                assert!(
                    log.troubled || unsaid,
                    "life {life}: no flush failed: {what}"
                );
            }
            troubled |= log.troubled;
            log.start_may_fall |= log.expires && (!end.is_stop() || log.troubled);
            if !end.is_cut() && !log.troubled {
                continue;
            }
            for one in log.promised.values_mut() {
                let flushed = one.life == life && now.saturating_sub(one.at) > lag;
                one.may_go |= !one.safe && (!flushed || rough || log.troubled);
            }
            log.floor = log.floor_durable;
            log.high_watermark_may_fall |= !self.durable;
            log.troubled = false;
        }
        self.lossy |= (end == End::Cut || troubled) && !self.durable;
        if self.lossy {
            self.ledger.give_up();
        }
        self.clean = match end {
            End::Stop | End::StopThenCut if started && unclosed => (false, true),
            End::Stop | End::StopThenCut => (true, troubled || rough),
            // The marker may have been taken away, or not yet.
            _ if !started => (self.clean.0, true),
            _ if asked => (true, true),
            _ => (false, true),
        };
        self.rough = false;
        self.life += 1;
    }

    /// Whether the last life was ended by force.
    pub fn must_recover(&self) -> bool {
        !self.clean.0
    }

    /// A partition's leader epoch, at the start of a life that got so far.
    pub fn epoch(&mut self, partition: Partition, epoch: i32) {
        let (life, clean, moves) = (self.life, self.clean, self.moves);
        let log = self.log(partition);
        let moved = moves && epoch > log.epoch;
        let right = log.epoch == -1
            || clean.0 && (epoch == log.epoch || moved)
            || clean.1 && epoch > log.epoch;
        assert!(
            right,
            "life {life}: {partition:?} has leader epoch {epoch} after {}, clean stop: {clean:?}",
            log.epoch
        );
        log.epoch = epoch;
    }

    /// Whether an idempotent producer's batch may be refused as out of order: see the module. Or
    /// what it continues was acknowledged and taken away by a power cut, and may be.
    pub fn may_refuse(&self, partition: Partition, ids: &[Id]) -> bool {
        let log = &self.logs[&partition];
        if log.troubled || log.spoiled {
            // It was opened again within this life, and remembers as after a restart.
            return true;
        }
        let (start, records, snapshot) = &log.found;
        let (first, last) = (ids[0], ids[ids.len() - 1]);
        let Some(at) = records.iter().position(|id| *id == last) else {
            let before = (first.0, first.1.wrapping_sub(1));
            let stored = records.contains(&before)
                || log.promised.values().any(|promise| promise.id == before);
            return self.lossy && !stored;
        };
        let Ok(below) = usize::try_from(snapshot - start) else {
            return false;
        };
        let later = |id: &Id| id.0 == last.0 && id.1 > last.1;
        at < below && records[at..below.min(records.len())].iter().any(later)
    }

    /// The whole log as it was read after a start, before anybody wrote. `snapshot`: where the
    /// node began to replay producers' batches.
    pub fn recovered(&mut self, partition: Partition, whole: &Whole, snapshot: i64) {
        let life = self.life;
        let (start, records) = (whole.start, &whole.ids);
        let end = start + records.len() as i64;
        let latest = Latest::of(records, |id| self.ledger.may_count(id));
        let stopped = self.clean == (true, false) && !self.meddled;
        self.emptied += records.iter().filter(|id| **id == HOLE).count() as u64;
        let log = self.logs.get_mut(&partition).expect("a planned partition");
        let snapshot = match stopped && !log.expires && !log.spoiled {
            true => start,
            false => snapshot,
        };
        // Where the node went on with markers of its own, for what a power cut has taken.
        let gone = log.replaced_by_marker(start, records);
        if !log.spoiled {
            log.is_complete(life, partition, start, end);
        }
        // Whoever reads may be refused what lies before, too: the node finds its way over batches.
        let refused = whole.damage.is_some();
        let harms = log.harms.iter().map(|harm| harm.offsets.start);
        let harmed = harms.min().map(|from| if refused { start } else { from });
        let mut lost = false;
        for (offset, one) in &log.promised {
            if *offset < start {
                let may = log.expires || log.spoiled;
                assert!(may, "life {life}: {partition:?} begins at {start}");
            } else if *offset < gone.unwrap_or(end) {
                let id = records[(offset - start) as usize];
                let emptied = id == HOLE && log.may_be_emptied(&latest, &self.ledger, one.id);
                assert!(
                    emptied || id == one.id,
                    "life {life}: {partition:?} offset {offset} holds {id:?}, not {:?}",
                    one.id
                );
                let of_transaction = emptied && self.ledger.knows(one.id);
                self.emptied_of_transactions += u64::from(of_transaction);
            } else {
                let harmed = harmed.is_some_and(|from| from <= *offset);
                assert!(
                    one.may_go || harmed,
                    "life {life}: {partition:?} ends at {end} and has lost offset {offset}: {one:?}"
                );
                lost |= !one.may_go;
            }
        }
        let noticed = log.is_noticed(life, partition, whole, lost);
        if let Some(gone) = gone {
            let behind = &records[(gone - start) as usize..];
            assert!(
                behind.iter().all(|id| is_marker(*id)),
                "life {life}: {partition:?} has lost what was from {gone} on, and holds {behind:?}"
            );
        }
        let mut last = BTreeMap::new();
        let data = (start..).zip(records).filter(|(_, id)| id.0 != MARKER);
        for (offset, id) in data {
            if let Some(before) = last.insert(id.0, id.1) {
                assert!(
                    before < id.1,
                    "life {life}: {partition:?} offset {offset}: {id:?} comes after {before}"
                );
            }
        }
        log.promised
            .retain(|offset, _| *offset >= start && *offset < gone.unwrap_or(end));
        for one in log.promised.values_mut() {
            // Recovery has synced what it read.
            (one.safe, one.may_go) = (true, false);
        }
        log.start_may_fall = false;
        (log.start, log.high_watermark) = (start, end);
        log.high_watermark_may_fall = false;
        // It may have ended open transactions since, which is durable within the lag.
        let own = records
            .iter()
            .rev()
            .take_while(|id| is_marker(**id))
            .count();
        let found = end - own as i64;
        (log.floor, log.floor_durable) = (found, found);
        log.found = (start, records.to_vec(), snapshot);
        if let Some(by) = noticed {
            self.detected(by);
        }
    }
}

impl Log {
    /// A partition whose disk was full is opened again while the node runs: then recovery cuts off what is
    /// damaged, and says so. What lay behind is forgotten, if it is why another record stands at `offset`.
    fn may_be_cut(&mut self, partition: Partition, offset: i64, id: Id) {
        if self.promised.get(&offset).is_none_or(|one| one.id == id) {
            return;
        }
        let told = |harm: &Harm| {
            let told = |end: &i64| reports::tell_of_end(harm.since, partition, *end);
            let mut ends = harm.offsets.clone().take_while(|end| *end <= offset);
            ends.find(told)
        };
        let Some(end) = self.harms.iter().find_map(told) else {
            return;
        };
        self.promised.split_off(&end);
        (self.floor, self.floor_durable) = (self.floor.min(end), self.floor_durable.min(end));
        self.harms.retain(|harm| harm.offsets.start < end);
    }

    /// Whether compaction may have taken out a record.
    fn may_be_emptied(&self, latest: &Latest, ledger: &Ledger, id: Id) -> bool {
        let deleted = |tombstones: &Tombstones| tombstones.deletes(id);
        let gone = latest.replaces(id) || self.tombstones.as_ref().is_some_and(deleted);
        let gone = gone || !ledger.must_count(id);
        self.compacts && gone
    }

    /// The first offset at which a marker stands for a record that was promised and may be gone. A
    /// start ends what transactions were left open before anybody can read: if the end of the log
    /// was lost, there.
    fn replaced_by_marker(&self, start: i64, records: &[Id]) -> Option<i64> {
        let replaced = |(offset, one): (&i64, &Promise)| {
            let id = records.get(usize::try_from(offset - start).ok()?)?;
            (one.may_go && *id != one.id && is_marker(*id)).then_some(*offset)
        };
        self.promised.iter().find_map(replaced)
    }

    /// Who has told of damaged batches at which a log ends, and was right to; panics if nobody has.
    /// `lost`: something lies behind that was promised.
    fn is_noticed(
        &mut self,
        life: usize,
        partition: Partition,
        whole: &Whole,
        lost: bool,
    ) -> Option<&'static str> {
        let end = whole.start + whole.ids.len() as i64;
        if let Some(damage) = &whole.damage {
            let harms = &self.harms;
            // Where records were deleted up to the middle of a segment, the way to the first one that is
            // kept leads over what is before it.
            let in_the_way = |harm: &Harm| whole.ids.is_empty() && harm.offsets.start < end;
            assert!(
                harms
                    .iter()
                    .any(|harm| harm.offsets.contains(&end) || in_the_way(harm)),
                "life {life}: {partition:?} at {end}: {damage}; damaged was {harms:?}"
            );
            return Some("by a client");
        }
        let mut by = None;
        if lost {
            let since = self.harms.iter().map(|harm| harm.since).min().unwrap_or(0);
            let told = |offset| reports::tell_of_end(since, partition, offset);
            // Where records were deleted beyond its end it is empty, and goes on at their end.
            let empty = whole.ids.is_empty();
            let mut begun = self.harms.iter().filter(|_| empty);
            if told(end) || begun.any(|harm| told(harm.offsets.start)) {
                by = Some("by recovery");
            }
            let mut here = self.harms.iter().filter(|harm| harm.offsets.contains(&end));
            assert!(
                by.is_some() || here.any(|harm| harm.silent),
                "life {life}: {partition:?} ends at {end}, and nothing was said of what was behind \
                 it: {:?}",
                self.harms
            );
        }
        // What is behind is gone; what is before can be read, and may yet be noticed.
        self.harms.retain(|harm| harm.offsets.start < end);
        by
    }

    /// Nothing that was promised lies outside of `start` to `end`.
    fn is_complete(&self, life: usize, partition: Partition, start: i64, end: i64) {
        assert!(
            end >= self.floor,
            "life {life}: {partition:?} ends at {end}; the node knew it to reach {}",
            self.floor
        );
        assert!(
            end >= self.high_watermark || self.high_watermark_may_fall,
            "life {life}: {partition:?} ends at {end}, its high watermark was {}",
            self.high_watermark
        );
        assert!(
            start >= self.start || self.start_may_fall,
            "life {life}: {partition:?} begins at {start}, and began at {}",
            self.start
        );
        assert!(
            start >= self.deleted,
            "life {life}: {partition:?} begins at {start}, and what is before {} was deleted",
            self.deleted
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offsets 0 to 9 were promised, those from 4 on are damaged.
    fn damaged() -> Log {
        let promise = |number| Promise {
            id: (1, number),
            safe: true,
            at: 0,
            life: 0,
            may_go: false,
        };
        Log {
            promised: (0..10).map(|at| (at, promise(at as u64))).collect(),
            floor: 10,
            floor_durable: 10,
            harms: vec![Harm::at(4..6)],
            ..Log::default()
        }
    }

    #[test]
    fn what_is_cut_within_a_life_is_forgotten_only_if_the_node_says_so() {
        reports::listen(|| {
            let mut log = damaged();
            log.may_be_cut(("t", 1), 7, (2, 0));
            assert_eq!(log.promised.len(), 10);
            tracing::warn!(partition = %"t-1", "the log ends at offset 4, position 9");
            // What stands there is what was promised; or it lies before the damage.
            log.may_be_cut(("t", 1), 7, (1, 7));
            log.may_be_cut(("t", 1), 3, (2, 0));
            assert_eq!(log.promised.len(), 10);
            log.may_be_cut(("t", 1), 7, (2, 0));
            assert_eq!(log.promised.keys().next_back(), Some(&3));
            assert_eq!((log.floor, log.floor_durable), (4, 4));
            assert_eq!(log.harms, []);
        });
    }
}
