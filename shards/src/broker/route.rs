//! How requests and connections reach a broker.

use std::net::IpAddr;
use std::rc::Rc;

use crate::api::{Broker, Outcome, Peer, Produced, across, header, produce, table, throttle};
use crate::net::{HandOver, Request, Service, Unserved};
use crate::quotas::Kind;

impl Service for Broker {
    type Pledge = Produced;
    type Aside = across::Aside;
    type Luggage = across::Luggage;

    fn connects(&self, address: IpAddr) -> u32 {
        let early = self.quotas.connects(address, self.io.now());
        if early > 0 {
            self.meter.throttled(Kind::Connection as usize, early);
        }
        early
    }

    fn at_once(self: &Rc<Self>, peer: &Rc<Peer>, request: &[u8]) -> Option<Outcome> {
        if across::behind(self, peer) {
            return None;
        }
        let key = request.first_chunk().map(|key| i16::from_be_bytes(*key))?;
        let at_once = table::row(key)?.at_once?;
        let outcome = match self.quotas.concern_produce() {
            false => at_once(self, request)?,
            true => throttle::at_once(self, peer, request, at_once)?,
        };
        if self.one_address() {
            peer.aside.note(self.shard);
        }
        Some(outcome)
    }

    fn place(&self, head: &[u8]) -> usize {
        produce::place(self, head).unwrap_or(0)
    }

    async fn handle(
        self: &Rc<Self>,
        peer: &Rc<Peer>,
        request: &Request<'_>,
    ) -> Result<Outcome, Unserved> {
        let (row, call) = header::read(self, peer, request.bytes(), request.block())?;
        let (api_key, version) = (call.api_key, call.version);
        let handled = match self.quotas.any() {
            false => across::answer(row, call, request).await,
            true => throttle::handle(row, call, request).await,
        };
        handled.map_err(|refusal| header::refused(api_key, version, refusal))
    }

    fn bound_for(&self, peer: &Peer) -> Option<u32> {
        match self.one_address() {
            false => None,
            true => across::bound_for(self, peer),
        }
    }

    fn pack(&self, peer: &Peer) -> across::Luggage {
        across::pack(self, peer)
    }

    fn unpack(&self, peer: &Peer, luggage: across::Luggage) {
        across::unpack(self, peer, luggage);
    }

    async fn hand_over(&self, shard: u32, connection: HandOver<across::Luggage>) {
        let arrive = move |_: &_, there: Rc<Broker>| there.arrive(connection);
        self.mail.send(&self.io, shard, arrive).await;
    }
}
