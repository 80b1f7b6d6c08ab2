//! `odradek bench readme`

use std::path::PathBuf;

use anyhow::Result;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct ReadmeArgs {
    /// The file whose section is made anew
    #[arg(long, default_value = "README.md")]
    readme: PathBuf,
    /// Where the results are, and where the plot goes
    #[arg(long, default_value = "bench/results")]
    results: PathBuf,
}

pub(super) fn run(args: &ReadmeArgs) -> Result<()> {
    crate::readme::update(&args.readme, &args.results)?;
    eprintln!("written: {}", args.readme.display());
    Ok(())
}
