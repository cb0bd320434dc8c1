//! The snapshot file, byte by byte: written and read as a stream, one chunk in memory. Knows no database.
//!
//! ```text
//! file  = "DUETSNP1" chunk(head) chunk(state)* chunk(events)* chunk(end)          nothing behind it
//! chunk = kind u8 ‖ length u32 ‖ payload ‖ crc32 u32 of everything before it in the chunk
//! head  = the checkpoint head, opaque here          kind 1
//! state, events = rows, at least one                kinds 2 and 3
//! row   = key length u16 ‖ value length u32 ‖ key ‖ value; keys ascend through all chunks of a kind
//! end   = state rows u64 ‖ events u64 ‖ SHA-256 of everything before this chunk   kind 4
//! ```
//!
//! The reader promises: no input makes it panic or hold more than one chunk, and what it hands out passed its checks.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

/// Longest payload of a chunk that a reader takes: the longest row and its lengths.
pub(super) const CHUNK_BYTES_MAX: usize = 1024 * 1024;
/// A chunk is written once its payload has this length.
const CHUNK_BYTES: usize = 256 * 1024;
/// Longest key of a row.
const KEY_BYTES_MAX: usize = 128;
/// Tenant, conversation and seq.
pub(super) const EVENT_KEY_BYTES: usize = 28;

const MAGIC: [u8; 8] = *b"DUETSNP1";
const CHUNK_HEAD_BYTES: usize = 5;
const ROW_HEAD_BYTES: usize = 6;
const END_BYTES: usize = 48;

/// What a chunk holds; they come in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The checkpoint head: once, first.
    Head = 1,
    /// State rows.
    State = 2,
    /// Events.
    Events = 3,
    /// Counts and digest: once, last.
    End = 4,
}

/// How much a file holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) state_rows: u64,
    pub(super) events: u64,
    pub(super) bytes: u64,
}

/// Why a file is no snapshot.
#[derive(Debug)]
pub(super) enum BadSnapshot {
    /// It could not be read.
    Unread(io::Error),
    /// It is not what was written.
    Damaged(&'static str),
}

/// Writes a snapshot.
pub(super) struct SnapshotWriter<W> {
    out: W,
    hash: Sha256,
    kind: Kind,
    payload: Vec<u8>,
    totals: Totals,
}

impl<W: Write> SnapshotWriter<W> {
    /// Begins a file with its head.
    pub(super) fn new(mut out: W, head: &[u8]) -> io::Result<Self> {
        out.write_all(&MAGIC)?;
        let mut hash = Sha256::new();
        hash.update(MAGIC);
        let totals = Totals { bytes: MAGIC.len() as u64, ..Totals::default() };
        let mut writer = Self { out, hash, kind: Kind::Head, payload: head.to_vec(), totals };
        writer.write_chunk()?;
        Ok(writer)
    }

    /// Adds a row of the given kind; kinds and keys ascend. Says how many bytes went into the file.
    pub(super) fn row(&mut self, kind: Kind, key: &[u8], value: &[u8]) -> io::Result<usize> {
        let too_long = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let mut written = 0;
        if kind != self.kind {
            written += self.write_chunk()?;
            self.kind = kind;
        }
        self.payload.extend_from_slice(&u16::try_from(key.len()).map_err(too_long)?.to_be_bytes());
        self.payload.extend_from_slice(&u32::try_from(value.len()).map_err(too_long)?.to_be_bytes());
        self.payload.extend_from_slice(key);
        self.payload.extend_from_slice(value);
        match kind {
            Kind::State => self.totals.state_rows += 1,
            _ => self.totals.events += 1,
        }
        if self.payload.len() >= CHUNK_BYTES {
            written += self.write_chunk()?;
        }
        Ok(written)
    }

    /// Ends the file; gives back where it was written, how much it holds, and the SHA-256 of all of it.
    pub(super) fn finish(mut self) -> io::Result<(W, Totals, [u8; 32])> {
        self.write_chunk()?;
        self.kind = Kind::End;
        self.payload.extend_from_slice(&self.totals.state_rows.to_be_bytes());
        self.payload.extend_from_slice(&self.totals.events.to_be_bytes());
        self.payload.extend_from_slice(&self.hash.clone().finalize());
        self.write_chunk()?;
        self.out.flush()?;
        Ok((self.out, self.totals, self.hash.finalize().into()))
    }

    /// The file that is being written.
    pub(super) fn get_ref(&self) -> &W {
        &self.out
    }

