//! The real binary in a directory of its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use nix::sys::resource::{Resource, setrlimit};
use odradek_wire::ErrorCode;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use tempfile::TempDir;

use super::{Client, PATIENCE, wait_for, wait_until};

/// See the module.
pub struct TestNode {
    settings: Vec<(String, String)>,
    home: TempDir,
    data: PathBuf,
    running: Option<Running>,
    starts: usize,
    log_level: &'static str,
    /// What the process may take, and not raise.
    limits: Vec<(Resource, u64)>,
    /// What the process may call; none: everything.
    filter: Option<BpfProgram>,
}

struct Running {
    child: Child,
    bootstrap: String,
    shards: Vec<String>,
    metrics: Option<String>,
}

/// What a node that did not start left behind.
#[derive(Debug)]
pub struct Failure {
    pub status: ExitStatus,
    pub log: String,
}

impl TestNode {
    /// Starts a node with one shard and these settings over the defaults.
    pub fn start(settings: &[(&str, &str)]) -> TestNode {
        let mut node = TestNode::prepare(settings);
        node.run();
        node
    }

    /// A node that is not started yet.
    pub fn prepare(settings: &[(&str, &str)]) -> TestNode {
        let home = tempfile::Builder::new()
            .prefix("node-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("a directory for the test");
        let data = home.path().join("data");
        let mut node = TestNode {
            settings: Vec::new(),
            home,
            data,
            running: None,
            starts: 0,
            log_level: "info",
            limits: Vec::new(),
            filter: None,
        };
        node.set("listeners", "PLAINTEXT://127.0.0.1:0");
        node.set("shards.port.base", "0");
        node.set("shards", "1");
        node.set("metrics.listener", "127.0.0.1:0");
        // All tests on another driver: `tools/test --driver poll`.
        if let Ok(driver) = std::env::var("ODRADEK_TEST_IO_DRIVER") {
            node.set("io.driver", &driver);
        }
        for (key, value) in settings {
            node.set(key, value);
        }
        node
    }

    /// Changes a setting for the next start.
    pub fn set(&mut self, key: &str, value: &str) {
        self.settings.retain(|(other, _)| other != key);
        self.settings.push((key.to_owned(), value.to_owned()));
    }

    /// How much the node logs from the next start on.
    pub fn set_log_level(&mut self, level: &'static str) {
        self.log_level = level;
    }

    /// The process may take so much of something, and not raise that.
    pub fn limit(&mut self, what: Resource, most: u64) {
        self.limits.push((what, most));
    }

    /// From the next start on system call `number` is refused with EPERM, or not any more.
    pub fn forbid(&mut self, number: Option<i64>) {
        self.filter = number.map(|number| {
            let rules = BTreeMap::from([(number, Vec::new())]);
            let refused = SeccompAction::Errno(libc::EPERM as u32);
            let here = std::env::consts::ARCH.try_into().expect("a known machine");
            SeccompFilter::new(rules, SeccompAction::Allow, refused, here)
                .and_then(BpfProgram::try_from)
                .expect("a filter")
        });
    }

    /// Puts the data somewhere else than into the node's own directory.
    pub fn set_data(&mut self, data: &Path) {
        self.data = data.to_owned();
    }

    /// The log directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A directory that goes with the node.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    fn log_path(&self) -> PathBuf {
        self.home.path().join(format!("stderr-{}.log", self.starts))
    }

