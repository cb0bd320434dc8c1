//! Laws of the table of message ids, against a table that keeps everything.

use super::*;
use duet_protocol::ConversationId;
use proptest::prelude::*;

#[test]
fn a_forgotten_id_is_never_taken_for_a_new_one() {
    let mut table = Dedup::default();
    for stamp in 1..=10 {
        table.remember(accepted(1, "ana", stamp, 100 + stamp));
    }
    let forgotten = table.forget(200, 1_000, 4);
    assert_eq!(forgotten, Forgotten { packs: vec![], tenants: BTreeSet::from([TenantId(1)]) });
    assert_eq!(table.len(), 4, "the bound on number holds");
    let look = |table: &Dedup, stamp: u64| {
        let old = accepted(1, "ana", stamp, 0);
        table.look_up(TenantId(1), &old.author, old.id, stamp)
    };
    for stamp in 1..=6 {
        assert_eq!(look(&table, stamp), Known::Forgotten);
    }
    assert!(matches!(look(&table, 7), Known::Before(_)));
    assert_eq!(look(&table, 11), Known::New);
    table.forget(2_000, 1_000, 4);
    assert!(table.is_empty(), "the window holds");
}

#[test]
fn a_floor_refuses_late_ids_of_its_own_tenant_only() {
    let mut table = Dedup::default();
    table.remember(accepted(1, "ana", 900_000, 1));
    table.forget(2_000, 1_000, 4);
    let late = accepted(2, "ana", 5, 0);
    assert_eq!(table.look_up(TenantId(1), &late.author, late.id, 5), Known::Forgotten);
    assert_eq!(table.look_up(TenantId(2), &late.author, late.id, 5), Known::New);
}

#[test]
fn a_table_with_a_pack_too_few_too_many_or_too_short_is_refused() {
    let mut table = Dedup::default();
    for stamp in 0..3 * PACK + 5 {
        table.remember(accepted(1, "ana", stamp, stamp));
    }
    table.forget(PACK + 3, 1, usize::MAX);
    let packs = stored(&table);
    assert_eq!(packs.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    let restore = |packs| Dedup::restore(table.marks(), table.floors.clone(), packs);
    assert_eq!(restore(packs.clone()).as_ref(), Ok(&table));
    for number in 1..=3 {
        let mut without = packs.clone();
        without.remove(&number);
        assert_eq!(restore(without), Err(BadPack::Count));
    }
    for (at, from) in [(0, 1), (4, 3), (2, 3), (3, 2)] {
        let mut wrong = packs.clone();
        wrong.insert(at, packs[&from].clone());
        assert_eq!(restore(wrong), Err(BadPack::Count));
    }
    let mut cut = packs.clone();
    cut.insert(2, packs[&2][1..].to_vec());
    assert!(restore(cut).is_err());
}

/// What happens to a table.
#[derive(Debug, Clone)]
enum Step {
    Remember { tenant: u32, user: u8, stamp: u64 },
    Pass { ms: u64 },
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        40 => (1..3_u32, 0..3_u8, 0..400_u64)
            .prop_map(|(tenant, user, stamp)| Step::Remember { tenant, user, stamp }),
        3 => (1..80_u64).prop_map(|ms| Step::Pass { ms }),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 0..400)
}

proptest! {
    #[test]
    fn the_table_answers_like_one_that_keeps_everything_and_every_restart_restores_it(
        steps in steps(),
        window_ms in 20..200_u64,
        entries_max in 1..150_usize,
    ) {
        let (mut table, mut rows) = (Dedup::default(), BTreeMap::new());
        let (mut live, mut floors) = (VecDeque::<Accepted>::new(), BTreeMap::<TenantId, u64>::new());
        let mut now_ms = 0;
        for step in steps {
            match step {
                Step::Remember { tenant, user, stamp } => {
                    let new = accepted(tenant, ["ana", "ben", "cay"][usize::from(user)], stamp, now_ms);
                    let tenant = new.key.tenant;
                    let before = live.iter().find(|old| {
                        (old.key.tenant, &old.author, old.id) == (tenant, &new.author, new.id)
                    });
                    let wanted = match before {
                        Some(before) => Known::Before(before.clone()),
                        None if floors.get(&tenant).is_some_and(|floor| stamp <= *floor) => Known::Forgotten,
                        None => Known::New,
                    };
                    prop_assert_eq!(&table.look_up(tenant, &new.author, new.id, stamp), &wanted);
                    if wanted == Known::New {
                        let number = table.remember(new.clone());
                        rows.insert(number, table.pack(number).unwrap());
                        live.push_back(new);
                    }
                }
                Step::Pass { ms } => now_ms += ms,
                Step::Restart => {
                    let restored = Dedup::restore(table.marks(), floors.clone(), rows.clone());
                    prop_assert_eq!(restored.as_ref(), Ok(&table));
                    table = restored.unwrap();
                }
            }
            for number in table.forget(now_ms, window_ms, entries_max).packs {
                prop_assert_eq!(table.pack(number), None);
                rows.remove(&number);
            }
            while live.front().is_some_and(|old| now_ms - old.at_ms >= window_ms || live.len() > entries_max) {
                let old = live.pop_front().unwrap();
                let floor = floors.entry(old.key.tenant).or_default();
                *floor = (*floor).max(old.id.timestamp_ms().unwrap());
            }
            prop_assert_eq!(table.len(), live.len());
            prop_assert_eq!(&table.floors, &floors);
            prop_assert_eq!(&stored(&table), &rows);
        }
    }
}

fn stored(table: &Dedup) -> BTreeMap<u64, Vec<u8>> {
    let (_, next) = table.marks();
    (0..=next / PACK).filter_map(|number| Some((number, table.pack(number)?))).collect()
}

fn accepted(tenant: u32, author: &str, stamp_ms: u64, at_ms: u64) -> Accepted {
    Accepted {
        key: ConversationKey { tenant: TenantId(tenant), conversation: ConversationId([1; 16]) },
        author: UserId::parse(author).unwrap(),
        id: ClientMessageId::new(stamp_ms, [stamp_ms as u8; 10]),
        seq: 1,
        index: 1,
        at_ms,
        fingerprint: 0,
    }
}
