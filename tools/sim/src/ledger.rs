//! What is known of every transaction, and what readers of committed records may be shown of it.
//!
//! A transaction whose commit was answered is there whole: every record of it, on every partition, and
//! the offset that was committed with it. One that nobody asked to commit, or whose abort was
//! answered, is never seen. Where no answer came the first reader finds out, and from then on it is
//! the one or the other everywhere. What lies before a partition's last stable offset is decided, and
//! that never moves back.
//!
//! In a compacted log a committed record may be gone for a later one of its key that was committed, or
//! may yet turn out to be: never for an aborted one.
//!
//! A power cut that takes acknowledged records (a policy without durability) takes markers, too: then
//! nothing of this holds any more, in Apache Kafka neither.

use std::collections::{BTreeMap, BTreeSet};

use crate::keyed::Latest;
use crate::oracle::{Id, Partition};

/// The number of a transaction.
pub type Txn = usize;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// Nobody has asked for its commit; nobody may see it.
    Open,
    /// The commit was asked for, and no answer came.
    Asked,
    Committed,
    Aborted,
}

struct Transaction {
    /// Its producer.
    who: u32,
    fate: Fate,
    /// Acknowledged records.
    records: Vec<(Partition, i64, Id)>,
    /// What it commits for its producer's group, acknowledged or not.
    offset: Option<(i64, bool)>,
}

/// See the module.
#[derive(Default)]
pub struct Ledger {
    all: Vec<Transaction>,
    /// All that were sent.
    of_record: BTreeMap<Id, Txn>,
    /// Those that were acknowledged.
    places: BTreeMap<Partition, BTreeMap<i64, (Id, Txn)>>,
    stable: BTreeMap<Partition, i64>,
    compacted: BTreeSet<Partition>,
    /// Nothing is promised any more.
    void: bool,
    pub commits: u64,
    pub aborts: u64,
    /// Records of transactions that were read as committed.
    pub read: u64,
    /// Transactions of which no answer told, and a reader did.
    pub found_out: u64,
}

impl Ledger {
    /// A transaction of this producer begins.
    pub fn begin(&mut self, who: u32) -> Txn {
        self.all.push(Transaction {
            who,
            fate: Fate::Open,
            records: Vec::new(),
            offset: None,
        });
        self.all.len() - 1
    }

    /// Records are sent.
    pub fn sends(&mut self, txn: Txn, ids: &[Id]) {
        self.of_record.extend(ids.iter().map(|id| (*id, txn)));
    }

    /// Records are stored from this offset on.
    pub fn stored(&mut self, txn: Txn, partition: Partition, base: i64, ids: &[Id]) {
        for (offset, id) in (base..).zip(ids) {
            self.all[txn].records.push((partition, offset, *id));
            let place = self.places.entry(partition).or_default();
            place.insert(offset, (*id, txn));
        }
    }

    /// An offset is sent (`false`), or is answered to be part of it (`true`).
    pub fn commits_offset(&mut self, txn: Txn, offset: i64, answered: bool) {
        self.all[txn].offset = Some((offset, answered));
    }

    /// Its commit is asked for: from now on it may happen.
    pub fn asked(&mut self, txn: Txn) {
        let fate = &mut self.all[txn].fate;
        assert_eq!(*fate, Fate::Open, "transaction {txn} is asked for once");
        *fate = Fate::Asked;
    }

    /// Its end was answered.
    pub fn ended(&mut self, txn: Txn, commit: bool) {
        let fate = match commit {
            true => Fate::Committed,
            false => Fate::Aborted,
        };
        let one = &mut self.all[txn];
        let right = self.void || one.fate != Fate::Aborted && (commit || one.fate == Fate::Open);
        assert!(
            right,
            "transaction {txn} is {:?} and now {fate:?}",
            one.fate
        );
        one.fate = fate;
        match commit {
            true => self.commits += 1,
            false => self.aborts += 1,
        }
    }

    /// The first request to commit it was refused: it never will be.
    pub fn refused(&mut self, txn: Txn) {
        if self.all[txn].fate == Fate::Asked {
            self.all[txn].fate = Fate::Aborted;
        }
    }

    /// Nothing is promised from now on.
    pub fn give_up(&mut self) {
        self.void = true;
    }

