use super::*;

#[test]
fn records_are_read_as_they_were_written() {
    let state = Transaction {
        producer_id: ProducerId(7),
        previous_id: ProducerId(6),
        next_id: ProducerId(8),
        epoch: ProducerEpoch(3),
        last_epoch: ProducerEpoch::NONE,
        timeout_ms: 60_000,
        state: State::PrepareCommit,
        partitions: places(&[("a", 0), ("a", 4), ("b", 1)]),
        start_ms: 1_000,
        update_ms: 2_000,
        client_version: 2,
    };
    for version in [0, 1, 2] {
        let record = Record {
            id: "orders".into(),
            state: Some(state.clone()),
            version,
        };
        let bytes = encode_record(&record).unwrap();
        // Record type 0, then the name.
        assert_eq!(bytes.key[..4], [0, 0, 0, 6]);
        let read = decode_record(&bytes.key, bytes.value.as_deref()).unwrap();
        let read = read.unwrap().state.unwrap();
        match version {
            // The first format knows neither.
            0 => assert_eq!(
                read,
                Transaction {
                    previous_id: ProducerId::NONE,
                    next_id: ProducerId::NONE,
                    client_version: 0,
                    ..state.clone()
                }
            ),
            _ => assert_eq!(read, state),
        }
    }
}

#[test]
fn what_cannot_be_known_is_passed_over_and_what_is_damaged_is_not() {
    let record = Record {
        id: "t".into(),
        state: None,
        version: 2,
    };
    let bytes = encode_record(&record).unwrap();
    let read = decode_record(&bytes.key, None).unwrap().unwrap();
    assert_eq!((read.id.as_str(), read.state), ("t", None));
    let mut other = bytes.key.clone();
    other[1] = 9;
    assert_eq!(decode_record(&other, None).unwrap(), None);
    assert!(decode_record(&bytes.key[..2], None).is_err());
    assert!(decode_record(&bytes.key, Some(&[0, 1, 2])).is_err());
}

#[test]
fn states_follow_each_other_as_kafka_has_them() {
    use State::*;
    let all = [
        Empty,
        Ongoing,
        PrepareCommit,
        PrepareAbort,
        CompleteCommit,
        CompleteAbort,
        Dead,
    ];
    for state in all {
        assert_eq!(State::of_id(state.id()), Some(state));
        let next: Vec<State> = all.into_iter().filter(|it| state.may_become(*it)).collect();
        let expected: &[State] = match state {
            Empty | CompleteCommit | CompleteAbort => &[Empty, Ongoing, PrepareAbort, Dead],
            Ongoing => &[Ongoing, PrepareCommit, PrepareAbort],
            PrepareCommit => &[CompleteCommit],
            PrepareAbort => &[CompleteAbort],
            Dead => &[],
        };
        assert_eq!(next, expected, "{state:?}");
    }
    assert_eq!(State::of_id(7), None);
}
