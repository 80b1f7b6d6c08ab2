//! What of a seed is done and what is left out: the handle by which a failure is made small.
//!
//! Whatever a run could do without asks first, by the name of its class ("delete records", "failed
//! flush", "life"). A class can be left out whole, or single ones of it by number ("life#2").

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// See the module.
#[derive(Default)]
pub struct Script {
    dropped: BTreeSet<String>,
    asked: RefCell<BTreeMap<&'static str, u64>>,
}

impl Script {
    /// All that the seed says, but for what is in `dropped`.
    pub fn without(dropped: BTreeSet<String>) -> Script {
        Script {
            dropped,
            asked: RefCell::default(),
        }
    }

    /// Whether the next one of this class is to be done.
    pub fn wants(&self, class: &'static str) -> bool {
        let mut asked = self.asked.borrow_mut();
        let number = asked.entry(class).or_default();
        *number += 1;
        !self.dropped.contains(class) && !self.dropped.contains(&format!("{class}#{number}"))
    }

    /// How often each class was asked for.
    pub fn asked(&self) -> BTreeMap<&'static str, u64> {
        self.asked.borrow().clone()
    }
}
