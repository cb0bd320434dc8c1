//! The plain HTTP listeners on loopback: admin, and with `--dev` the demo page.

use super::ServeError;
use crate::config::Config;
use axum::Router;
use std::net::SocketAddr;
use tokio::{net::TcpListener, task::JoinSet};

/// Bound listeners, not served yet.
pub(super) struct Http {
    admin: TcpListener,
    dev: Vec<TcpListener>,
    /// Where the admin pages are.
    pub(super) admin_address: SocketAddr,
    /// Where the demo page is; empty without `--dev`.
    pub(super) dev_addresses: Vec<SocketAddr>,
}

/// Binds what the configuration asks for.
pub(super) async fn bind(config: &Config) -> Result<Http, ServeError> {
    let (admin, admin_address) = bind_one("admin", config.listen.admin).await?;
    let (mut dev, mut dev_addresses): (Vec<TcpListener>, Vec<SocketAddr>) = (Vec::new(), Vec::new());
    for &wanted in config.listen.dev.iter().filter(|_| config.dev) {
        // `localhost` means both families, so a port that the system chose for the first is asked for in the second.
        let port = match (wanted.port(), dev_addresses.first()) {
            (0, Some(first)) => first.port(),
            (port, _) => port,
        };
        match bind_one("the demo page", SocketAddr::new(wanted.ip(), port)).await {
            Ok((listener, address)) => {
                dev.push(listener);
                dev_addresses.push(address);
            }
            Err(ServeError::Listen { source, .. }) if wanted.is_ipv6() && !dev.is_empty() => {
                tracing::warn!(address = %wanted, error = %source, "the demo page goes without this address");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Http { admin, dev, admin_address, dev_addresses })
}

impl Http {
    /// Serves the admin pages, and the demo page if there is one.
    pub(super) fn serve(self, tasks: &mut JoinSet<&'static str>, admin: Router, dev: Option<&Router>) {
        serve_one(tasks, "the admin listener", self.admin, admin);
        for (listener, router) in self.dev.into_iter().filter_map(|listener| Some((listener, dev.cloned()?)))
        {
            serve_one(tasks, "the demo page", listener, router);
        }
    }
}

/// Binds one listener and serves it.
pub(super) async fn serve_alone(
    tasks: &mut JoinSet<&'static str>,
    address: SocketAddr,
    router: Router,
) -> Result<(), ServeError> {
    let (listener, address) = bind_one("admin", address).await?;
    tracing::info!(%address, "health and metrics");
    serve_one(tasks, "the admin listener", listener, router);
    Ok(())
}

fn serve_one(tasks: &mut JoinSet<&'static str>, name: &'static str, listener: TcpListener, router: Router) {
    tasks.spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, name, "stopped listening");
        }
        name
    });
}

async fn bind_one(what: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Listen { what, address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}
