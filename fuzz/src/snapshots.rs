//! Snapshot files. The reader is the product's, taken by path, so that no database has to be built and instrumented.

#[path = "../../src/store/snapshot/format.rs"]
#[allow(dead_code, unreachable_pub)]
mod product_format;

use product_format::{BadSnapshot, CHUNK_BYTES_MAX, Kind, SnapshotReader, SnapshotWriter};

/// The bytes of a whole snapshot, by its parts.
type Parts = (Vec<u8>, Vec<(Kind, Vec<u8>, Vec<u8>)>);

/// Any bytes are refused or read; what is read and written again is read again as the same.
///
/// The input is tried as it is, and as a script of chunks whose checksums are right, so that what lies behind them is
/// reached: `kind u8 ‖ length u16 ‖ payload`, one after the other.
pub fn snapshot(input: &[u8]) {
    for file in [input.to_vec(), scripted(input)] {
        let Some((head, rows)) = read(&file) else { continue };
        let Ok(mut writer) = SnapshotWriter::new(Vec::new(), &head) else { continue };
        for (kind, key, value) in &rows {
            assert!(writer.row(*kind, key, value).is_ok(), "a row that was read cannot be written");
        }
        let Ok((again, totals, _)) = writer.finish() else { panic!("writing to memory does not fail") };
        assert_eq!(totals.bytes, again.len() as u64, "the length is not what was counted");
        assert_eq!(read(&again), Some((head, rows)), "a snapshot changed on its way");
    }
}

fn read(file: &[u8]) -> Option<Parts> {
    let (mut reader, head) = SnapshotReader::new(file).ok()?;
    let mut all = Vec::new();
    loop {
        match reader.rows() {
            Ok(Some((kind, rows))) => {
                assert!(rows.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() <= CHUNK_BYTES_MAX);
                all.extend(rows.into_iter().map(|(key, value)| (kind, key.to_vec(), value.to_vec())));
            }
            Ok(None) => break,
            Err(BadSnapshot::Damaged(_)) => return None,
            Err(BadSnapshot::Unread(error)) => panic!("reading from memory does not fail: {error}"),
        }
    }
    assert_eq!(reader.totals().bytes, file.len() as u64, "the length is not what was read");
    Some((head, all))
}

fn scripted(mut script: &[u8]) -> Vec<u8> {
    use sha2::{Digest as _, Sha256};
    let mut file = b"DUETSNP1".to_vec();
    let (mut states, mut events) = (0_u64, 0_u64);
    while let Some(([kind, high, low], rest)) = script.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (payload, rest) = rest.split_at(length);
        match kind % 5 {
            2 => states += count(payload),
            3 => events += count(payload),
            _ => {}
        }
        put(&mut file, kind % 5, payload);
        script = rest;
    }
    let digest = Sha256::digest(&file);
    put(&mut file, 4, &[&states.to_be_bytes()[..], &events.to_be_bytes(), &digest].concat());
    file
}

/// Rows of a payload whose lengths are right.
fn count(mut payload: &[u8]) -> u64 {
    let mut rows = 0;
    while let Some((head, rest)) = payload.split_first_chunk::<6>() {
        let key = usize::from(u16::from_be_bytes([head[0], head[1]]));
        let value = u32::from_be_bytes([head[2], head[3], head[4], head[5]]) as usize;
        let Some(rest) = rest.get(key.saturating_add(value)..) else { break };
        payload = rest;
        rows += 1;
    }
    rows
}

fn put(file: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    let from = file.len();
    file.push(kind);
    file.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
    file.extend_from_slice(payload);
    let crc = crc32fast::hash(&file[from..]);
    file.extend_from_slice(&crc.to_be_bytes());
}
