//! Whatever reads bytes that somebody else has made, on mutated bytes: nothing panics, and no more
//! memory is taken than the bytes can justify.
//!
//! Each target runs for `ODRADEK_FUZZ_SECONDS` (default: 1) from a printed seed
//! (`ODRADEK_TEST_SEED`); an input that fails is kept, and `ODRADEK_FUZZ_INPUT=<file>` runs it alone.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod allocations;
#[path = "../common/dice.rs"]
mod dice;
mod directories;
mod logs;
mod seeds;
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use dice::Dice;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

/// Something that reads hostile bytes.
struct Target {
    name: &'static str,
    read: fn(&[u8]),
    /// Inputs that are right, or nearly.
    seeds: Vec<Vec<u8>>,
    /// Makes checksums right again, so that what lies behind them is reached.
    reseal: Option<fn(&mut [u8])>,
    /// Memory that it may take: so many bytes, and so many per byte of input.
    fixed: usize,
    per_byte: usize,
}

fn time() -> Duration {
    let given = std::env::var("ODRADEK_FUZZ_SECONDS").ok();
    let seconds = given.map_or(1.0, |text| text.parse().expect("a number of seconds"));
    Duration::from_secs_f64(seconds)
}

impl Target {
    /// What is wrong with this input's outcome.
    fn judge(&self, input: &[u8]) -> Result<(), String> {
        let (outcome, peak) =
            allocations::peak(|| catch_unwind(AssertUnwindSafe(|| (self.read)(input))));
        let most = self.fixed + self.per_byte * input.len();
        match outcome {
            Err(_) => Err("it panicked".into()),
            Ok(()) if peak > most => Err(format!(
                "{peak} bytes of memory for {} bytes of input, where {most} are allowed",
                input.len()
            )),
            Ok(()) => Ok(()),
        }
    }

    fn check(&self, input: &[u8]) {
        if let Err(why) = self.judge(input) {
            let home = Path::new(env!("CARGO_TARGET_TMPDIR"));
            let path = home.join(format!("hostile-{}", self.name));
            std::fs::write(&path, input).expect("the input is kept");
            let path = path.display();
            panic!(
                "{}: {why}; run it again: ODRADEK_FUZZ_INPUT={path}",
                self.name
            );
        }
    }

    /// Runs it.
    fn fuzz(&self) {
        if let Some(path) = std::env::var_os("ODRADEK_FUZZ_INPUT") {
            return self.check(&std::fs::read(path).expect("an input"));
        }
        for seed in &self.seeds {
            self.check(seed);
        }
        let mut dice = Dice::new(self.name);
        let (start, mut count) = (Instant::now(), 0u64);
        while start.elapsed() < time() {
            for _ in 0..50 {
                let among = self.seeds.len() as u64;
                let mut input = self.seeds[dice.below(among) as usize].clone();
                if dice.below(8) == 0 {
                    // Two inputs become one.
                    let other = &self.seeds[dice.below(among) as usize];
                    let from = dice.below(other.len() as u64 + 1) as usize;
                    input.truncate(dice.below(input.len() as u64 + 1) as usize);
                    input.extend_from_slice(&other[from..]);
                }
                for _ in 0..=dice.below(4) {
                    dice.mutate(&mut input, 0);
                }
                if let (Some(reseal), true) = (self.reseal, dice.below(4) != 0) {
                    reseal(&mut input);
                }
                self.check(&input);
                count += 1;
            }
        }
        println!("{}: {count} inputs", self.name);
        assert!(count > 0);
    }
}

#[test]
fn a_panic_and_too_much_memory_are_noticed() {
    let target = Target {
        name: "itself",
        read: |input| match input.first() {
            Some(0) => panic!("on purpose"),
            Some(1) => drop(std::hint::black_box(vec![1u8; 20_000])),
            _ => {}
        },
        seeds: Vec::new(),
        reseal: None,
        fixed: 10_000,
        per_byte: 100,
    };
    assert!(
        target
            .judge(&[0])
            .expect_err("a panic")
            .contains("panicked")
    );
    assert!(target.judge(&[1]).expect_err("memory").contains("memory"));
    assert_eq!(target.judge(&[1; 101]), Ok(()));
    assert_eq!(target.judge(&[2]), Ok(()));
}
