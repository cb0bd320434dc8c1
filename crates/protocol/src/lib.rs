//! Duet: a real-time messaging server that speaks QUIC.
