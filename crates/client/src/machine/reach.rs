//! Reaching a node: rounds through the known addresses, whether there is no connection or another one is wanted.
//! Waiting between rounds, and what a code means for a connection in use, is in `lost`.

use super::{
    ClientError, Machine, Output, Timer,
    input::{ConnectionId, LinkTraits},
    life::Attempt,
    round::{Dial, Outcome, Purpose, Round, is_redirect},
};
use duet_protocol::{Code, Command, Hello, hello::capability};

/// Longest time for one round while it is not known whether anybody is there, doubled from round to round; with one
/// address it is `connect_timeout_ms` at once.
const ROUND_MS: u64 = 2_000;
/// How long a node that took the hello may think before another carrier is made ready beside it.
const GREETED_MS: u64 = 1_000;

impl Machine {
    /// Begins a round where there is no connection.
    pub(super) fn dial(&mut self) {
        let addresses = self.endpoints.round();
        if addresses.is_empty() {
            return self.lost(Code::UNREACHABLE, "no endpoint is configured", 0);
        }
        let round_ms = self.round_ms(addresses.len());
        let Some(attempt) = self.life.attempt_mut() else { return };
        *attempt = Attempt::Dialing(Round::new(Purpose::Connect, addresses, None));
        self.timers.set(Timer::Attempt, self.now_ms + round_ms);
        self.dial_next();
    }

    /// Begins a round beside the connection in use.
    pub(super) fn dial_beside(&mut self, purpose: Purpose, addresses: Vec<String>, avoid: Option<String>) {
        let Some(online) = self.life.online_mut().filter(|online| online.moving.is_none()) else { return };
        if addresses.is_empty() {
            return;
        }
        online.moving = Some(Round::new(purpose, addresses, avoid));
        self.timers.set(Timer::MoveAttempt, self.now_ms + self.config.connect_timeout_ms.min(2 * ROUND_MS));
        self.dial_next();
    }

    /// The next address of the round has its turn, beside those that are under way.
    fn dial_next(&mut self) {
        let Some(endpoint) = self.life.round_mut().and_then(Round::next_address) else { return };
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        self.outputs.push_back(Output::Connect { connection, endpoint: endpoint.clone() });
        let begun_ms = self.now_ms;
        if let Some(round) = self.life.round_mut() {
            round.begin(Dial { connection, endpoint, traits: None, begun_ms });
        }
        self.timers.set(Timer::NextDial, self.now_ms + self.config.next_address_ms);
    }

    /// The last dial has had its head start.
    pub(super) fn next_dial(&mut self) {
        let patience_ms = self.config.next_address_ms;
        let Some(round) = self.life.round_mut() else { return };
        if round.has_spare() {
            return;
        }
        if round.has_more() {
            return self.dial_next();
        }
        match round.hopeless_at(patience_ms) {
            Some(at_ms) if at_ms <= self.now_ms => self.round_over(),
            Some(at_ms) => self.timers.set(Timer::NextDial, at_ms),
            None => {}
        }
    }

    /// A carrier of the round stands.
    pub(super) fn carrier_stands(&mut self, connection: ConnectionId, traits: LinkTraits) {
        if let Some(round) = self.life.round_mut() {
            round.stands(connection, traits);
        }
        self.greet_next();
    }

    fn greet_next(&mut self) {
        let Some((connection, traits)) = self.life.round_mut().and_then(Round::greet) else { return };
        let hello = Hello {
            versions: duet_protocol::VERSIONS.to_vec(),
            token: self.tokens.held(self.server_now_ms()),
            resume: self.session.resume.clone(),
            device: self.config.device.clone(),
            sdk: self.config.sdk.clone(),
            epoch_seen: self.session.epoch,
            capabilities: ASKED | if traits.datagrams { capability::DATAGRAMS } else { 0 },
        };
        self.session.hello_sent(self.now_ms);
        self.timers.set(Timer::NextDial, self.now_ms + GREETED_MS);
        let command = Command::Hello(hello);
        self.outputs.push_back(Output::Send { connection, lane: super::LaneId::CONTROL, command });
    }

