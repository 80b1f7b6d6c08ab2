use super::*;

const SECOND: u64 = 1_000_000_000;

fn wanted(name: &str, index: i32, offset: i64) -> Wanted {
    Wanted {
        topic: TopicKey::Name(name.into()),
        index,
        offset,
        bytes_max: 1 << 20,
        leader_epoch: -1,
    }
}

const QUIET: Told = Told {
    visible: 5,
    log_start: 0,
    bytes: 0,
    failed: false,
};

fn asked(id: i32, epoch: i32) -> Asked {
    Asked {
        id,
        epoch,
        by_ids: false,
    }
}

/// A session over `indexes` of one topic, told [`QUIET`].
fn session(cache: &mut FetchSessions, now: u64, indexes: std::ops::Range<i32>, id: u64) -> i32 {
    let list: Vec<_> = indexes.map(|index| wanted("t", index, 5)).collect();
    let (kind, list) = cache.begin(now, asked(0, 0), list, &[]).unwrap();
    assert_eq!(kind, Kind::Full { by_ids: false });
    let answered: Vec<_> = list.into_iter().map(|wanted| (wanted, QUIET)).collect();
    cache.create(now, false, &answered, || id)
}

/// One incremental round: the partitions served, and which were news.
fn round(
    cache: &mut FetchSessions,
    now: u64,
    ask: Asked,
    told: impl Fn(&Wanted) -> Told,
) -> Vec<(i32, bool)> {
    let (kind, list) = cache.begin(now, ask, Vec::new(), &[]).unwrap();
    let Kind::Incremental { id, epoch } = kind else {
        panic!("{kind:?}");
    };
    let answered: Vec<_> = list
        .into_iter()
        .map(|wanted| {
            let told = told(&wanted);
            (wanted, told)
        })
        .collect();
    let news = cache.tell(id, epoch, &answered).unwrap();
    let indexes = answered.iter().map(|(wanted, _)| wanted.index);
    indexes.zip(news).collect()
}

#[test]
fn only_what_changed_is_told() {
    let mut cache = FetchSessions::new(10, 100);
    let id = session(&mut cache, 0, 0..3, 7);
    assert_eq!(id, 7);
    let told = round(&mut cache, 1, asked(id, 1), |_| QUIET);
    assert_eq!(told, [(0, false), (1, false), (2, false)]);
    let moved = |wanted: &Wanted| Told {
        visible: if wanted.index == 1 { 6 } else { 5 },
        log_start: if wanted.index == 2 { 1 } else { 0 },
        ..QUIET
    };
    let told = round(&mut cache, 2, asked(id, 2), moved);
    assert_eq!(told, [(0, false), (1, true), (2, true)]);
    let told = round(&mut cache, 3, asked(id, 3), moved);
    assert_eq!(told, [(0, false), (1, false), (2, false)]);
}

#[test]
fn an_error_is_told_each_time_and_so_is_its_end() {
    let mut cache = FetchSessions::new(10, 100);
    let id = session(&mut cache, 0, 0..1, 7);
    let failed = |_: &Wanted| Told {
        failed: true,
        ..QUIET
    };
    assert_eq!(round(&mut cache, 1, asked(id, 1), failed), [(0, true)]);
    assert_eq!(round(&mut cache, 1, asked(id, 2), failed), [(0, true)]);
    assert_eq!(round(&mut cache, 1, asked(id, 3), |_| QUIET), [(0, true)]);
    assert_eq!(round(&mut cache, 1, asked(id, 4), |_| QUIET), [(0, false)]);
}

#[test]
fn who_got_records_goes_to_the_end() {
    let mut cache = FetchSessions::new(10, 100);
    let id = session(&mut cache, 0, 0..3, 7);
    let records = |wanted: &Wanted| Told {
        bytes: u64::from(wanted.index == 0),
        ..QUIET
    };
    round(&mut cache, 1, asked(id, 1), records);
    let order = round(&mut cache, 1, asked(id, 2), |_| QUIET);
    assert_eq!(order, [(1, false), (2, false), (0, false)]);
}

#[test]
fn partitions_are_added_moved_and_forgotten() {
    let mut cache = FetchSessions::new(10, 100);
    let id = session(&mut cache, 0, 0..2, 7);
    let forgotten = [(TopicKey::Name("t".into()), 0)];
    let more = vec![wanted("t", 1, 9), wanted("u", 0, 3)];
    let (kind, list) = cache
        .begin(1, asked(id, 1), more.clone(), &forgotten)
        .unwrap();
    assert_eq!(kind, Kind::Incremental { id, epoch: 2 });
    assert_eq!(list, more);
    let forgotten = [
        (TopicKey::Name("t".into()), 1),
        (TopicKey::Name("u".into()), 0),
    ];
    let last = cache
        .begin(1, asked(id, 2), Vec::new(), &forgotten)
        .unwrap();
    assert_eq!(last, (Kind::Sessionless, Vec::new()));
    let gone = cache.begin(1, asked(id, 3), Vec::new(), &[]);
    assert_eq!(gone, Err(ErrorCode::FetchSessionIdNotFound));
    assert_eq!(cache.partitions, 0);
}

