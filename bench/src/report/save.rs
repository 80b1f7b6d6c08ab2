//! Where results are kept.
//!
//! A file is written beside its place and renamed: what stands there is whole, even when the disk
//! is full.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::NamedTempFile;

use super::RunResult;

/// A place that could be written to when it was chosen.
#[derive(Clone, Debug)]
pub struct Place {
    dir: PathBuf,
    /// None: named by date, label and commit.
    name: Option<PathBuf>,
}

impl Place {
    /// `file`, or else a dated name in `dir`, which is made if it is missing.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub fn new(file: Option<&Path>, dir: &Path) -> Result<Self> {
        let dir = match file {
            Some(file) => file.parent().filter(|dir| *dir != Path::new("")),
            None => Some(dir),
        };
        let dir = dir.unwrap_or(Path::new(".")).to_owned();
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        NamedTempFile::new_in(&dir)
            .with_context(|| format!("cannot write into {}", dir.display()))?;
        Ok(Self {
            dir,
            name: file.map(Path::to_owned),
        })
    }

    /// Writes the result as JSON and its page beside it. Returns the JSON's path.
    ///
    /// # Errors
    /// When it cannot be written whole; nothing stands at its place then.
    pub fn keep(&self, result: &RunResult) -> Result<PathBuf> {
        let path = match &self.name {
            Some(name) => name.clone(),
            None => self.dir.join(name(result)),
        };
        let json = serde_json::to_vec(result)?;
        write(&path, &json)?;
        write(
            &path.with_extension("html"),
            super::html::page(result).as_bytes(),
        )?;
        Ok(path)
    }
}

/// Writes a file whole or not at all.
///
/// # Errors
/// When it cannot be written whole; nothing new stands at its place then.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let dir = path.parent().filter(|dir| *dir != Path::new(""));
    let written = || -> Result<()> {
        let mut file = NamedTempFile::new_in(dir.unwrap_or(Path::new(".")))?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    written().with_context(|| format!("cannot write {}", path.display()))
}

/// Writes runs as JSON and their page as markdown, both named by `prefix`, date and commit, into
/// `dir`, which is made if it is missing. Returns the page's path.
///
/// # Errors
/// When they cannot be written whole.
pub(crate) fn dated(
    dir: &Path,
    prefix: &str,
    started: &str,
    commit: &str,
    json: &str,
    page: &str,
) -> Result<PathBuf> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let date = started
        .replace(" UTC", "")
        .replace(':', "")
        .replace(' ', "-");
    let commit = commit.get(..10).unwrap_or("unknown");
    let path = dir.join(format!("{prefix}{date}-{commit}.json"));
    write(&path, json.as_bytes())?;
    let path = path.with_extension("md");
    write(&path, page.as_bytes())?;
    Ok(path)
}

/// By date, label and commit.
fn name(result: &RunResult) -> String {
    let date = result.started.replace([':', ' '], "-");
    let label = result.label.chars().map(|c| match c {
        c if c.is_ascii_alphanumeric() => c.to_ascii_lowercase(),
        _ => '-',
    });
    let label: String = label.take(40).collect();
    let commit = result.machine.commit.get(..10).unwrap_or("unknown");
    let partial = if result.complete { "" } else { "-partial" };
    format!("{date}-{label}-{commit}{partial}.json")
}
