//! Where to try next: the endpoint that a server named, then the last good one, its peers, the configured ones.

/// The known endpoints and the order in which they are tried.
#[derive(Debug)]
pub(crate) struct Endpoints {
    configured: Vec<String>,
    peers: Vec<String>,
    good: Option<String>,
    named: Option<String>,
    /// Attempts since the last good connection; walks along the list.
    turn: usize,
}

/// Most peers that are remembered; a server that names more is not believed the rest.
const PEERS_MAX: usize = 16;

impl Endpoints {
    pub(crate) fn new(configured: Vec<String>) -> Self {
        Self { configured, peers: Vec::new(), good: None, named: None, turn: 0 }
    }

    /// The next one to try; `None` only when none is known at all.
    pub(crate) fn next(&mut self) -> Option<String> {
        if let Some(named) = self.named.take() {
            return Some(named);
        }
        let order = self.order();
        let chosen = order.get(self.turn % order.len().max(1)).cloned();
        self.turn += 1;
        chosen
    }

    /// One other than `current`, for leaving it.
    pub(crate) fn other(&self, current: &str) -> Option<String> {
        self.order().into_iter().find(|endpoint| endpoint != current)
    }

    /// A connection to `endpoint` stands, and these are its peers.
    pub(crate) fn connected(&mut self, endpoint: &str, peers: Vec<String>) {
        self.good = Some(endpoint.to_owned());
        self.turn = 0;
        self.set_peers(peers);
    }

    pub(crate) fn set_peers(&mut self, mut peers: Vec<String>) {
        peers.truncate(PEERS_MAX);
        self.peers = peers;
    }

    /// The server said where to go.
    pub(crate) fn name(&mut self, endpoint: Option<String>) {
        self.named = endpoint.filter(|endpoint| !endpoint.is_empty());
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

    #[test]
    fn the_named_endpoint_comes_first_then_the_last_good_one_its_peers_and_the_rest_in_turn() {
        let mut endpoints = Endpoints::new(vec!["a".into(), "b".into()]);
        assert_eq!(endpoints.next().as_deref(), Some("a"));
        endpoints.connected("b", vec!["c".into(), "a".into()]);
        endpoints.name(Some("z".into()));
        let tried: Vec<_> = (0..5).filter_map(|_| endpoints.next()).collect();
        assert_eq!(tried, ["z", "b", "c", "a", "b"]);
        assert_eq!(endpoints.other("b").as_deref(), Some("c"));
    }

    #[test]
    fn a_node_that_sends_away_is_not_the_next_one_tried() {
        let mut endpoints = Endpoints::new(vec!["a".into(), "b".into()]);
        endpoints.connected("a", Vec::new());
        endpoints.leave();
        assert_eq!(endpoints.next().as_deref(), Some("b"));
    }
}
