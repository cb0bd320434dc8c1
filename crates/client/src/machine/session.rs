//! The session: what outlives connections, and what a welcome changes.

use super::{
    Event, Machine, Me, Output, Timer,
    input::{ConnectionId, Saved, SavedSession},
    lanes::Lanes,
    life::{Life, Online},
    output::Persist,
    round::Dial,
};
use duet_protocol::{Code, Limits, Resumed, Welcome, hello::capability};

/// What outlives connections.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// Shows the right to the session; secret.
    pub(crate) resume: Option<Vec<u8>>,
    pub(crate) epoch: u64,
    pub(crate) me: Option<Me>,
    pub(crate) limits: Option<Limits>,
    /// To add to the local clock to get the server's.
    pub(crate) clock_offset_ms: i64,
    /// When a question that the server answers with its time was sent last.
    pub(crate) asked_at_ms: u64,
    /// How long the last such answer took.
    pub(crate) round_trip_ms: u64,
    /// On how many disks the last acknowledged message was.
    pub(crate) replicas: Option<u8>,
    /// Whether the last welcome went on with a session.
    pub(crate) resumed: bool,
    /// A hello was sent and not answered yet.
    hello_open: bool,
    /// When a hello was sent while an earlier one was never answered.
    stray_hello_ms: Option<u64>,
}

/// For so long an abandoned hello may still reach the server and take the session from the connection in use.
const STRAY_HELLO_MS: u64 = 60_000;

impl Session {
    /// The session is over; who the user was and what the server's clock says stays known.
    pub(crate) fn forget(&mut self) {
        self.resume = None;
        self.resumed = false;
    }

    pub(crate) fn saved(&self, peers: &[String]) -> Option<SavedSession> {
        let resume = self.resume.clone()?;
        Some(SavedSession { resume, epoch: self.epoch, peers: peers.to_vec() })
    }

    pub(crate) fn hello_sent(&mut self, now_ms: u64) {
        if std::mem::replace(&mut self.hello_open, true) {
            self.stray_hello_ms = Some(now_ms);
        }
        self.asked_at_ms = now_ms;
    }

    /// A server has refused the hello: it will not take the session any more.
    pub(crate) fn hello_answered(&mut self) {
        self.hello_open = false;
    }

    /// Whether it may be an attempt of one's own, given up on the way, that took the session. Asked once: a second time it
    /// is somebody else.
    pub(crate) fn replaced_by_itself(&mut self, now_ms: u64) -> bool {
        self.stray_hello_ms.take().is_some_and(|at_ms| now_ms < at_ms + STRAY_HELLO_MS)
    }

    fn welcomed(&mut self, welcome: &Welcome, now_ms: u64) {
        self.hello_open = false;
        self.resume = Some(welcome.resume.clone());
        self.resumed = welcome.resumed == Resumed::Full;
        self.epoch = welcome.epoch;
        self.limits = Some(welcome.limits);
        self.me = Some(Me {
            tenant: welcome.tenant.clone(),
            user: welcome.user.clone(),
            name: welcome.name.clone(),
            role: welcome.role,
        });
        self.set_clock(welcome.server_time_ms, now_ms);
        // A welcome waits for the disk; only a pong shows how far away the server is.
        self.round_trip_ms = 0;
    }

    /// The server read its clock about half way between question and answer.
    pub(crate) fn set_clock(&mut self, server_ms: u64, now_ms: u64) {
        self.round_trip_ms = now_ms.saturating_sub(self.asked_at_ms);
        let read_at_ms = now_ms - now_ms.saturating_sub(self.asked_at_ms) / 2;
        let (server, now) = (i64::try_from(server_ms), i64::try_from(read_at_ms));
        if let (Ok(server), Ok(now)) = (server, now) {
            self.clock_offset_ms = server.saturating_sub(now);
        }
    }
}

