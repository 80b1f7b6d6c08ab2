//! A connection to servers that answer by a script: versions, pipelining, and answers that are
//! none.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use odradek_tools::client::{ClientError, Cluster, Connection, Options};
use odradek_wire::api_versions::{ApiVersion, ApiVersionsResponse};
use odradek_wire::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use odradek_wire::{Reader, Writer};

/// Long enough for a loaded machine; reached only where a test fails.
const TIMEOUT: Duration = Duration::from_secs(30);

const HEARTBEAT: i16 = 12;

/// Serves one connection after another, each by the next of the scripts.
fn serve<S>(scripts: Vec<S>) -> (String, JoinHandle<()>)
where
    S: FnOnce(&mut Peer) + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = thread::spawn(move || {
        for script in scripts {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(TIMEOUT)).unwrap();
            script(&mut Peer { stream });
        }
    });
    (address, thread)
}

struct Peer {
    stream: TcpStream,
}

impl Peer {
    /// A request's API key, version and correlation id.
    fn request(&mut self) -> (i16, i16, i32) {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size).unwrap();
        let mut frame = vec![0; i32::from_be_bytes(size) as usize];
        self.stream.read_exact(&mut frame).unwrap();
        let mut reader = Reader::new(&frame);
        (
            reader.i16().unwrap(),
            reader.i16().unwrap(),
            reader.i32().unwrap(),
        )
    }

    fn answer(&mut self, write: impl FnOnce(&mut Writer)) {
        let mut writer = Writer::default();
        let size = writer.begin_size();
        write(&mut writer);
        writer.end_size(size).unwrap();
        self.stream.write_all(writer.written()).unwrap();
    }

    /// Says that heartbeats are served in versions 0 to `most`, in this version of the answer.
    fn versions(&mut self, version: i16, most: i16) {
        let (_, _, correlation) = self.request();
        self.answer(|writer| {
            writer.i32(correlation);
            let response = ApiVersionsResponse {
                api_keys: vec![ApiVersion {
                    api_key: HEARTBEAT,
                    min_version: 0,
                    max_version: most,
                }],
                ..ApiVersionsResponse::default()
            };
            response.encode(writer, version).unwrap();
        });
    }

    fn heartbeat(&mut self, error_code: i16) {
        let (key, version, correlation) = self.request();
        assert_eq!(key, HEARTBEAT);
        self.answer(|writer| {
            writer.i32(correlation);
            if version >= 4 {
                writer.uvarint(0);
            }
            let response = HeartbeatResponse {
                error_code,
                ..HeartbeatResponse::default()
            };
            response.encode(writer, version).unwrap();
        });
    }

    /// Waits until the other side has closed.
    fn closed(&mut self) {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest);
    }
}

fn heartbeat() -> HeartbeatRequest<'static> {
    HeartbeatRequest {
        group_id: "g",
        member_id: "m",
        ..HeartbeatRequest::default()
    }
}

fn open(address: &str) -> Result<Connection, ClientError> {
    Connection::open(address, TIMEOUT)
}

#[test]
fn the_highest_common_version_is_spoken() {
    for (offered, spoken) in [(2, 2), (4, 4), (99, 4)] {
        let (address, server) = serve(vec![move |peer: &mut Peer| {
            peer.versions(3, offered);
            peer.heartbeat(27);
        }]);
        let mut connection = open(&address).unwrap();
        let reply = connection.call(&heartbeat()).unwrap();
        assert_eq!(reply.version(), spoken);
        assert_eq!(reply.read::<HeartbeatResponse>().unwrap().error_code, 27);
        server.join().unwrap();
    }
}

#[test]
fn brokers_that_know_only_old_versions_of_api_versions_are_understood() {
    let (address, server) = serve(vec![|peer: &mut Peer| {
        let (_, version, correlation) = peer.request();
        assert_eq!(version, 3);
        peer.answer(|writer| {
            writer.i32(correlation);
            writer.i16(35);
            writer.i32(0);
        });
        peer.versions(0, 1);
        peer.heartbeat(0);
    }]);
    let reply = open(&address).unwrap().call(&heartbeat()).unwrap();
    assert_eq!(reply.version(), 1);
    server.join().unwrap();
}

