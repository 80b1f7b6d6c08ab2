use super::*;
use crate::bytes::{Source, parts_len};

fn flat(parts: &[Part]) -> Vec<u8> {
    parts
        .iter()
        .flat_map(|part| part.bytes())
        .copied()
        .collect()
}

/// Performs plans in memory and checks the invariants on the way.
struct Disk {
    bytes: Vec<u8>,
    flying: Vec<(u64, u64, Vec<u8>, Parts)>,
}

impl Disk {
    fn start(&mut self, plan: WritePlan) {
        let (pos, len) = (plan.pos, parts_len(&plan.parts) as u64);
        assert_eq!((pos % PAGE as u64, len % PAGE as u64), (0, 0));
        for (_, other, bytes, _) in &self.flying {
            assert!(pos + len <= *other || *other + bytes.len() as u64 <= pos);
        }
        let copy = flat(&plan.parts);
        self.flying.push((plan.id, pos, copy, plan.parts));
    }

    fn finish(&mut self, at: usize) -> u64 {
        let (id, pos, copy, parts) = self.flying.swap_remove(at);
        assert!(flat(&parts) == copy, "a page in flight was modified");
        let end = pos as usize + copy.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[pos as usize..end].copy_from_slice(&copy);
        id
    }
}

/// Bytes as they were received: in a block of their own, so many bytes into a page.
fn received(pool: &Pool, skew: usize, bytes: &[u8]) -> Block {
    let block = pool.take(skew + bytes.len());
    // SAFETY: the block is new.
    unsafe { block.bytes_mut(skew, bytes.len()) }.copy_from_slice(bytes);
    block
}

/// What the blocks of a tail take.
fn taken(tail: &Tail) -> usize {
    let mut blocks: Vec<&Block> = Vec::new();
    for extent in &tail.extents {
        if !blocks.iter().any(|block| block.same(&extent.block)) {
            blocks.push(&extent.block);
        }
    }
    blocks.iter().map(|block| block.capacity()).sum()
}

#[test]
fn a_large_batch_that_lies_as_in_the_file_is_not_copied() {
    let pool = Pool::new();
    let mut tail = Tail::new(&pool, true, Offset(0), 0, &[]);
    let mut expected = vec![1; 5_000];
    tail.append(&expected);
    let bytes: Vec<u8> = (0..1_000_000u32).map(|i| i as u8).collect();
    for (number, skew) in [5_000 % PAGE, 7].into_iter().enumerate() {
        let block = received(&pool, skew, &bytes);
        tail.append_from(Source::new(block.bytes(skew, bytes.len()), Some(&block)));
        let from = expected.len() as u64;
        expected.extend_from_slice(&bytes);
        let parts = tail.memory(Offset(0), from, expected.len() as u64);
        let parts = parts.expect("in memory");
        assert_eq!(flat(&parts), bytes);
        let kept = |part: &Part| matches!(part, Part::Block { block: of, .. } if of.same(&block));
        let kept: usize = parts.iter().filter(|part| kept(part)).map(Part::len).sum();
        match number {
            0 => assert!(
                kept > bytes.len() - 2 * PAGE,
                "{kept} bytes were not copied"
            ),
            _ => assert_eq!(kept, 0, "it lay elsewhere in its page"),
        }
        assert_eq!(tail.bytes(), taken(&tail));
    }
    // What lies behind it in its block is not the tail's.
    let skew = (expected.len()) % PAGE;
    let behind = [&bytes[..], &[7; 100]].concat();
    let block = received(&pool, skew, &behind);
    tail.append_from(Source::new(block.bytes(skew, bytes.len()), Some(&block)));
    expected.extend_from_slice(&bytes);
    while let Some(plan) = tail.plan(8) {
        let (from, to) = (plan.pos as usize, plan.end as usize);
        assert!(flat(&plan.parts)[..to - from] == expected[from..to]);
    }
    tail.append(&[9; 200]);
    assert_eq!(block.bytes(skew, behind.len()), behind);
}

