//! The development server's page as a source of tokens: `GET /dev/token`, plain HTTP on loopback.

use duet_client::{
    TokenFuture, TokenSource,
    link::{LinkError, Trust},
    machine::{TokenError, TokenReason},
};
use std::{error::Error, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Where tokens come from, and for whom.
#[derive(Debug, Clone)]
pub(crate) struct Dev {
    /// One for each node; whichever answers gives the token.
    pub(crate) pages: Vec<String>,
    pub(crate) role: String,
    pub(crate) name: String,
}

/// What the development servers grant: a token, and where each of them listens with which certificate.
pub(crate) struct Grant {
    token: String,
    pub(crate) endpoints: Vec<String>,
    pub(crate) certificates: Vec<String>,
}

impl Dev {
    pub(crate) fn from_arguments() -> Result<Self, String> {
        let mut dev = Self { pages: Vec::new(), role: "visitor".into(), name: "Vera".into() };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{argument} needs a value\n{USAGE}"))?;
            match argument.as_str() {
                "--page" => dev.pages.push(value),
                "--role" => dev.role = value,
                "--name" => dev.name = value,
                _ => return Err(USAGE.into()),
            }
        }
        if dev.pages.is_empty() {
            dev.pages.push("localhost:8080".into());
        }
        Ok(dev)
    }

    /// What all pages grant together; one that does not answer is left out.
    pub(crate) async fn grant(&self) -> Result<Grant, String> {
        let (mut granted, mut last): (Option<Grant>, _) = (None, String::from("no page"));
        for page in &self.pages {
            match (self.ask(page).await, &mut granted) {
                (Ok(grant), None) => granted = Some(grant),
                (Ok(grant), Some(all)) => {
                    all.endpoints.extend(grant.endpoints);
                    all.certificates.extend(grant.certificates);
                }
                (Err(why), _) => last = format!("{page}: {why}"),
            }
        }
        granted.ok_or(last)
    }

    async fn ask(&self, page: &str) -> Result<Grant, String> {
        let (name, role) = (escape(&self.name), escape(&self.role));
        let user = escape(&format!("{}-{}", self.role, self.name.to_lowercase()));
        let path = format!("/dev/token?role={role}&name={name}&user={user}");
        let body = timeout(Duration::from_secs(5), get(page, &path)).await;
        let body = body.map_err(|_| "it does not answer")?.map_err(|error| error.to_string())?;
        let json: serde_json::Value = serde_json::from_str(&body).map_err(|_| body.clone())?;
        let field =
            |name: &str| json[name].as_str().map(str::to_owned).ok_or(format!("no {name} in its answer"));
        Ok(Grant {
            token: field("token")?,
            endpoints: vec![field("endpoint")?],
            certificates: vec![field("certificate_sha256")?],
        })
    }
}

const USAGE: &str = "usage: chat [--name NAME] [--role visitor|agent|supervisor] [--page HOST:PORT]...";

impl TokenSource for Dev {
    fn token(&self, _: TokenReason) -> TokenFuture {
        let dev = self.clone();
        Box::pin(async move { dev.grant().await.map(|grant| grant.token).map_err(TokenError::Unavailable) })
    }
}

/// Trust in exactly these certificates.
pub(crate) fn pinned(hashes: &[String]) -> Result<Trust, LinkError> {
    let mut all = Vec::new();
    for hash in hashes {
        if let Trust::Pinned(mut one) = Trust::pinned_hex(hash)? {
            all.append(&mut one);
        }
    }
    Ok(Trust::Pinned(all))
}

/// The body of a plain HTTP answer; its text as the error unless the status is 200.
async fn get(host: &str, path: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
    let mut stream = TcpStream::connect(host).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(64 << 10).read_to_end(&mut answer).await?;
    let answer = String::from_utf8(answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("not an HTTP answer")?;
    if head.split(' ').nth(1) == Some("200") { Ok(body.to_owned()) } else { Err(body.trim().into()) }
}

fn escape(text: &str) -> String {
    let escaped = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    });
    escaped.collect()
}
