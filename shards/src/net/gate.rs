//! Who may connect, and when: connections of the whole node and of each address, their rate, and the
//! file descriptors they may take.
//!
//! Shared by the shards, touched once when a connection begins and once when it ends. What may be
//! changes while the node runs: shard 0 tells it.
//!
//! Source: Kafka `ConnectionQuotas`.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use odradek_engine::io::Handle;

use super::addresses::{Addresses, Full};
use super::pace::Pace;
use crate::config::Settings;
use crate::quotas::Windows;

/// Of how many file descriptors one is left to the logs, at least and at most that many.
const LEFT_SHARE: i32 = 8;
const LEFT_MIN: i32 = 16;
const LEFT_MAX: i32 = 4096;

/// Has hosts looked up by their names.
type LookUp = Box<dyn Fn(Vec<String>) + Send + Sync>;

/// See the module.
pub struct Gate {
    max: AtomicUsize,
    /// A socket of this number or above takes what is left to the logs.
    descriptor_max: i32,
    open: AtomicUsize,
    addresses: Mutex<Addresses>,
    pace: Pace,
    look_up: OnceLock<LookUp>,
}

/// One connection's place; given back when dropped.
pub(super) struct Pass {
    gate: Arc<Gate>,
    address: Option<IpAddr>,
}

impl Gate {
    /// For a process that may have so many file descriptors, if that is known.
    pub fn new(settings: &Settings, descriptors: Option<u64>) -> Arc<Gate> {
        let windows = Windows::new(
            settings.quota_window_num,
            settings.quota_window_size_seconds,
        );
        Arc::new(Gate {
            max: AtomicUsize::new(settings.max_connections.max(0) as usize),
            descriptor_max: descriptors.map_or(i32::MAX, for_sockets),
            open: AtomicUsize::new(0),
            addresses: Mutex::new(Addresses::new(settings)),
            pace: Pace::new(windows, settings.max_connection_creation_rate),
            look_up: OnceLock::new(),
        })
    }

    /// Judges by these settings from now on. Who is there stays.
    pub fn adopt(&self, settings: &Settings) {
        let max = settings.max_connections.max(0) as usize;
        self.max.store(max, Relaxed);
        self.pace.set(settings.max_connection_creation_rate);
        let mut addresses = self.addresses();
        let names = match addresses.adopt(settings) {
            true => addresses.names(),
            false => Vec::new(),
        };
        drop(addresses);
        if let (Some(look_up), false) = (self.look_up.get(), names.is_empty()) {
            look_up(names);
        }
    }

    /// Hosts of `max.connections.per.ip.overrides` whose addresses are not known: they are no
    /// exceptions yet.
    pub fn names(&self) -> Vec<String> {
        self.addresses().names()
    }

    /// The address of such a host.
    pub fn found(&self, name: &str, address: IpAddr) {
        self.addresses().found(name, address);
    }

    /// Who looks such hosts up, for [`found`](Self::found): a shard must not wait for that. Told
    /// once.
    pub fn looks_up_by(&self, look_up: impl Fn(Vec<String>) + Send + Sync + 'static) {
        let _ = self.look_up.set(Box::new(look_up));
    }

    fn addresses(&self) -> MutexGuard<'_, Addresses> {
        self.addresses.lock().expect("no panic under it")
    }

    /// Somebody connects: until when it has to wait, nanoseconds of the shard's clock.
    pub(super) fn early(&self, now: u64) -> Option<u64> {
        self.pace.early(now)
    }

    /// A place, if there is one.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Pass> {
        let max = self.max();
        let more = |open| (open < max).then_some(open + 1);
        self.open.fetch_update(Relaxed, Relaxed, more).ok()?;
        Some(Pass {
            gate: self.clone(),
            address: None,
        })
    }

    /// Whether the logs need this socket's file descriptor more.
    pub(super) fn scarce(&self, socket: Handle) -> bool {
        socket.0 >= self.descriptor_max
    }

    /// `max.connections`.
    pub(super) fn max(&self) -> usize {
        self.max.load(Relaxed)
    }
}

