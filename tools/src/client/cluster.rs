//! Who the brokers are, which of them leads each partition, and a connection to each.
//!
//! Brokers are told apart by id, never by address. Knowledge of the cluster ages: whoever is
//! answered that a leader has moved calls [`Cluster::refresh`] and asks again.

use std::collections::BTreeMap;
use std::time::Duration;

use odradek_wire::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use odradek_wire::{ErrorCode, Request, Uuid};

use super::{ClientError, Connection, Deadline, Reply, check};

/// How to reach a cluster, and how long to try.
#[derive(Debug, Clone)]
pub struct Options {
    /// host:port of one or more brokers.
    pub bootstrap: Vec<String>,
    /// For one answer, and for all tries of one operation.
    pub timeout: Duration,
}

/// A broker as the cluster advertises it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    pub id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}

impl Broker {
    /// host:port, an IPv6 host in brackets.
    pub fn address(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// A topic as Metadata answers it.
#[derive(Debug, Clone)]
pub struct Topic {
    pub name: String,
    pub id: Uuid,
    pub internal: bool,
    /// By rising number.
    pub partitions: Vec<Partition>,
}

/// A partition as Metadata answers it.
#[derive(Debug, Clone)]
pub struct Partition {
    pub index: i32,
    /// The leader's broker id; -1 without one.
    pub leader: i32,
    pub leader_epoch: i32,
    pub replicas: Vec<i32>,
    pub in_sync: Vec<i32>,
}

/// A cluster, seen from one thread.
#[derive(Debug)]
pub struct Cluster {
    options: Options,
    brokers: BTreeMap<i32, Broker>,
    controller: i32,
    cluster_id: Option<String>,
    topics: BTreeMap<String, Topic>,
    bootstrap: Option<Connection>,
    connections: BTreeMap<i32, Connection>,
}

impl Cluster {
    /// Connects to the first bootstrap address that answers and learns who the brokers are.
    ///
    /// # Errors
    /// What the last address tried was answered with.
    pub fn connect(options: Options) -> Result<Self, ClientError> {
        for address in &options.bootstrap {
            let port = address
                .rsplit_once(':')
                .map(|(_, port)| port.parse::<u16>());
            if !matches!(port, Some(Ok(_))) {
                return Err(ClientError::Address {
                    given: address.clone(),
                });
            }
        }
        let mut cluster = Self {
            options,
            brokers: BTreeMap::new(),
            controller: -1,
            cluster_id: None,
            topics: BTreeMap::new(),
            bootstrap: None,
            connections: BTreeMap::new(),
        };
        cluster.refresh_brokers()?;
        Ok(cluster)
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    pub fn deadline(&self) -> Deadline {
        Deadline::after(self.options.timeout)
    }

    pub fn brokers(&self) -> impl Iterator<Item = &Broker> {
        self.brokers.values()
    }

    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// What was last learnt about a topic.
    pub fn known(&self, topic: &str) -> Option<&Topic> {
        self.topics.get(topic)
    }

    /// All topics, by name.
    ///
    /// # Errors
    /// The network's.
    pub fn all_topics(&mut self) -> Result<Vec<Topic>, ClientError> {
        self.metadata(None, false)?;
        Ok(self.topics.values().cloned().collect())
    }

    /// A topic whose partitions all have leaders; waited for until the deadline. With `create`,
    /// a broker that creates topics on demand is allowed to.
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_OR_PARTITION at once where it cannot come to be; else as soon as time is up.
    pub fn topic(&mut self, name: &str, create: bool) -> Result<Topic, ClientError> {
        let mut deadline = self.deadline();
        let mut unknown = 0;
        loop {
            let error = match self.metadata(Some(&[name]), create) {
                Ok(()) => match self.topics.get(name) {
                    Some(topic) if topic.partitions.iter().all(|p| p.leader >= 0) => {
                        return Ok(topic.clone());
                    }
                    _ => no_leader(name),
                },
                Err(error) => error,
            };
            // A topic that was created a moment ago may not be known everywhere yet, but one
            // that stays unknown where nobody creates it need not be waited for.
            if error.code() == Some(ErrorCode::UnknownTopicOrPartition) && !create {
                unknown += 1;
                if unknown > 5 {
                    return Err(error);
                }
            }
            deadline.pause_or_give_up(&format!("topic {name}"), error)?;
        }
    }

    /// Learns again what is known about `topic`.
    ///
    /// # Errors
    /// As [`topic`](Self::topic), after one try.
    pub fn refresh(&mut self, topic: &str) -> Result<Topic, ClientError> {
        self.metadata(Some(&[topic]), false)?;
        self.topics
            .get(topic)
            .cloned()
            .ok_or_else(|| no_leader(topic))
    }

    /// Learns again who the brokers are.
    ///
    /// # Errors
    /// The network's.
    pub fn refresh_brokers(&mut self) -> Result<(), ClientError> {
        self.metadata(Some(&[]), false)
    }

    /// The address of a broker.
    ///
    /// # Errors
    /// BROKER_NOT_AVAILABLE for an id that the cluster does not name.
    pub fn address(&self, broker: i32) -> Result<String, ClientError> {
        match self.brokers.get(&broker) {
            Some(broker) => Ok(broker.address()),
            None => Err(ClientError::Refused {
                what: format!("broker {broker}"),
                code: ErrorCode::LeaderNotAvailable.code(),
                message: Some("the cluster does not name it".to_owned()),
            }),
        }
    }

    /// The connection to a broker, opened where there is none.
    ///
    /// # Errors
    /// The network's.
    pub fn connection(&mut self, broker: i32) -> Result<&mut Connection, ClientError> {
        if !self.connections.contains_key(&broker) {
            let connection = Connection::open(&self.address(broker)?, self.options.timeout)?;
            self.connections.insert(broker, connection);
        }
        Ok(self
            .connections
            .get_mut(&broker)
            .expect("inserted where it was missing"))
    }

    /// A further connection to a broker, for the caller alone.
    ///
    /// # Errors
    /// The network's.
    pub fn own_connection(&self, broker: i32) -> Result<Connection, ClientError> {
        Connection::open(&self.address(broker)?, self.options.timeout)
    }

    /// Closes the connection to a broker: after a fault, or while requests are in flight on it.
    pub fn disconnect(&mut self, broker: i32) {
        self.connections.remove(&broker);
    }

    /// Asks one broker.
    ///
    /// # Errors
    /// The network's.
    pub fn call<'q, Q: Request<'q>>(
        &mut self,
        broker: i32,
        request: &Q,
        most: i16,
    ) -> Result<Reply, ClientError> {
        let outcome = self.connection(broker)?.call_up_to(request, most);
        if outcome.as_ref().is_err_and(ClientError::breaks_connection) {
            self.disconnect(broker);
        }
        outcome
    }

    /// Asks any broker.
    ///
    /// # Errors
    /// The network's, of the last broker tried.
    pub fn call_any<'q, Q: Request<'q>>(
        &mut self,
        request: &Q,
        most: i16,
    ) -> Result<Reply, ClientError> {
        if let Some(connection) = &mut self.bootstrap {
            match connection.call_up_to(request, most) {
                Err(error) if error.breaks_connection() => self.bootstrap = None,
                outcome => return outcome,
            }
        }
        let mut addresses = self.options.bootstrap.clone();
        addresses.extend(self.brokers.values().map(Broker::address));
        let mut last = ClientError::Address {
            given: String::new(),
        };
        for address in addresses {
            let outcome = Connection::open(&address, self.options.timeout)
                .map(|connection| self.bootstrap.insert(connection))
                .and_then(|connection| connection.call_up_to(request, most));
            match outcome {
                Err(error) if error.breaks_connection() => {
                    self.bootstrap = None;
                    last = error;
                }
                outcome => return outcome,
            }
        }
        Err(last)
    }

    /// Asks the controller, or the broker that stands in for it, until it is found.
    ///
    /// # Errors
    /// The network's; what `answered` makes of the answer.
    pub fn call_controller<'q, Q: Request<'q>, T>(
        &mut self,
        request: &Q,
        what: &str,
        answered: impl Fn(&Reply) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        self.call_controller_up_to(request, i16::MAX, what, answered)
    }

    /// The same, in version `most` or lower.
    ///
    /// # Errors
    /// As [`call_controller`](Self::call_controller).
    pub fn call_controller_up_to<'q, Q: Request<'q>, T>(
        &mut self,
        request: &Q,
        most: i16,
        what: &str,
        answered: impl Fn(&Reply) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let mut deadline = self.deadline();
        loop {
            let controller = self.controller;
            let reply = if self.brokers.contains_key(&controller) {
                self.call(controller, request, most)
            } else {
                self.call_any(request, most)
            };
            let error = match reply.and_then(|reply| answered(&reply)) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            deadline.pause_or_give_up(what, error)?;
            self.refresh_brokers()?;
        }
    }

    /// The topics named (all if none), or the first error among them.
    fn metadata(&mut self, names: Option<&[&str]>, create: bool) -> Result<(), ClientError> {
        /// Version 0 cannot name no topic; from 4 on, creation can be forbidden.
        const MOST: i16 = 12;
        let request = MetadataRequest {
            topics: names.map(|names| names.iter().copied().map(named).collect()),
            allow_auto_topic_creation: create,
            ..MetadataRequest::default()
        };
        let reply = self.call_any(&request, MOST)?;
        let response: MetadataResponse<'_> = reply.read()?;
        self.learn(&response, names.is_none())
    }

    fn learn(&mut self, response: &MetadataResponse<'_>, all: bool) -> Result<(), ClientError> {
        let known = response.brokers.iter().map(|broker| {
            let known = Broker {
                id: broker.node_id,
                host: broker.host.to_owned(),
                port: broker.port,
                rack: broker.rack.map(str::to_owned),
            };
            (broker.node_id, known)
        });
        let brokers: BTreeMap<i32, Broker> = known.collect();
        self.connections
            .retain(|id, _| brokers.get(id) == self.brokers.get(id));
        self.brokers = brokers;
        self.controller = response.controller_id;
        self.cluster_id = response.cluster_id.map(str::to_owned);
        if all {
            self.topics.clear();
        }
        let mut refused = None;
        for topic in &response.topics {
            let Some(name) = topic.name else { continue };
            // A topic without a leader somewhere is known all the same.
            let without_leader = topic.error_code == ErrorCode::LeaderNotAvailable.code();
            if !without_leader
                && let Err(error) = check(topic.error_code, None, || format!("topic {name}"))
            {
                self.topics.remove(name);
                refused = Some(error);
                continue;
            }
            let mut partitions: Vec<Partition> = topic
                .partitions
                .iter()
                .map(|partition| Partition {
                    index: partition.partition_index,
                    leader: partition.leader_id,
                    leader_epoch: partition.leader_epoch,
                    replicas: partition.replica_nodes.clone(),
                    in_sync: partition.isr_nodes.clone(),
                })
                .collect();
            if without_leader && partitions.is_empty() {
                refused = Some(no_leader(name));
                continue;
            }
            partitions.sort_by_key(|partition| partition.index);
            let topic = Topic {
                name: name.to_owned(),
                id: topic.topic_id,
                internal: topic.is_internal,
                partitions,
            };
            self.topics.insert(name.to_owned(), topic);
        }
        match refused {
            Some(error) if !all => Err(error),
            _ => Ok(()),
        }
    }
}

fn named(name: &str) -> MetadataRequestTopic<'_> {
    MetadataRequestTopic {
        topic_id: Uuid::ZERO,
        name: Some(name),
    }
}

fn no_leader(topic: &str) -> ClientError {
    ClientError::Refused {
        what: format!("topic {topic}"),
        code: ErrorCode::LeaderNotAvailable.code(),
        message: Some("not every partition has a leader yet".to_owned()),
    }
}
