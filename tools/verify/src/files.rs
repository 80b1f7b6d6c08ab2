//! Where files are read from.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Files and directories, to be read.
pub trait Files {
    /// What is in a directory, by name.
    ///
    /// # Errors
    /// It cannot be listed.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;

    /// A file's bytes, and how many there are.
    ///
    /// # Errors
    /// It cannot be opened; [`ErrorKind::NotFound`] if it is not there.
    fn open(&self, path: &Path) -> io::Result<(Box<dyn Read + '_>, u64)>;

    /// A file's bytes; `None` if it is not there.
    ///
    /// # Errors
    /// It cannot be read.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        match self.open(path) {
            Ok((mut file, _)) => file.read_to_end(&mut bytes).map(|_| Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The file system.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl Files for Disk {
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(directory)? {
            found.push(entry?.path());
        }
        found.sort();
        Ok(found)
    }

    fn open(&self, path: &Path) -> io::Result<(Box<dyn Read + '_>, u64)> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok((Box::new(file), length))
    }
}
