//! What the node asks of the system for its sockets, as the system has it.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::common::TestNode;

/// The node's sockets, in this process.
fn sockets(pid: u32) -> Vec<OwnedFd> {
    // SAFETY: no pointers; what comes back is ours.
    let process = unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        assert!(fd >= 0, "{}", std::io::Error::last_os_error());
        OwnedFd::from_raw_fd(fd as i32)
    };
    let listed = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors");
    let mut sockets = Vec::new();
    for entry in listed.filter_map(Result::ok) {
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        if !target.to_string_lossy().starts_with("socket:") {
            continue;
        }
        let name = entry.file_name().into_string().expect("a number");
        let number: i32 = name.parse().expect("a number");
        // SAFETY: no pointers; what comes back is ours.
        unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0);
            assert!(fd >= 0, "{}", std::io::Error::last_os_error());
            sockets.push(OwnedFd::from_raw_fd(fd as i32));
        }
    }
    sockets
}

/// An option's value, of which only the first `N` numbers are of interest.
fn option<const N: usize>(socket: &OwnedFd, level: i32, name: i32) -> Option<[i32; N]> {
    let mut value = [0; N];
    let mut size = size_of_val(&value) as u32;
    // SAFETY: the value has the size that is given.
    let got = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            name,
            value.as_mut_ptr().cast(),
            &raw mut size,
        )
    };
    (got == 0).then_some(value)
}

/// Backlog (0 if it does not listen), send and receive buffer of each TCP socket.
fn facts(node: &TestNode) -> Vec<(i32, i32, i32)> {
    let of = |socket: &OwnedFd| {
        let [kind] = option(socket, libc::SOL_SOCKET, libc::SO_PROTOCOL)?;
        let [listens] = option(socket, libc::SOL_SOCKET, libc::SO_ACCEPTCONN)?;
        let [send] = option(socket, libc::SOL_SOCKET, libc::SO_SNDBUF)?;
        let [receive] = option(socket, libc::SOL_SOCKET, libc::SO_RCVBUF)?;
        // tcp_info: 8 bytes, then rto, ato, snd_mss, rcv_mss, unacked, sacked; where it listens the
        // last is its backlog.
        let info: [i32; 8] = option(socket, libc::IPPROTO_TCP, libc::TCP_INFO)?;
        (kind == libc::IPPROTO_TCP).then_some((info[7] * listens, send, receive))
    };
    sockets(node.pid()).iter().filter_map(of).collect()
}

#[test]
fn sockets_are_as_the_settings_have_them() {
    let node = TestNode::start(&[
        ("shards", "2"),
        ("metrics.listener", ""),
        ("socket.listen.backlog.size", "37"),
        ("socket.send.buffer.bytes", "20000"),
        ("socket.receive.buffer.bytes", "30000"),
    ]);
    let mut client = node.client();
    client.metadata("t", false);
    let all = facts(&node);
    // Two on the port of all, one on each shard's own; the system makes the double.
    let listeners = all.iter().filter(|one| one.0 > 0);
    assert_eq!(listeners.count(), 4, "{all:?}");
    assert!(all.len() > 4, "{all:?}");
    for (backlog, send, receive) in all {
        assert!(backlog == 37 || backlog == 0, "{backlog}");
        assert_eq!((send, receive), (40_000, 60_000));
    }
    drop(client);
    // Without: what the system likes.
    let node = TestNode::start(&[("metrics.listener", "")]);
    let all = facts(&node);
    assert_eq!(all.len(), 1, "{all:?}");
    let (backlog, send, _) = all[0];
    assert_eq!(backlog, 50);
    assert!(![40_000, 204_800].contains(&send), "{send}");
}
