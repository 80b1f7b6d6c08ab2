//! What only a simulated world can be asked: crashes, order, determinism, deadlock.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use odradek_engine::bytes::{PAGE, Part, Parts, Pool};
use odradek_engine::io::sim::{SimDriver, SimFaults, SimWorld};
use odradek_engine::io::{Cache, Driver, Errno, Handle, Io, Op, OpenMode, Received};
use odradek_engine::task::{Executor, Spawner};

const SEEDS: u64 = 100;
const WRITE: OpenMode = OpenMode {
    write: true,
    create: true,
    direct: false,
    directory: false,
    truncate: false,
};

fn world(seed: u64) -> SimWorld {
    let world = SimWorld::new(seed);
    world.make_dir("/data");
    world
}

/// One life of a process: runs to the end of `life`, which may leave operations in flight.
fn live<F, T>(world: &SimWorld, life: impl FnOnce(Io, Spawner) -> F) -> T
where
    F: Future<Output = T> + 'static,
    T: 'static,
{
    let io = Io::new(Box::new(SimDriver::new(world)), Pool::new());
    let executor = Executor::new(io.clone());
    let spawner = executor.spawner();
    executor.run(life(io, spawner))
}

fn owned(bytes: &[u8]) -> Parts {
    Parts::from_iter([Part::Owned(bytes.to_vec())])
}

fn read(world: &SimWorld, at: &'static str) -> Result<Vec<u8>, Errno> {
    live(world, |io, _| async move {
        io.read_file(Path::new(at), 1 << 20).await
    })
}

/// The distinct outcomes over all seeds.
fn outcomes<T: Ord>(of: impl Fn(u64) -> T) -> BTreeSet<T> {
    (0..SEEDS).map(of).collect()
}

/// A file that exists, durably, with `bytes`.
async fn durable_file(io: &Io, at: &str, bytes: &[u8]) -> Handle {
    let file = io.open(Path::new(at), WRITE).await.expect("open");
    io.write(file, 0, owned(bytes), false).await.expect("write");
    io.sync(file).await.expect("fsync");
    let directory = Path::new(at).parent().expect("a directory");
    io.sync_directory(directory).await.expect("sync");
    file
}

#[test]
fn a_power_cut_keeps_what_was_synced() {
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let world = world(seed);
        live(&world, |io, _| async move {
            let file = durable_file(&io, "/data/a", &[1; 3000]).await;
            io.write(file, 3000, owned(&[2; 3000]), true)
                .await
                .expect("dsync");
            io.write(file, 6000, owned(&[3; 3000]), false)
                .await
                .expect("write");
            io.data_sync(file).await.expect("fdatasync");
        });
        world.power_cut();
        let mut wanted = vec![1; 3000];
        wanted.extend([2; 3000]);
        wanted.extend([3; 3000]);
        assert!(read(&world, "/data/a") == Ok(wanted), "seed {seed}");
    }
}

#[test]
fn a_power_cut_loses_keeps_or_tears_what_was_not() {
    let left = outcomes(|seed| {
        let world = world(seed);
        live(&world, |io, _| async move {
            let file = durable_file(&io, "/data/a", &[1; 4 * PAGE]).await;
            io.write(file, 0, owned(&[2; 4 * PAGE]), false)
                .await
                .expect("write");
        });
        world.power_cut();
        let bytes = read(&world, "/data/a").expect("it was synced");
        assert_eq!(bytes.len(), 4 * PAGE);
        let sectors: Vec<u8> = bytes
            .chunks(512)
            .map(|sector| {
                assert!(sector.iter().all(|byte| *byte == sector[0]));
                sector[0]
            })
            .collect();
        assert!(sectors.iter().all(|first| matches!(first, 1 | 2)));
        sectors
    });
    assert!(left.contains(&vec![1; 32]), "never lost");
    assert!(left.contains(&vec![2; 32]), "never kept");
    assert!(left.len() > 10, "hardly torn");
}

#[test]
fn a_killed_process_leaves_what_had_completed() {
    for seed in 0..SEEDS {
        let world = world(seed);
        live(&world, |io, _| async move {
            let file = io.open(Path::new("/data/a"), WRITE).await.expect("open");
            io.write(file, 0, owned(&[7; 5000]), false)
                .await
                .expect("write");
        });
        world.kill_process();
        assert!(read(&world, "/data/a") == Ok(vec![7; 5000]), "seed {seed}");
    }
}

