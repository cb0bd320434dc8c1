//! A client without manners: raw QUIC (`duet/1`), frames as bytes, nothing repeated, nothing hidden. For what an SDK
//! would never send, and for seeing exactly what comes back.

use crate::node::{Node, PATIENCE};
use duet_protocol::{
    ALPN_NATIVE, Command, Delivery, DeviceId, DisplayName, Frame, FrameDecoder, Hello, VERSIONS,
};
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use sha2::{Digest as _, Sha256};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::time::timeout;

/// One connection with its control stream.
pub(crate) struct Raw {
    _endpoint: quinn::Endpoint,
    pub(crate) connection: quinn::Connection,
    pub(crate) control: RawStream,
}

/// One stream.
pub(crate) struct RawStream {
    send: quinn::SendStream,
    receive: quinn::RecvStream,
    decoder: FrameDecoder,
}

impl Raw {
    /// Connects to the node and opens the control stream; nothing is said yet.
    pub(crate) async fn connect(node: &Node) -> Self {
        Self::at(node.ready.clients[0], &node.ready.certificate_sha256).await
    }

    /// The same, with whoever listens on this address and shows this certificate.
    pub(crate) async fn at(address: SocketAddr, certificate_sha256: &str) -> Self {
        let mut endpoint = quinn::Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        endpoint.set_default_client_config(configuration(certificate_sha256));
        let connecting = endpoint.connect(address, "localhost").unwrap();
        let connection = timeout(PATIENCE, connecting).await.unwrap().unwrap();
        let control = RawStream::open(&connection).await;
        Self { _endpoint: endpoint, connection, control }
    }

    /// Connects and says hello with this token.
    pub(crate) async fn hello(node: &Node, token: &str) -> Self {
        let mut raw = Self::connect(node).await;
        raw.control.send(&Command::Hello(hello(Some(token.to_owned()), "device-1"))).await;
        raw
    }

    /// The code with which the server ends the connection.
    pub(crate) async fn closed(&self) -> u64 {
        match timeout(PATIENCE, self.connection.closed()).await.unwrap() {
            quinn::ConnectionError::ApplicationClosed(closed) => closed.error_code.into_inner(),
            other => panic!("not closed by the server: {other}"),
        }
    }
}

impl RawStream {
    pub(crate) async fn open(connection: &quinn::Connection) -> Self {
        let (send, receive) = timeout(PATIENCE, connection.open_bi()).await.unwrap().unwrap();
        Self { send, receive, decoder: FrameDecoder::default() }
    }

    pub(crate) async fn send(&mut self, command: &Command) {
        self.send_bytes(&command.encode()).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        // The server may have closed already; what it said is read by the caller.
        let _ = timeout(PATIENCE, self.send.write_all(bytes)).await.unwrap();
    }

    /// Says that nothing more follows.
    pub(crate) fn finish(&mut self) {
        // The server may have ended it already.
        let _ = self.send.finish();
    }

    /// The next frame as it is; none when the stream has ended.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next().unwrap() {
                return Some(frame);
            }
            match timeout(PATIENCE, self.receive.read_chunk(65_536, true)).await.expect("an answer in time") {
                Ok(Some(chunk)) => self.decoder.push(&chunk.bytes),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// The next delivery; none when the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Delivery> {
        let frame = self.frame().await?;
        Some(Delivery::decode(&frame).unwrap().expect("a kind that is known"))
    }

    /// The next delivery that `wanted` takes, others left aside.
    pub(crate) async fn until<T>(&mut self, mut wanted: impl FnMut(Delivery) -> Option<T>) -> T {
        loop {
            let delivery = self.next().await.expect("the stream goes on");
            if let Some(found) = wanted(delivery) {
                return found;
            }
        }
    }
}

/// An ordinary hello.
pub(crate) fn hello(token: Option<String>, device: &str) -> Hello {
    Hello {
        versions: VERSIONS.to_vec(),
        token,
        resume: None,
        device: DeviceId::parse(device).unwrap(),
        sdk: DisplayName::parse("raw").unwrap(),
        epoch_seen: 0,
        capabilities: 0,
    }
}

fn configuration(certificate_sha256: &str) -> quinn::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let pinned = Arc::new(Pinned { sha256: certificate_sha256.to_owned(), provider: Arc::clone(&provider) });
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(pinned)
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN_NATIVE.to_vec()];
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    let mut transport = quinn::TransportConfig::default();
    transport.keep_alive_interval(Some(Duration::from_secs(5)));
    config.transport_config(Arc::new(transport));
    config
}

/// Trusts one certificate, by its hash.
#[derive(Debug)]
struct Pinned {
    sha256: String,
    provider: Arc<rustls::crypto::CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let hash: String = Sha256::digest(leaf).iter().map(|byte| format!("{byte:02x}")).collect();
        if hash == self.sha256 {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General("another certificate".to_owned()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
