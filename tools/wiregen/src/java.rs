//! Runs small Java programs with Kafka's classes.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::jars::Jars;

/// Runs the single-file program `name` of `tools/wiregen/java` with `input`; its output.
pub fn run(root: &Path, jars: &Jars, name: &str, input: &str) -> Result<Vec<u8>> {
    let mut child = Command::new("java")
        .arg("-cp")
        .arg(jars.class_path()?)
        .arg(root.join("tools/wiregen/java").join(name))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("running java")?;
    // The programs read all their input before they write.
    let mut stdin = child.stdin.take().context("java's standard input")?;
    stdin.write_all(input.as_bytes())?;
    drop(stdin);
    let output = child.wait_with_output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {errors}");
    Ok(output.stdout)
}
