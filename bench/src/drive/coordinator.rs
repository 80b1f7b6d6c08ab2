//! Who coordinates a group or a transaction, and whether it answers yet.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use odradek_wire::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use odradek_wire::{ErrorCode, Message};

use super::admin::{Admin, check, reply_body};

/// A server that has just started may need this long for its first coordinator.
const WITHIN: Duration = Duration::from_secs(60);
/// Between two questions.
const PAUSE: Duration = Duration::from_micros(500);

/// What a key is of (`FindCoordinatorRequest.CoordinatorType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coordinates {
    Group = 0,
    Transaction = 1,
}

/// Whether to ask again a moment later, maybe elsewhere.
pub(crate) fn not_yet(code: i16) -> bool {
    let codes = [
        ErrorCode::CoordinatorNotAvailable,
        ErrorCode::CoordinatorLoadInProgress,
        ErrorCode::NotCoordinator,
        ErrorCode::ConcurrentTransactions,
    ];
    codes.iter().any(|one| one.code() == code)
}

/// Asks until the answer is another than [`not_yet`]; returns the answer's code and value.
///
/// # Errors
/// What `ask` fails with; what the answer says after a minute.
pub(crate) fn until_ready<T>(what: &str, mut ask: impl FnMut() -> Result<(i16, T)>) -> Result<T> {
    let deadline = Instant::now() + WITHIN;
    loop {
        let (code, answer) = ask()?;
        if !not_yet(code) || Instant::now() > deadline {
            check(what, code)?;
            return Ok(answer);
        }
        std::thread::sleep(PAUSE);
    }
}

impl Admin {
    /// Where the coordinator of `key` listens, once there is one.
    pub(crate) fn coordinator(&mut self, of: Coordinates, key: &str) -> Result<SocketAddr> {
        // Later versions ask for several keys.
        let version = self.version::<FindCoordinatorRequest>(3)?;
        until_ready("FindCoordinator", || {
            let request = FindCoordinatorRequest {
                key,
                key_type: of as i8,
                ..Default::default()
            };
            let reply = self.call(&request, version)?;
            let mut body = reply_body(&reply, FindCoordinatorRequest::API_KEY, version)?;
            let response = FindCoordinatorResponse::decode(&mut body, version)?;
            let address = match response.error_code {
                0 => (response.host, u16::try_from(response.port)?)
                    .to_socket_addrs()?
                    .next(),
                _ => None,
            };
            Ok((response.error_code, address))
        })?
        .context("a coordinator's address")
    }
}
