//! A test that is its own `odradek`.
#![allow(dead_code)] // each test uses a part

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use clap::Parser;
use odradek_shards::config::Settings;
use serde_json::Value;

#[derive(Parser)]
enum Program {
    Bench(odradek_bench::cli::Args),
    Serve {
        #[arg(long = "set")]
        settings: Vec<String>,
    },
}

/// Runs `bench` or `serve` if this process was started so.
pub fn as_odradek() -> Option<ExitCode> {
    let first = std::env::args().nth(1)?;
    (first == "bench" || first == "serve").then(|| match Program::parse() {
        Program::Bench(args) => odradek_bench::cli::run(args),
        Program::Serve { settings } => serve(&settings),
    })
}

/// The node, as `odradek serve` runs it.
fn serve(settings: &[String]) -> ExitCode {
    let pairs: Vec<(String, String)> = settings
        .iter()
        .filter_map(|setting| setting.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let settings = match Settings::load(None, &pairs) {
        Ok((settings, _)) => settings,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match odradek_shards::node::run(settings, |ready| println!("{ready}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Says that a test does not run here, for want of `needed`.
///
/// # Panics
/// Where CI is set: there nothing goes untested unseen.
pub fn skip(needed: &str) {
    let ci = std::env::var_os("CI").is_some();
    assert!(!ci, "with CI set no test may be skipped: {needed}");
    println!("SKIPPED: {needed}");
}

pub fn bench() -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.arg("bench");
    command
}

pub fn json(path: &Path) -> Value {
    let saved = std::fs::read(path).expect("a result");
    serde_json::from_slice(&saved).expect("JSON")
}

/// As Ctrl-C does.
pub fn interrupt(pid: u32) {
    use nix::sys::signal::{Signal, kill};
    kill(nix::unistd::Pid::from_raw(pid as i32), Signal::SIGINT).expect("it runs");
}

/// A running node of one shard; killed when dropped.
pub struct Node {
    child: Child,
    dir: tempfile::TempDir,
    pub bootstrap: String,
}

impl Node {
    pub fn start() -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let data = dir.path().join("data");
        Self::run(dir, &data, &[])
    }

    /// Its data in `data`, with settings: `name=value`.
    pub fn start_at(data: &Path, settings: &[&str]) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        Self::run(dir, data, settings)
    }

    fn run(dir: tempfile::TempDir, data: &Path, settings: &[&str]) -> Self {
        let data = format!("log.dirs={}", data.display());
        let usual = [
            "listeners=PLAINTEXT://127.0.0.1:0",
            "shards=1",
            "metrics.listener=127.0.0.1:0",
            &data,
        ];
        let all = usual.iter().chain(settings);
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .arg("serve")
            .args(all.flat_map(|setting| ["--set", setting]))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stdout = child.stdout.take().expect("its output");
        let ready = BufReader::new(stdout)
            .lines()
            .map_while(Result::ok)
            .find(|line| line.starts_with("READY "))
            .expect("a node that gets ready");
        let bootstrap = ready
            .split_whitespace()
            .find_map(|word| word.strip_prefix("bootstrap="))
            .expect("an address")
            .to_owned();
        Self {
            child,
            dir,
            bootstrap,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ran");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
