//! Where to try: the endpoint that a server named, then the last good one, its peers, the configured ones. Addresses
//! that gave no answer in the last round come last.

use super::hosts::Hosts;

/// The known endpoints and the order in which they are tried.
#[derive(Debug)]
pub(crate) struct Endpoints {
    configured: Vec<String>,
    hosts: Hosts,
    peers: Vec<String>,
    good: Option<String>,
    named: Option<String>,
    silent: Vec<String>,
    /// Rounds since the last good connection; each begins with another address.
    turn: usize,
}

/// Most peers that are remembered; a server that names more is not believed the rest.
const PEERS_MAX: usize = 16;

impl Endpoints {
    pub(crate) fn new(configured: Vec<String>, hosts: Hosts) -> Self {
        let (peers, silent) = (Vec::new(), Vec::new());
        Self { configured, hosts, peers, good: None, named: None, silent, turn: 0 }
    }

    /// All addresses in the order in which a round should try them; empty only when none is known at all.
    pub(crate) fn round(&mut self) -> Vec<String> {
        let mut order = self.order();
        let turn = self.turn % order.len().max(1);
        order.rotate_left(turn);
        self.turn += 1;
        order.sort_by_key(|endpoint| self.silent.contains(endpoint));
        if let Some(named) = self.named.take() {
            order.retain(|endpoint| *endpoint != named);
            order.insert(0, named);
        }
        order
    }

    /// All but `current`, one that was named first.
    pub(crate) fn others(&self, current: &str) -> Vec<String> {
        let mut order = self.order();
        order.retain(|endpoint| endpoint != current);
        order
    }

    /// A connection to `endpoint` stands, and these are its peers.
    pub(crate) fn connected(&mut self, endpoint: &str, peers: Vec<String>) {
        self.good = Some(endpoint.to_owned());
        self.turn = 0;
        self.silent.clear();
        self.set_peers(peers);
    }

    /// Remembers those that may be followed.
    pub(crate) fn set_peers(&mut self, mut peers: Vec<String>) {
        peers.truncate(PEERS_MAX);
        peers.retain(|peer| self.may_follow(peer));
        self.peers = peers;
    }

    /// A round led nowhere, and these gave no answer in it.
    pub(crate) fn round_failed(&mut self, silent: Vec<String>) {
        self.silent = silent;
    }

    /// Whether a server may name this address.
    pub(crate) fn may_follow(&self, endpoint: &str) -> bool {
        self.configured.iter().any(|known| known == endpoint) || self.hosts.cover(&self.configured, endpoint)
    }

    /// The server said where to go.
    pub(crate) fn name(&mut self, endpoint: Option<String>) {
        self.named = endpoint.filter(|endpoint| self.may_follow(endpoint));
    }

    /// The last good one said that it is the wrong one: others first.
    pub(crate) fn leave(&mut self) {
        if self.good.is_some() && self.turn == 0 {
            self.turn = 1;
        }
    }

    pub(crate) fn peers(&self) -> &[String] {
        &self.peers
    }

    /// Whether there is more than one address.
    pub(crate) fn are_several(&self) -> bool {
        self.order().len() > 1
    }

    fn order(&self) -> Vec<String> {
        let mut order: Vec<String> = Vec::new();
        for endpoint in self.good.iter().chain(&self.peers).chain(&self.configured) {
            if !order.contains(endpoint) {
                order.push(endpoint.clone());
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints() -> Endpoints {
        Endpoints::new(vec!["a:1".into(), "b:1".into()], Hosts::Related(vec![]))
    }

    #[test]
    fn the_named_endpoint_comes_first_then_the_last_good_one_its_peers_and_the_rest() {
        let mut endpoints = endpoints();
        assert_eq!(endpoints.round(), ["a:1", "b:1"]);
        assert_eq!(endpoints.round(), ["b:1", "a:1"]);
        endpoints.connected("b:1", vec!["c:1".into(), "a:1".into(), "evil.org:1".into()]);
        endpoints.name(Some("z:1".into()));
        assert_eq!(endpoints.round(), ["z:1", "b:1", "c:1", "a:1"]);
        assert_eq!(endpoints.round(), ["c:1", "a:1", "b:1"]);
        assert_eq!(endpoints.others("b:1"), ["c:1", "a:1"]);
    }

    #[test]
    fn a_node_that_sends_away_is_not_the_next_one_tried_and_a_silent_one_comes_last() {
        let mut endpoints = endpoints();
        endpoints.connected("a:1", Vec::new());
        endpoints.leave();
        assert_eq!(endpoints.round(), ["b:1", "a:1"]);
        endpoints.round_failed(vec!["a:1".into()]);
        assert_eq!(endpoints.round(), ["b:1", "a:1"]);
        assert_eq!(endpoints.round(), ["b:1", "a:1"]);
    }

    #[test]
    fn an_address_outside_of_what_the_application_trusts_is_not_followed() {
        let mut endpoints = endpoints();
        endpoints.name(Some("evil.org:1".into()));
        assert_eq!(endpoints.round(), ["a:1", "b:1"]);
    }
}
