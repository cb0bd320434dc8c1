//! One session: hello, requests and their answers, one room.

use super::{Dialer, Ears, LaneOut, Way};
use crate::{Carrier, Durability, LoadError, Speaker, Tally};
use bytes::Bytes;
use duet_protocol::{
    ClientMessageId, Code, Command, ConversationId, Delivery, DeviceId, DisplayName, EventBody, Frame, Hello,
    Limits, VERSIONS,
    command::{Open, Ping, Publish, Receipt, Start},
    event::Content,
    signal::TypingSignal,
};
use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::Duration,
};
use tokio::{sync::oneshot, time};

/// One session of a fleet.
pub struct Session {
    number: u32,
    tally: Rc<Tally>,
    durability: Cell<Durability>,
    lively: Cell<bool>,
    user: String,
    way: RefCell<Option<Rc<Way>>>,
    control: RefCell<Option<Rc<LaneOut>>>,
    room: RefCell<Option<Rc<LaneOut>>>,
    conversation: OnceCell<ConversationId>,
    asked: RefCell<Vec<Asked>>,
    /// Own messages on their way: their ids, and when they were due.
    unacknowledged: RefCell<VecDeque<(ClientMessageId, u64)>>,
    resume: RefCell<Option<Vec<u8>>>,
    limits: Cell<Option<Limits>>,
    published: Cell<u64>,
    heard: Cell<u64>,
    /// The connection is expected to end.
    cutting: Cell<bool>,
    over: Cell<bool>,
    closed: Cell<Option<Code>>,
}

struct Asked {
    wanted: fn(&Delivery) -> bool,
    answer: oneshot::Sender<Delivery>,
}

/// Hears for one connection of a session; a session that came back no longer listens to its old one.
struct Ear {
    session: Rc<Session>,
    deaf: Cell<bool>,
}

impl Session {
    pub(crate) fn new(number: u32, user: String, tally: Rc<Tally>) -> Rc<Self> {
        Rc::new(Self {
            number,
            tally,
            durability: Cell::new(Durability::Ephemeral),
            lively: Cell::new(false),
            user,
            way: RefCell::default(),
            control: RefCell::default(),
            room: RefCell::default(),
            conversation: OnceCell::new(),
            asked: RefCell::default(),
            unacknowledged: RefCell::default(),
            resume: RefCell::default(),
            limits: Cell::new(None),
            published: Cell::new(0),
            heard: Cell::new(0),
            cutting: Cell::new(false),
            over: Cell::new(true),
            closed: Cell::new(None),
        })
    }

    /// The user's id.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whether it is connected.
    #[must_use]
    pub fn is_up(&self) -> bool {
        !self.over.get()
    }

    pub(crate) fn speaks(&self, durability: Durability, lively: bool) {
        self.durability.set(durability);
        self.lively.set(lively);
    }

    /// Connects, and says hello with a token or with what resumes the session.
    pub(crate) async fn connect(
        self: &Rc<Self>,
        dialer: &Dialer,
        carrier: Carrier,
        token: Option<String>,
    ) -> Result<(), LoadError> {
        let ear = Rc::new(Ear { session: Rc::clone(self), deaf: Cell::new(false) });
        let ears: Rc<dyn Ears> = ear.clone();
        self.closed.set(None);
        let way = Rc::new(dialer.dial(carrier, &ears).await?);
        let control = match &*way {
            Way::Quic(quic) => LaneOut::Quic(quic.open(0, ears).await?),
            Way::WebSocket(socket) => LaneOut::WebSocket(socket.lane(0)),
        };
        *self.control.borrow_mut() = Some(Rc::new(control));
        *self.way.borrow_mut() = Some(way);
        self.cutting.set(false);
        self.over.set(false);
        let text = |what: &str| DisplayName::parse(what).map_err(|error| LoadError::Plan(error.to_string()));
        let device = DeviceId::parse(&format!("load-{}", self.number));
        let hello = Hello {
            versions: VERSIONS.to_vec(),
            resume: self.resume.borrow().clone().filter(|_| token.is_none()),
            token,
            device: device.map_err(|error| LoadError::Plan(error.to_string()))?,
            sdk: text("duet-load/0.1")?,
            epoch_seen: 0,
            capabilities: 1,
        };
        let hello = Command::Hello(hello);
        match self.ask(&hello, "a hello", |delivery| matches!(delivery, Delivery::Welcome(_))).await {
            Ok(Delivery::Welcome(welcome)) => {
                *self.resume.borrow_mut() = Some(welcome.resume);
                self.limits.set(Some(welcome.limits));
                Ok(())
            }
            Ok(_) => Err(LoadError::Silence("a hello")),
            Err(error) => {
                ear.deaf.set(true);
                self.over.set(true);
                Err(error)
            }
        }
    }

