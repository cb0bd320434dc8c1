//! The cases: what is asked of every server alike.

use crate::{
    servers::{Server, Which},
    tcp,
};
use duet_load::{Flow, Flown, LoadError, Meter, Plan, Pressure, Shape, Speaker, Tally, Tokens, flow};
use serde::Serialize;
use std::{
    fmt,
    rc::Rc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// One thing that is measured.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    sessions: usize,
    kind: Kind,
}

enum Kind {
    /// Rooms of so many, at so many deliveries a second.
    Rate { room: usize, deliveries: f64, durable: bool },
    /// Rooms of so many, each speaker with so many messages on the way.
    Saturated { room: usize, in_flight: usize },
    /// Nothing but connections.
    Idle,
}

/// What one server made of one case in one round.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) round: usize,
    pub(crate) case: &'static str,
    pub(crate) server: &'static str,
    pub(crate) figures: Figures,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Figures {
    pub(crate) cpu_us_per_delivery: Option<f64>,
    pub(crate) deliveries_per_s: Option<f64>,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) handshake_cpu_ms: f64,
    pub(crate) rss_kib_per_session: f64,
    pub(crate) generator_cores: f64,
    pub(crate) lost: u64,
}

pub(crate) fn all() -> Vec<Case> {
    let rate = |name, about, room, durable| Case {
        name,
        about,
        sessions: 1_000,
        kind: Kind::Rate { room, deliveries: 40_000.0, durable },
    };
    vec![
        rate("r10", "1,000 sessions in rooms of 10, 40,000 deliveries/s", 10, false),
        rate("r100", "1,000 sessions in rooms of 100, 40,000 deliveries/s", 100, false),
        rate("r1000", "one room of 1,000, 40,000 deliveries/s", 1_000, false),
        rate("r10-durable", "as r10, every message stored before it is acknowledged", 10, true),
        Case {
            name: "saturated",
            about: "1,000 sessions in rooms of 10, as many messages as come back",
            sessions: 1_000,
            kind: Kind::Saturated { room: 10, in_flight: 4 },
        },
        Case { name: "idle", about: "2,000 sessions that do nothing", sessions: 2_000, kind: Kind::Idle },
    ]
}

impl Case {
    /// Only Duet stores.
    pub(crate) fn suits(&self, which: Which) -> bool {
        !matches!(self.kind, Kind::Rate { durable: true, .. }) || which.is_duet()
    }

    pub(crate) fn run(&self, server: &Server, duration: Duration) -> Result<Figures, LoadError> {
        if let Some(carrier) = server.which.carrier() {
            return self.run_duet(server, carrier, duration);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, self.run_peer(server, duration))
    }

    fn run_duet(
        &self,
        server: &Server,
        carrier: duet_load::Carrier,
        duration: Duration,
    ) -> Result<Figures, LoadError> {
        let durability = match self.kind {
            Kind::Rate { durable: true, .. } => duet_load::Durability::Accepted,
            _ => duet_load::Durability::Ephemeral,
        };
        let plan = Plan {
            address: server.address,
            host: "localhost".to_owned(),
            trust: duet_load::tls::Trust::Any,
            carriers: vec![carrier],
            sessions: self.sessions,
            shape: match self.pressure() {
                Some((size, pressure)) => {
                    Shape::Rooms { size, pressure, payload_bytes: PAYLOAD_BYTES, durability, lively: false }
                }
                None => Shape::Idle,
            },
            warm_up: WARM_UP,
            duration,
            server: Some(server.pid()),
            run: "peers".to_owned(),
        };
        let before = Meter::start(server.pid())?.read()?.rss_kib;
        let report = duet_load::run(&plan, &Signer { secret: &server.secret }, &mut |_| {})?;
        let rss = Meter::start(server.pid())?.read()?.rss_kib;
        Ok(Figures {
            cpu_us_per_delivery: report.cpu_us_per_delivery,
            deliveries_per_s: report.delivered_per_s,
            p50_ms: report.delivery.map(|latency| latency.p50_ms),
            p99_ms: report.delivery.map(|latency| latency.p99_ms),
            handshake_cpu_ms: report.handshake_cpu_ms.ok_or(LoadError::Silence("the server's process"))?,
            rss_kib_per_session: report
                .rss_kib_per_session
                .unwrap_or(rss.saturating_sub(before) as f64 / self.sessions as f64),
            generator_cores: report.generator_cores,
            lost: report.lost,
        })
    }

