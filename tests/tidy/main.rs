//! The repository's rules about itself, executable. Each rule reads the tree as text, reports every place where it is
//! broken at once, and proves on made-up files that it can fail.
//!
//! - [`shape`]: heads and sizes of files.
//! - [`layers`]: who may name whom, and where the crates with side effects may be named.
//! - [`words`]: what must not stand anywhere: machine paths, registry hosts, notes to self.
//! - [`documents`]: what documents name exists, and the other way round.
//! - [`manifests`]: lock files and package manifests.
//! - [`spec`]: what SDKs do, and the suite that holds them to it.

mod code;
mod documents;
mod layers;
mod manifests;
mod shape;
mod spec;
mod tree;
mod words;
