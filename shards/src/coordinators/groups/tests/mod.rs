//! A world around one shard: time that the test moves, a log that the test completes.

mod admin;
mod chance;
mod commits;
mod joining;
mod random;
mod random_transactions;
mod replaying;
mod static_members;
mod syncing;
mod transactional;

use std::collections::{BTreeMap, VecDeque};

use odradek_engine::types::TransactionEnd;

use super::*;

/// The subscription of a consumer to topic "orders".
pub const ORDERS: &[u8] = b"\x00\x00\x00\x00\x00\x01\x00\x06orders\xff\xff\xff\xff";

#[derive(Default)]
pub struct World {
    pub shard: GroupsShard,
    pub now_ms: i64,
    pub writes: VecDeque<(Token, Vec<Record>)>,
    pub log: Vec<Record>,
    /// Writes in flight that belong to a transaction, or end one.
    pub opens: BTreeMap<Token, Producer>,
    pub ends: BTreeMap<Token, TransactionEnd>,
    /// The log as it is replayed where transactions are in it.
    pub logged: Vec<Logged>,
    pub replies: BTreeMap<Ticket, Reply>,
    tickets: u64,
}

/// What stands in a log.
pub enum Logged {
    Plain(Record),
    Open(Producer, Record),
    End(TransactionEnd),
}

pub fn world() -> World {
    with_settings(Settings::default())
}

pub fn with_settings(settings: Settings) -> World {
    let mut world = World {
        shard: GroupsShard::new(settings),
        now_ms: 1_000_000,
        ..World::default()
    };
    world.act(|shard, now_ms, out| shard.loaded(now_ms, out));
    world
}

/// Settings that differ from the defaults.
pub fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings::default();
    change(&mut settings);
    settings
}

/// A dynamic consumer of "orders" in group "g" that joins for the first time.
pub fn consumer() -> JoinRequest {
    JoinRequest {
        group_id: "g".into(),
        member_id: String::new(),
        instance_id: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: CONSUMER_PROTOCOL_TYPE.into(),
        protocols: protocols(&["range", "roundrobin"]),
        member_id_required: false,
        skip_assignment_supported: true,
        new_member_uuid: 0,
        reason: None,
    }
}

pub fn static_consumer(instance: &str) -> JoinRequest {
    JoinRequest {
        instance_id: Some(instance.into()),
        ..consumer()
    }
}

pub fn protocols(names: &[&str]) -> Vec<Protocol> {
    let offered = names.iter().map(|name| Protocol {
        name: (*name).into(),
        metadata: ORDERS.into(),
    });
    offered.collect()
}

pub fn commit_of(member: &JoinReply, offset: i64) -> CommitRequest {
    CommitRequest {
        generation: member.generation,
        member_id: member.member_id.clone(),
        ..simple_commit(offset)
    }
}

/// A commit of orders-0 in group "g" by nobody's member.
pub fn simple_commit(offset: i64) -> CommitRequest {
    CommitRequest {
        group_id: "g".into(),
        generation: -1,
        member_id: String::new(),
        instance_id: None,
        retention_ms: None,
        group_id_not_found_supported: true,
        topics: vec![CommitTopic {
            name: "orders".into(),
            topic_id: NO_TOPIC_ID,
            partitions: vec![CommitPartition {
                partition: 0,
                offset,
                leader_epoch: 3,
                metadata: Some("note".into()),
                error: error::NONE,
            }],
        }],
    }
}

