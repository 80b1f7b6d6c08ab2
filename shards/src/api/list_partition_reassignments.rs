//! ListPartitionReassignments: none is ever under way, a partition moves in one step.
//!
//! Source: KIP-455.

use std::ops::RangeInclusive;

use odradek_wire::Message;
use odradek_wire::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

use super::{Call, Outcome, Refusal};

pub(super) const KEY: i16 = 46;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    ListPartitionReassignmentsRequest::MIN_VERSION..=ListPartitionReassignmentsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let _: ListPartitionReassignmentsRequest<'_> = call.decode()?;
    call.reply(&ListPartitionReassignmentsResponse {
        error_message: None,
        ..ListPartitionReassignmentsResponse::default()
    })
}
