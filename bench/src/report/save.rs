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

/// Ends the names of results that are not of whole runs.
pub(crate) const PARTIAL: &str = "-partial";

/// Bytes of a result that is kept in the repository, at most.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// A result as JSON with its latencies to two significant digits; where it would be larger than
/// [`KEPT_BYTES_MAX`], to one. `form` makes it to so many digits.
///
/// # Errors
/// Those of `form`.
pub(crate) fn bounded(form: impl Fn(u8) -> Result<Vec<u8>>) -> Result<Vec<u8>> {
    let json = form(2)?;
    match json.len() > KEPT_BYTES_MAX {
        true => form(1),
        false => Ok(json),
    }
}

/// A result's faces.
pub(crate) struct Faces<'a> {
    /// It is not a whole run, and its name says so.
    pub(crate) partial: bool,
    pub(crate) json: &'a [u8],
    pub(crate) html: &'a str,
    pub(crate) markdown: &'a str,
}

/// Writes runs as JSON, page and markdown, all named by `prefix`, date and commit, into `dir`, which
/// is made if it is missing. Returns the markdown's path.
///
/// # Errors
/// When they cannot be written whole.
pub(crate) fn dated(
    dir: &Path,
    prefix: &str,
    started: &str,
    commit: &str,
    faces: &Faces<'_>,
) -> Result<PathBuf> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let date = started
        .replace(" UTC", "")
        .replace(':', "")
        .replace(' ', "-");
    let commit = commit.get(..10).unwrap_or("unknown");
    let part = if faces.partial { PARTIAL } else { "" };
    let path = dir.join(format!("{prefix}{date}-{commit}{part}.json"));
    write(&path, faces.json)?;
    write(&path.with_extension("html"), faces.html.as_bytes())?;
    let path = path.with_extension("md");
    write(&path, faces.markdown.as_bytes())?;
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
    let partial = if result.complete { "" } else { PARTIAL };
    format!("{date}-{label}-{commit}{partial}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_kept_to_one_digit() {
        let of = |each: usize| bounded(|digits| Ok(vec![digits; each * usize::from(digits)]));
        assert_eq!(of(KEPT_BYTES_MAX / 2).unwrap()[0], 2);
        assert_eq!(of(KEPT_BYTES_MAX / 2 + 1).unwrap()[0], 1);
    }
}
