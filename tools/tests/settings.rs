//! What `serve` and `doctor` make of settings, and how they refuse.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::path::Path;
use std::process::{Command, Output};

fn odradek(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_odradek"))
        .args(arguments)
        .output()
        .unwrap()
}

fn refusal(arguments: &[&str]) -> String {
    let output = odradek(arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn settings_are_refused_with_what_to_mend() {
    let error = refusal(&["serve", "/nowhere/server.properties"]);
    assert!(error.contains("/nowhere/server.properties"), "{error}");
    for program in ["serve", "doctor"] {
        let error = refusal(&[program, "--set", "shard=2"]);
        assert!(error.contains("did you mean shards?"), "{error}");
        let error = refusal(&[program, "--set", "shards=many"]);
        assert!(error.contains("shards=many"), "{error}");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.properties");
    std::fs::write(&path, "log.retention.ms=soon\n").unwrap();
    let error = refusal(&["serve", path.to_str().unwrap()]);
    assert!(error.contains("log.retention.ms=soon"), "{error}");
    assert!(error.contains(path.to_str().unwrap()), "{error}");
}

fn doctor(directory: &Path) -> (bool, String) {
    let set = format!("log.dirs={}", directory.display());
    let output = odradek(&["doctor", "--set", &set]);
    let text = String::from_utf8(output.stdout).unwrap();
    let good = output.status.success();
    assert_eq!(good, !text.contains("\nBAD "), "{text}");
    (good, text)
}

#[test]
fn the_doctor_looks_at_all_there_is() {
    let directory = tempfile::tempdir().unwrap();
    let (_, text) = doctor(&directory.path().join("not/yet/there"));
    for subject in [
        "kernel",
        "io_uring",
        "I/O driver",
        "log directory",
        "direct I/O",
        "writes",
        "fallocate",
        "cachestat",
        "CPUs",
        "CPU governor",
        "huge pages",
        "open files",
        "locked memory",
    ] {
        assert!(text.contains(subject), "{subject} is missing: {text}");
    }
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 0, "nothing is left behind");
}

#[test]
fn the_doctor_says_which_driver_it_will_be() {
    let output = odradek(&["doctor", "--set", "io.driver=poll"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let found = text.split_once("io.driver=poll\n").expect(&text).1;
    assert!(
        found.trim().starts_with("-> each shard will use epoll"),
        "{text}"
    );
}

#[test]
fn a_log_directory_that_cannot_be_written_is_a_reason_not_to_run() {
    let (good, text) = doctor(Path::new("/proc/odradek"));
    assert!(!good);
    assert!(text.contains("BAD   log directory"), "{text}");
}
