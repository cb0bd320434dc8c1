//! Laws of the outbox's queues: bounds, classes, turns, and an account that is always right.

use super::*;
use proptest::prelude::*;

const BOUND: usize = 1_000;

fn state() -> State {
    let mut state = State { bound_bytes: BOUND, ..State::default() };
    state.open(Lane::CONTROL);
    state.open(Lane(1));
    state
}

fn push(state: &mut State, lane: Lane, body: u8, class: Class) -> Pushed {
    state.push(Outgoing { lane, frame: Frame::encode(9, &[body; 97]), class })
}

fn drain(state: &mut State) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    while let Some(batch) = state.take(usize::MAX) {
        bytes.extend(batch.chunks.concat());
        state.written(batch.lane, batch.bytes);
    }
    (bytes, state.take_room())
}

#[test]
fn an_event_beyond_the_bound_is_refused_and_room_is_told_once() {
    let mut state = state();
    let queued = (0..20).take_while(|_| push(&mut state, Lane(1), 1, Class::Event) == Pushed::Queued).count();
    assert_eq!(queued, 5, "a lane beside others has half");
    let beside = (0..20).take_while(|_| push(&mut state, Lane(0), 1, Class::Event) == Pushed::Queued).count();
    assert_eq!(beside, 5);
    assert_eq!(push(&mut state, Lane(1), 1, Class::Reply), Pushed::Queued, "replies have a reserve");
    assert!(drain(&mut state).1);
    assert_eq!(state.bytes, 0);
    assert_eq!(push(&mut state, Lane(1), 1, Class::Event), Pushed::Queued);
    assert!(!drain(&mut state).1, "nobody waits any longer");
}

#[test]
fn above_the_low_mark_a_lane_keeps_only_its_latest_signal() {
    let mut state = state();
    for _ in 0..4 {
        assert_eq!(push(&mut state, Lane(1), 0, Class::Event), Pushed::Queued);
    }
    for body in 1..=5 {
        assert_eq!(push(&mut state, Lane(1), body, Class::Signal), Pushed::Queued);
    }
    assert_eq!(state.bytes, 5 * 100);
    let (bytes, _) = drain(&mut state);
    assert_eq!(bytes[400..], Frame::encode(9, &[5; 97])[..]);
}

#[test]
fn a_stuck_lane_leaves_room_and_others_are_told_of_it() {
    let mut state = state();
    while push(&mut state, Lane(1), 1, Class::Event) == Pushed::Queued {}
    let stuck = state.take(usize::MAX).unwrap();
    while push(&mut state, Lane(0), 1, Class::Event) == Pushed::Queued {}
    assert!(drain(&mut state).1, "the other lane goes on though {} bytes are stuck", stuck.bytes);
    assert_eq!(push(&mut state, Lane(0), 1, Class::Event), Pushed::Queued);
}

#[test]
fn a_wrapped_frame_shares_the_bytes_of_the_original() {
    let mut state = state();
    let lane = Lane::wrapped(7).unwrap();
    assert_eq!(push(&mut state, lane, 1, Class::Event), Pushed::Dropped, "not open yet");
    assert_eq!(state.open_wrapped(lane, 1), WrappedLane::New);
    assert_eq!(state.open_wrapped(Lane::wrapped(8).unwrap(), 1), WrappedLane::TooMany);
    let frame = Frame::encode(9, &[1; 97]);
    assert_eq!(state.push(Outgoing { lane, frame: frame.clone(), class: Class::Event }), Pushed::Queued);
    let batch = state.take(usize::MAX).unwrap();
    assert_eq!(batch.lane, Lane::CONTROL);
    assert_eq!(batch.chunks[1].as_ptr(), frame[2..].as_ptr());
}