impl Machine {
    /// Takes in what an earlier process left.
    pub(super) fn restore(&mut self, saved: Saved) {
        if let Some(session) = saved.session {
            self.session.resume = Some(session.resume);
            self.session.epoch = self.session.epoch.max(session.epoch);
            self.endpoints.set_peers(session.peers);
        }
        let mut entries = saved.outbox;
        entries.sort_by_key(|entry| (entry.order, entry.id));
        for entry in entries {
            self.restore_message(entry);
        }
        self.schedule_outbox();
    }

    /// The hello was accepted.
    pub(super) fn welcome(&mut self, connection: ConnectionId, welcome: &Welcome) {
        if welcome.epoch < self.session.epoch {
            let reason = "the node's reign is over";
            return self.drop_link(connection, Code::NOT_PRIMARY, reason);
        }
        if !duet_protocol::VERSIONS.contains(&welcome.version) {
            return self.drop_link(connection, Code::UNSUPPORTED_VERSION, "");
        }
        let Some(dial) = self.take_dial(connection) else { return };
        let previous = self.state();
        self.leave_old_link();
        let had_session = self.session.resume.is_some();
        self.session.welcomed(welcome, self.now_ms);
        self.tokens.accepted();
        self.endpoints.connected(&dial.endpoint, welcome.peers.clone());
        self.timers.clear_if(|timer| {
            matches!(timer, Timer::Attempt | Timer::Suspend | Timer::MoveAttempt | Timer::NextDial)
        });
        self.timers.set(Timer::Stable, self.now_ms + self.config.stable_after_ms);
        let traits = dial.traits.unwrap_or(super::LinkTraits { datagrams: false, keep_alive: false });
        self.life = Life::Connected(Box::new(Online {
            connection,
            endpoint: dial.endpoint,
            node: welcome.node.clone(),
            datagrams: traits.datagrams && welcome.capabilities & capability::DATAGRAMS != 0,
            keep_alive: traits.keep_alive,
            limits: welcome.limits,
            lanes: Lanes::new(&welcome.limits, self.config.streams_max),
            moving: None,
            heard_at_ms: self.now_ms,
            doubts: 0,
        }));
        self.persist_session();
        self.tell_state(previous, None, String::new(), None);
        if had_session && welcome.resumed == Resumed::None {
            let reason = "the session was lost; this is a new one".into();
            self.emit(Event::Discontinuity { conversation: None, reason });
        }
        self.schedule_ping();
        self.watch_quiet();
        self.schedule_token(welcome.token_expires_ms);
        self.resume_calls(welcome.resumed == Resumed::Full);
        self.resume_signals();
        self.schedule_outbox();
    }

    /// The winner of the round; the others of it are closed.
    fn take_dial(&mut self, connection: ConnectionId) -> Option<Dial> {
        let dial = self.life.round_mut()?.win(connection)?;
        self.take_round();
        Some(dial)
    }

    /// After a move: the old connection has served.
    fn leave_old_link(&mut self) {
        if let Some(online) = self.life.online() {
            let connection = online.connection;
            self.outputs.push_back(Output::Disconnect { connection, code: Code::TRANSPORT_CLOSED });
            self.forget_lanes();
            self.calls_lost();
        }
    }

    fn persist_session(&mut self) {
        let saved = self.session.saved(self.endpoints.peers());
        self.outputs.push_back(Output::Persist(Persist::Session(saved)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_taken_back_once_from_an_attempt_that_was_given_up_and_from_nobody_else() {
        let mut session = Session::default();
        session.hello_sent(1_000);
        assert!(!session.replaced_by_itself(1_001), "there was but one attempt");
        session.hello_sent(2_000);
        assert!(session.replaced_by_itself(2_001), "the first hello may have come last");
        assert!(!session.replaced_by_itself(2_002), "once");
        session.hello_sent(3_000);
        assert!(!session.replaced_by_itself(3_000 + STRAY_HELLO_MS), "an old hello is dead");
    }
}
