//! How many connections the node has, over all its shards, and how many it may have.
//!
//! As in Apache Kafka: at `max.connections` accepting waits for somebody to leave; a connection too
//! many from one address is closed. Besides, some file descriptors are left to the logs: clients
//! must not take a partition's next segment from it.
//!
//! Shared by the shards, touched once when a connection begins and once when it ends. The map of
//! addresses, behind a lock, is kept only where `max.connections.per.ip` asks for it.
//!
//! Source: Kafka `ConnectionQuotas`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use odradek_engine::io::Handle;

use crate::config::Settings;

/// Of how many file descriptors one is left to the logs, at least and at most that many.
const LEFT_SHARE: i32 = 8;
const LEFT_MIN: i32 = 16;
const LEFT_MAX: i32 = 4096;

/// See the module.
#[derive(Debug)]
pub struct Gate {
    max: usize,
    /// `None`: any number.
    per_address_max: Option<usize>,
    /// A socket of this number or above takes what is left to the logs.
    descriptor_max: i32,
    open: AtomicUsize,
    by_address: Mutex<BTreeMap<IpAddr, usize>>,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gate>,
    address: Option<IpAddr>,
}

impl Gate {
    /// For a process that may have so many file descriptors, if that is known.
    pub fn new(settings: &Settings, descriptors: Option<u64>) -> Arc<Gate> {
        let per_address = settings.max_connections_per_ip;
        Arc::new(Gate {
            max: settings.max_connections.max(0) as usize,
            per_address_max: (per_address < i32::MAX).then_some(per_address.max(0) as usize),
            descriptor_max: descriptors.map_or(i32::MAX, for_sockets),
            open: AtomicUsize::new(0),
            by_address: Mutex::default(),
        })
    }

    /// A place, if there is one.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Pass> {
        let more = |open| (open < self.max).then_some(open + 1);
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
        self.max
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
    /// `max.connections.per.ip`, which is reached.
    pub(super) fn come_from(&mut self, address: IpAddr) -> Result<(), usize> {
        let Some(max) = self.gate.per_address_max else {
            return Ok(());
        };
        let address = address.to_canonical();
        let mut all = self.gate.by_address.lock().expect("no panic under it");
        let now = all.get(&address).copied().unwrap_or(0);
        if now >= max {
            return Err(max);
        }
        all.insert(address, now + 1);
        self.address = Some(address);
        Ok(())
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.open.fetch_sub(1, Relaxed);
        let Some(address) = self.address else {
            return;
        };
        let mut all = self.gate.by_address.lock().expect("no panic under it");
        match all.get_mut(&address) {
            Some(now) if *now > 1 => *now -= 1,
            _ => drop(all.remove(&address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(max: &str, per_address: &str) -> Arc<Gate> {
        let set = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let given = [
            set("max.connections", max),
            set("max.connections.per.ip", per_address),
        ];
        let (settings, _) = Settings::load(None, &given).expect("settings");
        Gate::new(&settings, Some(1024))
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
        assert_eq!(second.come_from("::ffff:10.0.0.1".parse().unwrap()), Err(1));
        assert_eq!(second.come_from("10.0.0.2".parse().unwrap()), Ok(()));
        drop((first, second));
        assert!(gate.by_address.lock().unwrap().is_empty());
        assert_eq!(gate.enter().unwrap().come_from(address), Ok(()));
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
