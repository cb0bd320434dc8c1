//! An operator's orders: what is refused at once, and how an order that was taken ends.

use super::{
    config::Policy,
    fact::{OrderRefused, PairEffect, PairOrder},
    replica::{Duty, Order, Replica},
};

impl Replica {
    pub(super) fn operator(&mut self, request: u64, order: PairOrder) {
        let refused = if self.order.is_some() {
            Some(OrderRefused::Busy)
        } else {
            match order {
                PairOrder::Switchover => self.refuse_switchover(),
                PairOrder::Promote { accept_data_loss } => self.refuse_promotion(accept_data_loss),
            }
        };
        match refused {
            Some(refused) => self.effect(PairEffect::Told { request, result: Err(refused) }),
            None => self.order = Some(Order { request, order, since_ms: self.now_ms }),
        }
    }

    fn refuse_promotion(&self, accept_data_loss: bool) -> Option<OrderRefused> {
        let certain =
            self.counts_as_in_sync() && (self.config.automatic || self.config.policy == Policy::Block);
        match &self.duty {
            Duty::Leading(_) => Some(OrderRefused::AlreadyPrimary),
            Duty::Following(following) if following.hears_primary(self) => Some(OrderRefused::PeerAlive),
            Duty::Over => Some(OrderRefused::Joining),
            _ if !self.register_empty && self.cfg.is_none() => Some(OrderRefused::Joining),
            _ if !certain && !accept_data_loss => Some(OrderRefused::MayLoseData),
            _ => None,
        }
    }

    pub(super) fn expire_order(&mut self) {
        let Some(order) = self.order else { return };
        let late = self.now_ms >= order.since_ms + self.config.switchover_max_ms;
        // What was proposed cannot be taken back: the order ends when the outcome is known.
        if late && self.pending.is_empty() {
            self.order_done(Err(OrderRefused::TimedOut));
        }
    }

    pub(super) fn order_done(&mut self, result: Result<(), OrderRefused>) {
        if let Some(Order { request, .. }) = self.order.take() {
            self.effect(PairEffect::Told { request, result });
        }
    }
}
