//! AlterUserScramCredentials: refused, because nobody would be asked for a password here.
//!
//! What there is not cannot be deleted, as in Kafka.
//!
//! Source: KIP-554, Kafka `ScramControlManager.alterCredentials`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use odradek_wire::alter_user_scram_credentials::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
    AlterUserScramCredentialsResult,
};
use odradek_wire::{ErrorCode, Message};

use super::{Call, Outcome, Refusal};

pub(super) const KEY: i16 = AlterUserScramCredentialsRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    AlterUserScramCredentialsRequest::MIN_VERSION..=AlterUserScramCredentialsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

const NOT_HERE: &str = "this node has no authentication: a credential would protect nothing";
const UNKNOWN: &str = "Attempt to delete a user credential that does not exist";

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: AlterUserScramCredentialsRequest<'_> = call.decode()?;
    // One answer for each user.
    let mut told = BTreeMap::new();
    for deletion in &request.deletions {
        told.insert(deletion.name, (ErrorCode::ResourceNotFound, UNKNOWN));
    }
    for upsertion in &request.upsertions {
        told.insert(upsertion.name, (ErrorCode::SecurityDisabled, NOT_HERE));
    }
    let results = told
        .iter()
        .map(|(user, (error, why))| AlterUserScramCredentialsResult {
            user,
            error_code: error.code(),
            error_message: Some(why),
        });
    call.reply(&AlterUserScramCredentialsResponse {
        results: results.collect(),
        ..AlterUserScramCredentialsResponse::default()
    })
}
