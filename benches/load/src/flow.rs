//! Messages through rooms that stand: open loop at a rate, or closed loop with a window, and what became of them.

use crate::{
    LoadError, Meter, Pressure, Speaker, Tally, Usage,
    pace::Pace,
    plan::{Progress, say},
    tally::STAMP_BYTES,
};
use std::{
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::time::{self, MissedTickBehavior};

/// How messages flow.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    /// How many, how fast.
    pub pressure: Pressure,
    /// Bytes of a message, at least 12.
    pub payload_bytes: usize,
    /// Before anything counts.
    pub warm_up: Duration,
    /// What counts.
    pub duration: Duration,
    /// The server's process, if it is known and on this machine.
    pub server: Option<u32>,
}

/// What became of it, over the measured time.
#[derive(Debug, Clone, Copy)]
pub struct Flown {
    /// How long was measured, seconds.
    pub seconds: f64,
    /// Messages handed to the carriers.
    pub published: u64,
    /// Messages that arrived.
    pub delivered: u64,
    /// Messages that were acknowledged.
    pub acknowledged: u64,
    /// What the server used.
    pub server: Option<Usage>,
    /// Share of a core that the generator itself used: near 1.0 it measures itself.
    pub generator_cores: f64,
    /// Messages that were due and not handed over because a carrier took nothing for long.
    pub withheld: u64,
}

/// Drives the rooms of `speakers`; they are ordered by room.
///
/// # Errors
/// [`LoadError`] when the server's process is gone.
pub async fn flow(
    speakers: &[Rc<dyn Speaker>],
    tally: &Tally,
    flow: &Flow,
    progress: &mut Progress<'_>,
) -> Result<Flown, LoadError> {
    let mut driver = Driver {
        speakers,
        tally,
        payload: vec![b'.'; flow.payload_bytes.max(STAMP_BYTES)],
        order: shuffled(speakers.len()),
        published: 0,
        withheld: 0,
        stuck: Vec::new(),
    };
    let deadline = Instant::now() + flow.warm_up;
    match flow.pressure {
        Pressure::PerSecond(rate) => {
            let mut pace = Pace::new(tally.now_ns(), rate);
            driver.open_loop(&mut pace, deadline, progress).await;
            let window = Window::open(&mut driver, flow)?;
            driver.open_loop(&mut pace, Instant::now() + flow.duration, progress).await;
            window.close(&driver)
        }
        Pressure::InFlight(each) => {
            tally.want_echoes();
            for speaker in 0..speakers.len() {
                (0..each).for_each(|_| driver.publish(speaker, tally.now_ns()));
            }
            driver.closed_loop(deadline, progress).await;
            let window = Window::open(&mut driver, flow)?;
            driver.closed_loop(Instant::now() + flow.duration, progress).await;
            window.close(&driver)
        }
    }
}

struct Driver<'a> {
    speakers: &'a [Rc<dyn Speaker>],
    tally: &'a Tally,
    payload: Vec<u8>,
    order: Vec<usize>,
    published: u64,
    withheld: u64,
    /// Speakers whose carrier did not take everything.
    stuck: Vec<usize>,
}

impl Driver<'_> {
    fn publish(&mut self, speaker: usize, due_ns: u64) {
        let voice = &self.speakers[speaker];
        if voice.waiting() > WAITING_MAX {
            self.withheld += 1;
            return;
        }
        Tally::stamp(&mut self.payload, due_ns, u32::try_from(speaker).unwrap_or(u32::MAX));
        voice.publish(&self.payload);
        self.published += 1;
        if voice.waiting() > 0 {
            self.stuck.push(speaker);
        }
    }

    fn push_stuck(&mut self) {
        let speakers = self.speakers;
        self.stuck.retain(|speaker| {
            speakers[*speaker].flush();
            speakers[*speaker].waiting() > 0
        });
    }

    async fn open_loop(&mut self, pace: &mut Pace, until: Instant, progress: &mut Progress<'_>) {
        let mut tick = time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Told::new(self.tally);
        while Instant::now() < until {
            tick.tick().await;
            self.push_stuck();
            // At most a slice at a time: what arrives meanwhile wants to be heard as well.
            for _ in 0..SLICE {
                let Some((number, due_ns)) = pace.take(self.tally.now_ns()) else { break };
                let turn = usize::try_from(number).unwrap_or(0) % self.order.len();
                self.publish(self.order[turn], due_ns);
            }
            told.tell(self.tally, progress);
        }
    }

    async fn closed_loop(&mut self, until: Instant, progress: &mut Progress<'_>) {
        let mut told = Told::new(self.tally);
        while Instant::now() < until {
            self.push_stuck();
            for _ in 0..SLICE {
                let Ok(speaker) = time::timeout(TICK, self.tally.next_returned()).await else { break };
                self.publish(speaker as usize, self.tally.now_ns());
            }
            told.tell(self.tally, progress);
        }
    }
}

/// The measured stretch.
struct Window {
    begun: Instant,
    published: u64,
    delivered: u64,
    acknowledged: u64,
    withheld: u64,
    server: Option<Meter>,
    own: Meter,
}

impl Window {
    fn open(driver: &mut Driver<'_>, flow: &Flow) -> Result<Self, LoadError> {
        driver.tally.measure();
        Ok(Self {
            begun: Instant::now(),
            published: driver.published,
            delivered: driver.tally.deliveries(),
            acknowledged: driver.tally.acknowledgements(),
            withheld: driver.withheld,
            server: flow.server.map(Meter::start).transpose()?,
            own: Meter::start(std::process::id())?,
        })
    }

    fn close(&self, driver: &Driver<'_>) -> Result<Flown, LoadError> {
        Ok(Flown {
            seconds: self.begun.elapsed().as_secs_f64(),
            published: driver.published - self.published,
            delivered: driver.tally.deliveries() - self.delivered,
            acknowledged: driver.tally.acknowledgements() - self.acknowledged,
            server: self.server.as_ref().map(Meter::read).transpose()?,
            generator_cores: self.own.read()?.cores,
            withheld: driver.withheld - self.withheld,
        })
    }
}

/// Says once a second how it goes.
struct Told {
    at: Instant,
    delivered: u64,
}

impl Told {
    fn new(tally: &Tally) -> Self {
        Self { at: Instant::now(), delivered: tally.deliveries() }
    }

    fn tell(&mut self, tally: &Tally, progress: &mut Progress<'_>) {
        let since = self.at.elapsed();
        if since >= Duration::from_secs(1) {
            let rate = (tally.deliveries() - self.delivered) as f64 / since.as_secs_f64();
            say(
                progress,
                &format!("{rate:.0} deliveries/s, {} refused, {} lost", tally.refusals(), tally.losses()),
            );
            *self = Self::new(tally);
        }
    }
}

/// How often what is due is looked for.
const TICK: Duration = Duration::from_millis(1);
/// Messages handed over before the readers get a turn.
const SLICE: usize = 64;
/// Bytes that may wait for a carrier before messages are withheld from it.
const WAITING_MAX: usize = 256 << 10;

/// The numbers below `count` in an order that is always the same and spreads over the rooms.
fn shuffled(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for place in (1..count).rev() {
        // xorshift64 (Marsaglia 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(place, usize::try_from(state % (place as u64 + 1)).unwrap_or(0));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::shuffled;

    #[test]
    fn everyone_has_a_turn() {
        let mut order = shuffled(1_000);
        assert_ne!(order[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        order.sort_unstable();
        assert!(order.into_iter().eq(0..1_000));
    }
}
