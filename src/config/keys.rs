//! Every key of `duet.toml`, with its default and what it means. The documentation's table and `--help` are compared with
//! this list, and a key that is not in it is refused.

/// A documented key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its path, as in `limits.lanes_max`. In the environment: `DUET_LIMITS_LANES_MAX`.
    pub name: &'static str,
    /// What holds when nobody sets it, in the form of the environment; empty for nothing.
    pub default: &'static str,
    /// What it is good for.
    pub about: &'static str,
}

impl Key {
    /// The key of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// The name of the key's variable in the environment.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("DUET_{}", self.name.replace('.', "_").to_ascii_uppercase())
    }
}

const fn key(name: &'static str, default: &'static str, about: &'static str) -> Key {
    Key { name, default, about }
}

/// All keys but those of `[[tenant]]`.
pub const KEYS: &[Key] = &[
    key("node", "duet-1", "The node's name, for people: 1 to 128 bytes."),
    key("data_dir", "./duet-data", "Where everything durable lies; one process at a time."),
    key(
        "listen.clients",
        "0.0.0.0:4433,[::]:4433",
        "Addresses for clients, UDP and TCP alike. Port 0 picks a free one.",
    ),
    key("listen.admin", "127.0.0.1:9433", "Address of health and metrics; plain HTTP, loopback only."),
    key(
        "listen.dev",
        "127.0.0.1:8080,[::1]:8080",
        "Addresses of the demo page with `--dev`; plain HTTP, loopback only.",
    ),
    key("tls.certificate_file", "", "PEM chain for clients, leaf first. Required unless `--dev`."),
    key("tls.key_file", "", "PEM private key of the certificate. Required unless `--dev`."),
    key(
        "origins.allowed",
        "",
        "Web origins whose pages may connect, as in `https://example.org`; `*` allows all.",
    ),
    key("limits.message_bytes_max", "16384", "Longest message content, bytes."),
    key("limits.lanes_max", "256", "Conversations and history reads that one connection may have open."),
    key("limits.streams_max", "24", "How many of them may be streams of their own."),
    key("limits.ping_every_ms", "15000", "How often a client without transport keep-alive says something."),
    key("limits.idle_timeout_ms", "25000", "A silent connection is taken for dead after this time."),
    key("limits.hello_timeout_ms", "10000", "A connection must have said hello after this time."),
    key(
        "limits.presence_grace_ms",
        "30000",
        "How long a dropped user counts as reconnecting before they are offline.",
    ),
    key(
        "limits.resume_window_ms",
        "120000",
        "How long clients are told that a dropped session can be resumed.",
    ),
    key("limits.session_ttl_ms", "86400000", "A session without a connection ends after this time."),
    key("limits.dedup_window_ms", "86400000", "How long a message id is remembered."),
    key("limits.dedup_entries_max", "1000000", "Message ids remembered at most."),
    key("limits.typing_ttl_ms", "10000", "A typing signal holds for this long unless repeated."),
    key("limits.user_sessions_max", "32", "Sessions of one user at most."),
    key("limits.members_max", "10000", "Members of one conversation at most."),
    key("limits.user_conversations_max", "10000", "Conversations of which one user is a member at most."),
    key("limits.connections_max", "20000", "Connections at most; more are refused as overloaded."),
    key("limits.connections_per_address_max", "1000", "Connections from one address at most."),
    key("limits.outbox_bytes", "262144", "What may wait for one slow client, bytes, before it must resync."),
    key("store.cache_mib", "128", "Page cache of the store, MiB."),
    key("store.free_floor_mib", "256", "Writes are refused while less than this is free on the disk, MiB."),
    key("store.checkpoint_every", "240", "Log entries between two checkpoints at most."),
    key(
        "store.log_keep",
        "10000",
        "Log entries that a node that stands alone keeps behind the last checkpoint.",
    ),
    key(
        "store.log_keep_bytes",
        "1073741824",
        "Bytes of log entries kept behind the last checkpoint at most.",
    ),
    key("store.log_keep_hours", "24", "Hours for which a node of a pair keeps log entries for its peer."),
    key("pair.side", "", "Which node of a pair this is: `a` or `b`. Empty: it stands alone."),
    key("pair.cluster", "", "The pair's id, as `duet pair init` printed it."),
    key("pair.listen", "[::]:4434", "Address for the peer, UDP."),
    key("pair.peer", "", "Where the peer listens, as in `b.example.org:4434`."),
    key("pair.ca_file", "", "PEM of the pair's own authority."),
    key("pair.certificate_file", "", "PEM certificate of this node, from the pair's authority."),
    key("pair.key_file", "", "PEM private key of that certificate."),
    key(
        "pair.shared_key_file",
        "",
        "Keys that both nodes share, so that a client known to one is known to both.",
    ),
    key("pair.client_endpoints", "", "Where clients reach node a and node b, in this order."),
    key(
        "pair.policy",
        "solo",
        "When the peer is silent: `solo` goes on alone and says so, `block` acknowledges nothing.",
    ),
    key(
        "pair.snapshot_mib_per_s",
        "32",
        "How fast a snapshot is sent to a peer that lacks too much, MiB a second.",
    ),
    key(
        "log.level",
        "info",
        "What is logged: error, warn, info, debug, trace, or a filter as in `info,duet=debug`.",
    ),
    key("log.format", "auto", "`json`, `text`, or `auto`: text on a terminal, JSON otherwise."),
    key(
        "pair.arbiter",
        "manual",
        "Who decides which node of a pair is primary: `manual`, `witness` or `etcd`.",
    ),
    key("pair.witness.address", "", "Address of the witness, as in `witness.example.org:4435`."),
    key("pair.etcd.endpoints", "", "Members of the etcd cluster, as in `https://etcd-1.example.org:2379`."),
    key("pair.etcd.user", "", "User in etcd; empty where etcd asks for none."),
    key(
        "pair.etcd.password_file",
        "",
        "A file whose content, without a final line break, is the user's password.",
    ),
    key("pair.etcd.ca_file", "", "PEM of the authority that signed the certificates of etcd's members."),
    key("pair.etcd.certificate_file", "", "PEM client certificate for etcd; empty where etcd asks for none."),
    key("pair.etcd.key_file", "", "PEM private key of the client certificate."),
    key(
        "witness.listen",
        "0.0.0.0:4435",
        "`duet witness`: address for the nodes of the pair, TCP. Port 0 picks a free one.",
    ),
    key(
        "witness.data_dir",
        "./duet-witness",
        "`duet witness`: where the register lies; one process at a time.",
    ),
    key(
        "witness.admin",
        "",
        "`duet witness`: loopback address of health and metrics, as in 127.0.0.1:9435; plain HTTP. Empty for none.",
    ),
    key("witness.cluster", "", "`duet witness`: the pair's id, 32 hexadecimal digits."),
    key("witness.ca_file", "", "`duet witness`: PEM of the pair's authority, `pair-ca.pem`."),
    key("witness.certificate_file", "", "`duet witness`: PEM certificate, `witness.pem`."),
    key("witness.key_file", "", "`duet witness`: PEM private key, `witness.key`."),
    key("drain.deadline_ms", "10000", "A stopping node closes what is still open after this time."),
];