#[test]
fn a_write_in_flight_at_a_kill_is_done_lost_or_torn() {
    let left = outcomes(|seed| {
        let world = world(seed);
        live(&world, |io, _| async move {
            let file = durable_file(&io, "/data/a", &[1; 4 * PAGE]).await;
            drop(io.submit(Op::Write {
                file,
                pos: 0,
                parts: owned(&[2; 4 * PAGE]),
                dsync: true,
                cache: Cache::AsOpened,
            }));
        });
        world.kill_process();
        let bytes = read(&world, "/data/a").expect("it was synced");
        bytes.chunks(512).map(|s| s[0]).collect::<Vec<_>>()
    });
    assert!(left.contains(&vec![1; 32]) && left.contains(&vec![2; 32]));
    assert!(left.len() > 10, "hardly torn");
}

#[test]
fn a_sync_covers_only_writes_that_had_completed_when_it_was_submitted() {
    let left = outcomes(|seed| {
        let world = world(seed);
        live(&world, |io, _| async move {
            let file = durable_file(&io, "/data/a", &[1; 512]).await;
            let write = io.submit(Op::Write {
                file,
                pos: 0,
                parts: owned(&[2; 512]),
                dsync: false,
                cache: Cache::AsOpened,
            });
            let sync = io.submit(Op::DataSync { file });
            write.await.result.expect("write");
            sync.await.result.expect("fdatasync");
        });
        world.power_cut();
        read(&world, "/data/a").expect("it was synced")[0]
    });
    assert_eq!(left, BTreeSet::from([1, 2]));
}

#[test]
fn an_overwritten_write_never_comes_back_over_a_synced_one() {
    for seed in 0..SEEDS {
        let world = world(seed);
        live(&world, |io, _| async move {
            let file = durable_file(&io, "/data/a", &[1; 512]).await;
            io.write(file, 0, owned(&[2; 512]), false)
                .await
                .expect("write");
            io.write(file, 0, owned(&[3; 512]), true)
                .await
                .expect("dsync");
        });
        world.power_cut();
        assert!(read(&world, "/data/a") == Ok(vec![3; 512]), "seed {seed}");
    }
}

#[test]
fn a_length_is_durable_with_a_sync_and_not_before() {
    let left = outcomes(|seed| {
        let world = world(seed);
        live(&world, |io, _| async move {
            let file = durable_file(&io, "/data/a", &[1; 100]).await;
            io.write(file, 100, owned(&[2; 100]), false)
                .await
                .expect("write");
            io.allocate(file, 0, 1000).await.expect("allocate");
            io.truncate(file, 50).await.expect("truncate");
        });
        world.power_cut();
        read(&world, "/data/a").expect("it was synced").len()
    });
    assert_eq!(left, BTreeSet::from([50, 100, 200, 1000]));
}

#[test]
fn what_was_cut_off_stays_cut_off() {
    for seed in 0..SEEDS {
        let world = world(seed);
        live(&world, |io, _| async move {
            let file = durable_file(&io, "/data/a", &[1; 3 * PAGE]).await;
            io.truncate(file, 700).await.expect("truncate");
            io.truncate(file, 2 * PAGE as u64).await.expect("grow");
            io.data_sync(file).await.expect("fdatasync");
        });
        world.power_cut();
        let mut wanted = vec![1; 700];
        wanted.resize(2 * PAGE, 0);
        assert!(read(&world, "/data/a") == Ok(wanted), "seed {seed}");
    }
}

#[test]
fn a_sync_of_everything_covers_files_and_names() {
    for seed in 0..SEEDS {
        let world = world(seed);
        live(&world, |io, _| async move {
            io.make_dir(Path::new("/data/d")).await.expect("mkdir");
            let mut files = Vec::new();
            for name in ["a", "d/b"] {
                let file = io.open(&Path::new("/data").join(name), WRITE).await;
                let file = file.expect("open");
                io.write(file, 0, owned(&[1; 700]), false)
                    .await
                    .expect("write");
                files.push(file);
            }
            io.sync_file_system(Path::new("/data"))
                .await
                .expect("syncfs");
            io.write(files[0], 0, owned(&[2; 512]), false)
                .await
                .expect("later");
        });
        world.power_cut();
        let later = read(&world, "/data/a").expect("its name was synced");
        assert!([1, 2].contains(&later[0]) && later[512..] == [1; 188]);
        assert!(read(&world, "/data/d/b") == Ok(vec![1; 700]), "seed {seed}");
    }
}

