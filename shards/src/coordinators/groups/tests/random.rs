//! Random operations by random members against invariants. The seed is printed.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::chance::Random;
use super::*;

#[derive(Default)]
struct Model {
    w: World,
    /// Join replies without an error: what clients believe to be.
    believed: Vec<(String, JoinReply)>,
    /// Ids given out by MEMBER_ID_REQUIRED.
    promised: Vec<(String, String)>,
    joins: BTreeMap<Ticket, String>,
    /// The generation that a sync was for.
    syncs: BTreeMap<Ticket, i32>,
    waiting: Vec<Ticket>,
    /// (group, generation) → leader, without the part of its id that a restart changes.
    leaders: BTreeMap<(String, i32), String>,
    generations: BTreeMap<String, i32>,
    /// What is committed, by what was answered alone: (group, partition) → offset.
    offsets: BTreeMap<(String, i32), i64>,
    /// Commits that are not answered yet, and deletions, which hide a group's offsets until they are.
    commits: BTreeMap<Ticket, (String, i32, i64)>,
    deletions: BTreeSet<Ticket>,
    trace: u64,
    /// How often what the test is about has happened.
    seen: Seen,
}

#[derive(Default, Debug)]
struct Seen {
    assigned: u32,
    skipped: u32,
    fenced: u32,
    rebalanced: u32,
    promised: u32,
    committed: u32,
    /// Offsets that were fetched and are the model's.
    read: u32,
    deleted: u32,
    refused: u32,
    restarted: u32,
}

fn stem(member_id: &str) -> &str {
    match member_id.strip_prefix('i') {
        // Static: the instance.
        Some(_) => member_id.split('-').next().unwrap_or(member_id),
        None => member_id,
    }
}

impl Model {
    fn new(failures: bool) -> Self {
        let settings = settings(|s| s.group_size_max = if failures { 3 } else { 10 });
        Self {
            w: with_settings(settings),
            ..Self::default()
        }
    }

    fn step(&mut self, random: &mut Random, failures: bool) {
        let group = (*random.pick(&["g", "h"])).to_owned();
        match random.below(20) {
            0..3 => self.join(random, group),
            3..9 => self.sync(random),
            9..11 => self.heartbeat(random),
            11 => self.leave(random, &group),
            12 => {
                if let Some((group, member)) = self.someone(random) {
                    let offset = random.below(100).cast_signed();
                    let partition = i32::from(random.chance(50));
                    let mut request = CommitRequest {
                        group_id: group.clone(),
                        ..commit_of(&member, offset)
                    };
                    request.topics[0].partitions[0].partition = partition;
                    let ticket = self.w.commit(request);
                    self.commits.insert(ticket, (group, partition, offset));
                    self.waiting.push(ticket);
                }
            }
            13 => {
                let ticket = self.w.fetch(random.chance(50));
                self.waiting.push(ticket);
            }
            14 if random.chance(20) => {
                let ticket = self.w.delete_groups(&[&group]);
                self.deletions.insert(ticket);
                self.waiting.push(ticket);
            }
            15 | 16 => self.w.advance(random.below(6_000).cast_signed()),
            _ => {
                if !self.w.writes.is_empty() {
                    let fails = failures && random.chance(10);
                    let outcome = if fails {
                        Err(error::KAFKA_STORAGE_ERROR)
                    } else {
                        Ok(())
                    };
                    self.w.end_write(outcome);
                }
            }
        }
        self.observe();
    }

    fn someone(&self, random: &mut Random) -> Option<(String, JoinReply)> {
        // Mostly somebody of late.
        let from = self.believed.len().saturating_sub(6);
        let from = if random.chance(10) { 0 } else { from };
        let recent = &self.believed[from..];
        (!recent.is_empty()).then(|| random.pick(recent).clone())
    }

    fn join(&mut self, random: &mut Random, group_id: String) {
        let orders = [&["a", "b"][..], &["b", "a"], &["b"]];
        let names = random.pick(&orders);
        let mut request = JoinRequest {
            group_id,
            protocols: protocols(names),
            member_id_required: random.chance(50),
            skip_assignment_supported: random.chance(50),
            session_timeout_ms: 6_000 + i32::try_from(random.below(10_000)).unwrap_or(0),
            rebalance_timeout_ms: i32::try_from(random.below(20_000)).unwrap_or(0),
            ..consumer()
        };
        if random.chance(30) {
            request.instance_id = Some(format!("i{}", random.below(3)));
        } else if random.chance(30)
            && let Some((group, id)) = self.promised.pop()
        {
            (request.group_id, request.member_id) = (group, id);
        } else if random.chance(70)
            && let Some((group, member)) = self.someone(random)
        {
            (request.group_id, request.member_id) = (group, member.member_id);
        }
        let group = request.group_id.clone();
        let ticket = self.w.join(request);
        self.joins.insert(ticket, group);
        self.waiting.push(ticket);
    }

