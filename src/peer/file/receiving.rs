//! A file on its way from the peer.

use super::{
    CHUNK_BYTES, FILE_STREAM, FileFailed, GIVEN_UP, LinkFiles, META_BYTES_MAX, REASON_BYTES_MAX, REFUSED,
    SYNC, TAKEN, read, step, write,
};
use crate::peer::ended::LinkEnded;
use bytes::{BufMut as _, BytesMut};
use quinn::{RecvStream, SendStream};
use sha2::{Digest as _, Sha256};
use std::{
    fmt,
    path::{Path, PathBuf},
};
use tokio::{
    fs::{self, File},
    io::AsyncWriteExt as _,
    time,
};

impl LinkFiles {
    /// The next file that the peer sends; what it says about itself, before its bytes. Waits as long as the link lives.
    ///
    /// # Errors
    /// [`LinkEnded`] when there will be none.
    pub async fn next(&self) -> Result<ArrivingFile, LinkEnded> {
        loop {
            let (back, mut there) = self.connection.accept_bi().await.map_err(LinkEnded::from)?;
            if let Ok(Some((meta, length))) = read_head(&mut there).await {
                return Ok(ArrivingFile { meta, length, there, back });
            }
            // What is no file is turned away; the next one may be.
            let _ = there.stop(GIVEN_UP);
        }
    }
}

/// A file on its way here. Dropping it breaks it off.
#[derive(Debug)]
pub struct ArrivingFile {
    /// What the sender says about it.
    pub meta: Vec<u8>,
    /// How long it will be, bytes.
    pub length: u64,
    there: RecvStream,
    back: SendStream,
}

impl ArrivingFile {
    /// Writes the file to `target`, of at most `bytes_max`; it replaces what lies there, when and only when it is whole. The
    /// sender waits until [`ReceivedFile::taken`] is said.
    ///
    /// # Errors
    /// [`FileFailed`]; nothing of it stays then, and the sender is told.
    pub async fn receive(mut self, target: &Path, bytes_max: u64) -> Result<ReceivedFile, FileFailed> {
        let part = Part(part_of(target));
        match self.store(target, &part.0, bytes_max).await {
            Ok(sha256) => Ok(ReceivedFile {
                path: target.to_owned(),
                meta: self.meta,
                length: self.length,
                sha256,
                back: self.back,
            }),
            Err(failed) => {
                drop(part);
                let _ = self.there.stop(GIVEN_UP);
                let _ = refuse(&mut self.back, &failed.to_string()).await;
                Err(failed)
            }
        }
    }

    async fn store(&mut self, target: &Path, part: &Path, bytes_max: u64) -> Result<[u8; 32], FileFailed> {
        let disk = |source| FileFailed::Disk { path: part.to_owned(), source };
        if self.length > bytes_max {
            return Err(FileFailed::TooLarge { bytes: self.length, max: bytes_max });
        }
        let mut file = step(File::create(part)).await?.map_err(disk)?;
        let mut hash = Sha256::new();
        let mut left = self.length;
        while left > 0 {
            let most = CHUNK_BYTES.min(usize::try_from(left).unwrap_or(usize::MAX));
            let chunk = step(self.there.read_chunk(most, true)).await?.map_err(|error| match error {
                quinn::ReadError::ConnectionLost(error) => FileFailed::Ended(error.into()),
                _ => FileFailed::BrokenOff,
            })?;
            let Some(chunk) = chunk else { return Err(FileFailed::Damaged("it ends too early")) };
            hash.update(&chunk.bytes);
            step(file.write_all(&chunk.bytes)).await?.map_err(disk)?;
            left -= chunk.bytes.len() as u64;
        }
        let mut wanted = [0; 32];
        read(&mut self.there, &mut wanted).await?;
        let found: [u8; 32] = hash.finalize().into();
        if found != wanted {
            return Err(FileFailed::Damaged("its SHA-256 is not that of what was sent"));
        }
        step(file.flush()).await?.map_err(disk)?;
        let synced = time::timeout(SYNC, file.sync_all()).await;
        synced.map_err(|_| FileFailed::Stalled(SYNC))?.map_err(disk)?;
        let disk = |source| FileFailed::Disk { path: target.to_owned(), source };
        step(fs::rename(part, target)).await?.map_err(disk)?;
        if let Some(folder) = target.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let folder = step(File::open(folder)).await?.map_err(disk)?;
            step(folder.sync_all()).await?.map_err(disk)?;
        }
        Ok(found)
    }
}

/// A file that is whole and on the disk. Its sender waits for [`taken`](Self::taken); dropping it says no.
pub struct ReceivedFile {
    /// Where it lies.
    pub path: PathBuf,
    /// What its sender said about it.
    pub meta: Vec<u8>,
    /// Its length, bytes.
    pub length: u64,
    /// Its hash.
    pub sha256: [u8; 32],
    back: SendStream,
}

impl ReceivedFile {
    /// Tells the sender that it is taken.
    ///
    /// # Errors
    /// [`FileFailed`] when that cannot be told any more.
    pub async fn taken(mut self) -> Result<(), FileFailed> {
        write(&mut self.back, &[TAKEN]).await?;
        let _ = self.back.finish();
        Ok(())
    }

    /// Tells the sender why it is not; the file stays where it lies. At most 512 bytes of the reason are sent.
    ///
    /// # Errors
    /// [`FileFailed`] when that cannot be told any more.
    pub async fn refuse(mut self, reason: &str) -> Result<(), FileFailed> {
        refuse(&mut self.back, reason).await
    }
}

impl fmt::Debug for ReceivedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedFile")
            .field("path", &self.path)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// Takes an unfinished file away when it is dropped; a renamed one is not there any more.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn part_of(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// What a file says about itself; nothing when the stream holds no file.
async fn read_head(there: &mut RecvStream) -> Result<Option<(Vec<u8>, u64)>, FileFailed> {
    let mut head = [0; 3];
    read(there, &mut head).await?;
    let [stream, high, low] = head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if stream != FILE_STREAM || length > META_BYTES_MAX {
        return Ok(None);
    }
    let mut meta = vec![0; length];
    read(there, &mut meta).await?;
    let mut length = [0; 8];
    read(there, &mut length).await?;
    Ok(Some((meta, u64::from_be_bytes(length))))
}

async fn refuse(back: &mut SendStream, reason: &str) -> Result<(), FileFailed> {
    let reason = reason.as_bytes();
    let reason = reason.get(..REASON_BYTES_MAX).unwrap_or(reason);
    let mut out = BytesMut::with_capacity(3 + reason.len());
    out.put_u8(REFUSED);
    out.put_u16(u16::try_from(reason.len()).unwrap_or(u16::MAX));
    out.put_slice(reason);
    write(back, &out).await?;
    let _ = back.finish();
    Ok(())
}
