//! Damage to a journal that nobody can tell from a write that a crash has torn.

use std::path::Path;

use odradek_engine::log::journal::scan::{Scanned, Seen, scan};

use crate::damage::{Damage, Tree};

/// Whether it struck a frame of which no later one says that it was whole.
pub fn could_be_torn(files: &Tree, damage: &Damage) -> bool {
    let path = Path::new(&damage.path);
    let Some(life) = life(path) else {
        return false;
    };
    let beside = |other: &&String| {
        let other = Path::new(other);
        other.parent() == path.parent() && self::life(other) == Some(life)
    };
    let mut seen: Vec<Seen> = Vec::new();
    let mut struck = 0..0;
    for (number, name) in files.keys().filter(beside).enumerate() {
        let from = seen.len();
        let bytes = &files[name];
        let mut pos = 0;
        while let Scanned::On(next) = scan(
            &mut seen,
            number,
            pos,
            bytes.get(pos as usize..).unwrap_or(&[]),
            life,
            true,
        ) {
            pos = next;
        }
        if *name == damage.path {
            struck = from..seen.len();
        }
    }
    let done = seen.iter().map(|one| one.head.done).max().unwrap_or(0);
    let (from, to) = (
        damage.at as u64,
        damage.at as u64 + damage.bytes.len() as u64,
    );
    seen[struck]
        .iter()
        .filter(|one| one.pos < to && from < one.pos + one.bytes as u64)
        .any(|one| one.head.sequence >= done)
}

/// The life that made a file, by its name.
fn life(path: &Path) -> Option<u64> {
    let (life, _) = path.file_name()?.to_str()?.split_once('-')?;
    u64::from_str_radix(life, 16).ok()
}
