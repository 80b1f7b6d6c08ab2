//! Offsets committed in transactions and outside of them, at random, with writes that fail, groups that are
//! deleted, and restarts: what counts is what the history of the log says. The seed is printed.

use std::collections::BTreeSet;

use odradek_engine::types::ProducerId;

use super::chance::Random;
use super::*;

const GROUPS: [&str; 2] = ["g", "h"];
const PARTITIONS: i32 = 2;
const PRODUCERS: u64 = 3;

/// Group, partition of "orders".
type Place = (String, i32);

/// An offset that came into the log.
struct Entry {
    offset: i64,
    /// Whose open transaction it belongs to; none: it counts.
    open: Option<ProducerId>,
}

/// All that is in the log for each place, in its order; without what was aborted or deleted.
#[derive(Default)]
struct History {
    entries: BTreeMap<Place, Vec<Entry>>,
    /// Every offset that ever came into the log: each is committed once.
    ever: BTreeSet<i64>,
}

impl History {
    fn take(&mut self, logged: &Logged) {
        match logged {
            Logged::Plain(record) => self.record(record, None),
            Logged::Open(producer, record) => self.record(record, Some(producer.id)),
            Logged::End(end) => {
                for entries in self.entries.values_mut() {
                    let mine = |entry: &Entry| entry.open == Some(end.producer_id);
                    entries.retain(|entry| end.commit || !mine(entry));
                    for entry in entries.iter_mut().filter(|entry| mine(entry)) {
                        entry.open = None;
                    }
                }
            }
        }
    }

    fn record(&mut self, record: &Record, open: Option<ProducerId>) {
        match record {
            Record::OffsetCommit {
                group_id,
                partition,
                value,
                ..
            } => {
                let offset = value.offset;
                assert!(self.ever.insert(offset), "{offset} is in the log twice");
                let place = (group_id.clone(), *partition);
                let entries = self.entries.entry(place).or_default();
                entries.push(Entry { offset, open });
            }
            Record::OffsetTombstone {
                group_id,
                partition,
                ..
            } => {
                self.entries.remove(&(group_id.clone(), *partition));
            }
            Record::GroupMetadata(_) | Record::GroupTombstone { .. } => {}
        }
    }

    fn at(&self, place: &Place) -> &[Entry] {
        self.entries.get(place).map_or(&[], Vec::as_slice)
    }

    /// -1: none.
    fn committed(&self, place: &Place) -> i64 {
        let mut counts = self.at(place).iter().rev().filter(|one| one.open.is_none());
        counts.next().map_or(-1, |entry| entry.offset)
    }

    fn is_unstable(&self, place: &Place) -> bool {
        self.at(place).iter().any(|entry| entry.open.is_some())
    }
}

#[derive(Default, Debug)]
struct Seen {
    committed: u32,
    refused: u32,
    ended: u32,
    not_ended: u32,
    read: u32,
    unstable: u32,
    deleted: u32,
    /// Places where a transaction was open when their group was deleted.
    deleted_open: u32,
    /// The same at a restart.
    restarted_open: u32,
}

struct Model {
    w: World,
    history: History,
    /// So much of the world's log is in it.
    taken: usize,
    last_offset: i64,
    commits: BTreeMap<Ticket, i64>,
    ends: BTreeSet<Ticket>,
    reads: BTreeMap<Ticket, FetchRequest>,
    deletions: BTreeMap<Ticket, String>,
    seen: Seen,
}

impl Model {
    fn new() -> Self {
        Self {
            w: world(),
            history: History::default(),
            taken: 0,
            last_offset: 0,
            commits: BTreeMap::new(),
            ends: BTreeSet::new(),
            reads: BTreeMap::new(),
            deletions: BTreeMap::new(),
            seen: Seen::default(),
        }
    }

    fn step(&mut self, random: &mut Random) {
        let group = *random.pick(&GROUPS);
        match random.below(20) {
            0..3 => {
                let request = self.commit_to(random, group);
                let ticket = self.w.commit(request);
                self.commits.insert(ticket, self.last_offset);
            }
            3..7 => {
                let request = self.commit_to(random, group);
                let ticket = self.w.commit_open(producer(random), request);
                self.commits.insert(ticket, self.last_offset);
            }
            7 => {
                let ticket = self.w.end(producer(random), random.chance(60));
                self.ends.insert(ticket);
            }
            8..11 => self.read(group, random.chance(60)),
            11 if random.chance(20) => {
                let ticket = self.w.delete_groups(&[group]);
                self.deletions.insert(ticket, group.to_owned());
            }
            12 if random.chance(10) => self.restart(),
            _ => {
                if !self.w.writes.is_empty() {
                    let outcome = match random.chance(10) {
                        true => Err(error::KAFKA_STORAGE_ERROR),
                        false => Ok(()),
                    };
                    self.w.end_write(outcome);
                }
            }
        }
        self.observe();
    }

    /// A commit of an offset that no other commits.
    fn commit_to(&mut self, random: &mut Random, group: &str) -> CommitRequest {
        self.last_offset += 1;
        let mut request = CommitRequest {
            group_id: group.to_owned(),
            ..simple_commit(self.last_offset)
        };
        request.topics[0].partitions[0].partition = i32::from(random.chance(50));
        request
    }

