//! Who decides which node of a pair is primary: `pair.arbiter`, `pair.witness.*` and `pair.etcd.*` of a node, `witness.*` of
//! the third machine.

use super::{ConfigError, Place, TlsFiles, check::Ask, resolve};
use crate::{core::ClusterId, peer::parse_cluster};
use std::{net::SocketAddr, path::PathBuf};

/// The arbiter that a node asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arbiter {
    /// None: an operator decides.
    Manual,
    /// A witness, `host:port`.
    Witness(String),
    /// etcd.
    Etcd(Etcd),
}

/// How to reach etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Etcd {
    /// `http://host:port` or `https://host:port` of the cluster's members.
    pub endpoints: Vec<String>,
    /// User, and the file with the password.
    pub user: Option<(String, PathBuf)>,
    /// PEM of the authority that signed the members' certificates.
    pub ca_file: Option<PathBuf>,
    /// A client certificate.
    pub client: Option<TlsFiles>,
}

/// What `duet witness` is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Where it listens, TCP.
    pub listen: SocketAddr,
    /// Where its register lies.
    pub data_dir: PathBuf,
    /// Where health and metrics are, on loopback, if anywhere.
    pub admin: Option<SocketAddr>,
    /// Which pair; required to run.
    pub cluster: Option<ClusterId>,
    /// PEM of the pair's authority; required to run.
    pub ca_file: Option<PathBuf>,
    /// Its certificate and key; required to run.
    pub tls: Option<TlsFiles>,
}

impl Ask<'_> {
    pub(super) fn arbiter(&mut self) -> Result<Arbiter, ConfigError> {
        let kind = self.parsed("pair.arbiter", "manual, witness or etcd", |text| {
            ["manual", "witness", "etcd"].into_iter().find(|kind| *kind == text)
        })?;
        let witness = self.parsed(
            "pair.witness.address",
            "the witness's address, as in witness.example.org:4435",
            |text| (text.is_empty() || is_host_and_port(text)).then(|| text.to_owned()),
        )?;
        let etcd = self.etcd()?;
        let required = |key, rule: &str| Err(ConfigError::new(key, Place::Default, rule.to_owned()));
        match kind {
            "witness" if witness.is_empty() => {
                required("pair.witness.address", "is required with pair.arbiter = \"witness\"")
            }
            "witness" => Ok(Arbiter::Witness(witness)),
            "etcd" if etcd.endpoints.is_empty() => {
                required("pair.etcd.endpoints", "is required with pair.arbiter = \"etcd\"")
            }
            "etcd" => Ok(Arbiter::Etcd(etcd)),
            _ => Ok(Arbiter::Manual),
        }
    }

    fn etcd(&mut self) -> Result<Etcd, ConfigError> {
        let rule = "http://host:port or https://host:port";
        let (endpoints, _) = self.list("pair.etcd.endpoints", rule, |text| {
            let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
            rest.is_some_and(is_host_and_port).then(|| text.to_owned())
        })?;
        let (user, place) = self.text("pair.etcd.user")?;
        let password_file = self.path("pair.etcd.password_file")?;
        let user = match (user.is_empty(), password_file) {
            (true, None) => None,
            (false, Some(file)) => Some((user, file)),
            _ => {
                let rule = "and pair.etcd.password_file must be set both or not at all".to_owned();
                return Err(ConfigError::new("pair.etcd.user", place, rule));
            }
        };
        let ca_file = self.path("pair.etcd.ca_file")?;
        let https = |endpoint: &String| endpoint.starts_with("https://");
        if endpoints.iter().any(|endpoint| https(endpoint) != ca_file.is_some()) {
            let rule = "must be set when every member's address is https://, and only then".to_owned();
            return Err(ConfigError::new("pair.etcd.ca_file", Place::Default, rule));
        }
        let client = self.both("pair.etcd.certificate_file", "pair.etcd.key_file")?;
        Ok(Etcd { endpoints, user, ca_file, client })
    }

    pub(super) fn witness(&mut self) -> Result<Witness, ConfigError> {
        let address = "an IP address and a port, as in 0.0.0.0:4435 or [::]:4435";
        let listen = self.parsed("witness.listen", address, |text| text.parse().ok())?;
        let data_dir = self.text("witness.data_dir").map(|(text, place)| resolve(&text, &place))?;
        let rule = "a loopback address and a port, as in 127.0.0.1:9435, or empty";
        let admin = self.parsed("witness.admin", rule, |text| match text {
            "" => Some(None),
            text => text.parse().ok().filter(|it: &SocketAddr| it.ip().is_loopback()).map(Some),
        })?;
        let cluster = self.parsed("witness.cluster", "the pair's id, 32 hexadecimal digits", |text| {
            if text.is_empty() { Some(None) } else { parse_cluster(text).map(Some) }
        })?;
        let ca_file = self.path("witness.ca_file")?;
        let tls = self.both("witness.certificate_file", "witness.key_file")?;
        Ok(Witness { listen, data_dir, admin, cluster, ca_file, tls })
    }

    /// A path, if one is set.
    fn path(&mut self, name: &'static str) -> Result<Option<PathBuf>, ConfigError> {
        let (text, place) = self.text(name)?;
        Ok((!text.is_empty()).then(|| resolve(&text, &place)))
    }

    /// A certificate and its key, both or neither.
    fn both(
        &mut self,
        certificate: &'static str,
        key: &'static str,
    ) -> Result<Option<TlsFiles>, ConfigError> {
        let missing = |name: &str, other: &str| {
            let rule = format!("is required, because {other} is set");
            Err(ConfigError::new(name, Place::Default, rule))
        };
        match (self.path(certificate)?, self.path(key)?) {
            (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
            (None, None) => Ok(None),
            (Some(_), None) => missing(key, certificate),
            (None, Some(_)) => missing(certificate, key),
        }
    }
}

fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    !host.is_empty()
        && !host.contains(['/', '@', ' ', '?', '#'])
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}
