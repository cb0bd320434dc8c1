//! The link between two nodes by itself, over real sockets: both ends real, or one of them a hand-made stranger.

mod files;
mod lanes;
mod loss;
mod node;
mod refusals;
mod rotation;
mod standing;
mod stranger;
