use super::*;
use crate::bytes::{Part, Parts, Pool};
use crate::io::{DriverKind, OpenMode, Received};

/// On each driver of the system.
fn on_each(test: impl Fn(Io)) {
    let spin = Duration::from_micros(300);
    let all = DriverKind::ALL.iter().map(|kind| (*kind, Duration::ZERO));
    for (kind, spin) in all.chain([(DriverKind::Ring, spin)]) {
        println!("{}, spinning {spin:?}", kind.name());
        let pool = Pool::new();
        let driver = kind.open_spinning(&pool, spin).expect("a driver");
        test(Io::new(driver, pool));
    }
}

fn owned(bytes: &[u8]) -> Parts {
    let mut parts = Parts::new();
    parts.push(Part::Owned(bytes.to_vec()));
    parts
}

#[test]
fn tasks_run_in_the_order_they_were_woken() {
    on_each(|io| {
        let executor = Executor::new(io);
        let order = Rc::new(RefCell::new(Vec::new()));
        let spawner = executor.spawner();
        let seen = order.clone();
        executor.run(async move {
            let tasks: Vec<_> = (0..3)
                .map(|id| {
                    let seen = seen.clone();
                    spawner.spawn(async move {
                        seen.borrow_mut().push(id);
                        yield_now().await;
                        seen.borrow_mut().push(id + 10);
                    })
                })
                .collect();
            for task in tasks {
                task.await;
            }
        });
        assert_eq!(*order.borrow(), [0, 1, 2, 10, 11, 12]);
    });
}

#[test]
fn another_thread_wakes_a_sleeping_executor() {
    on_each(|io| {
        use std::sync::Mutex;
        use std::task::{Poll, Waker};
        let executor = Executor::new(io);
        let shared: Arc<Mutex<(Option<u32>, Option<Waker>)>> = Arc::default();
        let far = shared.clone();
        let thread = std::thread::Builder::new()
            .spawn(move || {
                // Only once the task waits, so that a wake-up is what brings it back.
                loop {
                    let mut shared = far.lock().unwrap();
                    if let Some(waker) = shared.1.take() {
                        shared.0 = Some(7);
                        waker.wake();
                        return;
                    }
                    drop(shared);
                    std::thread::yield_now();
                }
            })
            .expect("a thread");
        let got = executor.run(std::future::poll_fn(move |context| {
            let mut shared = shared.lock().unwrap();
            match shared.0.take() {
                Some(value) => Poll::Ready(value),
                None => {
                    shared.1 = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        }));
        thread.join().expect("no panic");
        assert_eq!(got, 7);
    });
}

#[test]
fn bytes_travel_over_a_socket_and_a_file_sends_itself() {
    on_each(|io| {
        let executor = Executor::new(io.clone());
        let directory = tempfile::tempdir().expect("a directory");
        let at = directory.path().join("file");
        let spawner = executor.spawner();
        executor.run(async move {
            let (listener, address) = io
                .listen("127.0.0.1:0".parse().unwrap(), true)
                .await
                .expect("listen");
            let server = {
                let io = io.clone();
                spawner.spawn(async move { io.accept(listener).await.expect("accept") })
            };
            let client = io.connect(address).await.expect("connect");
            let server = server.await;
            assert!(io.peer(server).await.is_some());

            io.send(client, owned(b"hello")).await.expect("send");
            match io.receive(server).await.expect("receive") {
                Received::Provided(bytes) => assert_eq!(bytes.bytes(), b"hello"),
                _ => panic!("five bytes were sent"),
            }

            let mode = OpenMode {
                write: true,
                create: true,
                ..OpenMode::default()
            };
            let file = io.open(&at, mode).await.expect("open");
            let contents: Vec<u8> = (0..3_000_000u32).map(|i| i as u8).collect();
            io.write(file, 0, owned(&contents), true)
                .await
                .expect("write");
            assert!(io.resident(file, 0, contents.len() as u64).await);
            let reader = {
                let io = io.clone();
                let len = contents.len();
                spawner.spawn(async move {
                    let block = io.pool().take(len);
                    let (got, block) = io.receive_into(client, block, 0, len, true).await;
                    block.bytes(0, got.expect("receive")).to_vec()
                })
            };
            let sent = io
                .sendfile(server, file, 0, contents.len())
                .await
                .expect("sendfile");
            assert_eq!(sent, contents.len());
            assert!(reader.await == contents);

            io.shutdown(client).await;
            assert!(matches!(io.receive(server).await, Ok(Received::End)));
            io.close(file).await;
            assert!(io.read_file(&at, 4_000_000).await.unwrap() == contents);
            io.replace_file(&at, b"new".to_vec())
                .await
                .expect("replace");
            assert_eq!(io.read_file(&at, 10).await.unwrap(), b"new");
            assert_eq!(io.list(at.parent().unwrap()).await.unwrap(), ["file"]);
        });
    });
}

#[test]
fn time_passes_and_a_dropped_sleep_is_forgotten() {
    on_each(|io| {
        let executor = Executor::new(io.clone());
        executor.run(async move {
            let before = io.now();
            drop(io.sleep(Duration::from_secs(3600)));
            io.sleep(Duration::from_millis(5)).await;
            assert!(io.now() - before >= 5_000_000);
            assert_eq!(io.next_deadline(), None);
        });
    });
}

#[test]
fn an_abandoned_receive_ends_and_frees_its_slot() {
    on_each(|io| {
        let executor = Executor::new(io.clone());
        executor.run(async move {
            let (listener, address) = io
                .listen("127.0.0.1:0".parse().unwrap(), false)
                .await
                .expect("listen");
            let socket = io.connect(address).await.expect("connect");
            let flying = io.flying();
            let receive = io.submit(crate::io::Op::RecvProvided { socket });
            assert_eq!(io.flying(), flying + 1);
            drop(receive);
            while io.flying() > flying {
                yield_now().await;
            }
            io.close(listener).await;
        });
    });
}
