//! What comes over the network before anybody is known: frames, headers, requests, and the batches
//! in them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use odradek_engine::record::{Depth, Rules, validate_produce};
use odradek_shards::api::table;
use odradek_shards::net::cut;
use odradek_shards::telemetry::{Client, Clients};
use odradek_wire::produce::ProduceRequest;
use odradek_wire::request_header::RequestHeader;
use odradek_wire::{Message, Reader, Uuid, Writer};

use crate::Target;
use crate::seeds::{batches, captured, golden, reseal};

const FRAME_MAX: i32 = 100 << 20;

/// A message without its type.
struct Decoder {
    name: &'static str,
    api_key: i16,
    decode: fn(&[u8], i16),
}

macro_rules! decoders {
    ($($($path:ident)::+),* $(,)?) => {
        vec![$(Decoder {
            name: <odradek_wire::$($path)::+ as Message>::NAME,
            api_key: <odradek_wire::$($path)::+ as Message>::API_KEY,
            decode: |bytes, version| {
                let _ = <odradek_wire::$($path)::+>::decode(&mut Reader::new(bytes), version);
            },
        }),*]
    };
}

fn decoders() -> &'static [Decoder] {
    static ALL: OnceLock<Vec<Decoder>> = OnceLock::new();
    ALL.get_or_init(|| odradek_wire::each_message!(decoders))
}

/// Decoders of requests that are served, by API.
fn requests() -> &'static BTreeMap<i16, &'static Decoder> {
    static ALL: OnceLock<BTreeMap<i16, &'static Decoder>> = OnceLock::new();
    ALL.get_or_init(|| {
        let requests = decoders()
            .iter()
            .filter(|one| one.name.ends_with("Request"));
        let served = requests.filter(|one| table::row(one.api_key).is_some());
        served.map(|one| (one.api_key, one)).collect()
    })
}

/// As a connection reads: frame after frame, header, request, and what a produce request brings.
fn stream(mut bytes: &[u8]) {
    while let Ok(Some(frame)) = cut(bytes, FRAME_MAX) {
        request(frame);
        bytes = &bytes[4 + frame.len()..];
    }
}

fn request(frame: &[u8]) {
    let mut reader = Reader::new(frame);
    let (Ok(api_key), Ok(version)) = (reader.i16(), reader.i16()) else {
        return;
    };
    let Some(header_version) = odradek_wire::request_header_version(api_key, version) else {
        return;
    };
    let mut reader = Reader::new(frame);
    if RequestHeader::decode(&mut reader, header_version).is_err() {
        return;
    }
    let body = &frame[reader.position()..];
    if let Some(request) = requests().get(&api_key) {
        (request.decode)(body, version);
    }
    if api_key != ProduceRequest::API_KEY {
        return;
    }
    let Ok(produce) = ProduceRequest::decode(&mut Reader::new(body), version) else {
        return;
    };
    let partitions = produce
        .topic_data
        .iter()
        .flat_map(|topic| &topic.partition_data);
    for records in partitions.filter_map(|one| one.records.bytes()) {
        let _ = validate_produce(records, &Rules::LOG, Depth::Header, &mut Vec::new());
    }
}

/// Frames of every request that Kafka's classes wrote and this node serves, and of real clients.
fn frames() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for golden in golden() {
        let served = requests().values().find(|one| one.name == golden.name);
        let Some(key) = served.map(|one| one.api_key) else {
            continue;
        };
        let Some(header_version) = odradek_wire::request_header_version(key, golden.version) else {
            continue;
        };
        let header = RequestHeader {
            request_api_key: key,
            request_api_version: golden.version,
            correlation_id: 7,
            client_id: Some("hostile"),
        };
        let mut writer = Writer::default();
        header
            .encode(&mut writer, header_version)
            .expect("a header that can be encoded");
        let mut body = writer.into_inner();
        body.extend(golden.bytes);
        let mut frame = (body.len() as u32).to_be_bytes().to_vec();
        frame.extend(body);
        frames.push(frame);
    }
    assert!(frames.len() > 500, "{} requests", frames.len());
    let captured = captured();
    assert!(captured.len() > 100, "{} captured", captured.len());
    frames.extend(captured);
    frames
}

