//! What one seed's world is like: who takes part, how fast disk and wires are, how often what goes wrong.

use crate::{pair_plan::PairPlan, rng::Rng};
use duet::core::{CoreConfig, Mutant, PairMutant};
use duet_protocol::{ConversationId, hello::Role};

/// The world begins here, Unix milliseconds.
pub(crate) const START_MS: u64 = 1_763_000_000_000;

/// Support conversations, one for each visitor, and the group: the same ids in every tenant.
pub(crate) const SUPPORT: [ConversationId; 2] = [ConversationId([0xa1; 16]), ConversationId([0xa2; 16])];
pub(crate) const GROUP: ConversationId = ConversationId([0xb1; 16]);

/// Which world is lived, and with which deliberate defect.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Case {
    /// Two nodes instead of one.
    pub(crate) pair: bool,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) pair_mutant: Option<PairMutant>,
}

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) core: CoreConfig,
    /// What is particular to two nodes.
    pub(crate) pair: Option<PairPlan>,
    pub(crate) devices: Vec<DevicePlan>,
    /// Bytes of events that a connection's outbox takes.
    pub(crate) outbox_bytes: u64,
    pub(crate) commit_ms: (u64, u64),
    pub(crate) read_ms: (u64, u64),
    pub(crate) wire_ms: (u64, u64),
    pub(crate) act_every_ms: (u64, u64),
    pub(crate) fault_every_ms: (u64, u64),
    /// How long people act and things break.
    pub(crate) busy_ms: u64,
    /// Whether the server's clock may jump.
    pub(crate) clock_jumps: bool,
}

/// One installation of a client.
#[derive(Debug, Clone)]
pub(crate) struct DevicePlan {
    pub(crate) tenant: &'static str,
    pub(crate) user: &'static str,
    pub(crate) role: Role,
    pub(crate) datagrams: bool,
    pub(crate) keep_alive: bool,
    /// Everything travels in one order, as on a WebSocket.
    pub(crate) one_stream: bool,
    /// What to add to the world's clock to get the device's, milliseconds.
    pub(crate) clock_offset_ms: i64,
    /// 0 for tokens that never end.
    pub(crate) token_life_ms: u64,
    pub(crate) publishes_in_flight: usize,
    pub(crate) backlog: u16,
}

/// Everyone who may take part; the first two always do.
const CAST: [(&str, &str, Role); 9] = [
    ("acme", "vera", Role::Visitor),
    ("acme", "anna", Role::Agent),
    ("acme", "vera", Role::Visitor),
    ("acme", "ben", Role::Agent),
    ("acme", "viktor", Role::Visitor),
    ("acme", "sue", Role::Supervisor),
    ("acme", "anna", Role::Agent),
    ("beta", "vera", Role::Visitor),
    ("beta", "anna", Role::Agent),
];

pub(crate) const TENANTS: [&str; 2] = ["acme", "beta"];

impl Plan {
    pub(crate) fn draw(rng: &mut Rng, case: Case) -> Self {
        let mut devices = Vec::new();
        for (at, (tenant, user, role)) in CAST.into_iter().enumerate() {
            if at < 2 || rng.chance(550) {
                devices.push(DevicePlan::draw(rng, tenant, user, role));
            }
        }
        let slow_disk = rng.chance(300);
        let mut core = CoreConfig { mutant: case.mutant, ..CoreConfig::default() };
        core.checkpoint_every = rng.between((5, 60));
        core.checkpoint_after_ms = rng.between((500, 20_000));
        if rng.chance(250) {
            core.dedup_entries_max = rng.between((2, 12)) as usize;
        }
        if rng.chance(150) {
            core.limits.dedup_window_ms = rng.between((2_000, 30_000)) as u32;
        }
        core.limits.streams_max = *rng.pick(&[0, 1, 3, 24]).unwrap_or(&24);
        core.limits.lanes_max = *rng.pick(&[6, 16, 256]).unwrap_or(&256);
        core.limits.presence_grace_ms = rng.between((2_000, 30_000)) as u32;
        if rng.chance(200) {
            core.session_ttl_ms = rng.between((5_000, 40_000));
        }
        if rng.chance(200) {
            core.user_sessions_max = 5;
        }
        let mut plan = Self {
            core,
            pair: None,
            devices,
            outbox_bytes: *rng.pick(&[600, 2_000, 8_000, 1_000_000]).unwrap_or(&8_000),
            commit_ms: if slow_disk { (20, 900) } else { (1, 25) },
            read_ms: if rng.chance(300) { (5, 400) } else { (0, 6) },
            wire_ms: if rng.chance(300) { (10, 600) } else { (1, 40) },
            act_every_ms: *rng.pick(&[(20, 400), (100, 1_500), (300, 4_000)]).unwrap_or(&(100, 1_500)),
            fault_every_ms: *rng
                .pick(&[(200, 2_000), (500, 6_000), (3_000, 20_000)])
                .unwrap_or(&(500, 6_000)),
            busy_ms: rng.between((10_000, 60_000)),
            clock_jumps: rng.chance(250),
        };
        plan.pair = case.pair.then(|| PairPlan::draw(rng, case.pair_mutant));
        if case.pair {
            // Whoever is sent from one node to the other waits longer between two attempts than the shortest tokens live.
            plan.devices.iter_mut().for_each(|device| device.token_life_ms *= 4);
        }
        plan
    }
}

impl DevicePlan {
    fn draw(rng: &mut Rng, tenant: &'static str, user: &'static str, role: Role) -> Self {
        let one_stream = rng.chance(350);
        Self {
            tenant,
            user,
            role,
            datagrams: !one_stream && rng.chance(700),
            keep_alive: !one_stream,
            one_stream,
            clock_offset_ms: rng.between((0, 600_000)) as i64 - 300_000,
            token_life_ms: if rng.chance(300) { rng.between((4_000, 30_000)) } else { 0 },
            publishes_in_flight: if rng.chance(150) { 3 } else { 1 },
            backlog: *rng.pick(&[3, 50]).unwrap_or(&50),
        }
    }
}
