//! All messages by name, and the golden messages that Kafka's own classes wrote.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, dead_code)]

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::RangeInclusive;

use odradek_wire::{DecodeError, EncodeError, Message, Reader, Writer};

/// What decoding and encoding again gives.
pub type Recoded = Result<Result<Vec<u8>, EncodeError>, DecodeError>;

/// Whether two messages are equal, where they decode.
pub type Compared = Result<bool, DecodeError>;

/// A message without its type.
pub struct Entry {
    pub name: &'static str,
    /// All coded versions, an unstable one too.
    pub versions: RangeInclusive<i16>,
    /// Decodes a message that must end with the bytes, and encodes it.
    pub recode: fn(&[u8], i16) -> Recoded,
    /// Whether two encodings hold equal messages, or the first one NaN, which equals nothing.
    pub equal: fn(&[u8], &[u8], i16) -> Compared,
}

macro_rules! entries {
    ($($($path:ident)::+),* $(,)?) => {
        [$({
            Entry {
                name: <odradek_wire::$($path)::+ as Message>::NAME,
                versions: <odradek_wire::$($path)::+ as Message>::MIN_VERSION
                    ..=<odradek_wire::$($path)::+ as Message>::MAX_VERSION
                        + <odradek_wire::$($path)::+ as Message>::LATEST_UNSTABLE as i16,
                recode: |bytes, version| {
                    let mut reader = Reader::new(bytes);
                    let message = <odradek_wire::$($path)::+>::decode(&mut reader, version)?;
                    reader.finish()?;
                    let mut writer = Writer::default();
                    Ok(message.encode(&mut writer, version).map(|()| writer.into_inner()))
                },
                equal: |one, other, version| {
                    let one = <odradek_wire::$($path)::+>::decode(&mut Reader::new(one), version)?;
                    let other = <odradek_wire::$($path)::+>::decode(&mut Reader::new(other), version)?;
                    Ok(one == other || one != one.clone())
                },
            }
        }),*]
    };
}

/// All messages.
pub fn entries() -> impl Iterator<Item = Entry> {
    odradek_wire::each_message!(entries).into_iter()
}

/// A message that Kafka's own classes wrote.
pub struct Golden {
    pub name: String,
    pub version: i16,
    pub bytes: Vec<u8>,
}

/// All of them.
pub fn golden() -> Vec<Golden> {
    let file = include_bytes!("../golden.gz");
    let mut text = String::new();
    let mut decoder = flate2::read::GzDecoder::new(file.as_slice());
    decoder.read_to_string(&mut text).expect("golden.gz");
    text.lines().map(parse).collect()
}

fn parse(line: &str) -> Golden {
    let words: Vec<&str> = line.split(' ').collect();
    let [name, version, hex] = words.as_slice() else {
        panic!("golden.gz: {line}");
    };
    let digits = hex.as_bytes().chunks_exact(2);
    Golden {
        name: name.to_string(),
        version: version.parse().expect(line),
        bytes: digits
            .map(|pair| std::str::from_utf8(pair).expect(line))
            .map(|pair| u8::from_str_radix(pair, 16).expect(line))
            .collect(),
    }
}

/// Calls `test` with each golden message and its entry.
pub fn each_golden(mut test: impl FnMut(&Entry, &Golden)) {
    let entries: BTreeMap<&str, Entry> = entries().map(|entry| (entry.name, entry)).collect();
    for golden in golden() {
        let entry = entries.get(golden.name.as_str());
        test(entry.expect(&golden.name), &golden);
    }
}

/// A small generator of numbers from a seed (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}
