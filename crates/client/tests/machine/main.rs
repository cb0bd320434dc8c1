//! Laws of the machine, held against a small model of a server over a network made of two queues. Proptest chooses
//! what is said and where things break; nothing here has a socket, a clock or a thread.

mod connecting;
mod exactly_once;
mod rig;
mod sending;
mod server;
mod showing;
