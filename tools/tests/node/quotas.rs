//! Quotas of clients: what is set shows and stays, and whoever exceeds it waits, on whatever shard.

use std::time::{Duration, Instant};

use odradek_wire::alter_client_quotas::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, OpData, RequestEntityData,
    RequestEntryData,
};
use odradek_wire::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use odradek_wire::create_topics::{CreatableTopic, CreateTopicsRequest, CreateTopicsResponse};
use odradek_wire::describe_client_quotas::{
    ComponentData, DescribeClientQuotasRequest, DescribeClientQuotasResponse,
};
use odradek_wire::fetch::FetchResponse;
use odradek_wire::metadata::{MetadataRequest, MetadataResponse};
use odradek_wire::produce::{ProduceRequest, ProduceResponse};
use odradek_wire::{ErrorCode, Message, Reader};

use crate::common::{
    Client, FETCH, METADATA, PRODUCE, TestNode, batch, fetch_request, frame, produce_request,
    wait_until,
};
use crate::metrics::{series, sum};

const ALTER: i16 = AlterClientQuotasRequest::MAX_VERSION;
const DESCRIBE: i16 = DescribeClientQuotasRequest::MAX_VERSION;

/// Type and name; none: the default.
type Part<'a> = (&'a str, Option<&'a str>);

