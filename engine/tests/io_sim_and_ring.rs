//! The same behaviour on io_uring and in simulation.
#![allow(clippy::disallowed_methods)] // a test's own directory and watchdog

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use odradek_engine::bytes::{PAGE, Part, Parts, Pool};
use odradek_engine::io::ring::{Ring, RingOptions};
use odradek_engine::io::sim::{SimDriver, SimWorld};
use odradek_engine::io::strategy::write::WriteStrategy;
use odradek_engine::io::{Errno, Handle, Io, Op, OpenMode, Pipe, Received};
use odradek_engine::task::{Executor, Spawner};

const SEEDS: u64 = 20;
const WRITE: OpenMode = OpenMode {
    write: true,
    create: true,
    direct: false,
    directory: false,
    truncate: false,
};

/// What a test works with.
#[derive(Clone)]
struct On {
    io: Io,
    spawner: Rc<Spawner>,
    directory: PathBuf,
    name: &'static str,
}

/// Runs `test` on a ring and in simulated worlds.
fn on_both<F: Future<Output = ()> + 'static>(test: impl Fn(On) -> F) {
    // A ring that waits for what never comes would hang the suite.
    let (done, watched) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        if watched.recv_timeout(Duration::from_secs(120))
            == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
        {
            eprintln!("a test took over 120 s");
            std::process::abort();
        }
    });
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let pool = Pool::new();
    let ring = Ring::new(RingOptions::default(), &pool).expect("a ring");
    run(
        &test,
        Io::new(Box::new(ring), pool),
        directory.path(),
        "ring",
    );
    for seed in 0..SEEDS {
        let world = SimWorld::new(seed);
        world.make_dir("/data");
        let io = Io::new(Box::new(SimDriver::new(&world)), Pool::new());
        println!("seed {seed}");
        run(&test, io, Path::new("/data"), "sim");
        world.kill_process();
    }
    drop(done);
}

fn run<F: Future<Output = ()> + 'static>(
    test: &impl Fn(On) -> F,
    io: Io,
    directory: &Path,
    name: &'static str,
) {
    let executor = Executor::new(io.clone());
    let on = On {
        io,
        spawner: Rc::new(executor.spawner()),
        directory: directory.to_owned(),
        name,
    };
    executor.run(test(on));
}

fn owned(bytes: &[u8]) -> Parts {
    let mut parts = Parts::new();
    parts.push(Part::Owned(bytes.to_vec()));
    parts
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}

async fn contents(io: &Io, at: &Path) -> Vec<u8> {
    io.read_file(at, 16 << 20).await.expect("a file")
}

/// Two connected sockets, and the listener that brought them together.
async fn pair(on: &On) -> (Handle, Handle, Handle) {
    let any = "127.0.0.1:0".parse().unwrap();
    let (listener, address) = on.io.listen(any, false).await.expect("listen");
    assert_ne!(address.port(), 0);
    let client = on.io.connect(address).await.expect("connect");
    let server = on.io.accept(listener).await.expect("accept");
    (listener, client, server)
}

async fn receive_all(io: &Io, socket: Handle) -> Result<Vec<u8>, Errno> {
    let mut all = Vec::new();
    loop {
        match io.receive(socket).await? {
            Received::Provided(bytes) => all.extend_from_slice(bytes.bytes()),
            Received::Block(block, len) => all.extend_from_slice(block.bytes(0, len as usize)),
            Received::End => return Ok(all),
        }
    }
}

