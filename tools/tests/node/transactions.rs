//! Transactions over partitions, coordinators and groups of several shards, asked over the wire.

pub(crate) mod steps;

use odradek_wire::Reader;
use odradek_wire::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse,
};
use odradek_wire::list_transactions::{ListTransactionsRequest, ListTransactionsResponse};

use self::steps::{
    PARTITIONS, Producer, TOPIC, ask, committed, read_committed, stable_end, start, wait_for_stable,
};
use crate::commands::done;
use crate::common::wait_until;
use crate::metrics::commit;

#[test]
fn a_transaction_over_all_shards_commits_and_another_aborts() {
    let node = start();
    let mut reader = node.client();
    for version in [0, 2] {
        let id = format!("id-{version}");
        let mut producer = Producer::begin(&node, &id, version);
        let all: Vec<i32> = (0..PARTITIONS).collect();
        let before: Vec<i64> = all.iter().map(|at| stable_end(&mut reader, *at)).collect();
        producer.write(&all, "first");
        producer.write(&all, "second");
        for (index, before) in all.iter().zip(&before) {
            let seen = read_committed(&mut reader, *index, *before);
            assert_eq!(
                (seen.stable, seen.bytes),
                (*before, 0),
                "nothing is decided"
            );
            assert_eq!(seen.high_watermark, before + 2);
        }
        producer.end(true);
        for (index, before) in all.iter().zip(&before) {
            wait_for_stable(&mut reader, *index, before + 3);
            let seen = read_committed(&mut reader, *index, *before);
            assert!(seen.aborted.is_empty() && seen.bytes > 0);
        }
        let aborting = (producer.id, before[2] + 3);
        producer.write(&[2], "third");
        producer.end(false);
        wait_for_stable(&mut reader, 2, before[2] + 5);
        let seen = read_committed(&mut reader, 2, before[2]);
        assert_eq!(seen.aborted, [aborting]);
        // Behind its marker nobody needs to know.
        let seen = read_committed(&mut reader, 2, before[2] + 5);
        assert_eq!((seen.aborted, seen.bytes), (vec![], 0));
    }
}

/// Each time with another number of shards.
#[test]
fn what_was_decided_survives_a_kill_and_what_was_open_stays_open() {
    let mut node = start();
    let mut decided = Producer::begin(&node, "decided", 2);
    let mut aborted = Producer::begin(&node, "aborted", 2);
    let mut open = Producer::begin(&node, "open", 2);
    let id = aborted.id;
    aborted.write(&[0], "dropped");
    decided.write(&[0, 1, 2, 3], "kept");
    open.write(&[1], "undecided");
    aborted.end(false);
    // To a shard that is not there next time, and back by themselves.
    done(&node, "topic move t --partition 1 --to 3");
    // The kill comes while the markers are on their way, or thereabouts.
    decided.end(true);
    node.kill();
    node.set("shards", "1");
    node.run();
    let mut reader = node.client();
    wait_for_stable(&mut reader, 0, 4);
    assert_eq!(read_committed(&mut reader, 0, 0).aborted, [(id, 0)]);
    wait_for_stable(&mut reader, 1, 1);
    assert_eq!(stable_end(&mut reader, 1), 1, "one is open");
    for index in [2, 3] {
        wait_for_stable(&mut reader, index, 2);
    }
    // It goes on where it was.
    open.client = node.client();
    commit(&node, "group", TOPIC, 0, 6);
    assert_eq!(open.commit_offset("group", 7), 0);
    open.end(true);
    wait_for_stable(&mut reader, 1, 4);
    let end = stable_end(&mut reader, 1);
    // And once more, now from what is on disk alone.
    node.stop();
    node.set("shards", "3");
    node.run();
    let mut reader = node.client();
    assert_eq!(stable_end(&mut reader, 1), end);
    assert_eq!(read_committed(&mut reader, 0, 0).aborted, [(id, 0)]);
    assert_eq!(committed(&mut reader, "group"), Ok(7));
    node.kill();
    node.set("shards", "2");
    node.run();
    let mut reader = node.client();
    assert_eq!(read_committed(&mut reader, 0, 0).aborted, [(id, 0)]);
    assert_eq!(stable_end(&mut reader, 1), end);
    wait_until("the group is loaded", || {
        committed(&mut reader, "group") == Ok(7)
    });
}

#[test]
fn offsets_are_committed_with_the_transaction() {
    let mut node = start();
    let mut reader = node.client();
    for (version, offset) in [(0, 10), (2, 20)] {
        let group = format!("group-{version}");
        let mut producer = Producer::begin(&node, &format!("id-{version}"), version);
        producer.write(&[3], "value");
        assert_eq!(producer.commit_offset(&group, offset), 0);
        // UNSTABLE_OFFSET_COMMIT.
        assert_eq!(committed(&mut reader, &group), Err(88));
        producer.end(true);
        wait_until("it is in force", || {
            committed(&mut reader, &group) == Ok(offset)
        });
        producer.write(&[3], "value");
        assert_eq!(producer.commit_offset(&group, offset + 1), 0);
        producer.end(false);
        wait_until("it is dropped", || {
            committed(&mut reader, &group) == Ok(offset)
        });
    }
    let mut producer = Producer::begin(&node, "id-2", 2);
    producer.write(&[3], "value");
    assert_eq!(producer.commit_offset("group-2", 30), 0);
    node.kill();
    node.run();
    let mut reader = node.client();
    assert_eq!(
        committed(&mut reader, "group-2"),
        Err(88),
        "it is still open"
    );
    producer.client = node.client();
    producer.end(true);
    wait_until("it is in force", || {
        committed(&mut reader, "group-2") == Ok(30)
    });
}