/// The keys of one `[[tenant]]`.
pub const TENANT_KEYS: &[Key] = &[
    key("name", "", "The tenant: 1 to 32 of a-z, 0-9 and `-`."),
    key("key", "", "`[[tenant.key]]`, one for each key that may sign this tenant's tokens."),
    key(
        "issuer",
        "",
        "`[[tenant.issuer]]`, one for each issuer that publishes such keys itself. A tenant needs one of either.",
    ),
];

/// The keys of one `[[tenant.issuer]]`.
pub const TENANT_ISSUER_KEYS: &[Key] = &[
    key("issuer", "", "What `iss` must be in the tokens that it makes; unique in the whole file."),
    key("jwks_file", "", "A JWK Set (RFC 7517) with its keys; a change is seen within seconds."),
    key("jwks_url", "", "Or where the set is published: https, or http to this machine."),
];

/// The keys of one `[[tenant.key]]`.
pub const TENANT_KEY_KEYS: &[Key] = &[
    key("kid", "", "Names the key in a token's header; unique in the whole file."),
    key("alg", "", "`HS256` or `ES256`; a token with any other algorithm is refused."),
    key("issuer", "", "When set, the token's `iss` must be exactly this."),
    key("secret", "", "HS256: the secret itself, at least 32 bytes. Better: `secret_file`."),
    key("secret_file", "", "HS256: a file whose content, without a final line break, is the secret."),
    key("public_key", "", "ES256: the PEM public key itself."),
    key("public_key_file", "", "ES256: a file with the PEM public key."),
    key("private_key_file", "", "ES256: a file with the PKCS#8 private key. Only `duet token` needs it."),
];

/// The known name that is nearest to `wrong`, if any is near enough to be meant.
#[must_use]
pub(super) fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (best, distance) =
        known.map(|name| (name, distance(wrong, name))).min_by_key(|(_, distance)| *distance)?;
    (distance <= 1 + wrong.len().min(best.len()) / 4).then_some(best)
}

/// Levenshtein's distance of two short texts, in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_key_that_was_meant() {
        let names = || KEYS.iter().map(|key| key.name);
        assert_eq!(nearest("limits.lane_max", names()), Some("limits.lanes_max"));
        assert_eq!(nearest("datadir", names()), Some("data_dir"));
        assert_eq!(nearest("colour", names()), None);
    }

    #[test]
    fn every_key_is_a_distinct_variable() {
        let variables: std::collections::BTreeSet<_> = KEYS.iter().map(Key::variable).collect();
        assert_eq!(variables.len(), KEYS.len());
    }
}
