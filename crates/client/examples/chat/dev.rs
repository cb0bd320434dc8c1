//! The development server's page as a source of tokens: `GET /dev/token`, plain HTTP on loopback.

use duet_client::{
    TokenFuture, TokenSource,
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
    pub(crate) page: String,
    pub(crate) role: String,
    pub(crate) name: String,
}

/// What the development server grants.
pub(crate) struct Grant {
    token: String,
    pub(crate) endpoint: String,
    pub(crate) certificate: String,
}

impl Dev {
    pub(crate) fn from_arguments() -> Result<Self, String> {
        let mut dev = Self { page: "localhost:8080".into(), role: "visitor".into(), name: "Vera".into() };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let field = match argument.as_str() {
                "--page" => &mut dev.page,
                "--role" => &mut dev.role,
                "--name" => &mut dev.name,
                _ => {
                    return Err(
                        "usage: chat [--name NAME] [--role visitor|agent|supervisor] [--page HOST:PORT]"
                            .into(),
                    );
                }
            };
            *field = arguments.next().ok_or_else(|| format!("{argument} needs a value"))?;
        }
        Ok(dev)
    }

    pub(crate) async fn grant(&self) -> Result<Grant, String> {
        let (name, role) = (escape(&self.name), escape(&self.role));
        let user = escape(&format!("{}-{}", self.role, self.name.to_lowercase()));
        let path = format!("/dev/token?role={role}&name={name}&user={user}");
        let body = timeout(Duration::from_secs(5), get(&self.page, &path)).await;
        let body = body.map_err(|_| "it does not answer")?.map_err(|error| error.to_string())?;
        let json: serde_json::Value = serde_json::from_str(&body).map_err(|_| body.clone())?;
        let field =
            |name: &str| json[name].as_str().map(str::to_owned).ok_or(format!("no {name} in its answer"));
        Ok(Grant {
            token: field("token")?,
            endpoint: field("endpoint")?,
            certificate: field("certificate_sha256")?,
        })
    }
}

impl TokenSource for Dev {
    fn token(&self, _: TokenReason) -> TokenFuture {
        let dev = self.clone();
        Box::pin(async move { dev.grant().await.map(|grant| grant.token).map_err(TokenError::Unavailable) })
    }
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
