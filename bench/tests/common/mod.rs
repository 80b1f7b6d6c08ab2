//! A test that is its own `odradek`.
#![allow(dead_code)] // each test uses a part

pub mod disk;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use clap::Parser;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
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
    signal(pid, Signal::SIGINT);
}

pub fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid as i32), signal).expect("it runs");
}

/// No command of a test takes longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs it and calls `at` with the child when it says `word`. Whether it succeeded, and what it
/// said.
pub fn when(mut command: Command, word: &str, at: impl FnOnce(&Child)) -> (bool, String) {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let pid = Pid::from_raw(child.id() as i32);
    let (ended, wait) = channel::<()>();
    let watch = std::thread::spawn(move || {
        if wait.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let _ = kill(pid, Signal::SIGKILL);
        }
    });
    let (mut said, mut at) = (String::new(), Some(at));
    for line in BufReader::new(child.stderr.take().expect("its messages")).lines() {
        said += &(line.expect("a line") + "\n");
        if said.contains(word)
            && let Some(at) = at.take()
        {
            at(&child);
        }
    }
    drop(ended);
    watch.join().expect("a watch");
    assert!(at.is_none(), "it never said {word:?}: {said}");
    (child.wait().expect("it ends").success(), said)
}

/// Lets a command run on one core only: which.
pub fn on_one_core(command: &mut Command) -> usize {
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use std::os::unix::process::CommandExt;
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).expect("cores");
    let first = (0..CpuSet::count()).find(|core| allowed.is_set(*core) == Ok(true));
    let first = first.expect("a core");
    let mut one = CpuSet::new();
    one.set(first).expect("a core");
    // SAFETY: between fork and exec only one system call is made.
    unsafe { command.pre_exec(move || Ok(sched_setaffinity(this, &one)?)) };
    first
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
