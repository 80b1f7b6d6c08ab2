//! What has its time: a silent connection, one that never reads, and an answer that waits for
//! durability.

use std::net::Shutdown;
use std::thread;

use odradek_wire::produce::{PartitionProduceData, ProduceRequest, ProduceResponse};
use odradek_wire::{ErrorCode, Reader, Records};

use crate::common::{
    Client, FETCH, LATEST, PRODUCE, TestNode, batch, fetch_request, frame, produce_request,
    produced, wait_until,
};

/// Waits in a thread of its own until the node closes the connection.
fn closing(mut client: Client) -> thread::JoinHandle<bool> {
    thread::spawn(move || client.closed())
}

#[test]
fn silent_connections_are_closed_and_others_are_not() {
    let node = TestNode::start(&[("connections.max.idle.ms", "300")]);
    node.create("t");
    let before = node.descriptors();
    // One has never said anything, one has been answered, one has stopped within a request.
    let silent = node.client();
    let mut answered = node.client();
    assert_eq!(answered.store("t", 0, &batch(&[b"one"])), 0);
    let mut half = node.client();
    let request = frame(1, PRODUCE, &produce_request("t", 0, -1, &batch(&[b"two"])));
    half.write(&request[..request.len() / 2]).expect("written");
    let mut busy = node.client();
    let waiting = [silent, answered, half].map(closing);
    // It asks again and again, so it outlives them.
    wait_until("the silent ones are closed", || {
        let end = busy.list_offsets("t", 0, LATEST).offset;
        assert_eq!(end, 1);
        waiting.iter().all(|one| one.is_finished())
    });
    for one in waiting {
        assert!(one.join().expect("no panic"), "closed, not answered");
    }
    wait_until("their sockets are given back", || {
        assert_eq!(busy.list_offsets("t", 0, LATEST).offset, 1);
        node.descriptors() <= before + 2
    });
    // Of these only the one that stopped within a request is worth a line.
    let line = node.logged("connection closed");
    assert!(
        line.contains("WARN") && line.contains("did not finish a request within"),
        "{line}"
    );
    assert!(line.contains("connections.max.idle.ms=300"), "{line}");
    assert_eq!(node.log().matches("connection closed").count(), 1);
}

#[test]
fn who_never_reads_is_closed_and_told_of() {
    never_reads(false);
}

#[test]
fn who_has_said_its_last_and_never_reads_is_closed_and_told_of() {
    never_reads(true);
}

fn never_reads(said_its_last: bool) {
    let node = TestNode::start(&[("connections.max.idle.ms", "1000")]);
    node.create("t");
    for offset in 0..4 {
        let stored = node.client().store("t", 0, &batch(&[&[7; 1_000_000]]));
        assert_eq!(stored, offset);
    }
    let before = node.descriptors();
    // Each asks for more than the system takes for it.
    let mut never: Vec<Client> = (0..10).map(|_| node.client()).collect();
    for client in &mut never {
        for _ in 0..40 {
            let request = fetch_request("t", 0, 0, 8 << 20);
            client.send(FETCH, &request).expect("sent");
        }
        if said_its_last {
            let half = client.stream.shutdown(Shutdown::Write);
            half.expect("half a close");
        }
    }
    wait_until("their sockets are given back", || {
        node.descriptors() <= before
    });
    let line = node.logged("connection closed");
    assert!(
        line.contains("WARN") && line.contains("did not take a reply within"),
        "{line}"
    );
    // Another one where the first were closed a second before the last.
    node.seldom("connection closed", 1);
    assert_eq!(node.client().list_offsets("t", 0, LATEST).offset, 4);
}

#[test]
fn connections_stay_where_idleness_has_no_limit() {
    let node = TestNode::start(&[("connections.max.idle.ms", "-1")]);
    node.create("t");
    let mut quiet = node.client();
    // It waits for a second for records that do not come, and is answered.
    let mut request = fetch_request("t", 0, 0, 1000);
    (request.max_wait_ms, request.min_bytes) = (1000, 1);
    let answer = node.client().call(FETCH, &request);
    assert!(answer.is_ok());
    assert_eq!(quiet.list_offsets("t", 0, LATEST).offset, 0);
}

/// A request for partitions 0 to `partitions` - 1 whose time is over when it comes.
fn hasty(partitions: i32, acks: i16, records: &[u8]) -> ProduceRequest<'_> {
    let mut request = produce_request("t", 0, acks, records);
    request.timeout_ms = 0;
    request.topic_data[0].partition_data = (0..partitions)
        .map(|index| PartitionProduceData {
            index,
            records: Records::Bytes(records),
        })
        .collect();
    request
}

#[test]
fn an_answer_waits_for_durability_as_long_as_it_is_asked_to() {
    let node = TestNode::start(&[("num.partitions", "2")]);
    node.create("t");
    let mut client = node.client();
    let records = batch(&[b"a record"]);
    for index in 0..2 {
        assert_eq!(client.store("t", index, &records), 0);
    }
    // Nothing is durable the moment it is appended: the answer does not wait, the records stay.
    let answer = client.call(PRODUCE, &hasty(1, -1, &records));
    let answer = produced(&answer.expect("an answer"));
    assert_eq!(
        (answer.error, answer.offset),
        (ErrorCode::RequestTimedOut, 1)
    );
    let body = client.call(PRODUCE, &hasty(2, -1, &records));
    let body = body.expect("an answer");
    let answer = ProduceResponse::decode(&mut Reader::new(&body), PRODUCE).expect("readable");
    let errors = answer.responses[0].partition_responses.iter();
    let errors: Vec<_> = errors
        .map(|one| (one.error_code, one.base_offset))
        .collect();
    let late = ErrorCode::RequestTimedOut.code();
    assert_eq!(errors, [(late, 2), (late, 1)]);
    wait_until("the records are durable", || {
        let ends = [0, 1].map(|index| client.list_offsets("t", index, LATEST).offset);
        ends == [3, 2]
    });
    // Written is not waited for any longer than it takes, as in Kafka.
    let answer = client.call(PRODUCE, &hasty(1, 1, &records));
    let answer = produced(&answer.expect("an answer"));
    assert_eq!((answer.error, answer.offset), (ErrorCode::None, 3));
}
