//! ApiVersions: what is served. Answers every version, so that any client can find out.
//!
//! Source: KIP-511, Kafka `ApiVersionsRequest`.

use std::ops::RangeInclusive;

use odradek_wire::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use odradek_wire::{ErrorCode, Message};

use super::{Call, Outcome, Refusal, Reply, encode_reply, table};
use crate::catalog::image::TRANSACTION_VERSION;
use crate::coordinators::transactions::LATEST_VERSION;

pub(super) const KEY: i16 = super::API_VERSIONS_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> = 0..=ApiVersionsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// The level of metadata records: that of the pinned Apache Kafka, and its oldest.
pub(super) const METADATA_VERSION: RangeInclusive<i16> = 7..=30;
/// First version whose clients can read a feature that has a level 0 (KAFKA-17492).
const LEVEL_ZERO: i16 = 4;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let image = call.broker.image();
    let transactions = image.transaction_version();
    let mut response = ApiVersionsResponse {
        api_keys: table::TABLE
            .iter()
            .map(|row| ApiVersion {
                api_key: row.key,
                min_version: *row.advertised.start(),
                max_version: *row.advertised.end(),
            })
            .collect(),
        supported_features: vec![SupportedFeatureKey {
            name: "metadata.version",
            min_version: *METADATA_VERSION.start(),
            max_version: *METADATA_VERSION.end(),
        }],
        finalized_features: vec![FinalizedFeatureKey {
            name: "metadata.version",
            max_version_level: *METADATA_VERSION.end(),
            min_version_level: *METADATA_VERSION.end(),
        }],
        finalized_features_epoch: image.version,
        ..ApiVersionsResponse::default()
    };
    if call.version >= LEVEL_ZERO {
        response.supported_features.push(SupportedFeatureKey {
            name: TRANSACTION_VERSION,
            min_version: 0,
            max_version: LATEST_VERSION,
        });
    }
    if transactions > 0 {
        response.finalized_features.push(FinalizedFeatureKey {
            name: TRANSACTION_VERSION,
            max_version_level: transactions,
            min_version_level: transactions,
        });
    }
    if !ACCEPTED.contains(&call.version) {
        response.error_code = ErrorCode::UnsupportedVersion.code();
        response.api_keys.retain(|api| api.api_key == KEY);
        let (bytes, _) = encode_reply(KEY, 0, call.correlation_id, &response)?;
        return Ok(Outcome::Reply(Reply::bytes(bytes)));
    }
    let request: ApiVersionsRequest<'_> = call.decode()?;
    if call.version >= 3 {
        let valid = |text: &str| {
            let inner = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
            let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
            text.bytes().all(inner) && ends(text.bytes().next()) && ends(text.bytes().next_back())
        };
        let (name, version) = (
            request.client_software_name,
            request.client_software_version,
        );
        if !valid(name) || !valid(version) {
            response = ApiVersionsResponse {
                error_code: ErrorCode::InvalidRequest.code(),
                ..ApiVersionsResponse::default()
            };
        } else {
            call.peer
                .software
                .replace(Some((name.to_owned(), version.to_owned())));
        }
    }
    call.reply(&response)
}
