//! The promise that matters: whatever breaks, and whenever, each message is stored once, in the order in which it
//! was sent, and each event is shown once, in the order of the log.

use crate::{
    rig::{Rig, conversation},
    server::message_id,
};
use duet_client::machine::{Event, From, Input, MessageStatus, Saved};
use duet_protocol::{ClientMessageId, Code, ConversationId, Refusal, Subject};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
enum Step {
    Say(u8),
    Hear(u8),
    Carry(usize, usize),
    Cut,
    ResetLane(u8),
    Pass(u64),
    Unreachable(bool),
    ServerRestart,
    SessionLost,
    RefuseNext(u32),
    RepeatLast(u8),
    SkipAhead(u8),
    ClientRestart,
    Leave(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let room = 0u8..3;
    prop_oneof![
        6 => room.clone().prop_map(Step::Say),
        4 => room.clone().prop_map(Step::Hear),
        8 => (0usize..6, 0usize..8).prop_map(|(up, down)| Step::Carry(up, down)),
        2 => Just(Step::Cut),
        1 => room.clone().prop_map(Step::ResetLane),
        3 => (0u64..3_000).prop_map(Step::Pass),
        1 => any::<bool>().prop_map(Step::Unreachable),
        1 => Just(Step::ServerRestart),
        1 => Just(Step::SessionLost),
        1 => (0u32..2_000).prop_map(Step::RefuseNext),
        1 => room.clone().prop_map(Step::RepeatLast),
        1 => room.clone().prop_map(Step::SkipAhead),
        1 => Just(Step::ClientRestart),
        1 => room.prop_map(Step::Leave),
    ]
}

/// What an application shows: per conversation the messages in the order in which they were told, cleared by a
/// discontinuity; and how far each own message is.
#[derive(Default)]
struct Screen {
    shown: BTreeMap<ConversationId, Vec<(ClientMessageId, Option<u64>)>>,
    status: BTreeMap<ClientMessageId, MessageStatus>,
    read: usize,
}

impl Screen {
    /// Takes in what is new. Panics when something is shown twice, or a status goes back.
    fn look(&mut self, events: &[Event]) {
        for event in &events[self.read..] {
            match event {
                Event::MessageCreated { message, .. } => {
                    let shown = self.shown.entry(message.conversation).or_default();
                    assert!(shown.iter().all(|(id, _)| *id != message.id), "{} was shown twice", message.id);
                    shown.push((message.id, message.seq));
                    self.status.insert(message.id, message.status);
                }
                Event::MessageStatus(change) => {
                    let known = self.status.get(&change.id).copied().unwrap_or(MessageStatus::Queued);
                    assert!(known <= change.status, "{} went back to {:?}", change.id, change.status);
                    self.status.insert(change.id, change.status);
                    let shown = self.shown.entry(change.conversation).or_default();
                    if let (Some(seq), Some(line)) = (change.seq, shown.iter_mut().find(|l| l.0 == change.id))
                    {
                        assert!(line.1.is_none_or(|known| known == seq), "{} moved", change.id);
                        line.1 = Some(seq);
                    }
                }
                Event::Discontinuity { conversation: Some(id), .. } => {
                    self.shown.remove(id);
                }
                _ => {}
            }
        }
        self.read = events.len();
    }

    /// In the order of the log.
    fn log(&self, id: ConversationId) -> Vec<(u64, ClientMessageId)> {
        let shown = self.shown.get(&id).into_iter().flatten();
        let mut log: Vec<_> = shown.map(|(id, seq)| (seq.expect("accepted by now"), *id)).collect();
        log.sort_unstable();
        log
    }
}

struct Story {
    rig: Rig,
    screen: Screen,
    said: BTreeMap<u8, Vec<ClientMessageId>>,
}

impl Story {
    fn begin(seed: u8) -> Self {
        let mut rig = Rig::new(seed);
        for room in 0..3 {
            rig.input(Input::Subscribe(conversation(room), From::Latest(500)));
        }
        rig.input(Input::Connect);
        Self { rig, screen: Screen::default(), said: BTreeMap::new() }
    }

