//! Clients are told which metrics to push (KIP-714), and what they push is shown.

use odradek_wire::get_telemetry_subscriptions::{
    GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse,
};
use odradek_wire::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use odradek_wire::list_config_resources::{
    ListConfigResourcesRequest, ListConfigResourcesResponse,
};
use odradek_wire::push_telemetry::{PushTelemetryRequest, PushTelemetryResponse};
use odradek_wire::{ErrorCode, Reader, Uuid};

use crate::common::{Client, TestNode};
use crate::metrics::{series, sum};

/// `ConfigResource.Type.CLIENT_METRICS`
const CLIENT_METRICS: i8 = 16;

/// Sets a subscription; the error, if it is refused.
fn subscribe(client: &mut Client, name: &str, settings: &[(&str, &str)]) -> ErrorCode {
    let settings = settings.iter().map(|(name, value)| AlterableConfig {
        name,
        config_operation: 0,
        value: Some(value),
    });
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: CLIENT_METRICS,
            resource_name: name,
            configs: settings.collect(),
        }],
        validate_only: false,
    };
    let body = client.call(1, &request).expect("an answer");
    let response = IncrementalAlterConfigsResponse::decode(&mut Reader::new(&body), 1);
    let code = response.expect("readable").responses[0].error_code;
    ErrorCode::from_code(code).expect("known")
}

fn listed(client: &mut Client) -> Vec<String> {
    let request = ListConfigResourcesRequest::default();
    let body = client.call(0, &request).expect("an answer");
    let response = ListConfigResourcesResponse::decode(&mut Reader::new(&body), 0);
    let all = response.expect("readable").config_resources;
    all.iter().map(|one| one.resource_name.to_owned()).collect()
}

/// Error, id, subscription, interval, metrics.
type Asked = (ErrorCode, Uuid, i32, i32, Vec<String>);

fn get(client: &mut Client, id: Uuid) -> Asked {
    let request = GetTelemetrySubscriptionsRequest {
        client_instance_id: id,
    };
    let body = client.call(0, &request).expect("an answer");
    let response = GetTelemetrySubscriptionsResponse::decode(&mut Reader::new(&body), 0);
    let told = response.expect("readable");
    let metrics = told.requested_metrics.iter();
    (
        ErrorCode::from_code(told.error_code).expect("known"),
        told.client_instance_id,
        told.subscription_id,
        told.push_interval_ms,
        metrics.map(|name| (*name).to_owned()).collect(),
    )
}

fn push(client: &mut Client, asked: &Asked, metrics: &[u8], terminating: bool) -> ErrorCode {
    let request = PushTelemetryRequest {
        client_instance_id: asked.1,
        subscription_id: asked.2,
        terminating,
        compression_type: 0,
        metrics,
    };
    let body = client.call(0, &request).expect("an answer");
    let response = PushTelemetryResponse::decode(&mut Reader::new(&body), 0);
    ErrorCode::from_code(response.expect("readable").error_code).expect("known")
}

/// A field of a message: its number and bytes, fewer than 128.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
}

/// `MetricsData` with one gauge.
fn gauge(name: &str, value: f64) -> Vec<u8> {
    let point = [&[4 << 3 | 1], &value.to_le_bytes()[..]].concat();
    let metric = [field(1, name.as_bytes()), field(5, &field(1, &point))].concat();
    field(1, &field(2, &field(2, &metric)))
}

#[test]
fn what_is_asked_for_is_pushed_and_shown() {
    let mut node = TestNode::start(&[("shards", "2"), ("telemetry.max.bytes", "100")]);
    let mut client = node.client();
    let (error, id, ..) = get(&mut client, Uuid::ZERO);
    assert!(error == ErrorCode::None && !id.is_zero(), "{error:?}");
    let settings = [
        ("metrics", "*"),
        // Longer than a client may take to push within this test, shorter than the five minutes that
        // are asked of all: the shortest counts.
        ("interval.ms", "200000"),
        ("match", "client_id=test"),
    ];
    assert_eq!(subscribe(&mut client, "all", &settings), ErrorCode::None);
    let ill = subscribe(&mut client, "ill", &[("interval.ms", "1")]);
    assert_eq!(ill, ErrorCode::InvalidRequest);
    let ill = subscribe(&mut client, "ill", &[("match", "colour=red")]);
    assert_eq!(ill, ErrorCode::InvalidConfig);
    node.kill();
    node.run();

    let mut client = node.client();
    assert_eq!(listed(&mut client), ["all"]);
    let asked = get(&mut client, id);
    assert_eq!(
        (asked.0, asked.1, asked.3, asked.4.as_slice()),
        (ErrorCode::None, id, 200_000, &["*".to_owned()][..])
    );
    assert_eq!(get(&mut client, id).0, ErrorCode::ThrottlingQuotaExceeded);
    let mut other = asked.clone();
    other.2 ^= 1;
    assert_eq!(
        push(&mut client, &other, &[], false),
        ErrorCode::UnknownSubscriptionId
    );
    assert_eq!(get(&mut client, id), asked, "asked again after that");
    assert_eq!(
        push(&mut client, &asked, &[0; 101], false),
        ErrorCode::TelemetryTooLarge
    );
    assert_eq!(
        push(&mut client, &asked, &[], false),
        ErrorCode::ThrottlingQuotaExceeded
    );
    let mut nobody = asked.clone();
    nobody.1 = Uuid::ZERO;
    assert_eq!(
        push(&mut client, &nobody, &[], false),
        ErrorCode::InvalidRequest
    );
    assert_eq!(
        push(&mut client, &asked, &gauge("a.metric", 1.5), true),
        ErrorCode::None
    );
    assert_eq!(
        push(&mut client, &asked, &[], true),
        ErrorCode::InvalidRequest
    );

    // Another shard knows the subscription's id, too.
    let mut elsewhere = Client::connect(&node.shards()[1]);
    assert_eq!(
        push(&mut elsewhere, &asked, &gauge("b.metric", 2.5), false),
        ErrorCode::None
    );
    let told = series(&node);
    let labels = format!("{{client_id=\"test\",client_instance_id=\"{id}\",metric=");
    for (metric, value) in [("a.metric", 1.5), ("b.metric", 2.5)] {
        let name = format!("odradek_client_metric{labels}\"{metric}\"");
        assert_eq!(sum(&told, &name), value, "{told:?}");
    }
    assert_eq!(sum(&told, "odradek_client_telemetry_pushes_total"), 2.0);
}
