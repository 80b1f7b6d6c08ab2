//! Connections in numbers: idle, churning, too many, half open, of peers that are gone; and a
//! process that may have few file descriptors.

use std::io::Read;
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
use odradek_wire::api_versions::ApiVersionsRequest;
use odradek_wire::produce::ProduceRequest;

use crate::common::{
    Client, PRODUCE, TestNode, batch, frame, produce_request, produced, skip, wait_until,
};
use crate::metrics::{series, sum};

const API_VERSIONS: i16 = 3;

/// Whether this process may have so many files open.
fn may_open(files: u64) -> bool {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    let raised = soft >= files || setrlimit(Resource::RLIMIT_NOFILE, files.min(hard), hard).is_ok();
    let enough = hard >= files && raised;
    if !enough {
        skip(&format!(
            "{files} open files are needed, {hard} are allowed (ulimit -Hn)"
        ));
    }
    enough
}

/// Whether the node answers on this connection; `false`: it closed it.
pub(crate) fn answers(client: &mut Client) -> bool {
    let request = ApiVersionsRequest::default();
    client.call(API_VERSIONS, &request).is_ok()
}

#[test]
#[cfg_attr(odradek_asan, ignore = "its memory would be counted")]
fn five_thousand_idle_connections_take_little() {
    if !may_open(8192) {
        return;
    }
    let node = TestNode::start(&[("shards", "2"), ("num.partitions", "2")]);
    node.create("t");
    // A segment is opened for its first record, and its file stays open.
    for index in 0..2 {
        let mut first = node.leader("t", index);
        assert_eq!(first.store("t", index as i32, &batch(&[b"first"])), 0);
    }
    wait_until("those who opened them are gone", || {
        sum(&series(&node), "odradek_connections{") == 0.0
    });
    let mut before = 0;
    wait_until("who asked for metrics is gone, too", || {
        let last = std::mem::replace(&mut before, node.descriptors());
        last == before
    });
    let idle = node.rss();
    let mut crowd: Vec<Client> = Vec::new();
    for number in 0..5000 {
        let shard = &node.shards()[number % 2];
        let mut client = Client::connect(shard);
        assert!(answers(&mut client));
        crowd.push(client);
    }
    let (_, leaders) = node.client().metadata("t", false);
    let shards = leaders.iter().map(|leader| leader.0 as usize % 1000);
    for (index, shard) in shards.enumerate() {
        let records = batch(&[b"one"]);
        let mine = crowd.iter_mut().skip(shard).step_by(2);
        for (offset, client) in mine.enumerate() {
            assert_eq!(client.store("t", index as i32, &records), 1 + offset as i64);
        }
    }
    let rss = node.rss();
    let each = rss.saturating_sub(idle) / 5000;
    println!("5000 connections: {} KiB in all, {each} B each", rss >> 10);
    assert!(rss <= 64 << 20, "{} MiB", rss >> 20);
    assert_eq!(sum(&series(&node), "odradek_connections{"), 5000.0);
    drop(crowd);
    wait_until("the connections are given back", || {
        node.descriptors() <= before
    });
}

#[test]
#[cfg_attr(odradek_asan, ignore = "its memory would be counted")]
fn connections_that_come_and_go_leave_nothing() {
    let node = TestNode::start(&[]);
    node.create("t");
    let mut steady = node.client();
    steady.store("t", 0, &batch(&[b"first"]));
    let (before, rss) = (node.descriptors(), node.rss());
    let request = frame(1, PRODUCE, &produce_request("t", 0, -1, &batch(&[b"x"])));
    for number in 0..4000 {
        let mut client = node.client();
        match number % 4 {
            0 => {}
            1 => client
                .write(&request[..number % request.len()])
                .expect("sent"),
            2 => drop(answers(&mut client)),
            // Gone before its answer can come, with a reset.
            _ => {
                client.write(&request).expect("sent");
                let now = libc::linger {
                    l_onoff: 1,
                    l_linger: 0,
                };
                let option = nix::sys::socket::sockopt::Linger;
                nix::sys::socket::setsockopt(&client.stream, option, &now).expect("set");
            }
        }
        if number % 100 == 0 {
            let produced = steady.produce("t", 0, -1, &batch(&[b"steady"]));
            assert_eq!(produced.error.code(), 0);
        }
    }
    wait_until("the connections are given back", || {
        node.descriptors() <= before
    });
    let more = node.rss().saturating_sub(rss);
    assert!(more < 32 << 20, "{} MiB more", more >> 20);
    wait_until("none is counted any more", || {
        sum(&series(&node), "odradek_connections{") == 1.0
    });
}

