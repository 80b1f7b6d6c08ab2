//! What the codecs and tables are tested against, written by Kafka's own classes.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::files;
use crate::jars::Jars;
use crate::java;

/// Where the files are, from the workspace's root.
pub const FOLDER: &str = "engine/wire/tests";

/// Files under `engine/wire/tests` with what they hold: messages of all kinds and versions, and
/// what Kafka says of its APIs.
pub fn generate(root: &Path, jars: &Jars) -> Result<[(&'static str, Vec<u8>); 2]> {
    let classes = jars.classes()?;
    let mut messages = String::new();
    for message in files::modules(jars)?
        .iter()
        .flat_map(|module| &module.messages)
    {
        let schema = &message.schema;
        let simple = format!("{}Data", schema.name);
        let class = classes
            .get(&simple)
            .or_else(|| classes.get(&schema.name))
            .with_context(|| format!("{} has no class", schema.name))?;
        writeln!(messages, "{} {class}", schema.name)?;
    }
    Ok([
        (
            "golden.gz",
            java::run(root, jars, "Golden.java", &messages)?,
        ),
        ("apis.txt", java::run(root, jars, "Apis.java", "")?),
    ])
}
