//! What is committed is what the schemas and Kafka's classes give. Where the jars of the pinned
//! version are not in the local Maven repository (`odradek-wiregen --fetch` brings them), or
//! there is no Java, that is said and nothing is compared, except under `CI`, where it fails.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::path::Path;
use std::process::Command;

use odradek_wiregen::jars::{self, Jars};
use odradek_wiregen::{files, golden};

fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).expect("the workspace's root")
}

/// The jars; none, and why on standard error, where something is missing.
fn jars_or_skip(test: &str) -> Option<Jars> {
    let version = jars::pinned_version(root()).expect("the pinned version");
    let missing = match (
        Jars::cached(&version),
        Command::new("java").arg("-version").output(),
    ) {
        (Ok(jars), Ok(_)) => return Some(jars),
        (Err(error), _) => error.to_string(),
        (_, Err(error)) => format!("java: {error}"),
    };
    assert!(std::env::var_os("CI").is_none(), "{test} needs {missing}");
    eprintln!("skipped: {test}: {missing}");
    None
}

#[test]
fn generated_code_is_that_of_the_schemas() {
    let Some(jars) = jars_or_skip("generated_code_is_that_of_the_schemas") else {
        return;
    };
    let generated = files::generate(root(), &jars).expect("generated code");
    let differing = files::differing(&generated, &root().join(files::FOLDER)).expect("files");
    assert!(differing.is_empty(), "run odradek-wiregen: {differing:?}");
}

#[test]
fn golden_files_are_those_of_java() {
    let Some(jars) = jars_or_skip("golden_files_are_those_of_java") else {
        return;
    };
    for (name, bytes) in golden::generate(root(), &jars).expect("golden files") {
        let committed = std::fs::read(root().join(golden::FOLDER).join(name)).expect(name);
        // Another Java may compress otherwise.
        let (expected, found) = (plain(name, bytes), plain(name, committed));
        assert!(
            expected == found,
            "run odradek-wiregen --golden: {name} differs"
        );
    }
}

fn plain(name: &str, bytes: Vec<u8>) -> Vec<u8> {
    if !name.ends_with(".gz") {
        return bytes;
    }
    let mut plain = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(bytes.as_slice());
    std::io::Read::read_to_end(&mut decoder, &mut plain).expect(name);
    plain
}