fn try_set(
    client: &mut Client,
    entity: &[Part<'_>],
    (key, value): (&str, Option<f64>),
    validate_only: bool,
) -> (i16, String) {
    let parts = entity.iter();
    let request = AlterClientQuotasRequest {
        entries: vec![RequestEntryData {
            entity: parts
                .map(|(entity_type, entity_name)| RequestEntityData {
                    entity_type,
                    entity_name: *entity_name,
                })
                .collect(),
            ops: vec![OpData {
                key,
                value: value.unwrap_or_default(),
                remove: value.is_none(),
            }],
        }],
        validate_only,
    };
    let body = client.call(ALTER, &request).expect("an answer");
    let response = AlterClientQuotasResponse::decode(&mut Reader::new(&body), ALTER);
    let response = response.expect("readable");
    let one = &response.entries[0];
    assert_eq!(one.entity.len(), entity.len(), "the entity is told");
    (
        one.error_code,
        one.error_message.unwrap_or_default().to_owned(),
    )
}

/// Sets a quota, or removes it. Every shard judges by it on return.
fn set(client: &mut Client, entity: &[Part<'_>], key: &str, value: Option<f64>) {
    let (error, why) = try_set(client, entity, (key, value), false);
    assert_eq!(error, 0, "{why}");
}

/// All quotas, one line each.
fn described(client: &mut Client, components: Vec<ComponentData<'_>>, strict: bool) -> Vec<String> {
    let request = DescribeClientQuotasRequest { components, strict };
    let body = client.call(DESCRIBE, &request).expect("an answer");
    let response = DescribeClientQuotasResponse::decode(&mut Reader::new(&body), DESCRIBE);
    let response = response.expect("readable");
    assert_eq!(response.error_code, 0, "{:?}", response.error_message);
    let entries = response.entries.expect("entries");
    let lines = entries.iter().flat_map(|entry| {
        let parts = entry.entity.iter();
        let parts = parts.map(|part| {
            let name = part.entity_name.unwrap_or("<default>");
            format!("{} {name}", part.entity_type)
        });
        let whom = parts.collect::<Vec<_>>().join(", ");
        let values = entry.values.iter();
        values.map(move |one| format!("{whom}: {}={}", one.key, one.value))
    });
    lines.collect()
}

/// Produces so many bytes; how long the client is told to wait, milliseconds.
fn produce(client: &mut Client, index: i32, bytes: usize) -> i32 {
    let records = batch(&[&vec![7; bytes]]);
    let request = produce_request("t", index, 1, &records);
    let body = client.call(PRODUCE, &request).expect("an answer");
    let response = ProduceResponse::decode(&mut Reader::new(&body), PRODUCE).expect("readable");
    let one = &response.responses[0].partition_responses[0];
    assert_eq!(one.error_code, 0);
    response.throttle_time_ms
}

/// Fetches from the beginning: how many bytes came, and how long to wait.
fn fetch(client: &mut Client, index: i32) -> (usize, i32) {
    let request = fetch_request("t", index, 0, 8 << 20);
    let body = client.call(FETCH, &request).expect("an answer");
    let response = FetchResponse::decode(&mut Reader::new(&body), FETCH).expect("readable");
    let partitions = response.responses.iter().flat_map(|it| &it.partitions);
    let bytes = partitions.map(|one| one.records.bytes().map_or(0, <[u8]>::len));
    (bytes.sum(), response.throttle_time_ms)
}

const TEST: Part<'_> = ("client-id", Some("test"));
const ANYBODY: Part<'_> = ("user", None);
/// Three windows of a second: what is used at once counts as used in two.
const WINDOWS: [(&str, &str); 2] = [
    ("quota.window.num", "3"),
    ("controller.quota.window.num", "2"),
];

fn start(settings: &[(&str, &str)]) -> TestNode {
    let node = TestNode::start(&[&WINDOWS[..], settings].concat());
    let created = node.client().create_topic("t", 4, &[]);
    assert_eq!(created, ErrorCode::None);
    node
}

#[test]
fn what_is_set_shows_by_all_shards_and_stays() {
    let mut node = start(&[("shards", "2")]);
    let mut client = node.client();
    assert_eq!(described(&mut client, Vec::new(), false), [""; 0]);
    let rate = "producer_byte_rate";
    assert_eq!(try_set(&mut client, &[TEST], (rate, Some(1e6)), true).0, 0);
    assert_eq!(described(&mut client, Vec::new(), false), [""; 0]);
    set(&mut client, &[TEST], rate, Some(2e6));
    set(&mut client, &[ANYBODY], "request_percentage", Some(99.5));
    set(&mut client, &[ANYBODY, TEST], rate, Some(3e6));
    set(
        &mut client,
        &[ANYBODY, TEST],
        "consumer_byte_rate",
        Some(4e6),
    );
    set(&mut client, &[ANYBODY, TEST], rate, None);
    let invalid = ErrorCode::InvalidRequest.code();
    for (entity, key, value) in [
        (&[TEST][..], "no_such_rate", 1.0),
        (&[TEST], rate, 0.0),
        (&[TEST], rate, 1.5),
        (&[("group", Some("g"))], rate, 1.0),
        (&[("user", Some(""))], rate, 1.0),
        (&[], rate, 1.0),
        (&[("ip", Some("127.0.0.1"))], rate, 1.0),
        (&[("ip", Some("no.such"))], "connection_creation_rate", 1.0),
    ] {
        let (error, why) = try_set(&mut client, entity, (key, Some(value)), false);
        assert!(error == invalid && !why.is_empty(), "{entity:?}: {why}");
    }
    let expected = [
        "client-id test: producer_byte_rate=2000000",
        "user <default>, client-id test: consumer_byte_rate=4000000",
        "user <default>: request_percentage=99.5",
    ];
    for round in 0..2 {
        for address in node.shards() {
            let mut client = Client::connect(address);
            let mut all = described(&mut client, Vec::new(), false);
            all.sort();
            assert_eq!(all, expected);
            let user = || ComponentData {
                entity_type: "user",
                match_type: 1,
                r#match: None,
            };
            assert_eq!(described(&mut client, vec![user()], true), [expected[2]]);
            assert_eq!(described(&mut client, vec![user()], false).len(), 2);
        }
        if round == 0 {
            node.kill();
            node.run();
        }
    }
}

#[test]
fn a_quota_is_the_nodes_and_who_exceeds_it_waits() {
    let node = start(&[("shards", "4")]);
    let mut client = node.client();
    let leaders = || {
        (0..4)
            .map(|index| node.leader("t", index))
            .collect::<Vec<_>>()
    };
    let mut before = leaders();
    for (index, leader) in (0..).zip(&mut before) {
        assert_eq!(produce(leader, index, 200_000), 0, "no quota is set");
    }
    set(&mut client, &[TEST], "producer_byte_rate", Some(50_000.0));
    // 200 kB count as 100 kB/s: two seconds are needed more. A large request and a small one.
    let mut first = node.leader("t", 0);
    let told = produce(&mut first, 0, 200_000);
    assert!((2000..2100).contains(&told), "{told} ms");
    let answered = Instant::now();
    // The other shards hear of it.
    let mut others: Vec<Client> = leaders();
    for (index, other) in (0..4).zip(&mut others).skip(1) {
        wait_until("the shards have told each other", || {
            produce(other, index, 10) > 0
        });
    }
    // It is not read from before that time has passed, and then it is.
    produce(&mut first, 0, 10);
    let waited = answered.elapsed();
    assert!(
        waited >= Duration::from_millis(told as u64 - 50),
        "{waited:?}"
    );
    // A quota that is more specific holds instead; what was used does not count for it.
    let specific = [("user", Some("ANONYMOUS")), TEST];
    set(&mut client, &specific, "producer_byte_rate", Some(1e9));
    assert_eq!(produce(&mut node.leader("t", 1), 1, 200_000), 0);
    set(&mut client, &specific, "producer_byte_rate", None);
    set(&mut client, &[TEST], "producer_byte_rate", None);

    // All of a first batch, then nothing for a while.
    set(
        &mut client,
        &[ANYBODY],
        "consumer_byte_rate",
        Some(50_000.0),
    );
    let mut reader = node.leader("t", 2);
    let (bytes, told) = fetch(&mut reader, 2);
    assert!(bytes > 200_000 && told == 0, "{bytes} bytes, {told} ms");
    let (bytes, told) = fetch(&mut reader, 2);
    assert!(bytes == 0 && told > 0, "{bytes} bytes, {told} ms");
    set(&mut client, &[ANYBODY], "consumer_byte_rate", Some(1e9));
    let (bytes, told) = fetch(&mut node.leader("t", 2), 2);
    assert!(bytes > 200_000 && told == 0, "{bytes} bytes, {told} ms");

    // Two connections a second of an address, in two seconds: four are free. All ask at once; who came too
    // soon waits for its end.
    let address = [("ip", Some("127.0.0.1"))];
    set(&mut client, &address, "connection_creation_rate", Some(2.0));
    let request = ApiVersionsRequest {
        client_software_name: "test",
        client_software_version: "1",
    };
    let mut many: Vec<Client> = (0..10).map(|_| node.client()).collect();
    let asked: Vec<_> = many.iter_mut().map(|one| one.send(3, &request)).collect();
    let answers = many.iter_mut().zip(asked);
    let served = answers.filter_map(|(one, asked)| {
        let answer = one.receive::<ApiVersionsRequest<'_>>(3, asked.ok()?);
        answer.ok()
    });
    let served = served.count();
    assert!((4..10).contains(&served), "{served} were served");
    set(&mut client, &address, "connection_creation_rate", None);
    assert!(node.client().call(3, &request).is_ok());

    let told = series(&node);
    for quota in ["produce", "fetch", "connection"] {
        let count = format!("odradek_throttled_total{{quota=\"{quota}\"");
        assert!(sum(&told, &count) > 0.0, "{told:?}");
        let seconds = format!("odradek_throttle_seconds_total{{quota=\"{quota}\"");
        assert!(sum(&told, &seconds) > 0.0);
    }
    assert_eq!(sum(&told, "odradek_throttled_total{quota=\"request\""), 0.0);
    takes_no_more_than_its_quota(&node, &mut client, 4);
}

#[test]
fn one_shard_grants_as_much_as_four() {
    let node = start(&[("shards", "1")]);
    takes_no_more_than_its_quota(&node, &mut node.client(), 1);
}

/// All partitions are written to at once, by whoever leads them, for longer than a quota looks back.
/// What comes in is what the quota allows in that time, and in the windows before it, in which nobody
/// has used anything; a request or two of each connection; and, once, what the other shards grant
/// before all have heard of each other, which is paid back.
fn takes_no_more_than_its_quota(node: &TestNode, client: &mut Client, shards: u32) {
    const RATE: f64 = 200_000.0;
    const REQUEST: usize = 20_000;
    const WRITERS: usize = 4;
    set(client, &[ANYBODY], "producer_byte_rate", Some(RATE));
    let began = Instant::now();
    let until = began + Duration::from_secs(5);
    let write = &|index: usize| {
        let mut leader = node.leader("t", index);
        let (mut bytes, mut told) = (0, 0);
        while Instant::now() < until {
            told += i32::from(produce(&mut leader, index as i32, REQUEST) > 0);
            bytes += REQUEST;
        }
        (bytes, told)
    };
    let written: Vec<(usize, i32)> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|index| scope.spawn(move || write(index)))
            .collect();
        let ends = writers.into_iter().map(|writer| writer.join());
        ends.map(|end| end.expect("a writer")).collect()
    });
    let seconds = began.elapsed().as_secs_f64();
    let bytes: usize = written.iter().map(|(bytes, _)| bytes).sum();
    let (windows, unheard) = (3.0, f64::from(shards - 1) * 2.0);
    let under_way = (2 * WRITERS * REQUEST) as f64;
    let most = RATE * (seconds + windows + unheard) + under_way;
    println!("{bytes} bytes in {seconds:.1} s, at most {most:.0}: {written:?}");
    assert!(bytes as f64 <= most, "{bytes} bytes in {seconds:.1} s");
    assert!(written.iter().all(|(_, told)| *told > 0), "{written:?}");
    set(client, &[ANYBODY], "producer_byte_rate", None);
}

