//! A world around one shard: time that the test moves, a log that the test completes, markers that
//! the test delivers.

mod ends;
mod epochs;
mod random;
mod records;

use std::collections::{BTreeMap, VecDeque};

use odradek_engine::types::{Epoch, ProducerEpoch, ProducerId};

use super::codec::{decode_record, encode_record};
use super::*;
use crate::coordinators::groups::codec::EncodedRecord;

const TIMEOUT_MS: i32 = 60_000;

#[derive(Default)]
struct World {
    shard: TransactionsShard,
    now_ms: i64,
    writes: VecDeque<(Token, Vec<EncodedRecord>)>,
    log: Vec<EncodedRecord>,
    replies: BTreeMap<Ticket, Reply>,
    markers: VecDeque<Markers>,
    tickets: u64,
    ids: i64,
}

fn world() -> World {
    World {
        shard: TransactionsShard::new(Settings::default(), Epoch(5)),
        now_ms: 1_000_000,
        ids: 100,
        ..World::default()
    }
}

fn places(all: &[(&str, i32)]) -> Partitions {
    let mut set = Partitions::new();
    for (topic, index) in all {
        set.entry((*topic).to_owned()).or_default().insert(*index);
    }
    set
}

fn member((id, epoch): (i64, i16)) -> Member {
    Member {
        id: "t".into(),
        producer_id: ProducerId(id),
        epoch: ProducerEpoch(epoch),
    }
}

impl World {
    fn act<R>(&mut self, f: impl FnOnce(&mut TransactionsShard, i64, &mut Effects) -> R) -> R {
        let mut out = Effects::new();
        let result = f(&mut self.shard, self.now_ms, &mut out);
        for effect in out {
            match effect {
                Effect::Reply { ticket, reply } => {
                    assert!(ticket.0 <= self.tickets, "a reply that nobody waits for");
                    let earlier = self.replies.insert(ticket, reply);
                    assert!(earlier.is_none(), "{ticket:?} answered twice");
                }
                Effect::Persist { token, records } => {
                    let records = records.iter().map(|record| encode_record(record).unwrap());
                    self.writes.push_back((token, records.collect()));
                }
                Effect::Errand(markers) => {
                    assert!(!markers.partitions.is_empty());
                    self.markers.push_back(markers);
                }
                Effect::PersistOpen { .. } | Effect::End { .. } => {
                    panic!("no transaction is in the transactions' own log")
                }
            }
        }
        result
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn ask_init(&mut self, id: &str, expected: Option<(i64, i16)>) -> Ticket {
        let request = InitRequest {
            id: id.into(),
            timeout_ms: TIMEOUT_MS,
            expected: expected.map(|(id, epoch)| (ProducerId(id), ProducerEpoch(epoch))),
        };
        let fresh = self.shard.init_needs_id(&request).then(|| {
            self.ids += 1;
            ProducerId(self.ids)
        });
        let ticket = self.ticket();
        self.act(|shard, now, out| shard.init(request, fresh, ticket, now, out));
        ticket
    }

    fn ask_add(&mut self, member: &Member, partitions: &Partitions, version: i16) -> Ticket {
        self.ask_add_within(0, member, partitions, version)
    }

    fn ask_add_within(
        &mut self,
        patience_ms: i64,
        member: &Member,
        partitions: &Partitions,
        client_version: i16,
    ) -> Ticket {
        let ticket = self.ticket();
        let request = JoinRequest {
            member: member.clone(),
            partitions: partitions.clone(),
            client_version,
            until_ms: self.now_ms + patience_ms,
        };
        self.act(|shard, now, out| shard.add(request, ticket, now, out));
        ticket
    }

    fn ask_end(&mut self, member: Member, commit: bool, client_version: i16) -> Ticket {
        let request = EndRequest {
            member,
            commit,
            client_version,
        };
        let fresh = self.shard.end_needs_id(&request).then(|| {
            self.ids += 1;
            ProducerId(self.ids)
        });
        let ticket = self.ticket();
        self.act(|shard, now, out| shard.end(&request, fresh, ticket, now, out));
        ticket
    }

    /// Makes the oldest write durable.
    fn flush_one(&mut self) {
        let (token, records) = self.writes.pop_front().expect("a write is in flight");
        self.log.extend(records);
        self.act(|shard, now, out| shard.persisted(token, Ok(()), now, out));
    }

    fn flush(&mut self) {
        while !self.writes.is_empty() {
            self.flush_one();
        }
    }

    /// All partitions write the oldest markers.
    fn mark_one(&mut self) -> Markers {
        let markers = self.markers.pop_front().expect("markers are on their way");
        let (id, end) = (markers.id.clone(), markers.end);
        self.act(|shard, now, out| {
            shard.marked(&id, end.producer_id, end.producer_epoch, now, out);
        });
        markers
    }

    /// Everything comes to its end.
    fn settle(&mut self) {
        while !self.writes.is_empty() || !self.markers.is_empty() {
            self.flush();
            while !self.markers.is_empty() {
                self.mark_one();
            }
        }
    }

    /// The node dies; what is durable is loaded.
    fn crash(&mut self) {
        self.writes.clear();
        self.markers.clear();
        let epoch = self.shard.coordinator_epoch.0 + 1;
        self.shard = TransactionsShard::new(Settings::default(), Epoch(epoch));
        for record in &self.log {
            let record = decode_record(&record.key, record.value.as_deref()).unwrap();
            self.shard.replay(record.expect("a transaction's record"));
        }
        self.act(|shard, now, out| shard.loaded(now, out));
    }

    fn advance(&mut self, by_ms: i64) {
        let until = self.now_ms + by_ms;
        while let Some(next) = self.shard.next_deadline().filter(|next| *next <= until) {
            self.now_ms = self.now_ms.max(next);
            self.act(|shard, now, out| shard.tick(now, out));
        }
        self.now_ms = until;
    }

    fn producer(&self, ticket: Ticket) -> Result<(i64, i16), i16> {
        match self.replies.get(&ticket) {
            Some(Reply::Producer(reply)) => (*reply).map(|(id, epoch)| (id.0, epoch.0)),
            other => panic!("no producer: {other:?}"),
        }
    }

    fn code(&self, ticket: Ticket) -> i16 {
        match self.replies.get(&ticket) {
            Some(Reply::Code(code)) => *code,
            other => panic!("no code: {other:?}"),
        }
    }

    fn waits(&self, ticket: Ticket) -> bool {
        !self.replies.contains_key(&ticket)
    }

    fn state(&self) -> State {
        self.shard.transaction("t").expect("it is known").state
    }

    /// InitProducerId of "t", to its end.
    fn init(&mut self, expected: Option<(i64, i16)>) -> Result<(i64, i16), i16> {
        let ticket = self.ask_init("t", expected);
        self.flush();
        self.producer(ticket)
    }

    fn add(&mut self, by: (i64, i16), all: &[(&str, i32)], version: i16) -> i16 {
        let ticket = self.ask_add(&member(by), &places(all), version);
        self.flush();
        self.code(ticket)
    }

    /// EndTxn of "t", up to the decision.
    fn end(&mut self, by: (i64, i16), commit: bool, version: i16) -> Result<(i64, i16), i16> {
        let ticket = self.ask_end(member(by), commit, version);
        self.flush();
        self.producer(ticket)
    }

    /// Brings the producer of "t" to an epoch.
    fn skip_to(&mut self, epoch: i16) {
        let entry = self.shard.entries.get_mut("t").expect("it is known");
        entry.now.epoch = ProducerEpoch(epoch);
    }
}
