//! How many connections the node takes, from whom and how fast, set at the start and while it runs.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::common::{Client, TestNode, wait_until};
use crate::crowd::{answers, from};
use crate::metrics::{series, sum};
use crate::settings::{BROKER, DELETE, SET, alter, try_alter};

const HOSTS: &str = "max.connections.per.ip.overrides";
const RATE: &str = "max.connection.creation.rate";

/// How many connections from an address the node's shards take in turn, of one more than `most`.
fn taken(node: &TestNode, address: Ipv4Addr, most: usize) -> usize {
    let shards = node.shards();
    let inside = (0..=most).map(|number| from(address, &shards[number % shards.len()]));
    let mut inside: Vec<Client> = inside.collect();
    inside
        .iter_mut()
        .filter_map(|one| answers(one).then_some(()))
        .count()
}

#[test]
fn some_addresses_may_have_another_number_of_connections() {
    let one = Ipv4Addr::new(127, 0, 0, 1);
    let (two, three) = (Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3));
    let node = TestNode::start(&[
        ("shards", "2"),
        ("max.connections.per.ip", "1"),
        (HOSTS, "localhost:5,127.0.0.2:2"),
    ]);
    // By its name; by its address; and everybody else.
    wait_until("each has its own number", || {
        [
            taken(&node, one, 5),
            taken(&node, two, 2),
            taken(&node, three, 1),
        ] == [5, 2, 1]
    });
    let line = node.logged("connection refused");
    assert!(
        line.contains(HOSTS) || line.contains("max.connections.per.ip=1"),
        "{line}"
    );

    let mut client = from(Ipv4Addr::new(127, 0, 0, 4), node.bootstrap());
    for (broker, text, expected) in [
        ("1000", "127.0.0.2:4,localhost:3", [3, 4, 1]),
        ("", "127.0.0.3:6", [3, 4, 1]),
    ] {
        // What one broker is given goes before what all are.
        alter(&mut client, (BROKER, broker), &[(HOSTS, SET, text)]);
        wait_until("the new numbers hold", || {
            [
                taken(&node, one, 4),
                taken(&node, two, 4),
                taken(&node, three, 1),
            ] == expected
        });
    }
    alter(&mut client, (BROKER, "1000"), &[(HOSTS, DELETE, "")]);
    wait_until("the numbers of all brokers hold", || {
        [
            taken(&node, one, 1),
            taken(&node, two, 1),
            taken(&node, three, 6),
        ] == [1, 1, 6]
    });
    alter(
        &mut client,
        (BROKER, "1000"),
        &[(HOSTS, SET, "no.such.invalid:3,127.0.0.2:2")],
    );
    node.logged("cannot find the address of no.such.invalid");
    wait_until("an address beside it holds", || taken(&node, two, 2) == 2);

    for (text, why) in [("127.0.0.1", "host:count"), ("a b:3", "host:count")] {
        let (error, told) = try_alter(&mut client, (BROKER, "1000"), &[(HOSTS, SET, text)], false);
        assert!(
            error != 0 && told.contains(why) && told.contains(HOSTS),
            "{told}"
        );
    }
}

#[test]
fn a_host_without_an_address_is_named_at_the_start() {
    let mut node = TestNode::prepare(&[(HOSTS, "no.such.invalid:3")]);
    let failure = node.try_run().expect_err("the node does not start");
    assert!(!failure.status.success());
    for part in [HOSTS, "no.such.invalid"] {
        assert!(failure.log.contains(part), "{}", failure.log);
    }
    node.set("max.connections.per.ip", "0");
    node.set(HOSTS, "");
    let failure = node.try_run().expect_err("nobody could connect");
    assert!(
        failure.log.contains("max.connections.per.ip=0"),
        "{}",
        failure.log
    );
}

/// Connects so often, to all shards at once, and waits until all were served.
fn crowd(node: &TestNode, count: usize) -> Duration {
    let began = Instant::now();
    let shards = node.shards();
    let all = (0..count).map(|number| Client::connect(&shards[number % shards.len()]));
    let mut all: Vec<Client> = all.collect();
    let served = all.iter_mut().filter_map(|one| answers(one).then_some(()));
    assert_eq!(served.count(), count, "nobody is refused");
    began.elapsed()
}

fn waits(node: &TestNode) -> f64 {
    sum(&series(node), "odradek_accept_waits_total")
}

/// Connections a second, whatever the number of shards: who is early waits. What comes at once is
/// free as far as the windows reach; the others take their time at least.
#[test]
fn connections_come_as_fast_as_they_may_with_one_shard_and_with_four() {
    for shards in ["1", "4"] {
        let node = TestNode::start(&[
            ("shards", shards),
            (RATE, "20"),
            ("quota.window.num", "3"),
            ("socket.listen.backlog.size", "500"),
        ]);
        let took = crowd(&node, 100);
        // Three windows' worth, and one for each shard.
        let least = Duration::from_secs_f64(f64::from(100 - 3 * 20 - 4) / 20.0);
        assert!(
            took >= least,
            "{shards} shards: {took:?}, at least {least:?}"
        );
        assert!(waits(&node) > 0.0);

        let mut client = node.client();
        alter(&mut client, (BROKER, ""), &[(RATE, SET, "1000000")]);
        let before = waits(&node);
        crowd(&node, 200);
        assert_eq!(waits(&node), before);
        alter(
            &mut client,
            (BROKER, ""),
            &[(RATE, SET, "30"), ("max.connections", SET, "5000")],
        );
        crowd(&node, 10);
        assert!(waits(&node) > before);
    }
}