fn create(client: &mut Client, version: i16, name: &str, partitions: i32) -> (ErrorCode, i32) {
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name,
            num_partitions: partitions,
            replication_factor: 1,
            ..CreatableTopic::default()
        }],
        ..CreateTopicsRequest::default()
    };
    let body = client.call(version, &request).expect("an answer");
    let response = CreateTopicsResponse::decode(&mut Reader::new(&body), version);
    let response = response.expect("readable");
    let error = ErrorCode::from_code(response.topics[0].error_code);
    (error.expect("known"), response.throttle_time_ms)
}

#[test]
fn one_address_counts_as_well_as_changes_of_metadata_and_the_time_of_requests() {
    let node = start(&[("shards", "2"), ("shards.advertise", "node")]);
    let mut client = node.client();
    set(&mut client, &[TEST], "producer_byte_rate", Some(50_000.0));
    // Whoever answers: small requests and large ones, here and at another shard. Each connection is used
    // once, as it is muted then.
    wait_until("it is exceeded", || {
        produce(&mut node.client(), 0, 200_000) > 0
    });
    for index in 0..4 {
        for bytes in [10, 100_000] {
            wait_until("this shard has heard of it", || {
                produce(&mut node.client(), index, bytes) > 0
            });
        }
    }
    set(&mut client, &[TEST], "producer_byte_rate", None);

    // Two tokens at first, one more in a second.
    set(
        &mut client,
        &[ANYBODY],
        "controller_mutation_rate",
        Some(1.0),
    );
    assert_eq!(create(&mut node.client(), 7, "a", 12), (ErrorCode::None, 0));
    let (error, told) = create(&mut node.client(), 7, "b", 1);
    assert!(
        error == ErrorCode::ThrottlingQuotaExceeded && told > 0,
        "{error:?}, {told} ms"
    );
    let (error, told) = create(&mut node.client(), 5, "c", 1);
    assert!(error == ErrorCode::None && told > 0, "{error:?}, {told} ms");
    set(&mut client, &[ANYBODY], "controller_mutation_rate", None);
    assert_eq!(create(&mut node.client(), 7, "b", 1), (ErrorCode::None, 0));

    // A billionth of a thread.
    set(&mut client, &[TEST], "request_percentage", Some(1e-7));
    let request = MetadataRequest {
        topics: None,
        ..MetadataRequest::default()
    };
    let body = node.client().call(METADATA, &request).expect("an answer");
    let response = MetadataResponse::decode(&mut Reader::new(&body), METADATA);
    // One window at most.
    assert_eq!(response.expect("readable").throttle_time_ms, 1000);
    let request = ApiVersionsRequest {
        client_software_name: "test",
        client_software_version: "1",
    };
    let body = node.client().call(3, &request).expect("an answer");
    let response = ApiVersionsResponse::decode(&mut Reader::new(&body), 3);
    let response = response.expect("readable");
    assert_eq!((response.error_code, response.throttle_time_ms), (0, 1000));
    assert_eq!(produce(&mut node.client(), 0, 10), 1000);
}

