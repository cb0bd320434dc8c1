//! The transport by itself, over real sockets: an echo server made of its pieces against hand-made
//! QUIC, HTTP/3 and WebSocket clients and against real browsers.

mod browsers;
mod client;
mod echo;
mod native;
mod websocket;
mod webtransport;
