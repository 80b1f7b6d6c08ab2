//! One TCP connection to one broker: frames out, frames in, versions agreed on.
//!
//! Answers come in the order of the requests (Kafka's promise per connection), so a queue of what
//! is awaited is all the bookkeeping that pipelining needs.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use odradek_wire::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use odradek_wire::request_header::RequestHeader;
use odradek_wire::response_header::ResponseHeader;
use odradek_wire::{
    DecodeError, EncodeError, ErrorCode, Message, Reader, Request, Writer, request_header_version,
    response_header_version,
};

use super::ClientError;

/// Bytes of the largest answer that is believed: what a fetch of the largest batch could be.
const FRAME_BYTES_MAX: i64 = 1 << 30;

/// Memory for an answer is taken in steps of this many bytes as they arrive.
const FRAME_STEP_BYTES: u64 = 1 << 20;

/// What brokers know this client by.
const CLIENT_ID: &str = "odradek";

/// A request on its way.
#[derive(Debug, Clone, Copy)]
struct Awaited {
    correlation: i32,
    key: i16,
    version: i16,
    api: &'static str,
}

/// The bytes of an answer; [`Reply::read`] gives the message in them.
#[derive(Debug)]
pub struct Reply {
    frame: Vec<u8>,
    body: usize,
    version: i16,
    api: &'static str,
    address: String,
}

impl Reply {
    /// The answer, decoded. `M` must be the response of the request that was sent.
    ///
    /// # Errors
    /// [`ClientError::Decode`].
    pub fn read<'r, M: Message<'r>>(&'r self) -> Result<M, ClientError> {
        self.decode(self.version).map_err(|reason| self.ill(reason))
    }

    /// The version that request and answer have.
    pub fn version(&self) -> i16 {
        self.version
    }

    /// The frame's memory, to be used again.
    pub fn into_buffer(self) -> Vec<u8> {
        self.frame
    }

    fn decode<'r, M: Message<'r>>(&'r self, version: i16) -> Result<M, DecodeError> {
        M::decode(&mut Reader::new(&self.frame[self.body..]), version)
    }

    fn ill(&self, reason: DecodeError) -> ClientError {
        ClientError::Decode {
            address: self.address.clone(),
            api: self.api,
            reason,
        }
    }
}

