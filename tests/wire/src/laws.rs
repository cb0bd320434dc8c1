//! What the wire promises, against an echoing server on real sockets.

use crate::{Way, Weather, Wire};
use std::{io::ErrorKind, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    time::{Instant, timeout},
};

const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough for a packet on loopback, and no longer than a test may wait for what must not come.
const NEVER: Duration = Duration::from_millis(200);

async fn tcp_echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address
}

/// Echoes each datagram with the port that it came from in front.
async fn udp_echo() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2_048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let mut answer = from.port().to_be_bytes().to_vec();
            answer.extend(&buffer[..length]);
            let _ = socket.send_to(&answer, from).await;
        }
    });
    address
}

async fn caller(wire: &Wire) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(wire.address()).await.unwrap();
    socket
}

/// The port that the server saw, if an answer came.
async fn asks(socket: &UdpSocket, patience: Duration) -> Option<u16> {
    socket.send(b"hello").await.unwrap();
    let mut buffer = [0; 2_048];
    let length = timeout(patience, socket.recv(&mut buffer)).await.ok()?.unwrap();
    assert_eq!(&buffer[2..length], b"hello");
    Some(u16::from_be_bytes([buffer[0], buffer[1]]))
}

async fn says(stream: &mut TcpStream, word: &[u8]) {
    stream.write_all(word).await.unwrap();
}

async fn hears(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut heard = vec![0; length];
    timeout(PATIENCE, stream.read_exact(&mut heard)).await.expect("an echo in time").unwrap();
    heard
}

#[tokio::test]
async fn a_caller_that_changes_its_address_is_another_one_to_the_server_and_hears_on() {
    let wire = Wire::to(udp_echo().await, 1).await.unwrap();
    let (socket, other) = (caller(&wire).await, caller(&wire).await);
    let before = asks(&socket, PATIENCE).await.unwrap();
    assert_eq!(asks(&socket, PATIENCE).await, Some(before));
    assert_ne!(asks(&other, PATIENCE).await, Some(before), "callers are told apart");
    wire.rebind();
    // What was under way may still come from the old port.
    let deadline = Instant::now() + PATIENCE;
    while asks(&socket, NEVER).await.is_none_or(|port| port == before) {
        assert!(Instant::now() < deadline, "the address never changed");
    }
}

#[tokio::test]
async fn one_way_may_be_dead_while_the_other_lives() {
    let wire = Wire::to(udp_echo().await, 1).await.unwrap();
    let socket = caller(&wire).await;
    assert!(asks(&socket, PATIENCE).await.is_some());
    for way in [Way::Up, Way::Down] {
        wire.set(way, &Weather { hold: true, ..Weather::default() });
        assert_eq!(asks(&socket, NEVER).await, None);
        wire.set(way, &Weather::default());
        assert!(asks(&socket, PATIENCE).await.is_some());
    }
}

#[tokio::test]
async fn a_cut_loses_datagrams_and_only_delays_what_tcp_carries() {
    let (datagrams, streams) =
        (Wire::to(udp_echo().await, 1).await.unwrap(), Wire::to(tcp_echo().await, 1).await.unwrap());
    let socket = caller(&datagrams).await;
    let mut stream = TcpStream::connect(streams.address()).await.unwrap();
    says(&mut stream, b"one").await;
    assert_eq!(hears(&mut stream, 3).await, b"one");
    datagrams.cut(true);
    streams.cut(true);
    assert_eq!(asks(&socket, NEVER).await, None);
    says(&mut stream, b"two").await;
    assert!(timeout(NEVER, stream.peek(&mut [0])).await.is_err(), "nothing passes");
    datagrams.cut(false);
    streams.cut(false);
    assert_eq!(hears(&mut stream, 3).await, b"two", "it waited");
    let mut buffer = [0; 9];
    assert!(timeout(NEVER, socket.recv(&mut buffer)).await.is_err(), "it did not");
}

#[tokio::test]
async fn a_network_without_udp_swallows_datagrams_and_carries_tcp() {
    let (there, here) = (udp_echo().await, tcp_echo().await);
    let (datagrams, streams) =
        (Wire::without_datagrams(there, 1).await.unwrap(), Wire::without_datagrams(here, 1).await.unwrap());
    let socket = caller(&datagrams).await;
    assert_eq!(asks(&socket, NEVER).await, None);
    datagrams.pass_datagrams(true);
    assert!(asks(&socket, PATIENCE).await.is_some());
    let mut stream = TcpStream::connect(streams.address()).await.unwrap();
    says(&mut stream, b"one").await;
    assert_eq!(hears(&mut stream, 3).await, b"one");
}

#[tokio::test]
async fn a_reset_breaks_what_stands_and_new_connections_work() {
    let wire = Wire::to(tcp_echo().await, 1).await.unwrap();
    let mut stream = TcpStream::connect(wire.address()).await.unwrap();
    says(&mut stream, b"one").await;
    hears(&mut stream, 3).await;
    wire.reset();
    let broken = timeout(PATIENCE, stream.read(&mut [0; 9])).await.unwrap();
    assert_eq!(broken.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let mut next = TcpStream::connect(wire.address()).await.unwrap();
    says(&mut next, b"two").await;
    assert_eq!(hears(&mut next, 3).await, b"two");
}

#[tokio::test]
async fn a_half_open_connection_swallows_and_a_new_one_works() {
    let wire = Wire::to(tcp_echo().await, 1).await.unwrap();
    let mut stream = TcpStream::connect(wire.address()).await.unwrap();
    says(&mut stream, b"one").await;
    hears(&mut stream, 3).await;
    wire.half_open();
    says(&mut stream, b"two").await;
    assert!(timeout(NEVER, stream.peek(&mut [0])).await.is_err(), "neither bytes nor an end");
    let mut next = TcpStream::connect(wire.address()).await.unwrap();
    says(&mut next, b"three").await;
    assert_eq!(hears(&mut next, 5).await, b"three");
}

#[tokio::test]
async fn what_a_lossy_connection_carries_arrives_late_whole_and_in_order() {
    let wire = Wire::to(tcp_echo().await, 1).await.unwrap();
    let mut stream = TcpStream::connect(wire.address()).await.unwrap();
    wire.set(Way::Both, &Weather { loss: 0.3, delay_ms: 2, jitter_ms: 5, ..Weather::default() });
    let begun = Instant::now();
    for n in 0..50_u8 {
        says(&mut stream, &[n; 100]).await;
        assert_eq!(hears(&mut stream, 100).await, [n; 100]);
    }
    assert!(begun.elapsed() > Duration::from_millis(50 * 4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_caller_is_told_when_the_server_hangs_up_or_is_not_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let wire = Wire::to(listener.local_addr().unwrap(), 1).await.unwrap();
    let mut stream = TcpStream::connect(wire.address()).await.unwrap();
    drop(timeout(PATIENCE, listener.accept()).await.unwrap().unwrap());
    assert!(matches!(timeout(PATIENCE, stream.read(&mut [0; 9])).await.unwrap(), Ok(0) | Err(_)));
    drop(listener);
    let mut stream = TcpStream::connect(wire.address()).await.unwrap();
    assert!(timeout(PATIENCE, stream.read(&mut [0; 9])).await.unwrap().is_err(), "as if refused");
}
