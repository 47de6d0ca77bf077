//! What a connection hears besides answers: messages on the channels it listens to, and that it is no more.

use std::sync::{Arc, OnceLock};

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

/// The ears of one connection. Room for messages is made when somebody listens for the first time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ears(Arc<OnceLock<broadcast::Sender<Heard>>>);

impl Ears {
    pub(crate) fn listen(&self) -> broadcast::Receiver<Heard> {
        self.0.get_or_init(|| broadcast::Sender::new(WAITING)).subscribe()
    }

    pub(crate) fn take(&self, push: PushInfo) {
        let heard = match (push.kind, <[Value; 2]>::try_from(push.data)) {
            (PushKind::Disconnection, _) => Heard::End,
            (PushKind::Message, Ok([Value::BulkString(channel), Value::BulkString(text)])) => {
                Heard::Message { channel, text }
            }
            _ => return,
        };
        if let Some(ears) = self.0.get() {
            // Nobody listening is no failure.
            let _ = ears.send(heard);
        }
    }
}
