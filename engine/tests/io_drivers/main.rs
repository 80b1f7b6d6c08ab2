//! The same behaviour on io_uring, on epoll and in simulation: one table of cases for all drivers.
#![allow(clippy::disallowed_methods)] // a test's own directory and watchdog

mod between;
mod files;
mod sockets;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use odradek_engine::bytes::{PAGE, Part, Parts, Pool};
use odradek_engine::io::sim::{SimDriver, SimWorld};
use odradek_engine::io::strategy::write::WriteStrategy;
use odradek_engine::io::{Cache, DriverKind, Errno, Handle, Io, Op, OpenMode, Pipe, Received};
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

/// Runs `test` on each driver of the system and in simulated worlds.
fn on_all<F: Future<Output = ()> + 'static>(test: impl Fn(On) -> F) {
    on_systems(&test);
    let watched = watch();
    for seed in 0..SEEDS {
        let world = SimWorld::new(seed);
        world.make_dir("/data");
        let io = Io::new(Box::new(SimDriver::new(&world)), Pool::new());
        println!("seed {seed}");
        run(&test, io, Path::new("/data"), "sim");
        world.kill_process();
    }
    drop(watched);
}

/// On a driver of the system.
fn system(kind: DriverKind) -> Io {
    let pool = Pool::new();
    Io::new(kind.open(&pool).expect("a driver"), pool)
}

/// What only a system has: no simulated worlds.
fn on_systems<F: Future<Output = ()> + 'static>(test: impl Fn(On) -> F) {
    let watched = watch();
    let spinning = {
        let pool = Pool::new();
        let driver = DriverKind::Ring.open_spinning(&pool, Duration::from_micros(300));
        Io::new(driver.expect("a driver"), pool)
    };
    let all = DriverKind::ALL.iter().map(|kind| (*kind, system(*kind)));
    for (kind, io) in all.chain([(DriverKind::Ring, spinning)]) {
        println!("{}", kind.name());
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        run(&test, io, directory.path(), kind.name());
    }
    drop(watched);
}

/// A driver that waits for what never comes would hang the suite.
fn watch() -> std::sync::mpsc::Sender<()> {
    let (done, watched) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        if watched.recv_timeout(Duration::from_secs(120))
            == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
        {
            eprintln!("a test took over 120 s");
            std::process::abort();
        }
    });
    done
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