/// A connection whose versions are agreed on.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    address: String,
    timeout: Duration,
    versions: BTreeMap<i16, (i16, i16)>,
    awaited: VecDeque<Awaited>,
    correlation: i32,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects to `address` (host:port) and asks for its versions. `timeout` holds for the
    /// connection and for each answer.
    ///
    /// # Errors
    /// Any but [`ClientError::Refused`] of the network's; no Kafka at the other end.
    pub fn open(address: &str, timeout: Duration) -> Result<Self, ClientError> {
        let stream = connect(address, timeout)?;
        let mut connection = Self {
            stream,
            address: address.to_owned(),
            timeout,
            versions: BTreeMap::new(),
            awaited: VecDeque::new(),
            correlation: 0,
            buffer: Vec::new(),
        };
        let failed = |reason| connection.io("setting the connection up", reason);
        let set_up = || {
            connection.stream.set_nodelay(true)?;
            connection.stream.set_read_timeout(Some(timeout))?;
            connection.stream.set_write_timeout(Some(timeout))
        };
        set_up().map_err(failed)?;
        connection.negotiate()?;
        Ok(connection)
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Requests whose answers have not been received.
    pub fn in_flight(&self) -> usize {
        self.awaited.len()
    }

    /// How long an answer may take from now on.
    ///
    /// # Errors
    /// [`ClientError::Io`] for a timeout of zero.
    pub fn set_timeout(&mut self, timeout: Duration) -> Result<(), ClientError> {
        self.timeout = timeout;
        self.stream
            .set_read_timeout(Some(timeout))
            .map_err(|reason| self.io("setting the timeout", reason))
    }

    /// The highest version of `Q` that both ends know, `most` at most.
    ///
    /// # Errors
    /// [`ClientError::Version`].
    pub fn version<'q, Q: Request<'q>>(&self, most: i16) -> Result<i16, ClientError> {
        let most = most.min(Q::MAX_VERSION);
        let offered = self.versions.get(&Q::API_KEY);
        if let Some(&(low, high)) = offered
            && low.max(Q::MIN_VERSION) <= high.min(most)
        {
            return Ok(high.min(most));
        }
        Err(ClientError::Version {
            address: self.address.clone(),
            api: Q::NAME.trim_end_matches("Request"),
            wanted: format!("{} to {most}", Q::MIN_VERSION),
            offered: match offered {
                Some((low, high)) => format!("it has {low} to {high}"),
                None => "it does not have that at all".to_owned(),
            },
        })
    }

    /// Does the broker know the API at all?
    pub fn serves(&self, key: i16) -> bool {
        self.versions.contains_key(&key)
    }

    /// Sends a request at the highest common version and awaits its answer.
    ///
    /// # Errors
    /// The network's, and an answer that is none. Error codes inside the answer are not looked at.
    pub fn call<'q, Q: Request<'q>>(&mut self, request: &Q) -> Result<Reply, ClientError> {
        self.call_up_to(request, i16::MAX)
    }

    /// The same, in version `most` or lower.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn call_up_to<'q, Q: Request<'q>>(
        &mut self,
        request: &Q,
        most: i16,
    ) -> Result<Reply, ClientError> {
        let version = self.version::<Q>(most)?;
        self.send(request, version, &[], true)?;
        self.receive(Vec::new())
    }

    /// Awaits an answer to nothing: all that was sent before has then been read by the broker,
    /// which deals with a connection's requests in their order.
    ///
    /// # Errors
    /// The network's.
    pub fn ping(&mut self) -> Result<(), ClientError> {
        /// The last version that needs no name of the client.
        const MOST: i16 = 2;
        self.call_up_to(&ApiVersionsRequest::default(), MOST)
            .map(drop)
    }

    /// Sends a request without awaiting its answer. `external` fills the gaps of
    /// [`Records::External`](odradek_wire::Records::External) fields, in their order. Not
    /// `answered` are produce requests with `acks=0` alone.
    ///
    /// # Errors
    /// [`ClientError::Encode`], [`ClientError::Io`].
    pub fn send<'q, Q: Request<'q>>(
        &mut self,
        request: &Q,
        version: i16,
        external: &[&[u8]],
        answered: bool,
    ) -> Result<(), ClientError> {
        self.correlation = self.correlation.wrapping_add(1) & i32::MAX;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mut writer = Writer::new(buffer);
        frame(&mut writer, request, version, self.correlation).map_err(|reason| {
            ClientError::Encode {
                api: Q::NAME,
                reason,
            }
        })?;
        let (buffer, gaps) = writer.into_parts();
        debug_assert_eq!(gaps.len(), external.len());
        let mut slices = Vec::with_capacity(2 * gaps.len() + 1);
        let mut from = 0;
        for (gap, bytes) in gaps.iter().zip(external) {
            debug_assert_eq!(gap.len as usize, bytes.len());
            slices.push(IoSlice::new(&buffer[from..gap.at]));
            slices.push(IoSlice::new(bytes));
            from = gap.at;
        }
        slices.push(IoSlice::new(&buffer[from..]));
        write_all(&mut self.stream, &mut slices).map_err(|reason| self.io("sending", reason))?;
        self.buffer = buffer;
        if answered {
            self.awaited.push_back(Awaited {
                correlation: self.correlation,
                key: Q::API_KEY,
                version,
                api: Q::NAME.trim_end_matches("Request"),
            });
        }
        Ok(())
    }

    /// The answer to the oldest request in flight, which there must be, read into `frame`.
    ///
    /// # Errors
    /// The network's, and an answer that is none.
    pub fn receive(&mut self, mut frame: Vec<u8>) -> Result<Reply, ClientError> {
        let awaited = self
            .awaited
            .pop_front()
            .expect("an answer is awaited only after a request");
        let mut size = [0; 4];
        self.stream
            .read_exact(&mut size)
            .map_err(|error| self.lost(awaited.api, error))?;
        let size = i64::from(i32::from_be_bytes(size));
        if !(4..=FRAME_BYTES_MAX).contains(&size) {
            return Err(ClientError::Frame {
                address: self.address.clone(),
                bytes: size,
            });
        }
        frame.clear();
        let mut left = size as u64;
        while left > 0 {
            let step = left.min(FRAME_STEP_BYTES.max(frame.capacity() as u64));
            let got = (&self.stream)
                .take(step)
                .read_to_end(&mut frame)
                .map_err(|error| self.lost(awaited.api, error))? as u64;
            if got < step {
                return Err(self.lost(awaited.api, io::ErrorKind::UnexpectedEof.into()));
            }
            left -= got;
        }
        self.reply(frame, awaited)
    }

    fn reply(&self, frame: Vec<u8>, awaited: Awaited) -> Result<Reply, ClientError> {
        let mut reply = Reply {
            frame,
            body: 0,
            version: awaited.version,
            api: awaited.api,
            address: self.address.clone(),
        };
        let header_version =
            response_header_version(awaited.key, awaited.version).expect("a known API");
        let mut reader = Reader::new(&reply.frame);
        let header =
            ResponseHeader::decode(&mut reader, header_version).map_err(|e| reply.ill(e))?;
        if header.correlation_id != awaited.correlation {
            return Err(ClientError::Correlation {
                address: self.address.clone(),
                got: header.correlation_id,
                wanted: awaited.correlation,
            });
        }
        reply.body = reader.position();
        Ok(reply)
    }

    /// Kafka's brokers answer an ApiVersions request of a version that they do not know in
    /// version 0 (KIP-511).
    fn negotiate(&mut self) -> Result<(), ClientError> {
        const FIRST: i16 = 3;
        let request = ApiVersionsRequest {
            client_software_name: CLIENT_ID,
            client_software_version: env!("CARGO_PKG_VERSION"),
        };
        self.send(&request, FIRST, &[], true)?;
        let reply = self.receive(Vec::new())?;
        let unsupported = ErrorCode::UnsupportedVersion.code().to_be_bytes();
        let (reply, version) = if reply.frame[reply.body..].starts_with(&unsupported) {
            self.send(&ApiVersionsRequest::default(), 0, &[], true)?;
            (self.receive(Vec::new())?, 0)
        } else {
            (reply, FIRST)
        };
        let response: ApiVersionsResponse<'_> =
            reply.decode(version).map_err(|reason| reply.ill(reason))?;
        super::check(response.error_code, None, || {
            format!("ApiVersions of {}", self.address)
        })?;
        self.versions = response
            .api_keys
            .iter()
            .map(|api| (api.api_key, (api.min_version, api.max_version)))
            .collect();
        Ok(())
    }

    fn io(&self, doing: &'static str, reason: io::Error) -> ClientError {
        ClientError::Io {
            address: self.address.clone(),
            doing,
            reason,
        }
    }

    fn lost(&self, api: &'static str, error: io::Error) -> ClientError {
        let address = self.address.clone();
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::Timeout {
                address,
                api,
                after: self.timeout,
            },
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                ClientError::Closed { address, api }
            }
            _ => self.io("receiving", error),
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn frame<'q, Q: Request<'q>>(
    writer: &mut Writer,
    request: &Q,
    version: i16,
    correlation: i32,
) -> Result<(), EncodeError> {
    let size = writer.begin_size();
    let header = RequestHeader {
        request_api_key: Q::API_KEY,
        request_api_version: version,
        correlation_id: correlation,
        client_id: Some(CLIENT_ID),
    };
    let header_version = request_header_version(Q::API_KEY, version).expect("a known API");
    header.encode(writer, header_version)?;
    request.encode(writer, version)?;
    writer.end_size(size)
}

fn connect(address: &str, timeout: Duration) -> Result<TcpStream, ClientError> {
    let failed = |reason| ClientError::Connect {
        address: address.to_owned(),
        reason,
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for resolved in address.to_socket_addrs().map_err(failed)? {
        match TcpStream::connect_timeout(&resolved, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

fn write_all(stream: &mut TcpStream, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match stream.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
