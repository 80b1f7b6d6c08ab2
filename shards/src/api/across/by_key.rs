//! APIs that ask about several groups or transactional ids: each coordinator is asked about its own.

use std::collections::BTreeMap;

use odradek_wire::delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse};
use odradek_wire::describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse};
use odradek_wire::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse,
};
use odradek_wire::offset_fetch::{OffsetFetchRequest, OffsetFetchResponse};

use super::ask::{LOST, alike, ask_each, decode, to};
use super::places::{shard_of_group, shard_of_transaction};
use super::split::{distinct, join, sole};
use crate::api::table::Row;
use crate::api::{Call, Handled};
use crate::net::Request;

/// Whose shard; `request { its list, a name }`, the list of the response.
macro_rules! by_key {
    ($api:ident by $owner:ident: $request:ident { $asked:ident, |$one:ident| $key:expr }
     => $response:ident { $answers:ident }, |$whole:ident, $version:ident| $sole:expr) => {
        pub(super) fn $api<'a>(
            row: &'static Row,
            call: Call<'a>,
            request: &'a Request<'a>,
        ) -> Handled<'a> {
            Box::pin(async move {
                let $version = call.version;
                let $whole: $request<'_> = call.decode()?;
                let owner = |key: &str| $owner(call.broker, key);
                let owners: Vec<u32> = match $sole {
                    Some(key) => vec![owner(key)],
                    None => $whole.$asked.iter().map(|$one| owner($key)).collect(),
                };
                if let Some(shard) = sole(&owners, call.broker.shard) {
                    return to(shard, row, call, request).await;
                }
                let mut requests = Vec::new();
                for shard in distinct(&owners) {
                    let (mut part, mut owner) = ($whole.clone(), owners.iter());
                    part.$asked.retain(|_| owner.next() == Some(&shard));
                    requests.push((shard, alike(&call, &part)?));
                }
                let bodies = ask_each(&call, requests).await?;
                let mut answers = BTreeMap::new();
                for (shard, body) in &bodies {
                    let response: $response<'_> = decode(&call, body)?;
                    answers.insert(*shard, response.$answers.into());
                }
                call.reply(&$response {
                    $answers: join(&owners, answers).ok_or(LOST)?,
                    ..$response::default()
                })
            })
        }
    };
}

by_key!(describe_groups by shard_of_group:
    DescribeGroupsRequest { groups, |one| one } => DescribeGroupsResponse { groups },
    |_whole, _version| None);
by_key!(delete_groups by shard_of_group:
    DeleteGroupsRequest { groups_names, |one| one } => DeleteGroupsResponse { results },
    |_whole, _version| None);
// Before version 8 it asks about one group.
by_key!(offset_fetch by shard_of_group:
    OffsetFetchRequest { groups, |one| one.group_id } => OffsetFetchResponse { groups },
    |whole, version| (version < 8).then_some(whole.group_id));
by_key!(describe_transactions by shard_of_transaction:
    DescribeTransactionsRequest { transactional_ids, |one| one }
    => DescribeTransactionsResponse { transaction_states },
    |_whole, _version| None);
