//! What the user types: commands, and everything else as a message.

use crate::{Chat, say, words::availability};
use duet_client::{
    Conversation,
    machine::ClientError,
    protocol::{DisplayName, command::Page, delivery::ConversationKind},
};

const HELP: &str = "\
/list            your conversations       /open N     show one of them
/new [SUBJECT]   start a support chat     /history    ten older messages
/who             members of this chat     /typing     tell that you type
/assign          take this chat           /resolve    it is dealt with      /end   close it
/status WORD     online busy away offline /retry      send what failed again
/info            the connection           /roam       move to another socket
/quit            leave; your session ends /help       this
anything else is a message";

impl Chat {
    pub(crate) async fn enter(&mut self, line: &str) -> Result<(), ClientError> {
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        match command {
            "" => {}
            "/help" => say(HELP),
            "/list" => self.list(),
            "/info" => say(&format!("{:?}", self.client.info())),
            "/roam" => self.client.network_changed().await?,
            "/status" => self.client.set_availability(availability(rest)).await?,
            "/open" => {
                let chosen = rest.parse::<usize>().ok().and_then(|n| self.listed().nth(n.checked_sub(1)?));
                match chosen.map(|entry| entry.conversation) {
                    Some(id) => self.show_conversation(self.client.conversation(id)).await?,
                    None => say("! /list shows the numbers"),
                }
            }
            "/new" => {
                let subject = DisplayName::parse(rest).ok();
                let fresh =
                    self.client.create_conversation(ConversationKind::Support, subject, vec![]).await?;
                self.show_conversation(fresh).await?;
            }
            "/retry" => {
                for id in std::mem::take(&mut self.failed) {
                    self.client.retry(id).await?;
                }
            }
            _ => match self.open.clone() {
                Some(open) => self.enter_in(&open, command, line).await?,
                None => say("! no conversation is open; /list, /open N or /new"),
            },
        }
        Ok(())
    }

    async fn enter_in(&mut self, open: &Conversation, command: &str, line: &str) -> Result<(), ClientError> {
        match command {
            "/typing" => open.keystroke().await,
            "/assign" => open.assign(None).await,
            "/resolve" => open.resolve().await,
            "/end" => open.close().await,
            "/who" => {
                self.who();
                Ok(())
            }
            "/history" => {
                let page = open.history(Page::Before(self.first_seq), 10).await?;
                for entry in page.entries.iter().rev() {
                    self.first_seq = self.first_seq.min(entry.seq);
                }
                page.entries.iter().for_each(|entry| say(&format!("  {}", self.describe(entry))));
                say(if page.more { "  … /history shows more" } else { "  that was the beginning" });
                Ok(())
            }
            unknown if unknown.starts_with('/') => {
                say("! there is no such command; /help lists them");
                Ok(())
            }
            _ => open.send_text(line.to_owned()).await.map(drop),
        }
    }
}