#[test]
fn random_appends_reach_the_disk_whole_in_any_order_of_completion() {
    for seed in 1..40u64 {
        let mut random = seed;
        let mut next = |bound: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % bound
        };
        let pool = Pool::new();
        let segment = Offset(0);
        let mut tail = Tail::new(&pool, true, segment, 0, &[]);
        let mut disk = Disk {
            bytes: Vec::new(),
            flying: Vec::new(),
        };
        let (mut expected, mut written) = (Vec::new(), 0);
        for step in 0..100u64 {
            match next(4) {
                0 | 1 => {
                    let max = [200, 9_000, 80_000][next(3) as usize];
                    let bytes: Vec<u8> = (0..next(max) + 1).map(|i| (i + step) as u8).collect();
                    tail.append(&bytes);
                    expected.extend_from_slice(&bytes);
                }
                2 if next(8) == 0 => {
                    // Received at the right place, more often than not.
                    let skew = (expected.len() + next(10) as usize / 9) % PAGE;
                    let len = [150_000, 250_000, 1_000_000][next(3) as usize] + next(20_000);
                    let bytes: Vec<u8> = (0..len).map(|i| (i + step) as u8).collect();
                    let block = received(&pool, skew, &bytes);
                    tail.append_from(Source::new(block.bytes(skew, bytes.len()), Some(&block)));
                    expected.extend_from_slice(&bytes);
                }
                2 => {
                    while let Some(plan) = tail.plan(8) {
                        disk.start(plan);
                    }
                }
                _ if !disk.flying.is_empty() => {
                    let at = next(disk.flying.len() as u64) as usize;
                    let id = disk.finish(at);
                    if let Some(mark) = tail.wrote(id) {
                        assert!(mark.pos >= written);
                        written = mark.pos;
                        assert!(disk.bytes[..written as usize] == expected[..written as usize]);
                    }
                }
                _ => {
                    tail.evict();
                }
            }
            assert_eq!(tail.bytes(), taken(&tail), "seed {seed}, step {step}");
            if let Some(start) = tail.memory_start(segment) {
                let end = expected.len() as u64;
                if start < end {
                    let from = start + next(end - start);
                    let parts = tail.memory(segment, from, end).expect("in memory");
                    assert!(flat(&parts) == expected[from as usize..], "seed {seed}");
                }
            }
        }
        while tail.pending() || tail.flying() > 0 {
            while let Some(plan) = tail.plan(8) {
                disk.start(plan);
            }
            let id = disk.finish(0);
            tail.wrote(id);
        }
        assert!(disk.bytes[..expected.len()] == expected[..], "seed {seed}");
        assert!(disk.bytes[expected.len()..].iter().all(|&byte| byte == 0));
        tail.shrink();
        tail.append(b"more");
        expected.extend_from_slice(b"more");
        let plan = tail.plan(1).expect("a write");
        let from = plan.pos as usize;
        assert!(flat(&plan.parts)[..expected.len() - from] == expected[from..]);
    }
}

#[test]
fn a_roll_ends_one_segment_and_starts_the_next_at_zero() {
    let pool = Pool::new();
    let mut tail = Tail::new(&pool, true, Offset(0), 0, &[]);
    tail.append(&[1; 100]);
    tail.roll(Offset(7));
    tail.append(&[2; MERGE_BYTES_MIN as usize]);
    let first = tail.plan(8).expect("the old segment");
    assert_eq!((first.segment, first.pos, first.end), (Offset(0), 0, 100));
    let second = tail.plan(8).expect("the new one");
    assert_eq!((second.segment, second.pos), (Offset(7), 0));
    assert_eq!(tail.wrote(second.id), None);
    let written = tail.wrote(first.id).expect("both");
    assert_eq!((written.segment, written.pos), (Offset(7), MERGE_BYTES_MIN));
}

#[test]
fn unaligned_writes_carry_exactly_what_is_new() {
    let pool = Pool::new();
    let mut tail = Tail::new(&pool, false, Offset(0), 10, &[]);
    tail.append(b"abc");
    let plan = tail.plan(8).expect("a write");
    assert_eq!((plan.pos, flat(&plan.parts)), (10, b"abc".to_vec()));
    tail.append(b"de");
    assert!(
        tail.plan(8).is_none(),
        "a little waits for what is in flight"
    );
    tail.wrote(plan.id);
    let plan = tail.plan(8).expect("the rest");
    assert_eq!((plan.pos, flat(&plan.parts)), (13, b"de".to_vec()));
}