#[test]
fn files_are_written_read_and_measured() {
    on_both(|on| async move {
        let (io, at) = (&on.io, on.directory.join("a"));
        let file = io.open(&at, WRITE).await.expect("open");
        let bytes = pattern(100_000);
        io.write(file, 0, owned(&bytes), false)
            .await
            .expect("write");
        io.data_sync(file).await.expect("fdatasync");
        io.write(file, 5_000, owned(b"over"), true)
            .await
            .expect("dsync");
        io.write_now(file, 99_998, owned(b"tail"), false)
            .await
            .expect("now");
        io.sync(file).await.expect("fsync");
        assert_eq!(io.size(file).await, Ok(100_002));
        let mut wanted = bytes;
        wanted.resize(100_002, 0);
        wanted[5_000..5_004].copy_from_slice(b"over");
        wanted[99_998..].copy_from_slice(b"tail");
        assert!(contents(io, &at).await == wanted, "{}", on.name);

        io.truncate(file, 10).await.expect("shrink");
        io.truncate(file, 5_000).await.expect("grow");
        wanted.truncate(10);
        wanted.resize(5_000, 0);
        assert!(contents(io, &at).await == wanted);
        io.allocate(file, 4_000, 8_000).await.expect("allocate");
        wanted.resize(12_000, 0);
        assert!(contents(io, &at).await == wanted);

        let block = io.pool().take(PAGE);
        let (got, _) = io.read(file, 12_000, block, 0, PAGE).await;
        assert_eq!(got, Ok(0));
        io.close(file).await;
        let again = OpenMode {
            truncate: true,
            ..WRITE
        };
        let file = io.open(&at, again).await.expect("open");
        assert_eq!(io.size(file).await, Ok(0));
        io.close(file).await;
    });
}

#[test]
fn direct_files_want_alignment() {
    on_both(|on| async move {
        let io = &on.io;
        let direct = OpenMode {
            direct: true,
            ..WRITE
        };
        let file = io
            .open(&on.directory.join("d"), direct)
            .await
            .expect("open");
        let block = io.pool().take(4 * PAGE);
        // SAFETY: nobody else holds the block.
        unsafe { block.bytes_mut(0, 4 * PAGE) }.copy_from_slice(&pattern(4 * PAGE));
        let part = |start, len| Parts::from_iter([Part::block(&block, start, len)]);
        io.write(file, 0, part(0, 4 * PAGE), true)
            .await
            .expect("aligned");
        let einval = Err(Errno(libc::EINVAL));
        assert_eq!(io.write(file, 100, part(0, PAGE), false).await, einval);
        assert_eq!(io.write(file, 0, part(0, 100), false).await, einval);
        assert_eq!(io.write(file, 0, part(1, PAGE), false).await, einval);
        let into = io.pool().take(8 * PAGE);
        let (got, into) = io.read(file, 0, into, 0, 8 * PAGE).await;
        assert_eq!(got, Ok(4 * PAGE));
        assert!(into.bytes(0, 4 * PAGE) == block.bytes(0, 4 * PAGE));
        let (got, _) = io.read(file, 100, into, 0, PAGE).await;
        assert_eq!(got, Err(Errno(libc::EINVAL)));
        io.close(file).await;
    });
}

#[test]
fn names_are_made_listed_renamed_and_removed() {
    on_both(|on| async move {
        let (io, top) = (&on.io, on.directory.clone());
        let at = |name: &str| top.join(name);
        let error = |number| Err::<(), _>(Errno(number));
        let open = async |name: &str, mode| io.open(&at(name), mode).await.map(drop);
        assert_eq!(open("none", OpenMode::default()).await, error(libc::ENOENT));
        assert_eq!(open("none/file", WRITE).await, error(libc::ENOENT));
        io.make_dir(&at("sub")).await.expect("mkdir");
        io.make_dir(&at("sub"))
            .await
            .expect("an existing one is fine");
        let path = std::ffi::CString::new(at("sub").to_str().unwrap()).unwrap();
        let again = io.submit(Op::MakeDir { path }).await.result.map(drop);
        assert_eq!(again, error(libc::EEXIST));
        assert_eq!(open("sub", WRITE).await, error(libc::EISDIR));
        io.replace_file(&at("sub/one"), b"1".to_vec())
            .await
            .expect("replace");
        io.replace_file(&at("two"), b"22".to_vec())
            .await
            .expect("replace");
        io.replace_file(&at("two"), b"222".to_vec())
            .await
            .expect("replace");
        assert_eq!(open("two/x", WRITE).await, error(libc::ENOTDIR));
        assert_eq!(io.list(&top).await.unwrap(), ["sub", "two"]);
        assert_eq!(io.list(&at("two")).await.map(drop), error(libc::ENOTDIR));
        assert_eq!(io.remove_dir(&at("sub")).await, error(libc::ENOTEMPTY));
        assert_eq!(io.remove_dir(&at("two")).await, error(libc::ENOTDIR));
        assert_eq!(io.remove(&at("sub")).await, error(libc::EISDIR));
        assert_eq!(io.rename(&at("none"), &at("x")).await, error(libc::ENOENT));
        assert_eq!(io.rename(&at("two"), &at("sub")).await, error(libc::EISDIR));
        assert_eq!(
            io.rename(&at("sub"), &at("two")).await,
            error(libc::ENOTDIR)
        );
        assert_eq!(
            io.rename(&at("sub"), &at("sub/in")).await,
            error(libc::EINVAL)
        );
        io.rename(&at("two"), &at("sub/one"))
            .await
            .expect("replaces");
        assert_eq!(io.list(&top).await.unwrap(), ["sub"]);
        assert_eq!(contents(io, &at("sub/one")).await, b"222");

        // An open file outlives its name.
        let file = io.open(&at("sub/one"), WRITE).await.expect("open");
        io.remove(&at("sub/one")).await.expect("remove");
        assert_eq!(io.remove(&at("sub/one")).await, error(libc::ENOENT));
        assert_eq!(io.size(file).await, Ok(3));
        io.close(file).await;
        io.remove_dir(&at("sub")).await.expect("rmdir");
        io.sync_directory(&top).await.expect("sync");
        assert_eq!(io.list(&top).await.unwrap(), [""; 0]);
        assert_eq!(io.list(&at("sub")).await.map(drop), error(libc::ENOENT));
    });
}