    /// One dial of the round ended; the round goes on if there is anything left in it.
    pub(super) fn dial_lost(&mut self, connection: ConnectionId, outcome: Outcome, endpoint: Option<String>) {
        let Outcome { code, .. } = outcome;
        let endpoint = endpoint.filter(|endpoint| self.endpoints.may_follow(endpoint));
        let Some(round) = self.life.round_mut() else { return };
        let purpose = round.purpose;
        if round.lost(connection, outcome.clone()) && code.0 >= 1_000 {
            self.session.hello_answered();
        }
        if code.is_terminal() && !(code == Code::REPLACED && self.session.replaced_by_itself(self.now_ms)) {
            return match purpose {
                Purpose::Connect => self.attempt_refused(outcome),
                // The connection in use is none the worse for it.
                Purpose::Leave | Purpose::Doubt => self.round_over(),
            };
        }
        let patience_ms = self.config.next_address_ms;
        let Some(round) = self.life.round_mut() else { return };
        if let (true, Some(endpoint)) = (is_redirect(code), endpoint) {
            round.name(endpoint);
        }
        if round.awaits_welcome() {
            return;
        }
        if round.has_spare() {
            return self.greet_next();
        }
        if round.has_more() {
            return self.dial_next();
        }
        match round.hopeless_at(patience_ms) {
            _ if round.is_over() => self.round_over(),
            Some(at_ms) => self.timers.set(Timer::NextDial, at_ms.max(self.now_ms)),
            None => {}
        }
    }

    /// The round took too long. A spare that stands beside a node that keeps silent gets its turn.
    pub(super) fn round_expired(&mut self) {
        let Some(round) = self.life.round_mut() else { return };
        let Some(greeted) = round.greeted().filter(|_| round.has_spare()) else { return self.round_over() };
        let timer = if round.purpose == Purpose::Connect { Timer::Attempt } else { Timer::MoveAttempt };
        self.timers.set(timer, self.now_ms + ROUND_MS);
        self.outputs.push_back(Output::Disconnect { connection: greeted, code: Code::TIMEOUT });
        let reason = "no welcome in time".into();
        self.dial_lost(greeted, Outcome { code: Code::TIMEOUT, reason, retry_after_ms: 0 }, None);
    }

    /// Every address had its turn.
    fn round_over(&mut self) {
        let Some(round) = self.take_round() else { return };
        let purpose = round.purpose;
        let (outcome, silent) = round.end();
        self.endpoints.round_failed(silent);
        match purpose {
            Purpose::Connect => self.lost(outcome.code, &outcome.reason, outcome.retry_after_ms),
            Purpose::Leave => {}
            Purpose::Doubt => self.doubt_on(outcome.retry_after_ms),
        }
    }

    /// A node has said no, and every other would say the same.
    fn attempt_refused(&mut self, outcome: Outcome) {
        self.take_round();
        let Outcome { code, reason, retry_after_ms } = outcome;
        if code == Code::INVALID_TOKEN && self.tokens.refuse() {
            let delay = self.backoff.redirect(&self.config, &mut self.entropy, retry_after_ms);
            return self.wait_to_retry(code, &reason, delay);
        }
        self.fail(&ClientError { code, message: reason, retry_after_ms });
    }

    /// Ends the round: what is still under way in it is closed, and never heard of again.
    pub(super) fn take_round(&mut self) -> Option<Round> {
        let round = self.life.take_round()?;
        self.close_dials(&round);
        Some(round)
    }

    pub(super) fn close_dials(&mut self, round: &Round) {
        for connection in round.connections() {
            self.outputs.push_back(Output::Disconnect { connection, code: Code::TRANSPORT_CLOSED });
        }
        for timer in [Timer::Attempt, Timer::MoveAttempt, Timer::NextDial] {
            self.timers.clear(&timer);
        }
    }

    pub(super) fn round_ms(&self, addresses: usize) -> u64 {
        let longest_ms = self.config.connect_timeout_ms;
        if addresses < 2 {
            return longest_ms;
        }
        let rounds = self.backoff.tries().min(16);
        ROUND_MS.saturating_mul(1 << rounds).min(longest_ms)
    }
}

/// What this client understands on every carrier.
const ASKED: u64 = capability::DEFLATE | capability::AMENDMENTS | capability::CALLS | capability::BROADCASTS;
