//! Numbers and paths of files, and what is open.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// See the module. The directory itself has number 1.
pub struct Nodes {
    paths: HashMap<u64, PathBuf>,
    numbers: HashMap<PathBuf, u64>,
    next: u64,
    open: HashMap<u64, Arc<Open>>,
}

/// An open file.
pub struct Open {
    pub number: u64,
    pub file: File,
}

impl Nodes {
    pub fn new(root: &Path) -> Nodes {
        Nodes {
            paths: HashMap::from([(1, root.to_owned())]),
            numbers: HashMap::from([(root.to_owned(), 1)]),
            next: 2,
            open: HashMap::new(),
        }
    }

    /// Where it lies; a file that is gone has the path that it had.
    pub fn path(&self, number: u64) -> PathBuf {
        self.paths.get(&number).cloned().unwrap_or_default()
    }

    /// The path of an entry in a directory.
    pub fn within(&self, parent: u64, name: &OsStr) -> PathBuf {
        self.path(parent).join(name)
    }

    /// The number of what lies there, new if it is not known.
    pub fn number(&mut self, path: &Path) -> u64 {
        if let Some(number) = self.numbers.get(path) {
            return *number;
        }
        let number = self.next;
        self.next += 1;
        self.numbers.insert(path.to_owned(), number);
        self.paths.insert(number, path.to_owned());
        number
    }

    pub fn removed(&mut self, path: &Path) {
        self.numbers.remove(path);
    }

    pub fn renamed(&mut self, from: &Path, to: &Path) {
        self.removed(to);
        let below = |path: &&PathBuf| path.starts_with(from);
        let moved: Vec<PathBuf> = self.numbers.keys().filter(below).cloned().collect();
        for old in moved {
            let rest = old.strip_prefix(from).expect("it starts with it");
            let new = match rest.as_os_str().is_empty() {
                true => to.to_owned(),
                false => to.join(rest),
            };
            let number = self.numbers.remove(&old).expect("just found");
            self.numbers.insert(new.clone(), number);
            self.paths.insert(number, new);
        }
    }

    /// Keeps a file open under a handle.
    pub fn opened(&mut self, number: u64, file: File) -> u64 {
        let handle = self.next;
        self.next += 1;
        self.open.insert(handle, Arc::new(Open { number, file }));
        handle
    }

    pub fn open(&self, handle: u64) -> Option<Arc<Open>> {
        self.open.get(&handle).cloned()
    }

    pub fn closed(&mut self, handle: u64) {
        self.open.remove(&handle);
    }
}
