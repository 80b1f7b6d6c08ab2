//! From a request's header to the API that answers it.

use std::rc::Rc;

use odradek_wire::Reader;
use odradek_wire::request_header::RequestHeader;

use crate::api::{API_VERSIONS_KEY, Broker, Call, table};
use crate::net::{Outcome, Peer, Refusal, Service, Unserved};

impl Service for Broker {
    async fn handle(self: &Rc<Self>, peer: &Rc<Peer>, request: &[u8]) -> Result<Outcome, Unserved> {
        let mut reader = Reader::new(request);
        let api_key = reader.i16()?;
        let version = reader.i16()?;
        let row = table::row(api_key).ok_or(Unserved::UnknownApi(api_key))?;
        let header_version = odradek_wire::request_header_version(api_key, version)
            .ok_or(Unserved::UnknownApi(api_key))?;
        let mut reader = Reader::new(request);
        let header = RequestHeader::decode(&mut reader, header_version)?;
        let refused = |refusal| Unserved::Refused {
            api: table::name(api_key),
            version,
            refusal,
        };
        // ApiVersions answers versions that it does not know, so that clients can find out.
        if !row.accepted.contains(&version) && api_key != API_VERSIONS_KEY {
            return Err(refused(Refusal::Closed("the version is not served")));
        }
        let call = Call {
            broker: self,
            peer,
            api_key,
            version,
            correlation_id: header.correlation_id,
            client_id: header.client_id,
            body: &request[reader.position()..],
        };
        (row.handler)(call).await.map_err(refused)
    }
}
