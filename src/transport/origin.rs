//! Which web pages may connect: the Origin allow-list (RFC 6454 §7) shared by WebTransport and
//! WebSocket.
//!
//! A browser always says where a page comes from; other clients need not. So a missing Origin passes
//! (a token still decides), and a present one must be on the list.

use std::collections::BTreeSet;

/// The pages that may connect.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    rule: Rule,
}

#[derive(Debug, Clone, Default)]
enum Rule {
    #[default]
    None,
    Only(BTreeSet<String>),
    Loopback,
    Any,
}

impl Origins {
    /// Pages of exactly these origins, such as `https://shop.example` or `http://localhost:8080`.
    pub fn only<I>(origins: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let normal = |origin: I::Item| origin.into().trim_end_matches('/').to_ascii_lowercase();
        Self { rule: Rule::Only(origins.into_iter().map(normal).collect()) }
    }

    /// Pages served from this machine, on any port: for development.
    #[must_use]
    pub fn loopback() -> Self {
        Self { rule: Rule::Loopback }
    }

    /// Every page. Safe only where every user's token is kept from foreign pages.
    #[must_use]
    pub fn any() -> Self {
        Self { rule: Rule::Any }
    }

    /// Whether a client with this Origin header (or none) may connect.
    #[must_use]
    pub fn allow(&self, origin: Option<&str>) -> bool {
        let Some(origin) = origin else { return true };
        match &self.rule {
            Rule::None => false,
            Rule::Only(list) => list.contains(&origin.to_ascii_lowercase()),
            Rule::Loopback => is_loopback(origin),
            Rule::Any => true,
        }
    }
}

fn is_loopback(origin: &str) -> bool {
    let Some(authority) = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) else {
        return false;
    };
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_admits_its_own_and_clients_that_are_no_pages() {
        let origins = Origins::only(["https://Shop.example/", "http://localhost:8080"]);
        for origin in [None, Some("https://shop.example"), Some("http://localhost:8080")] {
            assert!(origins.allow(origin), "{origin:?}");
        }
        for origin in ["https://shop.example.evil", "http://shop.example", "null", ""] {
            assert!(!origins.allow(Some(origin)), "{origin:?}");
        }
    }

    #[test]
    fn loopback_is_a_host_and_not_a_prefix() {
        let origins = Origins::loopback();
        for origin in ["http://localhost", "http://localhost:1", "https://127.0.0.1:8080", "http://[::1]:3"] {
            assert!(origins.allow(Some(origin)), "{origin}");
        }
        for origin in
            ["http://localhost.evil", "http://localhost:1.evil", "http://evil/localhost", "http://127.0.0.10"]
        {
            assert!(!origins.allow(Some(origin)), "{origin}");
        }
    }

    #[test]
    fn nobody_configured_means_no_page() {
        assert!(!Origins::default().allow(Some("http://localhost")));
    }
}
