//! Apache Kafka: one combined KRaft broker and controller from Maven's jars, set up as its
//! documentation recommends for production.
//!
//! Settings are those of its shipped `config/server.properties`; flags those of its documentation
//! ("Java Version") and of `kafka-run-class.sh`. It writes warnings only; JMX, which its scripts
//! open, is left out, and so are the collector's logs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::Variant;

/// Kafka's shipped `config/server.properties`, but for addresses and directories.
const SETTINGS: &[(&str, &str)] = &[
    ("process.roles", "broker,controller"),
    ("node.id", "1"),
    ("controller.listener.names", "CONTROLLER"),
    ("inter.broker.listener.name", "PLAINTEXT"),
    ("num.network.threads", "3"),
    ("num.io.threads", "8"),
    ("socket.send.buffer.bytes", "102400"),
    ("socket.receive.buffer.bytes", "102400"),
    ("socket.request.max.bytes", "104857600"),
    ("num.partitions", "1"),
    ("num.recovery.threads.per.data.dir", "1"),
    ("offsets.topic.replication.factor", "1"),
    ("share.coordinator.state.topic.replication.factor", "1"),
    ("share.coordinator.state.topic.min.isr", "1"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("log.retention.hours", "168"),
    ("log.segment.bytes", "1073741824"),
    ("log.retention.check.interval.ms", "300000"),
];

/// Beside the heap.
const JVM_FLAGS: &[&str] = &[
    "-server",
    "-XX:MetaspaceSize=96m",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:G1HeapRegionSize=16M",
    "-XX:MinMetaspaceFreeRatio=50",
    "-XX:MaxMetaspaceFreeRatio=80",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
];

/// Any; a directory is formatted for one cluster.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qk";

/// Where Kafka's jars are, and of which version they are.
#[derive(Clone, Debug)]
pub(crate) struct Jars {
    dir: PathBuf,
    pub(crate) version: String,
    /// What runs them, in its own words.
    java: String,
}

impl Jars {
    /// In `given`, or where `tools/compat/setup` puts them: below the current directory or this
    /// program's, or a directory above.
    ///
    /// # Errors
    /// What to do where there are none, or no Java.
    pub(crate) fn find(given: Option<&Path>) -> Result<Self> {
        const USUAL: &str = "tools/compat/.cache/jars";
        let dir = match given {
            Some(dir) => dir.to_owned(),
            None => {
                let starts = [std::env::current_dir(), std::env::current_exe()];
                let found = starts.iter().flatten().find_map(|start| {
                    let mut above = start.ancestors().map(|dir| dir.join(USUAL));
                    above.find(|dir| dir.is_dir())
                });
                found.context(
                    "Apache Kafka's jars are not there: `tools/compat/setup` fetches them (from \
                     Maven Central), or name their directory with --kafka-jars",
                )?
            }
        };
        let entries = std::fs::read_dir(&dir)
            .with_context(|| format!("Kafka's jars: cannot list {}", dir.display()))?;
        let version = entries.flatten().find_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name.strip_prefix("kafka_2.13-")?.strip_suffix(".jar")?;
            Some(version.to_owned())
        });
        let version = version.with_context(|| {
            format!(
                "no kafka_2.13-*.jar in {}: `tools/compat/setup` fetches Kafka's jars",
                dir.display()
            )
        })?;
        let java = Command::new("java").arg("-version").output();
        let java = java.ok().filter(|output| output.status.success());
        let java = java.context("Apache Kafka needs Java 17 or newer: `java -version` fails")?;
        let said = String::from_utf8_lossy(&java.stderr).into_owned();
        Ok(Self {
            dir,
            version,
            java: said.lines().next().unwrap_or_default().to_owned(),
        })
    }

    fn java(&self) -> Command {
        let mut java = Command::new("java");
        java.arg("-cp").arg(self.dir.join("*"));
        java
    }
}

/// What starts it on a directory that was formatted for it, and what is to be told of its
/// settings and flags.
pub(super) fn command(
    jars: &Jars,
    heap: &str,
    settings: &[String],
    variant: &Variant,
    (port, controller_port): (u16, u16),
    (dir, data): (&Path, &Path),
) -> Result<(Command, Vec<String>)> {
    let mut told: Vec<String> = SETTINGS
        .iter()
        .filter(|(name, _)| !variant.settings.iter().any(|(varied, _)| varied == name))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let varied = variant.settings.iter();
    told.extend(varied.map(|(name, value)| format!("{name}={value}")));
    told.extend_from_slice(settings);
    let mut text = told.join("\n");
    text.push_str(&format!(
        "\nlisteners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}\n\
         log.dirs={}\n",
        data.display()
    ));
    let file = dir.join("server.properties");
    std::fs::write(&file, text)?;
    if !data.join("meta.properties").exists() {
        format(jars, &file)?;
    }
    let heap = [format!("-Xms{heap}"), format!("-Xmx{heap}")];
    let mut command = jars.java();
    command.args(&heap).args(JVM_FLAGS);
    command.arg("kafka.Kafka").arg(&file);
    told.push(jars.java.clone());
    told.extend(heap);
    told.extend(JVM_FLAGS.iter().map(|flag| (*flag).to_owned()));
    Ok((command, told))
}

/// Makes its directory one of a cluster of its own.
fn format(jars: &Jars, properties: &Path) -> Result<()> {
    let mut java = jars.java();
    java.args(["kafka.tools.StorageTool", "format", "--standalone"])
        .args(["--cluster-id", CLUSTER_ID, "--config"])
        .arg(properties)
        .stdin(Stdio::null());
    let output = java.output().context("java")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("Kafka's directory cannot be formatted: {}", said.trim());
    }
    Ok(())
}
