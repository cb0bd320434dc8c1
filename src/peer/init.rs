//! `duet pair init` and `duet pair renew`: everything that a pair's machines need to trust each other, in one folder.
//!
//! ```text
//! pair-ca.pem pair-ca.key      the authority; its key stays offline, `renew` needs it
//! a.pem a.key b.pem b.key witness.pem witness.key
//! shared.key                   64 + 32 random bytes: address tokens and session tickets that both nodes accept
//! a.toml b.toml                the [pair] section of each node's duet.toml
//! witness.toml                 the [witness] section of the witness's duet.toml
//! ```
//!
//! Files are written beside and renamed, keys can be read by their owner only, and nothing is overwritten by `init`.

use super::{
    authority::{Authority, Signed},
    identity::{Member, hex},
};
use crate::core::{ClusterId, Side};
use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Bytes of `shared.key`.
pub const SHARED_KEY_BYTES: usize = 96;

/// What is to be written into the configurations. Addresses are `host:port`.
#[derive(Debug, Clone)]
pub struct PairPlan {
    /// Where the nodes reach each other, UDP: a, then b.
    pub peers: [String; 2],
    /// Where clients reach the nodes: a, then b.
    pub clients: [String; 2],
    /// Where both reach the witness, if there is to be one.
    pub witness: Option<String>,
}

/// What was written.
#[derive(Debug, Clone)]
pub struct PairFiles {
    /// Which pair.
    pub cluster: ClusterId,
    /// Every file.
    pub files: Vec<PathBuf>,
}

/// Why nothing, or not everything, was written.
#[derive(Debug, thiserror::Error)]
pub enum InitFailed {
    /// There is something already.
    #[error("{0} exists already, and is not overwritten: choose another folder")]
    Exists(PathBuf),
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path}: {problem}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The system gives no random bytes.
    #[error("no random bytes from the system: {0}")]
    Entropy(String),
}

/// Mints a pair into `folder`, which is made if need be.
///
/// # Errors
/// [`InitFailed`]; when a file exists already, before anything is written.
pub fn init(folder: &Path, plan: &PairPlan) -> Result<PairFiles, InitFailed> {
    init_as(folder, plan, None)
}

/// The same for a pair that has its id already, to replace its authority.
///
/// # Errors
/// As [`init`].
pub fn init_as(folder: &Path, plan: &PairPlan, id: Option<ClusterId>) -> Result<PairFiles, InitFailed> {
    let now = SystemTime::now();
    let mut random = [0; 16 + SHARED_KEY_BYTES];
    getrandom::fill(&mut random).map_err(|error| InitFailed::Entropy(error.to_string()))?;
    let (fresh, shared) = random.split_at(16);
    let cluster = id.unwrap_or_else(|| ClusterId(fresh.try_into().unwrap_or_default()));

    let (authority, its) = Authority::mint(cluster, now)?;
    let mut files = vec![
        ("pair-ca.pem".to_owned(), its.certificate.into_bytes(), PUBLIC),
        ("pair-ca.key".to_owned(), its.key.into_bytes(), SECRET),
        ("shared.key".to_owned(), shared.to_vec(), SECRET),
    ];
    for member in Member::ALL {
        let text = match member {
            Member::Node(side) => node_section(cluster, side, plan),
            Member::Witness => witness_section(cluster, plan),
        };
        files.extend(signed_files(member, authority.sign(member, now)?));
        files.push((format!("{member}.toml"), text.into_bytes(), PUBLIC));
    }

    fs::create_dir_all(folder).map_err(|source| InitFailed::File { path: folder.to_owned(), source })?;
    if let Some((name, ..)) = files.iter().find(|(name, ..)| folder.join(name).exists()) {
        return Err(InitFailed::Exists(folder.join(name)));
    }
    write_all(folder, files).map(|files| PairFiles { cluster, files })
}

/// Signs new certificates, with new keys, for members of the pair whose authority lies in `folder`. The old ones stay valid;
/// nothing else is touched.
///
/// # Errors
/// [`InitFailed`] without the authority's key, or when the files cannot be written.
pub fn renew(folder: &Path, members: &[Member]) -> Result<PairFiles, InitFailed> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).map_err(|source| InitFailed::File { path, source })
    };
    let settings = read("a.toml")?;
    let quoted = settings.lines().find_map(|line| line.strip_prefix("cluster = \""));
    let cluster = quoted.and_then(|rest| parse_cluster(rest.trim_end().trim_end_matches('"')));
    let cluster = cluster.ok_or_else(|| InitFailed::Content {
        path: folder.join("a.toml"),
        problem: "has no line `cluster = \"…\"`".to_owned(),
    })?;
    let key_path = folder.join("pair-ca.key");
    let authority = Authority::from_key(cluster, &read("pair-ca.key")?)
        .map_err(|error| InitFailed::Content { path: key_path, problem: error.to_string() })?;
    let now = SystemTime::now();
    let mut files = Vec::new();
    for member in members {
        files.extend(signed_files(*member, authority.sign(*member, now)?));
    }
    write_all(folder, files).map(|files| PairFiles { cluster, files })
}

/// A cluster id from its 32 hexadecimal digits.
#[must_use]
pub fn parse_cluster(text: &str) -> Option<ClusterId> {
    let mut id = [0; 16];
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digits = str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(ClusterId(id))
}

const PUBLIC: u32 = 0o644;
const SECRET: u32 = 0o600;

fn signed_files(member: Member, signed: Signed) -> [(String, Vec<u8>, u32); 2] {
    [
        (format!("{member}.pem"), signed.certificate.into_bytes(), PUBLIC),
        (format!("{member}.key"), signed.key.into_bytes(), SECRET),
    ]
}

