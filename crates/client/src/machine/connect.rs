//! Getting connected: from the wish to the server's welcome.

use super::{
    Event, Machine, Output, State, StateChange, Timer, TokenReason,
    input::{ConnectionId, LaneId, LinkEvent},
    life::{Attempt, Life},
    output::Persist,
};
use duet_protocol::{Code, Command, Delivery, command::Goodbye};

impl Machine {
    pub(super) fn connect(&mut self) {
        match self.life {
            Life::Disconnected | Life::Closed | Life::Failed => {
                self.tokens.forget_refusal();
                self.backoff.reset();
                let previous = self.state();
                self.life = Life::Connecting(Attempt::Waiting);
                self.tell_state(previous, None, String::new(), None);
                self.start_attempt();
            }
            _ => self.hurry(),
        }
    }

    /// Ends the session, from any state.
    pub(super) fn close(&mut self) {
        if matches!(self.life, Life::Closed) {
            return;
        }
        let previous = self.state();
        self.leave_connection(Code::CLOSED_BY_USER, true);
        self.life = Life::Closed;
        self.timers.clear_if(|timer| *timer != Timer::Outbox);
        self.session.forget();
        self.tokens.forget();
        self.outputs.push_back(Output::Persist(Persist::Session(None)));
        self.fail_calls(Code::CLOSED_BY_USER);
        let code = Code::CLOSED_BY_USER;
        self.tell_state(previous, Some(code), code.sentence().into(), None);
    }

    /// A wait ends now: the network is back, or the application asks again.
    pub(super) fn hurry(&mut self) {
        if matches!(self.life.attempt_mut(), Some(Attempt::Waiting)) {
            self.start_attempt();
        }
    }

    pub(super) fn network_changed(&mut self) {
        if let Some(online) = self.life.online() {
            self.outputs.push_back(Output::Rebind { connection: online.connection });
            self.probe();
        } else if self.take_round().is_some() {
            // What was begun on the old network will most likely never end.
            self.start_attempt();
        } else {
            self.hurry();
        }
    }

    /// Begins an attempt: with a token if one is needed, else at once.
    pub(super) fn start_attempt(&mut self) {
        self.timers.clear(&Timer::Retry);
        let ready = self.tokens.is_usable(self.server_now_ms())
            || (self.session.resume.is_some() && !self.tokens.was_refused());
        if ready {
            return self.dial();
        }
        let Some(attempt) = self.life.attempt_mut() else { return };
        *attempt = Attempt::Token;
        let reason = if self.tokens.was_refused() { TokenReason::Revoked } else { TokenReason::Connect };
        self.ask_token(reason);
    }

    /// What a link reports. Connections that were given up have no say.
    pub(super) fn link(&mut self, connection: ConnectionId, event: LinkEvent) {
        let dialing = self.life.dial(connection).is_some();
        if !dialing && !self.life.is_online(connection) {
            return;
        }
        match event {
            LinkEvent::Connected(traits) if dialing => self.carrier_stands(connection, traits),
            LinkEvent::Connected(_) => {}
            LinkEvent::Frame(lane, frame) => match Delivery::decode(&frame) {
                Ok(Some(delivery)) => self.delivered(connection, lane, delivery),
                Ok(None) => {}
                Err(error) => self.misbehaved(connection, &error.to_string()),
            },
            LinkEvent::Delivery(lane, delivery) => self.delivered(connection, lane, delivery),
            LinkEvent::Datagram(bytes) => self.datagram(connection, bytes),
            LinkEvent::LaneClosed(LaneId::CONTROL, code) => {
                let code = code.filter(|code| code.0 >= 3000).unwrap_or(Code::TRANSPORT_CLOSED);
                self.drop_link(connection, code, "the control stream ended");
            }
            LinkEvent::LaneClosed(lane, code) if !dialing => self.lane_closed(lane, code),
            LinkEvent::LaneClosed(..) => {}
            LinkEvent::Disconnected { code, reason } => self.link_lost(connection, code, &reason, 0, None),
        }
    }

    fn misbehaved(&mut self, connection: ConnectionId, what: &str) {
        self.drop_link(connection, Code::PROTOCOL_ERROR, what);
    }

    /// The client gives a connection up.
    pub(super) fn drop_link(&mut self, connection: ConnectionId, code: Code, reason: &str) {
        self.outputs.push_back(Output::Disconnect { connection, code });
        // The server's defect, not the client's: another try may meet a better server.
        let code = if code == Code::PROTOCOL_ERROR { Code::TRANSPORT_CLOSED } else { code };
        self.link_lost(connection, code, reason, 0, None);
    }

    /// Takes leave of whatever connection there is. `last`: the user is not expected back.
    pub(super) fn leave_connection(&mut self, code: Code, last: bool) {
        if let Some(online) = self.life.online_mut() {
            let connection = online.connection;
            let moving = online.moving.take();
            if last {
                let command = Command::Goodbye(Goodbye {});
                self.outputs.push_back(Output::Send { connection, lane: LaneId::CONTROL, command });
            }
            self.outputs.push_back(Output::Disconnect { connection, code });
            if let Some(round) = moving {
                self.close_dials(&round);
            }
            self.went_offline();
        } else {
            self.take_round();
        }
    }

    /// Tells that the state is now what it is.
    pub(super) fn tell_state(
        &mut self,
        previous: State,
        code: Option<Code>,
        reason: String,
        retry_in_ms: Option<u64>,
    ) {
        let online = self.life.online();
        let change = StateChange {
            previous,
            current: self.life.state(),
            code,
            reason,
            retry_in_ms,
            endpoint: online.map(|online| online.endpoint.clone()),
            node: online.map(|online| online.node.clone()),
            epoch: self.session.epoch,
            resumed: online.is_some() && self.session.resumed,
        };
        self.emit(Event::StateChanged(change));
    }
}
