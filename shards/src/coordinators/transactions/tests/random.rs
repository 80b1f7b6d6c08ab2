//! Producers that come, write, end and crash in any order, beside a model of the partitions.
//!
//! The model knows which records each producer was allowed to write, and what it was told of their
//! end; the markers that the coordinator sends must agree, whatever got lost on the way.

use std::collections::BTreeSet;

use super::*;

const SEEDS: u64 = 800;
const STEPS: usize = 120;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// What a transaction came to.
#[derive(Default)]
struct Fate {
    told_commit: bool,
    told_abort: bool,
    marked_commit: bool,
    marked_abort: bool,
}

/// One client of the id "t": the newest is the last.
#[derive(Clone)]
struct Client {
    producer: (i64, i16),
    version: i16,
    joined: BTreeSet<i32>,
    /// What it is waiting for.
    waits: Option<(Ticket, Wants)>,
    /// Counts its transactions.
    number: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Wants {
    Join(i32),
    End(bool),
}

struct Model {
    world: World,
    clients: Vec<Client>,
    init: Option<(Ticket, i16)>,
    /// Of the clients that begin.
    version: i16,
    /// Every id and epoch that anybody was given.
    given: BTreeSet<(i64, i16)>,
    /// By producer id and marker's epoch, less what version 2 adds.
    fates: BTreeMap<(i64, i16), Fate>,
    dice: Dice,
}

impl Model {
    fn step(&mut self) {
        match self.dice.roll(12) {
            0 => self.begin(),
            1..=3 => self.join(),
            4 | 5 => self.end(),
            6 | 7 => {
                if !self.world.writes.is_empty() {
                    self.world.flush_one();
                }
            }
            8 | 9 => {
                if !self.world.markers.is_empty() {
                    let markers = self.world.mark_one();
                    self.marked(&markers);
                }
            }
            10 => {
                let by_ms = self.dice.roll(i64::from(TIMEOUT_MS) as u64) as i64;
                self.world.advance(by_ms);
            }
            _ => {
                if self.dice.roll(4) == 0 {
                    self.world.crash();
                    self.init = None;
                    for client in &mut self.clients {
                        client.waits = None;
                    }
                }
            }
        }
        self.hear();
    }

    fn begin(&mut self) {
        if self.init.is_none() {
            // Clients are upgraded, not downgraded: an end that an older client asks for looks, to
            // Kafka, too, like the answer to a newer one that was fenced.
            if self.dice.roll(4) == 0 {
                self.version = 2;
            }
            self.init = Some((self.world.ask_init("t", None), self.version));
        }
    }

    /// Any client, also one that is fenced.
    fn pick(&mut self) -> Option<usize> {
        let count = self.clients.len() as u64;
        let picked = (count > 0).then(|| self.dice.roll(count) as usize)?;
        self.clients[picked].waits.is_none().then_some(picked)
    }

    fn join(&mut self) {
        let Some(picked) = self.pick() else { return };
        let partition = self.dice.roll(4) as i32;
        let client = &self.clients[picked];
        let (by, version) = (member(client.producer), client.version);
        let patience_ms = [0, 100][self.dice.roll(2) as usize];
        let places = places(&[("a", partition)]);
        let ticket = self
            .world
            .ask_add_within(patience_ms, &by, &places, version);
        self.clients[picked].waits = Some((ticket, Wants::Join(partition)));
    }

    fn end(&mut self) {
        let Some(picked) = self.pick() else { return };
        let commit = self.dice.roll(2) == 0;
        let client = &self.clients[picked];
        let (by, version) = (member(client.producer), client.version);
        let ticket = self.world.ask_end(by, commit, version);
        self.clients[picked].waits = Some((ticket, Wants::End(commit)));
    }

    /// The clients read their answers.
    fn hear(&mut self) {
        if let Some((ticket, version)) = self.init
            && !self.world.waits(ticket)
        {
            self.init = None;
            if let Ok(producer) = self.world.producer(ticket) {
                assert!(self.given.insert(producer), "{producer:?} is given twice");
                self.clients.push(Client {
                    producer,
                    version,
                    joined: BTreeSet::new(),
                    waits: None,
                    number: 0,
                });
            }
        }
        let newest = self.clients.len().saturating_sub(1);
        for (number, client) in self.clients.iter_mut().enumerate() {
            let Some((ticket, wants)) = client.waits.filter(|it| !self.world.waits(it.0)) else {
                continue;
            };
            client.waits = None;
            match wants {
                Wants::Join(partition) => {
                    if self.world.code(ticket) == 0 {
                        assert_eq!(number, newest, "a fenced producer writes");
                        client.joined.insert(partition);
                    }
                }
                Wants::End(commit) => {
                    let Ok(after) = self.world.producer(ticket) else {
                        continue;
                    };
                    if !client.joined.is_empty() {
                        let fate = self.fates.entry(client.producer).or_default();
                        match (client.version, commit) {
                            // The same epoch goes on: which one is told of cannot be known.
                            (0, _) => {}
                            (_, true) => fate.told_commit = true,
                            (_, false) => fate.told_abort = true,
                        }
                    }
                    if client.version == 2 {
                        assert_ne!(after, client.producer);
                        assert!(self.given.insert(after), "{after:?} is given twice");
                    }
                    client.producer = after;
                    client.joined.clear();
                    client.number += 1;
                }
            }
        }
    }

    fn marked(&mut self, markers: &Markers) {
        let end = markers.end;
        if end.version < 2 {
            return;
        }
        let epoch = end.producer_epoch.0 - 1;
        let fate = self.fates.entry((end.producer_id.0, epoch)).or_default();
        match end.commit {
            true => fate.marked_commit = true,
            false => fate.marked_abort = true,
        }
    }

    fn check(&mut self, seed: u64) {
        loop {
            self.world.flush();
            self.hear();
            if self.world.markers.is_empty() {
                break;
            }
            let markers = self.world.mark_one();
            self.marked(&markers);
        }
        for (producer, fate) in &self.fates {
            let told = (fate.told_commit, fate.told_abort);
            assert_ne!(
                told,
                (true, true),
                "seed {seed}: {producer:?} was told both"
            );
            let marked = (fate.marked_commit, fate.marked_abort);
            assert_ne!(
                marked,
                (true, true),
                "seed {seed}: {producer:?} was marked both"
            );
            assert!(
                !fate.told_commit || fate.marked_commit,
                "seed {seed}: {producer:?} was told that it committed"
            );
            assert!(
                !fate.told_abort || fate.marked_abort,
                "seed {seed}: {producer:?} was told that it aborted"
            );
        }
        let state = self.world.shard.transaction("t").map(|now| now.state);
        assert!(
            state.is_none_or(|state| !state.is_prepared()),
            "seed {seed}: it is never complete"
        );
    }
}

#[test]
fn whatever_happens_transactions_end_as_it_was_told() {
    let (mut commits, mut aborts) = (0, 0);
    for seed in 1..=SEEDS {
        let mut model = Model {
            world: world(),
            clients: Vec::new(),
            init: None,
            version: 0,
            given: BTreeSet::new(),
            fates: BTreeMap::new(),
            dice: Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
        };
        for _ in 0..STEPS {
            model.step();
        }
        model.check(seed);
        let fates = model.fates.values();
        commits += fates.clone().filter(|fate| fate.told_commit).count();
        aborts += fates.filter(|fate| fate.told_abort).count();
    }
    assert!(commits > 100 && aborts > 100, "{commits} and {aborts}");
}
