//! Ids for idempotent producers.

use anyhow::Result;
use odradek_wire::Message;
use odradek_wire::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use super::admin::{Admin, reply_body};
use super::coordinator::until_ready;

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
        until_ready("InitProducerId", || {
            let reply = self.call(&request, version)?;
            let mut body = reply_body(&reply, InitProducerIdRequest::API_KEY, version)?;
            let response = InitProducerIdResponse::decode(&mut body, version)?;
            let producer = (response.producer_id, response.producer_epoch);
            Ok((response.error_code, producer))
        })
    }
}