#[test]
fn a_file_opened_for_reading_is_not_written() {
    on_both(|on| async move {
        let (io, at) = (&on.io, on.directory.join("r"));
        let file = io.open(&at, WRITE).await.expect("open");
        io.close(file).await;
        let file = io.open(&at, OpenMode::default()).await.expect("open");
        let written = io.write(file, 0, owned(b"x"), false).await;
        assert_eq!(written, Err(Errno(libc::EBADF)));
        assert_eq!(io.truncate(file, 1).await, Err(Errno(libc::EINVAL)));
        assert_eq!(io.allocate(file, 0, 1).await, Err(Errno(libc::EBADF)));
        io.close(file).await;
    });
}

#[test]
fn an_echo_and_the_end_of_the_stream() {
    on_both(|on| async move {
        let io = &on.io;
        let (listener, client, server) = pair(&on).await;
        assert!(io.peer(client).await.is_some() && io.peer(server).await.is_some());
        let echo = {
            let io = io.clone();
            on.spawner.spawn(async move {
                let mut echoed = 0;
                while echoed < 1_000 {
                    let Ok(Received::Provided(bytes)) = io.receive(server).await else {
                        panic!("1000 bytes come, one buffer at a time");
                    };
                    echoed += bytes.bytes().len();
                    io.send(server, owned(bytes.bytes())).await.expect("send");
                }
                assert!(matches!(io.receive(server).await, Ok(Received::End)));
                io.close(server).await;
            })
        };
        for part in pattern(1_000).chunks(100) {
            io.send(client, owned(part)).await.expect("send");
        }
        let block = io.pool().take(1_000);
        let (got, block) = io.receive_into(client, block, 0, 1_000, true).await;
        assert_eq!(got, Ok(1_000));
        assert!(block.bytes(0, 1_000) == pattern(1_000));
        let writable = io.submit(Op::Writable { socket: client }).await;
        writable.result.expect("room");
        let receive = io.submit(Op::RecvProvided { socket: client });
        io.shutdown(client).await;
        assert_eq!(receive.await.result, Ok(0), "a pending receive returns");
        let sent = io.send(client, owned(b"x")).await;
        assert_eq!(sent, Err(Errno(libc::EPIPE)));
        echo.await;
        io.close(client).await;
        io.close(listener).await;
    });
}

#[test]
fn large_transfers_wait_for_the_reader() {
    on_both(|on| async move {
        let io = &on.io;
        let (listener, client, server) = pair(&on).await;
        let bytes = pattern(5_000_000);
        let sender = {
            let (io, bytes) = (io.clone(), bytes.clone());
            on.spawner.spawn(async move {
                for part in bytes.chunks(1_000_000) {
                    io.send(client, owned(part)).await.expect("send");
                }
                io.close(client).await;
            })
        };
        assert!(receive_all(io, server).await.expect("receive") == bytes);
        sender.await;
        io.close(server).await;
        io.close(listener).await;
    });
}