/// A frame's length is right again: one that lies only ends the connection.
fn resize(frame: &mut [u8]) {
    let length = frame.len().saturating_sub(4) as u32;
    if let Some(head) = frame.first_chunk_mut::<4>() {
        *head = length.to_be_bytes();
    }
}

#[test]
fn frames_and_requests() {
    Target {
        name: "frames",
        read: stream,
        seeds: frames(),
        reseal: Some(resize),
        fixed: 64 << 10,
        per_byte: 512,
    }
    .fuzz();
}

/// Which decoder (two bytes), which version (two bytes), the message.
fn message(input: &[u8]) {
    let Some((head, body)) = input.split_first_chunk::<4>() else {
        return;
    };
    let [d0, d1, v0, v1] = *head;
    let number = usize::from(u16::from_be_bytes([d0, d1])) % decoders().len();
    (decoders()[number].decode)(body, i16::from_be_bytes([v0, v1]));
}

#[test]
fn every_message() {
    let numbers: BTreeMap<&str, u16> = decoders().iter().map(|one| one.name).zip(0..).collect();
    let seeds = golden().into_iter().map(|golden| {
        let mut input = numbers[&*golden.name].to_be_bytes().to_vec();
        input.extend(golden.version.to_be_bytes());
        input.extend(golden.bytes);
        input
    });
    Target {
        name: "messages",
        read: message,
        seeds: seeds.collect(),
        reseal: None,
        fixed: 64 << 10,
        per_byte: 512,
    }
    .fuzz();
}

#[test]
fn batches_by_their_headers() {
    Target {
        name: "batch-headers",
        read: |bytes| {
            let _ = validate_produce(bytes, &Rules::LOG, Depth::Header, &mut Vec::new());
        },
        seeds: batches(),
        reseal: Some(reseal),
        // A batch whose greatest timestamp cannot be right is opened.
        fixed: OPENED_MAX,
        per_byte: 0,
    }
    .fuzz();
}

#[test]
fn metrics_that_clients_push() {
    /// A field of a message, its bytes fewer than 128.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
    }
    let text = [field(1, b"key"), field(2, &field(1, b"value"))].concat();
    let value = [&[4 << 3 | 1][..], &1.5f64.to_le_bytes(), &field(7, &text)].concat();
    let metric = |kind| [field(1, b"a.metric"), field(kind, &field(1, &value))].concat();
    let of = |metric: &[u8]| field(1, &field(2, &field(2, metric)));
    Target {
        name: "telemetry",
        read: |bytes| {
            let (mut clients, id) = (Clients::default(), Uuid([7; 16]));
            let _ = clients.get(id, Client::default, 0);
            let _ = clients.keep(id, bytes);
        },
        seeds: vec![of(&metric(5)), of(&metric(7)), of(&metric(9))],
        reseal: None,
        // As many series as one client may have, all with the attributes of one resource.
        fixed: 1 << 20,
        per_byte: 0,
    }
    .fuzz();
}

/// What opening one batch may take: `RECORDS_OPENED_BYTES_MAX`, which a vector reaches by doubling,
/// while it is copied.
const OPENED_MAX: usize = 3 * odradek_engine::limits::RECORDS_OPENED_BYTES_MAX;

#[test]
fn batches_and_their_records() {
    Target {
        name: "batches",
        read: |bytes| {
            let depth = Depth::Records {
                keys_required: bytes.len() % 2 == 0,
            };
            let _ = validate_produce(bytes, &Rules::LOG, depth, &mut Vec::new());
        },
        seeds: batches(),
        reseal: Some(reseal),
        fixed: OPENED_MAX,
        per_byte: 0,
    }
    .fuzz();
}