    /// Whether anything is promised.
    pub fn holds(&self) -> bool {
        !self.void
    }

    /// Whether a record is one of a transaction.
    pub fn knows(&self, id: Id) -> bool {
        self.of_record.contains_key(&id)
    }

    /// Whether a record may be one for readers of committed records, now or later.
    pub fn may_count(&self, id: Id) -> bool {
        let fate = self.of_record.get(&id).map(|txn| self.all[*txn].fate);
        self.void || matches!(fate, None | Some(Fate::Asked | Fate::Committed))
    }

    /// Whether it is one for sure.
    pub fn must_count(&self, id: Id) -> bool {
        let fate = self.of_record.get(&id).map(|txn| self.all[*txn].fate);
        fate.is_none() || fate == Some(Fate::Committed) && !self.void
    }

    /// The partition is compacted: of a key only the last committed record stays.
    pub fn compacts(&mut self, partition: Partition) {
        self.compacted.insert(partition);
    }

    /// The last stable offset that was seen.
    pub fn stable(&self, partition: Partition) -> i64 {
        self.stable.get(&partition).copied().unwrap_or(0)
    }

    /// A response carried the last stable offset; `asked` was known when the request was sent.
    pub fn stands(&mut self, partition: Partition, asked: i64, told: i64) {
        assert!(
            self.void || told >= asked,
            "{partition:?}: the last stable offset was {asked} and fell to {told}"
        );
        let stable = self.stable.entry(partition).or_default();
        *stable = told.max(*stable);
    }

    /// Something of a transaction is in force.
    fn is_seen(&mut self, txn: Txn, what: std::fmt::Arguments<'_>) {
        let one = &mut self.all[txn];
        match one.fate {
            Fate::Committed => {}
            Fate::Asked => {
                one.fate = Fate::Committed;
                self.found_out += 1;
            }
            Fate::Open | Fate::Aborted => panic!(
                "{what} of transaction {txn} of producer {} is read as committed: it is {:?}",
                one.who, one.fate
            ),
        }
    }

    /// A reader of committed records was shown these, and nothing else, of the offsets from `from`
    /// up to `next`.
    pub fn is_read(&mut self, partition: Partition, from: i64, next: i64, records: &[(i64, Id)]) {
        if self.void {
            return;
        }
        for (offset, id) in records {
            if let Some(txn) = self.of_record.get(id).copied() {
                self.is_seen(txn, format_args!("{id:?} at {partition:?} {offset}"));
                self.read += 1;
            }
        }
        self.is_whole(partition, from, next, records);
    }

    /// What was committed of these offsets is among the records: what a reader was shown before may
    /// be judged once more when others have read, too.
    pub fn is_whole(&self, partition: Partition, from: i64, next: i64, records: &[(i64, Id)]) {
        let Some(places) = self
            .places
            .get(&partition)
            .filter(|_| !self.void && from < next)
        else {
            return;
        };
        let all: Vec<Id> = match self.compacted.contains(&partition) {
            true => places.values().map(|(id, _)| *id).collect(),
            false => Vec::new(),
        };
        let latest = Latest::of(&all, |id| self.may_count(id));
        for (offset, (id, txn)) in places.range(from..next) {
            if self.all[*txn].fate == Fate::Committed {
                let shown = records.binary_search_by_key(offset, |(offset, _)| *offset);
                let shown = shown.ok().map(|at| records[at].1);
                let replaced = shown.is_none() && latest.replaces(*id);
                assert!(
                    shown == Some(*id) || replaced,
                    "{partition:?} {offset} shows {shown:?}, not {id:?} of transaction {txn}, which \
                     was committed"
                );
            }
        }
    }