#[test]
fn a_peer_that_has_said_its_last_is_answered() {
    let node = TestNode::start(&[]);
    node.create("t");
    let mut client = node.client();
    let records = batch(&[&[7; 10_000]]);
    for _ in 0..50 {
        let request = produce_request("t", 0, -1, &records);
        client.send(PRODUCE, &request).expect("sent");
    }
    client
        .stream
        .shutdown(Shutdown::Write)
        .expect("half a close");
    for number in 0..50 {
        let body = client.receive::<ProduceRequest<'_>>(PRODUCE, number + 1);
        let answer = produced(&body.expect("an answer"));
        assert_eq!(answer.offset, i64::from(number));
    }
    assert!(client.closed());
}

#[test]
fn peers_that_vanished_are_looked_for() {
    let node = TestNode::start(&[]);
    let mut client = node.client();
    assert!(answers(&mut client));
    let theirs = client.stream.local_addr().expect("an address").port();
    let own = client.stream.peer_addr().expect("an address").port();
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the system's connections");
    let line = table.lines().skip(1).find(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let port = |word: &str| {
            word.rsplit(':')
                .next()
                .and_then(|it| u16::from_str_radix(it, 16).ok())
        };
        (port(words[1]), port(words[2])) == (Some(own), Some(theirs))
    });
    let line = line.expect("the node's side");
    let timer = line.split_ascii_whitespace().nth(5).expect("a timer");
    assert!(timer.starts_with("02:"), "keepalive is armed: {line}");
}

#[test]
fn beyond_max_connections_others_wait_for_somebody_to_leave() {
    let node = TestNode::start(&[("max.connections", "4"), ("shards", "2")]);
    let of = |shard: usize| Client::connect(&node.shards()[shard]);
    let mut inside: Vec<Client> = (0..4).map(|number| of(number % 2)).collect();
    for client in &mut inside {
        assert!(answers(client));
    }
    let waiting = [of(0), of(1), of(0)].map(|mut client| {
        std::thread::spawn(move || {
            assert!(answers(&mut client));
            client
        })
    });
    let line = node.logged("wait to be accepted");
    assert!(line.contains("max.connections=4"), "{line}");
    for _ in 0..20 {
        assert!(inside.iter_mut().all(answers));
    }
    assert!(waiting.iter().all(|one| !one.is_finished()), "none got in");
    // Both shards look for a place many times a second; each says so once.
    node.seldom("wait to be accepted", 2);
    inside.truncate(1);
    for one in waiting {
        drop(one.join().expect("it was answered"));
    }
    assert!(answers(&mut inside[0]));
}

/// A connection from this address of the loopback interface.
pub(crate) fn from(address: Ipv4Addr, to: &str) -> Client {
    let kind = SockType::Stream;
    let socket = socket(AddressFamily::Inet, kind, SockFlag::SOCK_CLOEXEC, None);
    let socket = socket.expect("a socket");
    let here = SockaddrIn::from(SocketAddrV4::new(address, 0));
    bind(socket.as_raw_fd(), &here).expect("an address of this machine");
    let there: SocketAddrV4 = to.parse().expect("an address");
    connect(socket.as_raw_fd(), &SockaddrIn::from(there)).expect("the node listens");
    Client::over(TcpStream::from(socket))
}

