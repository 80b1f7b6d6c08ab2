//! A record of an internal topic that makes no sense, in a batch that is whole: its partition is not
//! served, the log says which and where, and everything else is.

use std::fs;
use std::path::Path;

use odradek_engine::record::{BatchBuilder, OpenBatch, Rules, validate};
use odradek_engine::types::Timestamp;
use odradek_wire::Reader;
use odradek_wire::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse,
};
use odradek_wire::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
};

use crate::common::{Client, batch_ends};
use crate::metrics::commit;
use crate::transactions::steps::{Producer, TOPIC, ask, start};

const GROUPS: &str = "__consumer_offsets";
const TRANSACTIONS: &str = "__transaction_state";
const NAMES: i64 = 8;
const NOT_COORDINATOR: i16 = 16;

fn named(number: i64) -> String {
    format!("name-{number}")
}

/// Its offset, or the error.
fn committed(client: &mut Client, group_id: &str) -> Result<i64, i16> {
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id,
            topics: Some(vec![OffsetFetchRequestTopics {
                name: TOPIC,
                partition_indexes: vec![0],
                ..OffsetFetchRequestTopics::default()
            }]),
            member_epoch: -1,
            ..OffsetFetchRequestGroup::default()
        }],
        ..OffsetFetchRequest::default()
    };
    let body = ask(client, 9, &request);
    let fetched = OffsetFetchResponse::decode(&mut Reader::new(&body), 9).expect("readable");
    match fetched.groups[0].error_code {
        0 => Ok(fetched.groups[0].topics[0].partitions[0].committed_offset),
        code => Err(code),
    }
}

fn described(client: &mut Client, id: &str) -> i16 {
    let request = DescribeTransactionsRequest {
        transactional_ids: vec![id],
    };
    let body = ask(client, 0, &request);
    let described = DescribeTransactionsResponse::decode(&mut Reader::new(&body), 0);
    described.expect("readable").transaction_states[0].error_code
}

/// What becomes of a record's value.
#[derive(Clone, Copy)]
enum Harm {
    /// Of a version that nobody knows.
    Version,
    /// Its end is missing; a header makes up for the length.
    Cut,
}

/// The batch with its record's value harmed: as long as before, and with a right CRC.
fn harmed(old: &[u8], harm: Harm) -> Vec<u8> {
    let info = validate(old, &Rules::LOG).expect("a batch");
    let mut scratch = Vec::new();
    let open = OpenBatch::open(old, info, &mut scratch).expect("it opens");
    let record = open.records().next().expect("one").expect("readable");
    let (key, value) = (record.key.expect("a key"), record.value.expect("a value"));
    let mut value = value.to_vec();
    let missing = [(&b""[..], None)];
    let headers = match harm {
        Harm::Version => {
            value[..2].copy_from_slice(&[0x7f, 0xff]);
            &missing[..0]
        }
        Harm::Cut => {
            value.truncate(value.len() - 2);
            &missing[..]
        }
    };
    let builder = BatchBuilder::new().base_offset(info.base_offset);
    let mut builder = builder.leader_epoch(info.leader_epoch);
    builder
        .append(
            Timestamp(info.max_timestamp.0),
            Some(key),
            Some(&value),
            headers,
        )
        .expect("a record");
    let new = builder.build().expect("a batch");
    assert_eq!(new.len(), old.len());
    new
}

/// Harms the last of several batches; gives its offset.
fn damage(path: &Path, bytes: &mut [u8], ends: &[(u64, i64)], harm: Harm) -> i64 {
    let [.., (from, offset), (to, _)] = ends else {
        panic!("{}: {} batches", path.display(), ends.len());
    };
    let range = *from as usize..*to as usize;
    let new = harmed(&bytes[range.clone()], harm);
    bytes[range].copy_from_slice(&new);
    fs::write(path, bytes).expect("written");
    *offset
}

#[test]
fn a_malformed_internal_record_stops_its_partition_and_nothing_else() {
    let mut node = start();
    for number in 0..NAMES {
        commit(&node, &named(number), TOPIC, 0, number);
        Producer::begin(&node, &named(number), 2);
    }
    node.stop();
    let mut harmed = Vec::new();
    for (topic, index, harm) in [(GROUPS, 0, Harm::Version), (TRANSACTIONS, 3, Harm::Cut)] {
        let (_, path) = node.files(topic, index, "log").pop().expect("a segment");
        let mut bytes = fs::read(&path).expect("a segment");
        let ends = batch_ends(&bytes);
        let inside: Vec<String> = (0..NAMES)
            .map(named)
            .filter(|name| {
                let mut windows = bytes.windows(name.len());
                windows.any(|window| window == name.as_bytes())
            })
            .collect();
        assert!((2..NAMES as usize).contains(&inside.len()), "{inside:?}");
        let offset = damage(&path, &mut bytes, &ends, harm);
        harmed.push((format!("{topic}-{index}"), offset, inside));
    }
    node.run();
    let mut client = node.client();
    for number in 0..NAMES {
        let name = named(number);
        let is_in = |at: usize| harmed[at].2.contains(&name);
        let expected = if is_in(0) {
            Err(NOT_COORDINATOR)
        } else {
            Ok(number)
        };
        assert_eq!(committed(&mut client, &name), expected, "{name}");
        let expected = if is_in(1) { NOT_COORDINATOR } else { 0 };
        assert_eq!(described(&mut client, &name), expected, "{name}");
    }
    for (partition, offset, _) in &harmed {
        let line = node.logged(&format!("{partition} are not served"));
        let place = format!("the record at offset {offset} is malformed");
        assert!(line.contains(&place), "{line}");
    }
    // Everything else goes on.
    let untouched = (0..NAMES).find(|number| {
        let name = named(*number);
        harmed.iter().all(|(_, _, inside)| !inside.contains(&name))
    });
    let name = named(untouched.expect("a name that is in neither"));
    commit(&node, &name, TOPIC, 0, 100);
    assert_eq!(committed(&mut client, &name), Ok(100));
    let mut producer = Producer::begin(&node, &name, 2);
    producer.write(&[0, 1], "value");
    producer.end(true);
    assert!(node.alive());
}