    /// What the node of the last start has logged.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn spawn(&mut self) -> Child {
        assert!(self.running.is_none(), "one process at a time");
        self.starts += 1;
        let log = File::create(self.log_path()).expect("a log file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_odradek"));
        command.arg("serve").env("RUST_LOG", self.log_level);
        command.env_remove("RUST_BACKTRACE");
        for (key, value) in &self.settings {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        for (what, most) in self.limits.clone() {
            // SAFETY: system calls and nothing else.
            unsafe { command.pre_exec(move || limit(what, most)) };
        }
        if let Some(filter) = self.filter.clone() {
            let apply = move || seccompiler::apply_filter(&filter).map_err(std::io::Error::other);
            // SAFETY: two system calls; memory is touched only where they fail.
            unsafe { command.pre_exec(apply) };
        }
        let data = self.data.display();
        command.arg("--set").arg(format!("log.dirs={data}"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the node's binary runs")
    }

    /// Starts the node, and waits until it serves.
    pub fn run(&mut self) {
        if let Err(failure) = self.try_run() {
            panic!("the node did not start: {failure:?}");
        }
    }

    /// Starts the node; what it left behind if it stops instead of serving.
    pub fn try_run(&mut self) -> Result<(), Failure> {
        let mut child = self.spawn();
        let stdout = child.stdout.take().expect("piped");
        let (send, ready) = mpsc::channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stdout);
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
                if line.starts_with("READY ") {
                    let _ = send.send(line.trim().to_owned());
                }
                line.clear();
            }
        });
        let line = match ready.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let status = exit(&mut child);
                return Err(Failure {
                    status,
                    log: self.log(),
                });
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the node was not ready in time; its log:\n{}", self.log());
            }
        };
        let field = |name: &str| {
            let found = line.split(' ').find_map(|word| word.strip_prefix(name));
            found.unwrap_or_else(|| panic!("no {name} in {line:?}"))
        };
        let metrics = line
            .split(' ')
            .find_map(|word| word.strip_prefix("metrics="));
        self.running = Some(Running {
            metrics: metrics.map(str::to_owned),
            bootstrap: field("bootstrap=").to_owned(),
            shards: field("shards=").split(',').map(str::to_owned).collect(),
            child,
        });
        Ok(())
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("a running node")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.running().child.id()
    }

    pub fn bootstrap(&self) -> &str {
        &self.running().bootstrap
    }

    /// The shards' advertised addresses.
    pub fn shards(&self) -> &[String] {
        &self.running().shards
    }

    /// Where its metrics are, if it serves them.
    pub fn metrics(&self) -> Option<&str> {
        self.running().metrics.as_deref()
    }

    /// A connection to the first shard.
    pub fn client(&self) -> Client {
        Client::connect(&self.shards()[0])
    }

    /// A connection to the shard that leads a partition.
    pub fn leader(&self, topic: &str, index: usize) -> Client {
        let (error, leaders) = self.client().metadata(topic, false);
        assert_eq!(error, ErrorCode::None, "{topic}");
        match self.shards() {
            // The node is one broker.
            [node] => Client::connect(node),
            // Core mode: node.id x 1000 + shard.
            shards => Client::connect(&shards[leaders[index].0 as usize % 1000]),
        }
    }

    /// Makes a topic with the node's defaults.
    pub fn create(&self, topic: &str) {
        let mut client = self.client();
        client.metadata(topic, true);
        wait_until("the topic exists", || {
            client.metadata(topic, false).0 == ErrorCode::None
        });
    }

    /// Ends it as an operator does: SIGTERM, and a clean exit.
    pub fn stop(&mut self) {
        let mut running = self.running.take().expect("a running node");
        signal(&running.child, libc::SIGTERM);
        let status = exit(&mut running.child);
        assert!(status.success(), "clean stop: {status}\n{}", self.log());
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let mut running = self.running.take().expect("a running node");
        running.child.kill().expect("it can be killed");
        exit(&mut running.child);
    }

    /// Whether the process still runs.
    pub fn alive(&mut self) -> bool {
        let running = self.running.as_mut().expect("a started node");
        running.child.try_wait().expect("a child").is_none()
    }

    /// Resident memory now, bytes.
    pub fn rss(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let text = std::fs::read_to_string(path).expect("a running process");
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.trim().parse::<u64>().ok())
            .expect("VmRSS in kB")
            * 1024
    }

    /// Open file descriptors now.
    pub fn descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.pid());
        std::fs::read_dir(path).expect("a running process").count()
    }

    /// A partition's directory.
    pub fn partition(&self, topic: &str, index: i32) -> PathBuf {
        self.data().join(format!("{topic}-{index}"))
    }

    /// The partition's files of one kind, in order of their names: base offset and path.
    pub fn files(&self, topic: &str, index: i32, extension: &str) -> Vec<(i64, PathBuf)> {
        let directory = self.partition(topic, index);
        let Ok(entries) = std::fs::read_dir(&directory) else {
            return Vec::new();
        };
        let mut files: Vec<(i64, PathBuf)> = entries
            .map(|entry| entry.expect("a directory entry").path())
            .filter(|path| path.extension().is_some_and(|found| found == extension))
            .filter_map(|path| Some((path.file_stem()?.to_str()?.parse().ok()?, path)))
            .collect();
        files.sort();
        files
    }

    /// Waits for a line of the log that holds `text`.
    pub fn logged(&self, text: &str) -> String {
        wait_for(text, || {
            let log = self.log();
            let line = log.lines().find(|line| line.contains(text));
            line.map(str::to_owned)
        })
    }
}

impl TestNode {
    /// Asserts that of the log's lines that hold `text` no second has more than `most`, by their
    /// own times; there must be some. Returns how many there are.
    pub fn seldom(&self, text: &str, most: usize) -> usize {
        let mut seconds: BTreeMap<String, usize> = BTreeMap::new();
        for line in self.log().lines().filter(|line| line.contains(text)) {
            // 2026-11-22T14:20:12.123456Z
            let second = line.get(..19).filter(|time| time.as_bytes()[10] == b'T');
            let second = second.unwrap_or_else(|| panic!("no time: {line}"));
            *seconds.entry(second.to_owned()).or_default() += 1;
        }
        assert!(!seconds.is_empty(), "no line with {text:?}");
        for (second, lines) in &seconds {
            assert!(*lines <= most, "{second}: {lines} lines with {text:?}");
        }
        seconds.values().sum()
    }
}

/// In the new process, before the node runs.
fn limit(what: Resource, most: u64) -> std::io::Result<()> {
    const CAP_SYS_RESOURCE: u64 = 24;
    // SAFETY: no pointers. It may fail where we are not root, and is not needed there.
    unsafe { libc::prctl(libc::PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0) };
    setrlimit(what, most, most)?;
    Ok(())
}

fn signal(child: &Child, signal: i32) {
    // SAFETY: kill touches no memory; the child has not been waited for, so its id is its own.
    let result = unsafe { libc::kill(child.id() as i32, signal) };
    assert_eq!(result, 0, "signal {signal}");
}

/// Waits for the end of a process, not for ever.
fn exit(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status;
        }
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the process did not end");
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
        if std::thread::panicking() {
            let mut log = String::new();
            if let Ok(mut file) = File::open(self.log_path()) {
                let _ = file.read_to_string(&mut log);
            }
            let from = log.len().saturating_sub(8000);
            let from = (from..=log.len()).find(|at| log.is_char_boundary(*at));
            let tail = &log[from.unwrap_or(0)..];
            eprintln!("--- the node's log, its end:\n{tail}---");
        }
    }
}
