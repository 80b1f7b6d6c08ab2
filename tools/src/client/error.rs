//! What can go wrong between a client and its brokers, and whether trying again may help.

use std::io;
use std::time::Duration;

use odradek_wire::{DecodeError, EncodeError, ErrorCode};

/// Why a request got no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{given:?} is not an address: expected host:port, such as localhost:9092")]
    Address { given: String },
    #[error("cannot connect to {address}: {reason}{}", hint(.reason))]
    Connect { address: String, reason: io::Error },
    #[error("{address}: {doing}: {reason}")]
    Io {
        address: String,
        doing: &'static str,
        reason: io::Error,
    },
    #[error("{address} did not answer {api} within {} ms", .after.as_millis())]
    Timeout {
        address: String,
        api: &'static str,
        after: Duration,
    },
    #[error("{address} closed the connection before it answered {api}")]
    Closed { address: String, api: &'static str },
    #[error("{address} answers {api} with what is not that answer: {reason}; is it a Kafka port?")]
    Decode {
        address: String,
        api: &'static str,
        reason: DecodeError,
    },
    #[error("{address} answers with a frame of {bytes} bytes; is it a Kafka port?")]
    Frame { address: String, bytes: i64 },
    #[error("{address} answers request {got} where {wanted} was next; is it a Kafka port?")]
    Correlation {
        address: String,
        got: i32,
        wanted: i32,
    },
    #[error("{api} cannot be written: {reason}")]
    Encode {
        api: &'static str,
        reason: EncodeError,
    },
    #[error("{address} does not serve {api} in versions {wanted}: {offered}")]
    Version {
        address: String,
        api: &'static str,
        wanted: String,
        offered: String,
    },
    #[error("{what}: {}", refusal(*.code, .message.as_deref()))]
    Refused {
        what: String,
        code: i16,
        message: Option<String>,
    },
    #[error("{what}: gave up after {} ms; last: {last}", .after.as_millis())]
    GaveUp {
        what: String,
        after: Duration,
        last: Box<ClientError>,
    },
}

impl ClientError {
    /// The broker's error code, if it was the broker that refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => ErrorCode::from_code(*code),
            Self::GaveUp { last, .. } => last.code(),
            _ => None,
        }
    }

    /// May the same request succeed later, perhaps elsewhere?
    pub fn retriable(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Io { .. } | Self::Timeout { .. } | Self::Closed { .. } => {
                true
            }
            Self::Refused { .. } => self.code().is_some_and(ErrorCode::retriable),
            _ => false,
        }
    }

    /// Is the connection of no more use?
    pub fn breaks_connection(&self) -> bool {
        !matches!(
            self,
            Self::Refused { .. } | Self::Encode { .. } | Self::Version { .. }
        )
    }
}

/// Ok for code 0, else [`ClientError::Refused`].
///
/// # Errors
/// The code, as an error.
pub fn check(
    code: i16,
    message: Option<&str>,
    what: impl FnOnce() -> String,
) -> Result<(), ClientError> {
    if code == 0 {
        return Ok(());
    }
    Err(ClientError::Refused {
        what: what(),
        code,
        message: message.map(str::to_owned),
    })
}

fn refusal(code: i16, message: Option<&str>) -> String {
    let name = match ErrorCode::from_code(code) {
        Some(known) => known.name().to_owned(),
        None => format!("error {code}"),
    };
    match message.filter(|text| !text.is_empty()) {
        Some(text) => format!("{name}: {text}"),
        None => name,
    }
}

fn hint(reason: &io::Error) -> &'static str {
    match reason.kind() {
        io::ErrorKind::ConnectionRefused => {
            "; is a node running there? (odradek serve, --bootstrap-server)"
        }
        _ => "",
    }
}
