//! What the server says, checked frame by frame as it reaches a client: nothing that is not durable (I1, I4), no hole
//! (I8), nothing of another tenant.

use crate::{
    link::{Link, Subscription},
    plan::DevicePlan,
    truth::Truth,
};
use duet::core::{ConversationKey, TenantId};
use duet_protocol::{
    Command, ConversationId, Delivery, DisplayName, Event, TenantName, UserId,
    delivery::{HistoryPage, InboxEntry, Opened, Published, ReceiptUpdated},
};

/// The view of one client's wire.
pub(crate) struct Wire<'a> {
    pub(crate) truth: &'a Truth,
    pub(crate) device: &'a DevicePlan,
    /// The highest epoch that the device has seen.
    pub(crate) epoch: u64,
}

/// Every message says whose it is.
pub(crate) fn tag(tenant: &str) -> String {
    format!("[{tenant}]")
}

/// Every name says whose it is.
pub(crate) fn display_name(tenant: &str, user: &str) -> DisplayName {
    DisplayName::parse(&format!("{user} of {tenant}")).expect("a display name")
}

/// A client sends something: what it opens is remembered.
pub(crate) fn sent(link: &mut Link, lane: u32, command: &Command) {
    if let Command::Open(open) = command {
        link.subscriptions.insert(lane, Subscription { conversation: open.conversation, last: None });
    }
}

