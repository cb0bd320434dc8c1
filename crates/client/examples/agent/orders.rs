//! What the driver may order of a client, and how it is answered.

use crate::{held::Held, shape, tell};
use duet_client::{
    Client,
    machine::{ClientError, From, NewMessage},
    protocol::{
        ClientMessageId, Code, ConversationId, DisplayName, Position, UserId,
        command::{Durability, Page},
        delivery::{Availability, ConversationKind},
        event::Content,
    },
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

type Outcome = Result<Value, ClientError>;

/// Longest wait for a subscription or a connection.
const PATIENCE: Duration = Duration::from_secs(60);

/// A field that is text; empty when it is missing.
pub(crate) fn text(order: &Value, name: &str) -> String {
    order[name].as_str().unwrap_or("").to_owned()
}

/// A field that is a list of texts.
pub(crate) fn texts(order: &Value, name: &str) -> Vec<String> {
    let list = order[name].as_array().into_iter().flatten();
    list.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// Answers an order whose outcome is no value; gives back what it brought.
pub(crate) fn answer<T>(order: &Value, outcome: Result<T, ClientError>) -> Option<T> {
    let (line, brought) = match outcome {
        Ok(brought) => (Ok(Value::Null), Some(brought)),
        Err(error) => (Err(error), None),
    };
    say(order, line);
    brought
}

/// Carries an order out. What waits for the server is answered later, so that the next order need not wait for it; orders that
/// must keep their order do.
pub(crate) async fn obey(held: &Held, order: Value) {
    let client = held.client.clone();
    let what = text(&order, "do");
    match what.as_str() {
        "subscribe" => match begin_subscription(held, &order).await {
            Ok(standing) => {
                tokio::spawn(async move {
                    let stands = timeout(PATIENCE, standing).await;
                    let stands = stands.map_err(|_| bad("no subscription in time"));
                    let stands = stands.and_then(|stands| stands.map_err(|_| bad("the client ended")));
                    say(&order, stands.and_then(|result| result).map(|()| Value::Null));
                });
            }
            Err(error) => say(&order, Err(error)),
        },
        "log" => say(&order, conversation(&order).map(|id| held.log(id))),
        "send" | "mark_read" | "keystroke" | "stop_typing" | "unsubscribe" | "idle" | "retry" | "discard"
        | "outbox" | "connect" | "network_changed" | "info" => {
            let outcome = at_once(&client, &what, &order).await;
            say(&order, outcome);
        }
        _ => {
            tokio::spawn(async move {
                let outcome = in_time(&client, &what, &order).await;
                say(&order, outcome);
            });
        }
    }
}

fn say(order: &Value, outcome: Outcome) {
    let line = match outcome {
        Ok(value) => json!({ "call": order["call"], "ok": value }),
        Err(error) => json!({ "call": order["call"], "error": shape::error(&error) }),
    };
    tell(&line);
}

async fn begin_subscription(
    held: &Held,
    order: &Value,
) -> Result<tokio::sync::oneshot::Receiver<Result<(), ClientError>>, ClientError> {
    let id = conversation(order)?;
    let from = match (order["latest"].as_u64(), order["after"]["seq"].as_u64()) {
        (_, Some(seq)) => From::After(Position { epoch: order["after"]["epoch"].as_u64().unwrap_or(0), seq }),
        (Some(latest), None) => From::Latest(u16::try_from(latest).unwrap_or(u16::MAX)),
        (None, None) => From::Default,
    };
    let standing = held.stands(id);
    held.client.conversation(id).subscribe(from).await?;
    Ok(standing)
}

async fn at_once(client: &Client, what: &str, order: &Value) -> Outcome {
    match what {
        "send" => {
            let durability = match order["durability"].as_str() {
                Some("ephemeral") => Durability::Ephemeral,
                Some("mirrored") => Durability::Mirrored,
                _ => Durability::Accepted,
            };
            let content = Content::text(&text(order, "text"));
            let message = NewMessage { content, reply_to: order["replyTo"].as_u64(), durability };
            let sent = client.conversation(conversation(order)?).send(message).await?;
            return Ok(shape::message(&sent));
        }
        "retry" => return client.retry(message_id(order)?).await.map(|sent| shape::message(&sent)),
        "info" => {
            let transport = client.info().transport.map(|transport| shape::word(&transport));
            return Ok(json!({ "transport": transport }));
        }
        "outbox" => {
            let waiting = client.outbox().await?;
            let ids: Vec<_> = waiting.iter().map(|entry| entry.id.to_string()).collect();
            return Ok(json!(ids));
        }
        "discard" => client.discard(message_id(order)?).await?,
        "mark_read" => {
            client.conversation(conversation(order)?).mark_read(order["seq"].as_u64().unwrap_or(0)).await?;
        }
        "keystroke" => client.conversation(conversation(order)?).keystroke().await?,
        "stop_typing" => client.conversation(conversation(order)?).stop_typing().await?,
        "unsubscribe" => client.conversation(conversation(order)?).unsubscribe().await?,
        "idle" => client.set_idle(order["idle"] == true).await?,
        "network_changed" => client.network_changed().await?,
        _ => client.reconnect().await?,
    }
    Ok(Value::Null)
}

async fn in_time(client: &Client, what: &str, order: &Value) -> Outcome {
    match what {
        "ready" => timeout(PATIENCE, client.ready()).await.map_err(|_| bad("not ready in time"))??,
        "close" => client.close().await,
        "create" => {
            let kind = match text(order, "kind").as_str() {
                "direct" => ConversationKind::Direct,
                "support" => ConversationKind::Support,
                _ => ConversationKind::Group,
            };
            let subject = order["subject"].as_str().map(name).transpose()?;
            let made = client.create_conversation(kind, subject, users(order, "members")?).await?;
            return Ok(json!({ "conversation": made.id().to_string() }));
        }
        "history" => return history(client, order).await,
        "position" => {
            let position = client.conversation(conversation(order)?).position().await?;
            return Ok(json!(position.map(|at| json!({ "epoch": at.epoch, "seq": at.seq }))));
        }
        "assign" => client.conversation(conversation(order)?).assign(None).await?,
        "resolve" => client.conversation(conversation(order)?).resolve().await?,
        "end" => client.conversation(conversation(order)?).close().await?,
        "add_members" => {
            client.conversation(conversation(order)?).add_members(users(order, "members")?).await?;
        }
        "remove_member" => {
            client.conversation(conversation(order)?).remove_member(user(&text(order, "user"))?).await?;
        }
        "watch_presence" => client.watch_presence(users(order, "users")?).await?,
        "watch_inbox" => client.watch_inbox(true).await?,
        "availability" => client.set_availability(availability(&text(order, "value"))?).await?,
        other => return Err(bad(&format!("no such order: {other}"))),
    }
    Ok(Value::Null)
}

async fn history(client: &Client, order: &Value) -> Outcome {
    let page = match order["after"].as_u64() {
        Some(seq) => Page::After(seq),
        None => Page::Before(order["before"].as_u64().unwrap_or(u64::MAX)),
    };
    let limit = u16::try_from(order["limit"].as_u64().unwrap_or(50)).unwrap_or(500);
    let page = client.conversation(conversation(order)?).history(page, limit).await?;
    let entries: Vec<Value> = page.entries.iter().map(shape::entry).collect();
    Ok(json!({ "entries": entries, "more": page.more }))
}

fn conversation(order: &Value) -> Result<ConversationId, ClientError> {
    ConversationId::parse(&text(order, "conversation")).map_err(|rule| bad(&rule.to_string()))
}

fn message_id(order: &Value) -> Result<ClientMessageId, ClientError> {
    ClientMessageId::parse(&text(order, "id")).map_err(|rule| bad(&rule.to_string()))
}

fn users(order: &Value, field: &str) -> Result<Vec<UserId>, ClientError> {
    texts(order, field).iter().map(|text| user(text)).collect()
}

fn user(text: &str) -> Result<UserId, ClientError> {
    UserId::parse(text).map_err(|rule| bad(&rule.to_string()))
}

fn name(text: &str) -> Result<DisplayName, ClientError> {
    DisplayName::parse(text).map_err(|rule| bad(&rule.to_string()))
}

fn availability(text: &str) -> Result<Availability, ClientError> {
    match text {
        "online" => Ok(Availability::Online),
        "busy" => Ok(Availability::Busy),
        "away" => Ok(Availability::Away),
        "offline" => Ok(Availability::Offline),
        _ => Err(bad("online, busy, away or offline")),
    }
}

fn bad(message: &str) -> ClientError {
    ClientError::new(Code::BAD_REQUEST, message)
}