#[test]
fn a_sync_of_everything_covers_only_writes_that_had_completed() {
    let left = outcomes(|seed| {
        let world = world(seed);
        live(&world, |io, _| async move {
            let file = durable_file(&io, "/data/a", &[1; 512]).await;
            let write = io.submit(Op::Write {
                file,
                pos: 0,
                parts: owned(&[2; 512]),
                dsync: false,
                cache: Cache::AsOpened,
            });
            let path = std::ffi::CString::new("/data").expect("no zero in it");
            let sync = io.submit(Op::SyncFileSystem { path });
            write.await.result.expect("write");
            sync.await.result.expect("syncfs");
        });
        world.power_cut();
        read(&world, "/data/a").expect("it was synced")[0]
    });
    assert_eq!(left, BTreeSet::from([1, 2]));
}

#[test]
fn a_sync_of_everything_that_failed_is_told_to_each_file_too() {
    let left = outcomes(|seed| {
        let world = world(seed);
        let machine = world.clone();
        live(&world, |io, _| async move {
            let file = durable_file(&io, "/data/a", &[1; 512]).await;
            io.write(file, 0, owned(&[2; 512]), false)
                .await
                .expect("write");
            machine.set_faults(|faults| faults.sync_fails = 1);
            let eio = Err(Errno(libc::EIO));
            assert_eq!(io.sync_file_system(Path::new("/data")).await, eio);
            machine.set_faults(|faults| faults.sync_fails = 0);
            assert_eq!(io.sync_file_system(Path::new("/data")).await, Ok(()));
            assert_eq!(io.data_sync(file).await, eio);
            assert_eq!(io.data_sync(file).await, Ok(()), "it is told once");
        });
        world.power_cut();
        read(&world, "/data/a").expect("it was synced")[0]
    });
    assert_eq!(left, BTreeSet::from([1, 2]), "no sync brings it back");
}

#[test]
fn names_are_durable_with_their_directory() {
    let left = outcomes(|seed| {
        let world = world(seed);
        live(&world, |io, _| async move {
            durable_file(&io, "/data/kept", b"1").await;
            let file = io.open(Path::new("/data/new"), WRITE).await.expect("open");
            io.sync(file).await.expect("the file, not its name");
            io.rename(Path::new("/data/kept"), Path::new("/data/moved"))
                .await
                .expect("rename");
        });
        world.power_cut();
        live(&world, |io, _| async move {
            let mut names = io.list(Path::new("/data")).await.expect("list");
            names.retain(|name| name != "new");
            names
        })
    });
    // One of the two names, never both, never none.
    let wanted = [vec!["kept".to_owned()], vec!["moved".to_owned()]];
    assert_eq!(left, BTreeSet::from(wanted));
}

#[test]
fn a_replaced_file_is_the_old_or_the_new_whole() {
    let left = outcomes(|seed| {
        let world = world(seed);
        live(&world, |io, _| async move {
            let at = Path::new("/data/a");
            io.replace_file(at, vec![1; 2000])
                .await
                .expect("the first is durable");
            let other = io.clone();
            let replacing = Box::pin(async move {
                let at = Path::new("/data/a");
                other.replace_file(at, vec![2; 3000]).await
            });
            let patience = 1_000_000 + seed * 20_000;
            let sleep = Box::pin(io.sleep(Duration::from_nanos(patience)));
            either(replacing, sleep).await;
        });
        world.power_cut();
        let bytes = read(&world, "/data/a").expect("the old or the new");
        let whole = bytes == [1; 2000] || bytes == [2; 3000];
        assert!(whole, "seed {seed}: {} bytes", bytes.len());
        bytes[0]
    });
    assert_eq!(left, BTreeSet::from([1, 2]));
}

