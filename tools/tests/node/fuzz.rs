//! Valid frames of every API that is served, mutated at random from a printed seed: the node
//! stays up, its memory bounded, its other clients served, its records unharmed.

use std::time::{Duration, Instant};

use odradek_wire::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use odradek_wire::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use odradek_wire::metadata::{MetadataRequest, MetadataRequestTopic};
use odradek_wire::{Message, Reader};

use crate::common::{
    Client, Dice, FETCH, LIST_OFFSETS, METADATA, PRODUCE, TestNode, batch, fetch_request, frame,
    produce_request, reseal, wait_until,
};

const TIME: Duration = Duration::from_secs(10);

/// Requests by default of every API and version that is served.
fn defaults(served: &[(i16, i16, i16)]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    macro_rules! add {
        ($($module:ident :: $($rest:ident)::+,)*) => {
            $(add_one::<odradek_wire::$module::$($rest)::+>(&mut frames, served);)*
        };
    }
    odradek_wire::each_message!(add);
    frames
}

fn add_one<M: Message<'static> + Default>(frames: &mut Vec<Vec<u8>>, served: &[(i16, i16, i16)]) {
    let Some((_, min, max)) = served.iter().find(|(key, ..)| *key == M::API_KEY) else {
        return;
    };
    if !M::NAME.ends_with("Request") {
        return;
    }
    for version in (*min.max(&M::MIN_VERSION))..=*max {
        frames.push(frame(1, version, &M::default()));
    }
}

/// Full requests of the data path.
fn samples() -> Vec<Vec<u8>> {
    let records = batch(&[b"one record", b"another"]);
    let list = ListOffsetsRequest {
        topics: vec![ListOffsetsTopic {
            name: "victim",
            partitions: vec![ListOffsetsPartition::default()],
        }],
        ..ListOffsetsRequest::default()
    };
    let metadata = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some("victim"),
            ..MetadataRequestTopic::default()
        }]),
        ..MetadataRequest::default()
    };
    let mut frames = Vec::new();
    for version in 3..=12 {
        frames.push(frame(
            1,
            version,
            &produce_request("victim", 0, 1, &records),
        ));
    }
    for version in 4..=FETCH {
        frames.push(frame(1, version, &fetch_request("victim", 0, 0, 1 << 16)));
    }
    for version in 1..=LIST_OFFSETS {
        frames.push(frame(1, version, &list));
    }
    for version in 1..=METADATA {
        frames.push(frame(1, version, &metadata));
    }
    frames
}

fn mutate(frame: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..1 + dice.below(3) {
        // Mostly behind the header: what is refused at the door teaches little.
        let from = if dice.below(8) == 0 { 4 } else { 12 };
        dice.mutate(frame, from);
    }
    // A length that lies only ends the connection; seldom.
    if dice.below(50) != 0 {
        let length = frame.len() as u32 - 4;
        frame[..4].copy_from_slice(&length.to_be_bytes());
    }
}

#[test]
fn mutated_requests_harm_nobody() {
    let mut dice = Dice::new("mutated requests");
    // A mutated fetch may ask to wait for weeks; a silent connection is not kept for long.
    let mut node = TestNode::start(&[
        ("connections.max.idle.ms", "10000"),
        ("offsets.topic.num.partitions", "1"),
    ]);
    node.create("healthy");
    node.create("victim");
    // From here on a mutated name makes no topic.
    node.stop();
    node.set("auto.create.topics.enable", "false");
    node.run();
    let mut healthy = node.client();
    let body = healthy.call(
        4,
        &ApiVersionsRequest {
            client_software_name: "test",
            client_software_version: "1",
        },
    );
    let body = body.expect("the versions");
    let versions = ApiVersionsResponse::decode(&mut Reader::new(&body), 4).expect("readable");
    let served = versions.api_keys.iter();
    let served: Vec<_> = served
        .map(|api| (api.api_key, api.min_version, api.max_version))
        .collect();
    let mut frames = samples();
    let data_path = frames.len();
    frames.extend(defaults(&served));
    let plain = batch(&[b"one record", b"another"]);
    for topic in ["healthy", "victim"] {
        healthy.consume(topic, 0, 0);
    }
    let before = node.descriptors();
    let start = Instant::now();
    let (mut sent, mut stored) = (0u64, 0);
    let mut open: Vec<Client> = Vec::new();
    while start.elapsed() < TIME {
        let mut bad = node.client();
        for _ in 0..20 {
            let mut bytes = if dice.below(4) == 0 {
                // A batch that is odd within, under a right CRC.
                let mut records = plain.clone();
                let at = dice.below(records.len() as u64) as usize;
                records[at] = dice.next() as u8;
                if dice.below(4) != 0 {
                    reseal(&mut records);
                }
                frame(1, PRODUCE, &produce_request("victim", 0, 1, &records))
            } else {
                let among = if dice.below(2) == 0 {
                    data_path
                } else {
                    frames.len()
                };
                frames[dice.below(among as u64) as usize].clone()
            };
            if dice.below(10) != 0 {
                mutate(&mut bytes, &mut dice);
            }
            sent += 1;
            if bad.write(&bytes).is_err() {
                break;
            }
        }
        open.push(bad);
        if open.len() > 40 {
            open.remove(0);
            assert_eq!(healthy.store("healthy", 0, &batch(&[b"fine"])), stored);
            stored += 1;
        }
    }
    drop(open);
    println!("{sent} frames");
    assert!(node.alive());
    // A few more than before: segments are opened a second time to be sent from.
    wait_until("the connections are given back", || {
        node.descriptors() <= before + 8
    });
    let rss = node.rss();
    // The sanitizer keeps what was freed.
    let small = rss < 300 << 20 || cfg!(odradek_asan);
    assert!(small, "{} MiB resident", rss >> 20);
    assert_eq!(healthy.consume("healthy", 0, 0).len() as i64, stored);
    let end = healthy.list_offsets("victim", 0, -1).offset;
    node.kill();
    node.run();
    let mut client = node.client();
    assert_eq!(client.consume("healthy", 0, 0).len() as i64, stored);
    assert_eq!(
        client.list_offsets("victim", 0, -1).offset,
        end,
        "what was taken is found again"
    );
}
