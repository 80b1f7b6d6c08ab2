//! DescribeUserScramCredentials: nobody has any, as on an Apache Kafka to which none were added.
//!
//! Source: KIP-554, Kafka `ScramImage.describe`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use odradek_wire::describe_user_scram_credentials::{
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
    DescribeUserScramCredentialsResult,
};
use odradek_wire::{ErrorCode, Message};

use super::{Call, Outcome, Refusal};

pub(super) const KEY: i16 = DescribeUserScramCredentialsRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> = DescribeUserScramCredentialsRequest::MIN_VERSION
    ..=DescribeUserScramCredentialsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: DescribeUserScramCredentialsRequest<'_> = call.decode()?;
    // All users are asked for by null, or by naming none.
    let mut times = BTreeMap::<&str, usize>::new();
    for user in request.users.iter().flatten() {
        *times.entry(user.name).or_default() += 1;
    }
    let told: Vec<(&str, ErrorCode, String)> = times
        .into_iter()
        .map(|(user, times)| match times {
            1 => {
                let why =
                    format!("Attempt to describe a user credential that does not exist: {user}");
                (user, ErrorCode::ResourceNotFound, why)
            }
            _ => {
                let why = format!(
                    "Cannot describe SCRAM credentials for the same user twice in a single \
                     request: {user}"
                );
                (user, ErrorCode::DuplicateResource, why)
            }
        })
        .collect();
    let results = told
        .iter()
        .map(|(user, error, why)| DescribeUserScramCredentialsResult {
            user,
            error_code: error.code(),
            error_message: Some(why),
            credential_infos: Vec::new(),
        });
    call.reply(&DescribeUserScramCredentialsResponse {
        results: results.collect(),
        ..DescribeUserScramCredentialsResponse::default()
    })
}