impl Wire<'_> {
    /// A frame arrives at the client.
    pub(crate) fn check(&self, link: &mut Link, lane: u32, delivery: &Delivery) -> Result<(), String> {
        match delivery {
            Delivery::Welcome(welcome) => {
                if welcome.epoch > self.truth.state.tip.epoch || welcome.epoch < self.epoch {
                    return Err(format!("I9: a welcome of epoch {}, seen {}", welcome.epoch, self.epoch));
                }
                self.named(&welcome.name, &welcome.user)
            }
            Delivery::Opened(opened) => self.opened(link, lane, opened),
            Delivery::Event(event) => {
                let subscription = self.subscription(link, lane)?;
                let key = self.key(subscription.conversation)?;
                match subscription.last {
                    Some(last) if event.seq == last + 1 => subscription.last = Some(event.seq),
                    last => return Err(format!("I8: event {} of {key:?} after {last:?}", event.seq)),
                }
                self.event(key, event)
            }
            Delivery::CaughtUp(caught_up) => {
                let subscription = self.subscription(link, lane)?;
                if subscription.last != Some(caught_up.seq) {
                    return Err(format!("I8: level at {} after {:?}", caught_up.seq, subscription.last));
                }
                Ok(())
            }
            Delivery::Published(published) if published.seq > 0 => {
                let key = self.key(self.subscription(link, lane)?.conversation)?;
                self.published(key, published)
            }
            Delivery::ReceiptUpdated(receipt) => {
                let key = self.key(self.subscription(link, lane)?.conversation)?;
                self.receipt(key, receipt)
            }
            Delivery::HistoryPage(page) => self.page(page),
            Delivery::InboxEntry(entry) => self.inbox_entry(entry),
            Delivery::Ephemeral(said) => self.tagged(&said.content.body),
            Delivery::Unsubscribed(_) => {
                link.subscriptions.remove(&lane);
                Ok(())
            }
            Delivery::Typing(typing) => {
                if typing.user.as_str() == self.device.user {
                    return Err("typing was told to who types".into());
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn opened(&self, link: &mut Link, lane: u32, opened: &Opened) -> Result<(), String> {
        let subscription = self.subscription(link, lane)?;
        let key = self.key(opened.conversation)?;
        if subscription.conversation != opened.conversation || subscription.last.is_some() {
            return Err(format!("{key:?} was opened on a lane of another conversation"));
        }
        if opened.head.seq > self.truth.head(key) || opened.after > opened.head.seq || !opened.complete {
            return Err(format!("I1: {key:?} was opened beyond what is durable: {opened:?}"));
        }
        subscription.last = Some(opened.after);
        for member in &opened.members {
            self.named(&member.name, &member.user)?;
            self.receipt(
                key,
                &ReceiptUpdated { user: member.user.clone(), received: member.received, read: member.read },
            )?;
        }
        Ok(())
    }

    fn published(&self, key: ConversationKey, published: &Published) -> Result<(), String> {
        let user = UserId::parse(self.device.user).expect("a user");
        let place = self.truth.messages.get(&(key.tenant, user, published.id));
        if place != Some(&(key, published.seq)) {
            return Err(format!(
                "I1: message {} was acknowledged at {} of {key:?} and is durable at {place:?}",
                published.id, published.seq
            ));
        }
        Ok(())
    }

    fn event(&self, key: ConversationKey, event: &Event) -> Result<(), String> {
        match self.truth.event_at(key, event.seq) {
            Some(durable) if durable == event => {}
            durable => {
                return Err(format!("I4: event {} of {key:?} was told; durable is {durable:?}", event.seq));
            }
        }
        match event.decode_body() {
            Ok(Some(duet_protocol::EventBody::Message(message))) => self.tagged(&message.content.body),
            Ok(Some(duet_protocol::EventBody::MemberJoined(joined))) => {
                self.named(&joined.name, &joined.user)
            }
            Ok(_) => Ok(()),
            Err(error) => Err(format!("an event cannot be read: {error}")),
        }
    }

    fn page(&self, page: &HistoryPage) -> Result<(), String> {
        let key = self.key(page.conversation)?;
        for pair in page.events.windows(2) {
            if pair[1].seq != pair[0].seq + 1 {
                return Err(format!("I8: a page of {key:?} has a hole after {}", pair[0].seq));
            }
        }
        page.events.iter().try_for_each(|event| self.event(key, event))
    }

    fn receipt(&self, key: ConversationKey, receipt: &ReceiptUpdated) -> Result<(), String> {
        let head = self.truth.head(key);
        let marks = self.truth.room(key).and_then(|room| room.marks.get(&receipt.user));
        let beyond = marks.is_some_and(|marks| receipt.received > marks.0 || receipt.read > marks.1);
        if beyond || receipt.read > receipt.received || receipt.received > head {
            return Err(format!("watermarks beyond what is durable in {key:?}: {receipt:?}, {marks:?}"));
        }
        Ok(())
    }

    fn inbox_entry(&self, entry: &InboxEntry) -> Result<(), String> {
        let key = self.key(entry.conversation)?;
        if entry.head > self.truth.head(key) {
            return Err(format!("I1: an inbox entry beyond what is durable: {entry:?}"));
        }
        entry.members.iter().try_for_each(|member| self.named(&member.name, &member.user))
    }

    fn subscription<'l>(&self, link: &'l mut Link, lane: u32) -> Result<&'l mut Subscription, String> {
        link.subscriptions
            .get_mut(&lane)
            .ok_or(format!("a conversation's frame on lane {lane}, which is none"))
    }

    fn key(&self, conversation: ConversationId) -> Result<ConversationKey, String> {
        let tenant = tenant_id(self.truth, self.device.tenant)?;
        Ok(ConversationKey { tenant, conversation })
    }

    fn named(&self, name: &DisplayName, user: &UserId) -> Result<(), String> {
        if *name == display_name(self.device.tenant, user.as_str()) {
            return Ok(());
        }
        Err(format!("I13: {} was told of {name}", self.device.tenant))
    }

    fn tagged(&self, body: &[u8]) -> Result<(), String> {
        if body.starts_with(tag(self.device.tenant).as_bytes()) {
            return Ok(());
        }
        Err(format!("I13: {} read what another tenant said", self.device.tenant))
    }
}

pub(crate) fn tenant_id(truth: &Truth, tenant: &str) -> Result<TenantId, String> {
    let name = TenantName::parse(tenant).expect("a tenant's name");
    truth.state.tenant_id(&name).ok_or_else(|| format!("tenant {tenant} is unknown to the log"))
}
