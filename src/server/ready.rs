//! How the server tells that it is ready, and where: in the log, on standard output, in a file.

use super::{ServeError, ServeOptions, accept::Ports, dev, http::Http};
use crate::config::Config;
use serde::Serialize;
use std::{fs, io::Write, net::SocketAddr, path::Path, time::Duration};

/// Where a server that is ready can be reached.
#[derive(Debug, Clone, Serialize)]
pub struct Ready {
    /// Its name.
    pub node: String,
    /// Addresses for clients, UDP and TCP.
    pub clients: Vec<SocketAddr>,
    /// Health and metrics.
    pub admin: SocketAddr,
    /// The demo page, with `--dev`.
    pub dev: Option<String>,
    /// SHA-256 of the certificate's DER, lower-case hexadecimal.
    pub certificate_sha256: String,
    /// The process.
    pub pid: u32,
    /// From the start of the process's work until now, milliseconds.
    pub ready_after_ms: u64,
    /// Whether it is one of a pair: then the pair decides whether it serves clients, and `/readyz` tells.
    pub pair: bool,
}

impl Ready {
    pub(super) fn new(config: &Config, ports: &Ports, http: &Http) -> Self {
        let dev = http.dev_addresses.first();
        Self {
            node: config.node.as_str().to_owned(),
            clients: ports.addresses(),
            admin: http.admin_address,
            dev: dev.map(|address| format!("http://localhost:{}/", address.port())),
            certificate_sha256: ports
                .certificates()
                .hash()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            pid: std::process::id(),
            ready_after_ms: 0,
            pair: config.pair.is_some(),
        }
    }

    /// Where clients on this machine connect: `localhost` when both families listen on one port, because a browser takes
    /// the first address of that name and tries no other; else an address.
    pub(super) fn local_endpoints(&self) -> Vec<String> {
        let Some(first) = self.clients.first() else { return Vec::new() };
        let also = |other: &SocketAddr| other.port() == first.port() && other.is_ipv4() != first.is_ipv4();
        if self.clients.iter().any(also) {
            return vec![format!("localhost:{}", first.port())];
        }
        vec![first.to_string()]
    }

    /// Tells it.
    ///
    /// # Errors
    /// [`ServeError::File`] when the ready file cannot be written.
    pub(super) fn tell(&mut self, options: &ServeOptions, after: Duration) -> Result<(), ServeError> {
        self.ready_after_ms = after.as_millis() as u64;
        let clients: Vec<String> = self.clients.iter().map(SocketAddr::to_string).collect();
        tracing::info!(
            node = self.node,
            clients = clients.join(","),
            admin = %self.admin,
            ready_after_ms = self.ready_after_ms,
            "{}",
            if self.pair { "up; the pair decides which of its nodes serves" } else { "ready" }
        );
        let line =
            serde_json::to_string(self).map_err(|error| ServeError::system("the ready line", &error))?;
        if let Some(file) = &options.ready_file {
            write_whole(file, &line).map_err(|error| ServeError::file(file, error))?;
        }
        let mut out = std::io::stdout().lock();
        // A closed standard output is nobody who waits for this line.
        let _ = match &self.dev {
            _ if options.print_ready => writeln!(out, "{line}"),
            Some(page) => writeln!(out, "{}", greeting(page, dev::is_built(), self.pair)),
            None => Ok(()),
        }
        .and_then(|()| out.flush());
        Ok(())
    }
}

/// What a person reads who started a server with `--dev`: where the page is, or how to get one.
fn greeting(page: &str, built: bool, pair: bool) -> String {
    if built && pair {
        return format!(
            "This node of the pair is up; the one that reigns serves clients. A visitor and an agent chat at {page}"
        );
    }
    if built {
        return format!("Duet is ready. A visitor and an agent chat at {page}");
    }
    "Duet is ready for clients, but this binary has no demo page. To build it, run `npm ci && npm run build` in \
     client-demo and build Duet again; `make demo` does both."
        .to_owned()
}

/// A reader of the file finds all of it or nothing.
pub(super) fn write_whole(file: &Path, line: &str) -> std::io::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    fs::write(&name, format!("{line}\n"))?;
    fs::rename(&name, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_offered_only_where_there_is_one() {
        let page = "http://localhost:8080/";
        assert!(greeting(page, true, false).contains(page));
        let paired = greeting(page, true, true);
        assert!(paired.contains(page) && !paired.contains("ready"), "it may be the standby: {paired}");
        let without = greeting(page, false, false);
        assert!(!without.contains(page) && without.contains("npm run build"), "{without}");
    }
}
