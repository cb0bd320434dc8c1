//! Sockets for one port number on several addresses, IPv4 and IPv6 apart.
//!
//! IPv6 sockets take IPv6 only, so that both families can be bound side by side: browsers resolve
//! `localhost` to ::1 and do not fall back.

use super::TransportError;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
};

/// How often a free port is looked for when the first one found is taken on another address.
const PORT_TRIES: usize = 32;

/// Pending TCP connections that the system holds.
const BACKLOG: i32 = 1_024;

/// UDP and TCP sockets on each address, all on the same port number where the addresses say 0.
pub(super) struct Sockets {
    pub(super) udp: Vec<UdpSocket>,
    pub(super) tcp: Vec<TcpListener>,
}

impl Sockets {
    pub(super) fn bind(addresses: &[SocketAddr]) -> Result<Self, TransportError> {
        let free_port = addresses.iter().all(|address| address.port() == 0);
        let mut tries = if free_port { PORT_TRIES } else { 1 };
        loop {
            tries -= 1;
            match Self::bind_once(addresses) {
                Err(TransportError::Bind { source, .. })
                    if tries > 0 && source.kind() == io::ErrorKind::AddrInUse => {}
                result => return result,
            }
        }
    }

    fn bind_once(addresses: &[SocketAddr]) -> Result<Self, TransportError> {
        let mut sockets = Self { udp: Vec::new(), tcp: Vec::new() };
        let mut port = None;
        for address in addresses {
            let mut address = *address;
            if let (0, Some(port)) = (address.port(), port) {
                address.set_port(port);
            }
            let failed = |source| TransportError::Bind { address, source };
            let udp: UdpSocket = open(address, Type::DGRAM, Protocol::UDP).map_err(failed)?.into();
            let bound = udp.local_addr().map_err(failed)?;
            port = port.or(Some(bound.port()));
            let tcp = open(bound, Type::STREAM, Protocol::TCP).map_err(failed)?;
            tcp.listen(BACKLOG).map_err(failed)?;
            sockets.udp.push(udp);
            sockets.tcp.push(tcp.into());
        }
        Ok(sockets)
    }
}

fn open(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if kind == Type::STREAM {
        // A restart must not wait for old connections to time out.
        socket.set_reuse_address(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn both_families_and_both_protocols_share_one_port() {
        let addresses = [(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()];
        let sockets = Sockets::bind(&addresses).unwrap();
        let mut ports: Vec<u16> = sockets.udp.iter().map(|udp| udp.local_addr().unwrap().port()).collect();
        ports.extend(sockets.tcp.iter().map(|tcp| tcp.local_addr().unwrap().port()));
        assert_eq!(ports.len(), 4);
        assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = Sockets::bind(&[(Ipv4Addr::LOCALHOST, 0).into()]).unwrap();
        let address = taken.udp[0].local_addr().unwrap();
        let error = Sockets::bind(&[address]).err().unwrap();
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
