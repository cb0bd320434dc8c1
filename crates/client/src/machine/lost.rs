//! Losing a connection: what each code asks for, when to try again, how a silent server is noticed.

use super::{
    ClientError, Event, Machine, Output, Timer,
    backoff::Proof,
    conversation::Lane,
    input::{ConnectionId, LaneId},
    life::{Attempt, Life},
    output::Persist,
    round::{Outcome, Purpose, is_redirect},
};
use duet_protocol::{
    Code, Command,
    command::Ping,
    delivery::{Closing, Draining},
};

/// How long a probe may stay unanswered where there is another node, which is asked meanwhile.
const DOUBTED_MS: u64 = 5_000;

impl Machine {
    /// The connection in use, or the one being made, is no more.
    pub(super) fn link_lost(
        &mut self,
        connection: ConnectionId,
        code: Code,
        reason: &str,
        retry_after_ms: u32,
        endpoint: Option<String>,
    ) {
        if self.life.dial(connection).is_some() {
            let outcome = Outcome { code, reason: reason.into(), retry_after_ms };
            return self.dial_lost(connection, outcome, endpoint);
        }
        if (code == Code::REPLACED || !code.is_terminal())
            && self.go_on_with_move(code, reason, endpoint.as_deref())
        {
            return;
        }
        if code == Code::REPLACED && self.session.replaced_by_itself(self.now_ms) {
            return self.lost(Code::TRANSPORT_CLOSED, reason, retry_after_ms);
        }
        if code == Code::INVALID_TOKEN && self.tokens.refuse() {
            self.went_offline();
            let delay = self.backoff.redirect(&self.config, &mut self.entropy, retry_after_ms);
            return self.wait_to_retry(code, reason, delay);
        }
        if code.is_terminal() {
            return self.fail(&ClientError { code, message: reason.into(), retry_after_ms });
        }
        if is_redirect(code) {
            self.endpoints.leave();
            self.endpoints.name(endpoint);
            let delay = self.backoff.redirect(&self.config, &mut self.entropy, retry_after_ms);
            self.went_offline();
            return self.wait_to_retry(code, reason, delay);
        }
        self.lost(code, reason, retry_after_ms);
    }

    /// Tries again after a drawn wait.
    pub(super) fn lost(&mut self, code: Code, reason: &str, retry_after_ms: u32) {
        // A pair needs about two seconds to fail over: its clients ask often at first, unless it has asked for rest.
        let quick =
            self.endpoints.are_several() && (is_redirect(code) || code.0 < 1_000 || code == Code::SHUTDOWN);
        let delay = self.backoff.delay(&self.config, &mut self.entropy, retry_after_ms, quick);
        self.went_offline();
        self.wait_to_retry(code, reason, delay);
    }

    pub(super) fn wait_to_retry(&mut self, code: Code, reason: &str, delay_ms: u64) {
        let previous = self.state();
        self.life = match std::mem::replace(&mut self.life, Life::Disconnected) {
            Life::Connecting(_) => Life::Connecting(Attempt::Waiting),
            Life::Connected(_) | Life::Reconnecting(_) => Life::Reconnecting(Attempt::Waiting),
            Life::Suspended(_) => Life::Suspended(Attempt::Waiting),
            other => {
                self.life = other;
                return;
            }
        };
        self.tokens.attempt_over();
        self.timers.set(Timer::Retry, self.now_ms + delay_ms);
        let reason = if reason.is_empty() { code.sentence() } else { reason };
        self.tell_state(previous, Some(code), reason.into(), Some(delay_ms));
    }

    /// Gives up for good.
    pub(super) fn fail(&mut self, error: &ClientError) {
        let previous = self.state();
        self.leave_connection(error.code, false);
        self.life = Life::Failed;
        self.timers.clear_if(|timer| *timer != Timer::Outbox);
        self.session.forget();
        self.tokens.forget();
        self.outputs.push_back(Output::Persist(Persist::Session(None)));
        self.fail_calls(error.code);
        self.tell_state(previous, Some(error.code), error.message.clone(), None);
    }

    /// The resume window is over.
    pub(super) fn suspend(&mut self) {
        if let Life::Reconnecting(_) = self.life {
            let previous = self.state();
            if let Life::Reconnecting(attempt) = std::mem::replace(&mut self.life, Life::Disconnected) {
                self.life = Life::Suspended(attempt);
            }
            self.tell_state(
                previous,
                Some(Code::TRANSPORT_CLOSED),
                "the session can no longer be resumed".into(),
                None,
            );
        }
    }

    /// Everything that lived on the connection ends with it. Harmless when there was none.
    pub(super) fn went_offline(&mut self) {
        let Some(online) = self.life.online_mut() else { return };
        let window_ms = u64::from(online.limits.resume_window_ms);
        if let Some(round) = online.moving.take() {
            self.close_dials(&round);
        }
        self.timers.set(Timer::Suspend, self.now_ms + window_ms);
        self.forget_lanes();
        self.calls_lost();
    }

