//! Many sessions: connected, some at a time, and put into rooms.

use super::{Dialer, Session};
use crate::{
    Carrier, LoadError, Plan, Tally, Tokens,
    plan::{Progress, say},
};
use duet_protocol::{
    Command, ConversationId, Delivery, UserId,
    command::{AddMembers, CreateConversation},
    delivery::ConversationKind,
};
use futures_util::{StreamExt as _, stream};
use std::{
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::time;

/// All sessions of a run.
pub struct Fleet {
    /// In the order of their rooms.
    pub sessions: Vec<Rc<Session>>,
    /// From the first connection to the last welcome.
    pub connected_in: Duration,
    pub(crate) dialer: Dialer,
    pub(crate) carriers: Vec<Carrier>,
    host: Rc<Session>,
}

impl Fleet {
    /// Connects the sessions of a plan, so many at a time.
    ///
    /// # Errors
    /// [`LoadError`] of the first that fails.
    pub async fn connect(
        plan: &Plan,
        tokens: &dyn Tokens,
        tally: &Rc<Tally>,
        progress: &mut Progress<'_>,
    ) -> Result<Self, LoadError> {
        let dialer = Dialer::new(plan)?;
        let token = |user: &str, role| tokens.token(user, role).map_err(LoadError::Token);
        let host = Session::new(u32::MAX, format!("load-{}-host", plan.run), Rc::clone(tally));
        host.connect(&dialer, plan.carriers[0], Some(token(host.user(), "service")?)).await?;
        let user = |number| format!("load-{}-{number}", plan.run);
        let sessions: Vec<_> =
            (0..plan.sessions).map(|n| Session::new(n as u32, user(n), Rc::clone(tally))).collect();
        let signed = sessions.iter().map(|session| token(session.user(), "visitor"));
        let signed = signed.collect::<Result<Vec<_>, _>>()?;
        let begun = Instant::now();
        let all = sessions.iter().zip(signed).enumerate().map(|(number, (session, token))| {
            session.connect(&dialer, plan.carriers[number % plan.carriers.len()], Some(token))
        });
        let mut connecting = stream::iter(all).buffer_unordered(AT_ONCE);
        let mut done = 0;
        while let Some(result) = connecting.next().await {
            result?;
            done += 1;
            if done % 1_000 == 0 {
                say(progress, &format!("{done} of {} connected", plan.sessions));
            }
        }
        drop(connecting);
        let connected_in = begun.elapsed();
        let everyone: Vec<_> = sessions.iter().chain([&host]).map(Rc::downgrade).collect();
        tokio::task::spawn_local(async move {
            let mut tick = time::interval(PING_EVERY);
            loop {
                tick.tick().await;
                everyone.iter().filter_map(std::rc::Weak::upgrade).for_each(|session| session.ping());
            }
        });
        Ok(Self { sessions, connected_in, dialer, carriers: plan.carriers.clone(), host })
    }

    /// Makes groups of `size` and lets everyone in.
    ///
    /// # Errors
    /// [`LoadError`] of the first that fails.
    pub async fn enter_rooms(&self, size: usize, progress: &mut Progress<'_>) -> Result<(), LoadError> {
        for (number, room) in self.sessions.chunks(size).enumerate() {
            let conversation = ConversationId(random()?);
            self.make(conversation, room).await?;
            let mut entering = stream::iter(room.iter().map(|session| session.enter(conversation)))
                .buffer_unordered(AT_ONCE);
            while let Some(result) = entering.next().await {
                result?;
            }
            if number % 100 == 99 {
                say(progress, &format!("{} of {} rooms", number + 1, self.sessions.len().div_ceil(size)));
            }
        }
        Ok(())
    }

    async fn make(&self, conversation: ConversationId, members: &[Rc<Session>]) -> Result<(), LoadError> {
        let users = members.iter().map(|session| UserId::parse(session.user()));
        let users =
            users.collect::<Result<Vec<_>, _>>().map_err(|error| LoadError::Plan(error.to_string()))?;
        let mut parts = users.chunks(MEMBERS_AT_ONCE);
        let create = CreateConversation {
            request: 1,
            conversation,
            kind: ConversationKind::Group,
            subject: None,
            members: parts.next().unwrap_or_default().to_vec(),
        };
        let created: fn(&Delivery) -> bool = |delivery| matches!(delivery, Delivery::Created(_));
        self.ask_patiently(&Command::CreateConversation(create), "a new group", created).await?;
        for users in parts {
            let add = AddMembers { request: 1, conversation, users: users.to_vec() };
            let done: fn(&Delivery) -> bool = |delivery| matches!(delivery, Delivery::Done(_));
            self.ask_patiently(&Command::AddMembers(add), "more members", done).await?;
        }
        Ok(())
    }

    /// Asks again as long as the server only says: not so fast.
    async fn ask_patiently(
        &self,
        command: &Command,
        what: &'static str,
        wanted: fn(&Delivery) -> bool,
    ) -> Result<(), LoadError> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            match self.host.ask(command, what, wanted).await {
                Err(LoadError::Refused { code: duet_protocol::Code::RATE_LIMITED, .. })
                    if Instant::now() < give_up =>
                {
                    time::sleep(ASK_AGAIN_AFTER).await;
                }
                answer => return answer.map(drop),
            }
        }
    }
}

fn random() -> Result<[u8; 16], LoadError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| LoadError::Plan(format!("no random bytes: {error}")))?;
    // A random UUID (RFC 9562 §5.4).
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(bytes)
}

/// Handshakes under way, and openings of conversations.
const AT_ONCE: usize = 64;
/// The protocol's bound.
const MEMBERS_AT_ONCE: usize = 100;
const PING_EVERY: Duration = Duration::from_secs(9);
const PATIENCE: Duration = Duration::from_secs(60);
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(200);
