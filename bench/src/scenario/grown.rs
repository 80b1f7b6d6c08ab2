//! Logs that are large without taking room: finished segments get a hole behind their last batch.
//!
//! Their indexes stay as they are, and say that the segments are whole: a start takes them by these
//! and by the files' lengths. One that read the logs would read all of it.

use std::path::Path;

use anyhow::{Context, Result};

/// Makes the first segment of each of the topic's logs longer by `hole` bytes, where there is an index
/// beside it and a segment behind it. How many there were, and the length of all logs now, bytes.
pub(super) fn grow(data: &Path, topic: &str, hole: u64) -> Result<(usize, u64)> {
    let (mut grown, mut bytes) = (0, 0);
    for partition in std::fs::read_dir(data).with_context(|| data.display().to_string())? {
        let path = partition?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = name.strip_prefix(topic).and_then(|it| it.strip_prefix('-'));
        if number.is_none_or(|number| number.parse::<u32>().is_err()) {
            continue;
        }
        let mut logs = Vec::new();
        for file in std::fs::read_dir(&path)? {
            let file = file?.path();
            if file.extension().is_some_and(|extension| extension == "log") {
                bytes += file.metadata()?.len();
                logs.push(file);
            }
        }
        logs.sort_unstable();
        if let [first, _, ..] = &logs[..]
            && first.with_extension("index").exists()
        {
            let file = std::fs::OpenOptions::new().write(true).open(first)?;
            file.set_len(file.metadata()?.len() + hole)?;
            grown += 1;
            bytes += hole;
        }
    }
    Ok((grown, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_finished_and_has_a_segment_behind_it_grows() {
        let data = tempfile::tempdir().expect("a directory");
        let put = |name: &str, len: usize| {
            let path = data.path().join(name);
            std::fs::create_dir_all(path.parent().expect("one")).expect("made");
            std::fs::write(path, vec![1; len]).expect("written");
        };
        for (name, len) in [
            ("t-0/00000000000000000000.log", 10),
            ("t-0/00000000000000000000.index", 8),
            ("t-0/00000000000000000005.log", 20),
            ("t-1/00000000000000000000.log", 30),
            ("t-1/00000000000000000000.index", 8),
            ("t-2/00000000000000000000.log", 40),
            ("t-2/00000000000000000007.log", 50),
            ("t-2-0/00000000000000000000.log", 60),
            ("other-0/00000000000000000000.log", 70),
        ] {
            put(name, len);
        }
        let (grown, bytes) = grow(data.path(), "t", 1 << 30).expect("grown");
        assert_eq!((grown, bytes), (1, 150 + (1 << 30)));
        let len = |name: &str| data.path().join(name).metadata().expect("a file").len();
        assert_eq!(len("t-0/00000000000000000000.log"), 10 + (1 << 30));
        assert_eq!(len("t-0/00000000000000000005.log"), 20);
    }
}