#[test]
fn ids_epochs_and_names_must_fit() {
    let mut cache = FetchSessions::new(10, 100);
    let id = session(&mut cache, 0, 0..1, 7);
    let mut begin = |ask| cache.begin(1, ask, Vec::new(), &[]).map(|(kind, _)| kind);
    assert_eq!(begin(asked(8, 1)), Err(ErrorCode::FetchSessionIdNotFound));
    assert_eq!(
        begin(asked(id, 2)),
        Err(ErrorCode::InvalidFetchSessionEpoch)
    );
    let by_ids = Asked {
        by_ids: true,
        ..asked(id, 1)
    };
    assert_eq!(begin(by_ids), Err(ErrorCode::FetchSessionTopicIdError));
    assert_eq!(begin(asked(id, 1)), Ok(Kind::Incremental { id, epoch: 2 }));
    // A retry of the same request is a request of the past.
    assert_eq!(
        begin(asked(id, 1)),
        Err(ErrorCode::InvalidFetchSessionEpoch)
    );
    // The client ends it.
    assert_eq!(begin(asked(id, -1)), Ok(Kind::Sessionless));
    assert_eq!(begin(asked(id, 2)), Err(ErrorCode::FetchSessionIdNotFound));
}

#[test]
fn a_late_answer_to_an_overtaken_request_is_refused() {
    let mut cache = FetchSessions::new(10, 100);
    let id = session(&mut cache, 0, 0..1, 7);
    let first = cache.begin(1, asked(id, 1), Vec::new(), &[]).unwrap().0;
    cache.begin(1, asked(id, 2), Vec::new(), &[]).unwrap();
    assert_eq!(first, Kind::Incremental { id, epoch: 2 });
    let late = cache.tell(id, 2, &[(wanted("t", 0, 5), QUIET)]);
    assert_eq!(late, Err(ErrorCode::InvalidFetchSessionEpoch));
}

#[test]
fn epochs_wrap_to_one() {
    assert_eq!(next_epoch(i32::MAX), 1);
    assert_eq!(next_epoch(0), 1);
}

#[test]
fn slots_go_to_the_newcomer_by_kafkas_rule() {
    let mut cache = FetchSessions::new(2, 100);
    assert_eq!(session(&mut cache, 0, 0..2, 1), 1);
    assert_eq!(session(&mut cache, 0, 0..3, 2), 2);
    // Both are young and in use: no room, however large the newcomer.
    assert_eq!(session(&mut cache, SECOND, 0..50, 3), 0);
    // Both old and in use: the smaller one yields to a larger one only.
    let old = 121 * SECOND;
    round(&mut cache, 60 * SECOND, asked(1, 1), |_| QUIET);
    round(&mut cache, 60 * SECOND, asked(2, 1), |_| QUIET);
    round(&mut cache, old, asked(1, 2), |_| QUIET);
    round(&mut cache, old, asked(2, 2), |_| QUIET);
    assert_eq!(session(&mut cache, old, 0..2, 4), 0);
    assert_eq!(session(&mut cache, old, 0..4, 5), 5);
    assert!(!cache.sessions.contains_key(&1));
    // Unused for two minutes: it yields to anybody.
    assert_eq!(session(&mut cache, old + 121 * SECOND, 0..1, 6), 6);
    assert_eq!(cache.sessions.len(), 2);
}

#[test]
fn partitions_are_bounded() {
    let mut cache = FetchSessions::new(10, 5);
    assert_eq!(session(&mut cache, 0, 0..6, 1), 0);
    assert_eq!(session(&mut cache, 0, 0..4, 2), 2);
    assert_eq!(session(&mut cache, 0, 0..2, 3), 0);
    let more = (0..6).map(|index| wanted("u", index, 0)).collect();
    let over = cache.begin(1, asked(2, 1), more, &[]);
    assert_eq!(over, Err(ErrorCode::FetchSessionIdNotFound));
    assert_eq!((cache.partitions, cache.by_use.len()), (0, 0));
}

#[test]
fn an_id_is_never_zero_or_taken() {
    let mut cache = FetchSessions::new(10, 100);
    session(&mut cache, 0, 0..1, 7);
    let mut draws = [0, 7, 1 << 31, 9].into_iter();
    let answered = [(wanted("t", 0, 0), QUIET)];
    let id = cache.create(0, false, &answered, || draws.next().unwrap());
    assert_eq!(id, 9);
}

#[test]
fn a_session_goes_to_another_cache_as_it_is() {
    let (mut here, mut there) = (FetchSessions::new(2, 5), FetchSessions::new(2, 5));
    let id = session(&mut here, 0, 0..3, 7);
    round(&mut here, 1, asked(id, 1), |_| QUIET);
    let taken = here.take(id).expect("it was here");
    assert!(here.take(id).is_none());
    assert!(there.put(2, id, taken));
    let told = round(&mut there, 3, asked(id, 2), |_| QUIET);
    assert_eq!(told, [(0, false), (1, false), (2, false)]);
    // The first cache has all its room again; the second has not.
    assert_eq!(session(&mut here, 4, 0..5, 8), 8);
    let large = here.take(8).expect("it was here");
    assert!(!there.put(5, 8, large));
    assert_eq!(session(&mut there, 6, 0..2, 9), 9);
    // An id that is taken stays whose it was.
    session(&mut here, 7, 0..1, 9);
    let twin = here.take(9).expect("it was here");
    assert!(!there.put(8, 9, twin));
}
