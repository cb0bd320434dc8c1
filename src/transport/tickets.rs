//! TLS session tickets that both nodes of a pair accept, so that clients of a dead node resume cheaply at the other one.
//!
//! ```text
//! ticket = period:u32 nonce:12 AES-256-GCM(session, with the period as additional data)
//! ```
//!
//! The key of a period of six hours is derived from the pair's secret, so the nodes change keys together without speaking. A
//! ticket is good in its own period and the next; a clock ahead by one period does no harm. Who has the secret can read
//! recorded sessions' tickets: it lies beside the private keys, and is replaced with them.

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Prk, Salt},
};
use rustls::server::ProducesTickets;
use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// How long one key is used, seconds. A ticket lives at least as long.
const PERIOD_S: u32 = 6 * 3_600;
const PERIOD_BYTES: usize = 4;

/// Makes and reads tickets.
pub(super) struct SharedTickets {
    secret: Prk,
    carrier: &'static [u8],
    now: fn() -> SystemTime,
}

impl SharedTickets {
    /// From the pair's secret; tickets of one carrier (`quic`, `tcp`) are none on the other.
    pub(super) fn new(secret: &[u8], carrier: &'static str) -> Arc<Self> {
        let secret = Salt::new(HKDF_SHA256, b"duet session tickets").extract(secret);
        Arc::new(Self { secret, carrier: carrier.as_bytes(), now: SystemTime::now })
    }

    fn period(&self) -> u32 {
        let seconds = (self.now)().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        u32::try_from(seconds / u64::from(PERIOD_S)).unwrap_or(u32::MAX)
    }

    fn key(&self, period: [u8; PERIOD_BYTES]) -> Option<LessSafeKey> {
        let info = [self.carrier, &period];
        Some(LessSafeKey::new(UnboundKey::from(self.secret.expand(&info, &AES_256_GCM).ok()?)))
    }
}

impl ProducesTickets for SharedTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        PERIOD_S
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let period = self.period().to_be_bytes();
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        let key = self.key(period)?;
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(period), &mut sealed)
            .ok()?;
        Some([&period[..], &nonce, &sealed].concat())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let (period, rest) = cipher.split_first_chunk::<PERIOD_BYTES>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        if self.period().abs_diff(u32::from_be_bytes(*period)) > 1 {
            return None;
        }
        let mut plain = sealed.to_vec();
        let key = self.key(*period)?;
        let opened =
            key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(*period), &mut plain).ok()?;
        Some(opened.to_vec())
    }
}

impl fmt::Debug for SharedTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedTickets(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(secret: &[u8], carrier: &'static str, now: fn() -> SystemTime) -> SharedTickets {
        let shared = SharedTickets::new(secret, carrier);
        SharedTickets { now, ..Arc::into_inner(shared).unwrap() }
    }

    fn hours(hours: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_000 * 24 * 3_600 + hours * 3_600)
    }

    #[test]
    fn a_ticket_of_one_node_is_one_of_the_other_and_of_nobody_else() {
        let (a, b) = (SharedTickets::new(&[1; 32], "quic"), SharedTickets::new(&[1; 32], "quic"));
        let ticket = a.encrypt(b"session").unwrap();
        assert_eq!(b.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_ne!(a.encrypt(b"session"), Some(ticket.clone()), "no ticket is made twice");
        assert_eq!(SharedTickets::new(&[2; 32], "quic").decrypt(&ticket), None);
        assert_eq!(SharedTickets::new(&[1; 32], "tcp").decrypt(&ticket), None);
    }

    #[test]
    fn a_ticket_outlives_its_period_by_one_and_no_more() {
        let ticket = at(&[1; 32], "quic", || hours(5)).encrypt(b"session").unwrap();
        let read = |now| at(&[1; 32], "quic", now).decrypt(&ticket);
        assert!(read(|| hours(11)).is_some(), "the next period");
        assert!(read(|| hours(12)).is_none(), "the one after");
        assert!(at(&[1; 32], "quic", || hours(0)).decrypt(&ticket).is_some());
    }

    #[test]
    fn no_changed_byte_of_a_ticket_goes_unnoticed() {
        let tickets = SharedTickets::new(&[1; 32], "quic");
        let ticket = tickets.encrypt(b"session").unwrap();
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None, "byte {at}");
            assert_eq!(tickets.decrypt(&ticket[..at]), None, "cut at {at}");
        }
    }
}
