//! What a fetch costs at least: send from memory, or sendfile of what is resident.

use std::fs::File;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use io_uring::opcode;
use odradek_engine::bytes::Pool;

use super::server::{DEADLINE, fd, hung_up, push, push_deadline, ring, timespec};

const CHUNK: usize = 1 << 20;
/// Distinct chunks sent in turn, as a tail holds them.
const CHUNKS: usize = 8;
/// Bytes of the resident file.
const FILE_BYTES: usize = 256 << 20;
/// Bytes of one sendfile call.
const CALL_BYTES: usize = 256 << 10;

/// Sends 1 MiB chunks through the ring, one send in flight, until the driver hangs up.
pub(super) fn from_memory(stream: &TcpStream, deadline: Instant) -> Result<()> {
    let pool = Pool::new();
    let chunks: Vec<_> = (0..CHUNKS).map(|_| pool.take(CHUNK)).collect();
    let after = timespec(deadline);
    let mut ring = ring(8)?;
    push_deadline(&mut ring, &after)?;
    let mut chunk = 0;
    let mut sent = 0;
    loop {
        let left = (CHUNK - sent) as u32;
        let entry = opcode::Send::new(fd(stream), chunks[chunk].ptr(sent), left)
            .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
            .build();
        push(&mut ring, entry)?;
        ring.submit_and_wait(1)?;
        while let Some(completion) = ring.completion().next() {
            match completion.result() {
                _ if completion.user_data() == DEADLINE => {
                    stream.shutdown(std::net::Shutdown::Both).ok();
                    return Ok(());
                }
                result if hung_up(result) => return Ok(()),
                result if result < 0 => {
                    bail!("send: {}", std::io::Error::from_raw_os_error(-result))
                }
                result => sent += result as usize,
            }
        }
        if sent == CHUNK {
            sent = 0;
            chunk = (chunk + 1) % CHUNKS;
        }
    }
}

/// A file whose pages are in the page cache: they were just written there.
pub(super) fn resident_file(dir: &Path) -> Result<File> {
    let mut file = tempfile::tempfile_in(dir).context("a file to send")?;
    let block = vec![0x6f; CHUNK];
    for _ in 0..FILE_BYTES / CHUNK {
        file.write_all(&block)?;
    }
    // Or the kernel would write it back within the measured window.
    file.sync_all()?;
    Ok(file)
}

/// Sends the file over and over in bounded calls, until the driver hangs up.
pub(super) fn from_file(stream: &TcpStream, file: &File, deadline: Instant) -> Result<()> {
    let mut offset: i64 = 0;
    while Instant::now() < deadline {
        let left = (FILE_BYTES as i64 - offset) as usize;
        let count = left.min(CALL_BYTES);
        match nix::sys::sendfile::sendfile(stream, file, Some(&mut offset), count) {
            Ok(0) => bail!("the file was cut"),
            Ok(_) => {}
            Err(nix::errno::Errno::EPIPE | nix::errno::Errno::ECONNRESET) => return Ok(()),
            Err(error) => return Err(error).context("sendfile"),
        }
        if offset == FILE_BYTES as i64 {
            offset = 0;
        }
    }
    Ok(())
}
