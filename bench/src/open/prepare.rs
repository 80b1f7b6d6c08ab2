//! Before a run: the topic, its leaders and ends, and who does what on which core.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use odradek_wire::fetch::FetchRequest;
use odradek_wire::produce::ProduceRequest;

use super::Target;
use super::producer::Who;
use super::proof::PROOF_BYTES;
use super::worker::{ProducerRole, ReaderRole, Roles};
use crate::drive::{Admin, Partition, TopicSpec};
use crate::load::{Contents, Load, Sizes};

/// The last versions that name topics (later ones carry ids).
const PRODUCE_VERSION_MAX: i16 = 12;
const FETCH_VERSION_MAX: i16 = 12;

/// A server that is ready to be loaded.
pub(crate) struct Prepared {
    pub(crate) partitions: Vec<Partition>,
    pub(crate) produce_version: i16,
    pub(crate) fetch_version: i16,
    /// One per driver core.
    pub(crate) roles: Vec<Roles>,
    /// For each of those, one per producer.
    pub(crate) contents: Vec<Vec<Contents>>,
}

/// Makes the topic if it is missing and looks at where everything begins.
///
/// # Errors
/// When nobody answers there, or not in Kafka's protocol, or what the load asks for cannot be.
pub(crate) fn prepare(load: &Load, target: &Target) -> Result<Prepared> {
    let mut admin = Admin::bootstrap(&target.brokers)?;
    let partitions = admin.topic(&TopicSpec {
        name: load.topic.clone(),
        partitions: load.partitions,
        configs: load.topic_configs.clone(),
    })?;
    if load.reads() {
        ensure!(
            load.consumers <= partitions.len(),
            "{} consumers share the {} partitions of topic {}: at most one each",
            load.consumers,
            partitions.len(),
            load.topic
        );
    }
    let threads = target.driver_cores.len();
    let mut roles: Vec<Roles> = (0..threads).map(|_| Roles::default()).collect();
    producers(load, &mut admin, &partitions, &mut roles)?;
    if load.reads() {
        readers(load, &partitions, &mut roles)?;
    }
    let contents = contents(load, &roles)?;
    Ok(Prepared {
        produce_version: admin.version::<ProduceRequest>(PRODUCE_VERSION_MAX)?,
        fetch_version: admin.version::<FetchRequest>(FETCH_VERSION_MAX)?,
        partitions,
        roles,
        contents,
    })
}

fn producers(
    load: &Load,
    admin: &mut Admin,
    partitions: &[Partition],
    roles: &mut [Roles],
) -> Result<()> {
    let places = partitions.iter().map(|one| (one.index, one.leader));
    let places: Arc<[(i32, SocketAddr)]> = places.collect();
    let threads = roles.len();
    for number in 0..load.producers {
        let identity = match load.idempotent {
            true => Some(admin.producer_identity()?),
            false => None,
        };
        roles[number % threads].producers.push(ProducerRole {
            who: Who {
                number: number as u32,
                identity,
            },
            partitions: places.clone(),
        });
    }
    Ok(())
}

fn readers(load: &Load, partitions: &[Partition], roles: &mut [Roles]) -> Result<()> {
    let mut leaders: Vec<SocketAddr> = partitions.iter().map(|one| one.leader).collect();
    leaders.sort_unstable();
    leaders.dedup();
    // Ends of all partitions: earlier records are of other runs.
    let mut ends = Vec::new();
    for leader in &leaders {
        let led = partitions.iter().filter(|one| one.leader == *leader);
        let led: Vec<i32> = led.map(|one| one.index).collect();
        let offsets = Admin::connect(*leader)?.end_offsets(&load.topic, &led)?;
        ends.extend(led.into_iter().zip(offsets));
    }
    ends.sort_unstable();
    let threads = roles.len();
    for set in 0..load.consumer_sets {
        for consumer in 0..load.consumers {
            let thread = (set * load.consumers + consumer) % threads;
            for leader in &leaders {
                let mine = partitions.iter().enumerate().filter(|(at, partition)| {
                    at % load.consumers == consumer && partition.leader == *leader
                });
                let mine: Vec<(i32, i64)> = mine
                    .filter_map(|(_, partition)| {
                        let at = ends.binary_search_by_key(&partition.index, |end| end.0);
                        Some(ends[at.ok()?])
                    })
                    .collect();
                if !mine.is_empty() {
                    // From the other end than producers, so that both spread over the cores.
                    roles[threads - 1 - thread].readers.push(ReaderRole {
                        set,
                        leader: *leader,
                        partitions: mine,
                    });
                }
            }
        }
    }
    Ok(())
}

fn contents(load: &Load, roles: &[Roles]) -> Result<Vec<Vec<Contents>>> {
    let compressed = load.compression.0.id() != 0;
    let mut all = Vec::new();
    for roles in roles {
        let mut of_thread = Vec::new();
        for producer in &roles.producers {
            let made = Contents::new(&load.sizes, load.random_share, compressed, load.seed);
            let mut made = made.map_err(anyhow::Error::msg).context("contents")?;
            made.start_at(f64::from(producer.who.number) / load.producers as f64);
            if let (Sizes::Replay { path }, Some(longest)) = (&load.sizes, made.longest_line()) {
                let value = longest + PROOF_BYTES;
                ensure!(
                    value <= load.request_bytes,
                    "{}: a line of {longest} bytes does not fit into a request of {}",
                    path.display(),
                    load.request_bytes
                );
            }
            of_thread.push(made);
        }
        all.push(of_thread);
    }
    Ok(all)
}
