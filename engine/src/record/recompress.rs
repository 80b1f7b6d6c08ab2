//! A client's batch in another codec, as its topic's `compression.type` asks.
//!
//! The records stay byte for byte, with their deltas; what changes is the codec, the length and the
//! CRC, and the header's maximum timestamp where it was wrong.
//!
//! Source: Kafka `LogValidator.validateMessagesAndAssignOffsetsCompressed`, which builds the batch
//! anew where the codecs differ.

use super::{
    BatchHeader, BatchInfo, Compression, HEADER_BYTES, OpenBatch, Origin, RecordError, Rules,
    crc32c_append,
};

/// A codec and how hard it tries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    pub codec: Compression,
    /// gzip: 1 to 9; zstd: as its library has it; others have none. `None`: the codec's default.
    pub level: Option<i32>,
}

/// Writes a batch that [`validate`](super::validate()) has passed as `info` into `out`, which is
/// cleared first, in another codec. All its records are checked on the way. `scratch` is used for
/// opening and can be used again.
///
/// # Errors
/// As [`OpenBatch::open`] and [`OpenBatch::check`]; [`RecordError::TooLarge`] if the batch has grown
/// beyond what the rules allow a client.
pub fn recompress(
    batch: &[u8],
    info: &BatchInfo,
    to: Target,
    rules: &Rules,
    keys_required: bool,
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<BatchInfo, RecordError> {
    let (records, max_timestamp) = {
        let open = OpenBatch::open(batch, *info, scratch)?;
        let latest = open.check(rules, keys_required)?;
        (open.records_stored(), latest)
    };
    out.clear();
    out.resize(HEADER_BYTES, 0);
    to.codec.compress_at(to.level, records, out);
    let bytes_max = rules.batch_bytes_max;
    if rules.origin == Origin::Client && out.len() > bytes_max {
        let bytes = out.len();
        return Err(RecordError::TooLarge { bytes, bytes_max });
    }
    let info = BatchInfo {
        size: out.len(),
        compression: to.codec,
        attributes: info.attributes.with_compression(to.codec),
        max_timestamp,
        ..*info
    };
    let (front, records) = out.split_at_mut(HEADER_BYTES);
    let mut header = BatchHeader::of(&info);
    header.set_crc(crc32c_append(header.crc_start(), records));
    front.copy_from_slice(header.as_bytes());
    Ok(info)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, TimestampRule, TimestampType, validate};
    use crate::types::{ProducerEpoch, ProducerId, Sequence, Timestamp};

    fn rules(batch_bytes_max: usize) -> Rules {
        Rules {
            origin: Origin::Client,
            batch_bytes_max,
            timestamps: TimestampRule {
                timestamp_type: TimestampType::CreateTime,
                now: Timestamp(1_000),
                before_max_ms: i64::MAX,
                after_max_ms: i64::MAX,
            },
            zstd_allowed: true,
        }
    }

    fn batch(codec: Compression) -> Vec<u8> {
        let sequence = Sequence(7);
        let mut builder = BatchBuilder::new().compression(codec).producer(
            ProducerId(5),
            ProducerEpoch(1),
            sequence,
        );
        for n in 0..40u8 {
            let time = Timestamp(500 + i64::from(n % 7));
            let headers: [(&[u8], Option<&[u8]>); 1] = [(b"h", Some(&[n]))];
            let value = [n; 200];
            let added = builder.append(time, Some(&[n]), Some(&value), &headers);
            added.expect("a record that fits");
        }
        builder.build().expect("a batch")
    }

    #[test]
    fn it_is_as_if_its_producer_had_chosen_the_codec() {
        let rules = rules(1 << 20);
        let (mut scratch, mut out) = (Vec::new(), vec![1, 2, 3]);
        for from in Compression::ALL {
            let given = batch(from);
            let info = validate(&given, &rules).expect("valid");
            for codec in Compression::ALL {
                let to = Target { codec, level: None };
                let new = recompress(&given, &info, to, &rules, true, &mut scratch, &mut out);
                assert_eq!(out, batch(codec), "{from:?} to {codec:?}");
                assert_eq!(new, validate(&out, &rules), "{from:?} to {codec:?}");
            }
        }
    }

    #[test]
    fn a_batch_may_outgrow_its_limit_or_be_ill_inside() {
        let (mut scratch, mut out) = (Vec::new(), Vec::new());
        let given = batch(Compression::Gzip);
        let rules = rules(4_000);
        let info = validate(&given, &rules).expect("valid");
        let to = Target {
            codec: Compression::None,
            level: None,
        };
        let grown = recompress(&given, &info, to, &rules, false, &mut scratch, &mut out);
        assert!(
            matches!(grown, Err(RecordError::TooLarge { .. })),
            "{grown:?}"
        );
        let mut ill = given.clone();
        ill[HEADER_BYTES..].fill(7);
        let told = recompress(&ill, &info, to, &rules, false, &mut scratch, &mut out);
        assert!(
            matches!(told, Err(RecordError::Decompress { .. })),
            "{told:?}"
        );
    }

    #[test]
    fn levels_are_the_codecs_own() {
        let bytes: Vec<u8> = (0..60_000u32)
            .flat_map(|n| (n * n / 7).to_le_bytes())
            .collect();
        for codec in [Compression::Gzip, Compression::Zstd] {
            let sizes = [1, 9].map(|level| {
                let (mut out, mut back) = (Vec::new(), Vec::new());
                codec.compress_at(Some(level), &bytes, &mut out);
                let opened = codec.decompress(&out, &mut back, bytes.len());
                opened.expect("what was compressed");
                assert_eq!(back, bytes);
                out.len()
            });
            assert!(sizes[1] < sizes[0], "{codec:?}: {sizes:?}");
        }
    }
}
