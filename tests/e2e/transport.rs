//! The transport by itself, over real sockets: an echo server made of its pieces against hand-made
//! QUIC, HTTP/3, WebSocket and HTTP clients and against real browsers.

mod browsers;
mod client;
mod echo;
mod http;
mod http_client;
mod native;
mod websocket;
mod webtransport;
