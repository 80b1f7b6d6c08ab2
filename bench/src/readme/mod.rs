//! The README's figures: one table and one plot, made from the newest results and never typed.
//!
//! A test makes them again from the committed results and compares.

mod plot;
mod results;
mod section;

use std::path::Path;

use anyhow::{Context, Result};

use crate::report::save;
use results::Results;

/// Where the plot lies, beside the results.
const PLOT: &str = "summary.svg";
const BEGIN: &str = "<!-- figures:begin -->";
const END: &str = "<!-- figures:end -->";

/// What is generated.
struct Made {
    readme: String,
    plot: String,
}

/// The README with its section made anew.
fn make(readme: &Path, results: &Path) -> Result<Made> {
    let found = Results::newest(results)?;
    let old = std::fs::read_to_string(readme)
        .with_context(|| format!("cannot read {}", readme.display()))?;
    let (before, rest) = old
        .split_once(BEGIN)
        .with_context(|| format!("no {BEGIN} in {}", readme.display()))?;
    let (_, after) = rest
        .split_once(END)
        .with_context(|| format!("no {END} in {}", readme.display()))?;
    let section = section::markdown(&found, PLOT);
    Ok(Made {
        readme: format!("{before}{BEGIN}\n{section}{END}{after}"),
        plot: plot::svg(&found),
    })
}

/// Writes the section and the plot.
///
/// # Errors
/// When there is no result yet, or nothing can be written.
pub(crate) fn update(readme: &Path, results: &Path) -> Result<()> {
    let made = make(readme, results)?;
    save::write(&results.join(PLOT), made.plot.as_bytes())?;
    std::fs::write(readme, made.readme)
        .with_context(|| format!("cannot write {}", readme.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_says_what_the_results_say() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let results = root.join("bench/results");
        let made = make(&root.join("README.md"), &results).expect("results");
        let again = "out of date: odradek bench readme";
        let readme = std::fs::read_to_string(root.join("README.md")).expect("a README");
        assert!(made.readme == readme, "README.md is {again}");
        let plot = std::fs::read_to_string(results.join(PLOT)).unwrap_or_default();
        assert!(made.plot == plot, "{PLOT} is {again}");
        assert!(plot.len() < 100_000);
    }
}
