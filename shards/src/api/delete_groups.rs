//! DeleteGroups: groups without members, and their offsets, for good.

use std::ops::RangeInclusive;

use odradek_wire::Message;
use odradek_wire::delete_groups::DeleteGroupsRequest;

use super::groups::GONE;
use super::{Call, Outcome, Refusal};
use crate::coordinators::groups::{Reply, codec};

pub(super) const KEY: i16 = DeleteGroupsRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    DeleteGroupsRequest::MIN_VERSION..=DeleteGroupsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: DeleteGroupsRequest<'_> = call.decode()?;
    let mut results = Vec::new();
    let groups = &call.broker.groups;
    let deadline = groups.load_deadline();
    for group_id in codec::delete_groups_request(&request) {
        match groups.serving_until(&group_id, deadline).await {
            Err(code) => results.push((group_id, code)),
            Ok(host) => {
                let one = [group_id];
                let answer = host
                    .question(|shard, ticket, now, out| {
                        shard.delete_groups(&one, ticket, now, out);
                    })
                    .await;
                let Ok(Reply::DeleteGroups(deleted)) = answer else {
                    return Err(GONE);
                };
                results.extend(deleted);
            }
        }
    }
    call.reply(&codec::delete_groups_response(&results))
}