#[test]
fn one_address_may_not_take_all_places() {
    let node = TestNode::start(&[("max.connections.per.ip", "3"), ("shards", "2")]);
    let near = Ipv4Addr::new(127, 0, 0, 1);
    let of = |address, shard: usize| from(address, &node.shards()[shard]);
    let mut inside: Vec<Client> = (0..3).map(|number| of(near, number % 2)).collect();
    assert!(inside.iter_mut().all(answers));
    for number in 0..200 {
        assert!(!answers(&mut of(near, number % 2)), "one too many");
    }
    let mut other = of(Ipv4Addr::new(127, 0, 0, 2), 0);
    assert!(answers(&mut other) && inside.iter_mut().all(answers));
    let line = node.logged("connection refused");
    assert!(line.contains("max.connections.per.ip=3"), "{line}");
    // One of each shard.
    node.seldom("connection refused", 2);
    inside.pop();
    wait_until("there is a place again", || answers(&mut of(near, 0)));
}

#[test]
fn garbage_keeps_no_refusal_out_of_the_log() {
    let node = TestNode::start(&[("max.connections.per.ip", "1")]);
    let address = &node.shards()[0];
    let near = Ipv4Addr::new(127, 0, 0, 1);
    let mut inside = from(near, address);
    assert!(answers(&mut inside));
    let mut bad = from(Ipv4Addr::new(127, 0, 0, 2), address);
    bad.write(&i32::MIN.to_be_bytes()).expect("sent");
    assert!(bad.closed());
    // Within the second in which that had its line.
    assert!(!answers(&mut from(near, address)), "one too many");
    node.logged("connection closed");
    node.logged("connection refused");
}

#[test]
fn with_few_file_descriptors_accepting_stops_and_the_logs_go_on() {
    let mut node = TestNode::prepare(&[("log.segment.bytes", "1048576")]);
    node.limit(Resource::RLIMIT_NOFILE, 128);
    node.run();
    node.create("t");
    let mut steady = node.client();
    steady.store("t", 0, &batch(&[b"first"]));
    // More than there are descriptors; those beyond are closed or wait.
    let crowd: Vec<Client> = (0..200).map(|_| node.client()).collect();
    node.logged("no file descriptor can be spared");
    // Segment after segment.
    for offset in 1..40 {
        let stored = steady.store("t", 0, &batch(&[&[7; 200_000]]));
        assert_eq!(stored, offset);
    }
    assert!(node.files("t", 0, "log").len() > 5);
    assert!(node.descriptors() < 128);
    node.seldom("no file descriptor can be spared", 1);
    drop(crowd);
    wait_until("others are taken again", || answers(&mut node.client()));
    assert_eq!(steady.consume("t", 0, 0).len(), 40);
    assert!(!node.log().contains("ERROR"), "{}", node.log());
}

#[test]
fn a_connection_that_trickles_holds_nobody_up() {
    let node = TestNode::start(&[]);
    node.create("t");
    let records = batch(&[&[7; 100_000]]);
    let request = frame(1, PRODUCE, &produce_request("t", 0, -1, &records));
    let mut slow: Vec<Client> = (0..100).map(|_| node.client()).collect();
    let mut quick = node.client();
    for (at, byte) in request[..40].iter().enumerate() {
        for client in &mut slow {
            client.write(&[*byte]).expect("sent");
        }
        assert_eq!(quick.store("t", 0, &batch(&[b"quick"])), at as i64);
    }
    // They come to their end all the same.
    for client in &mut slow {
        client.write(&request[40..]).expect("sent");
    }
    let mut offsets: Vec<i64> = Vec::new();
    for client in &mut slow {
        let body = client.receive::<ProduceRequest<'_>>(PRODUCE, 1);
        offsets.push(produced(&body.expect("an answer")).offset);
    }
    offsets.sort_unstable();
    assert_eq!(offsets, (40..140).collect::<Vec<i64>>());
}

#[test]
fn a_listener_that_was_reset_upon_goes_on() {
    // Resets that come before the connection is accepted.
    let node = TestNode::start(&[]);
    for _ in 0..500 {
        let client = node.client();
        let now = libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        let option = nix::sys::socket::sockopt::Linger;
        nix::sys::socket::setsockopt(&client.stream, option, &now).expect("set");
    }
    let mut client = node.client();
    assert!(answers(&mut client));
    client
        .stream
        .set_read_timeout(Some(Duration::from_millis(1)))
        .expect("set");
    assert!(
        client.stream.read(&mut [0; 1]).is_err(),
        "nothing more comes"
    );
}
