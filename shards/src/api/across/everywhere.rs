//! APIs that ask a broker what it has: every shard is asked.

use std::sync::Arc;

use odradek_wire::describe_log_dirs::{DescribeLogDirsResponse, DescribeLogDirsResult};
use odradek_wire::list_groups::ListGroupsResponse;
use odradek_wire::list_transactions::ListTransactionsResponse;

use super::ask::{ask_each, decode};
use crate::api::table::Row;
use crate::api::{Call, Handled, Refusal};
use crate::net::Request;

/// Every shard's answer to one request.
async fn ask_all(call: &Call<'_>, request: &Request<'_>) -> Result<Vec<(u32, Vec<u8>)>, Refusal> {
    let shards = 0..call.broker.shards();
    let request = Arc::new(request.bytes().to_vec());
    let requests = shards.map(|shard| (shard, request.clone()));
    ask_each(call, requests.collect()).await
}

pub(super) fn list_groups<'a>(
    _: &'static Row,
    call: Call<'a>,
    request: &'a Request<'a>,
) -> Handled<'a> {
    Box::pin(async move {
        let bodies = ask_all(&call, request).await?;
        let mut joined = ListGroupsResponse::default();
        for (_, body) in &bodies {
            let one: ListGroupsResponse<'_> = decode(&call, body)?;
            if joined.error_code == 0 {
                joined.error_code = one.error_code;
            }
            joined.groups.extend(one.groups);
        }
        call.reply(&joined)
    })
}

pub(super) fn list_transactions<'a>(
    _: &'static Row,
    call: Call<'a>,
    request: &'a Request<'a>,
) -> Handled<'a> {
    Box::pin(async move {
        let bodies = ask_all(&call, request).await?;
        let mut joined = ListTransactionsResponse::default();
        for (_, body) in &bodies {
            let one: ListTransactionsResponse<'_> = decode(&call, body)?;
            if joined.error_code == 0 {
                joined.error_code = one.error_code;
            }
            // The same of each.
            joined.unknown_state_filters = one.unknown_state_filters;
            joined.transaction_states.extend(one.transaction_states);
        }
        call.reply(&joined)
    })
}

pub(super) fn describe_log_dirs<'a>(
    _: &'static Row,
    call: Call<'a>,
    request: &'a Request<'a>,
) -> Handled<'a> {
    Box::pin(async move {
        let bodies = ask_all(&call, request).await?;
        let mut joined = DescribeLogDirsResponse::default();
        for (_, body) in &bodies {
            let one: DescribeLogDirsResponse<'_> = decode(&call, body)?;
            if joined.error_code == 0 {
                joined.error_code = one.error_code;
            }
            for directory in one.results {
                add_directory(&mut joined.results, directory);
            }
        }
        call.reply(&joined)
    })
}

/// Adds what one shard has in a directory to what others have there.
fn add_directory<'a>(joined: &mut Vec<DescribeLogDirsResult<'a>>, more: DescribeLogDirsResult<'a>) {
    let same = |one: &&mut DescribeLogDirsResult<'_>| one.log_dir == more.log_dir;
    let Some(known) = joined.iter_mut().find(same) else {
        joined.push(more);
        return;
    };
    if known.error_code == 0 {
        known.error_code = more.error_code;
    }
    for topic in more.topics {
        match known.topics.iter_mut().find(|one| one.name == topic.name) {
            Some(known) => known.partitions.extend(topic.partitions),
            None => known.topics.push(topic),
        }
    }
}

#[cfg(test)]
mod tests {
    use odradek_wire::describe_log_dirs::{DescribeLogDirsPartition, DescribeLogDirsTopic};

    use super::*;

    #[test]
    fn a_directory_is_told_once_with_all_that_is_in_it() {
        let result = |log_dir, name, partition_index| DescribeLogDirsResult {
            log_dir,
            topics: vec![DescribeLogDirsTopic {
                name,
                partitions: vec![DescribeLogDirsPartition {
                    partition_index,
                    ..DescribeLogDirsPartition::default()
                }],
            }],
            ..DescribeLogDirsResult::default()
        };
        let mut joined = Vec::new();
        for (directory, topic, index) in [
            ("/a", "t", 0),
            ("/a", "t", 1),
            ("/a", "u", 0),
            ("/b", "t", 2),
        ] {
            add_directory(&mut joined, result(directory, topic, index));
        }
        let told: Vec<_> = joined
            .iter()
            .flat_map(|one| one.topics.iter().map(move |topic| (one.log_dir, topic)))
            .map(|(directory, topic)| (directory, topic.name, topic.partitions.len()))
            .collect();
        assert_eq!(told, [("/a", "t", 2), ("/a", "u", 1), ("/b", "t", 1)]);
    }
}