#[test]
fn what_is_not_served_is_named() {
    let (address, server) = serve(vec![|peer: &mut Peer| {
        peer.versions(3, 4);
        peer.closed();
    }]);
    let mut connection = open(&address).unwrap();
    let request = odradek_wire::list_groups::ListGroupsRequest::default();
    let error = connection.call(&request).unwrap_err();
    assert!(matches!(error, ClientError::Version { .. }), "{error}");
    assert!(error.to_string().contains("ListGroups"), "{error}");
    assert!(!error.retriable() && !error.breaks_connection());
    drop(connection);
    server.join().unwrap();
}

#[test]
fn answers_to_pipelined_requests_come_in_order() {
    let (address, server) = serve(vec![|peer: &mut Peer| {
        peer.versions(3, 4);
        (0..10).for_each(|code| peer.heartbeat(code));
    }]);
    let mut connection = open(&address).unwrap();
    for _ in 0..10 {
        connection.send(&heartbeat(), 4, &[], true).unwrap();
    }
    assert_eq!(connection.in_flight(), 10);
    for code in 0..10 {
        let reply = connection.receive(Vec::new()).unwrap();
        let response: HeartbeatResponse = reply.read().unwrap();
        assert_eq!(response.error_code, code);
    }
    server.join().unwrap();
}

/// What a heartbeat is answered with, as bytes, and the error that must come of it.
fn answered(bytes: &'static [u8]) -> ClientError {
    let (address, server) = serve(vec![move |peer: &mut Peer| {
        peer.versions(3, 4);
        peer.request();
        peer.stream.write_all(bytes).unwrap();
        // The client may have read enough and gone already.
        let _ = peer.stream.shutdown(std::net::Shutdown::Write);
        peer.closed();
    }]);
    let mut connection = open(&address).unwrap();
    let error = connection
        .call(&heartbeat())
        .and_then(|reply| reply.read::<HeartbeatResponse>().map(drop))
        .unwrap_err();
    assert!(error.breaks_connection(), "{error}");
    drop(connection);
    server.join().unwrap();
    error
}

#[test]
fn answers_that_are_none_are_refused_without_their_claims_being_believed() {
    let huge = answered(b"HTTP/1.1 400 Bad Request\r\n");
    assert!(matches!(huge, ClientError::Frame { bytes, .. } if bytes > 1 << 30));
    let negative = answered(&[0xff; 8]);
    assert!(matches!(negative, ClientError::Frame { bytes: -1, .. }));
    // A gigabyte is claimed, nothing comes: no memory is taken for it.
    let missing = answered(&[0x40, 0, 0, 0, 0, 0]);
    assert!(matches!(missing, ClientError::Closed { .. }), "{missing}");
    assert!(missing.retriable());
    let nothing = answered(&[]);
    assert!(matches!(nothing, ClientError::Closed { .. }), "{nothing}");
    let other = answered(&[0, 0, 0, 5, 0, 0, 0, 77, 0]);
    assert!(matches!(other, ClientError::Correlation { got: 77, .. }));
    // The correlation id is right (it is the second request), the body is cut off.
    let short = answered(&[0, 0, 0, 5, 0, 0, 0, 2, 0]);
    assert!(matches!(short, ClientError::Decode { .. }), "{short}");
    assert!(!short.retriable());
}

#[test]
fn silence_is_a_timeout() {
    let (address, server) = serve(vec![|peer: &mut Peer| {
        peer.versions(3, 4);
        peer.closed();
    }]);
    let mut connection = open(&address).unwrap();
    connection.set_timeout(Duration::from_millis(20)).unwrap();
    let error = connection.call(&heartbeat()).unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("did not answer Heartbeat within 20 ms")
    );
    drop(connection);
    server.join().unwrap();
}

#[test]
fn addresses_are_looked_at_before_they_are_used() {
    for given in [
        "localhost",
        "localhost:",
        "localhost:http",
        "localhost:70000",
    ] {
        let error = Cluster::connect(Options {
            bootstrap: vec![given.to_owned()],
            timeout: TIMEOUT,
        })
        .unwrap_err();
        assert!(matches!(error, ClientError::Address { .. }), "{error}");
        assert!(error.to_string().contains(given), "{error}");
    }
}
