//! Ids for idempotent producers.

use std::time::{Duration, Instant};

use anyhow::Result;
use odradek_wire::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use odradek_wire::{ErrorCode, Message};

use super::admin::{Admin, check, reply_body};

/// A server that has just started may need this long for its first id.
const WITHIN: Duration = Duration::from_secs(15);

impl Admin {
    /// A new producer's id and epoch.
    ///
    /// # Errors
    /// When the server gives out none.
    pub(crate) fn producer_identity(&mut self) -> Result<(i64, i16)> {
        let version = self.version::<InitProducerIdRequest>(4)?;
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: 60_000,
            ..Default::default()
        };
        let not_yet = [
            ErrorCode::CoordinatorNotAvailable,
            ErrorCode::CoordinatorLoadInProgress,
        ];
        let deadline = Instant::now() + WITHIN;
        loop {
            let reply = self.call(&request, version)?;
            let mut body = reply_body(&reply, InitProducerIdRequest::API_KEY, version)?;
            let response = InitProducerIdResponse::decode(&mut body, version)?;
            let wait = not_yet
                .iter()
                .any(|code| code.code() == response.error_code);
            if !wait || Instant::now() > deadline {
                check("InitProducerId", response.error_code)?;
                return Ok((response.producer_id, response.producer_epoch));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
