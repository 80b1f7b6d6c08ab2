//! DescribeCluster: the brokers, which are this node's shards.
//!
//! Source: Kafka `AuthHelper.computeDescribeClusterResponse`, KIP-700, KIP-919.

use std::ops::RangeInclusive;

use odradek_wire::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};
use odradek_wire::{ErrorCode, Message};

use super::{Call, Outcome, Refusal, authorized};

pub(super) const KEY: i16 = 60;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    DescribeClusterRequest::MIN_VERSION..=DescribeClusterRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: DescribeClusterRequest = call.decode()?;
    let broker = call.broker;
    let refused = match request.endpoint_type {
        BROKERS => None,
        CONTROLLERS => Some((
            ErrorCode::MismatchedEndpointType,
            "this endpoint is a broker's, and a controller's was asked for",
        )),
        _ => Some((
            ErrorCode::UnsupportedEndpointType,
            "there is no such type of endpoint",
        )),
    };
    if let Some((error, why)) = refused {
        return call.reply(&DescribeClusterResponse {
            error_code: error.code(),
            error_message: Some(why),
            ..DescribeClusterResponse::default()
        });
    }
    call.reply(&DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: &broker.facts.cluster_id,
        controller_id: broker.id_of(0),
        brokers: (0..broker.shards())
            .zip(broker.endpoints.iter())
            .map(|(shard, endpoint)| DescribeClusterBroker {
                broker_id: broker.id_of(shard),
                host: &endpoint.host,
                port: i32::from(endpoint.port),
                rack: broker.settings.broker_rack.as_deref(),
                is_fenced: false,
            })
            .collect(),
        cluster_authorized_operations: match request.include_cluster_authorized_operations {
            true => authorized::CLUSTER,
            false => authorized::NOT_ASKED,
        },
        ..DescribeClusterResponse::default()
    })
}