#[test]
fn lanes_take_turns() {
    let mut state = state();
    for lane in [Lane(0), Lane(0), Lane(0), Lane(1)] {
        assert_eq!(push(&mut state, lane, 1, Class::Event), Pushed::Queued);
    }
    let first = state.take(100).unwrap();
    state.written(first.lane, first.bytes);
    assert_eq!((first.lane, state.take(100).unwrap().lane), (Lane(0), Lane(1)));
}

#[test]
fn a_finished_lane_ends_after_its_last_frame() {
    let mut state = state();
    assert_eq!(push(&mut state, Lane(1), 1, Class::Event), Pushed::Queued);
    state.finish(Lane(1));
    assert_eq!(push(&mut state, Lane(1), 2, Class::Event), Pushed::Dropped);
    let batch = state.take(usize::MAX).unwrap();
    assert!(batch.finish && batch.bytes == 100);
}

proptest! {
    #[test]
    fn the_account_is_what_is_held_and_never_beyond_the_bound(
        steps in proptest::collection::vec((0_u8..7, 0_u32..3, 0_usize..200), 0..80)
    ) {
        let mut state = state();
        let wrapped = Lane::wrapped(3).unwrap();
        state.open_wrapped(wrapped, 4);
        let mut flying: Vec<Batch> = Vec::new();
        for (what, lane, size) in steps {
            let lane = [Lane(0), Lane(1), wrapped][lane as usize];
            let frame = Frame::encode(9, &vec![0; size]);
            match what {
                0 => { let _ = state.push(Outgoing { lane, frame, class: Class::Event }); }
                1 => { let _ = state.push(Outgoing { lane, frame, class: Class::Reply }); }
                2 => { let _ = state.push(Outgoing { lane, frame, class: Class::Signal }); }
                3 => flying.extend(state.take(size)),
                4 => if let Some(batch) = flying.pop() { state.written(batch.lane, batch.bytes); },
                5 => state.drop_lane(lane, 0),
                _ => state.open(lane.carrier()),
            }
            let held: usize = state.lanes.values()
                .flat_map(|queue| queue.frames.iter().chain(queue.signals.values()))
                .map(Piece::len).sum::<usize>() + flying.iter().map(|batch| batch.bytes).sum::<usize>();
            prop_assert_eq!(state.bytes, held);
            prop_assert!(state.bytes <= BOUND + BOUND / 4);
            prop_assert_eq!(state.stalled_since.is_some(), held > 0);
        }
    }
}

#[test]
fn a_page_leaves_compressed_on_its_lane_once_the_client_inflates_and_the_account_stays_right() {
    let page = Frame::encode(0x58, &b"the same words again and again ".repeat(100));
    for (deflates, lane) in [(false, Lane(1)), (true, Lane(1)), (true, Lane::wrapped(7).unwrap())] {
        let mut state = State { bound_bytes: 64 << 10, deflate: deflates, ..State::default() };
        state.open(Lane::CONTROL);
        state.open(Lane(1));
        state.open_wrapped(Lane::wrapped(7).unwrap(), 9);
        for class in [Class::Reply, Class::Page] {
            let pushed = state.push(Outgoing { lane, frame: page.clone(), class });
            assert_eq!(pushed, Pushed::Queued);
        }
        let batch = state.take(usize::MAX).unwrap();
        assert!(batch.is_bulk());
        let (carrier, taken) = (batch.lane, batch.bytes);
        let mut decoder = duet_protocol::FrameDecoder::default();
        let sent = batch.deflated().chunks.concat();
        decoder.push(&sent);
        let mut next = || {
            let frame = decoder.next().unwrap().unwrap();
            frame.clone().unwrap_lane().map_or(frame, |unwrapped| unwrapped.unwrap().1)
        };
        let (reply, second) = (next(), next());
        assert_eq!(reply.kind, 0x58, "only pages are compressed");
        let inflated = if deflates { second.inflate().unwrap().unwrap() } else { vec![second] };
        assert_eq!(inflated, [reply]);
        assert_eq!(sent.len() < taken, deflates);
        state.written(carrier, taken);
        assert_eq!(state.bytes, 0);
    }
}