    fn sync(&mut self, random: &mut Random) {
        let Some((group_id, member)) = self.someone(random) else {
            return;
        };
        let is_leader = member.leader == member.member_id;
        // A follower that sends assignments is not listened to.
        let mark = if is_leader { "leader" } else { "forged" };
        let ids: Vec<String> = self
            .believed
            .iter()
            .map(|(_, reply)| reply.member_id.clone())
            .collect();
        let blob = format!("{} {mark}", member.generation);
        let ticket = self.w.sync_with(SyncRequest {
            group_id,
            generation: member.generation,
            member_id: member.member_id,
            instance_id: None,
            protocol_type: None,
            protocol_name: None,
            assignments: ids
                .into_iter()
                .map(|id| (id, blob.as_bytes().into()))
                .collect(),
        });
        self.syncs.insert(ticket, member.generation);
        self.waiting.push(ticket);
    }

    fn heartbeat(&mut self, random: &mut Random) {
        if let Some((group_id, member)) = self.someone(random) {
            let request = HeartbeatRequest {
                group_id,
                generation: member.generation,
                member_id: member.member_id,
                instance_id: None,
            };
            self.w
                .act(|shard, now_ms, out| shard.heartbeat(&request, now_ms, out));
        }
    }

    fn leave(&mut self, random: &mut Random, group: &str) {
        let (group_id, member_id, instance_id) = match self.someone(random) {
            Some((group, member)) if random.chance(50) => (group, member.member_id, None),
            _ => {
                let instance = format!("i{}", random.below(3));
                (group.to_owned(), String::new(), Some(instance))
            }
        };
        let members = vec![LeavingMember {
            member_id,
            instance_id,
            reason: None,
        }];
        let request = LeaveRequest { group_id, members };
        self.w
            .act(|shard, now_ms, out| shard.leave(&request, now_ms, out));
    }

    /// Takes in what was answered, and checks what must always hold.
    fn observe(&mut self) {
        let answered: Vec<Ticket> = self
            .waiting
            .iter()
            .filter(|ticket| !self.w.waits(**ticket))
            .copied()
            .collect();
        self.waiting.retain(|ticket| self.w.waits(*ticket));
        for ticket in answered {
            let reply = self.w.replies[&ticket].clone();
            let mut hasher = DefaultHasher::new();
            (self.trace, format!("{ticket:?} {reply:?}")).hash(&mut hasher);
            self.trace = hasher.finish();
            match reply {
                Reply::Join(reply) => self.joined(ticket, reply),
                Reply::Sync(reply) if reply.error == error::NONE => {
                    let expected = format!("{} leader", self.syncs[&ticket]);
                    let got = &*reply.assignment;
                    assert!(got.is_empty() || got == expected.as_bytes(), "{reply:?}");
                    self.seen.assigned += u32::from(!got.is_empty());
                }
                Reply::Sync(reply) => {
                    self.seen.rebalanced += u32::from(reply.error == error::REBALANCE_IN_PROGRESS);
                }
                Reply::Commit(reply) => {
                    let (group, partition, offset) = self.commits[&ticket].clone();
                    assert_eq!(reply.topics[0].partitions[0].0, partition);
                    if reply.topics[0].partitions[0].1 == error::NONE {
                        self.seen.committed += 1;
                        self.offsets.insert((group, partition), offset);
                    }
                }
                Reply::DeleteGroups(results) => {
                    self.deletions.remove(&ticket);
                    for (deleted, code) in results {
                        if code == error::NONE {
                            self.seen.deleted += 1;
                            self.offsets.retain(|(group, _), _| *group != deleted);
                        }
                    }
                }
                Reply::Fetch(reply) if reply.error == error::NONE => self.fetched(&reply),
                _ => {}
            }
        }
        for id in ["g", "h"] {
            match self.w.shard.group(id) {
                Some(group) => {
                    group.check();
                    let last = self.generations.insert(id.into(), group.generation());
                    assert!(last.is_none_or(|last| last <= group.generation()));
                }
                None => {
                    // Deleted: the next group of the name begins anew.
                    self.generations.remove(id);
                    self.leaders.retain(|(group, _), _| group != id);
                    self.believed.retain(|(group, _)| group != id);
                }
            }
        }
    }

