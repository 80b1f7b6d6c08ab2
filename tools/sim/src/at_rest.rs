//! Damage to the machine itself, with which it lives on: to logs that neither compaction nor
//! transactions touch.

use std::cell::RefCell;

use odradek_engine::io::sim::SimWorld;

use crate::damage::{Damage, Kind, Tree, pick};
use crate::noticed::{Verdict, could_be_right, verify};
use crate::oracle::Oracle;
use crate::plan::{Plan, Rng};
use crate::story;

/// Spoils one segment, if there is one that holds anything. `past`: the files after an earlier life.
pub fn damage(world: &SimWorld, plan: &Plan, past: &Tree, oracle: &RefCell<Oracle>, rng: &mut Rng) {
    let files = world.files();
    let of = |kind: &Kind| match kind {
        // Of a damaged log neither gaps nor markers say anything.
        Kind::Log(topic, index) if plan.is_simple(topic) => {
            oracle.borrow().partition(topic, *index)
        }
        _ => None,
    };
    let Some(path) = pick(&files, rng, |kind| of(kind).is_some()) else {
        return;
    };
    let Some(damage) = Damage::draw(world, &files, past, path, rng) else {
        return;
    };
    if damage.foreign && could_be_right(&files, &damage) {
        return;
    }
    story::tell(
        world.now(),
        format_args!("{} in {path} at {}", damage.what, damage.at),
    );
    match verify(&files, &damage, false) {
        Verdict::Named(_) => oracle.borrow_mut().detected("by odradek log verify"),
        Verdict::Harmless | Verdict::Shorter => {}
        said => panic!("{} in {path} at {}: {said:?}", damage.what, damage.at),
    }
    let kind = Kind::of(path).expect("it was picked by that");
    let partition = of(&kind).expect("it was picked by that");
    oracle.borrow_mut().spoil(partition);
    damage.strike(world);
}
