//! Calls: a question to a service's connection, and its answer. Ephemeral: nothing here is a record.
//!
//! ```text
//!  Call ──► least loaded connection that serves the method ──► CallAsked
//!   │            │ Answer            │ it ends, or serves it no more   │ deadline        │ the caller ends
//!   ▼            ▼                   ▼                                 ▼                 ▼
//!  no such:   Answered            1154 to the caller               1153, CallEnded    CallEnded
//!  1152
//! ```
//!
//! Each call has one end. Both sides are bounded: [`CALLER_MAX`] open calls of a caller, [`SERVER_MAX`] of a service's
//! connection; beyond, a call is refused.

use super::{
    Core,
    input::{ConnectionId, Lane},
    record::TenantId,
    reject::Reject,
    timers::Timer,
};
use duet_protocol::{
    Code, Delivery, Subject,
    call::{Answer, Answered, Call, CallAsked, CallEnded, Outcome, Serve},
    delivery::Done,
    hello::Role,
    ids::Label,
};
use std::collections::{BTreeMap, BTreeSet};

/// Who serves what, and which calls are open.
#[derive(Debug, Default)]
pub(super) struct Switchboard {
    /// Connections by the method that they serve.
    servers: BTreeMap<(TenantId, Label), BTreeSet<ConnectionId>>,
    /// What each connection serves.
    served: BTreeMap<ConnectionId, BTreeSet<Label>>,
    /// Open calls: bounded by callers and by servers.
    open: BTreeMap<CallId, Open>,
    /// Open calls of each caller.
    asked: BTreeMap<ConnectionId, BTreeSet<CallId>>,
    /// Open calls of each server.
    asks: BTreeMap<ConnectionId, BTreeSet<CallId>>,
    last: u64,
}

/// Names an open call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(pub u64);

#[derive(Debug, Clone)]
struct Open {
    caller: ConnectionId,
    request: u32,
    server: ConnectionId,
    method: Label,
}

impl Switchboard {
    /// The connection with the fewest open calls; among equals the one that was asked longest ago.
    fn server(&self, tenant: TenantId, method: &Label) -> Option<(usize, ConnectionId)> {
        let servers = self.servers.get(&(tenant, method.clone()))?;
        let load = |server: &ConnectionId| {
            let asks = self.asks.get(server);
            (asks.map_or(0, BTreeSet::len), asks.and_then(BTreeSet::last).copied(), *server)
        };
        servers.iter().map(load).min().map(|(load, _, server)| (load, server))
    }

    fn begin(&mut self, open: Open) -> CallId {
        self.last += 1;
        let call = CallId(self.last);
        self.asked.entry(open.caller).or_default().insert(call);
        self.asks.entry(open.server).or_default().insert(call);
        self.open.insert(call, open);
        call
    }

    fn end(&mut self, call: CallId) -> Option<Open> {
        let open = self.open.remove(&call)?;
        for (side, id) in [(&mut self.asked, open.caller), (&mut self.asks, open.server)] {
            if let Some(calls) = side.get_mut(&id) {
                calls.remove(&call);
                if calls.is_empty() {
                    side.remove(&id);
                }
            }
        }
        Some(open)
    }

    /// Replaces what a connection serves; answers with its open calls of other methods.
    fn serve(&mut self, tenant: TenantId, id: ConnectionId, methods: BTreeSet<Label>) -> Vec<CallId> {
        for method in self.served.remove(&id).unwrap_or_default() {
            let place = (tenant, method);
            if let Some(servers) = self.servers.get_mut(&place) {
                servers.remove(&id);
                if servers.is_empty() {
                    self.servers.remove(&place);
                }
            }
        }
        for method in &methods {
            self.servers.entry((tenant, method.clone())).or_default().insert(id);
        }
        let asks = self.asks.get(&id).into_iter().flatten().copied();
        let given_up = asks.filter(|call| self.open.get(call).is_some_and(|c| !methods.contains(&c.method)));
        let given_up = given_up.collect();
        if !methods.is_empty() {
            self.served.insert(id, methods);
        }
        given_up
    }
}

impl Core {
    /// A connection says what it serves.
    pub(super) fn serve_calls(&mut self, id: ConnectionId, serve: Serve) -> Result<(), Reject> {
        let Some(connection) = self.connections.get(&id) else { return Ok(()) };
        if connection.actor.role != Role::Service {
            return Err(Reject::new(Code::FORBIDDEN, "Only services serve calls."));
        }
        if serve.methods.len() > METHODS_MAX {
            return Err(Reject::new(Code::BAD_REQUEST, "A connection serves at most 64 methods."));
        }
        let tenant = connection.actor.key.tenant;
        for call in self.calls.serve(tenant, id, serve.methods.into_iter().collect()) {
            self.fail_call(call, Code::SERVICE_GONE, 0);
        }
        self.send(id, Lane::CONTROL, &Delivery::Done(Done { request: serve.request }));
        Ok(())
    }

