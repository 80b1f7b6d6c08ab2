//! Files and sockets, drivers and drivers.

use super::*;

#[test]
fn sendfile_fills_the_window_and_goes_on() {
    on_all(|on| async move {
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
        assert!(full || on.name != "sim", "a window is smaller than 3 MB");
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
fn memory_of_a_zero_copy_send_is_not_used_again_before_the_network_lets_go() {
    const LEN: usize = 256 << 10;
    const COUNT: u8 = 24;
    on_all(|on| async move {
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
    on_all(|on| async move {
        let io = &on.io;
        let Some(mut pipe) = Pipe::open(io, 256 << 10).await else {
            assert_eq!(on.name, "sim", "the system has pipes");
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

#[test]
fn a_socket_is_writable_when_its_reader_has_made_room() {
    on_all(|on| async move {
        let io = &on.io;
        let (listener, client, server) = pair(&on).await;
        let file = io.open(&on.directory.join("f"), WRITE).await.expect("open");
        let bytes = pattern(100_000);
        io.write(file, 0, owned(&bytes), false)
            .await
            .expect("write");
        let mut sent = 0;
        loop {
            let op = Op::Sendfile {
                socket: server,
                file,
                pos: 0,
                len: bytes.len() as u32,
            };
            match io.submit(op).await.result {
                Ok(moved) => sent += moved as usize,
                Err(errno) => {
                    assert_eq!(errno, Errno(libc::EAGAIN));
                    break;
                }
            }
        }
        let writable = io.submit(Op::Writable { socket: server });
        let reader = {
            let io = io.clone();
            on.spawner.spawn(async move {
                io.sleep(Duration::from_millis(5)).await;
                let block = io.pool().take(sent);
                io.receive_into(client, block, 0, sent, true).await.0
            })
        };
        let started = io.now();
        writable.await.result.expect("room");
        assert!(io.now() - started >= 5_000_000, "not before it is read");
        assert_eq!(reader.await, Ok(sent));
        for handle in [client, server, listener, file] {
            io.close(handle).await;
        }
    });
}

#[test]
fn files_that_answer_nothing_do_not_hold_up_sockets() {
    on_systems(|on| async move {
        let io = &on.io;
        // Opening a pipe waits for whoever opens its other end: a disk that is stuck.
        let stuck = on.directory.join("stuck");
        nix::unistd::mkfifo(&stuck, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        let opens: Vec<_> = (0..40)
            .map(|_| {
                let path = std::ffi::CString::new(stuck.to_str().unwrap()).unwrap();
                let mode = OpenMode::default();
                io.submit(Op::Open { path, mode })
            })
            .collect();
        let (listener, client, server) = pair(&on).await;
        for part in pattern(100_000).chunks(1_000) {
            io.send(client, owned(part)).await.expect("send");
            let block = io.pool().take(1_000);
            let (got, block) = io.receive_into(server, block, 0, 1_000, true).await;
            assert_eq!(got, Ok(1_000));
            assert!(block.bytes(0, 1_000) == part);
        }
        let writer = std::thread::spawn(move || {
            std::fs::OpenOptions::new()
                .write(true)
                .open(stuck)
                .expect("the other end")
        });
        let mut ends = Vec::new();
        for open in opens {
            ends.push(Handle(open.await.result.expect("open") as i32));
        }
        drop(writer.join());
        for handle in ends.into_iter().chain([client, server, listener]) {
            io.close(handle).await;
        }
    });
}

/// Answers on a socket that another driver has used, until its peer ends.
fn echo_elsewhere(kind: DriverKind, socket: Handle) {
    let io = system(kind);
    let executor = Executor::new(io.clone());
    executor.run(async move {
        while let Received::Provided(bytes) = io.receive(socket).await.expect("receive") {
            io.send(socket, owned(bytes.bytes())).await.expect("send");
        }
        io.close(socket).await;
    });
}

#[test]
fn a_socket_goes_to_another_driver_and_its_number_comes_back() {
    for kind in DriverKind::ALL {
        let kind = *kind;
        let test = move |on: On| async move {
            let io = &on.io;
            let any = "127.0.0.1:0".parse().unwrap();
            let (listener, address) = io.listen(any, false).await.expect("listen");
            for round in 0..10u8 {
                let client = io.connect(address).await.expect("connect");
                let server = io.accept(listener).await.expect("accept");
                // Here it is waited for first, in every round anew.
                let receive = io.submit(Op::RecvProvided { socket: server });
                io.sleep(Duration::from_millis(1)).await;
                io.send(client, owned(&[round])).await.expect("send");
                assert_eq!(receive.await.result, Ok(1));
                io.give_away(server);
                let there = std::thread::spawn(move || echo_elsewhere(kind, server));
                for piece in [&[round; 10], &[round + 1; 10]] {
                    io.send(client, owned(piece)).await.expect("send");
                    let block = io.pool().take(10);
                    let (got, block) = io.receive_into(client, block, 0, 10, true).await;
                    assert_eq!((got, block.bytes(0, 10)), (Ok(10), &piece[..]));
                }
                io.close(client).await;
                there.join().expect("no panic");
            }
            io.close(listener).await;
        };
        let watched = watch();
        let directory = std::env::temp_dir();
        run(&test, system(kind), &directory, kind.name());
        drop(watched);
    }
}
