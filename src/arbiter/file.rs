//! A register's file: one [`Cfg`], replaced whole or not at all.
//!
//! ```text
//! <cluster>.cfg = "DUETCFG1" · length u16 · Cfg (docs/protocol.md, "Bodies") · CRC-32 of all before, u32      big-endian
//!
//! write:  draft written ─► draft fsynced ─► renamed over the file ─► directory fsynced ─► done
//!         └── fails here: nothing happened ──┘└── fails here: nobody knows; the file is used no more ─┘
//! ```
//!
//! A file that was renamed but whose directory was not fsynced could vanish with the power, so [`RegisterFile::open`] fsyncs
//! both before it believes what it read. A lock beside the file keeps a second process out. No file is an empty register.

use crate::{
    core::{Cfg, ClusterId},
    peer::hex,
};
use duet_protocol::codec;
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// Why a register's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The disk refuses.
    #[error("{}: {what}: {source}", path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is torn, or was changed by somebody else.
    #[error("{}: {problem}; it is left as it is: restore it as docs/arbiters.md tells", path.display())]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The file is of another pair.
    #[error("{} belongs to another pair", path.display())]
    OtherCluster {
        /// Which file.
        path: PathBuf,
    },
    /// Another process uses it.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// Which file.
        path: PathBuf,
    },
}

/// Why a value was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The old value is still there; another try may succeed.
    #[error("nothing was changed: {0}")]
    Unchanged(RegisterError),
    /// Either value may be there after a crash.
    #[error("the outcome is unknown: {0}")]
    Doubtful(RegisterError),
}

/// The file, locked.
#[derive(Debug)]
pub struct RegisterFile {
    path: PathBuf,
    directory: PathBuf,
    /// Held, not used: the lock ends with it.
    _lock: File,
}

impl RegisterFile {
    /// Opens the register of a pair in `directory`, which is made if need be, and says what it holds.
    ///
    /// # Errors
    /// [`RegisterError`]; a corrupt file is left alone.
    pub fn open(directory: &Path, cluster: ClusterId) -> Result<(Self, Option<Cfg>), RegisterError> {
        make_directory(directory)?;
        let path = register_path(directory, cluster);
        let lock = lock(&path.with_extension("lock"))?;
        let file = Self { path, directory: directory.to_owned(), _lock: lock };
        let value = read(&file.path)?;
        if let Some(cfg) = value {
            if cfg.cluster != cluster {
                return Err(RegisterError::OtherCluster { path: file.path });
            }
            let synced = File::open(&file.path).and_then(|file| file.sync_all());
            synced.map_err(failed("fsync", &file.path))?;
            sync_directory(directory)?;
        }
        Ok((file, value))
    }

