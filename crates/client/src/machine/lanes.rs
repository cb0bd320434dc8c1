//! The lanes of one connection: what each is for, how it travels, and how many there may be.

use super::{call::RequestId, input::LaneId, output::Carrier};
use duet_protocol::{ConversationId, Limits};
use std::collections::BTreeMap;

/// What a lane is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    Conversation(ConversationId),
    History(RequestId),
}

/// Requests for the past that a server reads for one connection at the same time.
const HISTORY_MAX: usize = 4;

/// The open lanes.
#[derive(Debug)]
pub(crate) struct Lanes {
    open: BTreeMap<LaneId, (Usage, Carrier)>,
    next: u32,
    streams: usize,
    lanes_max: usize,
    streams_max: usize,
}

impl Lanes {
    pub(crate) fn new(limits: &Limits, streams_max: u32) -> Self {
        Self {
            open: BTreeMap::new(),
            next: 1,
            streams: 0,
            lanes_max: limits.lanes_max as usize,
            streams_max: limits.streams_max.min(streams_max) as usize,
        }
    }

    /// A new lane, or `None` when there may be no more. The last free one is kept for history.
    pub(crate) fn open(&mut self, usage: Usage) -> Option<(LaneId, Carrier)> {
        let history = |(usage, _): &&(Usage, Carrier)| matches!(usage, Usage::History(_));
        if matches!(usage, Usage::History(_)) && self.open.values().filter(history).count() >= HISTORY_MAX {
            return None;
        }
        let reserve = usize::from(matches!(usage, Usage::Conversation(_)) && self.lanes_max > 1);
        if self.open.len() + reserve >= self.lanes_max {
            return None;
        }
        let carrier = if self.streams < self.streams_max { Carrier::Stream } else { Carrier::Wrapped };
        self.streams += usize::from(carrier == Carrier::Stream);
        let lane = LaneId(self.next);
        self.next = self.next.checked_add(1)?;
        self.open.insert(lane, (usage, carrier));
        Some((lane, carrier))
    }

    pub(crate) fn close(&mut self, lane: LaneId) -> Option<Carrier> {
        let (_, carrier) = self.open.remove(&lane)?;
        self.streams -= usize::from(carrier == Carrier::Stream);
        Some(carrier)
    }

    pub(crate) fn usage(&self, lane: LaneId) -> Option<Usage> {
        self.open.get(&lane).map(|(usage, _)| *usage)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn limits(lanes_max: u32, streams_max: u32) -> Limits {
        Limits {
            message_bytes_max: 16_384,
            lanes_max,
            streams_max,
            ping_every_ms: 25_000,
            idle_timeout_ms: 30_000,
            presence_grace_ms: 30_000,
            resume_window_ms: 120_000,
            dedup_window_ms: 86_400_000,
            typing_ttl_ms: 10_000,
        }
    }

    #[test]
    fn lanes_beyond_the_streams_are_wrapped_and_one_is_kept_for_history() {
        let mut lanes = Lanes::new(&limits(4, 2), u32::MAX);
        let conversation = |n| Usage::Conversation(ConversationId([n; 16]));
        let opened: Vec<_> =
            (0..4).map(|n| lanes.open(conversation(n)).map(|(_, carrier)| carrier)).collect();
        assert_eq!(opened, [Some(Carrier::Stream), Some(Carrier::Stream), Some(Carrier::Wrapped), None]);
        assert!(lanes.open(Usage::History(RequestId(1))).is_some());
        assert_eq!(lanes.close(LaneId(1)), Some(Carrier::Stream));
        assert_eq!(lanes.close(LaneId(1)), None);
        assert_eq!(lanes.open(Usage::History(RequestId(2))), Some((LaneId(5), Carrier::Stream)));
    }
}