#[test]
fn a_stream_of_appends_is_written_in_whole_pages_that_meet() {
    const APPEND: usize = 65_193;
    let pool = Pool::new();
    let mut tail = Tail::new(&pool, true, Offset(0), 0, &[]);
    tail.append(&[1; APPEND]);
    let first = tail.plan(8).expect("nothing is in flight");
    assert_eq!(
        first.end, APPEND as u64,
        "alone, it is written whole at once"
    );
    tail.append(&[2; APPEND]);
    assert!(
        tail.plan(8).is_none(),
        "a little waits for what is in flight"
    );
    for _ in 0..4 {
        tail.append(&[2; APPEND]);
    }
    tail.wrote(first.id);
    // From the page that is on disk already, for the last time.
    let mut before = tail.plan(8).expect("what waited");
    assert_eq!(before.pos, page_floor(APPEND as u64));
    for _ in 0..40 {
        let mut appended = 0;
        let next = loop {
            tail.append(&[3; APPEND]);
            appended += APPEND as u64;
            if let Some(next) = tail.plan(8) {
                break next;
            }
            assert!(
                appended < MERGE_BYTES_MIN,
                "so much goes beside what is in flight"
            );
        };
        assert_eq!((next.pos, next.pos % PAGE as u64), (before.end, 0));
        tail.wrote(before.id);
        before = next;
    }
    tail.wrote(before.id);
    let last = tail.plan(8).expect("the unfinished page");
    assert_eq!(last.end, tail.end.pos);
    tail.wrote(last.id);
    assert!(!tail.pending());
}

#[test]
fn after_a_large_write_the_unfinished_page_goes_out_beside_it() {
    const APPEND: usize = 1_048_000;
    let pool = Pool::new();
    let mut tail = Tail::new(&pool, true, Offset(0), 0, &[]);
    tail.append(&[1; APPEND]);
    let first = tail.plan(8).expect("nothing is in flight");
    tail.append(&[2; APPEND]);
    tail.wrote(first.id);
    let large = tail.plan(8).expect("what waited");
    assert_eq!(large.end, page_floor(2 * APPEND as u64));
    let page = tail.plan(8).expect("its last page");
    assert_eq!((page.pos, page.end), (large.end, 2 * APPEND as u64));
    tail.append(&[3; 100]);
    assert!(tail.plan(8).is_none(), "a page in flight is not written");
}

#[test]
fn a_tail_at_rest_holds_no_block_and_serves_its_page() {
    let pool = Pool::new();
    let mut tail = Tail::new(&pool, true, Offset(0), 0, &[]);
    tail.append(&[1; 5_000]);
    let plan = tail.plan(1).expect("a write");
    assert!(!tail.shrink(), "a write is in flight");
    let id = plan.id;
    drop(plan);
    tail.wrote(id);
    assert!(tail.shrink());
    assert_eq!((tail.bytes(), pool.lent()), (0, 0));
    let page = page_floor(5_000);
    assert_eq!(tail.memory_start(Offset(0)), Some(page));
    let held = tail.memory(Offset(0), page + 4, 5_000).expect("held");
    assert_eq!(flat(&held), vec![1; 5_000 - page as usize - 4]);
    assert!(tail.memory(Offset(0), page - 1, 5_000).is_none());
    // The next segment's first page is another one.
    tail.roll(Offset(9));
    assert_eq!(tail.memory_start(Offset(9)), None);
    tail.append(b"new");
    let plan = tail.plan(1).expect("a write");
    assert_eq!((plan.segment, plan.pos), (Offset(9), 0));
    assert_eq!(flat(&plan.parts)[..3], *b"new");
}

#[test]
fn appends_that_come_one_by_one_stay_in_one_page_until_it_is_full() {
    let pool = Pool::new();
    let mut tail = Tail::new(&pool, true, Offset(0), 0, &[]);
    let mut expected = Vec::new();
    for number in 0..40u8 {
        tail.append(&[number; 100]);
        expected.extend([number; 100]);
        let plan = tail.plan(8).expect("a write");
        assert_eq!(flat(&plan.parts)[..expected.len()], expected);
        let id = plan.id;
        drop(plan);
        tail.wrote(id);
        assert_eq!(pool.lent(), PAGE, "after {number}");
    }
}

#[test]
fn no_more_is_taken_ahead_of_appends_than_is_allowed() {
    let held_after = |allowed: Option<usize>| {
        let pool = Pool::new();
        let mut tail = Tail::new(&pool, true, Offset(0), 0, &[]);
        if let Some(bytes) = allowed {
            tail.set_grown_max(bytes);
        }
        let mut most = 0;
        for number in 0..200 {
            tail.append(&[number; 1_000]);
            let id = tail.plan(1).expect("a write").id;
            tail.wrote(id);
            while tail.evict().is_some() {}
            most = most.max(tail.bytes());
        }
        most
    };
    assert_eq!(held_after(Some(PAGE)), PAGE);
    assert_eq!(held_after(Some(4 * PAGE)), 4 * PAGE);
    assert!(held_after(None) > 4 * PAGE, "a busy one takes more");
}
