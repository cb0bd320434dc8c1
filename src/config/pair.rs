//! A node's place in its pair: the keys of `[pair]`. Without `pair.side` a node stands alone.

use super::{ConfigError, Place, check::Ask, resolve};
use crate::{
    core::{ClusterId, Policy, Side},
    peer::{IdentityFiles, parse_cluster},
};
use std::{net::SocketAddr, path::PathBuf};

/// A node's place in its pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Which of the two.
    pub side: Side,
    /// Which pair.
    pub cluster: ClusterId,
    /// Where to listen for the peer, UDP.
    pub listen: SocketAddr,
    /// Where the peer listens, `host:port`.
    pub peer: String,
    /// Certificates of the pair's own authority.
    pub identity: IdentityFiles,
    /// Keys that both nodes share, so that a client is known to both.
    pub shared_key_file: Option<PathBuf>,
    /// Where clients reach node a and node b.
    pub client_endpoints: [String; 2],
    /// What to do when the peer is silent.
    pub policy: Policy,
    /// How fast a snapshot is sent to the peer, bytes a second.
    pub snapshot_bytes_per_s: u64,
}

impl Pair {
    /// Where clients reach the other node.
    #[must_use]
    pub fn peer_endpoint(&self) -> &str {
        match self.side {
            Side::A => &self.client_endpoints[1],
            Side::B => &self.client_endpoints[0],
        }
    }
}

impl Ask<'_> {
    pub(super) fn pair(&mut self) -> Result<Option<Pair>, ConfigError> {
        let side = self.parsed("pair.side", "a or b", |text| match text {
            "" => Some(None),
            "a" => Some(Some(Side::A)),
            "b" => Some(Some(Side::B)),
            _ => None,
        })?;
        let cluster = self.parsed("pair.cluster", "the id that `duet pair init` printed", |text| {
            if text.is_empty() { Some(None) } else { parse_cluster(text).map(Some) }
        })?;
        let listen = self.parsed("pair.listen", "an IP address and a port, as in [::]:4434", |text| {
            text.parse::<SocketAddr>().ok()
        })?;
        let (peer, peer_place) = self.text("pair.peer")?;
        let ca = self.file("pair.ca_file", side.is_some())?;
        let certificate = self.file("pair.certificate_file", side.is_some())?;
        let key = self.file("pair.key_file", side.is_some())?;
        let shared_key = self.file("pair.shared_key_file", false)?;
        let rule = "two addresses `host:port`, of node a and of node b";
        let (clients, setting) =
            self.list("pair.client_endpoints", rule, |text| is_endpoint(text).then(|| text.to_owned()))?;
        let policy = self.parsed("pair.policy", "solo or block", |text| match text {
            "solo" => Some(Policy::Solo),
            "block" => Some(Policy::Block),
            _ => None,
        })?;
        let snapshot_mib: u64 = self.number("pair.snapshot_mib_per_s", 1..=10_000)?;
        // With a side each of the files was required above.
        let (Some(side), Some(ca), Some(certificate), Some(key)) = (side, ca, certificate, key) else {
            return Ok(None);
        };
        let missing = |key: &str, place: &Place, rule: &str| {
            Err(ConfigError::new(key, place.clone(), format!("is required on a node of a pair: {rule}")))
        };
        let Some(cluster) = cluster else {
            return missing("pair.cluster", &Place::Default, "the id that `duet pair init` printed");
        };
        if !is_endpoint(&peer) {
            return missing("pair.peer", &peer_place, "where the peer listens, as in b.example.org:4434");
        }
        let Ok(client_endpoints) = <[String; 2]>::try_from(clients) else {
            return missing("pair.client_endpoints", &setting.place, rule);
        };
        Ok(Some(Pair {
            side,
            cluster,
            listen,
            peer,
            identity: IdentityFiles { ca, certificate, key },
            shared_key_file: shared_key,
            client_endpoints,
            policy,
            snapshot_bytes_per_s: snapshot_mib << 20,
        }))
    }

    fn file(&mut self, name: &'static str, required: bool) -> Result<Option<PathBuf>, ConfigError> {
        let (path, place) = self.text(name)?;
        if path.is_empty() && required {
            let rule = "is required on a node of a pair; `duet pair init` makes the files".to_owned();
            return Err(ConfigError::new(name, place, rule));
        }
        Ok((!path.is_empty()).then(|| resolve(&path, &place)))
    }
}

/// Whether this names a host and a port, as in `a.example.org:4433`.
#[must_use]
pub fn is_endpoint(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0))
}
