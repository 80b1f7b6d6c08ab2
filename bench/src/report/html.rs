//! A result as one self-contained page.

use super::RunResult;

/// The page.
pub fn page(result: &RunResult) -> String {
    format!(
        "<!doctype html><html><pre>{}</pre></html>\n",
        super::text::summary(result)
    )
}
