//! What happened to each visitor lately, in plain words: for the panel.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::broadcast;
use wix_visitor::{EventKind, Site, Timestamp, VisitorId};

/// So many notes are kept of a visitor, and of so many visitors: a window to look through, no log.
const NOTES: usize = 20;
const VISITORS: usize = 1_000;

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Note {
    /// Grows, also from one process to the next.
    pub(crate) id: u64,
    /// Milliseconds since 1970.
    pub(crate) at: i64,
    pub(crate) mood: Mood,
    pub(crate) text: String,
}

/// How it is shown.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mood {
    Good,
    Plain,
    Bad,
}

#[derive(Debug)]
pub(crate) struct Journal {
    kept: Mutex<Kept>,
    news: broadcast::Sender<(VisitorId, Note)>,
    begun: Note,
}

#[derive(Debug, Default)]
struct Kept {
    last: u64,
    notes: HashMap<VisitorId, VecDeque<Note>>,
    order: VecDeque<VisitorId>,
}

impl Journal {
    /// Keeps a journal of a site until that ends.
    pub(crate) fn of(site: &Site, now: Timestamp) -> Arc<Self> {
        let begun = Note {
            id: millis(now) * 1000,
            at: now.as_millis(),
            mood: Mood::Plain,
            text: "this server process started; visitors are in the store".to_owned(),
        };
        let kept = Kept { last: begun.id, ..Kept::default() };
        let journal = Arc::new(Self { kept: Mutex::new(kept), news: broadcast::Sender::new(256), begun });
        let (mut events, writer, clock) = (site.events(), Arc::downgrade(&journal), site.visitors().clone());
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                let Some(journal) = writer.upgrade() else { return };
                if let Some((mood, text)) = words(&event.kind) {
                    journal.note(event.visitor, clock.now(), mood, text);
                }
            }
        });
        journal
    }

    /// Notes something about a visitor.
    pub(crate) fn note(&self, visitor: VisitorId, now: Timestamp, mood: Mood, text: impl Into<String>) {
        let mut kept = self.kept();
        kept.last = (kept.last + 1).max(millis(now) * 1000);
        let note = Note { id: kept.last, at: now.as_millis(), mood, text: text.into() };
        if !kept.notes.contains_key(&visitor) {
            kept.order.push_back(visitor);
            if kept.order.len() > VISITORS
                && let Some(oldest) = kept.order.pop_front()
            {
                kept.notes.remove(&oldest);
            }
        }
        let notes = kept.notes.entry(visitor).or_default();
        notes.push_back(note.clone());
        if notes.len() > NOTES {
            notes.pop_front();
        }
        // Under the lock, so that whoever follows gets each note once. Nobody may be listening.
        let _ = self.news.send((visitor, note));
    }

    /// What happened to a visitor, oldest first.
    pub(crate) fn of_visitor(&self, visitor: VisitorId) -> Vec<Note> {
        let kept = self.kept();
        std::iter::once(&self.begun).chain(kept.notes.get(&visitor).into_iter().flatten()).cloned().collect()
    }

    /// What happened to a visitor since that note, and what happens to all from now on.
    pub(crate) fn follow(&self, visitor: VisitorId, after: u64) -> (Vec<Note>, broadcast::Receiver<(VisitorId, Note)>) {
        let kept = self.kept();
        let news = self.news.subscribe();
        let known = std::iter::once(&self.begun).chain(kept.notes.get(&visitor).into_iter().flatten());
        (known.filter(|note| note.id > after).cloned().collect(), news)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Each change is made in one go, or leaves a note out: a panic elsewhere harms nothing.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(now: Timestamp) -> u64 {
    u64::try_from(now.as_millis()).unwrap_or(0)
}

fn words(kind: &EventKind) -> Option<(Mood, String)> {
    Some(match kind {
        EventKind::Minted => (Mood::Good, "a new visitor: there was none yet".to_owned()),
        EventKind::Renewed { generation } => {
            (Mood::Good, format!("renewed: same visitor, new access token ({} renewal)", ordinal(*generation)))
        }
        EventKind::Adopted => {
            (Mood::Good, "another instance had renewed: its token was taken from the store".to_owned())
        }
        EventKind::RenewalFailed(error) => {
            let why = error.status().map_or(String::new(), |status| format!(" (status {status})"));
            (Mood::Bad, format!("the endpoint failed{why}: nothing is lost, and a token in hand still serves"))
        }
        EventKind::VisitorLost(lost) => (Mood::Bad, format!("the visitor was lost: {lost}")),
        EventKind::MemberSessionEnded => (Mood::Bad, "the member's session has ended: sign in again".to_owned()),
        EventKind::SavePending(_) => (
            Mood::Bad,
            "the store failed: the new token serves from memory, and is saved as soon as that works".to_owned(),
        ),
        EventKind::Saved => (Mood::Good, "saved: the store has it again".to_owned()),
        EventKind::ClaimTakenOver => (
            Mood::Plain,
            "another process had begun to renew and never finished: this one goes on in its place".to_owned(),
        ),
        EventKind::AlternateDropped => (Mood::Plain, "a refresh token that was kept aside had to go".to_owned()),
        _ => return None,
    })
}

fn ordinal(number: u64) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use wix_visitor::{ClientId, Secret, StoreKey};

    fn visitor(key: &str) -> VisitorId {
        let client_id = ClientId::new("00000000-0000-0000-0000-000000000000").unwrap();
        StoreKey::new("issuer", &client_id, &Secret::new(key)).visitor_id()
    }

    #[test]
    fn ordinals_are_spelled_as_people_do() {
        let spelled: Vec<String> = [1, 2, 3, 4, 11, 12, 13, 21, 22, 111].into_iter().map(ordinal).collect();
        assert_eq!(spelled.join(" "), "1st 2nd 3rd 4th 11th 12th 13th 21st 22nd 111th");
    }

    #[test]
    fn a_follower_gets_what_came_after_a_note_and_nothing_twice() {
        let begun = Note { id: 5_000, at: 5, mood: Mood::Plain, text: String::new() };
        let kept = Kept { last: begun.id, ..Kept::default() };
        let journal = Journal { kept: Mutex::new(kept), news: broadcast::Sender::new(8), begun };
        let visitor = visitor("one");
        for text in ["one", "two"] {
            // The clock stands still, and the ids still grow.
            journal.note(visitor, Timestamp::from_millis(5), Mood::Plain, text);
        }
        let all = journal.of_visitor(visitor);
        assert_eq!(all.len(), 3);
        let (known, mut news) = journal.follow(visitor, all[1].id);
        assert_eq!(known.iter().map(|note| note.text.as_str()).collect::<Vec<_>>(), ["two"]);
        journal.note(visitor, Timestamp::from_millis(5), Mood::Plain, "three");
        assert_eq!(news.try_recv().unwrap().1.text, "three");
        assert!(news.try_recv().is_err());
    }

    #[test]
    fn a_visitors_notes_and_the_visitors_are_bounded() {
        let begun = Note { id: 0, at: 0, mood: Mood::Plain, text: String::new() };
        let journal = Journal { kept: Mutex::default(), news: broadcast::Sender::new(8), begun };
        for number in 0..=VISITORS {
            let visitor = visitor(&number.to_string());
            for _ in 0..30 {
                journal.note(visitor, Timestamp::from_millis(5), Mood::Plain, "");
            }
        }
        let kept = journal.kept();
        assert_eq!((kept.notes.len(), kept.order.len()), (VISITORS, VISITORS));
        assert!(kept.notes.values().all(|notes| notes.len() == NOTES));
    }
}
