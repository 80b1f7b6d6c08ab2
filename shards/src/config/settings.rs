//! The settings of one node: given texts checked, values typed, contradictions refused.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::PathBuf;

use super::choice::Advertise;
use super::layers::{Given, Layers};
use super::listener::{self, Listener};
use super::per_host;
use super::row::{Known, Role, known, row};
use super::table::Values;
use super::{ConfigError, Warning, properties};

pub(super) const ROLL: &[(&str, i64)] = &[("log.roll.ms", 1), ("log.roll.hours", 3_600_000)];
pub(super) const ROLL_JITTER: &[(&str, i64)] = &[
    ("log.roll.jitter.ms", 1),
    ("log.roll.jitter.hours", 3_600_000),
];
pub(super) const RETENTION: &[(&str, i64)] = &[
    ("log.retention.ms", 1),
    ("log.retention.minutes", 60_000),
    ("log.retention.hours", 3_600_000),
];

/// Every setting of the node; the plain ones are the fields of [`Values`], reached through
/// `Deref`, those below need more than one of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    values: Values,
    layers: Layers,
    /// Where to listen; at least one, names and ports distinct.
    pub listeners: Vec<Listener>,
    /// What clients are told; at least one, each of a name that is listened on.
    pub advertised: Vec<Listener>,
    /// The log directories, at least one, each once.
    pub log_dirs: Vec<PathBuf>,
    /// The directory of the metadata log: one of these, or another.
    pub metadata_dir: PathBuf,
    /// Milliseconds after which a segment rolls, 1 or more.
    pub log_roll_ms: i64,
    /// Most milliseconds by which a roll comes early, 0 or more.
    pub log_roll_jitter_ms: i64,
    /// Milliseconds for which records are kept, 1 or more; -1 is for ever.
    pub log_retention_ms: i64,
    /// Where metrics are served.
    pub metrics_listener: Option<MetricsListener>,
    /// How many connections hosts, by address or name, may have instead of
    /// `max_connections_per_ip`. A resolver is yet to be asked about names.
    pub max_connections_of_hosts: BTreeMap<String, usize>,
}

/// See `metrics.listener`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsListener {
    /// host:port; a resolver is yet to be asked about the host.
    pub address: String,
    /// Somebody asked for it; by default the node also runs where the port is another's.
    pub wanted: bool,
}

impl Deref for Settings {
    type Target = Values;

    fn deref(&self) -> &Values {
        &self.values
    }
}

impl Settings {
    /// Reads a properties file's text (`None`: no file, all defaults), then `overrides` in their
    /// order. The warnings are to be logged, one line each.
    ///
    /// # Errors
    /// The first thing that must be mended before the node can start; see [`ConfigError`].
    pub fn load(
        text: Option<&str>,
        overrides: &[(String, String)],
    ) -> Result<(Self, Vec<Warning>), ConfigError> {
        let mut warnings = Vec::new();
        let mut file = properties::parse(text.unwrap_or_default(), &mut warnings)?;
        file.extend(overrides.iter().cloned());
        // `config/server.properties` lists settings without a default as `name=`: not given.
        file.retain(|name, text| {
            !text.trim().is_empty() || row(name).is_none_or(|row| row.default.is_some())
        });
        for (name, text) in &file {
            warnings.extend(check_given(name, text)?);
        }
        same_node_id(&mut file)?;
        let layers = Layers {
            file,
            ..Layers::default()
        };
        let settings = Self::resolve(layers, &mut warnings)?;
        Ok((settings, warnings))
    }

    /// The same file under other settings made while running: for this broker, and for all.
    ///
    /// # Errors
    /// A name that is unknown or cannot change while running, or an ill value; nothing is applied.
    pub fn with_dynamic(&self, broker: Given, cluster: Given) -> Result<Self, ConfigError> {
        let layers = Layers {
            broker,
            cluster,
            file: self.layers.file.clone(),
        };
        layers.check_dynamic()?;
        Self::resolve(layers, &mut Vec::new())
    }

    /// A shard's id as a Kafka broker: its own, or the node's where that is one broker.
    pub fn broker_id(&self, shard: u32) -> i32 {
        match self.one_address() {
            true => self.values.node_id,
            false => self.values.node_id * 1000 + shard as i32,
        }
    }

    /// The id by which a shard is named as a replica. Where the node is one broker no client is told
    /// of these; they differ from the node's own.
    pub fn replica_id(&self, shard: u32) -> i32 {
        let node = match self.one_address() {
            true => self.values.node_id.max(1),
            false => self.values.node_id,
        };
        node * 1000 + shard as i32
    }

    /// Whether the node is advertised as one broker.
    pub fn one_address(&self) -> bool {
        self.values.shards_advertise == Advertise::Node
    }

    /// The id under which the node's settings made while running are stored, however the node is
    /// advertised: a change of that changes no setting.
    pub fn stored_id(&self) -> i32 {
        self.values.node_id * 1000
    }

    /// What was given, and where.
    pub fn layers(&self) -> &Layers {
        &self.layers
    }