    /// Sends a command on the control lane and waits for its answer, or for a refusal.
    pub(crate) async fn ask(
        &self,
        command: &Command,
        what: &'static str,
        wanted: fn(&Delivery) -> bool,
    ) -> Result<Delivery, LoadError> {
        let answered = self.expect(wanted);
        self.say(command);
        self.await_answer(answered, what).await
    }

    /// Says something on the control lane.
    pub(crate) fn say(&self, command: &Command) {
        if let Some(control) = &*self.control.borrow() {
            control.send(&command.encode());
        }
    }

    /// Opens a lane to the conversation, and waits until it is live.
    pub(crate) async fn enter(self: &Rc<Self>, conversation: ConversationId) -> Result<(), LoadError> {
        let way = self.way.borrow().clone().ok_or(LoadError::Silence("a connection"))?;
        let ears: Rc<dyn Ears> = Rc::new(Ear { session: Rc::clone(self), deaf: Cell::new(false) });
        let lane = Rc::new(way.lane(ROOM_LANE, ears).await?);
        let answered = self.expect(|delivery| matches!(delivery, Delivery::CaughtUp(_)));
        lane.send(&Command::Open(Open { conversation, start: Start::Latest(0) }).encode());
        self.await_answer(answered, "the opening of a conversation").await?;
        *self.room.borrow_mut() = Some(lane);
        // The same one when it comes back.
        let _ = self.conversation.set(conversation);
        Ok(())
    }

    /// Opens its conversation again, if it had one.
    pub(crate) async fn enter_again(self: &Rc<Self>) -> Result<(), LoadError> {
        match self.conversation.get().copied() {
            Some(conversation) => self.enter(conversation).await,
            None => Ok(()),
        }
    }

    /// Breaks the connection off.
    pub(crate) fn cut(&self) {
        self.cutting.set(true);
        self.over.set(true);
        self.room.take();
        self.control.take();
        if let Some(way) = self.way.take() {
            way.cut();
        }
    }

    /// On a WebSocket silence means death.
    pub(crate) fn ping(&self) {
        if self.is_up() && matches!(self.way.borrow().as_deref(), Some(Way::WebSocket(_))) {
            self.say(&Command::Ping(Ping { nonce: 0 }));
        }
    }

    fn expect(&self, wanted: fn(&Delivery) -> bool) -> oneshot::Receiver<Delivery> {
        let (answer, answered) = oneshot::channel();
        self.asked.borrow_mut().push(Asked { wanted, answer });
        answered
    }

    async fn await_answer(
        &self,
        answered: oneshot::Receiver<Delivery>,
        what: &'static str,
    ) -> Result<Delivery, LoadError> {
        let answer = time::timeout(ANSWER_TIMEOUT, answered).await.map_err(|_| LoadError::Silence(what))?;
        match answer {
            Ok(Delivery::Refused(refused)) => Err(LoadError::Refused { what, code: refused.code }),
            Ok(delivery) => Ok(delivery),
            // Dropped: the connection ended.
            Err(_) => Err(self.closed.get().map_or(LoadError::Silence(what), LoadError::Closed)),
        }
    }

    fn take_frame(&self, frame: &Frame) {
        let Ok(Some(delivery)) = Delivery::decode(frame) else { return };
        match delivery {
            Delivery::Ephemeral(message) => self.tally.heard(self.number, &message.content.body),
            Delivery::Event(event) => {
                if let Ok(Some(EventBody::Message(message))) = event.decode_body() {
                    self.tally.heard(self.number, &message.content.body);
                    self.confirm(event.seq);
                }
            }
            Delivery::Published(published) => self.take_acknowledgement(published.id),
            Delivery::Closing(closing) => {
                self.closed.set(Some(closing.code));
                self.over.set(true);
            }
            delivery => self.answer(delivery),
        }
    }

