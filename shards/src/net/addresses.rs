//! How many connections each address has, and may have.
//!
//! Source: Kafka `ConnectionQuotas` (`counts`, `maxConnectionsPerIpOverrides`).

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use crate::config::Settings;

/// See the module. Addresses are in their canonical notation.
#[derive(Debug)]
pub(super) struct Addresses {
    open: BTreeMap<IpAddr, usize>,
    max: usize,
    /// Who may have another number: as given,
    hosts: BTreeMap<String, usize>,
    /// those whose addresses are known,
    exceptions: BTreeMap<IpAddr, usize>,
    /// and the others.
    names: BTreeMap<String, usize>,
}

/// What an address has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full {
    max: usize,
    exception: bool,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = self.max;
        match self.exception {
            false => write!(f, "max.connections.per.ip={max}"),
            true => write!(f, "{max}, its number in max.connections.per.ip.overrides,"),
        }
    }
}

impl Addresses {
    pub(super) fn new(settings: &Settings) -> Addresses {
        let mut addresses = Addresses {
            open: BTreeMap::new(),
            max: 0,
            hosts: BTreeMap::new(),
            exceptions: BTreeMap::new(),
            names: BTreeMap::new(),
        };
        addresses.adopt(settings);
        addresses
    }

    /// Judges by these from now on. Who is there stays. Whether the exceptions are others than before.
    pub(super) fn adopt(&mut self, settings: &Settings) -> bool {
        self.max = settings.max_connections_per_ip.max(0) as usize;
        if self.hosts == settings.max_connections_of_hosts {
            return false;
        }
        self.hosts.clone_from(&settings.max_connections_of_hosts);
        self.exceptions.clear();
        self.names.clear();
        for (host, max) in &self.hosts {
            match host.parse::<IpAddr>() {
                Ok(address) => drop(self.exceptions.insert(address.to_canonical(), *max)),
                Err(_) => drop(self.names.insert(host.clone(), *max)),
            }
        }
        true
    }

    /// Hosts whose addresses are wanted.
    pub(super) fn names(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    /// The address of a host, if that is still wanted.
    pub(super) fn found(&mut self, name: &str, address: IpAddr) {
        if let Some(max) = self.names.remove(name) {
            self.exceptions.insert(address.to_canonical(), max);
        }
    }

    /// Counts a connection.
    ///
    /// # Errors
    /// There are as many as there may be; it is not counted.
    pub(super) fn enter(&mut self, address: IpAddr) -> Result<(), Full> {
        let exception = self.exceptions.get(&address);
        let max = *exception.unwrap_or(&self.max);
        let now = self.open.get(&address).copied().unwrap_or(0);
        if now >= max {
            let exception = exception.is_some();
            return Err(Full { max, exception });
        }
        self.open.insert(address, now + 1);
        Ok(())
    }

    /// One of its connections has ended.
    pub(super) fn leave(&mut self, address: IpAddr) {
        match self.open.get_mut(&address) {
            Some(now) if *now > 1 => *now -= 1,
            _ => drop(self.open.remove(&address)),
        }
    }

    #[cfg(test)]
    pub(super) fn nobody(&self) -> bool {
        self.open.is_empty()
    }
}
