use odradek_wire::metadata_records::ClientQuotaRecord;
use odradek_wire::metadata_records::client_quota_record::EntityData;
use proptest::prelude::*;

use super::*;
use crate::quotas::{ANONYMOUS, EXCHANGE};

const MS: u64 = 1_000_000;
const S: u64 = 1000 * MS;

/// The default of all client ids.
fn quotas(kind: Kind, value: f64) -> ClientQuotas {
    let mut quotas = ClientQuotas::default();
    quotas.apply(&ClientQuotaRecord {
        entity: vec![EntityData {
            entity_type: "client-id",
            entity_name: None,
        }],
        key: kind.key(),
        value,
        remove: false,
    });
    quotas
}

fn book(kind: Kind, value: f64, others: bool) -> Book {
    let windows = Windows::new(11, 1);
    let mut book = Book::new(windows, windows, others);
    book.adopt(&quotas(kind, value));
    book
}

#[test]
fn each_client_id_has_a_default_of_its_own() {
    let mut book = book(Kind::Produce, 1000.0, false);
    assert!(book.limits(Kind::Produce) && !book.limits(Kind::Fetch));
    assert_eq!(
        book.charge(Kind::Produce, ANONYMOUS, "a", 20_000.0, S),
        10_000
    );
    assert_eq!(book.charge(Kind::Produce, ANONYMOUS, "b", 10_000.0, S), 0);
    assert_eq!(book.charge(Kind::Produce, ANONYMOUS, "", 1e9, S), 0);
    assert_eq!(book.charge(Kind::Fetch, ANONYMOUS, "a", 1e9, S), 0);
    // The limit changes, what was used does not.
    book.adopt(&quotas(Kind::Produce, 2000.0));
    assert_eq!(book.charge(Kind::Produce, ANONYMOUS, "a", 0.0, S), 0);
    book.adopt(&ClientQuotas::default());
    assert_eq!(book.charge(Kind::Produce, ANONYMOUS, "a", 1e9, S), 0);
}

#[test]
fn an_idle_client_may_fetch_anything_once() {
    let mut book = book(Kind::Fetch, 1000.0, false);
    assert_eq!(book.most(Kind::Fetch, ANONYMOUS, "a"), Some(10_000.0));
    assert_eq!(book.most(Kind::Produce, ANONYMOUS, "a"), None);
    assert_eq!(book.check(Kind::Fetch, ANONYMOUS, "a", 1e6, S), 0);
    book.charge(Kind::Fetch, ANONYMOUS, "a", 10.0, S);
    assert!(book.check(Kind::Fetch, ANONYMOUS, "a", 1e6, S) > 0);
    assert_eq!(book.check(Kind::Fetch, ANONYMOUS, "a", 1.0, S), 0);
    assert_eq!(book.check(Kind::Fetch, ANONYMOUS, "a", 1e6, 20 * S), 0);
}

#[test]
fn request_time_is_waited_for_one_window() {
    let mut book = book(Kind::Request, 1.0, false);
    assert_eq!(
        book.charge(Kind::Request, ANONYMOUS, "a", 100_000.0, S),
        1000
    );
}

#[test]
fn changes_are_refused_or_waited_for() {
    let mut book = book(Kind::Mutation, 1.0, false);
    let mut mutate =
        |client, count, strict, now| book.mutate(ANONYMOUS, client, count, strict, now);
    let free = Judged {
        refused: false,
        wait_ms: 0,
    };
    // 11 tokens at first; a burst beyond is let through once.
    assert_eq!(mutate("strict", 20.0, true, 0), free);
    let refused = mutate("strict", 1.0, true, S);
    assert!(refused.refused && refused.wait_ms == 8000, "{refused:?}");
    assert_eq!(mutate("strict", 1.0, true, 9 * S), free);
    let late = mutate("permissive", 20.0, false, 0);
    assert!(!late.refused && late.wait_ms == 9000, "{late:?}");
}

#[test]
fn those_that_find_no_room_are_one_and_who_is_idle_is_forgotten() {
    let mut book = book(Kind::Produce, 1000.0, true);
    for number in 0..TRACKED_MAX {
        let client = format!("client-{number}");
        assert_eq!(
            book.charge(Kind::Produce, ANONYMOUS, &client, 10_000.0, S),
            0
        );
    }
    assert_eq!(book.charge(Kind::Produce, ANONYMOUS, "one", 10_000.0, S), 0);
    assert!(book.charge(Kind::Produce, ANONYMOUS, "two", 10_000.0, S) > 0);
    assert_eq!(book.tell().len(), TRACKED_MAX + 1);
    assert!(book.forget_idle(11 * S));
    assert!(!book.forget_idle(12 * S));
    assert_eq!(
        book.charge(Kind::Produce, ANONYMOUS, "two", 10_000.0, 20 * S),
        0
    );
    assert_eq!(book.tell().len(), 1);
    assert!(!book.has_news());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Greedy connections of one client on several shards, each waiting as told: together they have what
    /// one shard would give, and in the time of an exchange what they can take in it.
    #[test]
    fn shards_together_keep_to_the_quota(
        shards in 1usize..6,
        seed in any::<u64>(),
        limit in 10_000f64..1_000_000.0,
    ) {
        let exchange = EXCHANGE.as_nanos() as u64;
        let mut books: Vec<Book> =
            (0..shards).map(|_| book(Kind::Produce, limit, shards > 1)).collect();
        let mut free_at = vec![0u64; shards];
        let mut told_at = vec![exchange; shards];
        let (mut all, mut dice) = (0.0, seed | 1);
        // What one shard can take in one millisecond.
        let request = limit / 100.0;
        let end = 40 * S;
        for now in (0..end).step_by(MS as usize) {
            for shard in 0..shards {
                dice = dice.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                if free_at[shard] <= now && dice >> 63 == 0 {
                    let wait = books[shard].charge(Kind::Produce, ANONYMOUS, "c", request, now);
                    free_at[shard] = now + u64::from(wait) * MS;
                    all += request;
                }
                if told_at[shard] <= now {
                    told_at[shard] = now + exchange;
                    let news = books[shard].tell();
                    for other in (0..shards).filter(|other| *other != shard) {
                        books[other].hear(&news, now);
                    }
                }
            }
        }
        let seconds = end as f64 / 1e9;
        let late = shards as f64 * request * (EXCHANGE.as_millis() as f64 + 1.0);
        // The first windows are free, as with one shard.
        let most = limit * (seconds + 12.0) + 2.0 * late;
        prop_assert!(all <= most, "{all} of {most}");
        prop_assert!(all >= limit * seconds * 0.9, "{all} of {}", limit * seconds);
    }
}