/// With one address a connection's shard only passes on what concerns others.
#[test]
fn the_time_that_other_shards_take_is_counted() {
    let node = TestNode::start(&[("shards", "2"), ("shards.advertise", "node")]);
    let mut client = node.client();
    // Much work for who owns it: it is compressed there.
    let slow = [("compression.type", "gzip")];
    assert_eq!(client.create_topic("t", 2, &slow), ErrorCode::None);
    let each = ("client-id", None);
    set(&mut client, &[each], "request_percentage", Some(5.0));
    let mut seed = 1u64;
    let noise = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
        (seed >> 56) as u8
    });
    let large = batch(&[&noise.take(1 << 19).collect::<Vec<u8>>()]);
    // One of the partitions is the other shard's, whichever has the connection.
    let mut client = node.client();
    for (index, name) in [(0, b"zero"), (1, b"four")] {
        let mut frame = frame(1, PRODUCE, &produce_request("t", index, 1, &large));
        // In the place of "test".
        frame[14..18].copy_from_slice(name);
        let mut waits = || {
            client.write(&frame).expect("sent");
            let body = client.receive::<ProduceRequest<'_>>(PRODUCE, 1);
            let body = body.expect("an answer");
            let response = ProduceResponse::decode(&mut Reader::new(&body), PRODUCE);
            let response = response.expect("readable");
            assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
            // Something of the other shard in between, or the connection would move to this one.
            produce(&mut client, 1 - index, 10);
            response.throttle_time_ms > 0
        };
        // Half a second of a thread is allowed in the ten before.
        let told = (0..400).any(|_| waits());
        assert!(
            told,
            "to compress 200 MiB for partition {index} was no work"
        );
    }
}
