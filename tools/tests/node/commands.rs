//! The command line against a running node: what it changes, and what it shows.

use std::io::Write;
use std::process::{Command, Stdio};

use odradek_wire::ErrorCode;

use crate::common::{TestNode, batch};

struct Ran {
    ok: bool,
    out: String,
    err: String,
}

fn run(node: &TestNode, line: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_odradek"))
        .args(line)
        .args(["--bootstrap-server", &node.shards()[0]])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut stdin = child.stdin.take().expect("piped");
    // A command that reads nothing may have ended.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("its output");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Ran {
        ok: output.status.success(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

pub fn done(node: &TestNode, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let ran = run(node, &words, "");
    assert!(ran.ok, "{line}: {}", ran.err);
    ran.out
}

fn refused(node: &TestNode, line: &str, why: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let ran = run(node, &words, "");
    assert!(!ran.ok, "{line}: {}", ran.out);
    assert!(ran.err.contains(why), "{line}: {}", ran.err);
}

#[test]
fn partitions_move() {
    let node = TestNode::start(&[("shards", "2"), ("node.id", "3")]);
    done(&node, "topic create t --partitions 4");
    let leaders = || -> Vec<i32> {
        let (_, leaders) = node.client().metadata("t", false);
        leaders.into_iter().map(|(leader, _)| leader).collect()
    };
    done(&node, "topic move t --all --to 1");
    assert_eq!(leaders(), [3001; 4]);
    let out = done(&node, "topic move t --partition 2 --partition 0 --to 3000");
    assert!(out.contains("moved t-2 from 3001 to 3000"), "{out}");
    assert_eq!(leaders(), [3000, 3001, 3000, 3001]);
    let out = done(&node, "topic move t --balance");
    assert!(out.contains("nothing to move"), "{out}");
    done(&node, "topic move t --partition 1 --to 0");
    done(&node, "topic move t --balance");
    let mut spread = leaders();
    spread.sort_unstable();
    assert_eq!(spread, [3000, 3000, 3001, 3001]);
    refused(
        &node,
        "topic move t --partition 0 --to 2",
        "no shard or broker 2",
    );
    refused(
        &node,
        "topic move t --partition 4 --to 0",
        "none is number 4",
    );
    refused(
        &node,
        "topic move u --partition 0 --to 0",
        "cannot move partitions of u",
    );
    refused(&node, "topic move t --to 0", "required");
    refused(&node, "topic move t --partition 0", "required");
}

#[test]
fn partitions_move_behind_one_address() {
    let settings = [
        ("shards", "2"),
        ("shards.advertise", "node"),
        ("node.id", "3"),
    ];
    let node = TestNode::start(&settings);
    done(&node, "topic create t --partitions 4");
    let at = || {
        let out = done(&node, "config get topic t partition.shards");
        let row = out.lines().nth(1).expect("a row").to_owned();
        row.split_whitespace().nth(1).expect("a value").to_owned()
    };
    done(&node, "topic move t --all --to 1");
    assert_eq!(at(), "1,1,1,1");
    let out = done(&node, "topic move t --partition 2 --to 3000");
    assert!(out.contains("moved t-2 from 3001 to 3000"), "{out}");
    assert_eq!(at(), "1,1,0,1");
    done(&node, "topic move t --balance");
    assert_eq!(at().matches('0').count(), 2);
    // Clients see the same broker, and new epochs.
    let (_, leaders) = node.client().metadata("t", false);
    assert!(
        leaders.iter().all(|(leader, _)| *leader == 3),
        "{leaders:?}"
    );
    assert!(leaders.iter().any(|(_, epoch)| *epoch > 0), "{leaders:?}");
    refused(&node, "topic move t --partition 0 --to 2", "3000,3001");
    assert!(!done(&node, "config get topic t --all").contains("partition.shards"));
}

#[test]
fn topics_and_settings_change() {
    let node = TestNode::start(&[("shards", "2")]);
    done(&node, "topic create t --partitions 2");
    let out = done(
        &node,
        "topic alter t --partitions 5 --config retention.ms=7200000",
    );
    assert!(
        out.contains("1 setting of t") && out.contains("to 5"),
        "{out}"
    );
    assert_eq!(node.client().metadata("t", false).1.len(), 5);
    refused(&node, "topic alter t --partitions 5", "already has 5");
    refused(&node, "topic alter t", "nothing to change");
    refused(
        &node,
        "topic alter none --partitions 5",
        "cannot change topic none",
    );
    let out = done(
        &node,
        "config set topic t --append cleanup.policy=compact segment.ms=60000",
    );
    assert!(out.contains("changed 2 settings"), "{out}");
    let out = done(&node, "config get topic t");
    for row in ["retention.ms", "7200000", "delete,compact", "segment.ms"] {
        assert!(out.contains(row), "{out}");
    }
    done(
        &node,
        "config set topic t --unset retention.ms --validate-only",
    );
    assert!(done(&node, "config get topic t").contains("7200000"));
    done(&node, "topic alter t --unset retention.ms");
    let out = done(&node, "config get topic t retention.ms");
    assert!(
        out.contains("604800000") && out.contains("default"),
        "{out}"
    );
    refused(&node, "config get topic t no.such", "no setting no.such");
    let out = done(
        &node,
        "config get topic t retention.ms file.delete.delay.ms",
    );
    let note = "file.delete.delay.ms has no effect here: files are removed at once";
    assert!(
        out.contains(note) && !out.contains("retention.ms has"),
        "{out}"
    );
    refused(&node, "config set topic t no.such=1", "no such setting");
    done(&node, "config set broker 1001 log.retention.bytes=12345678");
    let out = done(&node, "config get broker 1000");
    assert!(
        out.contains("12345678") && out.contains("broker, dynamic"),
        "{out}"
    );
}

#[test]
fn a_group_goes_back() {
    let node = TestNode::start(&[]);
    assert_eq!(node.client().create_topic("t", 1, &[]), ErrorCode::None);
    for _ in 0..10 {
        node.client().store("t", 0, &batch(&[b"x"]));
    }
    let at = |out: &str| {
        let row = out.lines().nth(1).expect("a row");
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells[..2], ["t", "0"], "{out}");
        (cells[2].to_owned(), cells[3].to_owned())
    };
    refused(
        &node,
        "group reset g --offset earliest",
        "committed nothing",
    );
    let moves = [
        ("--offset 7 --topic t", "-", "7"),
        ("--offset latest --dry-run", "7", "10"),
        ("--offset 99", "7", "10"),
        ("--timestamp 0", "10", "0"),
        ("--offset latest --topic t --partition 0", "0", "10"),
        ("--offset earliest", "10", "0"),
    ];
    for (place, before, now) in moves {
        let out = done(&node, &format!("group reset g {place}"));
        assert_eq!(at(&out), (before.to_owned(), now.to_owned()), "{place}");
    }
    let out = done(&node, "consume t --group g --max-messages 10 --quiet");
    assert_eq!(out.lines().count(), 10);
    let out = done(&node, "group reset g --offset latest --dry-run");
    assert_eq!(at(&out), ("10".to_owned(), "10".to_owned()));
}

#[test]
fn headers_go_in_and_filters_let_them_out() {
    let node = TestNode::start(&[]);
    assert_eq!(node.client().create_topic("t", 1, &[]), ErrorCode::None);
    let produce = |headers: &[&str], lines: &str| {
        let mut line = vec!["produce", "t", "--key-separator", ":"];
        line.extend(headers.iter().flat_map(|header| ["--header", header]));
        let ran = run(&node, &line, lines);
        assert!(ran.ok, "{}", ran.err);
    };
    produce(&["source=a", "run=1"], "k1:one apple\nk2:two pears\n");
    produce(&["source=b"], "k1:three apples\n");
    produce(&[], "k3:no apple\n");
    let consume = |filters: &str| {
        let all = "consume t --from-beginning --exit-at-end --quiet";
        done(&node, format!("{all} {filters}").trim())
    };
    assert_eq!(consume("").lines().count(), 4);
    assert_eq!(consume("--key k1"), "one apple\nthree apples\n");
    assert_eq!(consume("--contains apple --header source=a"), "one apple\n");
    assert_eq!(consume("--header source=a --header run=2"), "");
    assert_eq!(
        consume("--contains apple --max-messages 2"),
        "one apple\nthree apples\n"
    );
    assert!(consume("--format json --key k2").contains(r#"{"key":"run","value":"1"}"#));
}

#[test]
fn a_file_with_keys_is_replayed() {
    let node = TestNode::start(&[]);
    for topic in ["t", "u"] {
        assert_eq!(node.client().create_topic(topic, 3, &[]), ErrorCode::None);
    }
    let lines: Vec<String> = (0..300)
        .map(|n| format!("key {}|{n}|x\n", n % 20))
        .collect();
    let file = node.home().join("lines");
    std::fs::write(&file, lines.concat()).expect("written");
    let replay = |topic: &str, file: &std::path::Path| {
        let file = file.to_str().expect("a path");
        let line = ["produce", topic, "--file", file, "--key-separator", "|"];
        let ran = run(&node, &line, "this is not read\n");
        assert!(ran.ok, "{}", ran.err);
    };
    // What is printed with keys can be replayed as it is, into another topic.
    replay("t", &file);
    let read = |topic: &str, partition: i32| {
        let what = format!("consume {topic} --partition {partition}");
        let how = "--from-beginning --exit-at-end --quiet --key-separator |";
        done(&node, &format!("{what} {how}"))
    };
    let printed: Vec<String> = (0..3).map(|partition| read("t", partition)).collect();
    let again = node.home().join("printed");
    std::fs::write(&again, printed.concat()).expect("written");
    replay("u", &again);
    for (partition, of_t) in (0..).zip(&printed) {
        assert!(!of_t.is_empty(), "keys spread");
        assert_eq!(read("u", partition), *of_t, "partition {partition}");
    }
    for key in 0..20 {
        let wanted = lines.iter().skip(key).step_by(20);
        let holds = |page: &&String| page.contains(&format!("key {key}|"));
        let mut pages = printed.iter().filter(holds);
        let page = pages.next().expect("the key");
        assert!(pages.next().is_none(), "key {key} is in one partition");
        let of_key = page
            .lines()
            .filter(|line| line.starts_with(&format!("key {key}|")));
        assert!(of_key.eq(wanted.map(|line| line.trim_end())), "key {key}");
    }
    let missing = run(&node, &["produce", "t", "--file", "/nowhere/lines"], "");
    assert!(
        !missing.ok && missing.err.contains("/nowhere/lines"),
        "{}",
        missing.err
    );
    std::fs::write(&file, "no separator\n").expect("written");
    let file = file.to_str().expect("a path");
    let line = ["produce", "t", "--file", file, "--key-separator", "|"];
    let keyless = run(&node, &line, "");
    assert!(
        !keyless.ok && keyless.err.contains("no key"),
        "{}",
        keyless.err
    );
}

#[test]
fn shells_learn_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let output = Command::new(env!("CARGO_BIN_EXE_odradek"))
            .args(["completions", shell])
            .output()
            .expect("the binary runs");
        assert!(output.status.success());
        let script = String::from_utf8(output.stdout).expect("text");
        assert!(
            script.contains("reset") && script.contains("dry-run"),
            "{shell}"
        );
        if shell == "bash" {
            assert_bash_can_read(script.as_bytes());
        }
    }
}

fn assert_bash_can_read(script: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(script).expect("written");
    let mut bash = Command::new("bash");
    let output = bash.arg("-n").arg(file.path()).output();
    let output = output.expect("bash runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