    fn resolve(layers: Layers, warnings: &mut Vec<Warning>) -> Result<Self, ConfigError> {
        let values = Values::read(&layers)?;
        let listener::Listeners { open, advertised } = listener::listeners(&values, warnings)?;
        let log_dirs = log_dirs(&values);
        let metadata_dir = match &values.metadata_log_dir {
            Some(given) => PathBuf::from(given),
            None => log_dirs.first().cloned().unwrap_or_default(),
        };
        let settings = Self {
            listeners: open,
            advertised,
            log_dirs,
            metadata_dir,
            log_roll_ms: layers.first_of(ROLL)?.unwrap_or(i64::MAX),
            log_roll_jitter_ms: layers.first_of(ROLL_JITTER)?.unwrap_or(0),
            metrics_listener: metrics_listener(&values, &layers)?,
            max_connections_of_hosts: per_host::read(&values.max_connections_per_ip_overrides)?,
            log_retention_ms: layers.first_of(RETENTION)?.unwrap_or(-1).max(-1),
            values,
            layers,
        };
        settings.refuse_contradictions()?;
        Ok(settings)
    }

    /// Kafka's own rules between settings (`KafkaConfig.validateValues`), and ours.
    fn refuse_contradictions(&self) -> Result<(), ConfigError> {
        let conflict = |message: String| Err(ConfigError::Conflict(message));
        if !self.process_roles.iter().any(|role| role == "broker") {
            let roles = self.process_roles.join(",");
            return Err(ConfigError::invalid(
                "process.roles",
                &roles,
                "must name the broker",
            ));
        }
        if !self.authorizer_class_name.is_empty() {
            return Err(ConfigError::invalid(
                "authorizer.class.name",
                &self.authorizer_class_name,
                "nothing is authorised yet; without this line every client may do everything",
            ));
        }
        for (names, value, least) in [
            (ROLL, self.log_roll_ms, 1),
            (ROLL_JITTER, self.log_roll_jitter_ms, 0),
        ] {
            if value < least {
                let reason = format!("expected at least {least}");
                return Err(ConfigError::invalid(names[0].0, &value.to_string(), reason));
            }
        }
        if self.log_retention_ms == 0 {
            let reason = "expected at least 1, or -1 for ever";
            return Err(ConfigError::invalid("log.retention.ms", "0", reason));
        }
        let (queued, request) = (self.queued_max_request_bytes, self.socket_request_max_bytes);
        if queued > 0 && queued < i64::from(request) {
            return conflict(format!(
                "queued.max.request.bytes={queued} is less than socket.request.max.bytes={request}"
            ));
        }
        if self.max_connections_per_ip == 0 && self.max_connections_of_hosts.is_empty() {
            return conflict(
                "max.connections.per.ip=0 keeps everybody out: it goes with \
                 max.connections.per.ip.overrides only"
                    .to_owned(),
            );
        }
        let (min, max) = (
            self.group_min_session_timeout_ms,
            self.group_max_session_timeout_ms,
        );
        if min > max {
            return conflict(format!(
                "group.min.session.timeout.ms={min} is more than group.max.session.timeout.ms={max}"
            ));
        }
        Ok(())
    }
}

/// Checks one given text; a warning if it has no effect though it asks for one.
fn check_given(name: &str, text: &str) -> Result<Option<Warning>, ConfigError> {
    let idle = |value: &str, why: &str| {
        Warning::new(name, format!("{value}accepted without effect: {why}"))
    };
    match known(name)? {
        Known::Removed => Ok(Some(idle("", "Apache Kafka 4 does not have it any more"))),
        Known::Family(why) => Ok(Some(idle("", why.text()))),
        Known::Row(row) => {
            let value = row.parse(text)?;
            match row.role {
                Role::Idle(why) if row.default_value().as_ref() != Some(&value) => {
                    let shown = if row.kind.is_sensitive() {
                        String::new()
                    } else {
                        format!("{value} is ")
                    };
                    Ok(Some(idle(&shown, why.text())))
                }
                _ => Ok(None),
            }
        }
    }
}

/// `broker.id` is the older name of `node.id`: each stands for the other where only one is given.
fn same_node_id(file: &mut Given) -> Result<(), ConfigError> {
    const NODE: &str = "node.id";
    const BROKER: &str = "broker.id";
    let number = |text: &String| text.trim().parse::<i64>().ok();
    let node = file.get(NODE).cloned();
    let broker = file
        .get(BROKER)
        .filter(|text| number(text) != Some(-1))
        .cloned();
    match (node, broker) {
        (Some(node), Some(broker)) if number(&node) != number(&broker) => {
            let reason = format!("must be the same as {NODE}={node}");
            return Err(ConfigError::invalid(BROKER, &broker, reason));
        }
        (Some(node), None) => file.insert(BROKER.to_owned(), node),
        (None, Some(broker)) => file.insert(NODE.to_owned(), broker),
        _ => None,
    };
    Ok(())
}

fn metrics_listener(
    values: &Values,
    layers: &Layers,
) -> Result<Option<MetricsListener>, ConfigError> {
    const NAME: &str = "metrics.listener";
    let address = values.metrics_listener_given.trim();
    if address.is_empty() {
        return Ok(None);
    }
    let split = address.rsplit_once(':');
    let fits = split.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !fits {
        let reason = "expected host:port, port from 0 to 65535, or nothing";
        return Err(ConfigError::invalid(NAME, address, reason));
    }
    Ok(Some(MetricsListener {
        address: address.to_owned(),
        wanted: layers.file.contains_key(NAME),
    }))
}

/// Those that name one directory count once.
fn log_dirs(values: &Values) -> Vec<PathBuf> {
    let given = values.log_dirs_given.as_ref();
    let mut dirs: Vec<PathBuf> = Vec::new();
    for dir in given.unwrap_or(&values.log_dir_given) {
        let dir = PathBuf::from(dir);
        if !dirs.contains(&dir) {
            dirs.push(dir);
        }
    }
    dirs
}
