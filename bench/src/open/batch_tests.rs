//! Batches are valid, on new forms and on used ones.

use odradek_engine::bytes::Pool;
use odradek_engine::record::{OpenBatch, Rules, validate};

use super::*;

fn load(sizes: &str, compression: Compression) -> Load {
    Load {
        sizes: sizes.parse().unwrap(),
        compression: crate::load::Codec(compression),
        ..Load::default()
    }
}

fn message(sequence: u64, wall_ms: i64, rest_bytes: usize) -> Message<'static> {
    let proof = Proof {
        run: 1,
        producer: 2,
        sequence,
        intended: 9,
    };
    Message {
        wall_ms,
        key: None,
        proof,
        rest_bytes,
    }
}

fn contents(load: &Load) -> Contents {
    let compressed = load.compression.0 != Compression::None;
    Contents::new(&load.sizes, 0.5, compressed, 1).unwrap()
}

/// What each record's value is long, and the sequence it proves.
fn opened(bytes: &[u8]) -> Vec<(usize, u64)> {
    let info = validate(bytes, &Rules::NODE).unwrap();
    assert_eq!(info.size, bytes.len());
    let mut scratch = Vec::new();
    let open = OpenBatch::open(bytes, info, &mut scratch).unwrap();
    open.check(&Rules::NODE, false).unwrap();
    let values = open.records().map(|record| record.unwrap().value.unwrap());
    let proven = values.map(|value| (value.len(), Proof::decode(value).unwrap().sequence));
    proven.collect()
}

#[test]
fn batches_are_what_the_node_takes() {
    let forms = Forms::new(&Pool::new());
    for compression in Compression::ALL {
        let load = load("28..5000", compression);
        let (making, mut contents) = (Making::new(&load), contents(&load));
        let mut draft = Draft::new(&forms, 1000, 0, 1_700_000_000_000, 40, 0);
        let lengths = [0, 1, 100, 63, 64, 400];
        let mut expected = Vec::new();
        for (index, length) in lengths.into_iter().enumerate() {
            assert!(draft.fits(length, 1000));
            let sequence = 40 + index as u64;
            let now = 1_700_000_000_000 + 100 * index as i64;
            let key = [index as u8; KEY_BYTES];
            let mut message = message(sequence, now, length);
            message.key = (index % 2 == 0).then_some(&key);
            draft.append(&message, &mut contents, &making);
            expected.push((PROOF_BYTES + length, sequence));
        }
        assert!(!draft.fits(400, 1000), "the batch is full");
        let closed = draft.close(&making, Some((5, 6)));
        let info = validate(closed.part.bytes(), &Rules::NODE).unwrap();
        assert_eq!((info.producer_id.0, info.base_sequence.0), (5, 40));
        assert_eq!(info.max_timestamp.0, 1_700_000_000_500);
        assert_eq!(opened(closed.part.bytes()), expected);
    }
}

/// Batches on used forms: with more records than before, fewer, and heads of other lengths.
#[test]
fn used_forms_are_filled_in_again() {
    let load = load("1000", Compression::None);
    let (making, mut contents) = (Making::new(&load), contents(&load));
    assert!(making.again && making.behind.is_some());
    let forms = Forms::new(&Pool::new());
    let mut first = None;
    for (batch, (count, step_ms)) in [(20, 0), (30, 0), (5, 0), (40, 30), (40, 0), (10, 30)]
        .into_iter()
        .enumerate()
    {
        let mut draft = Draft::new(&forms, 60_000, 972, 7000, 0, 0);
        let mut expected = Vec::new();
        for record in 0..count {
            let sequence = 1000 * batch as u64 + record;
            let now = 7000 + step_ms * record as i64;
            draft.append(&message(sequence, now, 972), &mut contents, &making);
            expected.push((1000, sequence));
        }
        assert!(draft.sum.is_some(), "no pass over the whole batch");
        let closed = draft.close(&making, None);
        assert_eq!(opened(closed.part.bytes()), expected, "batch {batch}");
        let mut form = closed.into_form();
        form.times.clear();
        let address = form.block.ptr(0);
        assert_eq!(*first.get_or_insert(address), address, "a form used again");
        forms.give(form);
    }
}

#[test]
fn a_record_larger_than_a_batch_has_one_of_its_own() {
    let load = load("100028", Compression::None);
    let (making, mut contents) = (Making::new(&load), contents(&load));
    let forms = Forms::new(&Pool::new());
    let mut draft = Draft::new(&forms, 1000, 100_000, 0, 0, 0);
    assert!(draft.fits(100_000, 1000));
    draft.append(&message(0, 0, 100_000), &mut contents, &making);
    assert!(!draft.fits(0, 1000));
    assert_eq!(opened(draft.close(&making, None).part.bytes()).len(), 1);
}
