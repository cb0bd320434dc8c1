//! What a shape of load needs of a participant, whatever protocol it speaks.

/// One participant of a room. Nothing here waits: a generator that waits measures itself.
pub trait Speaker {
    /// Says `payload` to the room. What the carrier does not take at once waits inside.
    fn publish(&self, payload: &[u8]);

    /// Offers the carrier what waits.
    fn flush(&self);

    /// Bytes that wait because the carrier took no more.
    fn waiting(&self) -> usize;
}
