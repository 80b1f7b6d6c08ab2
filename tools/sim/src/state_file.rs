//! What may happen to a state file between two lives: it is lost, damaged, old, or it lies.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use odradek_engine::bytes::Pool;
use odradek_engine::io::sim::{SimDriver, SimWorld};
use odradek_engine::io::{Errno, Io};
use odradek_engine::log::checkpoint::Checkpoint;
use odradek_engine::log::state_file;
use odradek_engine::task::Executor;

use crate::plan::Rng;

const PATH: &str = "/data/checkpoints.0";

/// Runs one task on the machine, then nothing.
pub fn alone<T: 'static>(world: &SimWorld, task: impl AsyncFnOnce(Io) -> T + 'static) -> T {
    let io = Io::new(Box::new(SimDriver::new(world)), Pool::new());
    let executor = Executor::new(io.clone());
    let result = Rc::new(RefCell::new(None));
    let out = result.clone();
    executor.run(async move {
        let value = task(io).await;
        *out.borrow_mut() = Some(value);
    });
    world.kill_process();
    drop(executor);
    result.take().expect("it ran to its end")
}

fn read(world: &SimWorld) -> Option<Vec<u8>> {
    alone(world, async |io| {
        match io.read_file(Path::new(PATH), 1 << 20).await {
            Ok(bytes) => Some(bytes),
            Err(Errno(libc::ENOENT)) => None,
            Err(error) => panic!("{PATH}: {error}"),
        }
    })
}

fn replace(world: &SimWorld, bytes: Option<Vec<u8>>) {
    alone(world, async move |io| {
        let path = Path::new(PATH);
        match bytes {
            Some(bytes) => io.replace_file(path, bytes).await.expect("replaced"),
            None => {
                io.remove(path).await.expect("removed");
                let directory = path.parent().expect("a directory");
                io.sync_directory(directory).await.expect("synced");
            }
        }
    });
}

/// The same file under a right CRC, one number in one entry changed.
fn lie(bytes: &[u8], rng: &mut Rng) -> Vec<u8> {
    // It may be damaged still, if the last life did not come to replace it.
    let Ok(entries) = state_file::read(bytes) else {
        return bytes.to_vec();
    };
    let mut entries: Vec<_> = entries
        .into_iter()
        .map(|(key, entry)| (key, entry.to_vec()))
        .collect();
    for _ in 0..rng.range(1, 3) {
        let many = entries.len() as u64;
        if many == 0 {
            break;
        }
        let (_, entry) = &mut entries[rng.range(0, many - 1) as usize];
        // An earlier lie may have been carried along.
        let Ok(mut checkpoint) = Checkpoint::decode(entry) else {
            continue;
        };
        let by = rng.pick(&[1, 2, 61, 512, 4096, 1 << 20, 1 << 40]);
        let less = rng.one_in(2);
        let unsigned = |n: u64| {
            if less {
                n.wrapping_sub(by)
            } else {
                n.wrapping_add(by)
            }
        };
        let signed = |n: i64| unsigned(n as u64) as i64;
        match rng.range(0, 4) {
            0 => checkpoint.segment.0 = signed(checkpoint.segment.0),
            1 => checkpoint.end.offset.0 = signed(checkpoint.end.offset.0),
            2 => checkpoint.end.position.0 = unsigned(checkpoint.end.position.0),
            3 => checkpoint.batch.0 = unsigned(checkpoint.batch.0),
            _ => checkpoint.epoch.0 = signed(checkpoint.epoch.0.into()) as i32,
        }
        entry.clear();
        checkpoint.encode(entry);
    }
    let entries = entries.iter().map(|(key, entry)| (key, &entry[..]));
    state_file::write(entries).0
}

/// Does something to the file, or leaves it alone. `old`: the file of an earlier life.
pub fn meddle(world: &SimWorld, rng: &mut Rng, old: &mut Option<Vec<u8>>) {
    if rng.one_in(3) {
        return;
    }
    let Some(now) = read(world) else {
        return;
    };
    let mut bytes = now.clone();
    match rng.range(0, 5) {
        0 => return replace(world, None),
        1 => bytes.truncate(rng.range(0, now.len() as u64) as usize),
        2 => {
            let at = rng.range(0, now.len() as u64 - 1) as usize;
            bytes[at] ^= 1 << rng.range(0, 7);
        }
        3 => bytes = old.clone().unwrap_or(bytes),
        _ => bytes = lie(&now, rng),
    }
    replace(world, Some(bytes));
    *old = Some(now);
}
