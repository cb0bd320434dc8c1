//! One GET over HTTP/1.1, for an issuer's keys: `https` with the machine's certificates, or `http` to this very machine.
//!
//! No redirects, no proxies, no cookies, nothing kept. Bounded in time and size.

use axum::body::{Body, to_bytes};
use http::{Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// Why there is no document. The text names no more than the operator has written.
#[derive(Debug, thiserror::Error)]
pub enum FetchFailed {
    /// Not `https`, nor `http` to a loopback address.
    #[error("the address must be https, or http to this machine")]
    Address,
    /// No connection, or it broke.
    #[error("{0}")]
    Connection(String),
    /// Another status than 200.
    #[error("the status is {0}")]
    Status(StatusCode),
    /// Not in time.
    #[error("no answer within {} seconds", WITHIN.as_secs())]
    TooSlow,
}

/// The body at `url`.
///
/// # Errors
/// [`FetchFailed`].
pub async fn get(url: &Uri) -> Result<Vec<u8>, FetchFailed> {
    timeout(WITHIN, exchange(url)).await.unwrap_or(Err(FetchFailed::TooSlow))
}

async fn exchange(url: &Uri) -> Result<Vec<u8>, FetchFailed> {
    let host = url.host().filter(|_| crate::config::may_fetch(url)).ok_or(FetchFailed::Address)?;
    let secure = url.scheme_str() == Some("https");
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let broken = |error: std::io::Error| FetchFailed::Connection(error.to_string());
    let stream = TcpStream::connect((name.as_str(), port)).await.map_err(broken)?;
    if !secure {
        return ask(stream, url).await;
    }
    let server = ServerName::try_from(name).map_err(|_| FetchFailed::Address)?;
    let stream = TlsConnector::from(Arc::new(trusting()?)).connect(server, stream).await.map_err(broken)?;
    ask(stream, url).await
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    url: &Uri,
) -> Result<Vec<u8>, FetchFailed> {
    let broken = |error: &dyn std::fmt::Display| FetchFailed::Connection(error.to_string());
    let (mut sender, connection) = hyper::client::conn::http1::handshake::<_, Body>(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    let request = Request::get(url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str))
        .header(header::HOST, url.authority().map_or("", http::uri::Authority::as_str))
        .header(header::ACCEPT, "application/jwk-set+json, application/json")
        .header(header::CONNECTION, "close")
        .body(Body::empty())
        .map_err(|error| broken(&error))?;
    let answer = async move {
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        if response.status() != StatusCode::OK {
            return Err(FetchFailed::Status(response.status()));
        }
        let body = to_bytes(Body::new(response.into_body()), DOCUMENT_BYTES_MAX).await;
        Ok(body.map_err(|error| broken(&error))?.to_vec())
    };
    // How the connection ends says nothing once the answer is there.
    let (_, answer) = tokio::join!(connection, answer);
    answer
}

/// Trusts whom this machine trusts.
fn trusting() -> Result<ClientConfig, FetchFailed> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(FetchFailed::Connection("this machine has no certificates to trust".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let versions = versions.map_err(|error| FetchFailed::Connection(error.to_string()))?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}

/// Largest document.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024;

/// Longest fetch, from the name to the last byte.
const WITHIN: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, http::StatusCode as Status, routing::get as route};

    async fn served(router: Router) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    #[tokio::test]
    async fn a_document_is_had_whole_and_what_is_too_large_missing_or_elsewhere_is_not() {
        let large = || async { vec![b' '; DOCUMENT_BYTES_MAX + 1] };
        let away = || async { (Status::FOUND, [("location", "/keys")]) };
        let router = Router::new()
            .route("/keys", route(|| async { "the keys" }))
            .route("/large", route(large))
            .route("/away", route(away));
        let base = served(router).await;
        let at = |path: &str| format!("{base}{path}").parse::<Uri>().unwrap();
        assert_eq!(get(&at("/keys")).await.unwrap(), b"the keys");
        assert!(matches!(get(&at("/large")).await, Err(FetchFailed::Connection(_))));
        assert!(matches!(get(&at("/none")).await, Err(FetchFailed::Status(Status::NOT_FOUND))));
        assert!(matches!(get(&at("/away")).await, Err(FetchFailed::Status(Status::FOUND))), "no redirects");
        let elsewhere: Uri = "http://192.0.2.1/keys".parse().unwrap();
        assert!(
            matches!(get(&elsewhere).await, Err(FetchFailed::Address)),
            "in the clear, to another machine"
        );
    }
}
