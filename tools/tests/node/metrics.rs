//! What the node says of itself over HTTP, while it serves and while it cannot.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use odradek_wire::ErrorCode;
use odradek_wire::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use odradek_wire::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};

use crate::common::{Client, PATIENCE, Standstill, TestNode, batch, wait_for, wait_until};

/// Sends these bytes and reads to the end: status and body.
fn http(address: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("the node listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok());
    let (_, body) = answer.split_once("\r\n\r\n").expect("head and body");
    (status.expect("a status"), body.to_owned())
}

pub fn get(node: &TestNode, path: &str) -> (u16, String) {
    let address = node.metrics().expect("metrics are served");
    http(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
}

/// Series and values of a page, by name with labels. Every line must be right.
fn parse(page: &str) -> BTreeMap<String, f64> {
    let (mut kinds, mut series) = (BTreeMap::new(), BTreeMap::new());
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a type");
            assert!(kinds.insert(name, kind).is_none(), "{name} twice");
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect(line);
        let family = name.split('{').next().expect("a name");
        let known = ["", "_bucket", "_sum", "_count"].into_iter().any(|suffix| {
            let kind = family.strip_suffix(suffix).and_then(|name| kinds.get(name));
            kind.is_some_and(|kind| suffix.is_empty() || *kind == "histogram")
        });
        assert!(known, "{family} has no type");
        let value = value.parse().expect(line);
        assert!(series.insert(name.to_owned(), value).is_none(), "{line}");
    }
    series
}

pub fn series(node: &TestNode) -> BTreeMap<String, f64> {
    let (status, page) = get(node, "/metrics");
    assert_eq!(status, 200, "{page}");
    parse(&page)
}

/// The sum over the series whose names begin so.
pub fn sum(series: &BTreeMap<String, f64>, start: &str) -> f64 {
    let matching = series.iter().filter(|(name, _)| name.starts_with(start));
    matching.map(|(_, value)| value).sum()
}

pub fn commit(node: &TestNode, group: &str, topic: &str, partition: i32, offset: i64) {
    wait_until("the group has a coordinator", || {
        let find = FindCoordinatorRequest {
            key: group,
            ..FindCoordinatorRequest::default()
        };
        let mut client = node.client();
        let sent = client.send(2, &find).expect("sent");
        let body = client.receive::<FindCoordinatorRequest<'_>>(2, sent);
        let body = body.expect("an answer");
        let found = FindCoordinatorResponse::decode(&mut odradek_wire::Reader::new(&body), 2);
        let found = found.expect("a coordinator");
        if found.error_code != 0 {
            return false;
        }
        let mut client = Client::connect(&format!("{}:{}", found.host, found.port));
        let request = OffsetCommitRequest {
            group_id: group,
            generation_id_or_member_epoch: -1,
            topics: vec![OffsetCommitRequestTopic {
                name: topic,
                partitions: vec![OffsetCommitRequestPartition {
                    partition_index: partition,
                    committed_offset: offset,
                    ..OffsetCommitRequestPartition::default()
                }],
                ..OffsetCommitRequestTopic::default()
            }],
            ..OffsetCommitRequest::default()
        };
        let sent = client.send(7, &request).expect("sent");
        let body = client.receive::<OffsetCommitRequest<'_>>(7, sent);
        let body = body.expect("an answer");
        let done = OffsetCommitResponse::decode(&mut odradek_wire::Reader::new(&body), 7);
        done.expect("an answer").topics[0].partitions[0].error_code == 0
    });
}

#[test]
fn what_happened_is_counted() {
    let node = TestNode::start(&[("shards", "2"), ("num.partitions", "4")]);
    node.create("t");
    for index in 0..4 {
        let mut leader = node.leader("t", index as usize);
        for offset in 0..5 {
            let records = batch(&[&[7; 1000]]);
            assert_eq!(leader.store("t", index, &records), offset);
        }
        assert_eq!(leader.consume("t", index, 0).len(), 5);
    }
    let group = "a \"group\"\\\n";
    commit(&node, group, "t", 2, 3);
    let open = node.client();
    let now = wait_for("the connection is counted", || {
        let now = series(&node);
        (sum(&now, "odradek_connections{") >= 1.0).then_some(now)
    });
    drop(open);
    assert_eq!(sum(&now, "odradek_shard_up{"), 2.0);
    let of = |name: &str, api: &str| sum(&now, &format!("{name}{{api=\"{api}\""));
    assert_eq!(of("odradek_requests_total", "Produce"), 20.0);
    assert_eq!(of("odradek_request_seconds_count", "Produce"), 20.0);
    assert!(of("odradek_request_bytes_total", "Produce") > 20_000.0);
    assert!(of("odradek_response_bytes_total", "Fetch") > 20_000.0);
    assert!(of("odradek_request_seconds_sum", "Produce") > 0.0);
    assert!(sum(&now, "odradek_written_bytes_total{") > 20_000.0);
    assert!(sum(&now, "odradek_shard_cpu_seconds_total{") > 0.0);
    let (_, page) = get(&node, "/metrics");
    let busy = "busy fraction: rate(odradek_shard_cpu_seconds_total[1m])";
    assert!(page.contains(busy), "{page}");
    assert!(sum(&now, "odradek_connections_accepted_total{") >= 5.0);
    for index in 0..4 {
        let at = |name: &str| now[&format!("{name}{{topic=\"t\",partition=\"{index}\"}}")];
        assert_eq!(at("odradek_log_start_offset"), 0.0);
        assert_eq!(at("odradek_log_end_offset"), 5.0);
        assert_eq!(at("odradek_high_watermark"), 5.0);
        assert!(at("odradek_log_bytes") > 5000.0);
    }
    let labels = "{group=\"a \\\"group\\\"\\\\\\n\",topic=\"t\",partition=\"2\"}";
    assert_eq!(now[&format!("odradek_group_committed_offset{labels}")], 3.0);
    assert_eq!(now[&format!("odradek_group_lag{labels}")], 2.0);
    // What was written lately is kept in buffers, until its topic goes: then they are for others.
    let lent_bytes = |now: &BTreeMap<String, f64>| sum(now, "odradek_pool_lent_bytes{");
    let lent = lent_bytes(&now);
    assert!(lent > 20_000.0, "{lent}");
    for shard in 0..2 {
        assert!(now.contains_key(&format!("odradek_pool_kept_bytes{{shard=\"{shard}\"}}")));
    }
    assert_eq!(node.client().delete_topic("t"), ErrorCode::None);
    wait_until("buffers are given back", || {
        lent_bytes(&series(&node)) < lent
    });
}

#[test]
fn what_groups_committed_is_there_after_a_restart() {
    let mut node = TestNode::start(&[]);
    node.create("t");
    node.client().store("t", 0, &batch(&[b"one", b"two"]));
    commit(&node, "g", "t", 0, 1);
    node.stop();
    node.run();
    let name = "odradek_group_committed_offset{group=\"g\",topic=\"t\",partition=\"0\"}";
    wait_until("the group is loaded", || {
        series(&node).get(name) == Some(&1.0)
    });
}

#[test]
fn acknowledged_bytes_that_are_not_durable_are_seen_until_they_are() {
    // So long that only what is asked for below makes them durable.
    let node = TestNode::start(&[("durable.lag.max.ms", "3600000")]);
    node.create("t");
    let mut client = node.client();
    client.store("t", 0, &batch(&[b"all are durable after this"]));
    let undurable = || {
        let now = series(&node);
        let age = sum(&now, "odradek_undurable_age_seconds{");
        (sum(&now, "odradek_undurable_bytes{"), age)
    };
    assert_eq!(undurable(), (0.0, 0.0));
    let written = client.produce("t", 0, 1, &batch(&[&[7; 5000]]));
    assert_eq!(written.error, ErrorCode::None);
    let (bytes, age) = undurable();
    assert!(bytes > 5000.0, "{bytes} bytes");
    wait_until("they grow older", || undurable().1 > age);
    client.store("t", 0, &batch(&[b"and again"]));
    assert_eq!(undurable(), (0.0, 0.0));
}

#[test]
fn partitions_can_be_left_out() {
    let node = TestNode::start(&[("metrics.partitions.enable", "false")]);
    node.create("t");
    node.client().store("t", 0, &batch(&[b"one"]));
    let now = series(&node);
    assert_eq!(sum(&now, "odradek_partitions_open{"), 1.0);
    assert!(now.keys().all(|name| !name.contains("topic=")));
}

#[test]
fn many_partitions_are_all_there() {
    let node = TestNode::start(&[("shards", "2"), ("num.partitions", "1000")]);
    node.create("t");
    let (_, leaders) = node.client().metadata("t", false);
    assert_eq!(leaders.len(), 1000);
    let mut clients: Vec<Client> = node.shards().iter().map(|at| Client::connect(at)).collect();
    for (index, leader) in leaders.iter().enumerate() {
        let client = &mut clients[leader.0 as usize % 1000];
        client.store("t", index as i32, &batch(&[b"one"]));
    }
    let now = series(&node);
    assert_eq!(sum(&now, "odradek_log_end_offset{topic=\"t\""), 1000.0);
    assert_eq!(sum(&now, "odradek_partitions_open{"), 1000.0);
}

#[test]
fn health_and_readiness_follow_the_node() {
    let mut node = TestNode::start(&[("shards", "2")]);
    let ok = (200, "ok\n".to_owned());
    assert_eq!(get(&node, "/healthz"), ok);
    assert_eq!(get(&node, "/readyz"), ok);
    let (status, body) = get(&node, "/");
    assert!(status == 404 && body.contains("/metrics"), "{body}");
    let address = node.metrics().expect("metrics are served").to_owned();
    let (status, _) = http(&address, "POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(status, 405);
    node.stop();
    assert!(TcpStream::connect(&address).is_err());
}

#[test]
fn a_shard_that_stands_still_is_seen() {
    let node = TestNode::start(&[]);
    let Some(stopped) = Standstill::of(&node, "shard-0") else {
        return;
    };
    let (status, body) = get(&node, "/healthz");
    assert_eq!((status, body.contains("shard 0")), (503, true), "{body}");
    assert_eq!(get(&node, "/readyz").0, 503);
    assert_eq!(series(&node)["odradek_shard_up{shard=\"0\"}"], 0.0);
    drop(stopped);
    assert_eq!(get(&node, "/healthz").0, 200);
    assert_eq!(series(&node)["odradek_shard_up{shard=\"0\"}"], 1.0);
}

#[test]
fn clients_that_dawdle_or_lie_keep_nobody_from_asking() {
    let node = TestNode::start(&[]);
    let address = node.metrics().expect("metrics are served").to_owned();
    let mut held = Vec::new();
    for text in ["", "GET /metr", "\u{0}\u{1}\u{2}", "GET / HTTP/9.9\r\n\r\n"] {
        for _ in 0..20 {
            let mut stream = TcpStream::connect(&address).expect("it listens");
            let _ = stream.write_all(text.as_bytes());
            held.push(stream);
        }
    }
    let endless = "x".repeat(1 << 20);
    let mut stream = TcpStream::connect(&address).expect("it listens");
    let _ = stream.write_all(format!("GET /{endless} HTTP/1.1\r\n").as_bytes());
    assert_eq!(get(&node, "/healthz").0, 200);
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let mut node = TestNode::prepare(&[("metrics.listener", &address)]);
    let failure = node.try_run().expect_err("the port is taken");
    assert!(!failure.status.success());
    for part in [&*address, "metrics.listener"] {
        assert!(failure.log.contains(part), "{}", failure.log);
    }
    for wrong in ["9644", "localhost:", "localhost:99999", ":9644"] {
        node.set("metrics.listener", wrong);
        let failure = node.try_run().expect_err("no address");
        assert!(failure.log.contains("metrics.listener"), "{}", failure.log);
    }
    node.set("metrics.listener", "");
    node.run();
    assert_eq!(node.metrics(), None);
}

#[test]
fn the_dashboard_names_what_there_is() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../config/grafana-dashboard.json"
    );
    let text = std::fs::read_to_string(path).expect("the dashboard");
    let dashboard: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let node = TestNode::start(&[]);
    let (_, page) = get(&node, "/metrics");
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut there: Vec<String> = Vec::new();
    for line in types {
        let (name, kind) = line.split_once(' ').expect("a name and a type");
        there.push(match kind {
            "histogram" => format!("{name}_bucket"),
            _ => name.to_owned(),
        });
    }
    let mut named = 0;
    let panels = dashboard["panels"].as_array().expect("panels");
    for target in panels.iter().flat_map(|panel| panel["targets"].as_array()) {
        for target in target {
            let expression = target["expr"].as_str().expect("an expression");
            let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            for name in words.filter(|it| it.starts_with("odradek_") || it.starts_with("process_"))
            {
                assert!(
                    there.iter().any(|one| one == name),
                    "{name} in {expression}"
                );
                named += 1;
            }
        }
    }
    assert!(named > 15, "{named} names");
}
