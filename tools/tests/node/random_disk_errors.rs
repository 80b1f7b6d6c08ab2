//! Calls of the disk fail at random under load, then the power is lost: what was acknowledged with
//! acks=all is there after the next start, every time. `ODRADEK_FAULT_ROUNDS` says how often.

use odradek_wire::ErrorCode;

use crate::common::{Dice, TestNode, batch};
use crate::faulty_disk::{Call, Fault, FaultyDisk, Rule};

const TOPICS: usize = 3;
const ROUNDS: usize = 4;

fn value(round: usize, number: u64, dice: &mut Dice) -> Vec<u8> {
    let mut value = format!("round {round}, number {number} ").into_bytes();
    value.resize(30 + dice.below(20_000) as usize, b'.');
    value
}

/// One call, or all of a kind, somewhere or everywhere, some time from now.
fn rule(dice: &mut Dice) -> Rule {
    const CALLS: [Call; 9] = [
        Call::Open,
        Call::Read,
        Call::Write,
        Call::DurableWrite,
        Call::Flush,
        Call::FlushDirectory,
        Call::Allocate,
        Call::Truncate,
        Call::Rename,
    ];
    const FAULTS: [Fault; 3] = [
        Fault::Error(libc::EIO),
        Fault::Error(libc::ENOSPC),
        Fault::Torn(libc::EIO),
    ];
    let path = match dice.below(4) {
        0 => "/".to_owned(),
        1 => "/__cluster_metadata-0/".to_owned(),
        _ => format!("/t{}-0/", dice.below(TOPICS as u64)),
    };
    let call = CALLS[dice.below(9) as usize];
    let rule = Rule::new(call, &path, FAULTS[dice.below(3) as usize]);
    let rule = rule.after(dice.below(20) as usize);
    match dice.below(2) {
        0 => rule.once(),
        _ => rule,
    }
}

#[test]
fn what_was_acknowledged_outlives_errors_and_power() {
    let Some(disk) = FaultyDisk::mount(false) else {
        return;
    };
    let rounds = std::env::var("ODRADEK_FAULT_ROUNDS").ok();
    let rounds = rounds.map_or(ROUNDS, |text| text.parse().expect("a number of rounds"));
    let mut dice = Dice::new("random disk errors");
    let mut node = TestNode::prepare(&[("log.segment.bytes", "1048576")]);
    node.set_data(&disk.path().join("data"));
    let mut stored: Vec<Vec<(i64, Vec<u8>)>> = vec![Vec::new(); TOPICS];
    let (mut hits, mut refused, mut lost) = (0, 0, 0);
    for round in 0..rounds {
        let strategy = ["direct", "buffered"][dice.below(2) as usize];
        node.set("log.write.strategy", strategy);
        node.run();
        let mut client = node.client();
        for (number, stored) in stored.iter().enumerate() {
            let topic = format!("t{number}");
            if round == 0 {
                node.create(&topic);
            }
            let found = client.consume(&topic, 0, 0);
            for (offset, value) in stored {
                let record = &found[*offset as usize];
                assert_eq!((record.offset, &record.value), (*offset, value), "{topic}");
            }
        }
        for _ in 0..1 + dice.below(3) {
            disk.inject(rule(&mut dice));
        }
        for number in 0..300 {
            let topic = dice.below(TOPICS as u64) as usize;
            let value = value(round, number, &mut dice);
            let produced = client.produce(&format!("t{topic}"), 0, -1, &batch(&[&value]));
            match produced.error {
                ErrorCode::None => stored[topic].push((produced.offset, value)),
                error => {
                    assert_eq!(error, ErrorCode::KafkaStorageError);
                    refused += 1;
                }
            }
        }
        assert!(node.alive(), "round {round}");
        hits += disk.hits();
        node.kill();
        disk.repair();
        lost += disk.lose_power();
    }
    let stored: usize = stored.iter().map(Vec::len).sum();
    println!(
        "{rounds} rounds: {stored} records acknowledged and found again, {refused} refused, {hits} \
         calls failed, {lost} pages lost with the power"
    );
}
