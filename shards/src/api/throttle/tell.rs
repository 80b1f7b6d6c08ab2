//! Writes into an answer how long its client is to wait.
//!
//! Handlers know nothing of it: nearly every answer begins with that field, so it is written over the
//! zero that they put there. A test compares this with the messages themselves.

use odradek_engine::bytes::Part;
use odradek_wire::api_versions::ApiVersionsResponse;
use odradek_wire::produce::ProduceResponse;
use odradek_wire::{Message, Reader};

use crate::api::{API_VERSIONS_KEY, Reply, ReplyPiece, encode_reply, produce};

/// Where an answer has the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// So many bytes into its body.
    At(usize),
    /// Behind what has no fixed length.
    Behind,
    Nowhere,
}

fn place(api_key: i16, version: i16) -> Place {
    let since = match api_key {
        produce::KEY | API_VERSIONS_KEY => return Place::Behind,
        // SaslHandshake, SaslAuthenticate, WriteTxnMarkers, DescribeQuorum.
        17 | 36 | 27 | 55 => return Place::Nowhere,
        // OffsetDelete: behind its error.
        47 => return Place::At(2),
        // ListOffsets, JoinGroup.
        2 | 11 => 2,
        // Metadata, OffsetCommit, OffsetFetch.
        3 | 8 | 9 => 3,
        // FindCoordinator, Heartbeat, LeaveGroup, SyncGroup, DescribeGroups, ListGroups.
        10 | 12..=16 => 1,
        _ => 0,
    };
    match version >= since {
        true => Place::At(0),
        false => Place::Nowhere,
    }
}

/// Tells the client to wait so many milliseconds, if the answer can say that.
pub(super) fn tell(reply: &mut Reply, api_key: i16, version: i16, ms: u32) {
    let Some(ReplyPiece::Memory(Part::Owned(bytes))) = reply.pieces.first_mut() else {
        return;
    };
    let ms = i32::try_from(ms).unwrap_or(i32::MAX);
    // Length, correlation id, tagged fields.
    let tagged = odradek_wire::response_header_version(api_key, version) == Some(1);
    let body = 8 + usize::from(tagged);
    match place(api_key, version) {
        Place::At(at) => {
            if let Some(field) = bytes.get_mut(body + at..body + at + 4) {
                field.copy_from_slice(&ms.to_be_bytes());
            }
        }
        Place::Behind => {
            let told = match api_key {
                produce::KEY => again(
                    bytes,
                    body,
                    api_key,
                    version,
                    |it: &mut ProduceResponse<'_>| {
                        it.throttle_time_ms = ms;
                    },
                ),
                _ => again(
                    bytes,
                    body,
                    api_key,
                    version,
                    |it: &mut ApiVersionsResponse<'_>| {
                        it.throttle_time_ms = ms;
                    },
                ),
            };
            if let Some(told) = told {
                *bytes = told;
            }
        }
        Place::Nowhere => {}
    }
}

/// The answer, changed and written again; nothing if it is of another version.
fn again<'a, M: Message<'a>>(
    bytes: &'a [u8],
    body: usize,
    api_key: i16,
    version: i16,
    change: impl FnOnce(&mut M),
) -> Option<Vec<u8>> {
    let correlation_id = i32::from_be_bytes(bytes.get(4..8)?.try_into().ok()?);
    let mut message = M::decode(&mut Reader::new(bytes.get(body..)?), version).ok()?;
    change(&mut message);
    let (bytes, _) = encode_reply(api_key, version, correlation_id, &message).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::table;

    const MS: u32 = 0x0102_0304;

    /// Whether a message of this version has the field; what is written is read back.
    fn check<M: Message<'static> + Default + std::fmt::Debug>() {
        let (name, debug) = (M::NAME, |it: &M| format!("{it:?}"));
        let Some(row) = table::row(M::API_KEY).filter(|_| name.ends_with("Response")) else {
            return;
        };
        for version in row.accepted.clone() {
            let message = M::default();
            let (bytes, _) = encode_reply(M::API_KEY, version, 77, &message).expect("encoded");
            let mut reply = Reply::bytes(bytes.clone());
            tell(&mut reply, M::API_KEY, version, MS);
            let ReplyPiece::Memory(Part::Owned(told)) = reply.pieces.remove(0) else {
                unreachable!()
            };
            let tagged = odradek_wire::response_header_version(M::API_KEY, version) == Some(1);
            let body: &'static [u8] = told.leak();
            let mut reader = Reader::new(&body[8 + usize::from(tagged)..]);
            let read = M::decode(&mut reader, version).expect("decoded");
            assert_eq!(reader.remaining(), 0, "{name} {version}");
            let said = format!("throttle_time_ms: {MS}");
            let unsaid = debug(&message);
            let expected = match debug(&read).contains(&said) {
                true => unsaid.replacen("throttle_time_ms: 0", &said, 1),
                false => {
                    // It has no such field, or not at this version.
                    assert_eq!(body, bytes, "{name} {version}");
                    assert!(lacks(M::API_KEY, version), "{name} {version}");
                    unsaid
                }
            };
            assert_eq!(debug(&read), expected, "{name} {version}");
        }
    }

    /// Versions of answers without the field, as Kafka's schemas have it.
    fn lacks(api_key: i16, version: i16) -> bool {
        match api_key {
            17 | 36 | 27 | 55 => true,
            2 | 11 => version < 2,
            3 | 8 | 9 => version < 3,
            10 | 12..=16 | 18 => version < 1,
            _ => false,
        }
    }

    macro_rules! all {
        ($($module:ident :: $($rest:ident)::+,)*) => {
            $(check::<odradek_wire::$module::$($rest)::+>();)*
        };
    }

    #[test]
    fn every_answer_that_is_served_tells_it_and_nothing_else_changes() {
        odradek_wire::each_message!(all);
    }
}