fn node_section(cluster: ClusterId, side: Side, plan: &PairPlan) -> String {
    let [to_a, to_b] = &plan.peers;
    let [client_a, client_b] = &plan.clients;
    let (own, peer) = match side {
        Side::A => (to_a, to_b),
        Side::B => (to_b, to_a),
    };
    let port = own.rsplit_once(':').map_or("4434", |(_, port)| port);
    let arbiter = plan.witness.as_ref().map_or(String::new(), |address| {
        format!("arbiter = \"witness\"\n\n[pair.witness]\naddress = {address:?}\n")
    });
    format!(
        "# Node {side} of the pair: append this to its duet.toml. Paths are relative to that file.\n\
         [pair]\n\
         side = \"{side}\"\n\
         cluster = \"{cluster}\"\n\
         listen = \"[::]:{port}\"\n\
         peer = {peer:?}\n\
         ca_file = \"pair-ca.pem\"\n\
         certificate_file = \"{side}.pem\"\n\
         key_file = \"{side}.key\"\n\
         shared_key_file = \"shared.key\"\n\
         client_endpoints = [{client_a:?}, {client_b:?}]\n\
         policy = \"solo\"\n\
         {arbiter}",
        cluster = hex(&cluster.0),
    )
}

fn witness_section(cluster: ClusterId, plan: &PairPlan) -> String {
    let port =
        plan.witness.as_ref().and_then(|address| address.rsplit_once(':')).map_or("4435", |(_, port)| port);
    format!(
        "# The pair's witness: a configuration for `duet witness`. Paths are relative to this file.\n\
         [witness]\n\
         listen = \"[::]:{port}\"\n\
         cluster = \"{}\"\n\
         ca_file = \"pair-ca.pem\"\n\
         certificate_file = \"witness.pem\"\n\
         key_file = \"witness.key\"\n",
        hex(&cluster.0),
    )
}

fn write_all(folder: &Path, files: Vec<(String, Vec<u8>, u32)>) -> Result<Vec<PathBuf>, InitFailed> {
    let write = |(name, bytes, mode): (String, Vec<u8>, u32)| {
        let path = folder.join(name);
        match write_one(&path, &bytes, mode) {
            Ok(()) => Ok(path),
            Err(source) => Err(InitFailed::File { path, source }),
        }
    };
    files.into_iter().map(write).collect()
}

fn write_one(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let _ = fs::remove_file(&draft);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{Identity, IdentityFiles};
    use std::os::unix::fs::PermissionsExt as _;

    fn plan() -> PairPlan {
        let both = |port| [format!("a.example:{port}"), format!("b.example:{port}")];
        PairPlan { peers: both(4_434), clients: both(4_433), witness: Some("w.example:4435".into()) }
    }

    fn identity(
        folder: &Path,
        cluster: ClusterId,
        files_of: Member,
        member: Member,
    ) -> Result<Identity, String> {
        let files = IdentityFiles {
            ca: folder.join("pair-ca.pem"),
            certificate: folder.join(format!("{files_of}.pem")),
            key: folder.join(format!("{files_of}.key")),
        };
        Identity::load(&files, cluster, member).map_err(|error| error.to_string())
    }

    #[test]
    fn every_member_of_a_minted_pair_is_itself_and_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let cluster = init(folder.path(), &plan()).unwrap().cluster;
        for files_of in Member::ALL {
            for member in Member::ALL {
                let loaded = identity(folder.path(), cluster, files_of, member);
                assert_eq!(loaded.is_ok(), files_of == member, "{files_of} as {member}: {loaded:?}");
            }
            assert!(identity(folder.path(), ClusterId([0; 16]), files_of, files_of).is_err());
        }
    }

    #[test]
    fn keys_are_for_their_owner_alone_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let files = init(folder.path(), &plan()).unwrap().files;
        for path in &files {
            let secret = path.extension().is_some_and(|extension| extension == "key");
            let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, if secret { SECRET } else { PUBLIC }, "{}", path.display());
        }
        assert_eq!(fs::read(folder.path().join("shared.key")).unwrap().len(), SHARED_KEY_BYTES);
        let before: Vec<_> = files.iter().map(|path| fs::read(path).unwrap()).collect();
        assert!(matches!(init(folder.path(), &plan()), Err(InitFailed::Exists(_))));
        let after: Vec<_> = files.iter().map(|path| fs::read(path).unwrap()).collect();
        assert_eq!(before, after);
    }

    #[test]
    fn a_renewed_certificate_belongs_to_the_same_pair() {
        let folder = tempfile::tempdir().unwrap();
        let cluster = init(folder.path(), &plan()).unwrap().cluster;
        let b = Member::Node(Side::B);
        let (ours, others) = (folder.path().join("b.pem"), folder.path().join("a.pem"));
        let before = (fs::read(&ours).unwrap(), fs::read(&others).unwrap());
        assert_eq!(renew(folder.path(), &[b]).unwrap().cluster, cluster);
        assert_ne!(fs::read(&ours).unwrap(), before.0);
        assert_eq!(fs::read(&others).unwrap(), before.1);
        identity(folder.path(), cluster, b, b).unwrap();
    }

    #[test]
    fn a_cluster_id_is_32_digits() {
        assert_eq!(parse_cluster(&hex(&[0xa5; 16])), Some(ClusterId([0xa5; 16])));
        for text in ["", "a5", &"g".repeat(32), &"+1".repeat(16), &"ä".repeat(16)] {
            assert_eq!(parse_cluster(text), None, "{text}");
        }
    }
}