    fn read(&mut self, group: &str, require_stable: bool) {
        let topic = FetchTopic {
            name: "orders".into(),
            topic_id: NO_TOPIC_ID,
            error: error::NONE,
            partitions: (0..PARTITIONS).collect(),
        };
        let request = FetchRequest {
            group_id: group.to_owned(),
            topics: Some(vec![topic]),
            require_stable,
        };
        let (ticket, asked) = (self.w.ticket(), request.clone());
        self.w
            .act(|shard, now_ms, out| shard.fetch(asked, ticket, now_ms, out));
        self.reads.insert(ticket, request);
    }

    /// What is on its way is lost, and nobody is told.
    fn restart(&mut self) {
        let open = places().filter(|place| self.history.is_unstable(place));
        self.seen.restarted_open += open.count() as u32;
        self.w.writes.clear();
        self.w.opens.clear();
        self.w.ends.clear();
        for ticket in std::mem::take(&mut self.commits).keys() {
            assert!(self.w.waits(*ticket));
        }
        self.ends.clear();
        self.reads.clear();
        self.deletions.clear();
        self.w.reload();
    }

    /// Takes in what came into the log, then what was answered.
    fn observe(&mut self) {
        for logged in &self.w.logged[self.taken..] {
            if let Logged::Plain(Record::OffsetTombstone {
                group_id,
                partition,
                ..
            }) = logged
            {
                let place = (group_id.clone(), *partition);
                self.seen.deleted_open += u32::from(self.history.is_unstable(&place));
            }
            self.history.take(logged);
        }
        self.taken = self.w.logged.len();
        let (history, seen, replies) = (&self.history, &mut self.seen, &self.w.replies);
        self.commits.retain(|ticket, offset| {
            let Some(reply) = replies.get(ticket) else {
                return true;
            };
            let Reply::Commit(reply) = reply else {
                panic!("{reply:?}");
            };
            let kept = reply.topics[0].partitions[0].1 == error::NONE;
            assert_eq!(kept, history.ever.contains(offset), "offset {offset}");
            match kept {
                true => seen.committed += 1,
                false => seen.refused += 1,
            }
            false
        });
        self.ends.retain(|ticket| match replies.get(ticket) {
            None => true,
            Some(Reply::Ended(Ok(()))) => {
                seen.ended += 1;
                false
            }
            Some(_) => {
                seen.not_ended += 1;
                false
            }
        });
        let deleting: Vec<String> = self.deletions.values().cloned().collect();
        self.reads.retain(|ticket, request| {
            let Some(reply) = replies.get(ticket) else {
                return true;
            };
            let Reply::Fetch(reply) = reply else {
                panic!("{reply:?}");
            };
            // While its tombstones are on their way a group has nothing.
            if !deleting.contains(&request.group_id) {
                for found in &reply.topics[0].partitions {
                    let place = (request.group_id.clone(), found.partition);
                    let unstable = request.require_stable && history.is_unstable(&place);
                    let expected = match unstable {
                        true => (-1, error::UNSTABLE_OFFSET_COMMIT),
                        false => (history.committed(&place), error::NONE),
                    };
                    assert_eq!((found.offset, found.error), expected, "{place:?}");
                    seen.unstable += u32::from(unstable);
                    seen.read += u32::from(found.offset >= 0);
                }
            }
            false
        });
        self.deletions.retain(|ticket, _| {
            let answered = replies.get(ticket);
            if let Some(Reply::DeleteGroups(results)) = answered {
                seen.deleted += u32::from(results[0].1 == error::NONE);
            }
            answered.is_none()
        });
    }

    /// All that is on its way comes to its end, and every place is asked for.
    fn settle(&mut self) {
        while !self.w.writes.is_empty() {
            self.w.end_write(Ok(()));
            self.observe();
        }
        for group in GROUPS {
            for stable in [true, false] {
                self.read(group, stable);
                self.observe();
            }
        }
        let waiting = (self.commits.len(), self.ends.len(), self.reads.len());
        assert_eq!((waiting, self.deletions.len()), ((0, 0, 0), 0));
    }
}

fn places() -> impl Iterator<Item = Place> {
    let of = |group: &'static str| (0..PARTITIONS).map(move |index| (group.to_owned(), index));
    GROUPS.into_iter().flat_map(of)
}

fn producer(random: &mut Random) -> i64 {
    random.below(PRODUCERS).cast_signed() + 1
}

#[test]
fn what_counts_of_transactions_is_what_the_log_says() {
    let mut total = Seen::default();
    for seed in 0..300 {
        println!("seed {seed}");
        let (mut random, mut model) = (Random::new(seed), Model::new());
        for _ in 0..400 {
            model.step(&mut random);
        }
        model.settle();
        model.restart();
        model.settle();
        for number in 1..=PRODUCERS {
            let ticket = model.w.end(number.cast_signed(), random.chance(50));
            model.ends.insert(ticket);
        }
        model.settle();
        assert!(places().all(|place| !model.history.is_unstable(&place)));
        let seen = model.seen;
        total.committed += seen.committed;
        total.refused += seen.refused;
        total.ended += seen.ended;
        total.not_ended += seen.not_ended;
        total.read += seen.read;
        total.unstable += seen.unstable;
        total.deleted += seen.deleted;
        total.deleted_open += seen.deleted_open;
        total.restarted_open += seen.restarted_open;
    }
    println!("{total:?}");
    let least = [
        total.committed,
        total.refused,
        total.ended,
        total.not_ended,
        total.read,
        total.unstable,
        total.deleted,
        total.deleted_open,
        total.restarted_open,
    ];
    assert!(least.iter().all(|count| *count >= 20), "{total:?}");
}