    fn answer(&self, delivery: Delivery) {
        let refused = matches!(delivery, Delivery::Refused(_));
        let mut asked = self.asked.borrow_mut();
        let place = asked.iter().position(|asked| refused || (asked.wanted)(&delivery));
        match place {
            // Who asked may have given up.
            Some(place) => drop(asked.remove(place).answer.send(delivery)),
            None if refused => self.tally.refused(),
            None => {}
        }
    }

    fn take_acknowledgement(&self, id: ClientMessageId) {
        let mut waiting = self.unacknowledged.borrow_mut();
        // Answers of one lane come in order; what is passed over was refused.
        while let Some((first, due_ns)) = waiting.pop_front() {
            if first == id {
                self.tally.acknowledged(due_ns);
                return;
            }
        }
    }

    /// A person confirms what is on the screen, not each line of it.
    fn confirm(&self, seq: u64) {
        let heard = self.heard.replace(self.heard.get() + 1);
        if self.lively.get() && heard.is_multiple_of(CONFIRM_EVERY) {
            let receipt = Command::Receipt(Receipt { received: seq, read: seq });
            if let Some(room) = &*self.room.borrow() {
                room.send(&receipt.encode());
            }
        }
    }

    fn end(&self) {
        if !self.over.replace(true) && !self.cutting.get() {
            self.tally.lost();
        }
        self.asked.borrow_mut().clear();
    }

    fn next_id(&self) -> ClientMessageId {
        let count = self.published.replace(self.published.get() + 1);
        let mut random = [0; 10];
        // The first two bytes hold the version, the third the variant (RFC 9562 §5.7).
        random[3..6].copy_from_slice(&count.to_be_bytes()[5..]);
        random[6..].copy_from_slice(&self.number.to_be_bytes());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        ClientMessageId::new(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), random)
    }
}

impl Speaker for Session {
    fn publish(&self, payload: &[u8]) {
        let Some(room) = self.room.borrow().clone() else { return };
        let id = self.next_id();
        let due_ns = payload.first_chunk().map_or(0, |head| u64::from_be_bytes(*head));
        let mut waiting = self.unacknowledged.borrow_mut();
        if waiting.len() == UNACKNOWLEDGED_MAX {
            waiting.pop_front();
        }
        waiting.push_back((id, due_ns));
        drop(waiting);
        if self.lively.get()
            && let (Some(way), Some(conversation)) = (&*self.way.borrow(), self.conversation.get())
        {
            let version = self.published.get();
            let typing = TypingSignal { conversation: *conversation, version, active: true };
            way.datagram(&Command::Typing(typing));
        }
        let content = Content { format: 2, body: Bytes::copy_from_slice(payload).into() };
        let durability = match self.durability.get() {
            Durability::Ephemeral => duet_protocol::command::Durability::Ephemeral,
            Durability::Accepted => duet_protocol::command::Durability::Accepted,
            Durability::Mirrored => duet_protocol::command::Durability::Mirrored,
        };
        room.send(&Command::Publish(Publish { id, content, reply_to: None, durability }).encode());
    }

    fn flush(&self) {
        if let Some(room) = &*self.room.borrow() {
            room.flush();
        }
    }

    fn waiting(&self) -> usize {
        self.room.borrow().as_ref().map_or(0, |room| room.waiting())
    }
}

impl Ears for Ear {
    fn heard(&self, _lane: u32, frame: &Frame) {
        if !self.deaf.get() {
            self.session.take_frame(frame);
        }
    }

    fn ended(&self) {
        if !self.deaf.get() && !self.session.cutting.get() {
            self.session.end();
        }
    }
}

/// The lane of the session's only conversation.
const ROOM_LANE: u32 = 1;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Own messages whose acknowledgement is waited for; older ones are forgotten.
const UNACKNOWLEDGED_MAX: usize = 4_096;
const CONFIRM_EVERY: u64 = 5;
