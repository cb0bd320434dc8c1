//! A pair of nodes and its witness as real processes, under load from real clients, while everything that can happen to
//! machines happens to them. What was acknowledged is there in the end, once and in order, and both logs are equal.

mod catch_up;
mod certificates;
mod disk;
mod disks;
mod failover;
mod files;
mod laws;
mod logs;
mod resync;
mod rig;
mod stalls;
mod wires;
