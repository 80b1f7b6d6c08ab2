//! What is due when, and what becomes of it.

use odradek_engine::bytes::Pool;

use super::super::proof::Proof;
use super::*;
use crate::load::random;

struct Bench {
    buffer: Buffer,
    contents: Contents,
}

impl Bench {
    /// Two partitions, one lane each; batches of three records.
    fn new(open: bool) -> Self {
        let load = Load {
            sizes: "100".parse().unwrap(),
            batch_bytes: 61 + 3 * 150,
            arrivals: match open {
                true => crate::load::Arrivals::Constant { rate: 1.0 },
                false => crate::load::Arrivals::Saturate,
            },
            partitioning: Partitioning::RoundRobin,
            linger_ms: 1.0,
            ..Load::default()
        };
        let forms = Rc::new(Forms::new(&Pool::new()));
        let places = [(7, 0), (8, 1)];
        Self {
            buffer: Buffer::new(&load, None, &forms, &places, random(1, 0, 5)),
            contents: Contents::new(&load.sizes, 0.5, false, 1).unwrap(),
        }
    }

    fn add(&mut self, now: u64, key: Option<[u8; 8]>) -> usize {
        let at = self.buffer.place(key.as_ref(), 72);
        let proof = Proof {
            run: 0,
            producer: 0,
            sequence: self.buffer.next_sequence(at),
            intended: now,
        };
        let message = Message {
            wall_ms: 0,
            key: key.as_ref(),
            proof,
            rest_bytes: 72,
        };
        self.buffer.add(now, at, &message, &mut self.contents);
        at
    }
}

#[test]
fn batches_are_due_when_full_or_when_they_have_lingered() {
    let mut bench = Bench::new(true);
    let key = Some([1; 8]);
    let at = bench.add(1000, key);
    bench.buffer.expire(1000);
    assert_eq!(bench.buffer.next_expiry(), Some(1_001_000));
    assert!(bench.buffer.next_request(at).is_empty(), "it lingers");
    bench.buffer.expire(1_001_000);
    assert!(bench.buffer.has_due(at));
    // Until it is taken it fills: four more, of which the first three fill it.
    for _ in 0..4 {
        assert_eq!(bench.add(1_001_000, key), at);
    }
    let request = bench.buffer.next_request(at);
    assert_eq!(request.len(), 1);
    assert_eq!(request[0].partition, [7, 8][at]);
    assert!(bench.buffer.next_request(at).is_empty(), "the rest lingers");
    let held = bench.buffer.held();
    for outgoing in request {
        assert!(outgoing.batch.messages().0 >= 3);
        bench.buffer.acked(outgoing.batch);
    }
    assert!(bench.buffer.held() < held);
}

#[test]
fn a_closed_loop_sends_full_batches_only_but_for_the_last() {
    let mut bench = Bench::new(false);
    for _ in 0..2 {
        bench.add(0, None);
    }
    assert_eq!(bench.buffer.next_expiry(), None);
    assert!(!bench.buffer.has_due(0) && !bench.buffer.has_due(1));
    bench.buffer.flush();
    let request = bench.buffer.next_request(0);
    assert_eq!(request[0].batch.messages(), (1, 0));
    bench.buffer.refused(&request[0]);
    let sent = bench.buffer.settle();
    assert_eq!((sent[0].made, sent[0].acked()), (1, 0));
    assert_eq!(sent[0].unacked.first(), Some(&(0..1)));
    assert_eq!((sent[1].made, sent[1].acked()), (1, 0));
}

#[test]
fn keys_go_where_kafkas_clients_put_them() {
    let mut bench = Bench::new(true);
    for number in 0..50u64 {
        let key = number.to_be_bytes();
        assert_eq!(bench.add(0, Some(key)), partition_of_key(&key, 2));
    }
}