    async fn run_peer(&self, server: &Server, duration: Duration) -> Result<Figures, LoadError> {
        let tally = Rc::new(Tally::new());
        let connecting = Meter::start(server.pid())?;
        let before = connecting.read()?.rss_kib;
        let (room, pressure) = self.pressure().map_or((self.sessions, None), |(room, p)| (room, Some(p)));
        let speakers = tcp::connect_all(server, self.sessions, room, &tally).await?;
        let handshake_cpu_ms = connecting.read()?.cpu_s * 1e3 / self.sessions as f64;
        let flown = match pressure {
            Some(pressure) => Some(self.flow(server, &speakers, &tally, pressure, duration).await?),
            None => {
                tokio::time::sleep(duration).await;
                None
            }
        };
        let rss = connecting.read()?.rss_kib;
        let time = |quantile| {
            tally.delivery_times(|h| (!h.is_empty()).then(|| h.value_at_quantile(quantile) as f64 / 1e6))
        };
        Ok(Figures {
            cpu_us_per_delivery: flown
                .and_then(|flown| Some(flown.server?.cpu_s * 1e6 / flown.delivered.max(1) as f64)),
            deliveries_per_s: flown.map(|flown| flown.delivered as f64 / flown.seconds),
            p50_ms: time(0.5),
            p99_ms: time(0.99),
            handshake_cpu_ms,
            rss_kib_per_session: rss.saturating_sub(before) as f64 / self.sessions as f64,
            generator_cores: flown.map_or(0.0, |flown| flown.generator_cores),
            lost: tally.losses(),
        })
    }

    async fn flow(
        &self,
        server: &Server,
        speakers: &[Rc<dyn Speaker>],
        tally: &Tally,
        pressure: Pressure,
        duration: Duration,
    ) -> Result<Flown, LoadError> {
        let how = Flow {
            pressure,
            payload_bytes: PAYLOAD_BYTES,
            warm_up: WARM_UP,
            duration,
            server: Some(server.pid()),
        };
        flow(speakers, tally, &how, &mut |_| {}).await
    }

    fn pressure(&self) -> Option<(usize, Pressure)> {
        match self.kind {
            Kind::Rate { room, deliveries, .. } => {
                Some((room, Pressure::PerSecond(deliveries / room as f64)))
            }
            Kind::Saturated { room, in_flight } => Some((room, Pressure::InFlight(in_flight))),
            Kind::Idle => None,
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2}"));
        write!(
            f,
            "{} µs/delivery · {} deliveries/s · p50 {} p99 {} ms · {:.3} ms/handshake · {:.1} KiB/session · generator {:.0} %",
            shown(self.cpu_us_per_delivery),
            self.deliveries_per_s.map_or("–".to_owned(), |rate| format!("{rate:.0}")),
            shown(self.p50_ms),
            shown(self.p99_ms),
            self.handshake_cpu_ms,
            self.rss_kib_per_session,
            self.generator_cores * 100.0
        )?;
        if self.lost > 0 { write!(f, " · {} LOST", self.lost) } else { Ok(()) }
    }
}

struct Signer<'a> {
    secret: &'a [u8],
}

impl Tokens for Signer<'_> {
    fn token(&self, user: &str, role: &str) -> Result<String, String> {
        use jsonwebtoken::{Algorithm, EncodingKey, Header};
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("demo-1".to_owned());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
        let claims = serde_json::json!({ "sub": user, "role": role, "exp": now.as_secs() + TOKEN_LIVES_S });
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(self.secret))
            .map_err(|error| error.to_string())
    }
}

/// What the peers' figures in the literature use.
const PAYLOAD_BYTES: usize = 200;
const WARM_UP: Duration = Duration::from_secs(2);
/// Longer than any run.
const TOKEN_LIVES_S: u64 = 86_400;
