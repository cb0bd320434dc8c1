//! The arbiters, by one set of laws: manual, witness, etcd.

#[cfg(feature = "etcd")]
mod etcd;
mod history;
mod laws;
mod proxy;
mod subject;
mod witness;

use subject::{Kind, Subject};

/// The laws that need no way to the arbiter.
macro_rules! conformance {
    ($name:ident, $kind:expr) => {
        mod $name {
            use super::*;

            #[tokio::test]
            async fn a_swap_that_was_said_is_what_everybody_reads() {
                laws::a_swap_that_was_said_is_what_everybody_reads(Subject::start($kind).await).await;
            }

            #[tokio::test]
            async fn a_swap_that_does_not_fit_is_refused_with_the_value() {
                laws::a_swap_that_does_not_fit_is_refused_with_the_value(Subject::start($kind).await).await;
            }

            #[tokio::test]
            async fn exactly_one_of_concurrent_swaps_wins() {
                laws::exactly_one_of_concurrent_swaps_wins(Subject::start($kind).await).await;
            }

            #[tokio::test]
            async fn what_was_said_survives_kill_9() {
                laws::what_was_said_survives_kill_9(Subject::start($kind).await).await;
            }

            #[tokio::test]
            async fn every_history_is_linearizable() {
                for seed in 1..=3 {
                    laws::every_history_is_linearizable(Subject::start($kind).await, seed).await;
                }
            }
        }
    };
}

/// The laws about what is lost on the way.
macro_rules! unknown_outcomes {
    ($name:ident, $kind:expr) => {
        mod $name {
            use super::*;

            #[tokio::test]
            async fn after_a_lost_reply_the_swap_is_unknown_and_happened() {
                laws::after_a_lost_reply_the_swap_is_unknown_and_happened(Subject::start($kind).await).await;
            }

            #[tokio::test]
            async fn after_a_lost_request_the_swap_is_unknown_and_another_settles_it() {
                let subject = Subject::start($kind).await;
                laws::after_a_lost_request_the_swap_is_unknown_and_another_settles_it(subject).await;
            }

            #[tokio::test]
            async fn nothing_was_sent_to_an_arbiter_that_is_down() {
                laws::nothing_was_sent_to_an_arbiter_that_is_down(Subject::start($kind).await).await;
            }
        }
    };
}

conformance!(manual, Kind::Manual);
conformance!(by_witness, Kind::Witness);
unknown_outcomes!(on_the_way_to_the_witness, Kind::Witness);
#[cfg(feature = "etcd")]
conformance!(by_etcd, Kind::Etcd);
#[cfg(feature = "etcd")]
unknown_outcomes!(on_the_way_to_etcd, Kind::Etcd);

#[tokio::test]
async fn a_swap_that_was_given_up_may_still_happen_later() {
    laws::a_swap_that_was_given_up_may_still_happen_later(Subject::start(Kind::Witness).await).await;
}
