//! Single calls of the disk fail under a node: a write, a flush, a read. Whoever asked is told,
//! nothing acknowledged is lost, a flush that failed is not believed because the next one
//! succeeds, other partitions are served, and the log says it once.

use odradek_wire::ErrorCode;

use crate::common::{Client, LATEST, TestNode, batch, fetch_request, wait_until};
use crate::faulty_disk::{Call, Fault, FaultyDisk, Rule};
use crate::metrics::{series, sum};

const EIO: Fault = Fault::Error(libc::EIO);
const TORN: Fault = Fault::Torn(libc::EIO);

fn value(number: i64) -> Vec<u8> {
    let mut value = vec![5; 6000];
    value[..8].copy_from_slice(&number.to_be_bytes());
    value
}

/// Stores values from `from` on, until one is refused: how many there are then.
fn store_until_refused(client: &mut Client, topic: &str, from: i64, acks: i16) -> i64 {
    let mut number = from;
    wait_until("a record is refused", || {
        let produced = client.produce(topic, 0, acks, &batch(&[&value(number)]));
        match produced.error {
            ErrorCode::None => {
                assert_eq!(produced.offset, number);
                number += 1;
                false
            }
            error => {
                assert_eq!(error, ErrorCode::KafkaStorageError, "{topic}");
                true
            }
        }
    });
    number
}

/// The first so many values are there, in order; what was refused may follow.
fn check(client: &mut Client, topic: &str, stored: i64) {
    let found = client.consume(topic, 0, 0);
    assert!(found.len() as i64 >= stored, "{topic}: {}", found.len());
    for (number, record) in found.iter().take(stored as usize).enumerate() {
        let number = number as i64;
        assert_eq!((record.offset, &record.value), (number, &value(number)));
    }
}

/// What fails in a partition of its own, and what acks its producer asks for.
struct Case {
    call: Call,
    fault: Fault,
    acks: i16,
}

const fn case(call: Call, fault: Fault, acks: i16) -> Case {
    Case { call, fault, acks }
}

/// Lets one call fail in each of many partitions of one node, then takes its power away.
fn endures(disk: &FaultyDisk, settings: &[(&str, &str)], cases: &[Case]) {
    let mut node = TestNode::prepare(settings);
    node.set_data(&disk.path().join("data"));
    node.run();
    node.create("calm");
    let mut client = node.client();
    client.store("calm", 0, &batch(&[b"calm"]));
    let mut stored = Vec::new();
    for (number, Case { call, fault, acks }) in cases.iter().enumerate() {
        let topic = format!("t{number}");
        node.create(&topic);
        for number in 0..5 {
            client.store(&topic, 0, &batch(&[&value(number)]));
        }
        let file = format!("/{topic}-0/00000000000000000000.log");
        disk.inject(Rule::new(*call, &file, *fault).once());
        let end = store_until_refused(&mut client, &topic, 5, *acks);
        assert_eq!(disk.hits(), 1, "{call:?}");
        disk.repair();
        // From here on the disk is well again. Nobody believes it.
        for acks in [-1, 1] {
            assert_eq!(store_until_refused(&mut client, &topic, end, acks), end);
        }
        let fetched = client.fetch(&topic, 0, 0, 1 << 20);
        assert_eq!(fetched.error, ErrorCode::KafkaStorageError);
        let line = node.logged(&format!("partition={topic}-0"));
        assert!(line.contains("offline until the node is started again"));
        // Acknowledged before with acks=1 only: such a record survives a kill, not this.
        stored.push((topic, if *acks == -1 { end } else { 5 }));
        // Others on the same shard and connection.
        client.store("calm", 0, &batch(&[b"calm"]));
        assert_eq!(client.consume("calm", 0, 0).len(), number + 2);
    }
    let offline = sum(&series(&node), "odradek_partitions_offline{");
    assert_eq!(offline, cases.len() as f64);
    let log = node.log();
    let lines = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!(lines("the partition is offline"), cases.len(), "{log}");
    assert!(lines("ERROR") < cases.len() + 8, "{log}");
    node.kill();
    disk.lose_power();
    node.run();
    let mut client = node.client();
    for (topic, stored) in &stored {
        check(&mut client, topic, *stored);
        let end = client.list_offsets(topic, 0, LATEST).offset;
        assert_eq!(client.store(topic, 0, &batch(&[b"again"])), end);
    }
    assert_eq!(client.consume("calm", 0, 0).len(), cases.len() + 1);
    node.stop();
}

#[test]
fn writes_past_the_page_cache_that_fail() {
    let Some(disk) = FaultyDisk::mount(false) else {
        return;
    };
    let cases = [
        case(Call::DurableWrite, EIO, -1),
        case(Call::DurableWrite, TORN, -1),
        case(Call::Write, EIO, 1),
        case(Call::Write, TORN, 1),
        // The flusher's: nobody waits for it.
        case(Call::Flush, EIO, 1),
        case(Call::Allocate, EIO, -1),
    ];
    endures(&disk, &[("log.write.strategy", "direct")], &cases);
}

#[test]
fn writes_through_the_page_cache_that_fail() {
    let Some(disk) = FaultyDisk::mount(false) else {
        return;
    };
    let cases = [
        case(Call::Flush, EIO, -1),
        case(Call::Flush, EIO, 1),
        case(Call::Write, EIO, -1),
        case(Call::Write, TORN, -1),
        case(Call::Write, EIO, 1),
    ];
    endures(&disk, &[("log.write.strategy", "buffered")], &cases);
}

