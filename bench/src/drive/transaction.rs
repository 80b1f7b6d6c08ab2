//! A transactional id: its producer's identity, and its transactions one after the other.
//!
//! As the server has it: partitions join by being written to and every end raises the epoch
//! (`transaction.version` 2, KIP-890), or they are added first and the epoch stays.

use anyhow::{Context, Result};
use odradek_wire::Message;
use odradek_wire::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, AddPartitionsToTxnTopic,
};
use odradek_wire::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use odradek_wire::end_txn::{EndTxnRequest, EndTxnResponse};
use odradek_wire::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use super::admin::{Admin, CLIENT_ID, check, reply_body};
use super::coordinator::{Coordinates, until_ready};

/// No transaction of a run lasts as long.
const TIMEOUT_MS: i32 = 600_000;

/// See the module.
pub(crate) struct Transaction {
    id: String,
    coordinator: Admin,
    producer: (i64, i16),
    joins_by_writing: bool,
}

impl Admin {
    /// The level of `transaction.version`; 0 where the server knows of none.
    fn transaction_version(&mut self) -> Result<i16> {
        let version = self.version::<ApiVersionsRequest>(4)?;
        let request = ApiVersionsRequest {
            client_software_name: CLIENT_ID,
            client_software_version: "1",
        };
        let reply = self.call(&request, version)?;
        let mut body = reply_body(&reply, ApiVersionsRequest::API_KEY, version)?;
        let response = ApiVersionsResponse::decode(&mut body, version)?;
        check("ApiVersions", response.error_code)?;
        let mut features = response.finalized_features.iter();
        let found = features.find(|feature| feature.name == "transaction.version");
        Ok(found.map_or(0, |feature| feature.max_version_level))
    }
}

impl Transaction {
    /// A producer begins under `id`: whoever had it before is fenced.
    pub(crate) fn begin(admin: &mut Admin, id: &str) -> Result<Self> {
        let joins_by_writing = admin.transaction_version()? >= 2;
        let mut coordinator = Admin::connect(admin.coordinator(Coordinates::Transaction, id)?)?;
        let version = coordinator.version::<InitProducerIdRequest>(4)?;
        let request = InitProducerIdRequest {
            transactional_id: Some(id),
            transaction_timeout_ms: TIMEOUT_MS,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        };
        let producer = until_ready("InitProducerId", || {
            let reply = coordinator.call(&request, version)?;
            let mut body = reply_body(&reply, InitProducerIdRequest::API_KEY, version)?;
            let response = InitProducerIdResponse::decode(&mut body, version)?;
            let producer = (response.producer_id, response.producer_epoch);
            Ok((response.error_code, producer))
        })?;
        Ok(Self {
            id: id.to_owned(),
            coordinator,
            producer,
            joins_by_writing,
        })
    }

    /// The producer's id and its epoch now.
    pub(crate) fn producer(&self) -> (i64, i16) {
        self.producer
    }

    /// Of its produce requests, at most.
    pub(crate) fn produce_version_max(&self) -> i16 {
        // From 12 on they join.
        if self.joins_by_writing { 12 } else { 11 }
    }

    /// Partitions join, where that is asked for; once the transaction before is through.
    pub(crate) fn join(&mut self, topic: &str, partitions: &[i32]) -> Result<()> {
        if self.joins_by_writing {
            return Ok(());
        }
        let version = self.coordinator.version::<AddPartitionsToTxnRequest>(3)?;
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: &self.id,
            v3_and_below_producer_id: self.producer.0,
            v3_and_below_producer_epoch: self.producer.1,
            v3_and_below_topics: vec![AddPartitionsToTxnTopic {
                name: topic,
                partitions: partitions.to_vec(),
            }],
            ..Default::default()
        };
        let coordinator = &mut self.coordinator;
        until_ready("AddPartitionsToTxn", || {
            let reply = coordinator.call(&request, version)?;
            let mut body = reply_body(&reply, AddPartitionsToTxnRequest::API_KEY, version)?;
            let response = AddPartitionsToTxnResponse::decode(&mut body, version)?;
            let topics = response.results_by_topic_v3_and_below.iter();
            let codes = topics.flat_map(|topic| &topic.results_by_partition);
            let mut codes = codes.map(|one| one.partition_error_code);
            let first = codes.clone().next().context("an empty reply")?;
            Ok((codes.find(|code| *code != 0).unwrap_or(first), ()))
        })
    }

    /// Commits what is open.
    pub(crate) fn commit(&mut self) -> Result<()> {
        let ceiling = if self.joins_by_writing { 5 } else { 4 };
        let version = self.coordinator.version::<EndTxnRequest>(ceiling)?;
        let request = EndTxnRequest {
            transactional_id: &self.id,
            producer_id: self.producer.0,
            producer_epoch: self.producer.1,
            committed: true,
        };
        let coordinator = &mut self.coordinator;
        let ended = until_ready("EndTxn", || {
            let reply = coordinator.call(&request, version)?;
            let mut body = reply_body(&reply, EndTxnRequest::API_KEY, version)?;
            let response = EndTxnResponse::decode(&mut body, version)?;
            let producer = (response.producer_id, response.producer_epoch);
            Ok((response.error_code, producer))
        })?;
        if self.joins_by_writing {
            self.producer = ended;
        }
        Ok(())
    }
}
