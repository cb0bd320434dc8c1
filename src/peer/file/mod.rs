//! Files from node to node: snapshots. Each on a stream of its own, behind everything else, at a pace.
//!
//! ```text
//! there = 0x03 meta_length:u16 meta length:u64 bytes sha256:32 FIN
//! back  = 0x00 FIN                      it is whole, on the disk and taken
//!       | 0x01 reason_length:u16 reason FIN
//! ```
//!
//! The receiver writes beside the target (`<target>.part`), syncs, compares length and SHA-256, renames and syncs the folder:
//! a file is there whole or not at all. The sender learns only from the answer that it was taken. Every step has a deadline,
//! none has a retry: whoever wants the file sends it again from its start.

mod pace;
mod receiving;
mod sending;

pub use pace::Pace;
pub use receiving::{ArrivingFile, ReceivedFile};

use super::ended::{LinkEnded, TOO_SLOW};
use quinn::{Connection, ReadExactError, RecvStream, SendStream, VarInt};
use std::{future::Future, io, path::PathBuf, time::Duration};
use tokio::time;

/// The first byte of a file's stream.
pub(super) const FILE_STREAM: u8 = 3;
/// What may be said about a file, bytes.
pub const META_BYTES_MAX: usize = 4_096;

const REASON_BYTES_MAX: usize = 512;
const CHUNK_BYTES: usize = 64 * 1024;
/// One step of a file that takes longer than this has failed.
const STEP: Duration = Duration::from_secs(10);
/// The sync of a large file may take longer without being stuck.
const SYNC: Duration = Duration::from_secs(120);
const TAKEN: u8 = 0;
const REFUSED: u8 = 1;
/// The code of a file's stream that its receiver gave up.
const GIVEN_UP: VarInt = VarInt::from_u32(1);

/// Why a file did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum FileFailed {
    /// The disk of this node.
    #[error("{path}: {source}")]
    Disk {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The link ended.
    #[error("the link ended: {0}")]
    Ended(LinkEnded),
    /// The other node broke the stream off.
    #[error("the other node broke it off")]
    BrokenOff,
    /// A step took too long.
    #[error("nothing moved for {0:?}")]
    Stalled(Duration),
    /// What arrived is not what was sent.
    #[error("the file is damaged: {0}")]
    Damaged(&'static str),
    /// It is larger than this node takes.
    #[error("{bytes} bytes are more than the {max} that are taken")]
    TooLarge {
        /// How large it is.
        bytes: u64,
        /// What is taken.
        max: u64,
    },
    /// The other node did not take it.
    #[error("the other node did not take it: {0}")]
    Refused(String),
}

/// Sends and takes files. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LinkFiles {
    connection: Connection,
}

impl LinkFiles {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection }
    }
}

async fn write(stream: &mut SendStream, bytes: &[u8]) -> Result<(), FileFailed> {
    match time::timeout(STEP, stream.write_all(bytes)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(quinn::WriteError::ConnectionLost(error))) => Err(FileFailed::Ended(error.into())),
        Ok(Err(_)) => Err(FileFailed::BrokenOff),
        Err(_) => {
            let _ = stream.reset(TOO_SLOW);
            Err(FileFailed::Stalled(STEP))
        }
    }
}

async fn read(stream: &mut RecvStream, bytes: &mut [u8]) -> Result<(), FileFailed> {
    step(stream.read_exact(bytes)).await?.map_err(unread)
}

fn unread(error: ReadExactError) -> FileFailed {
    match error {
        ReadExactError::FinishedEarly(_) => FileFailed::Damaged("it ends too early"),
        ReadExactError::ReadError(quinn::ReadError::ConnectionLost(error)) => FileFailed::Ended(error.into()),
        ReadExactError::ReadError(_) => FileFailed::BrokenOff,
    }
}

async fn step<F: Future>(future: F) -> Result<F::Output, FileFailed> {
    time::timeout(STEP, future).await.map_err(|_| FileFailed::Stalled(STEP))
}