    /// A connection asks a service.
    pub(super) fn call(&mut self, now_ms: u64, id: ConnectionId, call: Call) -> Result<(), Reject> {
        let Some(connection) = self.connections.get(&id) else { return Ok(()) };
        if !(1..=TIMEOUT_MS_MAX).contains(&call.timeout_ms) {
            return Err(Reject::new(Code::BAD_REQUEST, "A call waits 1 to 60,000 milliseconds."));
        }
        if call.body.len() > self.config.limits.message_bytes_max as usize {
            return Err(Reject::new(Code::TOO_LARGE, Code::TOO_LARGE.sentence()));
        }
        if self.calls.asked.get(&id).is_some_and(|calls| calls.len() >= CALLER_MAX) {
            return Err(Reject::later(Code::RATE_LIMITED, "Too many calls are open.", RETRY_MS));
        }
        let Some((load, server)) = self.calls.server(connection.actor.key.tenant, &call.method) else {
            return Err(Reject::later(Code::NO_SERVICE, Code::NO_SERVICE.sentence(), SERVICE_RETRY_MS));
        };
        if load >= SERVER_MAX {
            return Err(Reject::later(Code::RATE_LIMITED, "The service has too many calls open.", RETRY_MS));
        }
        let (user, role) = (connection.actor.key.user.clone(), connection.actor.role);
        let Call { request, method, body, timeout_ms } = call;
        let open = self.calls.begin(Open { caller: id, request, server, method: method.clone() });
        self.timers.set(now_ms + u64::from(timeout_ms), Timer::Call(open));
        let asked = CallAsked { call: open.0, user, role, method, body, timeout_ms };
        self.send(server, Lane::CONTROL, &Delivery::CallAsked(asked));
        Ok(())
    }

    /// A service answers; what nobody waits for is dropped.
    pub(super) fn answer_call(&mut self, id: ConnectionId, answer: Answer) {
        let call = CallId(answer.call);
        if self.calls.open.get(&call).is_none_or(|open| open.server != id) {
            return;
        }
        let fits = match &answer.outcome {
            Outcome::Returned(body) => body.len() <= self.config.limits.message_bytes_max as usize,
            Outcome::Failed(failure) => failure.message.len() <= FAILURE_BYTES_MAX,
        };
        if !fits {
            return self.fail_call(call, Code::SERVICE_GONE, 0);
        }
        self.timers.cancel(&Timer::Call(call));
        if let Some(open) = self.calls.end(call) {
            let answered = Answered { request: open.request, outcome: answer.outcome };
            self.send(open.caller, Lane::CONTROL, &Delivery::Answered(answered));
        }
    }

    /// A call's time is over.
    pub(super) fn call_expired(&mut self, call: CallId) {
        if let Some(open) = self.calls.open.get(&call) {
            let server = open.server;
            self.fail_call(call, Code::CALL_TIMEOUT, 0);
            self.send(server, Lane::CONTROL, &Delivery::CallEnded(CallEnded { call: call.0 }));
        }
    }

    /// A connection is gone: as a caller and as a service.
    pub(super) fn leave_calls(&mut self, tenant: TenantId, id: ConnectionId) {
        self.calls.serve(tenant, id, BTreeSet::new());
        for call in self.calls.asks.get(&id).cloned().unwrap_or_default() {
            self.fail_call(call, Code::SERVICE_GONE, SERVICE_RETRY_MS);
        }
        for call in self.calls.asked.get(&id).cloned().unwrap_or_default() {
            self.timers.cancel(&Timer::Call(call));
            if let Some(open) = self.calls.end(call) {
                self.send(open.server, Lane::CONTROL, &Delivery::CallEnded(CallEnded { call: call.0 }));
            }
        }
    }

    fn fail_call(&mut self, call: CallId, code: Code, retry_after_ms: u32) {
        self.timers.cancel(&Timer::Call(call));
        if let Some(open) = self.calls.end(call) {
            let reject = Reject::later(code, code.sentence(), retry_after_ms);
            self.refuse(open.caller, Lane::CONTROL, Subject::Request(open.request), reject);
        }
    }
}

/// Methods of one connection.
const METHODS_MAX: usize = 64;
/// Calls that one connection may have open.
pub(super) const CALLER_MAX: usize = 16;
/// Calls that one connection serves at a time.
pub(super) const SERVER_MAX: usize = 64;
/// Longest wait.
const TIMEOUT_MS_MAX: u32 = 60_000;
/// Longest message of a failure.
const FAILURE_BYTES_MAX: usize = 1_024;
/// When to call again where too many calls are open.
const RETRY_MS: u32 = 200;
/// When to call again where no service was there.
const SERVICE_RETRY_MS: u32 = 1_000;
