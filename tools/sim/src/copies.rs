//! Copies of the machine, between two lives, of which one is left as it is and each other one has a
//! file damaged: what the node then serves is held against what it serves of the sound one.
//!
//! What can be rebuilt is: damage beside the logs takes nothing away. Of a damaged log a part may be
//! missing, if `odradek log verify`, the recovery or a client's check names partition and position;
//! whatever is served of it stands where it stood. All else is served as ever, whichever file it was.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use odradek_engine::io::sim::SimWorld;
use odradek_engine::log::Aborted;
use odradek_verify::base_offset;

use crate::damage::{Damage, Kind, Tree, pick};
use crate::fetch::Whole;
use crate::keyed::{Latest, Tombstones};
use crate::keys::{HOLE, is_marker};
use crate::noticed::{Verdict, could_be_right, names, verify};
use crate::oracle::{Id, Partition};
use crate::plan::{Plan, Rng, TopicPlan};
use crate::script::Script;
use crate::served::{Served, serve};
use crate::story;
use crate::torn::could_be_torn;

/// Of damaged copies at once.
const COPIES: u32 = 3;
const COMPACTED: [&str; 2] = ["__consumer_offsets", "__transaction_state"];
const METADATA: &str = "__cluster_metadata";

/// What came of all damage, in numbers, by what it is called in the report.
pub type Outcomes = BTreeMap<&'static str, u64>;

/// Damages copies; see the module. `past`: the files after an earlier life. Gives what came of it.
pub fn damage_copies(
    world: &SimWorld,
    plan: &Rc<Plan>,
    past: &Tree,
    script: &Script,
    rng: &mut Rng,
) -> Outcomes {
    let mut outcomes = Outcomes::new();
    let files = world.files();
    let mut sound = None;
    for _ in 0..COPIES {
        let mut rng = rng.fork();
        let path = match rng.range(0, 9) {
            0..=3 => pick(
                &files,
                &mut rng,
                |kind| matches!(kind, Kind::Log(topic, _) if !topic.starts_with("__")),
            ),
            4 => pick(
                &files,
                &mut rng,
                |kind| matches!(kind, Kind::Log(topic, _) if COMPACTED.contains(&&**topic)),
            ),
            5 => pick(
                &files,
                &mut rng,
                |kind| matches!(kind, Kind::Log(topic, _) if topic == METADATA),
            ),
            6 => pick(&files, &mut rng, |kind| *kind == Kind::Journal),
            _ => pick(&files, &mut rng, |kind| *kind == Kind::Beside),
        };
        let seed = rng.range(0, u64::MAX - 1);
        let drawn = path.and_then(|path| Damage::draw(world, &files, past, path, &mut rng));
        let Some(damage) = drawn.filter(|_| script.wants("damaged copy")) else {
            continue;
        };
        let sound = sound.get_or_insert_with(|| serve(&world.copy(seed), plan));
        if let Some(why) = &sound.refused {
            // As it would without damage.
            if why.contains("is in two log directories") {
                break;
            }
            panic!("a copy of the machine does not start: {why}");
        }
        story::tell(
            world.now(),
            format_args!(
                "in a copy, {} in {} at {}, {} bytes",
                damage.what,
                damage.path,
                damage.at,
                damage.bytes.len()
            ),
        );
        let outcome = Trial {
            plan,
            files: &files,
            damage: &damage,
            sound,
        };
        *outcomes.entry(outcome.run(world, seed)).or_default() += 1;
    }
    outcomes
}

/// One damaged copy.
struct Trial<'a> {
    plan: &'a Rc<Plan>,
    files: &'a Tree,
    damage: &'a Damage,
    sound: &'a Served,
}

