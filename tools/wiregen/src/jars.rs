//! Where the schemas are: inside the jars of the pinned Apache Kafka version, in the local
//! Maven repository.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The jars that hold schemas.
const ARTIFACTS: [&str; 6] = [
    "kafka-clients",
    "kafka-metadata",
    "kafka-group-coordinator",
    "kafka-transaction-coordinator",
    "kafka-share-coordinator",
    "kafka-storage",
];

/// Further jars that running Kafka's classes needs (group, artifact, version).
const RUN_TIME: [(&str, &str, &str); 1] = [("org.slf4j", "slf4j-api", "1.7.36")];

/// Folders of schemas inside the jars.
const FOLDERS: [&str; 3] = ["common/message/", "common/metadata/", "message/"];

/// The jars of one version of Apache Kafka.
#[derive(Debug)]
pub struct Jars {
    paths: Vec<PathBuf>,
}

/// The version that the whole project is held against.
pub fn pinned_version(root: &Path) -> Result<String> {
    let path = root.join("tools/compat/kafka.version");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok(text.trim().to_string())
}

fn coordinates(version: &str) -> Vec<(String, String, String)> {
    let kafka = ARTIFACTS.map(|artifact| ("org.apache.kafka", artifact, version));
    kafka
        .into_iter()
        .chain(RUN_TIME)
        .map(|(group, artifact, version)| (group.into(), artifact.into(), version.into()))
        .collect()
}

/// Brings the jars into the local Maven repository.
pub fn fetch(version: &str) -> Result<()> {
    for (group, artifact, version) in coordinates(version) {
        let status = Command::new("mvn")
            .args(["-q", "-B", "dependency:get", "-Dtransitive=false"])
            .arg(format!("-Dartifact={group}:{artifact}:{version}"))
            .status()
            .context("running mvn")?;
        ensure!(
            status.success(),
            "mvn could not fetch {group}:{artifact}:{version}"
        );
    }
    Ok(())
}

impl Jars {
    /// The jars of `version` in the local Maven repository.
    pub fn cached(version: &str) -> Result<Jars> {
        let repository = match std::env::var_os("MAVEN_REPOSITORY") {
            Some(path) => PathBuf::from(path),
            None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?)
                .join(".m2/repository"),
        };
        let paths = coordinates(version)
            .into_iter()
            .map(|(group, artifact, version)| {
                repository
                    .join(group.replace('.', "/"))
                    .join(&artifact)
                    .join(&version)
                    .join(format!("{artifact}-{version}.jar"))
            })
            .collect();
        Jars::at(paths)
    }

    /// The jars at those paths.
    pub fn at(paths: Vec<PathBuf>) -> Result<Jars> {
        for path in &paths {
            ensure!(
                path.is_file(),
                "{} is not there (try --fetch)",
                path.display()
            );
        }
        Ok(Jars { paths })
    }

    /// The jars as a Java class path.
    pub fn class_path(&self) -> Result<std::ffi::OsString> {
        std::env::join_paths(&self.paths).context("class path")
    }

    /// The text of every schema, by its jar's file name and its own name inside.
    pub fn schemas(&self) -> Result<BTreeMap<(String, String), String>> {
        let mut schemas = BTreeMap::new();
        self.entries(|jar, name, entry| {
            if name.ends_with(".json") && FOLDERS.iter().any(|folder| name.starts_with(folder)) {
                let mut text = String::new();
                entry.read_to_string(&mut text)?;
                schemas.insert((jar.to_string(), name.to_string()), text);
            }
            Ok(())
        })?;
        Ok(schemas)
    }

    /// The full names of all top-level classes, by their simple names.
    pub fn classes(&self) -> Result<BTreeMap<String, String>> {
        let mut classes = BTreeMap::new();
        self.entries(|_, name, _| {
            if let Some(class) = name.strip_suffix(".class")
                && let Some((_, simple)) = class.rsplit_once('/')
                && !simple.contains('$')
                && (class.contains("/generated/") || class.contains("/common/m"))
            {
                classes.insert(simple.to_string(), class.replace('/', "."));
            }
            Ok(())
        })?;
        Ok(classes)
    }

    fn entries(
        &self,
        mut visit: impl FnMut(&str, &str, &mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        for path in &self.paths {
            let file_name = path.file_name().unwrap_or_default().to_string_lossy();
            let context = || path.display().to_string();
            let mut jar = zip::ZipArchive::new(File::open(path).with_context(context)?)
                .with_context(context)?;
            for index in 0..jar.len() {
                let mut entry = jar.by_index(index).with_context(context)?;
                let name = entry.name()?.to_string();
                visit(&file_name, &name, &mut entry).with_context(|| name.clone())?;
            }
        }
        Ok(())
    }
}
