//! The names on the disk, and which of them would survive a power cut.
//!
//! A directory has its entries as seen and its durable entries. Every create, rename, remove
//! and mkdir is one change, made of the entries it sets and clears; it becomes durable whole,
//! when a directory that it touches is synced, after the earlier changes to the same names.
//! An inode lives while a name (seen, durable, or in a change that may yet come or go) or an
//! open handle holds it.
//!
//! Absent on purpose: links, permissions, `..`.

use std::collections::{BTreeMap, BTreeSet};

use super::file::{Covered, File};
use crate::io::op::OpenMode;

pub(super) type Inode = u64;
pub(super) const ROOT: Inode = 1;

/// An error number, positive.
pub(super) type Failed = i32;

#[derive(Default)]
pub(super) struct Directory {
    pub(super) entries: BTreeMap<String, Inode>,
    pub(super) durable: BTreeMap<String, Inode>,
}

pub(super) enum Node {
    File(File),
    Directory(Directory),
}

/// An entry's new state: directory, name, what it names.
type Edit = (Inode, String, Option<Inode>);

/// One change of names, durable whole or not at all.
pub(super) struct Change {
    pub(super) sequence: u64,
    pub(super) edits: Vec<Edit>,
}

/// The disk. Survives every crash of what runs on it.
pub(super) struct Disk {
    pub(super) nodes: BTreeMap<Inode, Node>,
    pub(super) changes: Vec<Change>,
    open: BTreeMap<Inode, u32>,
    /// What has been let go of since inodes were last freed: handles, and syncs of names.
    let_go: usize,
    next: Inode,
    sequence: u64,
    pages_max: Option<u64>,
}

/// Where a path leads: its directory, its last name, and what stands there.
struct Place<'a> {
    directory: Inode,
    name: &'a str,
    node: Option<Inode>,
}

impl Disk {
    pub(super) fn new(bytes_max: Option<u64>) -> Self {
        Disk {
            nodes: BTreeMap::from([(ROOT, Node::Directory(Directory::default()))]),
            changes: Vec::new(),
            open: BTreeMap::new(),
            let_go: 0,
            next: ROOT + 1,
            sequence: 0,
            pages_max: bytes_max.map(|bytes| bytes / crate::bytes::PAGE as u64),
        }
    }

    /// How large it is from now on; what it holds already stays.
    pub(super) fn set_size(&mut self, bytes_max: Option<u64>) {
        self.pages_max = bytes_max.map(|bytes| bytes / crate::bytes::PAGE as u64);
    }

    /// A new number in the order of effects.
    pub(super) fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// The latest number in the order of effects.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Its size, and what is left; bytes.
    pub(super) fn space(&self) -> (u64, u64) {
        let max = self.pages_max.unwrap_or(1 << 40);
        let left = max.saturating_sub(self.used());
        let page = crate::bytes::PAGE as u64;
        (max.saturating_mul(page), left.saturating_mul(page))
    }

    /// ENOSPC if `pages` more do not fit.
    pub(super) fn room(&self, pages: u64) -> Result<(), Failed> {
        match self.pages_max {
            Some(max) if pages > 0 && self.used() + pages > max => Err(libc::ENOSPC),
            _ => Ok(()),
        }
    }

    /// Pages taken.
    pub(super) fn used(&self) -> u64 {
        // A file without a name or a handle takes no room, though a power cut may bring it back.
        let names = self.nodes.values().filter_map(|node| match node {
            Node::File(_) => None,
            Node::Directory(d) => Some(d.entries.values()),
        });
        let held: BTreeSet<Inode> = names.flatten().chain(self.open.keys()).copied().collect();
        let used = held.iter().map(|inode| match &self.nodes[inode] {
            Node::File(file) => file.pages(),
            Node::Directory(_) => 0,
        });
        used.sum()
    }

    pub(super) fn file(&mut self, inode: Inode) -> &mut File {
        match self.nodes.get_mut(&inode) {
            Some(Node::File(file)) => file,
            _ => panic!("inode {inode} is not a file"),
        }
    }

