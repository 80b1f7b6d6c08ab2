//! Connections.

use super::*;

#[test]
fn an_echo_and_the_end_of_the_stream() {
    on_all(|on| async move {
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
    on_all(|on| async move {
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
fn a_gone_peer_is_noticed() {
    on_all(|on| async move {
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
    on_all(|on| async move {
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
    on_all(|on| async move {
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
fn when_all_buffers_are_lent_a_receive_brings_a_block() {
    on_all(|on| async move {
        let io = &on.io;
        let (listener, client, server) = pair(&on).await;
        let mut lent = Vec::new();
        for number in 0..1000u32 {
            io.send(client, owned(&[number as u8])).await.expect("send");
            match io.receive(server).await.expect("receive") {
                Received::Provided(bytes) => {
                    assert_eq!(bytes.bytes(), [number as u8]);
                    lent.push(bytes);
                }
                Received::Block(block, len) => {
                    assert_eq!(block.bytes(0, len as usize), [number as u8]);
                    assert_eq!(lent.len(), number as usize, "the first without");
                    break;
                }
                Received::End => panic!("{number}"),
            }
        }
        assert!((2..1000).contains(&lent.len()), "{} buffers", lent.len());
        lent.pop();
        io.send(client, owned(b"again")).await.expect("send");
        let again = io.receive(server).await.expect("receive");
        assert!(matches!(again, Received::Provided(_)), "one is back");
        for handle in [client, server, listener] {
            io.close(handle).await;
        }
    });
}

#[test]
fn a_cancelled_receive_of_everything_says_what_it_has() {
    on_all(|on| async move {
        let io = &on.io;
        let (listener, client, server) = pair(&on).await;
        for (sent, wanted) in [(0, Err(Errno(libc::ECANCELED))), (3, Ok(3))] {
            io.send(client, owned(&b"abc"[..sent])).await.expect("send");
            let receive = io.submit(Op::Recv {
                socket: server,
                block: io.pool().take(100),
                start: 0,
                len: 100,
                all: true,
            });
            io.sleep(Duration::from_millis(5)).await;
            receive.cancel();
            let done = receive.await;
            assert_eq!(done.result, wanted, "{}", on.name);
        }
        for handle in [client, server, listener] {
            io.close(handle).await;
        }
    });
}
