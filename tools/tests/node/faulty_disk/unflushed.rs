//! What files held before it was overwritten, until a flush makes the new contents durable.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const PAGE: u64 = 4096;

/// By path, as paths are now.
#[derive(Default)]
pub struct Unflushed(BTreeMap<PathBuf, Before>);

/// A file as it is on the medium, as far as that differs from what it holds.
struct Before {
    size: u64,
    /// Old contents by number; shorter where the file ended.
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Unflushed {
    /// Remembers what `[pos, pos + len)` holds; `file` is open for reading.
    pub fn changing(&mut self, path: &Path, file: &File, pos: u64, len: u64) {
        let size = file.metadata().map_or(0, |found| found.len());
        let before = self.0.entry(path.to_owned()).or_insert(Before {
            size,
            pages: BTreeMap::new(),
        });
        for number in pos / PAGE..(pos + len).div_ceil(PAGE) {
            before.pages.entry(number).or_insert_with(|| {
                let mut page = vec![0; PAGE as usize];
                let read = file.read_at(&mut page, number * PAGE).unwrap_or(0);
                page.truncate(read);
                page
            });
        }
    }

    /// All of the file is durable.
    pub fn flushed(&mut self, path: &Path) {
        self.0.remove(path);
    }

    /// This range is, and the file is long enough for it.
    pub fn flushed_range(&mut self, path: &Path, pos: u64, len: u64) {
        let Some(before) = self.0.get_mut(path) else {
            return;
        };
        for number in pos.div_ceil(PAGE)..(pos + len) / PAGE {
            before.pages.remove(&number);
        }
        before.size = before.size.max(pos + len);
    }

    /// It has another name now, and what had that name is gone.
    pub fn renamed(&mut self, from: &Path, to: &Path) {
        let moved: Vec<PathBuf> = self.paths().filter(|path| path.starts_with(from)).collect();
        self.removed(to);
        for path in moved {
            let rest = path.strip_prefix(from).expect("it starts with it");
            let new = match rest.as_os_str().is_empty() {
                true => to.to_owned(),
                false => to.join(rest),
            };
            let before = self.0.remove(&path).expect("just found");
            self.0.insert(new, before);
        }
    }

    pub fn removed(&mut self, path: &Path) {
        self.0.remove(path);
    }

    pub fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.0.keys().cloned()
    }

    /// The file is as on the medium again; how many pages were lost.
    pub fn forget(&mut self, path: &Path) -> usize {
        let Some(before) = self.0.remove(path) else {
            return 0;
        };
        let Ok(file) = OpenOptions::new().write(true).open(path) else {
            return 0;
        };
        for (number, page) in &before.pages {
            let mut whole = page.clone();
            whole.resize(PAGE as usize, 0);
            file.write_all_at(&whole, number * PAGE).expect("restored");
        }
        file.set_len(before.size).expect("restored");
        before.pages.len()
    }
}