    /// A producer's group has committed this, as a reader of stable offsets is told; -1: nothing.
    pub fn offset_is_read(&mut self, who: u32, value: i64) {
        if self.void {
            return;
        }
        let mine = || (0..).zip(&self.all).filter(move |(_, one)| one.who == who);
        let of_offset = mine().find(|(_, one)| one.offset.is_some_and(|(of, _)| of == value));
        let found = of_offset.map(|(txn, _)| txn);
        assert!(
            value == -1 || found.is_some(),
            "producer {who}'s group has committed {value}, which it never did"
        );
        let answered = mine().filter(|(_, one)| one.fate == Fate::Committed);
        let answered = answered.filter_map(|(_, one)| one.offset.filter(|(_, answered)| *answered));
        let due = answered.map(|(offset, _)| offset).max().unwrap_or(-1);
        assert!(
            value >= due,
            "producer {who}'s group has committed {value}; {due} was committed by a transaction"
        );
        if let Some(txn) = found {
            self.is_seen(txn, format_args!("the offset {value}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Partition = ("t", 0);
    const THERE: Partition = ("u", 1);

    /// A transaction of two records in two places.
    fn two() -> (Ledger, Txn) {
        let mut ledger = Ledger::default();
        let txn = ledger.begin(7);
        ledger.sends(txn, &[(7, 0), (7, 1)]);
        ledger.stored(txn, HERE, 5, &[(7, 0)]);
        ledger.stored(txn, THERE, 9, &[(7, 1)]);
        (ledger, txn)
    }

    #[test]
    #[should_panic(expected = "read as committed: it is Open")]
    fn what_nobody_committed_is_not_to_be_seen() {
        two().0.is_read(HERE, 0, 6, &[(5, (7, 0))]);
    }

    #[test]
    #[should_panic(expected = "read as committed: it is Aborted")]
    fn what_was_aborted_is_not_to_be_seen() {
        let (mut ledger, txn) = two();
        ledger.ended(txn, false);
        ledger.is_read(HERE, 0, 6, &[(5, (7, 0))]);
    }

    #[test]
    #[should_panic(expected = "which was committed")]
    fn one_half_brings_the_other() {
        let (mut ledger, txn) = two();
        ledger.asked(txn);
        ledger.is_read(THERE, 0, 9, &[]);
        ledger.is_read(HERE, 0, 6, &[(5, (7, 0))]);
        ledger.is_read(THERE, 0, 10, &[(8, (1, 1))]);
    }

    #[test]
    #[should_panic(expected = "3 was committed by a transaction")]
    fn the_offset_is_one_half_of_it() {
        let (mut ledger, txn) = two();
        ledger.commits_offset(txn, 3, true);
        ledger.asked(txn);
        ledger.offset_is_read(7, -1);
        ledger.is_read(HERE, 0, 6, &[(5, (7, 0))]);
        ledger.offset_is_read(7, -1);
    }

    #[test]
    #[should_panic(expected = "fell to 3")]
    fn the_last_stable_offset_stays() {
        let mut ledger = Ledger::default();
        ledger.stands(HERE, 0, 4);
        ledger.stands(HERE, 4, 3);
    }

    #[test]
    fn of_a_compacted_key_the_last_committed_record_stays() {
        let of_two = |commit| {
            let mut ledger = Ledger::default();
            ledger.compacts(HERE);
            for (number, commit) in [(0, true), (11, commit)] {
                let txn = ledger.begin(7);
                let id = (7, number);
                ledger.sends(txn, &[id]);
                ledger.stored(txn, HERE, number as i64, &[id]);
                ledger.asked(txn);
                if commit {
                    ledger.ended(txn, true);
                } else {
                    ledger.refused(txn);
                }
            }
            ledger
        };
        of_two(true).is_read(HERE, 0, 12, &[(11, (7, 11))]);
        let aborted = std::panic::catch_unwind(|| of_two(false).is_read(HERE, 0, 12, &[]));
        assert!(aborted.is_err(), "what was aborted replaces nothing");
        let gone = std::panic::catch_unwind(|| of_two(true).is_read(HERE, 0, 12, &[]));
        assert!(gone.is_err(), "the last one is not replaced");
    }

    #[test]
    fn what_was_not_answered_may_be_either() {
        let (mut ledger, txn) = two();
        ledger.asked(txn);
        ledger.is_read(HERE, 0, 6, &[(4, (1, 0))]);
        ledger.is_read(THERE, 0, 10, &[]);
        let (mut ledger, txn) = two();
        ledger.asked(txn);
        ledger.is_read(HERE, 0, 6, &[(5, (7, 0))]);
        ledger.is_read(THERE, 0, 10, &[(9, (7, 1))]);
        ledger.ended(txn, true);
        assert_eq!((ledger.read, ledger.found_out), (2, 1));
    }
}
