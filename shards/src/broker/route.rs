//! From a request's header to the API that answers it.

use std::rc::Rc;

use odradek_wire::Reader;
use odradek_wire::request_header::RequestHeader;

use crate::api::{API_VERSIONS_KEY, Broker, Call, Outcome, Produced, table};
use crate::net::{Peer, Refusal, Service, Unserved};

impl Service for Broker {
    type Pledge = Produced;

    fn at_once(self: &Rc<Self>, request: &[u8]) -> Option<Outcome> {
        let key = request.first_chunk().map(|key| i16::from_be_bytes(*key))?;
        let at_once = table::row(key)?.at_once?;
        at_once(self, request)
    }

    async fn handle(self: &Rc<Self>, peer: &Rc<Peer>, request: &[u8]) -> Result<Outcome, Unserved> {
        let (row, call) = route(self, peer, request)?;
        let (api_key, version) = (call.api_key, call.version);
        (row.handler)(call)
            .await
            .map_err(|refusal| refused(api_key, version, refusal))
    }
}

/// The row that a request is for, and the request as a handler takes it.
fn route<'a>(
    broker: &'a Rc<Broker>,
    peer: &'a Rc<Peer>,
    request: &'a [u8],
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
    };
    Ok((row, call))
}

fn refused(api_key: i16, version: i16, refusal: Refusal) -> Unserved {
    Unserved::Refused {
        api: table::name(api_key),
        version,
        refusal,
    }
}
