//! What `--dev` adds, on loopback only: a demo tenant whose key is minted into the data directory, and a page on plain
//! HTTP (which browsers treat as a secure context on `localhost`) with tokens for whoever asks.
//!
//! The page is built by Vite and embedded; without it the binary still builds, and the page says how to build it. Requests
//! whose `Host` is not this machine are refused, so that no foreign name that resolves to loopback reads a token.

use super::{ServeError, clock::system_ms, mint::Mint};
use crate::config::{KeyMaterial, Place, Tenant, TenantKey};
use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use duet_protocol::TenantName;
use rust_embed::RustEmbed;
use serde::Serialize;
use std::{collections::BTreeMap, fs, io::Write, path::Path, sync::Arc};

/// The tenant of the demo.
pub(super) const TENANT: &str = "demo";

/// The demo tenant; its key is read from `data_dir`, or minted there (mode 0600) if `mint` allows it.
///
/// # Errors
/// [`ServeError`] when the file cannot be read or written. `Ok(None)` when there is none and none may be minted.
pub(super) fn tenant(data_dir: &Path, mint: bool) -> Result<Option<Tenant>, ServeError> {
    let file = data_dir.join(KEY_FILE);
    let failed = |error| ServeError::file(&file, error);
    let secret = match fs::read(&file) {
        Ok(secret) => secret,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && mint => {
            let mut random = [0; 32];
            getrandom::fill(&mut random).map_err(|error| ServeError::Entropy(error.to_string()))?;
            let secret: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
            write_private(&file, secret.as_bytes()).map_err(failed)?;
            secret.into_bytes()
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let place = Place::File(file.clone(), 1);
    let material = KeyMaterial::Hs256 { secret };
    let key = TenantKey { kid: "demo-1".to_owned(), issuer: None, material, place: place.clone() };
    let name = TenantName::parse(TENANT).map_err(|error| ServeError::Dev(error.to_string()))?;
    Ok(Some(Tenant { name, keys: vec![key], issuers: Vec::new(), place }))
}

/// What the demo page is told.
pub(super) struct Page {
    pub(super) mint: Mint,
    /// `host:port` for clients on this machine.
    pub(super) endpoints: Vec<String>,
    /// Of the certificate in use; asked for each time, because it is renewed.
    pub(super) certificate_hash: Box<dyn Fn() -> [u8; 32] + Send + Sync>,
}

/// Whether the page was built before the binary.
pub(super) fn is_built() -> bool {
    Built::get("index.html").is_some()
}

/// The answer of `/dev/token`.
#[derive(Debug, Serialize)]
struct DevToken {
    token: String,
    tenant: &'static str,
    user: String,
    name: String,
    role: String,
    expires_ms: u64,
    endpoint: String,
    endpoints: Vec<String>,
    /// A WebSocket without TLS on the page's own listener: browsers trust no minted certificate for `wss`.
    websocket: String,
    certificate_sha256: String,
}

/// The dev listener's pages: `/dev/token`, everything else from the built demo.
pub(super) fn router(page: Page) -> Router {
    Router::new().route("/dev/token", get(token)).fallback(get(asset)).with_state(Arc::new(page))
}

const KEY_FILE: &str = "dev-tenant.key";
const TTL_S: u64 = 3_600;

#[derive(RustEmbed)]
#[folder = "client-demo/demo/dist"]
#[allow_missing = true]
struct Built;

async fn token(State(page): State<Arc<Page>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    if !is_local(&headers) {
        return (StatusCode::FORBIDDEN, "Ask this machine by its own name: localhost.\n").into_response();
    }
    let query = parse_query(query.as_deref().unwrap_or(""));
    let role = query.get("role").map_or("visitor", String::as_str);
    if super::auth::parse_role(role).is_none() {
        return (StatusCode::BAD_REQUEST, "role: visitor, agent, supervisor or service\n").into_response();
    }
    let user = query.get("user").cloned().unwrap_or_else(|| format!("{role}-1"));
    let name = query.get("name").cloned().unwrap_or_else(|| user.clone());
    let checked =
        duet_protocol::UserId::parse(&user).err().or(duet_protocol::DisplayName::parse(&name).err());
    if let Some(error) = checked {
        return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response();
    }
    let now_s = system_ms() / 1_000;
    let token = match page.mint.token(&user, Some(&name), role, now_s, TTL_S) {
        Ok(token) => token,
        Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    };
    let hash = (page.certificate_hash)();
    let answer = DevToken {
        token,
        tenant: TENANT,
        user,
        name,
        role: role.to_owned(),
        expires_ms: (now_s + TTL_S) * 1_000,
        endpoint: page.endpoints.first().cloned().unwrap_or_default(),
        endpoints: page.endpoints.clone(),
        websocket: format!("ws://{}/duet/v1/ws", host(&headers)),
        certificate_sha256: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

async fn asset(headers: HeaderMap, uri: Uri) -> Response {
    if !is_local(&headers) {
        return (StatusCode::FORBIDDEN, "Ask this machine by its own name: localhost.\n").into_response();
    }
    let path = uri.path().trim_start_matches('/');
    let path =
        if path.is_empty() || path.ends_with('/') { format!("{path}index.html") } else { path.to_owned() };
    let Some(file) = Built::get(&path) else {
        return if is_built() {
            (StatusCode::NOT_FOUND, "There is no such file.\n").into_response()
        } else {
            (StatusCode::NOT_FOUND, Html(NOT_BUILT)).into_response()
        };
    };
    let headers = [
        (header::CONTENT_TYPE, media_type(&path)),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, file.data.into_owned()).into_response()
}

const NOT_BUILT: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>Duet</title>\
<h1>The server runs; the demo page is not built.</h1>\
<p>Build it with <code>npm ci &amp;&amp; npm run build</code> in <code>client-demo</code>, then build Duet again; \
<code>make demo</code> does both.</p></html>\n";

/// Whether the request names this machine (the authority in `Host`, RFC 9110 §7.2).
fn is_local(headers: &HeaderMap) -> bool {
    let host = host(headers);
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

fn host(headers: &HeaderMap) -> &str {
    headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("")
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or("") {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// `application/x-www-form-urlencoded`; what is malformed is left as it is.
fn parse_query(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(_, value)| !value.is_empty()).map(|(key, value)| (decode(key), decode(value))).collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |byte: &u8| (*byte as char).to_digit(16).map(|digit| digit as u8);
        rest = match (first, tail) {
            (b'%', [high, low, tail @ ..]) if hex(high).is_some() && hex(low).is_some() => {
                bytes.push(hex(high).unwrap_or(0) << 4 | hex(low).unwrap_or(0));
                tail
            }
            (b'+', tail) => {
                bytes.push(b' ');
                tail
            }
            (other, tail) => {
                bytes.push(*other);
                tail
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Writes a new file that only its owner can read.
fn write_private(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(file)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_key_is_private_and_stays_the_same() {
        let dir = tempfile::tempdir().unwrap();
        assert!(tenant(dir.path(), false).unwrap().is_none());
        let minted = tenant(dir.path(), true).unwrap().unwrap();
        let again = tenant(dir.path(), false).unwrap().unwrap();
        assert_eq!(minted.keys[0].material, again.keys[0].material);
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &fs::metadata(dir.path().join(KEY_FILE)).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_foreign_name_for_this_machine_reads_no_token() {
        let host = |name: &str| HeaderMap::from_iter([(header::HOST, name.parse().unwrap())]);
        for local in ["localhost:8080", "localhost", "127.0.0.1:1", "[::1]:8080", "[::1]"] {
            assert!(is_local(&host(local)), "{local}");
        }
        for foreign in ["evil.example:8080", "localhost.evil.example", "", "127.0.0.1.evil.example:80"] {
            assert!(!is_local(&host(foreign)), "{foreign}");
        }
    }

    #[test]
    fn a_query_is_decoded_and_malformed_parts_stay_as_they_are() {
        let query = parse_query("user=ana%2B1&name=Ana+Mar%C3%ADa&empty=&odd=%zz%4");
        assert_eq!(query["user"], "ana+1");
        assert_eq!(query["name"], "Ana María");
        assert_eq!(query["odd"], "%zz%4");
        assert!(!query.contains_key("empty"));
    }
}
