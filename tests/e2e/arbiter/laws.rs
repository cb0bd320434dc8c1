//! What every arbiter promises, whichever it is. Each law is given a fresh one.

use super::{
    history::{Asked, check},
    proxy::Fault,
    subject::Subject,
};
use crate::node::PATIENCE;
use duet::{
    arbiter::Arbiter,
    core::{Answer, Cfg, ClusterId, InSync, Nonce, Question, Side, StoreId},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

/// A value that nobody else proposes.
pub(crate) fn cfg(ver: u64, nonce: u128) -> Cfg {
    let side = if nonce.is_multiple_of(2) { Side::A } else { Side::B };
    let in_sync = InSync::alone(side, StoreId([7; 16]));
    let holder = Nonce(nonce.to_be_bytes());
    Cfg { ver, epoch: ver, primary: side, in_sync, holder, cluster: ClusterId([0; 16]) }
}

fn of(subject: &Subject, ver: u64, nonce: u128) -> Cfg {
    Cfg { cluster: subject.cluster, ..cfg(ver, nonce) }
}

async fn swap(arbiter: &Arbiter, next: Cfg) -> Answer {
    timeout(PATIENCE, arbiter.answer(Question::Swap(next))).await.expect("every question is answered")
}

async fn read(arbiter: &Arbiter) -> Answer {
    timeout(PATIENCE, arbiter.answer(Question::Read)).await.expect("every question is answered")
}

/// The value, from an arbiter that may be coming back just now.
pub(crate) async fn value(arbiter: &Arbiter) -> Option<Cfg> {
    let begun = Instant::now();
    loop {
        if let Answer::Value(value) = read(arbiter).await {
            return value;
        }
        assert!(begun.elapsed() < PATIENCE, "the arbiter tells no value");
        sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn a_swap_that_was_said_is_what_everybody_reads(mut subject: Subject) {
    let (one, other) = (subject.caller(), subject.caller());
    assert_eq!(value(&one).await, None);
    for ver in 1..=20 {
        let next = of(&subject, ver, ver.into());
        assert_eq!(swap(if ver % 3 == 0 { &other } else { &one }, next).await, Answer::Swapped);
        assert_eq!(read(&one).await, Answer::Value(Some(next)));
        assert_eq!(read(&other).await, Answer::Value(Some(next)));
    }
}

pub(crate) async fn a_swap_that_does_not_fit_is_refused_with_the_value(mut subject: Subject) {
    let caller = subject.caller();
    assert_eq!(value(&caller).await, None);
    assert_eq!(swap(&caller, of(&subject, 2, 1)).await, Answer::Value(None));
    let held = of(&subject, 1, 2);
    assert_eq!(swap(&caller, held).await, Answer::Swapped);
    for ver in [0, 1, 3, u64::MAX] {
        assert_eq!(swap(&caller, of(&subject, ver, 3)).await, Answer::Value(Some(held)), "version {ver}");
    }
    let strange = Cfg { cluster: ClusterId([0xee; 16]), ..of(&subject, 2, 4) };
    assert_eq!(swap(&caller, strange).await, Answer::Value(Some(held)), "another pair's value");
    assert_eq!(read(&caller).await, Answer::Value(Some(held)));
}

pub(crate) async fn exactly_one_of_concurrent_swaps_wins(mut subject: Subject) {
    const RIVALS: u64 = 6;
    let callers: Vec<_> = (0..RIVALS).map(|_| subject.caller()).collect();
    for ver in 1..=15 {
        let proposals: Vec<Cfg> =
            (0..RIVALS).map(|rival| of(&subject, ver, (ver * RIVALS + rival).into())).collect();
        let asked = callers.iter().zip(&proposals).map(|(caller, next)| {
            let (caller, next) = (Arc::clone(caller), *next);
            tokio::spawn(async move { (next, swap(&caller, next).await) })
        });
        let mut answers = Vec::new();
        for asked in asked.collect::<Vec<_>>() {
            answers.push(asked.await.unwrap());
        }
        let winners: Vec<_> = answers.iter().filter(|(_, answer)| *answer == Answer::Swapped).collect();
        assert_eq!(winners.len(), 1, "{answers:?}");
        let told = Answer::Value(Some(winners[0].0));
        assert!(
            answers.iter().all(|(_, answer)| *answer == Answer::Swapped || *answer == told),
            "{answers:?}"
        );
        assert_eq!(read(&callers[0]).await, told);
    }
}

pub(crate) async fn what_was_said_survives_kill_9(mut subject: Subject) {
    let mut ver = 0;
    for _ in 0..4 {
        let caller = subject.caller();
        let mut held = value(&caller).await;
        assert_eq!(held.map_or(0, |cfg| cfg.ver), ver);
        for _ in 0..3 {
            ver += 1;
            held = Some(of(&subject, ver, ver.into()));
            assert_eq!(swap(&caller, held.unwrap()).await, Answer::Swapped);
        }
        drop(caller);
        subject.kill_and_restart();
        let caller = subject.caller();
        assert_eq!(value(&caller).await, held);
    }
}

pub(crate) async fn after_a_lost_reply_the_swap_is_unknown_and_happened(mut subject: Subject) {
    let caller = subject.caller();
    assert_eq!(value(&caller).await, None);
    let proxy = subject.proxy().unwrap();
    proxy.set(Fault::LoseReplies);
    let next = of(&subject, 1, 1);
    assert_eq!(swap(&caller, next).await, Answer::Unknown);
    let answer = read(&caller).await;
    assert!(
        [Answer::NotSent, Answer::Value(Some(next))].contains(&answer),
        "over a new connection, if one can be made: {answer:?}"
    );
    proxy.set(Fault::None);
    assert_eq!(value(&caller).await, Some(next));
}

pub(crate) async fn after_a_lost_request_the_swap_is_unknown_and_another_settles_it(mut subject: Subject) {
    let caller = subject.caller();
    assert_eq!(value(&caller).await, None);
    let proxy = subject.proxy().unwrap();
    proxy.set(Fault::LoseRequests);
    assert_eq!(swap(&caller, of(&subject, 1, 1)).await, Answer::Unknown);
    proxy.set(Fault::None);
    assert_eq!(value(&caller).await, None);
    let rival = of(&subject, 1, 2);
    assert_eq!(swap(&caller, rival).await, Answer::Swapped);
    assert_eq!(value(&caller).await, Some(rival));
}

pub(crate) async fn a_swap_that_was_given_up_may_still_happen_later(mut subject: Subject) {
    let (caller, watcher) = (subject.caller(), subject.caller());
    assert_eq!((value(&caller).await, value(&watcher).await), (None, None));
    let proxy = subject.proxy().unwrap();
    proxy.set(Fault::DelayRequests);
    let next = of(&subject, 1, 1);
    assert_eq!(swap(&caller, next).await, Answer::Unknown);
    proxy.set(Fault::None);
    let begun = Instant::now();
    while value(&watcher).await != Some(next) {
        assert!(begun.elapsed() < PATIENCE, "what was under way arrives");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(swap(&caller, of(&subject, 1, 2)).await, Answer::Value(Some(next)));
}

pub(crate) async fn nothing_was_sent_to_an_arbiter_that_is_down(mut subject: Subject) {
    let caller = subject.caller();
    assert_eq!(value(&caller).await, None);
    subject.kill();
    let begun = Instant::now();
    // The connection that was there may take the first question with it into the grave.
    while swap(&caller, of(&subject, 1, 1)).await != Answer::NotSent {
        assert!(begun.elapsed() < PATIENCE, "a connection to nobody is noticed");
    }
    assert_eq!(read(&caller).await, Answer::NotSent);
}

/// Tasks that read and swap at random while the link misbehaves and the arbiter is killed.
pub(crate) async fn every_history_is_linearizable(mut subject: Subject, seed: u64) {
    const TASKS: u64 = 5;
    let begun = Instant::now();
    let tasks = (0..TASKS).map(|task| {
        let (caller, cluster) = (subject.caller(), subject.cluster);
        let rng = Dice(seed * 1_000 + task);
        tokio::spawn(timeout(PATIENCE * 3, ask_at_random(caller, cluster, task, rng, begun)))
    });
    let tasks: Vec<_> = tasks.collect();
    let mut dice = Dice(seed);
    for round in 0..4 {
        if let Some(proxy) = subject.proxy() {
            let faults = [Fault::None, Fault::LoseReplies, Fault::LoseRequests, Fault::DelayRequests];
            proxy.set(faults[dice.below(4) as usize]);
            sleep(Duration::from_millis(100 + dice.below(150))).await;
            subject.proxy().unwrap().set(Fault::None);
            if round == 2 {
                subject.kill_and_restart();
            }
        }
        sleep(Duration::from_millis(50 + dice.below(100))).await;
    }
    let mut history = Vec::new();
    for task in tasks {
        history.extend(task.await.unwrap().expect("every task ends"));
    }
    let last = subject.caller();
    let ended = begun.elapsed().as_nanos() as u64;
    let answer = Answer::Value(value(&last).await);
    history.push(Asked { begun: ended, ended: u64::MAX, question: Question::Read, answer });
    let swapped = history.iter().filter(|asked| asked.answer == Answer::Swapped).count();
    match check(&history) {
        Ok(versions) => assert!(versions >= 10 && swapped >= 10, "seed {seed}: only {versions} versions"),
        Err(wrong) => panic!("seed {seed}: {wrong}\n{history:#?}"),
    }
}

async fn ask_at_random(
    caller: Arc<Arbiter>,
    cluster: ClusterId,
    task: u64,
    mut dice: Dice,
    clock: Instant,
) -> Vec<Asked> {
    let (mut history, mut known) = (Vec::new(), 0);
    for number in 0..40 {
        let nonce = u128::from(task) << 64 | number;
        let question = match dice.below(3) {
            0 => Question::Read,
            // Now and then one that cannot fit.
            1 if dice.below(8) == 0 => Question::Swap(Cfg { cluster, ..cfg(known + 3, nonce) }),
            _ => Question::Swap(Cfg { cluster, ..cfg(known + 1, nonce) }),
        };
        let begun = clock.elapsed().as_nanos() as u64;
        let answer = caller.answer(question).await;
        history.push(Asked { begun, ended: clock.elapsed().as_nanos() as u64, question, answer });
        match (answer, question) {
            (Answer::Value(value), _) => known = value.map_or(0, |cfg| cfg.ver),
            (Answer::Swapped, Question::Swap(next)) => known = next.ver,
            // An arbiter that is down is not asked at once again.
            _ => sleep(Duration::from_millis(20)).await,
        }
        sleep(Duration::from_millis(dice.below(10))).await;
    }
    history
}

/// xorshift64*, good enough to vary a test.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d;
        self.0 ^= self.0 >> 29;
        (self.0 >> 11) % end
    }
}
