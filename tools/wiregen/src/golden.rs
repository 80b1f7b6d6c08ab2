//! The bytes that the codecs are tested against, written by Kafka's own classes.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::files;
use crate::jars::Jars;
use crate::java;

/// Where they are, from the workspace's root.
pub const PATH: &str = "engine/wire/tests/golden.gz";

/// Has them written; how many bytes they are.
pub fn write(root: &Path, jars: &Jars) -> Result<usize> {
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
    let golden = java::run(root, jars, "Golden.java", &messages)?;
    std::fs::write(root.join(PATH), &golden)?;
    Ok(golden.len())
}
