use odradek_engine::types::{Epoch, ProducerEpoch, ProducerId, TransactionEnd};

use super::*;

fn producer(id: i64) -> Producer {
    Producer {
        id: ProducerId(id),
        epoch: ProducerEpoch(0),
        markers: 0,
    }
}

impl World {
    pub fn commit_open(&mut self, id: i64, request: CommitRequest) -> Ticket {
        let ticket = self.ticket();
        self.act(|shard, now_ms, out| {
            shard.commit_open(request, producer(id), ticket, now_ms, out);
        });
        ticket
    }

    pub fn end(&mut self, id: i64, commit: bool) -> Ticket {
        let end = TransactionEnd {
            producer_id: ProducerId(id),
            producer_epoch: ProducerEpoch(0),
            coordinator_epoch: Epoch(1),
            commit,
            version: 0,
        };
        let ticket = self.ticket();
        self.act(|shard, _, out| shard.end_transaction(end, ticket, out));
        ticket
    }

    /// The offset of orders-0 for one who wants stable offsets, or the error.
    fn stable(&mut self) -> Result<i64, i16> {
        let ticket = self.fetch(true);
        let Some(Reply::Fetch(reply)) = self.replies.get(&ticket) else {
            panic!("no fetch reply");
        };
        let Some(topic) = reply.topics.first() else {
            return Ok(-1);
        };
        match topic.partitions[0].error {
            error::NONE => Ok(topic.partitions[0].offset),
            code => Err(code),
        }
    }

    /// The same log, loaded anew.
    pub fn reload(&mut self) {
        let logged = std::mem::take(&mut self.logged);
        let mut shard = GroupsShard::new(Settings::default());
        for one in &logged {
            match one {
                Logged::Plain(record) => shard.replay(record.clone()),
                Logged::Open(producer, record) => shard.replay_open(producer.id, record.clone()),
                Logged::End(end) => shard.transaction_ended(end.producer_id, end.commit),
            }
        }
        self.logged = logged;
        self.shard = shard;
        self.act(|shard, now_ms, out| shard.loaded(now_ms, out));
    }
}

#[test]
fn offsets_of_a_transaction_count_when_it_commits() {
    for reload in [false, true] {
        for commit in [true, false] {
            let mut w = world();
            w.commit(simple_commit(5));
            w.flush();
            let open = w.commit_open(1, simple_commit(7));
            assert!(w.waits(open), "it is told when it is durable");
            w.flush();
            assert_eq!(w.commit_error(open), error::NONE);
            if reload {
                w.reload();
            }
            assert_eq!(w.committed(), 5);
            assert_eq!(w.stable(), Err(error::UNSTABLE_OFFSET_COMMIT));
            let end = w.end(1, commit);
            assert!(w.waits(end));
            w.flush();
            assert_eq!(w.replies[&end], Reply::Ended(Ok(())));
            let expected = if commit { 7 } else { 5 };
            assert_eq!(w.stable(), Ok(expected));
            w.reload();
            assert_eq!(w.committed(), expected);
        }
    }
}

#[test]
fn the_later_write_wins_and_not_the_later_end() {
    for reload in [false, true] {
        let mut w = world();
        w.commit_open(1, simple_commit(1));
        w.commit_open(2, simple_commit(2));
        w.flush();
        w.end(2, true);
        w.flush();
        if reload {
            w.reload();
        }
        w.end(1, true);
        w.flush();
        assert_eq!(w.committed(), 2);
        // A plain commit is later than what was written before it.
        w.commit_open(3, simple_commit(3));
        w.flush();
        w.commit(simple_commit(4));
        w.flush();
        if reload {
            w.reload();
        }
        w.end(3, true);
        w.flush();
        assert_eq!(w.committed(), 4);
    }
}

#[test]
fn what_the_log_refuses_is_as_if_it_never_was() {
    let mut w = world();
    w.commit(simple_commit(5));
    w.flush();
    let fenced = w.commit_open(1, simple_commit(7));
    // INVALID_PRODUCER_EPOCH.
    w.end_write(Err(47));
    assert_eq!(w.commit_error(fenced), 47);
    assert_eq!(w.stable(), Ok(5));
    let late = w.end(1, true);
    w.end_write(Err(47));
    assert_eq!(w.replies[&late], Reply::Ended(Err(47)));
    assert_eq!(w.stable(), Ok(5));
}

#[test]
fn members_say_who_they_are_or_nothing() {
    let mut w = world();
    let member = w.stable_group(vec![consumer()]).remove(0);
    let good = commit_of(&member, 1);
    let nobody = simple_commit(1);
    let cases = [
        (error::NONE, good.clone()),
        // Clients before KIP-447 say nothing.
        (error::NONE, nobody.clone()),
        (
            error::ILLEGAL_GENERATION,
            CommitRequest {
                generation: 9,
                ..good.clone()
            },
        ),
        (
            error::UNKNOWN_MEMBER_ID,
            CommitRequest {
                member_id: "stranger".into(),
                ..good.clone()
            },
        ),
        (
            error::ILLEGAL_GENERATION,
            CommitRequest {
                group_id: "none".into(),
                ..good
            },
        ),
        (
            error::INVALID_GROUP_ID,
            CommitRequest {
                group_id: String::new(),
                ..nobody
            },
        ),
    ];
    for (code, request) in cases {
        let ticket = w.commit_open(1, request.clone());
        w.flush();
        assert_eq!(w.commit_error(ticket), code, "{request:?}");
    }
}

#[test]
fn what_is_deleted_does_not_come_back_with_a_commit() {
    let mut w = world();
    w.commit_open(1, simple_commit(7));
    w.flush();
    w.act(|shard, now_ms, out| shard.topic_deleted("orders", NO_TOPIC_ID, now_ms, out));
    w.flush();
    w.end(1, true);
    w.flush();
    assert_eq!(w.committed(), -1);
    assert_eq!(w.stable(), Ok(-1));
    w.reload();
    assert_eq!(w.committed(), -1);
}

#[test]
fn an_open_offset_keeps_its_group_and_counts() {
    let settings = settings(|s| {
        s.limits.offsets_max = 1;
        s.offsets_retention_ms = 1_000;
        s.offsets_retention_check_interval_ms = 10;
    });
    let mut w = with_settings(settings);
    w.commit_open(1, simple_commit(7));
    w.flush();
    let more = w.commit(simple_commit(8));
    assert_eq!(w.commit_error(more), error::INVALID_COMMIT_OFFSET_SIZE);
    w.advance(10_000);
    assert!(w.writes.is_empty(), "nothing expires");
    w.end(1, false);
    w.flush();
    w.advance(10_000);
    w.flush();
    assert!(w.shard.group("g").is_none());
}

#[test]
fn whoever_waits_for_a_transaction_is_sent_away() {
    let mut w = world();
    let commit = w.commit_open(1, simple_commit(7));
    let end = w.end(1, true);
    w.act(|shard, now_ms, out| shard.unload(now_ms, out));
    assert_eq!(w.commit_error(commit), error::NOT_COORDINATOR);
    assert_eq!(w.replies[&end], Reply::Ended(Err(error::NOT_COORDINATOR)));
}
