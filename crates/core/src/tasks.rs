//! The tasks of one site, and its end.

use tokio::sync::watch;

/// Tasks under way: each holds a receiver, and that the last is gone is heard of.
#[derive(Debug)]
pub(crate) struct Tasks(watch::Sender<()>);

impl Default for Tasks {
    fn default() -> Self {
        Self(watch::Sender::new(()))
    }
}

impl Tasks {
    /// The same task, which counts until it has ended or was dropped.
    pub(crate) fn track<T: Future>(&self, task: T) -> impl Future<Output = T::Output> + use<T> {
        let counted = self.0.subscribe();
        async move {
            // Held before the task is, so that it goes after it.
            let _counted = counted;
            task.await
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_closed()
    }

    /// Until there are none.
    pub(crate) async fn wait(&self) {
        self.0.closed().await;
    }
}

/// Whether the site is to end: it was told so, or its last handle is gone.
#[derive(Debug)]
pub(crate) struct Closing(watch::Sender<bool>);

impl Default for Closing {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Closing {
    pub(crate) fn begin(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Until it is to end. Keeps no site alive.
    pub(crate) fn begun(&self) -> impl Future<Output = ()> + use<> {
        let mut closing = self.0.subscribe();
        async move {
            // An error says that the last handle is gone.
            let _ = closing.wait_for(|closing| *closing).await;
        }
    }

    /// Does this until it is done or the site is to end.
    pub(crate) fn unless_begun<T: Future<Output = ()>>(&self, task: T) -> impl Future<Output = ()> + use<T> {
        let begun = self.begun();
        async move {
            tokio::select! {
                biased;
                () = begun => {}
                () = task => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use tokio::task::yield_now;

    #[tokio::test]
    async fn a_task_counts_until_it_has_ended_or_was_dropped() {
        let tasks = Tasks::default();
        assert!(tasks.is_empty());
        let (done, dropped) = (tasks.track(ready(7)), tasks.track(pending::<()>()));
        assert!(!tasks.is_empty());
        assert_eq!(done.await, 7);
        assert!(!tasks.is_empty());
        drop(dropped);
        tasks.wait().await;
        assert!(tasks.is_empty());
    }

    #[tokio::test]
    async fn what_goes_on_ends_when_the_site_closes_and_when_its_last_handle_goes() {
        for told in [true, false] {
            let closing = Closing::default();
            let going_on = tokio::spawn(closing.unless_begun(pending()));
            yield_now().await;
            assert!(!going_on.is_finished() && !closing.has_begun());
            if told {
                closing.begin();
                closing.begun().await;
                assert!(closing.has_begun());
            } else {
                drop(closing);
            }
            going_on.await.unwrap();
        }
        Closing::default().unless_begun(ready(())).await;
    }
}
