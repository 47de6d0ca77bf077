//! What a connection hears besides answers: messages on the channels it listens to, and that it is no more.

use redis::{PushInfo, PushKind, Value};
use tokio::sync::broadcast;

/// How many messages may wait to be taken; who falls behind by more has missed some. Each is as long as a key: whoever else may publish
/// there is trusted by the server's rights.
const WAITING: usize = 16 * 1024;

/// Something that was heard.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    Message {
        channel: Vec<u8>,
        text: Vec<u8>,
    },
    /// A connection ended: what was said after that is not known.
    End,
}

/// The ears of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Ears(broadcast::Sender<Heard>);

impl Ears {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(WAITING))
    }

    pub(crate) fn listen(&self) -> broadcast::Receiver<Heard> {
        self.0.subscribe()
    }

    pub(crate) fn take(&self, push: PushInfo) {
        let heard = match (push.kind, <[Value; 2]>::try_from(push.data)) {
            (PushKind::Disconnection, _) => Heard::End,
            (PushKind::Message, Ok([Value::BulkString(channel), Value::BulkString(text)])) => {
                Heard::Message { channel, text }
            }
            _ => return,
        };
        // Nobody listening is no failure.
        let _ = self.0.send(heard);
    }
}
