//! The floor: the smallest fan-out that quinn allows, with no session, no log, no names, no rights. What Duet costs above it
//! is what Duet does.

use bytes::{Bytes, BytesMut};
use duet_load::{LoadError, Speaker, Tally, offer, tls};
use futures_util::{StreamExt as _, stream};
use quinn::{Endpoint, RecvStream, SendStream, TransportConfig, crypto::rustls as quic_tls};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use std::{cell::RefCell, collections::BTreeMap, fs, net::SocketAddr, path::Path, rc::Rc, sync::Arc};
use tokio::sync::mpsc;

/// A room's number comes first on the stream, then messages: two bytes of length each.
const ALPN: &[u8] = b"floor";

type Rooms = Rc<RefCell<BTreeMap<u32, Vec<mpsc::UnboundedSender<Bytes>>>>>;

/// Serves until it is killed.
pub(crate) fn serve(folder: &Path) {
    let address: SocketAddr = fs::read_to_string(folder.join("floor.address")).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let certificate = CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        config.alpn_protocols = vec![ALPN.to_vec()];
        let crypto = quic_tls::QuicServerConfig::try_from(config).unwrap();
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        let mut transport = TransportConfig::default();
        transport.max_concurrent_bidi_streams(16_u32.into()).max_concurrent_uni_streams(16_u32.into());
        config.transport_config(Arc::new(transport));
        let endpoint = Endpoint::server(config, address).unwrap();
        let rooms = Rooms::default();
        while let Some(incoming) = endpoint.accept().await {
            let rooms = Rc::clone(&rooms);
            tokio::task::spawn_local(async move {
                let Ok(connection) = incoming.await else { return };
                if let Ok((send, receive)) = connection.accept_bi().await {
                    attend(send, receive, rooms).await;
                }
            });
        }
    });
}

async fn attend(mut send: SendStream, mut receive: RecvStream, rooms: Rooms) {
    let mut head = [0; 4];
    if receive.read_exact(&mut head).await.is_err() {
        return;
    }
    let room = u32::from_be_bytes(head);
    let (to_writer, mut from_room) = mpsc::unbounded_channel::<Bytes>();
    rooms.borrow_mut().entry(room).or_default().push(to_writer);
    tokio::task::spawn_local(async move {
        let mut ready = Vec::new();
        while from_room.recv_many(&mut ready, 64).await > 0 {
            if send.write_all_chunks(&mut ready).await.is_err() {
                return;
            }
            ready.clear();
        }
    });
    let mut input = BytesMut::new();
    while let Ok(Some(chunk)) = receive.read_chunk(64 << 10, true).await {
        input.extend_from_slice(&chunk.bytes);
        while let Some(message) = cut(&mut input) {
            if let Some(room) = rooms.borrow().get(&room) {
                for member in room {
                    // A member that is gone hears nothing.
                    let _ = member.send(message.clone());
                }
            }
        }
    }
}

/// The first whole message with its length, if it is there.
fn cut(input: &mut BytesMut) -> Option<Bytes> {
    let length = usize::from(u16::from_be_bytes(*input.first_chunk()?)) + 2;
    (input.len() >= length).then(|| input.split_to(length).freeze())
}

struct FloorSpeaker {
    out: RefCell<(SendStream, BytesMut)>,
}

impl Speaker for FloorSpeaker {
    fn publish(&self, payload: &[u8]) {
        let length = u16::try_from(payload.len()).unwrap();
        {
            let out = &mut self.out.borrow_mut().1;
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(payload);
        }
        self.flush();
    }

    fn flush(&self) {
        let (stream, pending) = &mut *self.out.borrow_mut();
        offer(stream, pending);
    }

    fn waiting(&self) -> usize {
        self.out.borrow().1.len()
    }
}

/// Connects everyone and lets them join their rooms.
pub(crate) async fn connect_all(
    address: SocketAddr,
    sessions: usize,
    room: usize,
    tally: &Rc<Tally>,
) -> Result<Vec<Rc<dyn Speaker>>, LoadError> {
    let lost = |error: &dyn std::fmt::Display| LoadError::Connection(error.to_string());
    let crypto = quic_tls::QuicClientConfig::try_from(tls::client(&tls::Trust::Any, &[ALPN])?);
    let config = quinn::ClientConfig::new(Arc::new(crypto.map_err(|error| lost(&error))?));
    let endpoints: Vec<_> = (0..sessions.div_ceil(500))
        .map(|_| Endpoint::client(SocketAddr::from(([0, 0, 0, 0], 0))).unwrap())
        .collect();
    let all = (0..sessions).map(|number| {
        let (endpoint, config) = (&endpoints[number % endpoints.len()], config.clone());
        async move {
            let connecting = endpoint.connect_with(config, address, "localhost");
            let connection = connecting.map_err(|error| lost(&error))?.await.map_err(|error| lost(&error))?;
            let (mut send, receive) = connection.open_bi().await.map_err(|error| lost(&error))?;
            let room = u32::try_from(number / room).unwrap();
            send.write_all(&room.to_be_bytes()).await.map_err(|error| lost(&error))?;
            tokio::task::spawn_local(listen(receive, u32::try_from(number).unwrap(), Rc::clone(tally)));
            let speaker = FloorSpeaker { out: RefCell::new((send, BytesMut::new())) };
            Ok(Rc::new(speaker) as Rc<dyn Speaker>)
        }
    });
    let mut joining = stream::iter(all).buffered(64);
    let mut speakers = Vec::new();
    while let Some(speaker) = joining.next().await {
        speakers.push(speaker?);
    }
    Ok(speakers)
}

async fn listen(mut stream: RecvStream, number: u32, tally: Rc<Tally>) {
    let mut input = BytesMut::new();
    while let Ok(Some(chunk)) = stream.read_chunk(64 << 10, true).await {
        input.extend_from_slice(&chunk.bytes);
        while let Some(message) = cut(&mut input) {
            tally.heard(number, &message[2..]);
        }
    }
    tally.lost();
}
