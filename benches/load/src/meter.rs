//! What the server's process used, from `/proc`: processor time, resident memory, open files.

use crate::LoadError;
use serde::Serialize;
use std::{fs, io, time::Instant};

/// Watches one process.
#[derive(Debug)]
pub struct Meter {
    pid: u32,
    begun: Instant,
    ticks: u64,
}

/// What a process used over a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Usage {
    /// Processor time, user and system, seconds.
    pub cpu_s: f64,
    /// Share of one core: 1.0 is a core that never rested.
    pub cores: f64,
    /// Resident memory at the end, KiB.
    pub rss_kib: u64,
    /// Open files at the end.
    pub fds: u64,
}

impl Meter {
    /// Begins to watch.
    ///
    /// # Errors
    /// [`LoadError::Process`] when there is no such process.
    pub fn start(pid: u32) -> Result<Self, LoadError> {
        let ticks = ticks(pid).map_err(|error| LoadError::Process { pid, error })?;
        Ok(Self { pid, begun: Instant::now(), ticks })
    }

    /// What it used since the start.
    ///
    /// # Errors
    /// [`LoadError::Process`] when it is gone.
    pub fn read(&self) -> Result<Usage, LoadError> {
        let failed = |error| LoadError::Process { pid: self.pid, error };
        let used = ticks(self.pid).map_err(failed)?.saturating_sub(self.ticks);
        let cpu_s = used as f64 / TICKS_PER_SECOND;
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).map_err(failed)?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let rss_kib = rss.and_then(|rest| rest.split_whitespace().next()).and_then(|word| word.parse().ok());
        let fds = fs::read_dir(format!("/proc/{}/fd", self.pid)).map_err(failed)?.count() as u64;
        Ok(Usage {
            cpu_s,
            cores: cpu_s / self.begun.elapsed().as_secs_f64().max(f64::MIN_POSITIVE),
            rss_kib: rss_kib.ok_or_else(|| failed(io::Error::other("no VmRSS")))?,
            fds,
        })
    }
}

/// Linux reports to programs in hundredths of a second on every architecture (`USER_HZ`, proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// Fields 14 and 15 of `stat`, counted behind the name, which may hold anything.
fn ticks(pid: u32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace());
    let mut fields = fields.ok_or_else(|| io::Error::other("an unknown form of stat"))?.skip(11);
    let mut next = || fields.next().and_then(|word| word.parse::<u64>().ok());
    next().zip(next()).map(|(user, system)| user + system).ok_or_else(|| io::Error::other("too short a stat"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_is_seen_to_work() {
        let meter = Meter::start(std::process::id()).expect("this process");
        let mut sum = 0_u64;
        while meter.begun.elapsed().as_millis() < 60 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let usage = meter.read().expect("this process");
        assert!(usage.rss_kib > 100 && usage.fds > 2, "{usage:?}");
    }

    #[test]
    fn nobody_is_not_measured() {
        assert!(Meter::start(u32::MAX).is_err());
    }
}