    /// The lanes are gone, with the connection or by moving to another one.
    pub(super) fn forget_lanes(&mut self) {
        self.timers.clear_if(|timer| {
            matches!(
                timer,
                Timer::Attempt
                    | Timer::Retry
                    | Timer::Stable
                    | Timer::Ping
                    | Timer::Silence
                    | Timer::Quiet
                    | Timer::Doubt
                    | Timer::Move
                    | Timer::MoveAttempt
                    | Timer::TokenRefresh
                    | Timer::Publish(_)
                    | Timer::Resend(_)
                    | Timer::Reopen(_)
                    | Timer::Receipt(_)
            )
        });
        let ids: Vec<_> = self.conversations.keys().copied().collect();
        for id in ids {
            self.outbox.lane_lost(id);
            if let Some(conversation) = self.conversations.get_mut(&id) {
                conversation.lane = Lane::Closed;
                conversation.tries = 0;
            }
            self.new_typing_versions(id);
        }
    }

    /// The server says good-bye.
    pub(super) fn closing(&mut self, connection: ConnectionId, closing: Closing) {
        self.outputs.push_back(Output::Disconnect { connection, code: Code::TRANSPORT_CLOSED });
        let Closing { code, reason, retry_after_ms, endpoint } = closing;
        self.link_lost(connection, code, &reason, retry_after_ms, endpoint);
    }

    /// The node will stop: move when the slot comes, if there is anywhere to go.
    pub(super) fn draining(&mut self, draining: Draining) {
        let Some(online) = self.life.online() else { return };
        let named = draining.endpoint.filter(|endpoint| self.endpoints.may_follow(endpoint));
        if named.is_some() || !self.endpoints.others(&online.endpoint).is_empty() {
            self.endpoints.name(named);
            self.timers.set(Timer::Move, self.now_ms + u64::from(draining.move_after_ms));
        }
    }

    /// Makes the new connection before the old one breaks.
    pub(super) fn move_away(&mut self) {
        let Some(online) = self.life.online() else { return };
        let current = online.endpoint.clone();
        if online.moving.as_ref().is_some_and(|round| round.purpose == Purpose::Doubt) {
            self.take_round();
        }
        let mut addresses = self.endpoints.round();
        addresses.retain(|address| *address != current);
        self.dial_beside(Purpose::Leave, addresses, Some(current));
    }

    /// The old connection broke while another one is being made: that is the attempt now.
    fn go_on_with_move(&mut self, code: Code, reason: &str, endpoint: Option<&str>) -> bool {
        let Some(mut round) = self.life.online_mut().and_then(|online| online.moving.take()) else {
            return false;
        };
        if let Some(endpoint) = endpoint.filter(|endpoint| self.endpoints.may_follow(endpoint)) {
            round.name(endpoint.into());
        }
        round.purpose = Purpose::Connect;
        let previous = self.state();
        self.went_offline();
        self.timers.set(Timer::Attempt, self.now_ms + self.round_ms(2));
        self.timers.set(Timer::NextDial, self.now_ms + self.config.next_address_ms);
        self.life = Life::Reconnecting(Attempt::Dialing(round));
        self.tell_state(previous, Some(code), reason.into(), Some(0));
        true
    }

    /// Asks the server for a sign of life, with a deadline.
    pub(super) fn probe(&mut self) {
        if self.life.online().is_some() && !self.timers.is_set(&Timer::Silence) {
            let several = self.has_other_node();
            let timeout_ms = if several { DOUBTED_MS } else { u64::MAX }.min(self.config.probe_timeout_ms);
            self.timers.set(Timer::Silence, self.now_ms + timeout_ms);
            self.expect_life();
            self.send_ping();
        }
    }

    /// A carrier that does not keep itself alive is due for a ping, which is a probe as well.
    pub(super) fn ping(&mut self) {
        self.probe();
        self.schedule_ping();
    }

    pub(super) fn schedule_ping(&mut self) {
        let Some(online) = self.life.online().filter(|online| !online.keep_alive) else { return };
        let every_ms = u64::from(online.limits.ping_every_ms).max(1_000);
        self.timers.set(Timer::Ping, self.now_ms + every_ms);
    }

    /// The probe was not answered.
    pub(super) fn silence(&mut self) {
        if let Some(online) = self.life.online() {
            self.drop_link(online.connection, Code::TIMEOUT, "the server fell silent");
        }
    }

    /// The server gave a sign of life.
    pub(super) fn heard(&mut self) {
        self.doubt_is_over();
        if self.timers.is_set(&Timer::Silence) {
            self.timers.clear(&Timer::Silence);
            self.watch_publishes();
        }
    }

    /// The node in use gave a proof that it serves: what failed before it is forgotten. As long as messages wait, only an
    /// acknowledgement counts, since it may be one of them that no server survives.
    pub(super) fn served(&mut self, proof: Proof) {
        if self.backoff.is_fresh() || self.life.online().is_none() {
            return;
        }
        if proof == Proof::Acknowledged || !self.outbox.waits() {
            self.backoff.reset();
        }
    }

    fn send_ping(&mut self) {
        let nonce = self.entropy.next();
        self.session.asked_at_ms = self.now_ms;
        self.control(Command::Ping(Ping { nonce }));
    }

    /// Sends on lane 0, if there is one.
    pub(super) fn control(&mut self, command: Command) {
        if let Some(online) = self.life.online() {
            let connection = online.connection;
            self.outputs.push_back(Output::Send { connection, lane: LaneId::CONTROL, command });
        }
    }

    pub(super) fn report(&mut self, error: ClientError) {
        self.emit(Event::Error(error));
    }
}
