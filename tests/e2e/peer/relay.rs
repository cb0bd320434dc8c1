//! A wire that can be cut: passes UDP packets between one caller and one called address, or swallows them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{net::UdpSocket, task::JoinHandle};

pub struct Relay {
    pub address: SocketAddr,
    cut: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Relay {
    pub async fn to(called: SocketAddr) -> Self {
        let front = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let back = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = front.local_addr().unwrap();
        let cut = Arc::new(AtomicBool::new(false));
        let swallows = Arc::clone(&cut);
        let task = tokio::spawn(async move {
            let mut caller = None;
            let (mut there, mut here) = (vec![0; 65_536], vec![0; 65_536]);
            loop {
                let sent = tokio::select! {
                    Ok((length, from)) = front.recv_from(&mut there) => {
                        caller = Some(from);
                        if swallows.load(Ordering::Relaxed) { continue }
                        back.send_to(&there[..length], called).await
                    }
                    Ok((length, _)) = back.recv_from(&mut here) => {
                        let Some(caller) = caller else { continue };
                        if swallows.load(Ordering::Relaxed) { continue }
                        front.send_to(&here[..length], caller).await
                    }
                };
                // A full buffer loses packets, as a wire does.
                drop(sent);
            }
        });
        Self { address, cut, task }
    }

    pub fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}
