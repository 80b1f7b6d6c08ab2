//! Servers, disks and machines that do not do what they should: what is said, and what is kept.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::common::disk::SmallDisk;
use crate::common::{self, Node, bench};
use crate::{load, load_for, result, said};

pub fn nobody_listens() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let save = dir.path().join("result.json");
    let output = load("127.0.0.1:1", &save).output().expect("it starts");
    assert!(!output.status.success());
    assert!(said(&output).contains("127.0.0.1:1"), "{}", said(&output));
    assert!(!save.exists(), "nothing was measured, nothing is kept");
}

/// A server that greets each connection with `words` and hangs up.
fn greeter(words: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(words);
        }
    });
    address
}

pub fn who_listens_speaks_something_else() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let save = dir.path().join("result.json");
    let address = greeter(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let output = load(&address, &save).output().expect("it starts");
    assert!(!output.status.success());
    let said = said(&output);
    assert!(
        said.contains(&address) && said.contains("Kafka broker"),
        "{said}"
    );
}

pub fn who_listens_says_nothing_useful_and_hangs_up() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let save = dir.path().join("result.json");
    for words in [
        &b""[..],
        b"\0\0\0\x02ab",
        b"\0\0\0\x08\xff\xff\xff\xff\0\0\0\0",
    ] {
        let address = greeter(words);
        let output = load(&address, &save).output().expect("it starts");
        assert!(!output.status.success(), "{words:?}");
        let said = said(&output);
        assert!(
            said.contains(&address) && said.contains("Kafka broker"),
            "{said}"
        );
    }
}

pub fn a_server_that_answers_errors_is_quoted() {
    let node = Node::start();
    let save = node.dir().join("result.json");
    // Before the run.
    let output = load(&node.bootstrap, &save)
        .args(["--topic", "ill", "--topic-config", "retention.ms=soon"])
        .output()
        .expect("it starts");
    assert!(!output.status.success());
    assert!(said(&output).contains("retention.ms"), "{}", said(&output));
    assert!(!save.exists(), "nothing was measured, nothing is kept");
    // During it.
    let output = load(&node.bootstrap, &save)
        .args([
            "--topic",
            "narrow",
            "--topic-config",
            "max.message.bytes=300",
        ])
        .output()
        .expect("it starts");
    assert!(!output.status.success());
    let result = result(&save);
    assert!(!result.complete && result.totals.acked == 0);
    assert_eq!(result.totals.failed, result.totals.made);
    let problems = result.problems.join("; ");
    assert!(
        problems.contains("MESSAGE_TOO_LARGE") && problems.contains("partition 0"),
        "{problems}"
    );
    assert!(result.validity.holds(), "{:?}", result.validity);
}

/// A run under way: it has shown its first interval.
fn under_way(duration: &str, node: &Node, save: &Path) -> (Child, JoinHandle<String>) {
    let mut child = load_for(duration, &node.bootstrap, save)
        .args(["--rate", "2k", "--silence", "2s"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("its messages")).lines();
    let shown = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("acked")));
    assert!(shown.is_some(), "it ended before it had begun");
    // So that it is never blocked by a full pipe.
    let rest = std::thread::spawn(move || {
        let lines: Vec<String> = lines.map_while(Result::ok).collect();
        lines.join("\n")
    });
    (child, rest)
}