#[test]
fn sendfile_fills_the_window_and_goes_on() {
    on_both(|on| async move {
        let io = &on.io;
        let (listener, client, server) = pair(&on).await;
        let file = io.open(&on.directory.join("f"), WRITE).await.expect("open");
        let bytes = pattern(3_000_000);
        io.write(file, 0, owned(&bytes), false)
            .await
            .expect("write");
        assert!(io.resident(file, 0, bytes.len() as u64).await);
        // Nobody reads: at some point the window is full.
        let mut sent = 0;
        let full = loop {
            let op = Op::Sendfile {
                socket: server,
                file,
                pos: sent as u64,
                len: (bytes.len() - sent).min(100_000) as u32,
            };
            match io.submit(op).await.result {
                Ok(n) if sent + n as usize >= bytes.len() => break false,
                Ok(n) => sent += n as usize,
                Err(Errno(libc::EAGAIN)) => break true,
                Err(errno) => panic!("{errno}"),
            }
        };
        assert!(full || on.name == "ring", "a window is smaller than 3 MB");
        let rest = {
            let io = io.clone();
            let (sent, len) = (sent, bytes.len());
            on.spawner.spawn(async move {
                let more = io
                    .sendfile(server, file, sent as u64, len - sent + 10)
                    .await;
                io.close(server).await;
                io.close(file).await;
                more
            })
        };
        let received = receive_all(io, client).await.expect("receive");
        let more = rest.await.expect("sendfile");
        if full {
            assert_eq!(sent + more, bytes.len(), "up to the file's end");
            assert!(received == bytes);
        }
        io.close(client).await;
        io.close(listener).await;
    });
}

#[test]
fn a_gone_peer_is_noticed() {
    on_both(|on| async move {
        let io = &on.io;
        let (listener, client, server) = pair(&on).await;
        io.send(client, owned(b"unread")).await.expect("send");
        io.submit(Op::RecvProvided { socket: server })
            .await
            .result
            .expect("some");
        io.close(server).await;
        let mut tries = 0;
        let errno = loop {
            if let Err(errno) = io.send(client, owned(&[0; 1000])).await {
                break errno;
            }
            tries += 1;
            assert!(tries < 10_000);
        };
        assert!(matches!(errno.0, libc::EPIPE | libc::ECONNRESET), "{errno}");
        io.close(client).await;
        io.close(listener).await;
    });
}

#[test]
fn nobody_listens_and_two_cannot() {
    on_both(|on| async move {
        let io = &on.io;
        let any = "127.0.0.1:0".parse().unwrap();
        let (listener, address) = io.listen(any, true).await.expect("listen");
        let shared = io.listen(address, true).await.expect("shared").0;
        let taken = io.listen(address, false).await.map(drop);
        assert_eq!(taken, Err(Errno(libc::EADDRINUSE)));
        io.close(listener).await;
        io.close(shared).await;
        let refused = io.connect(address).await;
        assert_eq!(refused, Err(Errno(libc::ECONNREFUSED)));
    });
}

#[test]
fn a_cancelled_receive_and_accept_end() {
    on_both(|on| async move {
        let io = &on.io;
        let (listener, client, server) = pair(&on).await;
        for op in [Op::RecvProvided { socket: server }, Op::Accept { listener }] {
            let pending = io.submit(op);
            io.sleep(Duration::from_millis(1)).await;
            pending.cancel();
            assert_eq!(pending.await.result, Err(Errno(libc::ECANCELED)));
        }
        io.send(client, owned(b"still")).await.expect("send");
        let block = io.pool().take(5);
        let (got, block) = io.receive_into(server, block, 0, 5, true).await;
        assert_eq!((got, block.bytes(0, 5)), (Ok(5), &b"still"[..]));
        for handle in [client, server, listener] {
            io.close(handle).await;
        }
    });
}