fn for_sockets(descriptors: u64) -> i32 {
    let all = i32::try_from(descriptors).unwrap_or(i32::MAX);
    all - (all / LEFT_SHARE).clamp(LEFT_MIN, LEFT_MAX)
}

impl Pass {
    /// Counts the connection for its address.
    ///
    /// # Errors
    /// The address has all it may have.
    pub(super) fn come_from(&mut self, address: IpAddr) -> Result<(), Full> {
        let address = address.to_canonical();
        self.gate.addresses().enter(address)?;
        self.address = Some(address);
        Ok(())
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.open.fetch_sub(1, Relaxed);
        if let Some(address) = self.address {
            self.gate.addresses().leave(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(given: &[(&str, &str)]) -> Settings {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        let given: Vec<_> = given.iter().map(owned).collect();
        Settings::load(None, &given).expect("settings").0
    }

    fn gate(max: &str, per_address: &str) -> Arc<Gate> {
        let given = [
            ("max.connections", max),
            ("max.connections.per.ip", per_address),
        ];
        Gate::new(&settings(&given), Some(1024))
    }

    #[test]
    fn places_are_given_back() {
        let gate = gate("2", "2147483647");
        let (first, _second) = (gate.enter().unwrap(), gate.enter().unwrap());
        assert!(gate.enter().is_none());
        drop(first);
        assert!(gate.enter().is_some());
    }

    #[test]
    fn an_address_has_its_own_limit_in_either_notation() {
        let gate = gate("100", "1");
        let (mut first, mut second) = (gate.enter().unwrap(), gate.enter().unwrap());
        let address = "10.0.0.1".parse().unwrap();
        assert_eq!(first.come_from(address), Ok(()));
        assert!(
            second
                .come_from("::ffff:10.0.0.1".parse().unwrap())
                .is_err()
        );
        assert_eq!(second.come_from("10.0.0.2".parse().unwrap()), Ok(()));
        drop((first, second));
        assert!(gate.addresses().nobody());
        assert_eq!(gate.enter().unwrap().come_from(address), Ok(()));
    }

    #[test]
    fn exceptions_are_addresses_and_names_once_these_are_known() {
        const HOSTS: &str = "max.connections.per.ip.overrides";
        let gate = Gate::new(
            &settings(&[
                ("max.connections.per.ip", "1"),
                (HOSTS, "10.0.0.1:2,a.example:3,b.example:0"),
            ]),
            None,
        );
        let places = |address: &str| {
            let address: IpAddr = address.parse().unwrap();
            let mut inside: Vec<Pass> = Vec::new();
            loop {
                let mut next = gate.enter().unwrap();
                if let Err(full) = next.come_from(address) {
                    return (inside.len(), full.to_string());
                }
                inside.push(next);
            }
        };
        let (count, full) = places("::ffff:10.0.0.1");
        assert!(count == 2 && full.contains(HOSTS), "{count}: {full}");
        assert_eq!(places("10.0.0.2").0, 1);
        assert_eq!(gate.names(), ["a.example", "b.example"]);
        gate.found("a.example", "10.0.0.2".parse().unwrap());
        gate.found("b.example", "10.0.0.3".parse().unwrap());
        gate.found("c.example", "10.0.0.4".parse().unwrap());
        let counts = ["10.0.0.2", "10.0.0.3", "10.0.0.4"].map(|address| places(address).0);
        assert_eq!(counts, [3, 0, 1]);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let told = asked.clone();
        gate.looks_up_by(move |names| told.lock().unwrap().extend(names));
        gate.adopt(&settings(&[
            ("max.connections", "9"),
            (HOSTS, "d.example:1"),
        ]));
        assert_eq!(*asked.lock().unwrap(), ["d.example"]);
        assert_eq!(gate.max(), 9);
    }

    #[test]
    fn descriptors_are_left_to_the_logs() {
        assert_eq!(for_sockets(1024), 1024 - 128);
        assert_eq!(for_sockets(64), 64 - 16);
        assert_eq!(for_sockets(u64::MAX), i32::MAX - LEFT_MAX);
        let gate = gate("9", "9");
        assert!(gate.scarce(Handle(896)) && !gate.scarce(Handle(895)));
    }
}
