//! Changes of metadata: carried to the controller from any shard, and refused together if the
//! metadata log does not take them.

use std::rc::Rc;

use odradek_wire::ErrorCode;
use odradek_wire::metadata_records::MetadataRecord;

use super::Broker;
use crate::catalog::controller::Change;
use crate::runtime::LocalFuture;

/// Why a change did not happen.
pub type Refused = (ErrorCode, String);

/// Records that one request may cause, as in Kafka (`ReplicationControlManager`,
/// `QuorumController.MAX_RECORDS_PER_USER_OP`). Bounds partitions and settings together.
pub(super) const RECORDS_PER_REQUEST_MAX: usize = 10_000;

/// Runs a task on the controller's shard.
///
/// # Errors
/// BROKER_NOT_AVAILABLE: the node is stopping; whether the task was done is unknown.
pub(crate) async fn at_controller<R, F>(broker: &Rc<Broker>, task: F) -> Result<R, Refused>
where
    R: Send + 'static,
    F: FnOnce(Rc<Broker>) -> LocalFuture<R> + Send + 'static,
{
    let answer = broker.mail.call(&broker.io, 0, task).await;
    answer.map_err(|_| (ErrorCode::BrokerNotAvailable, "the node is stopping".into()))
}

/// Commits and publishes `records`; if that fails, everything that had been granted is refused.
pub(crate) async fn commit<T>(
    broker: &Rc<Broker>,
    mut change: Change<'_>,
    records: &[MetadataRecord<'_>],
    results: &mut [Result<T, Refused>],
) {
    let publish = |image| broker.publish(image);
    if let Err(error) = change.commit(records, publish).await {
        broker
            .unchanged
            .log(&broker.io, || tracing::error!("{error}"));
        for result in results.iter_mut().filter(|result| result.is_ok()) {
            *result = Err((ErrorCode::KafkaStorageError, error.to_string()));
        }
    }
}
