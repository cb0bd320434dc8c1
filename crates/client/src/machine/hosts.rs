//! Which hosts a server may send a client to. A node names its peer, and the client shows its token there: so it follows
//! only to hosts that the application's own choice covers, whatever certificate they show.

use std::net::IpAddr;

/// The hosts that a server may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// Any host: right where trust is a pinned certificate, which no other host can show.
    Any,
    /// The configured hosts and their siblings (`a.chat.example.org` and `b.chat.example.org`: the same name but for
    /// the first label, with two labels left at least; names without a dot; loopback addresses), and these.
    Related(Vec<String>),
}

impl Hosts {
    /// Whether `endpoint` (`host:port`) may be followed by a client that was configured with `configured`.
    pub(crate) fn cover(&self, configured: &[String], endpoint: &str) -> bool {
        let Some(host) = host(endpoint) else { return false };
        match self {
            Self::Any => true,
            Self::Related(also) => {
                also.iter().any(|also| also.eq_ignore_ascii_case(host))
                    || configured
                        .iter()
                        .filter_map(|known| self::host(known))
                        .any(|known| related(known, host))
            }
        }
    }
}

fn related(known: &str, host: &str) -> bool {
    if known.eq_ignore_ascii_case(host) || (is_loopback(known) && is_loopback(host)) {
        return true;
    }
    if known.parse::<IpAddr>().is_ok() || host.parse::<IpAddr>().is_ok() {
        return false;
    }
    match (known.split_once('.'), host.split_once('.')) {
        (None, None) => true,
        (Some((_, known)), Some((_, host))) => known.contains('.') && known.eq_ignore_ascii_case(host),
        _ => false,
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The host of `host:port`, without the brackets of IPv6 addresses.
fn host(endpoint: &str) -> Option<&str> {
    let (host, port) = endpoint.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_follows_to_its_own_hosts_and_their_siblings_only() {
        let configured = ["a.chat.example.org:4433".to_owned(), "localhost:1".into(), "10.0.0.1:1".into()];
        let hosts = Hosts::Related(vec!["spare.example.com".into()]);
        for good in [
            "a.chat.example.org:9",
            "B.chat.example.org:1",
            "127.0.0.1:2",
            "[::1]:2",
            "10.0.0.1:5",
            "spare.example.com:1",
        ] {
            assert!(hosts.cover(&configured, good), "{good}");
        }
        for bad in [
            "evil.org:1",
            "chat.example.org:1",
            "b.evil.chat.example.org:1",
            "10.0.0.2:1",
            "a.chat.example.org",
            ":1",
            "other.example.com:1",
        ] {
            assert!(!hosts.cover(&configured, bad), "{bad}");
        }
        assert!(!Hosts::Related(vec![]).cover(&["chat.org:1".into()], "evil.org:1"), "a whole top level");
        assert!(Hosts::Any.cover(&configured, "10.0.0.2:1"));
    }
}