#[test]
fn writes_through_the_page_cache_in_every_way() {
    on_both(|on| async move {
        let (io, at) = (&on.io, on.directory.join("w"));
        let file = io.open(&at, WRITE).await.expect("open");
        let bytes = pattern(40_000);
        for (number, piece) in bytes.chunks(10_000).enumerate() {
            let pos = number as u64 * 10_000;
            let uncached = number % 2 == 1;
            let written = match number / 2 {
                0 => io.write_now(file, pos, owned(piece), uncached).await,
                _ => io.write_through(file, pos, owned(piece), uncached).await,
            };
            match written {
                // Before Linux 6.14, and where the file system has no such writes.
                Err(Errno(libc::EOPNOTSUPP)) if uncached => {
                    io.write(file, pos, owned(piece), true)
                        .await
                        .expect("plain");
                }
                written => written.expect("written"),
            }
        }
        io.close(file).await;
        assert!(contents(io, &at).await == bytes, "{}", on.name);
    });
}

#[test]
fn every_write_strategy_is_tried_out_without_a_trace() {
    on_both(|on| async move {
        for strategy in WriteStrategy::ALL {
            for dsync in [false, true] {
                match strategy.try_out(&on.io, &on.directory, dsync).await {
                    Ok(()) | Err(Errno(libc::EOPNOTSUPP)) => {}
                    Err(errno) => panic!("{strategy:?}: {errno}"),
                }
            }
        }
        assert_eq!(on.io.list(&on.directory).await.unwrap(), [""; 0]);
    });
}

#[test]
fn memory_of_a_zero_copy_send_is_not_used_again_before_the_network_lets_go() {
    const LEN: usize = 256 << 10;
    const COUNT: u8 = 24;
    on_both(|on| async move {
        let io = &on.io;
        let (listener, client, server) = pair(&on).await;
        let sender = {
            let io = io.clone();
            on.spawner.spawn(async move {
                for number in 1..=COUNT {
                    // Most likely the last one's, if that was let go.
                    let block = io.pool().take(LEN);
                    // SAFETY: nobody else holds the block.
                    unsafe { block.bytes_mut(0, LEN) }.fill(number);
                    let parts = Parts::from_iter([
                        Part::block(&block, 0, LEN / 2),
                        Part::block(&block, LEN / 2, LEN / 2),
                    ]);
                    drop(block);
                    io.send_zero_copy(client, parts).await.expect("send");
                }
                io.close(client).await;
            })
        };
        // What the socket takes without a reader is taken and waits: its memory must not change.
        io.sleep(Duration::from_millis(20)).await;
        let received = receive_all(io, server).await.expect("receive");
        assert_eq!(received.len(), LEN * usize::from(COUNT));
        for (piece, number) in received.chunks(LEN).zip(1..) {
            assert!(piece.iter().all(|byte| *byte == number), "piece {number}");
        }
        sender.await;
        io.close(server).await;
        io.close(listener).await;
    });
}

#[test]
fn a_pipe_carries_file_ranges_to_a_socket() {
    on_both(|on| async move {
        let io = &on.io;
        let Some(mut pipe) = Pipe::open(io, 256 << 10).await else {
            assert_eq!(on.name, "sim", "the ring has pipes");
            return;
        };
        let (listener, client, server) = pair(&on).await;
        let file = io.open(&on.directory.join("p"), WRITE).await.expect("open");
        let bytes = pattern(3_000_000);
        io.write(file, 0, owned(&bytes), true).await.expect("write");
        let sender = {
            let (io, len) = (io.clone(), bytes.len());
            on.spawner.spawn(async move {
                let mut at = 0;
                while at < len {
                    let (step, worker) = ((len - at).min(200_001), at % 2 == 1);
                    let moved = pipe.carry(file, at as u64, step, client, worker).await;
                    at += moved.expect("moved");
                }
                let moved = pipe.carry(file, at as u64, 1, client, false).await;
                assert_eq!(moved, Ok(0), "the file's end");
                io.close(client).await;
                io.close(file).await;
            })
        };
        assert!(receive_all(io, server).await.expect("receive") == bytes);
        sender.await;
        io.close(server).await;
        io.close(listener).await;
    });
}
