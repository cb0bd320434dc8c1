//! A file on its way to the peer.

use super::{
    CHUNK_BYTES, FILE_STREAM, FileFailed, GIVEN_UP, LinkFiles, META_BYTES_MAX, Pace, REASON_BYTES_MAX,
    REFUSED, STEP, TAKEN, read, step, unread, write,
};
use crate::peer::link::FILE_PRIORITY;
use bytes::{BufMut as _, BytesMut};
use quinn::RecvStream;
use sha2::{Digest as _, Sha256};
use std::{path::Path, time::Duration};
use tokio::{
    fs::File,
    io::AsyncReadExt as _,
    time::{self, Instant},
};

impl LinkFiles {
    /// Sends a file with what there is to say about it, at that pace, and waits until the peer has taken it: `taken_within`
    /// from its last byte. How many bytes it has.
    ///
    /// # Errors
    /// [`FileFailed`]; the peer has nothing of it then, unless the link broke just before the answer.
    pub async fn send(
        &self,
        path: &Path,
        meta: &[u8],
        pace: &Pace,
        taken_within: Duration,
    ) -> Result<u64, FileFailed> {
        let disk = |source| FileFailed::Disk { path: path.to_owned(), source };
        let mut file = step(File::open(path)).await?.map_err(disk)?;
        let length = step(file.metadata()).await?.map_err(disk)?.len();
        let meta = meta.get(..META_BYTES_MAX).unwrap_or(meta);
        let (mut there, mut back) =
            step(self.connection.open_bi()).await?.map_err(|error| FileFailed::Ended(error.into()))?;
        let _ = there.set_priority(FILE_PRIORITY);

        let mut head = BytesMut::with_capacity(1 + 2 + meta.len() + 8);
        head.put_u8(FILE_STREAM);
        head.put_u16(u16::try_from(meta.len()).unwrap_or(u16::MAX));
        head.put_slice(meta);
        head.put_u64(length);
        write(&mut there, &head).await?;

        let mut hash = Sha256::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut due = Instant::now();
        let mut left = length;
        while left > 0 {
            time::sleep_until(due).await;
            let wanted = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = step(file.read(&mut chunk[..wanted])).await?.map_err(disk)?;
            if read == 0 {
                let _ = there.reset(GIVEN_UP);
                return Err(FileFailed::Damaged("it became shorter while it was sent"));
            }
            hash.update(&chunk[..read]);
            if let Err(failed) = write(&mut there, &chunk[..read]).await {
                return Err(refusal(&mut back, failed).await);
            }
            left -= read as u64;
            // What a slow moment kept back is not made up for by a burst.
            due = due.max(Instant::now() - BURST) + pace.time_of(read);
        }
        if let Err(failed) = write(&mut there, &hash.finalize()).await {
            return Err(refusal(&mut back, failed).await);
        }
        let _ = there.finish();
        answer(&mut back, taken_within).await.map(|()| length)
    }
}

const BURST: Duration = Duration::from_millis(50);

/// Why a receiver that reads no further gave up, if it says so.
async fn refusal(back: &mut RecvStream, failed: FileFailed) -> FileFailed {
    match failed {
        FileFailed::BrokenOff => answer(back, STEP).await.err().unwrap_or(FileFailed::BrokenOff),
        other => other,
    }
}

async fn answer(back: &mut RecvStream, within: Duration) -> Result<(), FileFailed> {
    let mut verdict = [REFUSED];
    let first = time::timeout(within, back.read_exact(&mut verdict)).await;
    first.map_err(|_| FileFailed::Stalled(within))?.map_err(unread)?;
    if verdict == [TAKEN] {
        return Ok(());
    }
    let mut length = [0; 2];
    read(back, &mut length).await?;
    let mut reason = vec![0; usize::from(u16::from_be_bytes(length)).min(REASON_BYTES_MAX)];
    read(back, &mut reason).await?;
    Err(FileFailed::Refused(String::from_utf8_lossy(&reason).into_owned()))
}
