//! `odradek-wiregen`: writes the generated part of `engine/wire`.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use odradek_wiregen::jars::{self, Jars};
use odradek_wiregen::{files, golden};

/// Writes engine/wire/src/generated from the schemas inside the Apache Kafka jars.
#[derive(Parser)]
struct Arguments {
    /// Fetch the jars with mvn into the local Maven repository first
    #[arg(long)]
    fetch: bool,
    /// Also have Kafka's own classes write the bytes that the codecs are tested against
    #[arg(long)]
    golden: bool,
    /// Write nothing; fail where the generated code is not what it would be
    #[arg(long)]
    check: bool,
    /// The jars, in place of those in the local Maven repository
    jars: Vec<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .context("the workspace's root")?;
    let version = jars::pinned_version(root)?;
    if arguments.fetch {
        jars::fetch(&version)?;
    }
    let jars = if arguments.jars.is_empty() {
        Jars::cached(&version)?
    } else {
        Jars::at(arguments.jars)?
    };
    let generated = files::generate(root, &jars)?;
    let folder = root.join(files::FOLDER);
    if arguments.check {
        let differing = files::differing(&generated, &folder)?;
        ensure!(
            differing.is_empty(),
            "not as generated: {}",
            differing.join(", ")
        );
        return Ok(());
    }
    files::replace(&generated, &folder)?;
    println!("{} files for Apache Kafka {version}", generated.len());
    if arguments.golden {
        for (name, bytes) in golden::generate(root, &jars)? {
            std::fs::write(root.join(golden::FOLDER).join(name), &bytes)?;
            println!("{name}: {} bytes", bytes.len());
        }
    }
    Ok(())
}
