//! A `visitor-process`, started, talked to and killed.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

#[cfg(unix)]
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use wix_visitor::Policy;
use wix_visitor_testkit::sandbox::Sandbox;
use wix_visitor_tests::halting::Step;
use wix_visitor_tests::instance::CLIENT_ID;

/// Longer than anything here takes on a busy machine: what is late by more hangs.
const PATIENCE: Duration = Duration::from_secs(45);

/// The numbers of the flow, in milliseconds: grant, save, margin, lease, wait, and how often a visitor in use is looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace([u64; 6]);

impl Pace {
    /// Leases are short: a test waits for one to run out. The wait is a lease, a grant and what a busy machine needs.
    pub(crate) const HASTY: Self = Self([2_000, 2_000, 500, 4_500, 15_000, 5_000]);
    /// Nothing runs out.
    pub(crate) const PATIENT: Self = Self([20_000, 15_000, 5_000, 40_000, 40_000, 5_000]);

    /// The same, where nobody looks up what nobody tells of.
    #[cfg(feature = "redis")]
    pub(crate) fn without_looks(self) -> Self {
        let Self([grant, save, margin, lease, wait, _]) = self;
        Self([grant, save, margin, lease, wait, 24 * 3_600_000])
    }

    /// The time of one store operation, which ends before the flow stops listening.
    pub(crate) fn store_ms(self) -> u64 {
        self.0[1] * 3 / 4
    }

    /// The same for a site in this process.
    pub(crate) fn policy(self) -> Policy {
        let [grant, save, margin, lease, wait, look_after] = self.0.map(Duration::from_millis);
        let mut policy = Policy::default();
        (policy.grant, policy.save, policy.margin, policy.lease) = (grant, save, margin, lease);
        (policy.wait, policy.look_after) = (wait, look_after);
        policy
    }
}

/// Killed at the latest when dropped.
pub(crate) struct VisitorProcess {
    child: Child,
    commands: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    /// What was said and not asked for yet.
    said: Vec<Value>,
}

/// What the callers of a `call` were answered.
#[derive(Debug)]
pub(crate) struct Called {
    /// Fingerprints of the tokens.
    pub(crate) served: Vec<String>,
    /// Kinds and messages of the errors.
    pub(crate) failed: Vec<String>,
    /// Whether any call met the loss of the visitor.
    pub(crate) lost: bool,
    /// Loads of this process so far.
    pub(crate) loads: u64,
}

impl Called {
    /// The fingerprint of the one token that all were served.
    pub(crate) fn token(&self) -> &str {
        assert!(self.failed.is_empty() && self.served.len() == 1, "{self:?}");
        &self.served[0]
    }
}

impl VisitorProcess {
    pub(crate) async fn start(sandbox: &Sandbox, store_url: &str, key: &str, pace: Pace, ahead: Duration) -> Self {
        let pace: Vec<String> = pace.0.iter().map(u64::to_string).collect();
        let mut child = Command::new(env!("CARGO_BIN_EXE_visitor-process"))
            .arg(sandbox.url())
            .args([pace.join(","), ahead.as_secs().to_string()])
            .env("WIX_VISITOR", key)
            .env("WIX_VISITOR_STORE", store_url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut this = Self { child, commands, lines, said: Vec::new() };
        this.hear("ready").await;
        this
    }

    /// Gives a command.
    pub(crate) async fn tell(&mut self, command: &str) {
        self.commands.write_all(format!("{command}\n").as_bytes()).await.unwrap();
    }

    /// Waits until the process says this, and returns what it says of it. What else it says meanwhile is kept.
    pub(crate) async fn hear(&mut self, what: &str) -> Value {
        if let Some(place) = self.said.iter().position(|said| said.get(what).is_some()) {
            return self.said.remove(place)[what].take();
        }
        loop {
            let line = within(what, self.lines.next_line()).await.unwrap();
            let mut said: Value = match line {
                Some(line) => serde_json::from_str(&line).unwrap(),
                None => panic!("the process ended without a word of {what:?}"),
            };
            match said.get_mut(what) {
                Some(said) => return said.take(),
                None => self.said.push(said),
            }
        }
    }

    /// Waits until somebody is stopped at this step.
    pub(crate) async fn arrived(&mut self, step: Step) {
        assert_eq!(self.hear("at").await, step.to_string());
    }

    /// The answers of so many callers.
    pub(crate) async fn call(&mut self, callers: usize) -> Called {
        self.tell(&format!("call {callers}")).await;
        self.called().await
    }

    /// The answers of callers that were sent on their way before.
    pub(crate) async fn called(&mut self) -> Called {
        let called = self.hear("called").await;
        let texts = |field: &str| {
            let list = called[field].as_array().unwrap();
            list.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
        };
        Called {
            served: texts("served"),
            failed: texts("failed"),
            lost: called["lost"].as_bool().unwrap(),
            loads: called["loads"].as_u64().unwrap(),
        }
    }

    /// Puts something into the cart; returns the cart's id.
    pub(crate) async fn add_to_cart(&mut self) -> String {
        self.tell("add").await;
        self.hear("cart").await.as_str().expect("a cart").to_owned()
    }

    /// The id of the visitor's cart, if it has one.
    pub(crate) async fn cart(&mut self) -> Option<String> {
        self.tell("cart").await;
        self.hear("cart").await.as_str().map(str::to_owned)
    }

    /// A member signs in.
    pub(crate) async fn sign_in(&mut self, sandbox: &Sandbox) {
        let member = sandbox.member_tokens(CLIENT_ID).unwrap();
        self.tell(&format!("set {} {}", member.access, member.refresh)).await;
        self.hear("done").await;
    }

    /// The visitor is forgotten.
    pub(crate) async fn forget(&mut self) {
        self.tell("forget").await;
        self.hear("done").await;
    }

    /// The names of what happened since the last time.
    pub(crate) async fn events(&mut self) -> Vec<String> {
        self.tell("events").await;
        let events = self.hear("events").await;
        events.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    /// What is known of the visitor.
    pub(crate) async fn status(&mut self) -> Value {
        self.tell("status").await;
        self.hear("status").await
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// `main` returns.
    pub(crate) async fn end(mut self) {
        self.tell("return").await;
        assert!(self.ended().await.success());
    }

    /// Begins a shutdown, after which `main` returns.
    pub(crate) async fn begin_to_finish(&mut self) {
        self.tell("finish").await;
        self.hear("closing").await;
    }

    /// Waits until that is over.
    pub(crate) async fn finished(mut self) {
        let error = self.hear("closed").await;
        assert!(error.is_null(), "{error}");
        assert!(self.ended().await.success());
    }

    pub(crate) async fn ended(&mut self) -> ExitStatus {
        within("the end of the process", self.child.wait()).await.unwrap()
    }

    /// Stops it where it is. One of its threads has to hear of that before the others stop, so it is waited for.
    #[cfg(unix)]
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
        let (_, status) = waitpid(Some(self.id()), WaitOptions::UNTRACED).unwrap().expect("it is waited for");
        assert!(status.stopped(), "{status:?}");
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal).unwrap();
    }

    #[cfg(unix)]
    fn id(&self) -> Pid {
        self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).expect("a living process")
    }
}

/// Waits for something that has to come.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited {PATIENCE:?} in vain for {what:?}"),
    }
}
