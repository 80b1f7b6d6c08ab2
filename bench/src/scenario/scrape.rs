//! Asks for a server's metrics again and again, as many monitors at once would.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::contest::Server;

/// Longer than any page takes.
const PAGE_WITHIN: Duration = Duration::from_secs(30);

/// A thread that asks. It ends with [`Self::end`], or soon after it is dropped.
pub(super) struct Scraping {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Vec<Page>>>>,
}

/// One answer.
#[derive(Clone, Copy)]
pub(super) struct Page {
    pub(super) took: Duration,
    pub(super) bytes: usize,
}

/// Where the own node serves its metrics, as its log says.
pub(super) fn metrics_address(server: &Server) -> Option<String> {
    let ready = server.lines("READY ").pop()?;
    let mut words = ready.split_whitespace();
    let address = words.find_map(|word| word.strip_prefix("metrics="));
    address.map(str::to_owned)
}

impl Scraping {
    /// A page each `every`, or as soon as the one before is there.
    pub(super) fn start(address: String, every: Duration) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ends = over.clone();
        let thread = std::thread::spawn(move || {
            let (mut pages, mut next) = (Vec::new(), Instant::now());
            while !ends.load(Ordering::Relaxed) {
                pages.push(page(&address)?);
                next = Instant::now().max(next + every);
                std::thread::sleep(next - Instant::now());
            }
            Ok(pages)
        });
        Self {
            over,
            thread: Some(thread),
        }
    }

    /// All that were answered.
    ///
    /// # Errors
    /// When one was not.
    pub(super) fn end(mut self) -> Result<Vec<Page>> {
        self.over.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("it is there until now")?;
        thread.join().ok().context("the scraping thread")?
    }
}

impl Drop for Scraping {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn page(address: &str) -> Result<Page> {
    let began = Instant::now();
    let mut stream =
        TcpStream::connect(address).with_context(|| format!("metrics at {address}"))?;
    stream.set_read_timeout(Some(PAGE_WITHIN))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\n\r\n")?;
    let mut head = *b"HTTP/1.1 200 OK";
    let expected = head;
    stream.read_exact(&mut head).context("a page's head")?;
    ensure!(head == expected, "{}", String::from_utf8_lossy(&head));
    let mut buffer = vec![0; 256 << 10];
    let mut bytes = head.len();
    loop {
        match stream.read(&mut buffer).context("a page")? {
            0 => break,
            more => bytes += more,
        }
    }
    Ok(Page {
        took: began.elapsed(),
        bytes,
    })
}
