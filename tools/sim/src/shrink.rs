//! A failure, and how to make it small: what a seed does is left out, class by class and one by one,
//! as long as it still fails.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Once;

use odradek_engine::mutant;

use crate::run::{Report, run};
use crate::script::Script;
use crate::story;

/// Lines of what happened that a failure keeps.
const STORY_LINES: usize = 120;
/// A class with more members than this is not taken apart.
const MEMBERS_MAX: u64 = 400;

/// A run that broke a promise.
#[derive(Clone, Debug)]
pub struct Failure {
    pub seed: u64,
    pub hours: f64,
    /// What was left out.
    pub dropped: BTreeSet<String>,
    /// What the oracle, or the node, said.
    pub why: String,
    /// What happened last.
    pub story: Vec<String>,
    asked: BTreeMap<&'static str, u64>,
}

impl Failure {
    /// The command that runs it again.
    pub fn command(&self) -> String {
        let mut command = format!("odradek sim --seed {} --hours {}", self.seed, self.hours);
        for one in &self.dropped {
            command.push_str(&format!(" --drop '{one}'"));
        }
        command
    }
}

thread_local! {
    /// What a panic said, while a run is watched.
    static SAID: RefCell<Option<Option<String>>> = const { RefCell::new(None) };
}

/// Panics of watched runs are kept, not printed.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let watched = SAID.with_borrow_mut(|said| match said {
                Some(first) => {
                    let place = info
                        .location()
                        .map_or(String::new(), |at| format!(" ({at})"));
                    let what = info.payload_as_str().unwrap_or("a panic");
                    first.get_or_insert_with(|| format!("{what}{place}"));
                    true
                }
                None => false,
            });
            if !watched {
                before(info);
            }
        }));
    });
}

/// Runs a seed without what is `dropped`, as this thread's [mutant](odradek_engine::mutant) if it has
/// one.
///
/// # Errors
/// It failed; nothing was printed.
pub fn attempt(seed: u64, hours: f64, dropped: BTreeSet<String>) -> Result<Report, Box<Failure>> {
    listen();
    let broken = mutant::broken();
    // A thread of its own: tasks are queued by thread, and a run that panics leaves some behind.
    std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            mutant::set(broken);
            watched(seed, hours, dropped)
        });
        run.join().expect("its panics are caught")
    })
}

fn watched(seed: u64, hours: f64, dropped: BTreeSet<String>) -> Result<Report, Box<Failure>> {
    let script = Rc::new(Script::without(dropped.clone()));
    SAID.set(Some(None));
    let result = catch_unwind(AssertUnwindSafe(|| run(seed, hours, &script, true)));
    let said = SAID.take().flatten();
    result.map_err(|_| {
        Box::new(Failure {
            seed,
            hours,
            dropped,
            why: said.unwrap_or_else(|| "a panic".into()),
            story: story::last(STORY_LINES),
            asked: script.asked(),
        })
    })
}

/// Makes a failure small, in at most so many runs.
pub fn shrink(failure: Failure, tries_max: u32) -> Failure {
    let (mut best, mut tries) = (failure, 0);
    let mut fails_without = |best: &mut Failure, more: Vec<String>| {
        if tries >= tries_max {
            return false;
        }
        tries += 1;
        let mut dropped = best.dropped.clone();
        dropped.extend(more);
        match attempt(best.seed, best.hours, dropped) {
            Err(smaller) => {
                *best = *smaller;
                true
            }
            Ok(_) => false,
        }
    };
    for class in best.asked.clone().into_keys() {
        fails_without(&mut best, vec![class.to_owned()]);
    }
    for class in best.asked.clone().into_keys() {
        let count = best.asked.get(class).copied().unwrap_or(0);
        if best.dropped.contains(class) || count > MEMBERS_MAX {
            continue;
        }
        // Ever smaller pieces, from the end: what comes first shapes what comes after.
        let mut piece = count.div_ceil(2);
        while piece > 0 {
            let mut end = count;
            while end > 0 {
                let from = end.saturating_sub(piece) + 1;
                let members = (from..=end).map(|number| format!("{class}#{number}"));
                fails_without(&mut best, members.collect());
                end = from - 1;
            }
            piece /= 2;
        }
    }
    best
}
