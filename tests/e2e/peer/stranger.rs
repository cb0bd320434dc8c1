//! A hand-made end of a link: QUIC with a certificate of the test's choice, and any bytes.

use super::node::{Pair, SOON, soon};
use duet::{
    core::{ClusterId, Nonce, Side},
    peer::{
        ALPN_PEER, Identity, IdentityFiles, Member,
        hello::{Greeting, VERSIONS},
    },
};
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, RecvStream, SendStream,
    crypto::rustls::QuicClientConfig,
};
use std::{net::SocketAddr, sync::Arc};

pub struct Stranger {
    endpoint: Endpoint,
}

/// A connection and its two lanes.
pub struct Called {
    pub connection: Connection,
    pub pulse: (SendStream, RecvStream),
    pub log: (SendStream, RecvStream),
    _endpoint: Endpoint,
}

impl Stranger {
    pub fn new(files: &IdentityFiles, cluster: ClusterId, member: Member) -> Self {
        let tls = Identity::load(files, cluster, member).unwrap().client_config(ALPN_PEER).unwrap();
        let mut endpoint = Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
        let quic = QuicClientConfig::try_from(tls).unwrap();
        endpoint.set_default_client_config(ClientConfig::new(Arc::new(quic)));
        Self { endpoint }
    }

    /// Calls a node by its right name, with these first bytes. What the node closes with, unless it greets back.
    pub async fn call(
        self,
        address: SocketAddr,
        called: Member,
        cluster: ClusterId,
        greeting: &[u8],
    ) -> Result<Called, ConnectionError> {
        let connecting = self.endpoint.connect(address, &called.name(cluster)).unwrap();
        let connection = soon("the handshake", connecting).await?;
        let mut pulse = connection.open_bi().await?;
        let mut log = connection.open_bi().await?;
        // A node that refuses a certificate may close before it reads.
        let _ = pulse.0.write_all(&[&[1], greeting].concat()).await;
        let _ = log.0.write_all(&[2]).await;
        let mut answer = [0; 37];
        match tokio::time::timeout(SOON, pulse.1.read_exact(&mut answer)).await.expect("an answer") {
            Ok(()) => Ok(Called { connection, pulse, log, _endpoint: self.endpoint }),
            Err(_) => Err(soon("the reason", connection.closed()).await),
        }
    }
}

/// Node a of the pair, whose greeting is in order, on a link with b.
pub async fn call_as_a(pair: &Pair, b: SocketAddr) -> Called {
    let a = Member::Node(Side::A);
    let stranger = Stranger::new(&pair.files(a), pair.cluster, a);
    stranger.call(b, Member::Node(Side::B), pair.cluster, &greeting(pair, Side::A)).await.unwrap()
}

pub fn greeting(pair: &Pair, side: Side) -> Vec<u8> {
    let (cluster, versions) = (pair.cluster, VERSIONS);
    Greeting { cluster, versions, side, nonce: Nonce([77; 16]) }.encode().to_vec()
}

/// The application's code in a close.
pub fn code(error: &ConnectionError) -> Option<u64> {
    match error {
        ConnectionError::ApplicationClosed(close) => Some(close.error_code.into_inner()),
        _ => None,
    }
}