    /// Nothing but what was acknowledged, and all of it.
    fn fetched(&mut self, reply: &FetchReply) {
        if !self.deletions.is_empty() {
            return;
        }
        let partitions = reply.topics.iter().flat_map(|topic| &topic.partitions);
        let found: BTreeMap<(String, i32), i64> = partitions
            .map(|one| ((reply.group_id.clone(), one.partition), one.offset))
            .collect();
        let mut expected = self.offsets.clone();
        expected.retain(|(group, _), _| *group == reply.group_id);
        assert_eq!(found, expected);
        self.seen.read += found.len() as u32;
    }

    /// What is held, and what a restart would find, is what was acknowledged, once nothing is under way.
    fn check_offsets(&self) {
        let mut replayed = GroupsShard::new(Settings::default());
        for record in &self.w.log {
            replayed.replay(record.clone());
        }
        for shard in [&self.w.shard, &replayed] {
            let mut held = BTreeMap::new();
            for (group, offsets) in shard.offsets.groups() {
                for (partition, value) in offsets.committed.values().flatten() {
                    held.insert((group.clone(), *partition), value.offset);
                }
            }
            assert_eq!(held, self.offsets);
        }
    }

    fn joined(&mut self, ticket: Ticket, reply: JoinReply) {
        let group = self.joins[&ticket].clone();
        self.seen.fenced += u32::from(reply.error == error::FENCED_INSTANCE_ID);
        self.seen.refused += u32::from(reply.error == error::GROUP_MAX_SIZE_REACHED);
        self.seen.skipped += u32::from(reply.skip_assignment);
        if reply.error == error::MEMBER_ID_REQUIRED {
            self.seen.promised += 1;
            self.promised.push((group, reply.member_id));
        } else if reply.error == error::NONE {
            let leader = stem(&reply.leader).to_owned();
            let key = (group.clone(), reply.generation);
            let first = self.leaders.entry(key).or_insert_with(|| leader.clone());
            assert_eq!(*first, leader, "two leaders of one generation");
            let is_leader = reply.leader == reply.member_id;
            assert_eq!(is_leader, !reply.members.is_empty());
            self.believed.push((group, reply));
        }
    }

    /// Time passes and nobody says anything more.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            self.w.flush();
            self.w.advance(10_000);
            self.observe();
            if self.waiting.is_empty() && self.w.writes.is_empty() {
                return;
            }
        }
        panic!("never answered: {:?}", self.waiting);
    }

    /// A restart now finds every group as it is, where it is not in motion.
    fn check_replay(&mut self) {
        self.w.flush();
        self.observe();
        let mut replayed = GroupsShard::new(Settings::default());
        for record in &self.w.log {
            replayed.replay(record.clone());
        }
        for (id, group) in &self.w.shard.groups {
            if matches!(group.state(), State::Stable | State::Empty) {
                let other = replayed.group(id).expect("the group is on the log");
                let record = |group: &ClassicGroup| {
                    let mut record = group.to_record(|member| member.assignment.clone());
                    record.state_since_ms = None;
                    record
                };
                assert_eq!(record(group), record(other));
                self.seen.restarted += u32::from(group.state() == State::Stable);
            }
        }
        let offsets = |shard: &GroupsShard| {
            let groups = shard.offsets.groups();
            groups
                .map(|(id, o)| (id.clone(), o.committed.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(offsets(&self.w.shard), offsets(&replayed));
    }
}

fn run(seed: u64, failures: bool) -> (u64, Seen) {
    let mut random = Random::new(seed);
    let mut model = Model::new(failures);
    for _ in 0..600 {
        model.step(&mut random, failures);
    }
    if !failures {
        model.check_replay();
    }
    model.settle();
    model.check_offsets();
    (model.trace, model.seen)
}

#[test]
fn random_members_never_break_a_group() {
    let mut total = Seen::default();
    for seed in 0..300 {
        println!("seed {seed}");
        let failures = seed % 2 == 1;
        let (trace, seen) = run(seed, failures);
        if seed < 20 {
            assert_eq!(run(seed, failures).0, trace, "same seed, same trace");
        }
        total.assigned += seen.assigned;
        total.skipped += seen.skipped;
        total.fenced += seen.fenced;
        total.rebalanced += seen.rebalanced;
        total.promised += seen.promised;
        total.committed += seen.committed;
        total.read += seen.read;
        total.deleted += seen.deleted;
        total.refused += seen.refused;
        total.restarted += seen.restarted;
    }
    println!("{total:?}");
    let least = [
        total.assigned,
        total.skipped,
        total.fenced,
        total.rebalanced,
        total.promised,
        total.committed,
        total.read,
        total.deleted,
        total.refused,
        total.restarted,
    ];
    assert!(least.iter().all(|count| *count >= 20), "{total:?}");
}