/// The marker of the transaction before may come to a partition while the next one waits to be joined:
/// that is no end of the next one. Its first requests are sent before the one that ends the other is
/// answered, again and again.
#[test]
fn a_transaction_follows_another_at_once() {
    /// INVALID_PRODUCER_EPOCH: it was too early. CONCURRENT_TRANSACTIONS.
    const NOT_YET: [i16; 2] = [47, 51];
    let node = start();
    commit(&node, "g", TOPIC, 0, 0);
    let mut producer = Producer::begin(&node, "at-once", 2);
    producer.write(&[0, 1, 2, 3], "a record");
    for number in 0..150 {
        let mut next = Producer {
            client: node.client(),
            transactional_id: producer.transactional_id.clone(),
            epoch: producer.epoch + 1,
            sequences: [0; PARTITIONS as usize],
            ..producer
        };
        let ended = std::thread::scope(|scope| {
            let ending = scope.spawn(|| producer.try_end(number % 3 > 0));
            loop {
                let codes = match number % 2 {
                    0 => next.produce(&[0, 1, 2, 3], "a record"),
                    _ => vec![next.commit_offset("g", number)],
                };
                if codes.iter().all(|code| *code == 0) {
                    break;
                }
                let early = codes
                    .iter()
                    .all(|code| *code == 0 || NOT_YET.contains(code));
                assert!(early, "transaction {number}: {codes:?}");
            }
            ending.join().expect("an end")
        });
        assert_eq!(ended, 0, "transaction {number}");
        producer = next;
    }
}

#[test]
fn a_new_producer_fences_the_one_before_it() {
    let node = start();
    let mut reader = node.client();
    for version in [0, 2] {
        let id = format!("id-{version}");
        let mut old = Producer::begin(&node, &id, version);
        let before = stable_end(&mut reader, 0);
        old.write(&[0], "dropped");
        let mut new = Producer::begin(&node, &id, version);
        assert!(new.epoch > old.epoch && new.id == old.id);
        // What it had open is aborted.
        wait_for_stable(&mut reader, 0, before + 2);
        assert_eq!(read_committed(&mut reader, 0, before).aborted.len(), 1);
        // INVALID_PRODUCER_EPOCH of who takes records, PRODUCER_FENCED of the coordinator.
        assert_eq!(old.produce(&[0], "late"), [47]);
        assert_eq!(old.produce(&[1], "late"), [47]);
        assert_eq!(old.try_end(true), 90);
        new.write(&[0], "kept");
        new.end(true);
        wait_for_stable(&mut reader, 0, before + 4);
    }
}

#[test]
fn records_need_a_transaction_that_the_coordinator_knows() {
    let node = start();
    let mut producer = Producer::begin(&node, "id", 0);
    // TRANSACTION_ABORTABLE: its partition was not added.
    assert_eq!(producer.produce(&[0], "value"), [120]);
    assert_eq!(producer.add(0), 0);
    assert_eq!(producer.produce(&[0, 1], "value"), [0, 120]);
    // UNKNOWN_TOPIC_OR_PARTITION.
    assert_eq!(producer.add(PARTITIONS), 3);
    producer.end(true);
    // INVALID_TXN_STATE, once its markers are written.
    let mut code = 51;
    wait_until("it is complete", || {
        code = producer.try_end(false);
        code != 51
    });
    assert_eq!(code, 48);
    // INVALID_PRODUCER_ID_MAPPING.
    producer.id += 1000;
    assert_eq!(producer.add(0), 49);
}

#[test]
fn transactions_are_described_and_listed_wherever_they_are() {
    let node = start();
    let ids = ["one", "two", "three", "four", "five"];
    let mut producers: Vec<Producer> = ids.iter().map(|id| Producer::begin(&node, id, 2)).collect();
    producers[0].write(&[1, 3], "value");
    let mut client = node.client();
    let request = DescribeTransactionsRequest {
        transactional_ids: vec!["one", "nobody", "five"],
    };
    let body = ask(&mut client, 0, &request);
    let described = DescribeTransactionsResponse::decode(&mut Reader::new(&body), 0);
    let described = described.expect("readable").transaction_states;
    let told: Vec<_> = described
        .iter()
        .map(|it| (it.error_code, it.transactional_id, it.transaction_state))
        .collect();
    let expected = [
        (0, "one", "Ongoing"),
        (105, "nobody", ""),
        (0, "five", "Empty"),
    ];
    assert_eq!(told, expected);
    assert_eq!(described[0].topics[0].partitions, [1, 3]);
    assert_eq!(described[0].producer_id, producers[0].id);
    let mut list = |states: Vec<&'static str>, pattern: Option<&'static str>| {
        let request = ListTransactionsRequest {
            state_filters: states,
            duration_filter: -1,
            transactional_id_pattern: pattern,
            ..ListTransactionsRequest::default()
        };
        let body = ask(&mut client, 2, &request);
        let listed = ListTransactionsResponse::decode(&mut Reader::new(&body), 2);
        let listed = listed.expect("readable");
        let mut ids: Vec<String> = listed
            .transaction_states
            .iter()
            .map(|one| one.transactional_id.to_owned())
            .collect();
        ids.sort();
        (listed.error_code, ids.join(" "))
    };
    assert_eq!(
        list(vec![], None),
        (0, "five four one three two".to_owned())
    );
    assert_eq!(list(vec!["Ongoing"], None), (0, "one".to_owned()));
    assert_eq!(list(vec![], Some("f.*")), (0, "five four".to_owned()));
    // INVALID_REGULAR_EXPRESSION.
    assert_eq!(list(vec![], Some("(")).0, 128);
}
