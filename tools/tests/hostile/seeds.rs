//! Inputs to begin with: what Kafka's own classes wrote, and batches of every codec.

use std::io::Read;

use odradek_engine::record::{BatchBuilder, Compression};
use odradek_engine::types::{Epoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

/// A message that Kafka's own classes wrote.
pub struct Golden {
    pub name: String,
    pub version: i16,
    pub bytes: Vec<u8>,
}

/// All of them, from the codecs' own tests.
pub fn golden() -> Vec<Golden> {
    let text = inflate(include_bytes!("../../../engine/wire/tests/golden.gz"));
    text.lines().map(parse).collect()
}

/// Requests of real clients as they sent them, from their length on. Made by
/// `tools/faults/capture.py --output tools/tests/hostile/captured.gz -- tools/compat/run`.
pub fn captured() -> Vec<Vec<u8>> {
    let text = inflate(include_bytes!("captured.gz"));
    text.lines().map(bytes).collect()
}

fn inflate(file: &[u8]) -> String {
    let mut text = String::new();
    let mut decoder = flate2::read::GzDecoder::new(file);
    decoder.read_to_string(&mut text).expect("a text");
    text
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("digits");
        u8::from_str_radix(pair, 16).expect("digits")
    };
    hex.as_bytes().chunks_exact(2).map(digits).collect()
}

fn parse(line: &str) -> Golden {
    let words: Vec<&str> = line.split(' ').collect();
    let [name, version, hex] = words.as_slice() else {
        panic!("golden.gz: {line}");
    };
    Golden {
        name: name.to_string(),
        version: version.parse().expect("a version"),
        bytes: bytes(hex),
    }
}

/// Batches that follow each other from offset 0, one for every codec.
pub fn batches() -> Vec<Vec<u8>> {
    let codecs = Compression::ALL.into_iter();
    codecs
        .zip(0..)
        .map(|(codec, number)| batch(codec, number))
        .collect()
}

fn batch(codec: Compression, number: i64) -> Vec<u8> {
    let sequence = Sequence(number as i32 * 3);
    let mut builder = BatchBuilder::new()
        .base_offset(Offset(number * 3))
        .leader_epoch(Epoch(2))
        .compression(codec)
        .producer(ProducerId(9), ProducerEpoch(0), sequence);
    for record in 0..3 {
        let key = (record > 0).then_some(&b"key"[..]);
        builder
            .append(Timestamp(1_700_000_000_000), key, Some(&[b'v'; 60]), &[])
            .expect("a record");
    }
    builder.build().expect("a batch")
}

/// Makes the CRC of the batch that begins here right.
pub fn reseal(bytes: &mut [u8]) {
    let size = bytes.get(8..12).map(|length| {
        let length = u32::from_be_bytes(length.try_into().expect("four bytes"));
        12 + length as usize
    });
    if let Some(size) = size.filter(|size| *size > 61 && *size <= bytes.len()) {
        let crc = crc32c::crc32c(&bytes[21..size]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    }
}