#[test]
fn a_write_that_hangs_holds_up_its_own_partition_alone() {
    let Some(disk) = FaultyDisk::mount(true) else {
        return;
    };
    let mut node = TestNode::prepare(&[("log.write.strategy", "direct")]);
    node.set_data(&disk.path().join("data"));
    node.run();
    for topic in ["busy", "calm"] {
        node.create(topic);
    }
    node.client().store("busy", 0, &batch(&[&value(0)]));
    disk.inject(Rule::new(Call::DurableWrite, "/busy-0/", Fault::Held).once());
    let mut waiting = node.client();
    let held = std::thread::spawn(move || waiting.store("busy", 0, &batch(&[&value(1)])));
    wait_until("the write hangs", || disk.hits() == 1);
    let mut client = node.client();
    for number in 0..100 {
        assert_eq!(client.store("calm", 0, &batch(&[&value(number)])), number);
    }
    assert_eq!(client.fetch("busy", 0, 0, 1 << 20).high_watermark, 1);
    assert!(!held.is_finished());
    disk.repair();
    assert_eq!(held.join().expect("an answer"), 1);
    check(&mut client, "busy", 2);
    node.stop();
}

/// A fetch of two partitions: the error of each.
fn errors(client: &mut Client, topics: [&str; 2]) -> [ErrorCode; 2] {
    use odradek_wire::Reader;
    use odradek_wire::fetch::FetchResponse;
    let mut request = fetch_request(topics[0], 0, 0, 1 << 20);
    let [second] = fetch_request(topics[1], 0, 0, 1 << 20)
        .topics
        .try_into()
        .expect("one topic");
    request.topics.push(second);
    let Ok(body) = client.call(crate::common::FETCH, &request) else {
        panic!("the connection was closed");
    };
    let response = FetchResponse::decode(&mut Reader::new(&body), crate::common::FETCH);
    let response = response.expect("readable");
    let codes = response.responses.iter().map(|topic| {
        let code = topic.partitions[0].error_code;
        ErrorCode::from_code(code).expect("an error code")
    });
    codes.collect::<Vec<_>>().try_into().expect("two topics")
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_is_served() {
    let Some(disk) = FaultyDisk::mount(true) else {
        return;
    };
    let mut node = TestNode::prepare(&[]);
    node.set_data(&disk.path().join("data"));
    node.run();
    for topic in ["bad", "good"] {
        node.create(topic);
        for number in 0..20 {
            node.client().store(topic, 0, &batch(&[&value(number)]));
        }
    }
    node.stop();
    node.run();
    let mut client = node.client();
    // Opened, and nothing of it in memory.
    assert_eq!(client.list_offsets("bad", 0, LATEST).offset, 20);
    let rule = Rule::new(Call::Read, "/bad-0/", EIO);
    disk.inject(rule.within(70_000..70_512));
    // The first answer had begun when reading failed: only its connection can end.
    let mut first = node.client();
    let cut = first.call(crate::common::FETCH, &fetch_request("bad", 0, 0, 1 << 20));
    assert!(cut.is_err(), "an answer without its records");
    for _ in 0..50 {
        assert_eq!(
            errors(&mut client, ["bad", "good"]),
            [ErrorCode::KafkaStorageError, ErrorCode::None]
        );
    }
    check(&mut client, "good", 20);
    let line = node.logged("ERROR");
    assert!(line.contains("bad-0/00000000000000000000.log"), "{line}");
    let told = node.log();
    let told = told.lines().filter(|line| line.contains("ERROR")).count();
    assert!(told < 10, "{told} lines:\n{}", node.log());
    // It takes records all the while, and heals with the disk.
    assert_eq!(client.store("bad", 0, &batch(&[&value(20)])), 20);
    // Who looks for offsets in what cannot be read is told so each time, the log is not.
    disk.inject(Rule::new(Call::Read, "/bad-0/", EIO));
    wait_until("another second has its line", || {
        for _ in 0..50 {
            let found = client.list_offsets("bad", 0, 0);
            assert_eq!(found.error, ErrorCode::KafkaStorageError);
        }
        node.log().contains("offsets of bad-0")
    });
    node.seldom("offsets of bad-0", 1);
    disk.repair();
    check(&mut client, "bad", 21);
    node.stop();
}

#[test]
fn a_log_that_cannot_be_read_at_the_start_is_tried_again() {
    let Some(disk) = FaultyDisk::mount(true) else {
        return;
    };
    let mut node = TestNode::prepare(&[("log.segment.bytes", "1048576")]);
    node.set_data(&disk.path().join("data"));
    node.run();
    for topic in ["bad", "good"] {
        node.create(topic);
    }
    let mut client = node.client();
    for number in 0..20 {
        client.store("bad", 0, &batch(&[&value(number)]));
    }
    client.store("good", 0, &batch(&[&value(0)]));
    for file in ["00000000000000000000.log", "leader-epoch-checkpoint"] {
        node.kill();
        disk.inject(Rule::new(Call::Read, &format!("/bad-0/{file}"), EIO));
        node.run();
        let mut client = node.client();
        let produced = client.produce("bad", 0, -1, &batch(&[b"never"]));
        assert_eq!(produced.error, ErrorCode::KafkaStorageError, "{file}");
        let line = node.logged("cannot open partition bad-0");
        assert!(line.contains("Input/output error"), "{line}");
        check(&mut client, "good", 1);
        disk.repair();
        wait_until("it is opened", || {
            client.list_offsets("bad", 0, LATEST).error == ErrorCode::None
        });
        check(&mut client, "bad", 20);
    }
    node.stop();
}