    fn write_chunk(&mut self) -> io::Result<usize> {
        if self.payload.is_empty() {
            return Ok(0);
        }
        let length = u32::try_from(self.payload.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut head = [self.kind as u8; CHUNK_HEAD_BYTES];
        head[1..].copy_from_slice(&length.to_be_bytes());
        let crc = checksum(&head, &self.payload).to_be_bytes();
        for part in [&head[..], &self.payload, &crc] {
            self.out.write_all(part)?;
            self.hash.update(part);
        }
        let written = CHUNK_HEAD_BYTES + self.payload.len() + crc.len();
        self.totals.bytes += written as u64;
        self.payload.clear();
        Ok(written)
    }
}

/// Reads a snapshot and checks what it reads.
pub(super) struct SnapshotReader<R> {
    source: R,
    hash: Sha256,
    kind: Option<Kind>,
    payload: Vec<u8>,
    last_key: Vec<u8>,
    totals: Totals,
}

/// The rows of one chunk, checked.
pub(super) type Rows<'a> = Vec<(&'a [u8], &'a [u8])>;

impl<R: Read> SnapshotReader<R> {
    /// Reads the beginning of a file: the reader, and the head.
    pub(super) fn new(mut source: R) -> Result<(Self, Vec<u8>), BadSnapshot> {
        let mut magic = [0; MAGIC.len()];
        fill(&mut source, &mut magic)?;
        if magic[..7] != MAGIC[..7] {
            return Err(BadSnapshot::Damaged("it is no snapshot"));
        }
        if magic != MAGIC {
            return Err(BadSnapshot::Damaged("it has a format that this version does not know"));
        }
        let mut hash = Sha256::new();
        hash.update(magic);
        let totals = Totals { bytes: MAGIC.len() as u64, ..Totals::default() };
        let mut reader = Self { source, hash, kind: None, payload: Vec::new(), last_key: Vec::new(), totals };
        if reader.read_chunk()? != Kind::Head {
            return Err(BadSnapshot::Damaged("its head is missing"));
        }
        reader.kind = Some(Kind::Head);
        let head = std::mem::take(&mut reader.payload);
        Ok((reader, head))
    }

    /// The rows of the next chunk; `None` once the file has ended as it should.
    pub(super) fn rows(&mut self) -> Result<Option<(Kind, Rows<'_>)>, BadSnapshot> {
        let before = self.hash.clone();
        let kind = self.read_chunk()?;
        match (self.kind, kind) {
            (_, Kind::End) => return self.end(before).map(|()| None),
            (Some(Kind::Head | Kind::State), Kind::State) | (Some(_), Kind::Events) => {}
            _ => return Err(BadSnapshot::Damaged("its parts are not in their order")),
        }
        if self.kind != Some(kind) {
            self.last_key.clear();
        }
        self.kind = Some(kind);
        let rows = rows(kind, &self.payload)?;
        for (key, _) in &rows {
            if *key <= self.last_key.as_slice() {
                return Err(BadSnapshot::Damaged("its rows are not in their order"));
            }
            self.last_key.clear();
            self.last_key.extend_from_slice(key);
        }
        match kind {
            Kind::State => self.totals.state_rows += rows.len() as u64,
            _ => self.totals.events += rows.len() as u64,
        }
        Ok(Some((kind, rows)))
    }

    /// How much was read so far.
    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    fn read_chunk(&mut self) -> Result<Kind, BadSnapshot> {
        let mut head = [0; CHUNK_HEAD_BYTES];
        fill(&mut self.source, &mut head)?;
        let kind = match head[0] {
            1 => Kind::Head,
            2 => Kind::State,
            3 => Kind::Events,
            4 => Kind::End,
            _ => return Err(BadSnapshot::Damaged("a part of it has an unknown kind")),
        };
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if length == 0 || length > CHUNK_BYTES_MAX {
            return Err(BadSnapshot::Damaged("a part of it has an impossible length"));
        }
        self.payload.resize(length, 0);
        fill(&mut self.source, &mut self.payload)?;
        let mut crc = [0; 4];
        fill(&mut self.source, &mut crc)?;
        if checksum(&head, &self.payload).to_be_bytes() != crc {
            return Err(BadSnapshot::Damaged("a part of it fails its checksum"));
        }
        for part in [&head[..], &self.payload, &crc] {
            self.hash.update(part);
        }
        self.totals.bytes += (CHUNK_HEAD_BYTES + length + crc.len()) as u64;
        Ok(kind)
    }

    fn end(&mut self, before: Sha256) -> Result<(), BadSnapshot> {
        let mut wanted = Vec::with_capacity(END_BYTES);
        wanted.extend_from_slice(&self.totals.state_rows.to_be_bytes());
        wanted.extend_from_slice(&self.totals.events.to_be_bytes());
        wanted.extend_from_slice(&before.finalize());
        if self.payload != wanted {
            return Err(BadSnapshot::Damaged("its end does not match what came before"));
        }
        match self.source.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(BadSnapshot::Damaged("something follows its end")),
            Err(error) => Err(BadSnapshot::Unread(error)),
        }
    }
}

fn rows(kind: Kind, mut rest: &[u8]) -> Result<Rows<'_>, BadSnapshot> {
    const BROKEN: BadSnapshot = BadSnapshot::Damaged("a row of it is cut short");
    let mut rows = Vec::new();
    while !rest.is_empty() {
        let (head, behind) = rest.split_at_checked(ROW_HEAD_BYTES).ok_or(BROKEN)?;
        let key_bytes = usize::from(u16::from_be_bytes([head[0], head[1]]));
        let value_bytes = u32::from_be_bytes([head[2], head[3], head[4], head[5]]) as usize;
        let right = match kind {
            Kind::Events => key_bytes == EVENT_KEY_BYTES,
            _ => (1..=KEY_BYTES_MAX).contains(&key_bytes),
        };
        if !right {
            return Err(BadSnapshot::Damaged("a row of it has an impossible key"));
        }
        let (key, behind) = behind.split_at_checked(key_bytes).ok_or(BROKEN)?;
        let (value, behind) = behind.split_at_checked(value_bytes).ok_or(BROKEN)?;
        rows.push((key, value));
        rest = behind;
    }
    Ok(rows)
}

fn fill(source: &mut impl Read, bytes: &mut [u8]) -> Result<(), BadSnapshot> {
    source.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => BadSnapshot::Damaged("it is cut short"),
        _ => BadSnapshot::Unread(error),
    })
}

fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(payload);
    hasher.finalize()
}
