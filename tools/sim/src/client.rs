//! A client's connection: Kafka's frames, one task at a time.

use std::net::SocketAddr;

use odradek_engine::bytes::{Part, Parts};
use odradek_engine::io::{Errno, Handle, Io, Received};
use odradek_wire::request_header::RequestHeader;
use odradek_wire::{Message, Reader, Writer};

/// Why a connection is of no more use.
#[derive(Debug)]
pub struct Lost;

impl From<Errno> for Lost {
    fn from(_: Errno) -> Self {
        Lost
    }
}

/// See the module.
pub struct Connection {
    io: Io,
    socket: Handle,
    bytes: Vec<u8>,
    correlation_id: i32,
}

impl Connection {
    pub async fn open(io: &Io, address: SocketAddr) -> Result<Connection, Lost> {
        Ok(Connection {
            io: io.clone(),
            socket: io.connect(address).await?,
            bytes: Vec::new(),
            correlation_id: 0,
        })
    }

    pub async fn close(self) {
        self.io.shutdown(self.socket).await;
        self.io.close(self.socket).await;
    }

    /// Sends a request; gives its correlation id.
    pub async fn send<'a, M: Message<'a>>(
        &mut self,
        version: i16,
        message: &M,
    ) -> Result<i32, Lost> {
        self.correlation_id += 1;
        let mut writer = Writer::new(Vec::new());
        let size = writer.begin_size();
        let header = RequestHeader {
            request_api_key: M::API_KEY,
            request_api_version: version,
            correlation_id: self.correlation_id,
            client_id: Some("sim"),
        };
        let header_version =
            odradek_wire::request_header_version(M::API_KEY, version).expect("a known API");
        header
            .encode(&mut writer, header_version)
            .expect("a header");
        message.encode(&mut writer, version).expect("a request");
        writer.end_size(size).expect("a request's size");
        let parts = Parts::from_iter([Part::Owned(writer.into_inner())]);
        self.io.send(self.socket, parts).await?;
        Ok(self.correlation_id)
    }

    /// The next response's body.
    pub async fn receive(&mut self, key: i16, version: i16, id: i32) -> Result<Vec<u8>, Lost> {
        loop {
            if let Some(head) = self.bytes.first_chunk::<4>() {
                let end = 4 + i32::from_be_bytes(*head) as usize;
                if self.bytes.len() >= end {
                    let rest = self.bytes.split_off(end);
                    let frame = std::mem::replace(&mut self.bytes, rest);
                    let mut reader = Reader::new(&frame[4..]);
                    assert_eq!(
                        reader.i32().expect("an id"),
                        id,
                        "responses keep their order"
                    );
                    let flexible = odradek_wire::response_header_version(key, version) == Some(1);
                    if flexible {
                        reader.skip_tagged_fields().expect("no tagged fields");
                    }
                    return Ok(frame[4 + reader.position()..].to_vec());
                }
            }
            match self.io.receive(self.socket).await? {
                Received::Provided(bytes) => self.bytes.extend_from_slice(bytes.bytes()),
                Received::Block(block, len) => {
                    self.bytes.extend_from_slice(block.bytes(0, len as usize));
                }
                Received::End => return Err(Lost),
            }
        }
    }

    /// Asks, and waits for the answer's body.
    pub async fn ask<'a, M: Message<'a>>(
        &mut self,
        version: i16,
        message: &M,
    ) -> Result<Vec<u8>, Lost> {
        let id = self.send(version, message).await?;
        self.receive(M::API_KEY, version, id).await
    }
}
