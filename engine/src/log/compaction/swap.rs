//! What names in a partition's directory say of an exchange of segments that was cut short.
//!
//! A compacted segment is written as `.log.cleaned`, with its indexes `.index.cleaned` and so on.
//! When all is durable, the indexes are renamed to `.swap`, then the log: from then on the exchange
//! happens, whatever comes. The old segments in its range are removed, the indexes take their names,
//! and last the log. Between the steps the directory is synced. So:
//!
//! - with `.log.swap` the exchange is finished;
//! - without it everything `.cleaned` or `.swap` is left over and goes, and the old segments are whole.
//!
//! Source: Kafka `LocalLog.replaceSegments`, `LogLoader.removeTempFilesAndCollectSwapFiles`.

use crate::log::parse_file_name;
use crate::types::Offset;

/// Ends the name of a file that is being written.
pub const CLEANED: &str = ".cleaned";
/// Ends the name of a file that is to take another's place.
pub const SWAP: &str = ".swap";

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SwapState<'a> {
    /// Files to be removed.
    pub litter: Vec<&'a str>,
    /// Bases of segments that are to take their place, with the files beside them to be renamed.
    pub pending: Vec<(Offset, Vec<&'a str>)>,
}

/// What is to be done about these names. Others are passed over.
pub fn swap_state(names: &[String]) -> SwapState<'_> {
    let mut state = SwapState::default();
    let based = |name: &'_ str, end: &str| {
        let (base, extension) = parse_file_name(name.strip_suffix(end)?)?;
        Some((base, extension == "log"))
    };
    for name in names {
        if name.ends_with(CLEANED) {
            state.litter.push(name);
        } else if let Some((base, true)) = based(name, SWAP) {
            state.pending.push((base, Vec::new()));
        }
    }
    for name in names.iter().filter(|name| name.ends_with(SWAP)) {
        let base = based(name, SWAP);
        let pending = state.pending.iter_mut();
        let mut pending =
            pending.filter(|(pending, _)| base.is_some_and(|(base, _)| base == *pending));
        match (pending.next(), base) {
            (Some(_), Some((_, true))) => {}
            (Some((_, files)), _) => files.push(name),
            (None, _) => state.litter.push(name),
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "00000000000000000000";
    const B: &str = "00000000000000000100";

    fn names(all: &[(&str, &str)]) -> Vec<String> {
        all.iter()
            .map(|(stem, end)| format!("{stem}{end}"))
            .collect()
    }

    #[test]
    fn before_the_log_is_renamed_nothing_has_happened() {
        for left in [
            &[(A, ".log.cleaned")][..],
            &[
                (A, ".log.cleaned"),
                (A, ".index.cleaned"),
                (A, ".timeindex.cleaned"),
            ],
            &[
                (A, ".log.cleaned"),
                (A, ".index.swap"),
                (A, ".timeindex.cleaned"),
            ],
            &[
                (A, ".index.swap"),
                (A, ".timeindex.swap"),
                (A, ".txnindex.swap"),
            ],
        ] {
            let mut all = names(left);
            let left = all.clone();
            all.extend(names(&[(A, ".log"), (A, ".index"), (B, ".log")]));
            let state = swap_state(&all);
            assert_eq!(state.pending, []);
            let mut litter = state.litter.clone();
            litter.sort_unstable();
            let mut left: Vec<_> = left.iter().map(String::as_str).collect();
            left.sort_unstable();
            assert_eq!(litter, left);
        }
    }

    #[test]
    fn afterwards_it_is_finished() {
        let all = names(&[
            (A, ".log"),
            (A, ".log.swap"),
            (A, ".index.swap"),
            (A, ".timeindex.swap"),
            (B, ".log"),
            (B, ".index.swap"),
        ]);
        let state = swap_state(&all);
        let files = vec![all[2].as_str(), all[3].as_str()];
        assert_eq!(state.pending, [(Offset(0), files)]);
        assert_eq!(state.litter, [all[5].as_str()]);
        let all = names(&[(A, ".log.swap"), (A, ".index")]);
        assert_eq!(swap_state(&all).pending, [(Offset(0), vec![])]);
        assert_eq!(swap_state(&names(&[(A, ".log")])), SwapState::default());
    }
}
