//! A pair of nodes and its witness as real processes, under load from real clients, while everything that can happen to
//! machines happens to them. What was acknowledged is there in the end, once and in order, and both logs are equal.

mod disk;
mod failover;
mod laws;
mod logs;
mod resync;
mod rig;
mod wires;