fn ends(mut child: Child) -> std::process::ExitStatus {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn a_node_that_is_killed_leaves_a_partial_result() {
    let mut node = Node::start();
    let save = node.dir().join("result.json");
    let (child, _) = under_way("60s", &node, &save);
    node.kill();
    let status = ends(child);
    assert!(!status.success());
    let result = result(&save);
    assert!(!result.complete);
    let problems = result.problems.join("; ");
    assert!(
        problems.contains("closed the connection") || problems.contains("reset"),
        "{problems}"
    );
    assert!(result.totals.acked > 0, "what was measured is kept");
    assert!(result.window.seconds < 60.0);
    let page = std::fs::read_to_string(save.with_extension("html")).expect("the page");
    assert!(
        page.contains("PARTIAL") || page.contains("Partial"),
        "the page says so"
    );
}

/// It is stopped, not killed: its kernel goes on taking bytes.
pub fn a_server_that_falls_silent_leaves_a_partial_result() {
    let node = Node::start();
    let save = node.dir().join("result.json");
    let (child, messages) = under_way("60s", &node, &save);
    common::signal(node.pid(), nix::sys::signal::Signal::SIGSTOP);
    assert!(!ends(child).success());
    let messages = messages.join().expect("its messages");
    let silence = format!("no answer from {} within 2s", node.bootstrap);
    assert!(messages.contains(&silence), "{messages}");
    let result = result(&save);
    assert!(!result.complete && result.totals.acked > 0);
    assert!(result.problems.contains(&silence), "{:?}", result.problems);
    assert!(result.window.seconds < 60.0);
    let page = std::fs::read_to_string(save.with_extension("html")).expect("the page");
    assert!(page.contains("PARTIAL RESULT"), "the page says so");
}

/// What was acked until then is proven and kept; the rest is named with the server's own error.
pub fn a_servers_disk_that_fills_up_leaves_a_partial_result() {
    let Some(disk) = SmallDisk::new(64) else {
        return;
    };
    let node = Node::start_at(&disk.path().join("data"), &["log.segment.bytes=1048576"]);
    let save = node.dir().join("result.json");
    let (child, _) = under_way("2s", &node, &save);
    disk.fill(1 << 20);
    assert!(!ends(child).success());
    let result = result(&save);
    assert!(!result.complete && result.totals.acked > 0 && result.totals.failed > 0);
    let problems = result.problems.join("; ");
    assert!(problems.contains("KAFKA_STORAGE_ERROR"), "{problems}");
    assert!(result.validity.holds(), "{:?}", result.validity);
    let page = std::fs::read_to_string(save.with_extension("html")).expect("the page");
    assert!(page.contains("PARTIAL RESULT"), "the page says so");
}

pub fn an_interrupt_leaves_a_partial_result() {
    let node = Node::start();
    let save = node.dir().join("result.json");
    let (child, _) = under_way("60s", &node, &save);
    common::interrupt(child.id());
    assert!(!ends(child).success());
    let result = result(&save);
    assert!(!result.complete);
    assert!(
        result.problems.contains(&"interrupted".to_owned()),
        "{:?}",
        result.problems
    );
    assert!(result.validity.holds(), "{:?}", result.validity);
}

pub fn a_result_that_cannot_be_kept_is_said_so_first() {
    let output = load("127.0.0.1:1", Path::new("/proc/no/result.json"))
        .output()
        .expect("it starts");
    assert!(!output.status.success());
    assert!(said(&output).contains("/proc/no"), "{}", said(&output));
    // The place goes away during the run, as a disk fills up.
    let node = Node::start();
    let place = node.dir().join("place");
    let save = place.join("result.json");
    let (child, messages) = under_way("500ms", &node, &save);
    std::fs::remove_dir(&place).expect("an empty directory");
    assert!(!ends(child).success());
    let messages = messages.join().expect("its messages");
    assert!(messages.contains("cannot write"), "{messages}");
    assert!(!save.exists());
}

/// The kernel takes no more than a few bytes of any file, as on a disk that is full.
pub fn a_full_disk_leaves_no_half_result() {
    use std::os::unix::process::CommandExt;

    use nix::sys::resource::{Resource, setrlimit};
    use nix::sys::signal::{SigHandler, Signal, signal};

    let node = Node::start();
    let place = node.dir().join("full");
    let save = place.join("result.json");
    let mut command = load(&node.bootstrap, &save);
    let limit = || {
        setrlimit(Resource::RLIMIT_FSIZE, 4096, 4096)?;
        // SAFETY: no handler is installed; ignoring is inherited by the program.
        unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) }?;
        Ok(())
    };
    // SAFETY: between fork and exec only two system calls are made.
    unsafe { command.pre_exec(limit) };
    let output = command.output().expect("it starts");
    assert!(!output.status.success());
    let said = said(&output);
    assert!(
        said.contains("cannot write") && said.contains("result.json"),
        "{said}"
    );
    let summary = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(summary.contains("validity        holds"), "{summary}");
    let left = std::fs::read_dir(&place).expect("the place").count();
    assert_eq!(left, 0, "no half result");
}

pub fn too_few_cores_are_refused() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let save = dir.path().join("result.json");
    let output = load("127.0.0.1:1", &save)
        .args(["--driver-cores", "5000"])
        .output()
        .expect("it starts");
    assert!(!output.status.success());
    assert!(said(&output).contains("core 5000"), "{}", said(&output));
    // All cores for the driver leave none to the server.
    let this = nix::unistd::Pid::from_raw(0);
    let allowed = nix::sched::sched_getaffinity(this).expect("cores");
    let cores = (0..nix::sched::CpuSet::count()).filter(|core| allowed.is_set(*core) == Ok(true));
    let cores: Vec<String> = cores.map(|core| core.to_string()).collect();
    let output = bench()
        .args(["load", "--brokers", "127.0.0.1:1", "--save"])
        .arg(&save)
        .args(["--driver-cores", &cores.join(",")])
        .output()
        .expect("it starts");
    assert!(!output.status.success());
    let said = said(&output);
    assert!(
        said.contains("too few cores") && said.contains("--share-cores"),
        "{said}"
    );
}