/// Waits for whichever ends first and drops the other.
async fn either<A: Future + Unpin, B: Future + Unpin>(a: A, b: B) {
    let (mut a, mut b) = (a, b);
    std::future::poll_fn(|context| {
        use std::pin::Pin;
        let done =
            Pin::new(&mut a).poll(context).is_ready() || Pin::new(&mut b).poll(context).is_ready();
        if done {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

/// A busy life: clients that echo over sockets what a server logs to a file.
fn busy(world: &SimWorld) {
    live(world, |io, spawner| async move {
        let any = "127.0.0.1:0".parse().unwrap();
        let (listener, address) = io.listen(any, true).await.expect("listen");
        let log = io.open(Path::new("/data/log"), WRITE).await.expect("open");
        let end = Rc::new(RefCell::new(0));
        let clients: Vec<_> = (0..4u8)
            .map(|id| {
                let (io, sends) = (io.clone(), spawner.clone());
                spawner.spawn(async move {
                    let socket = io.connect(address).await.expect("connect");
                    for turn in 0..20usize {
                        let len = 100 + turn * 997;
                        // Beside the receive: an echo comes back before all has been sent.
                        let sending = io.clone();
                        let send = sends.spawn(async move {
                            sending.send(socket, owned(&vec![id; len])).await
                        });
                        let block = io.pool().take(len);
                        let (got, block) = io.receive_into(socket, block, 0, len, true).await;
                        assert_eq!(got, Ok(len));
                        send.await.expect("send");
                        assert!(block.bytes(0, len).iter().all(|byte| *byte == id));
                        io.sleep(Duration::from_nanos(io.random() % 50_000)).await;
                    }
                    io.close(socket).await;
                })
            })
            .collect();
        let servers: Vec<_> = (0..4)
            .map(|_| {
                let (io, end) = (io.clone(), end.clone());
                spawner.spawn(async move {
                    let socket = io.accept(listener).await.expect("accept");
                    loop {
                        let bytes = match io.receive(socket).await.expect("receive") {
                            Received::Provided(bytes) => bytes.bytes().to_vec(),
                            Received::Block(block, len) => block.bytes(0, len as usize).to_vec(),
                            Received::End => break io.close(socket).await,
                        };
                        let pos = end.replace_with(|end| *end + bytes.len() as u64);
                        io.write(log, pos, owned(&bytes), pos % 2 == 0)
                            .await
                            .expect("write");
                        io.send(socket, owned(&bytes)).await.expect("send");
                    }
                })
            })
            .collect();
        for task in clients.into_iter().chain(servers) {
            task.await;
        }
        io.data_sync(log).await.expect("fdatasync");
    });
    world.power_cut();
    let total = 4 * (0..20).map(|turn| 100 + turn * 997).sum::<usize>();
    let log = read(world, "/data/log");
    // Its name was never synced.
    assert!(log.is_err() || log.is_ok_and(|log| log.len() == total));
    world.kill_process();
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let mut hashes = BTreeSet::new();
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let once = world(seed);
        busy(&once);
        let again = world(seed);
        busy(&again);
        assert_eq!(once.trace_hash(), again.trace_hash(), "seed {seed}");
        assert_eq!(once.now(), again.now());
        assert_eq!(once.trace(), again.trace());
        hashes.insert(once.trace_hash());
    }
    assert_eq!(hashes.len() as u64, SEEDS);
}

#[test]
fn operations_overtake_one_another() {
    let orders = outcomes(|seed| {
        let world = world(seed);
        live(&world, |io, spawner| async move {
            let file = durable_file(&io, "/data/a", &[1; 512]).await;
            let order = Rc::new(RefCell::new(Vec::new()));
            let tasks: Vec<_> = (0..3u8)
                .map(|id| {
                    let (io, order) = (io.clone(), order.clone());
                    spawner.spawn(async move {
                        let pos = u64::from(id) * 512;
                        io.write(file, pos, owned(&[id; 512]), false)
                            .await
                            .expect("write");
                        order.borrow_mut().push(id);
                    })
                })
                .collect();
            for task in tasks {
                task.await;
            }
            order.take()
        })
    });
    assert_eq!(orders.len(), 6, "every order of three happens");
}

#[test]
fn two_processes_lives_share_only_the_disk_and_the_clock() {
    let world = world(1);
    let (address, before) = live(&world, |io, spawner| async move {
        let any = "127.0.0.1:0".parse().unwrap();
        let (listener, address) = io.listen(any, false).await.expect("listen");
        let accepting = io.clone();
        spawner
            .spawn(async move { accepting.accept(listener).await })
            .detach();
        io.sleep(Duration::from_secs(3)).await;
        (address, io.now())
    });
    world.kill_process();
    live(&world, |io, _| async move {
        assert!(io.now() >= before && before > 3_000_000_000);
        let refused = io.connect(address).await;
        assert_eq!(refused, Err(Errno(libc::ECONNREFUSED)));
    });
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_deadlock_is_named() {
    live(&world(7), |io, _| async move {
        let any = "127.0.0.1:0".parse().unwrap();
        let (listener, _) = io.listen(any, false).await.expect("listen");
        io.accept(listener).await.expect("nobody connects")
    });
}

#[test]
#[should_panic(expected = "which is not open")]
fn a_closed_handle_is_not_used() {
    live(&world(7), |io, _| async move {
        let file = durable_file(&io, "/data/a", b"1").await;
        io.close(file).await;
        io.close(file).await;
    });
}

#[test]
#[should_panic(expected = "two sends on one socket")]
fn two_sends_at_a_time_are_noticed() {
    live(&world(7), |io, _| async move {
        let any = "127.0.0.1:0".parse().unwrap();
        let (_, address) = io.listen(any, false).await.expect("listen");
        let socket = io.connect(address).await.expect("connect");
        let send = || Op::Send {
            socket,
            parts: owned(&vec![0; 1 << 20]),
        };
        let (first, second) = (io.submit(send()), io.submit(send()));
        first.await.result.expect("nobody reads");
        second.await.result.expect("nobody reads");
    });
}

#[test]
fn a_full_disk_says_so_and_takes_more_after_a_removal() {
    let faults = SimFaults {
        disk_bytes_max: Some(10 * PAGE as u64),
        ..SimFaults::default()
    };
    let world = SimWorld::with_faults(3, &faults);
    live(&world, |io, _| async move {
        let enospc = Err(Errno(libc::ENOSPC));
        let at = Path::new("/a");
        let file = io.open(at, WRITE).await.expect("open");
        io.allocate(file, 0, 8 * PAGE as u64).await.expect("fits");
        io.write(file, 0, owned(&[1; 8 * PAGE]), false)
            .await
            .expect("allocated");
        let more = io.write(file, 8 * PAGE as u64, owned(&[1; 3 * PAGE]), false);
        assert_eq!(more.await, enospc);
        assert_eq!(io.allocate(file, 0, 11 * PAGE as u64).await, enospc);
        io.close(file).await;
        io.remove(at).await.expect("remove");
        let file = io.open(Path::new("/b"), WRITE).await.expect("open");
        io.allocate(file, 0, 10 * PAGE as u64).await.expect("fits");
    });
    world.kill_process();
}

#[test]
fn cached_reads_sometimes_find_nothing() {
    let results = outcomes(|seed| {
        let world = world(seed);
        live(&world, |io, _| async move {
            let file = durable_file(&io, "/data/a", &[1; 100]).await;
            let block = io.pool().take(PAGE);
            let op = Op::Read {
                file,
                pos: 0,
                block,
                start: 0,
                len: PAGE as u32,
                cached: true,
            };
            io.submit(op).await.result.map_err(|errno| errno.0)
        })
    });
    assert_eq!(results, BTreeSet::from([Ok(100), Err(libc::EAGAIN)]));
}

#[test]
fn provided_buffers_run_out_and_come_back() {
    let world = world(5);
    live(&world, |io, _| async move {
        let any = "127.0.0.1:0".parse().unwrap();
        let (listener, address) = io.listen(any, false).await.expect("listen");
        let mut held = Vec::new();
        let client = io.connect(address).await.expect("connect");
        let server = io.accept(listener).await.expect("accept");
        let exhausted = loop {
            io.send(client, owned(b"x")).await.expect("send");
            match io.receive(server).await.expect("receive") {
                Received::Provided(bytes) => held.push(bytes),
                Received::Block(block, 1) => break block.bytes(0, 1) == b"x",
                _ => panic!("one byte was sent"),
            }
        };
        assert!(exhausted && !held.is_empty());
        held.clear();
        io.send(client, owned(b"y")).await.expect("send");
        assert!(matches!(
            io.receive(server).await,
            Ok(Received::Provided(_))
        ));
    });
}

#[test]
fn peers_wake_one_another() {
    let world = world(11);
    let sleeper = SimDriver::new(&world);
    let remote = sleeper.remote();
    let mut sleeper: Box<dyn Driver> = Box::new(sleeper);
    let waker = Io::new(Box::new(SimDriver::new(&world)), Pool::new());
    assert!(remote.claim() && !remote.claim(), "one wake-up at a time");
    drop(waker.submit(Op::Wake {
        peer: remote.clone(),
    }));
    waker.reap(None);
    let before = sleeper.now();
    let mut completed = Vec::new();
    sleeper.reap(Some(Duration::from_secs(1)), &mut completed);
    assert_eq!((sleeper.now(), completed.len()), (before, 0), "no sleep");
    sleeper.reap(Some(Duration::from_secs(1)), &mut completed);
    assert_eq!(sleeper.now(), before + 1_000_000_000);
    remote.wake();
    sleeper.reap(None, &mut completed);
}