impl Trial<'_> {
    fn run(&self, world: &SimWorld, seed: u64) -> &'static str {
        let kind = Kind::of(&self.damage.path).expect("it was picked by that");
        let verdict = match &kind {
            Kind::Log(topic, _) => Some(verify(self.files, self.damage, self.compacts(topic))),
            _ => None,
        };
        let fits =
            self.damage.foreign && verdict.is_some() && could_be_right(self.files, self.damage);
        if verdict == Some(Verdict::Excepted) || fits {
            return "damage that Kafka's format cannot tell";
        }
        if kind == Kind::Beside && self.could_be_aborted() {
            return "damage that Kafka's format cannot tell";
        }
        if verdict == Some(Verdict::Silent) {
            self.fail("odradek log verify says nothing of it".into());
        }
        let copy = world.copy(seed);
        self.damage.strike(&copy);
        let served = serve(&copy, self.plan);
        match kind {
            Kind::Beside => {
                self.started(&served);
                self.all_but(&served, None);
                self.same_offsets(&served);
                self.same_decisions(&served);
                "damage beside the logs, nothing lost"
            }
            Kind::Journal => {
                self.started(&served);
                self.of_journal(&served)
            }
            Kind::Epochs(topic, index) => {
                self.started(&served);
                self.all_but(&served, Some((&topic, index)));
                self.of_epochs(&served, &topic, index)
            }
            Kind::Log(topic, _) if topic == METADATA => {
                if served.refused.is_none() {
                    for (partition, log) in &served.logs {
                        self.nothing_else(*partition, log);
                    }
                }
                "damage to the metadata log"
            }
            Kind::Log(topic, index) => {
                self.started(&served);
                self.all_but(&served, Some((&topic, index)));
                if topic != COMPACTED[0] {
                    self.same_offsets(&served);
                }
                let known = self.plan.partitions(|of| of.name == topic);
                let partition = known.into_iter().find(|known| known.1 == index);
                match partition {
                    Some(partition) => self.of_log(&served, partition, verdict.as_ref()),
                    None => "damage to an internal log",
                }
            }
        }
    }

    /// Whether it is a `.txnindex` which says something else now that may be so as well: there is no
    /// check of its own in it.
    fn could_be_aborted(&self) -> bool {
        let path = &self.damage.path;
        let after = self.damage.done_to(self.files);
        let base = base_offset(Path::new(path));
        let all = Aborted::from_index(&after[path]).unwrap_or_default();
        let known = |one: &Aborted| base.is_some_and(|base| base <= one.last);
        path.ends_with(".txnindex") && !all.is_empty() && all.iter().all(known)
    }

    fn fail(&self, why: String) -> ! {
        panic!(
            "{} in {} at {}, {} bytes: {why}",
            self.damage.what,
            self.damage.path,
            self.damage.at,
            self.damage.bytes.len()
        )
    }

    fn topic(&self, name: &str) -> Option<&TopicPlan> {
        self.plan.topics.iter().find(|topic| topic.name == name)
    }

    fn compacts(&self, topic: &str) -> bool {
        COMPACTED.contains(&topic) || self.topic(topic).is_some_and(|topic| topic.compacts)
    }

    fn started(&self, served: &Served) {
        if let Some(why) = &served.refused {
            self.fail(format!("the node does not start: {why}"));
        }
    }

    /// Everything is served that is elsewhere.
    fn all_but(&self, served: &Served, damaged: Option<(&str, i32)>) {
        for partition in self.sound.logs.keys() {
            if damaged == Some(*partition) {
                continue;
            }
            if let Some(offset) = self.missing(served, *partition) {
                let said = served.said.join("\n  ");
                self.fail(format!(
                    "{partition:?} has lost offset {offset}; said was:\n  {said}"
                ));
            }
            if let Some(log) = served.logs.get(partition) {
                self.nothing_else(*partition, log);
            }
        }
    }

    fn same_offsets(&self, served: &Served) {
        if served.offsets != self.sound.offsets {
            let (is, was) = (&served.offsets, &self.sound.offsets);
            self.fail(format!("groups have committed {is:?}, not {was:?}"));
        }
    }

    fn same_decisions(&self, served: &Served) {
        for (partition, (was, was_end)) in &self.sound.decided {
            let Some((is, is_end)) = served.decided.get(partition) else {
                self.fail(format!("{partition:?} cannot be read as committed"));
            };
            let start = self.sound.logs[partition]
                .start
                .max(served.logs[partition].start);
            let both = start..*was_end.min(is_end);
            let within = |all: &[(i64, Id)]| -> Vec<(i64, Id)> {
                let all = all.iter().filter(|(offset, _)| both.contains(offset));
                all.copied().collect()
            };
            let (was, is) = (within(was), within(is));
            if was != is {
                self.fail(format!(
                    "{partition:?} shows {is:?} as committed, not {was:?}"
                ));
            }
        }
    }

    /// What is served stands where it stood.
    fn nothing_else(&self, partition: Partition, log: &Whole) {
        let Some(sound) = self.sound.logs.get(&partition) else {
            return;
        };
        for (offset, id) in (log.start..).zip(&log.ids) {
            let was = at(sound, offset);
            let ends_a_transaction = |id: Id| is_marker(id) || id == HOLE;
            if let Some(was) = was
                && was != *id
                && was != HOLE
                && !ends_a_transaction(*id)
            {
                self.fail(format!(
                    "{partition:?} offset {offset} holds {id:?}, not {was:?}"
                ));
            }
        }
    }

    /// The first record of a sound log that is not served any more.
    fn missing(&self, served: &Served, partition: Partition) -> Option<i64> {
        let sound = &self.sound.logs[&partition];
        let Some(log) = served.logs.get(&partition) else {
            return Some(sound.start).filter(|_| !sound.ids.is_empty());
        };
        let topic = self.topic(partition.0).expect("a planned topic");
        let latest = Latest::of(&sound.ids);
        let mut tombstones = Tombstones::default();
        tombstones.sent(&sound.ids);
        let gone = |id: Id| {
            let replaced = latest.replaces(id) || topic.tombstones_go && tombstones.deletes(id);
            topic.compacts && replaced
        };
        let from = match topic.expires {
            true => log.start.max(sound.start),
            false => sound.start,
        };
        let ids = (sound.start..).zip(&sound.ids);
        let mut ids =
            ids.filter(|(offset, id)| *offset >= from && **id != HOLE && !is_marker(**id));
        ids.find(|(offset, id)| at(log, *offset) != Some(**id) && !gone(**id))
            .map(|(offset, _)| offset)
    }

    /// What became of the log that was damaged.
    fn of_log(
        &self,
        served: &Served,
        partition: Partition,
        verdict: Option<&Verdict>,
    ) -> &'static str {
        if let Some(log) = served.logs.get(&partition) {
            self.nothing_else(partition, log);
        }
        let Some(lost) = self.missing(served, partition) else {
            return match verdict {
                Some(Verdict::Harmless) => "damage behind a log's end",
                _ => "damage to a log, nothing lost",
            };
        };
        let path = Path::new(&self.damage.path);
        let base = base_offset(path).expect("a segment");
        let first = self
            .damage
            .first(&self.files[&self.damage.path])
            .unwrap_or(0);
        let name = format!("{}-{}", partition.0, partition.1);
        let mut said = served.said.iter();
        let by_recovery = said.any(|said| names(said, &name, base, first as u64));
        let log = served.logs.get(&partition);
        match verdict {
            _ if by_recovery => "damage to a log, named by recovery",
            _ if log.is_some_and(|log| log.damage.is_some()) => {
                "damage to a log, named by a client"
            }
            Some(Verdict::Named(_)) => "damage to a log, named by verify alone",
            Some(Verdict::Shorter) => "damage to a log, an earlier state of it",
            _ => {
                let said = served.said.join("\n  ");
                self.fail(format!(
                    "{partition:?} has lost offset {lost}, and nobody names it; said was:\n  {said}"
                ))
            }
        }
    }

    /// What became of a log whose epochs are told wrong: the batches that contradict them are not the
    /// log's, which recovery says.
    fn of_epochs(&self, served: &Served, topic: &str, index: i32) -> &'static str {
        let known = self.plan.partitions(|of| of.name == topic);
        let partition = known.into_iter().find(|known| known.1 == index);
        let Some(partition) = partition.filter(|known| self.sound.logs.contains_key(known)) else {
            return "damage to epochs, of an internal log";
        };
        let Some(lost) = self.missing(served, partition) else {
            return "damage to epochs, nothing lost";
        };
        let name = format!("partition={topic}-{index}: ");
        let mut said = served.said.iter();
        if !said.any(|said| said.contains(&name) && said.contains("epoch")) {
            let said = served.said.join("\n  ");
            self.fail(format!(
                "{partition:?} has lost offset {lost}, and nobody says why; said was:\n  {said}"
            ));
        }
        "damage to epochs, named by recovery"
    }

    /// What became of the logs whose last records were in a journal alone.
    fn of_journal(&self, served: &Served) -> &'static str {
        let mut outcome = "damage to a journal, nothing lost";
        for partition in self.sound.logs.keys() {
            if let Some(log) = served.logs.get(partition) {
                self.nothing_else(*partition, log);
            }
            let Some(lost) = self.missing(served, *partition) else {
                continue;
            };
            if could_be_torn(self.files, self.damage) {
                return "damage to a journal's last frames, as if they were torn";
            }
            outcome = "damage to a journal, named";
            let name = format!("partition={}-{}: ", partition.0, partition.1);
            let mut said = served.said.iter();
            let named = said.any(|said| said.contains("journal"));
            if !named && !served.said.iter().any(|said| said.contains(&name)) {
                let said = served.said.join("\n  ");
                self.fail(format!(
                    "{partition:?} has lost offset {lost}, and nobody says so; said was:\n  {said}"
                ));
            }
        }
        outcome
    }
}

fn at(log: &Whole, offset: i64) -> Option<Id> {
    log.ids
        .get(usize::try_from(offset - log.start).ok()?)
        .copied()
}