impl World {
    pub fn act<R>(&mut self, f: impl FnOnce(&mut GroupsShard, i64, &mut Effects) -> R) -> R {
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
                    assert!(!records.is_empty());
                    self.writes.push_back((token, records));
                }
                Effect::PersistOpen {
                    token,
                    producer,
                    records,
                } => {
                    assert!(!records.is_empty());
                    self.opens.insert(token, producer);
                    self.writes.push_back((token, records));
                }
                Effect::End { token, end } => {
                    self.ends.insert(token, end);
                    self.writes.push_back((token, Vec::new()));
                }
                Effect::Errand(never) => match never {},
            }
        }
        result
    }

    pub fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    pub fn join(&mut self, mut request: JoinRequest) -> Ticket {
        let ticket = self.ticket();
        request.new_member_uuid = u128::from(ticket.0);
        self.act(|shard, now_ms, out| shard.join(request, ticket, now_ms, out));
        ticket
    }

    pub fn sync(&mut self, member: &JoinReply, assignments: &[(&str, &str)]) -> Ticket {
        let assignments = assignments
            .iter()
            .map(|(id, bytes)| ((*id).to_owned(), bytes.as_bytes().into()));
        self.sync_with(SyncRequest {
            group_id: "g".into(),
            generation: member.generation,
            member_id: member.member_id.clone(),
            instance_id: None,
            protocol_type: None,
            protocol_name: None,
            assignments: assignments.collect(),
        })
    }

    pub fn sync_with(&mut self, request: SyncRequest) -> Ticket {
        let ticket = self.ticket();
        self.act(|shard, now_ms, out| shard.sync(request, ticket, now_ms, out));
        ticket
    }

    pub fn heartbeat(&mut self, member: &JoinReply) -> i16 {
        let request = HeartbeatRequest {
            group_id: "g".into(),
            generation: member.generation,
            member_id: member.member_id.clone(),
            instance_id: None,
        };
        self.act(|shard, now_ms, out| shard.heartbeat(&request, now_ms, out))
    }

    pub fn leave(&mut self, members: &[(&str, Option<&str>)]) -> Vec<i16> {
        let members = members.iter().map(|(id, instance)| LeavingMember {
            member_id: (*id).into(),
            instance_id: instance.map(Into::into),
            reason: None,
        });
        let request = LeaveRequest {
            group_id: "g".into(),
            members: members.collect(),
        };
        let reply = self.act(|shard, now_ms, out| shard.leave(&request, now_ms, out));
        assert_eq!(reply.error, error::NONE);
        reply.members.iter().map(|member| member.error).collect()
    }

    pub fn commit(&mut self, request: CommitRequest) -> Ticket {
        let ticket = self.ticket();
        self.act(|shard, now_ms, out| shard.commit(request, ticket, now_ms, out));
        ticket
    }

    pub fn fetch(&mut self, require_stable: bool) -> Ticket {
        let request = FetchRequest {
            group_id: "g".into(),
            topics: None,
            require_stable,
        };
        let ticket = self.ticket();
        self.act(|shard, now_ms, out| shard.fetch(request, ticket, now_ms, out));
        ticket
    }

    /// The offset of orders-0 as committed, −1 for none.
    pub fn committed(&mut self) -> i64 {
        let ticket = self.fetch(false);
        self.fetched(ticket)
    }

    pub fn fetched(&mut self, ticket: Ticket) -> i64 {
        let Some(Reply::Fetch(reply)) = self.replies.get(&ticket) else {
            panic!("no fetch reply: {:?}", self.replies.get(&ticket));
        };
        let offset = reply.topics.first().map(|t| t.partitions[0].offset);
        offset.unwrap_or(-1)
    }

    pub fn delete_groups(&mut self, ids: &[&str]) -> Ticket {
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        let ticket = self.ticket();
        self.act(|shard, now_ms, out| shard.delete_groups(&ids, ticket, now_ms, out));
        ticket
    }

    /// Ends the oldest write.
    pub fn end_write(&mut self, outcome: Result<(), i16>) {
        let (token, records) = self.writes.pop_front().expect("a write is in flight");
        let (open, end) = (self.opens.remove(&token), self.ends.remove(&token));
        if outcome.is_ok() {
            self.logged.extend(end.map(Logged::End));
            self.logged.extend(records.iter().map(|record| match open {
                Some(producer) => Logged::Open(producer, record.clone()),
                None => Logged::Plain(record.clone()),
            }));
            if open.is_none() {
                self.log.extend(records);
            }
        }
        self.act(|shard, now_ms, out| shard.persisted(token, outcome, now_ms, out));
    }

    /// Makes everything written durable.
    pub fn flush(&mut self) {
        while !self.writes.is_empty() {
            self.end_write(Ok(()));
        }
    }

    /// Lets time pass, deadline by deadline.
    pub fn advance(&mut self, by_ms: i64) {
        let until = self.now_ms + by_ms;
        while let Some(deadline) = self.shard.next_deadline().filter(|d| *d <= until) {
            self.now_ms = self.now_ms.max(deadline);
            self.act(|shard, now_ms, out| shard.tick(now_ms, out));
        }
        self.now_ms = until;
    }

    pub fn joined(&self, ticket: Ticket) -> JoinReply {
        match self.replies.get(&ticket) {
            Some(Reply::Join(reply)) => reply.clone(),
            other => panic!("no join reply: {other:?}"),
        }
    }

    pub fn synced(&self, ticket: Ticket) -> SyncReply {
        match self.replies.get(&ticket) {
            Some(Reply::Sync(reply)) => reply.clone(),
            other => panic!("no sync reply: {other:?}"),
        }
    }

    pub fn commit_error(&self, ticket: Ticket) -> i16 {
        match self.replies.get(&ticket) {
            Some(Reply::Commit(reply)) => reply.topics[0].partitions[0].1,
            other => panic!("no commit reply: {other:?}"),
        }
    }

    pub fn waits(&self, ticket: Ticket) -> bool {
        !self.replies.contains_key(&ticket)
    }

    pub fn state(&self) -> State {
        self.shard.group("g").expect("the group exists").state()
    }

    /// A group "g" of these members, stable; its leader first joined, first returned.
    pub fn stable_group(&mut self, members: Vec<JoinRequest>) -> Vec<JoinReply> {
        let tickets: Vec<Ticket> = members.into_iter().map(|m| self.join(m)).collect();
        self.advance(3_000);
        // A second step of the initial delay, where members came during the first.
        self.advance(3_000);
        let replies: Vec<JoinReply> = tickets.into_iter().map(|t| self.joined(t)).collect();
        self.stabilize(&replies);
        replies
    }

    /// All members sync; the leader assigns each member its own id.
    pub fn stabilize(&mut self, replies: &[JoinReply]) {
        let assignments: Vec<(&str, &str)> = replies
            .iter()
            .map(|r| (r.member_id.as_str(), r.member_id.as_str()))
            .collect();
        let mut tickets = Vec::new();
        for reply in replies {
            assert_eq!(reply.error, error::NONE);
            let is_leader = reply.leader == reply.member_id;
            let sent = if is_leader { &assignments[..] } else { &[] };
            tickets.push(self.sync(reply, sent));
        }
        self.flush();
        for (ticket, reply) in tickets.into_iter().zip(replies) {
            let synced = self.synced(ticket);
            assert_eq!(synced.error, error::NONE);
            assert_eq!(&*synced.assignment, reply.member_id.as_bytes());
        }
        assert_eq!(self.state(), State::Stable);
    }
}
