//! From a request's header to the API that answers it.

use std::rc::Rc;

use odradek_engine::bytes::Block;
use odradek_wire::Reader;
use odradek_wire::request_header::RequestHeader;

use super::{API_VERSIONS_KEY, Broker, Call, Peer, table};
use crate::net::{Refusal, Unserved};

/// The row that a request is for, and the request as a handler takes it; `block` is what it was
/// received into, if that is its own.
///
/// # Errors
/// A header that is malformed, an API or a version that is not served.
pub fn read<'a>(
    broker: &'a Rc<Broker>,
    peer: &'a Rc<Peer>,
    request: &'a [u8],
    block: Option<&'a Block>,
) -> Result<(&'static table::Row, Call<'a>), Unserved> {
    let mut reader = Reader::new(request);
    let api_key = reader.i16()?;
    let version = reader.i16()?;
    let row = table::row(api_key).ok_or(Unserved::UnknownApi(api_key))?;
    let header_version = odradek_wire::request_header_version(api_key, version)
        .ok_or(Unserved::UnknownApi(api_key))?;
    let mut reader = Reader::new(request);
    let header = RequestHeader::decode(&mut reader, header_version)?;
    // ApiVersions answers versions that it does not know, so that clients can find out.
    if !row.accepted.contains(&version) && api_key != API_VERSIONS_KEY {
        let refusal = Refusal::Closed("the version is not served");
        return Err(refused(api_key, version, refusal));
    }
    let call = Call {
        broker,
        peer,
        api_key,
        version,
        correlation_id: header.correlation_id,
        client_id: header.client_id,
        body: &request[reader.position()..],
        block,
    };
    Ok((row, call))
}

/// A refusal with the request that was refused.
pub fn refused(api_key: i16, version: i16, refusal: Refusal) -> Unserved {
    Unserved::Refused {
        api: table::name(api_key),
        version,
        refusal,
    }
}