    fn directory(&mut self, inode: Inode) -> &mut Directory {
        match self.nodes.get_mut(&inode) {
            Some(Node::Directory(directory)) => directory,
            _ => panic!("inode {inode} is not a directory"),
        }
    }

    fn place<'a>(&self, path: &'a str) -> Result<Place<'a>, Failed> {
        let mut names = path
            .split('/')
            .filter(|name| !name.is_empty() && *name != ".");
        let (mut directory, mut name, mut node) = (ROOT, "", Some(ROOT));
        for next in names.by_ref() {
            if next == ".." {
                return Err(libc::EINVAL);
            }
            let Some(found) = node else {
                return Err(libc::ENOENT);
            };
            match &self.nodes[&found] {
                Node::File(_) => return Err(libc::ENOTDIR),
                Node::Directory(entries) => {
                    (directory, name) = (found, next);
                    node = entries.entries.get(next).copied();
                }
            }
        }
        if path.is_empty() {
            return Err(libc::ENOENT);
        }
        Ok(Place {
            directory,
            name,
            node,
        })
    }

    /// What stands at `path`.
    pub(super) fn find(&self, path: &str) -> Result<Inode, Failed> {
        self.place(path)?.node.ok_or(libc::ENOENT)
    }

    fn is_directory(&self, inode: Inode) -> bool {
        matches!(self.nodes[&inode], Node::Directory(_))
    }

    fn add(&mut self, node: Node) -> Inode {
        let inode = self.next;
        self.next += 1;
        self.nodes.insert(inode, node);
        inode
    }

    fn change(&mut self, edits: Vec<Edit>) {
        let sequence = self.next_sequence();
        for (directory, name, node) in &edits {
            let entries = &mut self.directory(*directory).entries;
            match node {
                Some(inode) => entries.insert(name.clone(), *inode),
                None => entries.remove(name),
            };
        }
        self.changes.push(Change { sequence, edits });
    }

    /// Opens: the inode, and whether it is a directory. [`Disk::release`] when done.
    pub(super) fn open(&mut self, path: &str, mode: OpenMode) -> Result<(Inode, bool), Failed> {
        if mode.create && mode.directory {
            return Err(libc::EINVAL);
        }
        let place = self.place(path)?;
        let inode = match place.node {
            Some(inode) if self.is_directory(inode) => {
                if mode.write || mode.create || mode.truncate {
                    return Err(libc::EISDIR);
                }
                inode
            }
            Some(_) if mode.directory => return Err(libc::ENOTDIR),
            Some(inode) => {
                if mode.truncate {
                    let sequence = self.next_sequence();
                    self.file(inode).truncate(sequence, 0);
                }
                inode
            }
            None if mode.create => {
                let (directory, name) = (place.directory, place.name.to_owned());
                let inode = self.add(Node::File(File::default()));
                self.change(vec![(directory, name, Some(inode))]);
                inode
            }
            None => return Err(libc::ENOENT),
        };
        *self.open.entry(inode).or_default() += 1;
        Ok((inode, self.is_directory(inode)))
    }

    /// An open handle is gone.
    pub(super) fn release(&mut self, inode: Inode) {
        let count = self.open.get_mut(&inode).expect("it was opened");
        *count -= 1;
        if *count == 0 {
            self.open.remove(&inode);
            self.collect_at_times();
        }
    }

    /// Nothing is open any more: the process is gone.
    pub(super) fn release_all(&mut self) {
        self.open.clear();
        self.collect();
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<(), Failed> {
        let (old, new) = (self.place(from)?, self.place(to)?);
        let moved = old.node.ok_or(libc::ENOENT)?;
        if moved == ROOT || new.node == Some(ROOT) {
            return Err(libc::EBUSY);
        }
        if new.node == Some(moved) {
            return Ok(());
        }
        if self.is_directory(moved) && self.holds(moved, new.directory) {
            return Err(libc::EINVAL);
        }
        if let Some(replaced) = new.node {
            match (&self.nodes[&replaced], self.is_directory(moved)) {
                (Node::File(_), true) => return Err(libc::ENOTDIR),
                (Node::Directory(_), false) => return Err(libc::EISDIR),
                (Node::Directory(d), true) if !d.entries.is_empty() => {
                    return Err(libc::ENOTEMPTY);
                }
                _ => {}
            }
        }
        let edits = vec![
            (old.directory, old.name.to_owned(), None),
            (new.directory, new.name.to_owned(), Some(moved)),
        ];
        self.change(edits);
        Ok(())
    }

    /// Whether `inner` is `outer` or lies below it.
    fn holds(&self, outer: Inode, inner: Inode) -> bool {
        outer == inner
            || match &self.nodes[&outer] {
                Node::Directory(d) => d
                    .entries
                    .values()
                    .any(|child| self.is_directory(*child) && self.holds(*child, inner)),
                Node::File(_) => false,
            }
    }

    pub(super) fn remove(&mut self, path: &str) -> Result<(), Failed> {
        let place = self.place(path)?;
        if self.is_directory(place.node.ok_or(libc::ENOENT)?) {
            return Err(libc::EISDIR);
        }
        let edits = vec![(place.directory, place.name.to_owned(), None)];
        self.change(edits);
        Ok(())
    }

    pub(super) fn remove_dir(&mut self, path: &str) -> Result<(), Failed> {
        let place = self.place(path)?;
        match &self.nodes[&place.node.ok_or(libc::ENOENT)?] {
            Node::File(_) => return Err(libc::ENOTDIR),
            Node::Directory(_) if place.node == Some(ROOT) => return Err(libc::EBUSY),
            Node::Directory(d) if !d.entries.is_empty() => return Err(libc::ENOTEMPTY),
            Node::Directory(_) => {}
        }
        let edits = vec![(place.directory, place.name.to_owned(), None)];
        self.change(edits);
        Ok(())
    }

    pub(super) fn make_dir(&mut self, path: &str) -> Result<(), Failed> {
        let place = self.place(path)?;
        if place.node.is_some() {
            return Err(libc::EEXIST);
        }
        let (directory, name) = (place.directory, place.name.to_owned());
        let inode = self.add(Node::Directory(Directory::default()));
        self.change(vec![(directory, name, Some(inode))]);
        Ok(())
    }

    pub(super) fn list(&self, path: &str) -> Result<Vec<String>, Failed> {
        match &self.nodes[&self.find(path)?] {
            Node::File(_) => Err(libc::ENOTDIR),
            Node::Directory(d) => Ok(d.entries.keys().cloned().collect()),
        }
    }

    /// Makes durable the changes to `directory` up to `sequence`, and what they rest on.
    pub(super) fn sync_directory(&mut self, directory: Inode, sequence: u64) {
        let mut names = BTreeSet::new();
        let mut chosen = Vec::new();
        for (at, change) in self.changes.iter().enumerate().rev() {
            let wanted = change.edits.iter().any(|(inside, name, _)| {
                change.sequence <= sequence && *inside == directory
                    || names.contains(&(*inside, name.clone()))
            });
            if wanted {
                let touched = change.edits.iter().map(|(d, name, _)| (*d, name.clone()));
                names.extend(touched);
                chosen.push(at);
            }
        }
        // Later changes to a name were seen first, so whatever was chosen precedes none of them.
        let changes = std::mem::take(&mut self.changes);
        for (at, change) in changes.into_iter().enumerate() {
            if chosen.contains(&at) {
                self.keep(change);
            } else {
                self.changes.push(change);
            }
        }
        self.collect_at_times();
    }

    /// Makes durable all changes of names that `covered` names.
    pub(super) fn sync_names(&mut self, covered: &Covered) {
        for change in std::mem::take(&mut self.changes) {
            match covered.covers(change.sequence) {
                true => self.keep(change),
                false => self.changes.push(change),
            }
        }
        self.collect_at_times();
    }

    /// What a sync of everything, submitted now, will cover.
    pub(super) fn covered(&mut self) -> Covered {
        self.collect();
        let files = self.nodes.values().filter_map(|node| match node {
            Node::File(file) => Some(file),
            Node::Directory(_) => None,
        });
        Covered::but_for(self.sequence, files)
    }

    /// All files.
    pub(super) fn files(&mut self) -> Vec<Inode> {
        self.collect();
        let files = self.nodes.iter();
        let files = files.filter(|(_, node)| matches!(node, Node::File(_)));
        files.map(|(inode, _)| *inode).collect()
    }

    /// Makes one change durable.
    pub(super) fn keep(&mut self, change: Change) {
        for (directory, name, node) in change.edits {
            // The directory itself may be gone by now.
            if let Some(Node::Directory(directory)) = self.nodes.get_mut(&directory) {
                match node {
                    Some(inode) => directory.durable.insert(name, inode),
                    None => directory.durable.remove(&name),
                };
            }
        }
    }

    /// Everything so far is durable: a world's beginning.
    pub(super) fn keep_all(&mut self) {
        for change in std::mem::take(&mut self.changes) {
            self.keep(change);
        }
    }

    /// All files below a directory by path, as page cache shows them, or as reads past it do.
    pub(super) fn contents(&mut self, below: &str, direct: bool) -> BTreeMap<String, Vec<u8>> {
        let mut look = Vec::new();
        if let Ok(inode) = self.find(below) {
            look.push((below.trim_end_matches('/').to_owned(), inode));
        }
        let mut files = BTreeMap::new();
        while let Some((path, inode)) = look.pop() {
            match self.nodes.get_mut(&inode) {
                Some(Node::File(file)) => {
                    let mut bytes = vec![0; file.len() as usize];
                    file.read(0, &mut bytes, direct);
                    files.insert(path, bytes);
                }
                Some(Node::Directory(directory)) => {
                    let entries = directory.entries.iter();
                    look.extend(entries.map(|(name, inode)| (format!("{path}/{name}"), *inode)));
                }
                None => {}
            }
        }
        files
    }

    /// Makes the same directories and files on another disk, durably.
    pub(super) fn copy_to(&mut self, other: &mut Disk) {
        let mut look = vec![(ROOT, ROOT)];
        while let Some((from, to)) = look.pop() {
            let Some(Node::Directory(directory)) = self.nodes.get(&from) else {
                continue;
            };
            for (name, inode) in directory.entries.clone() {
                let node = match self.nodes.get_mut(&inode) {
                    Some(Node::File(file)) => Node::File(file.copy()),
                    _ => Node::Directory(Directory::default()),
                };
                let added = other.add(node);
                other.change(vec![(to, name, Some(added))]);
                look.push((inode, added));
            }
        }
        other.keep_all();
    }

    /// Frees inodes that nothing holds, but not each time: it takes as long as there are inodes, and
    /// who goes over all of them frees them first.
    fn collect_at_times(&mut self) {
        self.let_go += 1;
        if self.let_go > self.nodes.len() {
            self.collect();
        }
    }

    /// Frees inodes that nothing holds.
    pub(super) fn collect(&mut self) {
        self.let_go = 0;
        let mut held: BTreeSet<Inode> = BTreeSet::new();
        let edits = self.changes.iter().flat_map(|change| &change.edits);
        let mut look: Vec<Inode> = edits
            .flat_map(|(directory, _, node)| [Some(*directory), *node])
            .flatten()
            .chain(self.open.keys().copied())
            .chain([ROOT])
            .collect();
        while let Some(inode) = look.pop() {
            if held.insert(inode)
                && let Some(Node::Directory(d)) = self.nodes.get(&inode)
            {
                look.extend(d.entries.values().chain(d.durable.values()));
            }
        }
        self.nodes.retain(|inode, _| held.contains(inode));
    }
}