    /// Replaces the value, durably.
    ///
    /// # Errors
    /// [`WriteError`]; after [`WriteError::Doubtful`] the file must not be used again before it is opened anew.
    pub fn write(&mut self, value: &Cfg) -> Result<(), WriteError> {
        let draft = self.path.with_extension("new");
        write_draft(&draft, &encode(value)).map_err(WriteError::Unchanged)?;
        let renamed = fs::rename(&draft, &self.path).map_err(failed("rename", &self.path));
        renamed.and_then(|()| sync_directory(&self.directory)).map_err(WriteError::Doubtful)
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Where the register of a pair lies.
#[must_use]
pub fn register_path(directory: &Path, cluster: ClusterId) -> PathBuf {
    directory.join(format!("{}.cfg", hex(&cluster.0)))
}

/// Reads a register's file without locking it; `None` when there is none.
///
/// # Errors
/// [`RegisterError::Io`], [`RegisterError::Corrupt`].
pub fn read(path: &Path) -> Result<Option<Cfg>, RegisterError> {
    match fs::read(path) {
        Ok(bytes) => match decode(&bytes) {
            Ok(cfg) => Ok(Some(cfg)),
            Err(problem) => Err(RegisterError::Corrupt { path: path.to_owned(), problem }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// The bytes of a value, as in the file and in etcd.
#[must_use]
pub fn encode(value: &Cfg) -> Vec<u8> {
    let body = codec::encode(value);
    let mut bytes = MAGIC.to_vec();
    bytes.extend(u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend(body);
    let crc = crc32fast::hash(&bytes);
    bytes.extend(crc.to_be_bytes());
    bytes
}

/// The value of these bytes.
///
/// # Errors
/// What is wrong with them.
pub fn decode(bytes: &[u8]) -> Result<Cfg, &'static str> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("it does not begin as a register does")?;
    let (length, rest) = rest.split_first_chunk().ok_or("it is cut off")?;
    let (body, crc) = rest.split_last_chunk().ok_or("it is cut off")?;
    if body.len() != usize::from(u16::from_be_bytes(*length)) {
        return Err("it is cut off, or has something behind its end");
    }
    if crc32fast::hash(&bytes[..bytes.len() - crc.len()]) != u32::from_be_bytes(*crc) {
        return Err("its checksum does not match");
    }
    codec::decode(body).map_err(|_| "it holds no value of this program")
}

const MAGIC: &[u8] = b"DUETCFG1";

fn make_directory(directory: &Path) -> Result<(), RegisterError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).map_err(failed("make the directory", directory))?;
    // The directory's own name must survive as well.
    match directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => sync_directory(parent),
        None => Ok(()),
    }
}

fn lock(path: &Path) -> Result<File, RegisterError> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(failed("open", path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RegisterError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(failed("lock", path)(error)),
    }
}

fn write_draft(draft: &Path, bytes: &[u8]) -> Result<(), RegisterError> {
    let written = File::create(draft).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(failed("write", draft))
}

fn sync_directory(directory: &Path) -> Result<(), RegisterError> {
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed("fsync", directory))
}

fn failed<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> RegisterError + 'a {
    move |source| RegisterError::Io { what, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{InSync, Nonce, Side, StoreId};

    const CLUSTER: ClusterId = ClusterId([0xc0; 16]);

    fn cfg(ver: u64) -> Cfg {
        let in_sync = InSync::alone(Side::A, StoreId([1; 16]));
        Cfg { ver, epoch: ver, primary: Side::A, in_sync, holder: Nonce([2; 16]), cluster: CLUSTER }
    }

    #[test]
    fn a_value_is_there_after_reopening_and_an_abandoned_draft_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let (mut file, value) = RegisterFile::open(directory.path(), CLUSTER).unwrap();
        assert_eq!(value, None);
        file.write(&cfg(1)).unwrap();
        file.write(&cfg(2)).unwrap();
        fs::write(file.path().with_extension("new"), encode(&cfg(3))).unwrap();
        drop(file);
        let (_, value) = RegisterFile::open(directory.path(), CLUSTER).unwrap();
        assert_eq!(value, Some(cfg(2)));
    }

    #[test]
    fn every_torn_or_changed_file_is_recognised_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = register_path(directory.path(), CLUSTER);
        let good = encode(&cfg(300));
        let cut = (0..good.len()).map(|length| good[..length].to_vec());
        let flipped = (0..good.len() * 8).map(|bit| {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        });
        let longer = std::iter::once([&good[..], b"x"].concat());
        for bytes in cut.chain(flipped).chain(longer) {
            fs::write(&path, &bytes).unwrap();
            let refused = RegisterFile::open(directory.path(), CLUSTER);
            assert!(matches!(refused, Err(RegisterError::Corrupt { .. })), "{bytes:?}");
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
    }

    #[test]
    fn a_file_is_used_by_one_process_and_one_pair() {
        let directory = tempfile::tempdir().unwrap();
        let (mut file, _) = RegisterFile::open(directory.path(), CLUSTER).unwrap();
        file.write(&cfg(1)).unwrap();
        let second = RegisterFile::open(directory.path(), CLUSTER);
        assert!(matches!(second, Err(RegisterError::InUse { .. })));
        let other = ClusterId([0xc1; 16]);
        fs::copy(file.path(), register_path(directory.path(), other)).unwrap();
        let refused = RegisterFile::open(directory.path(), other);
        assert!(matches!(refused, Err(RegisterError::OtherCluster { .. })));
    }

    #[test]
    fn a_write_that_certainly_failed_leaves_the_old_value() {
        let directory = tempfile::tempdir().unwrap();
        let (mut file, _) = RegisterFile::open(directory.path(), CLUSTER).unwrap();
        file.write(&cfg(1)).unwrap();
        fs::create_dir(file.path().with_extension("new")).unwrap();
        assert!(matches!(file.write(&cfg(2)), Err(WriteError::Unchanged(_))));
        assert_eq!(read(file.path()).unwrap(), Some(cfg(1)));
    }
}