    fn tell(&mut self, step: Step, n: usize) {
        let rig = &mut self.rig;
        match step {
            Step::Say(room) => {
                let id = rig.say(conversation(room), &format!("say {n}"));
                self.said.entry(room).or_default().push(id);
            }
            Step::Hear(room) => rig.hear(conversation(room), &format!("hear {n}")),
            Step::Carry(up, down) => rig.carry(up, down),
            Step::Cut => rig.cut(),
            Step::ResetLane(room) => rig.reset_lane(conversation(room)),
            Step::Pass(ms) => rig.pass(ms),
            Step::Unreachable(yes) => rig.reachable = !yes,
            Step::ServerRestart => {
                rig.server.epoch += 1;
                rig.close_with(Code::SHUTDOWN);
            }
            Step::SessionLost => {
                rig.server.session_lives = false;
                rig.cut();
            }
            Step::RefuseNext(retry_after_ms) => rig.server.refusals.push(Refusal {
                subject: Subject::Lane,
                code: Code::RATE_LIMITED,
                message: String::new(),
                retry_after_ms,
            }),
            Step::RepeatLast(room) => self.repeat(room, 0),
            Step::SkipAhead(room) => self.repeat(room, 3),
            Step::ClientRestart => self.restart(n as u8),
            Step::Leave(room) => {
                rig.input(Input::Unsubscribe(conversation(room)));
                self.screen.look(&rig.events);
                self.screen.shown.remove(&conversation(room));
                rig.input(Input::Subscribe(conversation(room), From::Latest(500)));
                // What still waits is part of what an application shows anew.
                for entry in rig.machine.outbox().into_iter().filter(|e| e.conversation == conversation(room))
                {
                    self.screen.shown.entry(entry.conversation).or_default().push((entry.id, None));
                }
            }
        }
        self.screen.look(&self.rig.events);
    }

    /// The server's last event comes once more, or one that lies ahead comes too early.
    fn repeat(&mut self, room: u8, ahead: u64) {
        let id = conversation(room);
        let Some(mut event) = self.rig.server.logs.get(&id).and_then(|log| log.last()).cloned() else {
            return;
        };
        event.seq += ahead;
        let lanes = self.rig.subscribed(id);
        for lane in lanes {
            self.rig.queue(vec![(lane, duet_protocol::Delivery::Event(event.clone()))]);
        }
    }

    /// The process ends; another one goes on with what was persisted.
    fn restart(&mut self, seed: u8) {
        self.screen = Screen::default();
        let old = std::mem::replace(&mut self.rig, Rig::with(|config| config.seed[1] = !seed, seed));
        let rig = &mut self.rig;
        (rig.server, rig.now_ms, rig.reachable) = (old.server, old.now_ms, old.reachable);
        let outbox = old.persisted.into_values().collect::<Vec<_>>();
        rig.persisted = outbox.iter().map(|entry| (entry.id, entry.clone())).collect();
        rig.input(Input::Restore(Saved { session: old.session, outbox }));
        for room in 0..3 {
            rig.input(Input::Subscribe(conversation(room), From::Latest(500)));
        }
        rig.input(Input::Connect);
    }

    fn end(mut self) {
        self.rig.heal();
        self.screen.look(&self.rig.events);
        for room in 0..3 {
            let id = conversation(room);
            let said = self.said.remove(&room).unwrap_or_default();
            assert_eq!(self.rig.server.mine(id), said, "stored once, in the order in which it was sent");
            let log = self.rig.server.logs.get(&id).into_iter().flatten();
            let log: Vec<_> = log.map(|event| (event.seq, message_id(event))).collect();
            assert_eq!(self.screen.log(id), log, "the screen is the log");
            for message in said {
                let status = self.screen.status.get(&message).copied().unwrap_or(MessageStatus::Accepted);
                assert!(status >= MessageStatus::Accepted, "{message} is {status:?}");
            }
        }
        assert!(self.rig.machine.outbox().is_empty() && self.rig.persisted.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_breaks_each_message_is_stored_once_in_order_and_the_screen_ends_as_the_log(
        seed: u8,
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut story = Story::begin(seed);
        for (n, step) in steps.into_iter().enumerate() {
            story.tell(step, n);
        }
        story.end();
    }

    #[test]
    fn the_same_seed_and_the_same_facts_give_the_same_outputs(
        seed: u8,
        steps in proptest::collection::vec(step(), 1..30),
    ) {
        let run = || {
            let mut story = Story::begin(seed);
            for (n, step) in steps.iter().copied().enumerate() {
                story.tell(step, n);
            }
            story.rig.outputs
        };
        prop_assert_eq!(run(), run());
    }
}
